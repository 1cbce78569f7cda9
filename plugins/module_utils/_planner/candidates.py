# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The candidate nodes of each egress IP, and the reasons against the others. PRIVATE to the collection. Pure."""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from typing import Iterable, Iterator, Sequence

from .._common.addresses import address_order, parsed, version_of
from .._common.messages import listed
from .._common.selectors import Selector
from .._kubernetes.annotations import NODE_SELECTOR, Annotations
from .._kubernetes.objects import ASSIGNABLE, ASSIGNABLE_LABEL, EgressIP
from .._kubernetes.selector_syntax import selector_text
from .network_index import NetworkIndex, NetworkKey
from .nodes import Node, Nodes, label_text
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
from .requests import Holder, Holders

_NAMES_SHOWN = 8
_OBSTACLE_TEXTS = {
    NODE_NOT_READY: "not ready",
    NODE_NOT_ASSIGNABLE: f"without the label {ASSIGNABLE_LABEL}",
    NETWORK_MISSING: "without a network that contains it",
    ADDRESS_CONFLICT: "with a network that has it as network or broadcast address",
    NODE_INVALID: "with errors of their own (listed as invalid)",
}
EGRESS_NODE_SELECTOR = "spec.egressNodeSelector"
# The rules of an address that no object claims.
_NO_OBJECT = EgressIP("")
_NO_NETWORKS: tuple[NetworkKey, ...] = ()


class Candidates:
    """The nodes that may hold each egress IP, and the assignments planned so far.

    ``nodes``: all nodes; ``holders``: who holds what now; ``placed``: {address: Assignment} as planned.
    """

    def __init__(self, nodes: Nodes, holders: Holders, egressips: Iterable[EgressIP]) -> None:
        self.nodes = nodes
        self.holders = holders
        self.placed: dict[str, Assignment] = {}
        self._egressips = {egressip.name: egressip for egressip in egressips}
        self._weights = {e.name: e.annotations.weight for e in self._egressips.values() if e.annotations.weight != 1}
        self._holding = {address: _nodes_of(found) for address, found in holders.items()}
        self._by_name = {node.name: node for node in nodes.valid}
        self._selected: dict[Selector, frozenset[str]] = {}
        self._eligible: dict[tuple[Selector, Selector | None], frozenset[str]] = {}
        self.eligible_names = self._select_for_any()
        self._networks = NetworkIndex(node for node in nodes.valid if node.ready and node.name in self.eligible_names)
        # Addresses in the same networks share their nodes and the interface on each node.
        self._inside: dict[tuple[NetworkKey, ...], tuple[Node, ...]] = {}
        self._interfaces: dict[tuple[str, tuple[NetworkKey, ...]], str] = {}
        self._node_set_of: dict[str, int] = {}
        self._node_sets: list[tuple[Node, ...]] = []
        self._set_numbers: dict[tuple[tuple[NetworkKey, ...], frozenset[str], str | None], int] = {}
        # The object whose rules apply to each address.
        self._owners: dict[str, EgressIP] = {}
        self._loads: dict[tuple[str, int | None], int] = {}
        self._weighted_loads: Counter[str] = Counter()
        self._siblings: dict[tuple[str, str], str] = {}
        self._domains: dict[str, dict[str, int]] = {}
        self._summaries: dict[tuple[object, ...], str] = {}

    @cached_property
    def _labels(self) -> list[tuple[str, dict[str, str]]]:
        """The name and the labels of each valid node."""
        return [(node.name, node.label_texts) for node in self.nodes.valid]

    @cached_property
    def _all_networks(self) -> NetworkIndex:
        """The networks of all valid nodes, including those that cannot hold anything."""
        return NetworkIndex(self.nodes.valid)

    def possible_nodes(self, address: str) -> tuple[Node, ...]:
        """Return the nodes that may hold the address, apart from capacity and other addresses of its object."""
        return self.nodes_of(self.node_set(address))

    def nodes_of(self, node_set: int) -> tuple[Node, ...]:
        """Return the nodes of a set that ``node_set`` numbers."""
        return self._node_sets[node_set]

    def node_set(self, address: str) -> int:
        """Return a number that is equal for addresses with the same possible nodes in the same networks."""
        if address not in self._node_set_of:
            self._node_set_of[address] = self._find_node_set(address)
        return self._node_set_of[address]

    def _find_node_set(self, address: str) -> int:
        names, networks, alone = self.eligible_for(self._owner(address)), _NO_NETWORKS, None
        if address not in self.nodes.own_addresses and address not in self.nodes.gateways:
            order = address_order(address)
            networks = self._networks.containing(*order)
            # The network or broadcast address of a network is not possible on its nodes.
            alone = address if self._networks.is_network_or_broadcast(*order) else None
        key = networks, names, alone
        if key not in self._set_numbers:
            self._set_numbers[key] = len(self._node_sets)
            self._node_sets.append(self._nodes_of_set(*key))
        return self._set_numbers[key]

    def _nodes_of_set(
        self, networks: tuple[NetworkKey, ...], names: frozenset[str], alone: str | None
    ) -> tuple[Node, ...]:
        if networks not in self._inside:
            self._inside[networks] = self._networks.nodes_in(networks)
        inside = self._inside[networks]
        if alone is not None:
            inside = tuple(node for node in inside if not node.reserves(parsed(alone)))
        return inside if names is self.eligible_names else tuple(node for node in inside if node.name in names)

    def claim(self, address: str, egressip: EgressIP) -> None:
        """Apply the node selectors of this object to the address."""
        self._owners[address] = egressip
        self._node_set_of.pop(address, None)

    def _owner(self, address: str) -> EgressIP:
        return self._owners.get(address, _NO_OBJECT)

    def _select_for_any(self) -> frozenset[str]:
        """Return the names of the nodes that the spec of any object selects, ready or not."""
        selectors = {egressip.egress_node_selector for egressip in self._egressips.values()} or {ASSIGNABLE}
        found = [self._selected_by(selector) for selector in selectors]
        return found[0] if len(found) == 1 else frozenset().union(*found)

    def eligible_for(self, egressip: EgressIP) -> frozenset[str]:
        """Return the names of the nodes that an object selects; objects with the same selectors share the set.

        The annotation of a broken object does not apply: the object only keeps its addresses on their nodes.
        """
        restriction = None if egressip.errors else egressip.annotations.node_selector
        key = egressip.egress_node_selector, restriction
        if key not in self._eligible:
            names = self._selected_by(egressip.egress_node_selector)
            self._eligible[key] = names if restriction is None else names & self._selected_by(restriction)
        return self._eligible[key]

    def _selected_by(self, selector: Selector) -> frozenset[str]:
        """Return the names of the nodes that a Selector selects; for one Selector, always the same set."""
        if selector not in self._selected:
            self._selected[selector] = frozenset(name for name, labels in self._labels if selector.matches(labels))
        return self._selected[selector]

    @property
    def is_weighted(self) -> bool:
        """Whether an object has another weight than 1."""
        return bool(self._weights)

    def annotations(self, name: str) -> Annotations:
        """Return the Annotations of the object ``name``."""
        return self._egressips.get(name, _NO_OBJECT).annotations

    def spread_label(self, name: str) -> str | None:
        """Return the label over whose values the object ``name`` is spread, or None; a broken object is not spread."""
        egressip = self._egressips.get(name)
        return None if egressip is None or egressip.errors else egressip.annotations.spread

    def domains(self, name: str) -> dict[str, int]:
        """Return {node name: number of its failure domain} for an object; empty if it is not spread.

        Objects with one label share the dict. A node without the label is a domain of its own.
        """
        label = self.spread_label(name)
        if label is None:
            return {}
        if label not in self._domains:
            numbers: dict[tuple[bool, str], int] = {}
            nodes = self.nodes.valid
            keys = ((label in node.labels, label_text(node.labels.get(label, node.name))) for node in nodes)
            self._domains[label] = {node.name: numbers.setdefault(key, len(numbers)) for node, key in zip(nodes, keys)}
        return self._domains[label]

    def sibling_in_domain(self, node: Node, name: str) -> tuple[str, str] | None:
        """Return (address, node name) of an address of the object ``name`` on another node of a failure domain."""
        domains = self.domains(name)
        others = (other for other, domain in domains.items() if domain == domains[node.name] and other != node.name)
        return next(((self._siblings[o, name], o) for o in others if (o, name) in self._siblings), None)

    def domain_text(self, node: Node, name: str) -> str:
        """Return ``label=value``, the failure domain of a node for an object that is spread."""
        label = self.spread_label(name) or ""
        return f"{label}={label_text(node.labels.get(label))}"

    def obstacles(self, name: str, address: str) -> list[str]:
        """Return every reason against the address on the node ``name``, apart from capacity and sibling addresses."""
        node = self.node(name)
        if node is None:
            return [NODE_INVALID]
        found = [] if node.ready else [NODE_NOT_READY]
        if self._lacks_label(name, address):
            found.append(NODE_NOT_ASSIGNABLE)
        # The networks of a node that does not answer are unknown.
        found += _network_obstacles(node, address) if node.ready or node.networks else []
        return [*found, *([NODE_NOT_SELECTED] if self.excluding_selectors(name, address) else [])]

    def _lacks_label(self, name: str, address: str) -> bool:
        """Return whether the default selector, the label, excludes the node ``name``."""
        selector = self._owner(address).egress_node_selector
        return selector == ASSIGNABLE and name not in self._selected_by(selector)

    def excluding_selectors(self, name: str, address: str) -> list[tuple[str, str]]:
        """Return (field or annotation, selector) of the object's selectors that exclude the node, without the label."""
        egressip = self._owner(address)
        selectors = {EGRESS_NODE_SELECTOR: egressip.egress_node_selector}
        if egressip.annotations.node_selector is not None and not egressip.errors:
            selectors[NODE_SELECTOR] = egressip.annotations.node_selector
        return [
            (field, selector_text(selector))
            for field, selector in selectors.items()
            if selector != ASSIGNABLE and name not in self._selected_by(selector)
        ]

    def node(self, name: str) -> Node | None:
        """Return the valid node of this name, or None."""
        return self._by_name.get(name)

    def holding_nodes(self, address: str) -> tuple[str, ...]:
        """Return the sorted names of the nodes that hold the address now."""
        return self._holding.get(address, ())

    def place(self, name: str, address: str, node: Node) -> None:
        """Plan the address of the object ``name`` on ``node``, which has a network that contains it."""
        key = node.name, self._networks.containing(*address_order(address))
        if key not in self._interfaces:
            found = node.network_for(parsed(address))
            self._interfaces[key] = found[0] if found else ""
        self.placed[address] = Assignment(name, address, node.name, self._interfaces[key])
        self._siblings[node.name, name] = address
        if self._weights:
            self._weighted_loads[node.name] += self._weights.get(name, 1)
        for version in (None, version_of(address)):
            self._loads[node.name, version] = self._loads.get((node.name, version), 0) + 1

    def load(self, node_name: str, version: int | None = None) -> int:
        """Return the number of addresses planned for a node, in total or of one IP version."""
        return self._loads.get((node_name, version), 0)

    def weighted_load(self, node_name: str) -> int:
        """Return the sum of the weights of the addresses planned for a node."""
        return self._weighted_loads[node_name] if self._weights else self.load(node_name)

    def limits(self, node: Node, version: int) -> tuple[tuple[int | None, int], tuple[int | None, int]]:
        """Return (limit, load) of a node in total and for one IP version."""
        in_total = (node.capacity.ip, self.load(node.name))
        return in_total, (node.capacity.of_version(version), self.load(node.name, version))

    def can_take(self, node: Node, name: str, address: str) -> bool:
        """Return whether capacity and sibling addresses allow the address of the object ``name`` on ``node``."""
        if self.sibling(node, name):
            return False
        return all(limit is None or load < limit for limit, load in self.limits(node, version_of(address)))

    def sibling(self, node: Node, name: str) -> str | None:
        """Return an address of the object ``name`` that is planned for ``node``, or None."""
        return self._siblings.get((node.name, name))

    def reason_to_leave(self, node_name: str, address: str) -> str | None:
        """Return the reason of a move if a node can no longer hold the address; None if it can."""
        node = self.node(node_name)
        if node is None:
            return NODE_INVALID if node_name in self.nodes.broken else NODE_GONE
        if address in self.nodes.own_addresses or address in self.nodes.gateways:
            return ADDRESS_CONFLICT
        return next(iter(self.obstacles(node_name, address)), None)

    def why_no_node(self, address: str) -> tuple[str, str]:
        """Return (reason, message) for an address that no node may hold."""
        conflict = self.nodes.why_in_use(address)
        if conflict:
            return ADDRESS_CONFLICT, conflict
        inside = self._all_inside(address) if self._is_network_or_broadcast(address) else ()
        if inside and all(node.reserves(parsed(address)) for node in inside):
            found = (node.network_for(parsed(address)) for node in inside)
            networks = sorted({str(each[1]) for each in found if each is not None})
            where = f"{' and '.join(networks)} on {_listed([node.name for node in inside])}"
            return ADDRESS_CONFLICT, f"{address} is the network or broadcast address of {where}"
        return NO_MATCHING_NODE, f"no node can hold {address}; {self._obstacle_summary(address)}"

    def why_exhausted(self, name: str, address: str) -> tuple[str, str]:
        """Return (reason, message) for an address of the object ``name`` that has possible nodes but is on none."""
        full: list[str] = []
        sharing: list[str] = []
        free: list[str] = []
        for node in self.possible_nodes(address):
            sibling, limit = self.sibling(node, name), next(self.reached_limits(node, address), None)
            if sibling:
                sharing.append(f"{node.name} ({sibling})")
            elif limit:
                full.append(f"{node.name} ({limit})")
            else:
                free.append(node.name)
        parts = [f"every node that could hold {address} is taken"]
        if free:
            parts = [f"the time limit ended the search for a node for {address}; free: {_listed(free)}"]
        if full:
            parts.append(f"at capacity: {_listed(full)}")
        if sharing:
            parts.append(f"with another address of egressip/{name}: {_listed(sharing)}")
        return CAPACITY_EXHAUSTED if full else NODES_EXHAUSTED, "; ".join(parts)

    def reached_limits(self, node: Node, address: str) -> Iterator[str]:
        """Yield ``LOAD of LIMIT`` for each limit that a node has reached for addresses of this IP version."""
        version = version_of(address)
        for (limit, load), text in zip(self.limits(node, version), ("", f" IPv{version}")):
            if limit is not None and load >= limit:
                yield f"{load} of {limit}{text}"

    def _all_inside(self, address: str) -> tuple[Node, ...]:
        return self._all_networks.nodes_in(self._all_networks.containing(*address_order(address)))

    def _is_network_or_broadcast(self, address: str) -> bool:
        return self._all_networks.is_network_or_broadcast(*address_order(address))

    def _obstacle_summary(self, address: str) -> str:
        """Return the obstacles with their nodes; most addresses in the same networks share the text."""
        alone = address if self._is_network_or_broadcast(address) else None
        owner = self._owner(address)
        selectors = owner.egress_node_selector, owner.annotations.node_selector, bool(owner.errors)
        key = self._all_networks.containing(*address_order(address)), selectors, alone
        if key not in self._summaries:
            self._summaries[key] = self._summarize_obstacles(address)
        return self._summaries[key]

    def _summarize_obstacles(self, address: str) -> str:
        found: dict[str, list[str]] = {}
        excluded: dict[str, list[str]] = {}
        for node in self.nodes.valid:
            for obstacle in self.obstacles(node.name, address):
                found.setdefault(obstacle, []).append(node.name)
            for field, _selector in self.excluding_selectors(node.name, address):
                excluded.setdefault(field, []).append(node.name)
        if self.nodes.broken:
            found[NODE_INVALID] = list(self.nodes.broken)
        parts = [f"{text}: {_listed(found[what])}" for what, text in _OBSTACLE_TEXTS.items() if what in found]
        parts += [f"not selected by {field}: {_listed(names)}" for field, names in excluded.items()]
        return "; ".join(parts) or "the fleet has no nodes"


def _nodes_of(holders: Sequence[Holder]) -> tuple[str, ...]:
    """Return the sorted names of the nodes of holders; most addresses have one."""
    return (holders[0].node,) if len(holders) == 1 else tuple(sorted({holder.node for holder in holders}))


def _network_obstacles(node: Node, address: str) -> list[str]:
    """Return the reasons of the node's networks against the address."""
    if node.network_for(parsed(address)) is None:
        return [NETWORK_MISSING]
    return [ADDRESS_CONFLICT] if node.reserves(parsed(address)) else []


def _listed(names: Sequence[str]) -> str:
    return listed(names, _NAMES_SHOWN)
