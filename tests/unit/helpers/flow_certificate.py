# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A certificate of least cost: the residual network of a packing step by step, and a search for an improving cycle."""

from __future__ import annotations

from collections import Counter


def residual_steps(packing):
    """Yield (point, point, cost) for every step that a packing allows, as a plain flow without classes.

    Points: ("node", n), ("arc", n), ("slot", key), ("address", n) and "sink"; the flow goes address, slot, arc, node.
    """
    everywhere = range(packing.unassigned + 1)
    occupied = set(packing.node_of)
    taken = {(address.owner, packing.arc(n, packing.node_of[n])) for n, address in enumerate(packing.addresses)}
    for node in everywhere:
        if node in occupied:
            yield "sink", ("node", node), -packing.last_price(node)
        if not packing.is_full(node):
            yield ("node", node), "sink", packing.next_price(node)
    for arc, limit in packing.arc_limit.items():
        node = ("node", packing.node_of_arc[arc])
        if packing.arc_count[arc] < limit:
            yield ("arc", arc), node, 0
        if packing.arc_count[arc]:
            yield node, ("arc", arc), 0
    for group in packing.groups:
        yield from group_steps(packing, group, taken)
    for number in sorted({*range(len(packing.addresses))} - {*packing.group_of}):
        for node in (*packing.choices[packing.kind[number]], packing.unassigned):
            arc = packing.arc(number, node)
            way_in = ("node", node) if arc == node else ("arc", arc)
            if node != packing.unassigned:
                key = packing.addresses[number].owner, arc
                slot = "slot", key
                yield (way_in, slot, 0) if key in taken else (slot, way_in, 0)
                way_in = slot
            price = packing.price(number, node)
            if packing.node_of[number] == node:
                yield way_in, ("address", number), -price
            else:
                yield ("address", number), way_in, price


def group_steps(packing, group, taken):
    """Yield the residual arcs of one spread group: members to domains, at a cost for each but the first, and to
    slots."""
    first, owner = group.members[0], packing.addresses[group.members[0]].owner
    used = [packing.node_of[one] for one in group.members]
    own, inside = ("group", group.number), Counter(group.domains[node] for node in used if node != packing.unassigned)
    for domain in {group.domains[node] for node in group.nodes}:
        vertex, count = ("domain", group.number, domain), inside[domain] + group.taken.get(domain, 0)
        yield own, vertex, packing.overlap_cost * count
        if inside[domain]:
            yield vertex, own, -packing.overlap_cost * (count - 1)
    for node in (*group.nodes, packing.unassigned):
        arc, price = packing.arc(first, node), packing.price(first, node)
        way_in = ("node", node) if arc == node else ("arc", arc)
        vertex = own
        if node != packing.unassigned:
            slot, vertex = ("slot", (owner, arc)), ("domain", group.number, group.domains[node])
            yield (way_in, slot, 0) if slot[1] in taken else (slot, way_in, 0)
            way_in = slot
        if node in used:
            yield way_in, vertex, -price
        if node not in used or node == packing.unassigned:
            yield vertex, way_in, price


def has_improving_cycle(packing):
    """Return whether a cycle of steps makes a packing cheaper, by the method of Bellman and Ford."""
    steps = sorted(set(residual_steps(packing)), key=repr)
    cost = {point: 0 for step in steps for point in step[:2]}
    for _round in range(len(cost) + 1):
        changed = False
        for start, end, price in steps:
            if cost[start] + price < cost[end]:
                cost[end] = cost[start] + price
                changed = True
        if not changed:
            return False
    return True
