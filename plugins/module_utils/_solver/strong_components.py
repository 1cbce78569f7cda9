# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The strongly connected components of a graph. PRIVATE to the collection."""

from __future__ import annotations

from typing import Iterable, Iterator, Mapping

from .residual_graph import Vertex


def components(graph: Mapping[Vertex, Iterable[Vertex]]) -> dict[Vertex, int]:
    """Return {vertex: number of its component} of ``graph``, {vertex: its successors}, by Tarjan's method."""
    order: dict[Vertex, int] = {}
    low: dict[Vertex, int] = {}
    component: dict[Vertex, int] = {}
    open_vertices: list[Vertex] = []
    for root in graph:
        if root in order:
            continue
        order[root] = low[root] = len(order)
        open_vertices.append(root)
        path: list[tuple[Vertex, Iterator[Vertex]]] = [(root, iter(graph[root]))]
        while path:
            vertex, successors = path[-1]
            new = None
            for successor in successors:
                if successor not in order:
                    new = successor
                    break
                if successor not in component:
                    low[vertex] = min(low[vertex], order[successor])
            if new is not None:
                order[new] = low[new] = len(order)
                open_vertices.append(new)
                path.append((new, iter(graph[new])))
                continue
            path.pop()
            if path:
                low[path[-1][0]] = min(low[path[-1][0]], low[vertex])
            if low[vertex] == order[vertex]:
                while vertex not in component:
                    component[open_vertices.pop()] = order[vertex]
    return component
