# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes with the egress IPs on them: what may be where, and why not. PRIVATE to the collection."""

from __future__ import annotations

from collections import Counter
from functools import cached_property

from .._common.addresses import address_order, parsed, version_of
from .._kubernetes.annotations import NODE_SELECTOR
from .network_index import NetworkIndex
from .nodes import ASSIGNABLE_LABEL, label_text
from .plan import (
    ADDRESS_CONFLICT,
    CAPACITY_EXHAUSTED,
    NETWORK_MISSING,
    NO_MATCHING_NODE,
    NODE_GONE,
    NODE_INVALID,
    NODE_NOT_ASSIGNABLE,
    NODE_NOT_READY,
    NODE_NOT_SELECTED,
    NODES_EXHAUSTED,
    Assignment,
)

_NAMES_SHOWN = 8
_OBSTACLE_TEXTS = {
    NODE_NOT_READY: "not ready",
    NODE_NOT_ASSIGNABLE: f"without the label {ASSIGNABLE_LABEL}",
    NETWORK_MISSING: "without a network that contains it",
    ADDRESS_CONFLICT: "with a network that has it as network or broadcast address",
    NODE_INVALID: "with errors of their own (listed as invalid)",
}


class Board:
    """What is and what is planned.

    ``nodes``: Nodes; ``holders``: {address: ((node, name), ...)} now; ``placed``: {address: Assignment} as planned.
    """

    def __init__(self, nodes, holders):
        self.nodes = nodes
        self.holders = holders
        self._holding = {address: _nodes_of(found) for address, found in holders.items()}
        self.placed = {}
        self._by_name = {node.name: node for node in nodes.sound}
        self._networks = NetworkIndex(node for node in nodes.sound if node.ready and node.assignable)
        # What is the same for all addresses in the same networks: their nodes, and the interface on each.
        self._inside, self._interfaces = {}, {}
        self._possible = {}
        self._loads, self._objects = {}, {}
        # What each address of an object weighs, where that is not 1, and then what nodes bear by weight.
        self._weights, self._burdens = {}, Counter()
        # Which nodes an address may be on if not on all, and what is the same for addresses with the same nodes.
        self._only, self._selected, self._chosen = {}, {}, {}
        # Over which label an object is spread, and the failure domain of each node for a label.
        self._spread_over, self._domains = {}, {}
        # What is in the way of addresses in the same networks.
        self._summaries = {}

    @cached_property
    def _labels(self):
        return [(node.name, _texts(node.labels)) for node in self.nodes.sound]

    @cached_property
    def _all_networks(self):
        """The networks of all sound nodes, also of those that cannot hold anything."""
        return NetworkIndex(self.nodes.sound)

    def possible_nodes(self, address):
        """Return the nodes that may hold the address as far as its own rules go, capacity and neighbours aside.

        For most addresses in the same networks it is the same tuple.
        """
        if address not in self._possible:
            self._possible[address] = self._find_possible(address)
        return self._possible[address]

    def _find_possible(self, address):
        inside, names = self._find_inside(address), self._only.get(address)
        if names is None:
            return inside
        key = (id(inside), id(names))
        if key not in self._chosen:
            # What is kept keeps its identity, which nothing else gets in the meantime.
            self._chosen[key] = tuple(node for node in inside if node.name in names), inside, names
        return self._chosen[key][0]

    def _find_inside(self, address):
        if address in self.nodes.owners:
            return ()
        around = self._networks.around(*address_order(address))
        if around not in self._inside:
            self._inside[around] = self._networks.nodes_in(around)
        inside = self._inside[around]
        if self._networks.is_at_an_end(*address_order(address)):
            return tuple(node for node in inside if not node.reserves(parsed(address)))
        return inside

    def restrict(self, address, names):
        """From now on the address may only be on nodes of ``names``, a frozenset that addresses had best share."""
        self._only[address] = names & self._only[address] if address in self._only else names
        self._possible.pop(address, None)

    def selected_by(self, selector):
        """Return the names of the nodes that a Selector selects, the same frozenset each time."""
        if selector not in self._selected:
            self._selected[selector] = frozenset(name for name, labels in self._labels if selector.matches(labels))
        return self._selected[selector]

    def spread(self, name, label):
        """From now on the object ``name`` is spread over the values of a label."""
        self._spread_over[name] = label

    def weigh(self, name, weight):
        """From now on each address of the object ``name`` adds so much to the load of its node."""
        if weight != 1:
            self._weights[name] = weight

    @property
    def is_weighted(self):
        """Tell whether an object has another weight than 1."""
        return bool(self._weights)

    def weight(self, name):
        """Return what each address of an object adds to the load of its node."""
        return self._weights.get(name, 1)

    def domains(self, name):
        """Return {node name: number of its failure domain} for an object, the same each time; {} if it is not spread.

        A node without the label is a domain of its own.
        """
        label = self._spread_over.get(name)
        if label is not None and label not in self._domains:
            numbers, nodes = {}, self.nodes.sound
            keys = ((label in node.labels, label_text(node.labels.get(label, node.name))) for node in nodes)
            self._domains[label] = {node.name: numbers.setdefault(key, len(numbers)) for node, key in zip(nodes, keys)}
        return self._domains.get(label, {})

    def domain_mate(self, node, name):
        """Return (address, node name) of an address of the object ``name`` in the failure domain of a node, or None.

        What is on the node itself is its neighbour.
        """
        domains = self.domains(name)
        others = (other for other, domain in domains.items() if domain == domains[node.name] and other != node.name)
        return next(((self._objects[o, name], o) for o in others if (o, name) in self._objects), None)

    def label_of(self, node, name):
        """Return the label over which an object is spread with its value on a node, as text."""
        return f"{self._spread_over[name]}={label_text(node.labels.get(self._spread_over[name]))}"

    def obstacles(self, name, address):
        """Return every reason why the node of this name may not hold the address, capacity and neighbours aside."""
        node = self.node(name)
        if node is None:
            return [NODE_INVALID]
        return [*_obstacles(node, address), *([] if self._is_allowed(name, address) else [NODE_NOT_SELECTED])]

    def node(self, name):
        """Return the sound node of this name, or None."""
        return self._by_name.get(name)

    def holding_nodes(self, address):
        """Return the sorted names of the nodes that hold the address now."""
        return self._holding.get(address, ())

    def put(self, name, address, node):
        """Give the address of the object ``name`` to ``node``."""
        key = node.name, self._networks.around(*address_order(address))
        if key not in self._interfaces:
            self._interfaces[key] = node.network_for(parsed(address))[0]
        self.placed[address] = Assignment(name, address, node.name, self._interfaces[key])
        self._objects[node.name, name] = address
        if self._weights:
            self._burdens[node.name] += self.weight(name)
        for version in (None, version_of(address)):
            self._loads[node.name, version] = self._loads.get((node.name, version), 0) + 1

    def load(self, node_name, version=None):
        """Return how many addresses, or how many of one IP version, are planned for a node."""
        return self._loads.get((node_name, version), 0)

    def weighted_load(self, node_name):
        """Return the sum of the weights of the addresses that are planned for a node."""
        return self._burdens[node_name] if self._weights else self.load(node_name)

    def limits(self, node, version):
        """Return (limit, load) for addresses of any kind and for those of one IP version."""
        in_all = (node.capacity.ip, self.load(node.name))
        return in_all, (node.capacity.of_family(version), self.load(node.name, version))

    def has_room(self, node, name, address):
        """Tell whether ``node`` can take one more address for the object ``name``."""
        if self.neighbour(node, name):
            return False
        return all(limit is None or load < limit for limit, load in self.limits(node, parsed(address).version))

    def neighbour(self, node, name):
        """Return an address of the object ``name`` that is planned for ``node``, or None."""
        return self._objects.get((node.name, name))

    def why_leave(self, node_name, address):
        """Return why a node can hold the address no longer (a reason for a move); None when it could."""
        node = self.node(node_name)
        if node is None:
            return NODE_INVALID if node_name in self.nodes.broken else NODE_GONE
        if address in self.nodes.owners:
            return ADDRESS_CONFLICT
        return next(iter(self.obstacles(node_name, address)), None)

    def why_no_node(self, address):
        """Return (reason, message) for an address that no node may hold."""
        owners = self.nodes.owners.get(address)
        if owners:
            whose = " and of ".join(f"{node} ({interface})" for node, interface in owners)
            return ADDRESS_CONFLICT, f"{address} is the own address of {whose}"
        inside = self._all_inside(address) if self._is_at_an_end(address) else ()
        if inside and all(node.reserves(parsed(address)) for node in inside):
            networks = sorted({str(node.network_for(parsed(address))[1]) for node in inside})
            where = f"{' and '.join(networks)} on {_listed([node.name for node in inside])}"
            return ADDRESS_CONFLICT, f"{address} is the network or broadcast address of {where}"
        return NO_MATCHING_NODE, f"no node can hold {address}; {self._obstacle_summary(address)}"

    def why_no_room(self, name, address):
        """Return (reason, message) for an address of the object ``name`` whose possible nodes are all taken."""
        full, sharing = [], []
        for node in self.possible_nodes(address):
            neighbour = self.neighbour(node, name)
            if neighbour:
                sharing.append(f"{node.name} ({neighbour})")
            else:
                full.append(f"{node.name} ({self._full_limit(node, address)})")
        parts = [f"at capacity: {_listed(full)}"] if full else []
        if sharing:
            parts.append(f"with another address of egressip/{name}: {_listed(sharing)}")
        reason = CAPACITY_EXHAUSTED if full else NODES_EXHAUSTED
        return reason, f"every node that could hold {address} is taken; {'; '.join(parts)}"

    def _is_allowed(self, name, address):
        return address not in self._only or name in self._only[address]

    def _all_inside(self, address):
        return self._all_networks.nodes_in(self._all_networks.around(*address_order(address)))

    def _is_at_an_end(self, address):
        return self._all_networks.is_at_an_end(*address_order(address))

    def _obstacle_summary(self, address):
        """Return what is in the way, node by node: mostly the same for all addresses in the same networks."""
        alone = address if self._is_at_an_end(address) else None
        key = self._all_networks.around(*address_order(address)), self._only.get(address), alone
        if key not in self._summaries:
            self._summaries[key] = self._summarize_obstacles(address)
        return self._summaries[key]

    def _summarize_obstacles(self, address):
        found, barred = {}, []
        for node in self.nodes.sound:
            for obstacle in _obstacles(node, address):
                found.setdefault(obstacle, []).append(node.name)
            barred += [] if self._is_allowed(node.name, address) else [node.name]
        if self.nodes.broken:
            found[NODE_INVALID] = list(self.nodes.broken)
        parts = [f"{text}: {_listed(found[what])}" for what, text in _OBSTACLE_TEXTS.items() if what in found]
        parts += [f"not selected by {NODE_SELECTOR}: {_listed(barred)}"] if barred else []
        return "; ".join(parts) or "there are no nodes"

    def _full_limit(self, node, address):
        version = parsed(address).version
        return next(
            f"{load} of {limit}{family}"
            for (limit, load), family in zip(self.limits(node, version), ("", f" IPv{version}"))
            if limit is not None and load >= limit
        )


def _nodes_of(holders):
    """Return the sorted names of the nodes among (node, name) pairs, mostly one."""
    return (holders[0][0],) if len(holders) == 1 else tuple(sorted({node for node, name in holders}))


def _obstacles(node, address):
    """Return why the node may not hold the address; nothing when it may."""
    found = [] if node.ready else [NODE_NOT_READY]
    if not node.assignable:
        found.append(NODE_NOT_ASSIGNABLE)
    if node.network_for(parsed(address)) is None:
        found.append(NETWORK_MISSING)
    elif node.reserves(parsed(address)):
        found.append(ADDRESS_CONFLICT)
    return found


def _listed(names):
    """Return names as text; of many, the first ones and how many more there are."""
    more = len(names) - _NAMES_SHOWN
    return ", ".join(names[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _texts(labels):
    """Return labels as Kubernetes has them, all strings."""
    return {key: label_text(value) for key, value in labels.items()}
