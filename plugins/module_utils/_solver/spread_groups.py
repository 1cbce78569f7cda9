# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses that a packing keeps apart over failure domains. PRIVATE to the collection.

A spread group is the addresses of one owner that have ``domains`` and the same nodes. Which of them is where makes no
difference but for current nodes; and if each has one current node at most, as many as there are members' current nodes
in use can be on a current node. So to a packing they are alike, on a current node where any of them is, and
``match_members`` says in the end who is who. That makes them a flow: from the spread group into a domain, at a price
for each but the first, and from there into the domain's nodes.
"""

from __future__ import annotations


class SpreadGroup:
    """``members``: addresses in order; ``nodes``: where they may be, in order; ``current nodes``: nodes where any of
    them is now.

    ``domains``: the domain of each node; ``parts[domain]``: its nodes in order, those under None are all, equal for
    all spread groups of one ``layout``. ``count[domain]``: how many of the owner the spread group finds there, itself
    included.
    """

    def __init__(self, number, layout, parts, address):
        self.number = number
        self.layout = layout
        self.parts = parts
        self.nodes = parts[None]
        self.domains = address.domains
        self.members = []
        self.current = frozenset()
        self.taken = address.taken
        self.count = dict.fromkeys(address.taken, 1)

    def domain(self, node):
        """Return the domain of a node, None for unassigned."""
        return self.domains[node] if node < len(self.domains) else None

    def is_in(self, domain):
        """Tell whether one of the owner is in a domain, so that one more would be beyond the first."""
        return self.count.get(domain, 0) > 0

    def has_overlap(self, domain):
        """Tell whether more than one of the owner is in a domain."""
        return self.count.get(domain, 0) > 1

    def occupied(self):
        """Return the domains where one of the owner is."""
        return [domain for domain, count in self.count.items() if count]

    def add(self, node, change):
        """Count a member that enters a node (1) or leaves it (-1)."""
        domain = self.domain(node)
        if domain is not None:
            self.count[domain] = self.count.get(domain, 0) + change


def read_groups(packing):
    """Return the SpreadGroups of a packing, whose kinds, arcs and current nodes are known.

    Families that have arcs of their own in one of the nodes are no spread group, nor is an address with several
    current nodes one with others: which of them are on a current node could then not be left open.
    """
    addresses, groups, layouts, same = packing.addresses, {}, {}, _interchangeable(packing)
    for number, address in enumerate(addresses):
        if address.domains:
            kind = packing.kind[number]
            alone = number if len(packing.current[number]) > 1 else None
            key = address.owner, same[kind], alone
            if key not in groups:
                layout = kind, id(address.domains)
                if layout not in layouts:
                    layouts[layout] = len(layouts), _parts(packing.choices[kind], address.domains)
                groups[key] = SpreadGroup(len(groups), *layouts[layout], address)
            groups[key].members.append(number)
    for group in groups.values():
        group.current = frozenset().union(*(packing.current[one] for one in group.members))
    return list(groups.values())


def _interchangeable(packing):
    """Return for each kind what kinds have in common whose addresses may take each other's places."""
    numbers = {}
    keys = (
        (nodes, family if any(node in packing.family_arcs for node in nodes) else None)
        for nodes, family in zip(packing.choices, packing.families)
    )
    return [numbers.setdefault(key, len(numbers)) for key in keys]


def _parts(nodes, domains):
    parts = {None: nodes}
    for node in nodes:
        parts.setdefault(domains[node], []).append(node)
    return parts


def shared_domains(packing, placement):
    """Return {(owner, domain): its spread groups} where spread groups meet in a domain, which a packing does not see,
    in order."""
    found = {}
    for group in packing.groups:
        for domain in {group.domains[placement[one]] for one in group.members if placement[one] is not None}:
            if domain not in group.taken:
                found.setdefault((packing.addresses[group.members[0]].owner, domain), []).append(group)
    return {key: found[key] for key in sorted(found) if len(found[key]) > 1}


def match_members(addresses, group, nodes):
    """Return [(member, node)] of a spread group whose members are in ``nodes``: each on a current node if that is free,
    else in order."""
    left, found, others = sorted(nodes), [], []
    for member in group:
        current = addresses[member].current.intersection(left)
        if current:
            current_node = min(current)
            left.remove(current_node)
            found.append((member, current_node))
        else:
            others.append(member)
    return [*found, *zip(others, left)]
