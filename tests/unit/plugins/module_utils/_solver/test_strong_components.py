# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Components against their definition."""

from __future__ import annotations

from ansible_collections.netops.egress_ip.plugins.module_utils._solver.strong_components import components
from hypothesis import given
from hypothesis import strategies as st


def reachable(graph, start):
    seen, queue = {start}, [start]
    while queue:
        for vertex in graph[queue.pop()]:
            if vertex not in seen:
                seen.add(vertex)
                queue.append(vertex)
    return seen


@given(st.lists(st.lists(st.integers(0, 5), max_size=3), min_size=6, max_size=6))
def test_two_vertices_share_a_component_when_each_leads_to_the_other(successors):
    graph = dict(enumerate(successors))
    found = components(graph)
    reach = {vertex: reachable(graph, vertex) for vertex in graph}
    for one in graph:
        for other in graph:
            assert (found[one] == found[other]) == (other in reach[one] and one in reach[other])
