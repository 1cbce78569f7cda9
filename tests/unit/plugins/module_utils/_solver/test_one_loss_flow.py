# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The flow of a loss where overlap decides; that it is the best of all results is in test_one_loss.py."""

from __future__ import annotations

from ansible_collections.netops.egress_ip.plugins.module_utils._solver.model import NodeLoad
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.one_loss import Lost, NodeRing
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.one_loss_flow import minimize

DOMAINS = (0, 0, 1)


def spread(**overlap):
    """Return a lost address whose siblings are in these domains."""
    return Lost(4, 0, domains=DOMAINS, overlap={int(key[1:]): count for key, count in overlap.items()})


def test_one_of_two_must_overlap():
    nodes = NodeRing([NodeLoad(), NodeLoad(0, 1), NodeLoad(5, 1)], [frozenset(range(3))])
    assert minimize(nodes, 0, [spread(d0=1), spread(d0=2)]) == [1, 2]


def test_an_address_is_placed_even_where_it_overlaps():
    nodes = NodeRing([NodeLoad(), NodeLoad(), NodeLoad(0, 0)], [frozenset(range(3))])
    assert minimize(nodes, 0, [spread(d0=3)]) == [1]


def test_an_address_without_a_node():
    assert minimize(NodeRing([NodeLoad(), NodeLoad(0, 0)], [frozenset(range(2))]), 0, [Lost(6, 0)]) == [None]
