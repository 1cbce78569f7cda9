# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The encoding of vertices: no two kinds of vertices share a number."""

from __future__ import annotations

from ansible_collections.netops.egress_ip.plugins.module_utils._solver.residual_graph import ADDRESS, SINK


def test_vertices_of_arcs_the_sink_and_addresses_are_distinct():
    arcs, addresses = [*range(50)], [ADDRESS - address for address in range(50)]
    assert len({SINK, *arcs, *addresses}) == 1 + 50 + 50
    assert max(addresses) < SINK < min(arcs)


def test_an_address_is_read_back_from_its_vertex():
    assert [ADDRESS - vertex for vertex in (ADDRESS, ADDRESS - 1, ADDRESS - 7)] == [0, 1, 7]
