# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses in nodes: who is where, what it costs, what still fits. PRIVATE to the collection.

The cost of a packing, an integer, is ``square`` times the sum of squares of the loads, plus ``move`` for each address
with a current node that is elsewhere, plus more than all of that for each address beyond the first of its owner in a
failure domain, plus more than all of that for each address without a node.
"""

from __future__ import annotations

from .spread_groups import match_members, read_groups


class Packing:
    """The state that the planner improves. Addresses and nodes are numbered; node ``unassigned`` is for addresses
    without one.

    ``where``: each address's node, None before it has one; ``load``: what each node bears, with what it bore before;
    ``current nodes``: the nodes of an address where it is now. Addresses of one ``kind`` have the same family and may
    be in the same nodes: ``choices[kind]`` in order, ``allowed[kind]`` as a set.

    What makes searches short is that a node's addresses are kept in classes: ``classes[node][2 * kind + at_home]`` is
    the set of those that are equal but for their siblings and for current nodes elsewhere. ``displaced[node]`` are
    those with a current node elsewhere.

    A *arc* is the path into a node. It is the node itself, but where the limit of a family can be felt that family has
    an arc of its own, numbered after the nodes: ``door_of[kind][node]``, and back ``room_of[arc]``.

    Each arc has one slot for each owner. ``places[address]`` is its owner's {arc: address}, None for an owner of one.
    Behind separate arcs an owner may get into a node twice, which the rules do not allow; ``_solver.solve`` deals with
    that.

    ``team_of[address]`` is the SpreadGroup of an address whose owner is spread over domains; its class in a node is
    ``~number`` of the spread group. Several spread groups of an owner do not see that they are in one domain;
    ``branch_and_bound`` deals with that.
    """

    def __init__(self, addresses, nodes, square, move, banned=frozenset()):
        """``addresses`` and ``nodes``: lists of Address and Node; ``banned``: (address, node) pairs that are not to
        be."""
        self.addresses = addresses
        self.nodes = nodes
        self.square = square
        self.move = move
        self.unassigned = len(nodes)
        self.overlap_cost = square * (sum(node.load for node in nodes) + len(addresses) + 1) ** 2 + move * (
            len(addresses) + 1
        )
        spread = sum(bool(address.domains) for address in addresses)
        self.unassigned_cost = self.overlap_cost * (spread + 1)
        self.kind = []
        kinds = self._read_kinds(banned)
        self.choices = [choices for choices, _family in kinds]
        self.families = [family for _choices, family in kinds]
        self.allowed = [frozenset(choices) for choices in self.choices]
        self.current = [
            address.current if address.current <= self.allowed[kind] else address.current & self.allowed[kind]
            for address, kind in zip(addresses, self.kind)
        ]
        self.node_of = [None] * len(addresses)
        self.load = [node.load for node in nodes] + [0]
        self.most = [None if node.free is None else node.load + node.free for node in nodes] + [None]
        self.classes = [{} for _room in self.load]
        self.displaced = [set() for _room in self.load]
        self._build_arcs(kinds)
        self._read_owners()
        self._read_spread_groups()
        self.move_cost = [move if current else 0 for current in self.current]

    def _read_kinds(self, banned):
        """Return the distinct (nodes, family) of the addresses, and note the number of each address's."""
        banned_nodes = {}
        for address, node in banned:
            banned_nodes.setdefault(address, set()).add(node)
        numbers, by_identity = {}, {}
        for number, address in enumerate(self.addresses):
            if number in banned_nodes:
                nodes = tuple(node for node in address.nodes if node not in banned_nodes[number])
                kind = numbers.setdefault((nodes, address.family), len(numbers))
            else:
                # Most addresses share few tuples, and the hash of a long one takes its time.
                shared = id(address.nodes), address.family
                kind = by_identity.get(shared)
                if kind is None:
                    kind = by_identity[shared] = numbers.setdefault((address.nodes, address.family), len(numbers))
            self.kind.append(kind)
        return list(numbers)

    def _build_arcs(self, kinds):
        count = len(self.load)
        by_family = {4: list(range(count)), 6: list(range(count))}
        self.node_of_arc = list(range(count))
        self.family_arcs = {}
        self.arc_limit, self.arc_count = {}, {}
        for node, family in self._limited(kinds):
            arc = by_family[family][node] = len(self.node_of_arc)
            self.node_of_arc.append(node)
            self.family_arcs.setdefault(node, []).append(arc)
            self.arc_limit[arc], self.arc_count[arc] = self.nodes[node].free_for(family), 0
        self.arc_of = [by_family[family] for _choices, family in kinds]

    def _limited(self, kinds):
        """Return the sorted (node, family) pairs whose limit can be felt."""
        nodes = {n for n, node in enumerate(self.nodes) if node.free_by_family != (None, None)}
        if not nodes:
            return []
        members = [0] * len(kinds)
        for kind in self.kind:
            members[kind] += 1
        wanted = {}
        for (choices, family), count in zip(kinds, members):
            for node in nodes.intersection(choices):
                wanted[node, family] = wanted.get((node, family), 0) + count
        found = []
        for (node, family), count in wanted.items():
            free, most = self.nodes[node].free_for(family), self.nodes[node].free
            if free is not None and free < min(count, count if most is None else most):
                found.append((node, family))
        return sorted(found)

    def _read_owners(self):
        sizes = {}
        for address in self.addresses:
            sizes[address.owner] = sizes.get(address.owner, 0) + 1
        places = {owner: {} if size > 1 else None for owner, size in sizes.items()}
        self.places = [places[address.owner] for address in self.addresses]

    def _read_spread_groups(self):
        self.group_of, self.groups = {}, []
        if any(address.domains for address in self.addresses):
            self.groups = read_groups(self)
        for group in self.groups:
            for address in group.members:
                self.group_of[address], self.current[address] = group, group.current

    def relabel_members(self):
        """Relabel the members of each spread group: most on their current node, then in order of addresses."""
        for group in self.groups:
            self.make(self.relabel_steps(group.members))

    def relabel_steps(self, members):
        """Return the steps, (address, to), that do so for some members of a spread group."""
        found = match_members(self.addresses, members, [self.node_of[one] for one in members])
        return [(one, node) for one, node in found if node != self.node_of[one]]

    def placement(self):
        """Return each address's node or None, a tuple."""
        return tuple([None if node == self.unassigned else node for node in self.node_of])

    def arc(self, address, node):
        """Return the arc by which an address gets into a node."""
        return self.arc_of[self.kind[address]][node]

    def occupant(self, address, arc):
        """Return which address of the same owner has the slot behind ``arc``; None when it is free."""
        places = self.places[address]
        return places.get(arc) if places else None

    def price(self, address, node):
        """Return what it costs that ``address`` is not on a current node in ``node``."""
        return 0 if node in self.current[address] else self.move_cost[address]

    def is_full(self, node):
        """Tell whether a node has all that it can take."""
        most = self.most[node]
        return most is not None and self.load[node] >= most

    def next_price(self, node):
        """Return what one more address in the node costs."""
        return self.unassigned_cost if node == self.unassigned else self.square * (2 * self.load[node] + 1)

    def last_price(self, node):
        """Return what one address less in the node saves."""
        return self.unassigned_cost if node == self.unassigned else self.square * (2 * self.load[node] - 1)

    def fits(self, address, node):
        """Tell whether a node has a place for the address, be it beside a sibling that came in by another arc."""
        arc = self.arc(address, node)
        if self.is_full(node) or (arc != node and self.arc_count[arc] >= self.arc_limit[arc]):
            return False
        return self.occupant(address, arc) is None

    def has_sibling(self, address, node):
        """Tell whether a sibling of the address is in a node, whatever its arc."""
        places = self.places[address]
        return bool(places) and (node in places or any(arc in places for arc in self.family_arcs.get(node, ())))

    def overlaps(self, address, node):
        """Tell whether one of a spread address's owner, as far as its spread group sees, is in the node's domain."""
        group = self.group_of.get(address)
        return group is not None and group.is_in(group.domain(node))

    def put(self, address, node):
        """Bring an address into a node, out of the one where it is; return by how much the cost grows."""
        before = self.node_of[address]
        change = self.price(address, node) - self.last_price(before) - self.price(address, before)
        self.leave(address)
        change += self.next_price(node)
        if address in self.group_of:
            change += self.overlap_cost * (self.overlaps(address, node) - self.overlaps(address, before))
        self.enter(address, node)
        return change

    def leave(self, address):
        """Take an address out of its node. It has to enter another one before anything else is asked."""
        node = self.node_of[address]
        self.load[node] -= 1
        arc = self.arc_of[self.kind[address]][node]
        if arc != node:
            self.arc_count[arc] -= 1
        if self.places[address] and node != self.unassigned:
            self.places[address].pop(arc, None)
        if address in self.group_of:
            self.group_of[address].add(node, -1)
        self.fix_in_place(address)

    def enter(self, address, node):
        """Bring an address that is in no node, or has left its own, into one."""
        self.load[node] += 1
        self.node_of[address] = node
        arc = self.arc_of[self.kind[address]][node]
        if arc != node:
            self.arc_count[arc] += 1
        if self.places[address] is not None and node != self.unassigned:
            self.places[address][arc] = address
        if address in self.group_of:
            self.group_of[address].add(node, 1)
        self._join(address, node)

    def _join(self, address, node):
        current, key = self.current[address], 2 * self.kind[address]
        if address in self.group_of:
            key = ~self.group_of[address].number
        elif current:
            key += node in current
            if len(current) > 1 or node not in current:
                self.displaced[node].add(address)
        classes = self.classes[node]
        if key in classes:
            classes[key].add(address)
        else:
            classes[key] = {address}

    def fix_in_place(self, address):
        """Take an address out of its class: searches do not see it any more, though it is still in its node."""
        node, current = self.node_of[address], self.current[address]
        key = (
            2 * self.kind[address] + (node in current)
            if address not in self.group_of
            else ~self.group_of[address].number
        )
        members = self.classes[node][key]
        members.discard(address)
        if not members:
            del self.classes[node][key]
        if current:
            self.displaced[node].discard(address)

    def shift(self, steps, limit=0):
        """Make all ``steps``, (address, from, to), if that is allowed and the cost changes by less than ``limit``.

        Return whether they were made: by default, if they make the packing cheaper.

        Steps become stale when others are made first, which is why they are looked at once more.
        """
        if any(self.node_of[address] != origin for address, origin, _target in steps):
            return False
        change = sum(self.put(address, self.unassigned) for address, origin, _target in steps)
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

    def make(self, steps):
        """Make ``steps``, (address, to), that are known to be allowed."""
        for address, _target in steps:
            self.leave(address)
        for address, target in steps:
            self.enter(address, target)
