# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of a flow: the node of each address, the cost, and what still fits. PRIVATE to the collection.

The cost of a packing is an integer: ``square`` times the sum of squares of the loads, plus ``move`` for each displaced
address, plus ``overlap_cost`` for each pair of members of a spread group in one failure domain, plus
``unassigned_cost`` for each unassigned address. Each of the last two outweighs everything before it.
"""

from __future__ import annotations

from typing import Dict, Optional, Sequence, Tuple

from .model import Address, Bans, NodeLoad
from .overlap_bound import LeastOverlap, least_overlap, overlap_of
from .spread_groups import UNBOUNDED, Bounds, SpreadGroup, match_members, read_groups

# (address, to) and (address, from, to).
Step = Tuple[int, int]
Shift = Tuple[int, int, int]
# The possible nodes and the family of a kind of addresses.
Kind = Tuple[Tuple[int, ...], int]
Places = Optional[Dict[int, int]]

NOT_PLACED_YET = -1


class Packing:
    """Addresses on nodes. The number ``unassigned`` stands for a node of the unassigned addresses.

    ``node_of``: the node of each address; ``load``: the load of each node; ``current``: the current nodes of each
    address. Addresses of one ``kind`` have the same family and the same possible nodes: ``choices[kind]`` in order,
    ``allowed[kind]`` as a set.

    Searches are short because they visit equivalence classes: ``classes[node][2 * kind + on_current]`` are the
    addresses on a node that differ only in siblings and in current nodes elsewhere. ``displaced[node]`` are those that
    have a current node elsewhere.

    An *arc* leads a family into a node. Its number is that of the node; where the limit of a family can matter, that
    family has an arc of its own, numbered after the nodes: ``arc_of[kind][node]``, and back ``node_of_arc[arc]``.

    Each owner has one place on each arc: ``places[address]`` is {arc: address} of its owner, None for an owner of one
    address. If the families have arcs of their own, siblings of different families can be on one node, which the rules
    do not allow; ``branch_and_bound`` handles that.

    ``group_of[address]`` is the SpreadGroup of an address of a spread owner; its class in a node is ``~number`` of the
    group. The cost does not contain the overlap between groups of one owner; ``branch_and_bound`` handles that.
    """

    def __init__(
        self,
        addresses: Sequence[Address],
        nodes: Sequence[NodeLoad],
        square: int,
        move: int,
        banned: Bans = frozenset(),
        bounds: Bounds = UNBOUNDED,
    ) -> None:
        """Start with no address placed. ``banned``: (address, node) pairs that are not possible."""
        self.addresses = addresses
        self.nodes = nodes
        self.square = square = square * bounds.scale
        self.move = move = move * bounds.scale
        self.unassigned = len(nodes)
        total = sum(node.load for node in nodes) + len(addresses) + 1
        self.overlap_cost = square * total**2 + move * (len(addresses) + 1) + bounds.scale
        self.unassigned_cost = self.overlap_cost * (most_overlap(addresses) + 1)
        self.kind: list[int] = []
        kinds = self._read_kinds(banned)
        self.choices = [choices for choices, _family in kinds]
        self.families = [family for _choices, family in kinds]
        self.allowed = [frozenset(choices) for choices in self.choices]
        self.current = [
            address.current if address.current <= self.allowed[kind] else address.current & self.allowed[kind]
            for address, kind in zip(addresses, self.kind)
        ]
        self.node_of = [NOT_PLACED_YET] * len(addresses)
        self.load = [node.load for node in nodes] + [0]
        self.most = [None if node.free is None else node.load + node.free for node in nodes] + [None]
        self.classes: list[dict[int, set[int]]] = [{} for _node in self.load]
        self.displaced: list[set[int]] = [set() for _node in self.load]
        self._build_arcs(kinds)
        self._read_owners()
        self._read_spread_groups(bounds)
        self.move_cost = [move if current else 0 for current in self.current]

    def _read_kinds(self, banned: Bans) -> list[Kind]:
        """Return the distinct (possible nodes, family), and note the kind of each address."""
        banned_nodes: dict[int, set[int]] = {}
        for address, node in banned:
            banned_nodes.setdefault(address, set()).add(node)
        numbers: dict[Kind, int] = {}
        last: Kind | None = None
        for number, each in enumerate(self.addresses):
            if number in banned_nodes:
                choices = tuple(node for node in each.nodes if node not in banned_nodes[number])
                self.kind.append(numbers.setdefault((choices, each.family), len(numbers)))
                continue
            # Neighbours mostly share a tuple of nodes; the hash of a long one takes time.
            if last is None or last[0] is not each.nodes or last[1] != each.family:
                last = each.nodes, each.family
                kind = numbers.setdefault(last, len(numbers))
            self.kind.append(kind)
        return list(numbers)

    def _build_arcs(self, kinds: Sequence[Kind]) -> None:
        count = len(self.load)
        by_family = {4: list(range(count)), 6: list(range(count))}
        self.node_of_arc = list(range(count))
        self.family_arcs: dict[int, list[int]] = {}
        self.arc_limit: dict[int, int] = {}
        self.arc_count: dict[int, int] = {}
        for node, family, limit in self._limited(kinds):
            arc = by_family[family][node] = len(self.node_of_arc)
            self.node_of_arc.append(node)
            self.family_arcs.setdefault(node, []).append(arc)
            self.arc_limit[arc], self.arc_count[arc] = limit, 0
        self.arc_of = [by_family[family] for _choices, family in kinds]

    def _limited(self, kinds: Sequence[Kind]) -> list[tuple[int, int, int]]:
        """Return the sorted (node, family, limit) of the limits of a family that can matter."""
        nodes = {n for n, node in enumerate(self.nodes) if node.free_by_family != (None, None)}
        if not nodes:
            return []
        members = [0] * len(kinds)
        for kind in self.kind:
            members[kind] += 1
        wanted: dict[tuple[int, int], int] = {}
        for (choices, family), count in zip(kinds, members):
            for node in nodes.intersection(choices):
                wanted[node, family] = wanted.get((node, family), 0) + count
        found = []
        for (node, family), count in wanted.items():
            free, most = self.nodes[node].free_for(family), self.nodes[node].free
            if free is not None and free < min(count, count if most is None else most):
                found.append((node, family, free))
        return sorted(found)

    def _read_owners(self) -> None:
        sizes: dict[int, int] = {}
        for address in self.addresses:
            sizes[address.owner] = sizes.get(address.owner, 0) + 1
        places: dict[int, Places] = {owner: {} if size > 1 else None for owner, size in sizes.items()}
        self.places = [places[address.owner] for address in self.addresses]

    def _read_spread_groups(self, bounds: Bounds) -> None:
        self.group_of: dict[int, SpreadGroup] = {}
        self.groups: list[SpreadGroup] = []
        if any(address.domains for address in self.addresses):
            self.groups = read_groups(self)
        range_cost = self.unassigned_cost * (len(self.addresses) + 1)
        self.relaxed: dict[int, LeastOverlap] = {}
        for owner, groups in self.groups_by_owner().items():
            for group in groups:
                group.set_ranges(bounds.ranges)
            least = least_overlap(groups) if bounds.relax and len(groups) > 1 else None
            if least is not None and least.overlap > sum(least_overlap([group]).overlap for group in groups):
                self.relaxed[owner] = least
                savings = [self.overlap_cost * saving for saving in least.savings]
            for group in groups:
                if owner in self.relaxed:
                    group.set_costs(1, range_cost, savings)
                else:
                    group.set_costs(self.overlap_cost, range_cost)
        for group in self.groups:
            for address in group.members:
                self.group_of[address], self.current[address] = group, group.current

    def groups_by_owner(self) -> dict[int, list[SpreadGroup]]:
        """Return {owner: groups} in order."""
        found: dict[int, list[SpreadGroup]] = {}
        for group in self.groups:
            found.setdefault(group.owner, []).append(group)
        return found

    def counted_overlap(self) -> int:
        """Return the overlap that is part of the cost, and the least one of the owners that are relaxed."""
        total = sum(overlap_of([group]) for group in self.groups if group.owner not in self.relaxed)
        for group in self.groups:
            if group.owner in self.relaxed:
                total -= sum(self.relaxed[group.owner].savings[: group.unassigned])
        return total + sum(least.overlap for least in self.relaxed.values())

    def relabel_members(self) -> None:
        """Relabel the members of each spread group: most on their current node, then in order of addresses."""
        for group in self.groups:
            self.make(self.relabel_steps(group.members))

    def relabel_steps(self, members: Sequence[int]) -> list[Step]:
        """Return the steps that relabel some members of a spread group."""
        found = match_members(self.addresses, members, [self.node_of[one] for one in members])
        return [(one, node) for one, node in found if node != self.node_of[one]]

    def placement(self) -> tuple[int | None, ...]:
        """Return the node of each address, None for an unassigned one."""
        return tuple([None if node == self.unassigned else node for node in self.node_of])

    def arc(self, address: int, node: int) -> int:
        """Return the arc by which an address enters a node."""
        return self.arc_of[self.kind[address]][node]

    def occupant(self, address: int, arc: int) -> int | None:
        """Return the address that has the owner's place on an arc, maybe this one; None if it is free."""
        places = self.places[address]
        return places.get(arc) if places else None

    def price(self, address: int, node: int) -> int:
        """Return the cost of a move if ``node`` is not a current node of the address."""
        return 0 if node in self.current[address] else self.move_cost[address]

    def is_full(self, node: int) -> bool:
        """Return whether the load of a node is at its limit."""
        most = self.most[node]
        return most is not None and self.load[node] >= most

    def next_price(self, node: int) -> int:
        """Return the cost of one more address on the node."""
        return self.unassigned_cost if node == self.unassigned else self.square * (2 * self.load[node] + 1)

    def last_price(self, node: int) -> int:
        """Return the cost saved by one address less on the node."""
        return self.unassigned_cost if node == self.unassigned else self.square * (2 * self.load[node] - 1)

    def fits(self, address: int, node: int) -> bool:
        """Return whether the limits and the owner's place allow the address on a node."""
        arc = self.arc(address, node)
        if self.is_full(node) or (arc != node and self.arc_count[arc] >= self.arc_limit[arc]):
            return False
        return self.occupant(address, arc) is None

    def has_sibling(self, address: int, node: int) -> bool:
        """Return whether the address or a sibling is on a node, by any of its arcs."""
        places = self.places[address]
        if not places:
            return False
        return node in places or any(arc in places for arc in self.family_arcs.get(node, ()))

    def entry_cost(self, address: int, node: int) -> int:
        """Return the cost of one more member of the address's spread group in the domain of a node."""
        group = self.group_of.get(address)
        return 0 if group is None else group.entry_cost(group.domain(node))

    def put(self, address: int, node: int) -> int:
        """Bring an address from its node to another one; return the change of the cost."""
        before = self.node_of[address]
        change = self.price(address, node) - self.last_price(before) - self.price(address, before)
        self.leave(address)
        change += self.next_price(node)
        if address in self.group_of:
            change += self.entry_cost(address, node) - self.entry_cost(address, before)
        self.enter(address, node)
        return change

    def leave(self, address: int) -> None:
        """Take an address off its node. The state is consistent again when it has entered another one."""
        node = self.node_of[address]
        self.load[node] -= 1
        arc = self.arc_of[self.kind[address]][node]
        if arc != node:
            self.arc_count[arc] -= 1
        places = self.places[address]
        if places and node != self.unassigned:
            places.pop(arc, None)
        if address in self.group_of:
            self.group_of[address].add(node, -1)
        self.fix_in_place(address)

    def enter(self, address: int, node: int) -> None:
        """Bring an address that has no node into one."""
        self.load[node] += 1
        self.node_of[address] = node
        arc = self.arc_of[self.kind[address]][node]
        if arc != node:
            self.arc_count[arc] += 1
        places = self.places[address]
        if places is not None and node != self.unassigned:
            places[arc] = address
        if address in self.group_of:
            self.group_of[address].add(node, 1)
        self._join_class(address, node)

    def _class_key(self, address: int, node: int) -> int:
        if address in self.group_of:
            return ~self.group_of[address].number
        return 2 * self.kind[address] + (node in self.current[address])

    def _join_class(self, address: int, node: int) -> None:
        current, key, classes = self.current[address], self._class_key(address, node), self.classes[node]
        if current and address not in self.group_of and (len(current) > 1 or node not in current):
            self.displaced[node].add(address)
        if key in classes:
            classes[key].add(address)
        else:
            classes[key] = {address}

    def fix_in_place(self, address: int) -> None:
        """Take an address out of its class: searches do not move it any more, though it stays on its node."""
        node, key = self.node_of[address], self._class_key(address, self.node_of[address])
        members = self.classes[node][key]
        members.discard(address)
        if not members:
            del self.classes[node][key]
        if self.current[address]:
            self.displaced[node].discard(address)

    def shift(self, steps: Sequence[Shift], limit: int = 0) -> bool:
        """Make all ``steps`` if they are allowed and change the cost by less than ``limit``; return whether they are.

        Other steps may have been made since a search found these, so they are checked again.
        """
        if any(self.node_of[address] != origin for address, origin, _target in steps):
            return False
        change = sum(self.put(address, self.unassigned) for address, _origin, _target in steps)
        done = 0
        for address, _origin, target in steps:
            if target != self.unassigned and not self.fits(address, target):
                break
            change += self.put(address, target)
            done += 1
        if done == len(steps) and change < limit:
            return True
        for address, _origin, _target in steps:
            self.put(address, self.unassigned)
        for address, origin, _target in steps:
            self.put(address, origin)
        return False

    def make(self, steps: Sequence[Step]) -> None:
        """Make ``steps`` that are known to be allowed."""
        for address, _target in steps:
            self.leave(address)
        for address, target in steps:
            self.enter(address, target)


def most_overlap(addresses: Sequence[Address]) -> int:
    """Return an upper bound on the domain overlap of all placements."""
    seen: dict[int, int] = {}
    most = 0
    for address in addresses:
        if address.domains:
            seen[address.owner] = seen.get(address.owner, 0) + 1
            most += seen[address.owner] - 1 + len(address.taken)
    return most
