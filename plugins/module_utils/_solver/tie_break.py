# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Select, among all packings of least cost, the first by name. PRIVATE to the collection.

The distances of the last search are a potential. By complementary slackness, another packing has the least cost exactly
when it comes from this one by *tight* steps, whose cost equals the difference of potential (reduced cost zero). So each
address in turn takes the first node to which a cycle of tight steps brings it, and is then fixed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Collection, Iterable, Iterator, Mapping, Optional, Sequence, Tuple

from .deadline import Deadline
from .exchange_cycle import ExchangeCycle
from .min_cost_flow import Potential
from .model import Placed
from .packing import Packing, Step
from .residual_graph import ADDRESS, SINK, DomainVertex, Vertex
from .spread_groups import SpreadGroup
from .strong_components import components

if TYPE_CHECKING:
    from .branch_and_bound import RuleCheck

# (kind, cost, component) and (layout, domain, cost); see class_of and nodes_from.
Class = Tuple[int, int, int]
LayoutKey = Tuple[int, Optional[int], int]

# A search that visits more vertices than this is repeated without siblings, to exclude nodes for the whole class.
_LONG_SEARCH = 30
# How many vertices the searches for members of spread groups may visit in total: some seconds.
_SEARCH_LIMIT = 1_000_000


def first_by_name(
    packing: Packing, potential: Potential, deadline: Deadline, rule_check: RuleCheck | None = None
) -> None:
    """Bring the packing, which ``potential`` proves to have the least cost, to the first one by name of that cost.

    Where the cost does not contain all rules, ``rule_check`` decides about each change: ``rule_check.start`` is the
    first placement, and ``rule_check.replace`` returns the next one where it does not accept a change. When
    ``deadline`` is over, the remaining addresses stay where they are.
    """
    ties = Ties(packing, potential, rule_check)
    if rule_check is not None:
        ties.change_to(rule_check.start)
    for address in range(len(packing.addresses)):
        if deadline():
            return
        ties.fix(address)


class Ties:
    """The tight steps of a packing.

    ``preempted[address]``: the potential of an address whose place has a lower one than its arc. ``component[vertex]``:
    the strongly connected component; no cycle of tight steps leaves it, so no address ever does.
    """

    def __init__(self, packing: Packing, potential: Potential, rule_check: RuleCheck | None) -> None:
        self.packing = packing
        self.rule_check = rule_check
        self.cost = potential.cost
        self.domain_cost = potential.domain_cost
        self.preempted: dict[int, int] = {}
        for address, cost in potential.preempted.items():
            if address not in packing.group_of:
                self._note_preempted(address, cost)
        self.searches_left = _SEARCH_LIMIT
        self._tight: dict[LayoutKey, list[int]] = {}
        # The nodes that no member of a spread group can reach any more.
        self._closed: dict[int, set[int]] = {group.number: set() for group in packing.groups}
        self._one_group_each = len(packing.groups_by_owner()) == len(packing.groups)
        # Sets of vertices that no tight step leaves, siblings not considered; see _may_ignore_siblings.
        self._closed_sets: list[Collection[Vertex]] = []
        self.component = components(self._node_graph())
        self._open_nodes: dict[Class, list[int]] = {}
        # The classes whose addresses no path from SINK brings to another node any more.
        self._without_sink: set[Class] = set()

    def potential(self, address: int) -> int:
        """Return the least cost at which the address can leave its node."""
        if address in self.preempted:
            return self.preempted[address]
        packing, node = self.packing, self.packing.node_of[address]
        return self.cost[packing.arc(address, node)] - packing.price(address, node)

    def _note_preempted(self, address: int, cost: int) -> None:
        packing, node = self.packing, self.packing.node_of[address]
        if cost + packing.price(address, node) < self.cost[packing.arc(address, node)]:
            self.preempted[address] = cost
        else:
            self.preempted.pop(address, None)

    def _node_graph(self) -> dict[Vertex, set[Vertex]]:
        """Return the nodes to which tight steps lead from each node, siblings and limits of families not considered."""
        packing = self.packing
        shrinking = {node for node, classes in enumerate(packing.classes) if classes and self.can_shrink(node)}
        graph: dict[Vertex, set[Vertex]] = {SINK: {*shrinking}}
        points: dict[tuple[int, int], int] = {}
        for node, classes in enumerate(packing.classes):
            graph[node] = {SINK} if self.can_grow(node) else set()
            for key, members in classes.items():
                if key < 0:
                    graph[node].update(self.domain_vertex_of(address) for address in members if self.can_leave(address))
                    continue
                kind, at_current = divmod(key, 2)
                leaving = kind, self.cost[packing.arc_of[kind][node]] + (packing.move if at_current else 0)
                graph[node].add(points.setdefault(leaving, ADDRESS - len(points)))
            for address in packing.displaced[node]:
                graph[node].update(self.tight_current(address))
        for address in self.preempted:
            node = packing.node_of[address]
            leaving = packing.kind[address], self.preempted[address] + packing.move_cost[address]
            graph[node].update(self.tight_current(address), [points.setdefault(leaving, ADDRESS - len(points))])
            for sibling_node in {
                packing.unassigned,
                *(packing.node_of[sibling] for sibling in (packing.places[address] or {}).values()),
            }:
                graph[sibling_node].add(node)
        for (kind, cost), point in points.items():
            graph[point] = {*self._tight_nodes(kind, cost)}
        for group in packing.groups:
            self._add_domain_vertices(graph, group)
        return graph

    def _add_domain_vertices(self, graph: dict[Vertex, set[Vertex]], group: SpreadGroup) -> None:
        """Add the tight steps from the domain vertices of a spread group.

        Where a member can take the place of a sibling, they lead to the domain vertices of the sibling's group too.
        """
        owner = self.packing.addresses[group.members[0]].owner
        others = [each.number for each in self.packing.groups if self.packing.addresses[each.members[0]].owner == owner]
        for domain in [*group.known(), None]:
            domain_cost = [(number, domain) for number in others if (number, domain) in self.domain_cost]
            nodes = (*self.nodes_from(group, domain)[1], *self.current_nodes_from(group, domain))
            graph[group.number, domain] = {*nodes, *self.domain_vertices_from(group, domain), *domain_cost}

    def domain_vertex_of(self, address: int) -> DomainVertex:
        """Return the domain vertex through which a member of a spread group has its node."""
        group = self.packing.group_of[address]
        return group.number, group.domain(self.packing.node_of[address])

    def domain_potential(self, group: SpreadGroup, domain: int | None) -> int:
        """Return the potential of a domain vertex; that of an empty domain is the one of None."""
        number = group.number
        return (
            self.domain_cost[number, domain] if (number, domain) in self.domain_cost else self.domain_cost[number, None]
        )

    def can_leave(self, address: int) -> bool:
        """Return whether a tight step leads from the arc of a member of a spread group to its domain vertex."""
        packing, node = self.packing, self.packing.node_of[address]
        cost = self.cost[packing.arc(address, node)] - packing.price(address, node)
        return cost == self.domain_potential(packing.group_of[address], self.domain_vertex_of(address)[1])

    def nodes_from(self, group: SpreadGroup, domain: int | None) -> tuple[LayoutKey, list[int]]:
        """Return (key, nodes): the nodes to which tight steps lead, equal for all domain vertices of a key."""
        packing, first = self.packing, group.members[0]
        arcs, cost = (
            packing.arc_of[packing.kind[first]],
            self.domain_potential(group, domain) + packing.move_cost[first],
        )
        key = group.layout, domain, cost
        if key not in self._tight:
            nodes = [*group.parts.get(domain, ()), *([packing.unassigned] if domain is None else [])]
            self._tight[key] = [node for node in nodes if self.cost[arcs[node]] == cost]
        return key, self._tight[key]

    def current_nodes_from(self, group: SpreadGroup, domain: int | None) -> list[int]:
        """Return the current nodes to which tight steps lead from a domain vertex."""
        cost, arcs = self.domain_potential(group, domain), self.packing.arc_of[self.packing.kind[group.members[0]]]
        current = (node for node in group.current if domain in (None, group.domain(node)))
        return [node for node in current if self.cost[arcs[node]] == cost]

    def has_domain_vertex(self, group: SpreadGroup, domain: int | None) -> bool:
        """Return whether the cost of entering a domain may differ from that of an empty one."""
        return domain is not None and (group.is_priced(domain) or (group.number, domain) in self.domain_cost)

    def domain_vertices_from(self, group: SpreadGroup, domain: int | None) -> list[DomainVertex]:
        """Return the domain vertices of the same spread group to which tight steps lead."""
        cost = self.domain_potential(group, domain)
        if domain is None:
            known = group.known()
            return [
                (group.number, one)
                for one in known
                if cost + group.entry_cost(one) == self.domain_potential(group, one)
            ]
        saving = group.exit_saving(domain)
        if saving is None or cost - saving != self.domain_potential(group, None):
            return []
        return [(group.number, None)]

    def _tight_nodes(self, kind: int, cost: int) -> list[int]:
        packing, arcs = self.packing, self.packing.arc_of[kind]
        return [node for node in (*packing.choices[kind], packing.unassigned) if self.cost[arcs[node]] == cost]

    def class_of(self, kind: int, cost: int, node: int) -> Class:
        """Return the class of addresses to which the same nodes are open.

        It is their kind, the cost at which they leave their nodes, including that of a move, and their component.
        """
        return kind, cost, self.component[node]

    def open_to(self, which: Class) -> list[int]:
        """Return the nodes, in order, to which tight steps bring addresses of a class that leave their current nodes.

        Nodes that none of them can reach any more are left out.
        """
        if which not in self._open_nodes:
            kind, cost, component = which
            self._open_nodes[which] = [
                node for node in self._tight_nodes(kind, cost) if self.component[node] == component
            ]
        return self._open_nodes[which]

    def tight_current(self, address: int) -> Sequence[int]:
        """Return the current nodes to which a tight step brings the address."""
        current = self.packing.current[address]
        if not current:
            return ()
        node_of, cost = self.packing.node_of[address], self.potential(address)
        return [
            current_node
            for current_node in current
            if current_node != node_of and self.cost[self.packing.arc(address, current_node)] == cost
        ]

    def may_replace(self, address: int, sibling: int) -> bool:
        """Return whether a tight step brings ``address`` to the place of a sibling, which has to leave."""
        packing, node = self.packing, self.packing.node_of[sibling]
        if address == sibling or node not in packing.allowed[packing.kind[address]]:
            return False
        if packing.occupant(address, packing.arc(address, node)) != sibling:
            return False
        prices = packing.price(address, node) - packing.price(sibling, node)
        return self.potential(sibling) == self.potential(address) + prices

    def can_grow(self, node: int) -> bool:
        """Return whether a node may get one more address if another node gets one less."""
        packing = self.packing
        if node == packing.unassigned or packing.is_full(node):
            return False
        return self.cost[node] + packing.next_price(node) == 0

    def can_shrink(self, node: int) -> bool:
        """Return whether a node may get one address less if another node gets one more."""
        return self.cost[node] == -self.packing.last_price(node)

    def fix(self, address: int) -> None:
        """Bring ``address`` to the first node that it can have, its current nodes before the others, and fix it."""
        packing, before = self.packing, self.packing.node_of[address]
        if before in packing.current[address] and len(packing.current[address]) == 1:
            packing.fix_in_place(address)
            return
        if address in packing.group_of:
            self._fix_member(address)
            return
        which = self.class_of(packing.kind[address], self.potential(address) + packing.move_cost[address], before)
        closed: set[int] = set()
        unreachable: set[int] = set()
        for node in self._preferred_nodes(address, which):
            if node in unreachable:
                continue
            if not packing.classes[node] and (which in self._without_sink or not self.can_grow(node)):
                closed.add(node)
                continue
            sibling = packing.occupant(address, packing.arc(address, node))
            if sibling is not None and sibling < address:
                continue
            steps = self._simple_exchange(address, node)
            if not steps:
                search = ExchangeCycle(self, address)
                if search.search_from(node):
                    steps = search.steps()
            if steps and self._try(address, node, steps):
                break
            if not steps:
                unreachable.update(self._proven_unreachable(address, node, search))
        if packing.node_of[address] not in packing.current[address] and address not in self.preempted:
            # A later address of the class cannot reach these nodes either: the two could change places.
            closed |= unreachable
        self._close(which, closed)
        packing.fix_in_place(address)

    def _fix_member(self, address: int) -> None:
        """Fix a member of a spread group; the members that are not fixed are interchangeable."""
        packing, group, before = self.packing, self.packing.group_of[address], self.packing.node_of[address]
        own = sorted(packing.addresses[address].current & group.current)
        for node in [*own, *(node for node in group.nodes if node not in group.current)]:
            if node == before:
                break
            if node in self._closed[group.number]:
                continue
            steps = self._steps_into(address, node)
            if steps and self._try(address, node, steps):
                break
        packing.fix_in_place(address)

    def _steps_into(self, address: int, node: int) -> list[Step] | None:
        """Return steps of cost zero that bring a member of the group of ``address`` into a node; or None."""
        packing, group, before = self.packing, self.packing.group_of[address], self.packing.node_of[address]
        sibling = packing.occupant(address, packing.arc(address, node))
        if sibling is not None and (sibling < address or packing.group_of[sibling] is group):
            return None if sibling < address else [(address, node), (sibling, before)]
        if sibling is None and not packing.classes[node] and not self.can_grow(node):
            return None
        if sibling is None and self._is_closed(group, node):
            return None
        steps = self._any_exchange(address, node)
        if steps or self.searches_left <= 0 or (sibling is None and not self._is_near(group, node)):
            return steps
        for check_siblings in (False, True) if self._may_ignore_siblings() else (True,):
            search = ExchangeCycle(self, address, check_siblings)
            found = search.search_from(node)
            self.searches_left -= len(search.came)
            if not found:
                if self.rule_check is None:
                    self._close_for(group, node, search.nodes_seen())
                if not check_siblings:
                    self._closed_sets.append(search.came)
                return None
        return search.steps()

    def _may_ignore_siblings(self) -> bool:
        """Return whether each change is a cycle of tight steps also if siblings are not considered.

        Then no change ever adds a step that leaves a closed set: none of the cycles does. It is so unless an address
        can leave its place only for a sibling.
        """
        return self.rule_check is None and not self.preempted and self._one_group_each

    def _is_closed(self, group: SpreadGroup, node: int) -> bool:
        """Return whether a closed set contains a node, and no vertex by which a member can enter its domain."""
        arc = self.packing.arc(group.members[0], node)
        ends = (group.number, group.domain(node)), (group.number, None)
        return any(arc in closed and not any(end in closed for end in ends) for closed in self._closed_sets)

    def _close_for(self, group: SpreadGroup, node: int, seen: set[int]) -> None:
        """Note that no path leads from those nodes of a domain that a search has visited."""
        packing, first, domain = self.packing, group.members[0], group.domain(node)
        self._closed[group.number].update(
            one
            for one in seen
            if one >= 0 and group.domain(one) == domain and packing.occupant(first, packing.arc(first, one)) is None
        )

    def _is_near(self, group: SpreadGroup, node: int) -> bool:
        """Return whether a cycle of tight steps may lead a member of a spread group into a node."""
        domain = group.domain(node)
        vertex = (group.number, domain if (group.number, domain) in self.component else None)
        return self.component[node] == self.component[vertex]

    def _any_exchange(self, address: int, node: int) -> list[Step] | None:
        """Return the steps by which ``address`` and another one change places at no cost; or None."""
        packing, before = self.packing, self.packing.node_of[address]
        for one in sorted(one for members in packing.classes[node].values() for one in members):
            if before != packing.unassigned and before not in packing.allowed[packing.kind[one]]:
                continue
            steps = [(address, node), (one, before)]
            if packing.shift([(address, before, node), (one, node, before)], 1):
                packing.make([(address, before), (one, node)])
                return steps
        return None

    def _preferred_nodes(self, address: int, which: Class) -> Iterator[int]:
        """Yield the preferred nodes to which a tight step brings ``address``, also in place of a sibling."""
        packing, before = self.packing, self.packing.node_of[address]
        own, nodes = packing.current[address], self.open_to(which)
        special = set(self.tight_current(address))
        if self.preempted and packing.places[address]:
            siblings = (packing.places[address] or {}).values()
            special.update(
                packing.node_of[sibling]
                for sibling in siblings
                if sibling in self.preempted and self.may_replace(address, sibling)
            )
        if special:
            yield from (
                current_node for current_node in sorted(special & own) if before not in own or current_node < before
            )
            nodes = sorted(special.difference(own).union(nodes))
        if before not in own:
            for node in nodes:
                if node >= before:
                    break
                yield node

    def _simple_exchange(self, address: int, node: int) -> list[Step] | None:
        """Return the steps of an exchange with an address that differs only in siblings, or None; most have one."""
        packing, before = self.packing, self.packing.node_of[address]
        if before in packing.current[address] or node in packing.current[address] or self.preempted:
            return None
        here, there = packing.arc(address, before), packing.arc(address, node)
        for one in packing.classes[node].get(2 * packing.kind[address], ()):
            if packing.occupant(address, there) in (None, one) and packing.occupant(one, here) in (None, address):
                return [(address, node), (one, before)]
        return None

    def _proven_unreachable(self, address: int, node: int, search: ExchangeCycle) -> Iterable[int]:
        """Return the nodes from which a search has proven that no path leads to the place of ``address``.

        If siblings were in the way, that holds for this address only, so the search is repeated without them.
        """
        if not search.met_sibling and not (self.preempted and self.packing.places[address]):
            return search.nodes_seen()
        if len(search.came) > _LONG_SEARCH and not self.preempted:
            search = ExchangeCycle(self, address, check_siblings=False)
            if not search.search_from(node):
                return search.nodes_seen()
        return ()

    def _close(self, which: Class, nodes: set[int]) -> None:
        """Remove nodes from those open to a class; SINK may be one of them."""
        if nodes:
            self._open_nodes[which] = [node for node in self.open_to(which) if node not in nodes]
        if SINK in nodes:
            self._without_sink.add(which)

    def change_to(self, placement: Placed) -> None:
        """Bring every address to its node in a placement of the same cost."""
        packing = self.packing
        nodes = [packing.unassigned if node is None else node for node in placement]
        self._make([(address, node) for address, node in enumerate(nodes) if node != packing.node_of[address]])

    def _make(self, steps: Sequence[Step]) -> None:
        packing = self.packing
        potentials = [self.potential(address) for address, _target in steps] if self.preempted else ()
        packing.make(steps)
        for (address, _target), cost in zip(steps, potentials):
            if address not in packing.group_of:
                self._note_preempted(address, cost)

    def _try(self, address: int, node: int, steps: Sequence[Step]) -> bool:
        """Make ``steps`` that bring ``address`` or a member of its group to a node; return whether it stays there."""
        packing, check = self.packing, self.rule_check
        before = check.nodes_of_siblings(packing, steps) if check else {}
        self._make(steps)
        self._relabel_members(address, node, steps)
        if check and not check.accepts(packing, before):
            after = packing.placement()
            self.change_to(check.replace(address, _with_nodes(packing, after, before), after))
        return packing.node_of[address] == node

    def _relabel_members(self, address: int, node: int, steps: Sequence[Step]) -> None:
        """Relabel the unfixed members of the groups in ``steps`` so that ``address`` has the node."""
        packing = self.packing
        groups = {packing.group_of[one].number for one, _target in steps if one in packing.group_of}
        for group in (packing.groups[number] for number in sorted(groups)):
            other = packing.occupant(address, packing.arc(address, node))
            if packing.group_of.get(address) is group and packing.node_of[address] != node and other is not None:
                packing.make([(address, node), (other, packing.node_of[address])])
            packing.make(packing.relabel_steps([one for one in group.members if one > address]))


def _with_nodes(packing: Packing, placement: Placed, nodes: Mapping[int, int]) -> tuple[int | None, ...]:
    """Return a placement with some addresses on other nodes."""
    changed = list(placement)
    for address, node in nodes.items():
        changed[address] = None if node == packing.unassigned else node
    return tuple(changed)
