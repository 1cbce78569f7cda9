# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find a cycle of tight steps, breadth first. PRIVATE to the collection."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Collection, Iterable, Sequence

from .packing import Step
from .residual_graph import ADDRESS, SINK, DomainVertex, Vertex
from .spread_groups import SpreadGroup

if TYPE_CHECKING:
    from .tie_break import Class, LayoutKey, Ties


class ExchangeCycle:
    """A breadth-first search along tight steps, from a node that ``address`` enters to the place that it leaves.

    For a member of a spread group, any member may enter the node, and the path ends at the domain vertex of the node.

    ``met_sibling``: whether siblings were in the way. With ``check_siblings`` false, the search ignores them.
    """

    def __init__(self, ties: Ties, address: int, check_siblings: bool = True) -> None:
        self.ties = ties
        self.packing = ties.packing
        self.address = address
        self.node = self.packing.node_of[address]
        self.goal: Vertex = self.packing.arc(address, self.node)
        self.check_siblings = check_siblings
        self.met_sibling = False
        self.came: dict[Vertex, Vertex | None] = {}
        self._queue: list[Vertex] = []
        self._unexpanded: dict[Class, Sequence[int]] = {}
        self._unexpanded_nodes: dict[LayoutKey, list[int]] = {}
        self._end: Vertex | None = None

    def search_from(self, node: int) -> bool:
        """Search until the path is found or there is none; return whether it is found."""
        group = self.packing.group_of.get(self.address)
        if group is None:
            self._enter(self.address, node, None)
        else:
            self.node, self.goal = node, (group.number, group.domain(node))
            self._start_at(group, node, None)
        for point in self._queue:
            if self._end is not None:
                break
            if point == SINK:
                self._expand_sink()
            elif isinstance(point, tuple):
                self._expand_domain(point)
            elif point >= 0:
                self._expand_arc(point)
            else:
                self._expand_preempted(ADDRESS - point)
        return self._end is not None

    def nodes_seen(self) -> set[int]:
        """Return the nodes that the address itself could enter next, and SINK if the search visited it."""
        arcs, node_of_arc = self.packing.arc_of[self.packing.kind[self.address]], self.packing.node_of_arc
        points = (point for point in self.came if not isinstance(point, tuple) and point >= 0)
        seen = {node_of_arc[point] for point in points if arcs[node_of_arc[point]] == point}
        return seen | {SINK} if SINK in self.came else seen

    def steps(self) -> list[Step]:
        """Return the steps of the path, that of ``address`` itself first."""
        steps, target, point = [], self.node, self._end
        while point is not None:
            if isinstance(point, tuple):
                pass
            elif point >= 0:
                target = self.packing.node_of_arc[point]
            elif point != SINK:
                one = ADDRESS - point
                steps.append((one, target))
                target = self.packing.node_of[one]
            point = self.came[point]
        return steps[::-1]

    def _visit(self, point: Vertex, before: Vertex | None) -> None:
        """Visit a vertex that can be reached; the path ends at the arc by which ``address`` leaves."""
        if point not in self.came:
            self.came[point] = before
            self._queue.append(point)
            if point == self.goal and self.address not in self.ties.preempted:
                self._end = point

    def _expand_sink(self) -> None:
        """Continue from SINK: any node that can get one address less."""
        if self.goal == self.node and self.ties.can_shrink(self.node):
            self._visit(self.node, SINK)
        classes = self.packing.classes
        # There are many such nodes; the first one that is possible for the address often closes the cycle.
        for node in chain(self.packing.choices[self.packing.kind[self.address]], range(len(classes))):
            if self._end is not None:
                break
            if classes[node] and node not in self.came and self.ties.can_shrink(node):
                self.came[node] = SINK
                self._expand_arc(node)

    def _expand_arc(self, arc: int) -> None:
        packing, ties = self.packing, self.ties
        node, cost = packing.node_of_arc[arc], ties.cost[arc]
        family_arcs = packing.family_arcs.get(node, ())
        if arc != node:
            if packing.arc_count[arc] < packing.arc_limit[arc] and ties.cost[node] == cost:
                self._visit(node, arc)
        else:
            for other in family_arcs:
                if packing.arc_count[other] and ties.cost[other] == cost:
                    self._visit(other, arc)
            if ties.can_grow(node):
                self._visit(SINK, arc)
        for key, members in packing.classes[node].items():
            kind, at_current = divmod(key, 2)
            if key < 0:
                self._leave_group(members, arc)
            elif self._end is None and (not family_arcs or packing.arc_of[kind][node] == arc):
                addresses = [one for one in members if one not in ties.preempted] if ties.preempted else members
                away = cost + (packing.move if at_current else 0)
                self._expand_class(ties.class_of(kind, away, node), addresses, arc)
        for one in packing.displaced[node]:
            if one not in ties.preempted and (not family_arcs or packing.arc(one, node) == arc):
                self._relax_current(one, arc)

    def _leave_group(self, members: Iterable[int], arc: int) -> None:
        """Let members of a spread group leave by an arc, to their domain vertex."""
        for one in members:
            if self.packing.arc(one, self.packing.node_of[one]) == arc and self.ties.can_leave(one):
                self.came.setdefault(ADDRESS - one, arc)
                self._visit(self.ties.domain_vertex_of(one), ADDRESS - one)

    def _expand_domain(self, vertex: DomainVertex) -> None:
        """Bring one more member to the nodes of a domain, or (None) of all empty domains."""
        ties, group, domain = self.ties, self.packing.groups[vertex[0]], vertex[1]
        for other in ties.domain_vertices_from(group, domain):
            self._visit(other, vertex)
        if domain is None and self._is_empty_goal(group):
            self._visit(self.goal, vertex)
        key, nodes = ties.nodes_from(group, domain)
        nodes = self._unexpanded_nodes.get(key, nodes)
        self._unexpanded_nodes[key] = [
            node for node in nodes if not self._relax_from_domain(group, domain, node, vertex)
        ]
        for node in ties.current_nodes_from(group, domain):
            self._relax_from_domain(group, domain, node, vertex)
        if self.check_siblings:
            self._preempt(group, domain, vertex)

    def _relax_from_domain(self, group: SpreadGroup, domain: int | None, node: int, vertex: DomainVertex) -> bool:
        """Bring a member to a node to which a tight step leads; return whether no sibling was in the way."""
        if domain is None and self.ties.has_domain_vertex(group, group.domain(node)):
            return False
        arc = self.packing.arc(group.members[0], node)
        if self.check_siblings and self.packing.occupant(group.members[0], arc) is not None:
            return False
        self._visit(arc, vertex)
        return True

    def _preempt(self, group: SpreadGroup, domain: int | None, vertex: DomainVertex) -> None:
        """Let the member take the places of siblings in other groups where that is tight."""
        packing, first = self.packing, group.members[0]
        cost = self.ties.domain_potential(group, domain)
        for sibling in tuple((packing.places[first] or {}).values()):
            node = packing.node_of[sibling]
            if packing.group_of[sibling] is group or sibling < self.address or not self._is_beyond(group, domain, node):
                continue
            occupant = packing.occupant(first, packing.arc(first, node))
            if occupant == sibling and cost + packing.price(first, node) == self._occupied_cost(sibling):
                self._enter_preempted(sibling, vertex)

    def _is_beyond(self, group: SpreadGroup, domain: int | None, node: int) -> bool:
        """Return whether a node belongs to a domain vertex."""
        if node not in self.packing.allowed[self.packing.kind[group.members[0]]]:
            return False
        own = group.domain(node)
        return own == domain if domain is not None else not self.ties.has_domain_vertex(group, own)

    def _occupied_cost(self, sibling: int) -> int:
        """Return the potential of the place where a member of a spread group is."""
        vertex = self.ties.domain_potential(self.packing.group_of[sibling], self.ties.domain_vertex_of(sibling)[1])
        return vertex + self.packing.price(sibling, self.packing.node_of[sibling])

    def _enter_preempted(self, sibling: int, before: Vertex | None) -> None:
        self.met_sibling = True
        self.came.setdefault(ADDRESS - sibling, before)
        self._visit(self.ties.domain_vertex_of(sibling), ADDRESS - sibling)

    def _start_at(self, group: SpreadGroup, node: int, before: Vertex | None) -> None:
        """Start the path: a member enters a node if that is tight, also in place of a sibling of another group."""
        packing, first = self.packing, group.members[0]
        arc = packing.arc(first, node)
        sibling = packing.occupant(first, arc)
        cost = self.ties.domain_potential(group, group.domain(node)) + packing.price(first, node)
        if sibling is not None and cost == self._occupied_cost(sibling):
            self._enter_preempted(sibling, before)
        elif sibling is None and cost == self.ties.cost[arc]:
            self._visit(arc, before)

    def _is_empty_goal(self, group: SpreadGroup) -> bool:
        """Return whether a tight step brings a member without a domain to the goal, an empty domain."""
        number, domain = self.goal if isinstance(self.goal, tuple) else (None, None)
        if number != group.number or group.is_priced(domain):
            return False
        return self.ties.domain_potential(group, domain) == self.ties.domain_potential(group, None)

    def _expand_preempted(self, address: int) -> None:
        """Continue from an address whose place a sibling takes."""
        ties, packing = self.ties, self.packing
        cost = ties.potential(address) + packing.move_cost[address]
        self._expand_class(
            ties.class_of(packing.kind[address], cost, packing.node_of[address]), (address,), ADDRESS - address
        )
        self._relax_current(address, ADDRESS - address)

    def _relax_current(self, address: int, before: Vertex | None) -> None:
        for current_node in self.ties.tight_current(address):
            self._enter(address, current_node, before)

    def _expand_class(self, which: Class, addresses: Collection[int], before: Vertex | None) -> None:
        """Bring addresses of one class, which can all leave, to the nodes that are open to them."""
        self._expand_to_goal(which, addresses, before)
        nodes = self.ties.open_to(which) if which not in self._unexpanded else self._unexpanded[which]
        arcs = self.packing.arc_of[which[0]]
        # The first address without a sibling on a node reaches it for all.
        for one in addresses:
            if not nodes or self._end is not None:
                break
            places, blocked = self.packing.places[one] if self.check_siblings else None, []
            self.came.setdefault(ADDRESS - one, before)
            for node in nodes:
                if places and arcs[node] in places:
                    blocked.append(node)
                else:
                    self._visit(arcs[node], ADDRESS - one)
            nodes = blocked
        self._unexpanded[which] = nodes
        if self._end is None:
            self._enter_siblings(addresses, nodes, before)

    def _expand_to_goal(self, which: Class, addresses: Iterable[int], before: Vertex | None) -> None:
        kind, cost, _component = which
        packing, node = self.packing, self.node
        if isinstance(self.goal, tuple):
            return
        if self.ties.cost[self.goal] != cost or packing.arc_of[kind][node] != self.goal:
            return
        if node == packing.unassigned or node in packing.allowed[kind]:
            for one in addresses:
                places = packing.places[one] if self.check_siblings else None
                if self._end is None and (not places or places.get(self.goal) in (None, self.address)):
                    self._enter(one, node, before)

    def _enter_siblings(self, addresses: Iterable[int], nodes: Sequence[int], before: Vertex | None) -> None:
        """Let addresses take the places of siblings where no address of the class reaches the node otherwise."""
        for one in addresses if nodes else ():
            for node in nodes:
                self._enter(one, node, before)
        for one in addresses if self.ties.preempted and self.check_siblings else ():
            for sibling in tuple((self.packing.places[one] or {}).values()):
                if sibling in self.ties.preempted:
                    self._enter_sibling(one, sibling, before)

    def _enter(self, one: int, node: int, before: Vertex | None) -> None:
        """Bring an address into a node to which a tight step leads, also in place of a sibling."""
        arc = self.packing.arc(one, node)
        sibling = self.packing.occupant(one, arc) if self.check_siblings else None
        if sibling is not None:
            self._enter_sibling(one, sibling, before)
        else:
            self.came.setdefault(ADDRESS - one, before)
            self._visit(arc, ADDRESS - one)

    def _are_equivalent(self, taker: int, giver: int) -> bool:
        """Return whether ``giver`` could continue only to where ``taker`` comes without it."""
        packing = self.packing
        if packing.kind[taker] != packing.kind[giver] or packing.current[taker] or packing.current[giver]:
            return False
        return self.address not in (taker, giver)

    def _enter_sibling(self, taker: int, giver: int, before: Vertex | None) -> None:
        """Continue with ``giver``, whose place ``taker`` takes, if that is tight."""
        self.met_sibling = True
        # Addresses before this one are fixed.
        if giver < self.address or self._are_equivalent(taker, giver) or not self.ties.may_replace(taker, giver):
            return
        self.came.setdefault(ADDRESS - taker, before)
        if giver == self.address:
            self._end = ADDRESS - taker
        else:
            self._visit(ADDRESS - giver, ADDRESS - taker)
