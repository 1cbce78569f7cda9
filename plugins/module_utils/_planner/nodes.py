# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nodes of a plan: labels, readiness, networks, capacity. PRIVATE to the collection. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Iterable, Iterator, Mapping, Sequence

from .._common.addresses import (
    Address,
    Interface,
    Network,
    address_order,
    canonical,
    canonical_address,
    is_reserved_in,
    parse_interface,
    parsed,
)
from .._common.errors import EgressIPError, Errors, InvalidError
from .._common.messages import type_name
from .._common.validation import check_fields, check_list, check_mapping, check_string, required

_NODE_FIELDS = ("name", "labels", "ready", "networks", "capacity", "gateways")
_NETWORK_FIELDS = ("interface", "addresses")
_CAPACITY_FIELDS = ("ip", "ipv4", "ipv6")


@dataclass(frozen=True)
class NodeNetwork:
    """An interface and the node's own addresses on it."""

    interface: str
    addresses: tuple[Interface, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return ``{interface, addresses: ["192.168.126.21/18", ...]}``."""
        return {"interface": self.interface, "addresses": [canonical(address) for address in self.addresses]}


@dataclass(frozen=True)
class Capacity:
    """The most egress IPs of a node, in total and per IP version; None: no limit."""

    ip: int | None = None
    ipv4: int | None = None
    ipv6: int | None = None

    def of_version(self, version: int) -> int | None:
        """Return the limit for addresses of IP ``version`` (4 or 6)."""
        return self.ipv4 if version == 4 else self.ipv6

    @property
    def is_zero(self) -> bool:
        """Whether the node takes no egress IP at all."""
        return self.ip == 0 or (self.ipv4 == 0 and self.ipv6 == 0)

    def to_dict(self) -> dict[str, int | None]:
        """Return ``{ip, ipv4, ipv6}``."""
        return {"ip": self.ip, "ipv4": self.ipv4, "ipv6": self.ipv6}


@dataclass(frozen=True)
class Node:
    """A node (inventory host). ``labels`` has the values of the inventory; ``networks`` begins with the primary one.

    ``gateways`` are the canonical addresses of its default routes.
    """

    name: str
    labels: Mapping[str, Any]
    ready: bool = True
    networks: tuple[NodeNetwork, ...] = ()
    capacity: Capacity = Capacity()
    gateways: tuple[str, ...] = ()

    @classmethod
    def from_dict(cls, value: object, path: str = "node") -> Node:
        """Return the Node of ``{name, labels, ready, networks, capacity, gateways}``; InvalidError has every error.

        ``path`` names the entry in errors while it has no usable name.
        """
        errors = Errors()
        document = check_mapping(value, path, errors)
        errors.raise_if_any()
        name = check_string(required(document, "name", f"{path}: ", errors), f"{path}: name", errors)
        prefix = f"node/{name}: " if name else f"{path}: "
        check_fields(document, prefix, _NODE_FIELDS, errors)
        node = cls(
            name=name or "",
            labels=_parse_labels(document.get("labels"), f"{prefix}labels", errors),
            ready=_parse_ready(document.get("ready", True), f"{prefix}ready", errors),
            networks=_parse_networks(document.get("networks"), f"{prefix}networks", errors),
            capacity=_parse_capacity(document.get("capacity"), f"{prefix}capacity", errors),
            gateways=_parse_gateways(document.get("gateways"), f"{prefix}gateways", errors),
        )
        errors.raise_if_any()
        return node

    def to_dict(self) -> dict[str, Any]:
        """Return the entry that ``from_dict`` reads."""
        return {
            "name": self.name,
            "labels": dict(self.labels),
            "ready": self.ready,
            "networks": [network.to_dict() for network in self.networks],
            "capacity": self.capacity.to_dict(),
            **({"gateways": list(self.gateways)} if self.gateways else {}),
        }

    @property
    def label_texts(self) -> dict[str, str]:
        """The labels as in Kubernetes, where all values are strings."""
        return {key: label_text(value) for key, value in self.labels.items()}

    def network_for(self, address: Address) -> tuple[str, Network] | None:
        """Return (interface, network) of the longest prefix that contains ``address``; None without one.

        Of equal prefixes, that of the first interface is returned; the primary interface is listed first.
        """
        best: tuple[str, Network] | None = None
        for network in self.networks:
            for own in network.addresses:
                longer = best is None or own.network.prefixlen > best[1].prefixlen
                if own.version == address.version and address in own.network and longer:
                    best = (network.interface, own.network)
        return best

    def reserves(self, address: Address) -> bool:
        """Return whether ``address`` is the network or broadcast address of the network it would be in."""
        found = self.network_for(address)
        return found is not None and is_reserved_in(address, found[1])


@dataclass(frozen=True)
class Nodes:
    """All nodes. ``valid``: ordered by name. ``broken``: names of the nodes that cannot be used.

    ``invalid``: ``{name, errors}``. ``own_addresses``: {canonical address: ((node, interface), ...)}. ``gateways``:
    {canonical address: names of the nodes with this gateway}.
    """

    valid: tuple[Node, ...]
    broken: tuple[str, ...]
    invalid: tuple[Mapping[str, Any], ...]
    own_addresses: Mapping[str, tuple[tuple[str, str], ...]]
    gateways: Mapping[str, tuple[str, ...]]

    def why_in_use(self, address: str) -> str | None:
        """Return a sentence if the address is a node's own or a gateway; None if it may be an egress IP."""
        owners = self.own_addresses.get(address)
        if owners:
            whose = " and of ".join(f"{node} ({interface})" for node, interface in owners)
            return f"{address} is the own address of {whose}"
        if address in self.gateways:
            return f"{address} is the gateway of {' and of '.join(self.gateways[address])}"
        return None

    def warnings(self) -> list[str]:
        """Return a line for each address that is the own address of more than one node."""
        lines = []
        for address in sorted(self.own_addresses, key=address_order):
            names = sorted({node for node, interface in self.own_addresses[address]})
            if len(names) > 1 and not parsed(address).is_link_local:
                lines.append(f"{address} is the own address of {' and of '.join(names)}")
        return lines


def read_nodes(documents: Sequence[Any]) -> Nodes:
    """Return the Nodes of a list of ``{name, labels, ready, networks, capacity}``; a broken entry affects no other."""
    names = [_name_of(document) for document in documents]
    counts = Counter(names)
    found: list[Node] = []
    broken: set[str] = set()
    invalid: list[dict[str, Any]] = []
    own: dict[str, set[tuple[str, str]]] = {}
    gateways: dict[str, set[str]] = {}
    for index, document in enumerate(documents):
        name = names[index]
        node, errors = _read_node(document, f"node[{index}]")
        if name is not None and counts[name] > 1:
            errors.append(f"node/{name}: name: {counts[name]} nodes have this name")
        if node is None or errors:
            broken.update([name] if name else [])
            invalid.append({"name": f"node/{name}" if name else f"node[{index}]", "errors": errors})
        else:
            found.append(node)
            for gateway in node.gateways:
                gateways.setdefault(gateway, set()).add(node.name)
        for interface, address in _readable_addresses(document) if node is None else _own_addresses(node):
            own.setdefault(address, set()).add((name or f"node[{index}]", interface))
    return Nodes(
        valid=tuple(sorted(found, key=lambda node: node.name)),
        broken=tuple(sorted(broken)),
        invalid=tuple(sorted(invalid, key=lambda entry: (entry["name"], entry["errors"]))),
        own_addresses={address: tuple(sorted(holders)) for address, holders in own.items()},
        gateways={address: tuple(sorted(names)) for address, names in gateways.items()},
    )


def _read_node(document: object, path: str) -> tuple[Node | None, list[str]]:
    """Return the Node and no errors, or None and the errors."""
    try:
        return Node.from_dict(document, path), []
    except InvalidError as error:
        return None, list(error.errors)


def label_text(value: object) -> str:
    """Return the value of a label as a string; in an inventory, YAML may turn it into a boolean, number or null."""
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def _name_of(document: object) -> str | None:
    name = document.get("name") if isinstance(document, dict) else None
    return str(name) if isinstance(name, str) and name.strip() else None


def _own_addresses(node: Node) -> Iterable[tuple[str, str]]:
    return ((network.interface, canonical(own.ip)) for network in node.networks for own in network.addresses)


def _readable_addresses(document: object) -> Iterator[tuple[str, str]]:
    """Yield the readable (interface, address) of a broken entry: its addresses are in use all the same."""
    networks = document.get("networks") if isinstance(document, dict) else None
    for network in networks if isinstance(networks, (list, tuple)) else ():
        listed = network.get("addresses") if isinstance(network, dict) else None
        for text in listed if isinstance(network, dict) and isinstance(listed, (list, tuple)) else ():
            try:
                yield str(network.get("interface")), canonical(parse_interface(text, "").ip)
            except EgressIPError:
                continue


def _parse_labels(value: object, path: str, errors: Errors) -> dict[str, Any]:
    labels: Mapping[str, Any] = {} if value is None else check_mapping(value, path, errors)
    return {str(key): entry for key, entry in labels.items()}


def _parse_ready(value: object, path: str, errors: Errors) -> bool:
    if not isinstance(value, bool):
        errors.add(path, f"must be true or false, not {type_name(value)}")
    return value is True


def _parse_networks(value: object, path: str, errors: Errors) -> tuple[NodeNetwork, ...]:
    networks: list[NodeNetwork] = []
    seen: dict[str, int] = {}
    for index, entry in enumerate([] if value is None else check_list(value, path, errors)):
        network = errors.attempt(_parse_network, entry, f"{path}[{index}]")
        if network is None:
            continue
        first = seen.setdefault(network.interface, index)
        if first != index:
            errors.add(f"{path}[{index}].interface", f"{network.interface} is also the interface of networks[{first}]")
        networks.append(network)
    return tuple(networks)


def _parse_network(value: object, path: str) -> NodeNetwork:
    errors = Errors()
    entry = check_mapping(value, path, errors)
    errors.raise_if_any()
    check_fields(entry, f"{path}.", _NETWORK_FIELDS, errors)
    interface = required(entry, "interface", f"{path}.", errors)
    if "interface" in entry:
        interface = check_string(interface, f"{path}.interface", errors)
    written = required(entry, "addresses", f"{path}.", errors)
    listed = check_list(written, f"{path}.addresses", errors) if "addresses" in entry else []
    own = [errors.attempt(parse_interface, text, f"{path}.addresses[{n}]") for n, text in enumerate(listed)]
    errors.raise_if_any()
    return NodeNetwork(interface, tuple(each for each in own if each is not None))


def _parse_capacity(value: object, path: str, errors: Errors) -> Capacity:
    """Return the Capacity of ``none``, a number for all addresses, or ``{ip, ipv4, ipv6}``."""
    if isinstance(value, dict):
        check_fields(value, f"{path}.", _CAPACITY_FIELDS, errors)
        return Capacity(*(_parse_limit(value.get(field), f"{path}.{field}", errors) for field in _CAPACITY_FIELDS))
    return Capacity(_parse_limit(value, path, errors))


def _parse_gateways(value: object, path: str, errors: Errors) -> tuple[str, ...]:
    listed = [] if value is None else check_list(value, path, errors)
    found = [errors.attempt(canonical_address, text, f"{path}[{n}]") for n, text in enumerate(listed)]
    return tuple(address for address in found if address is not None)


def _parse_limit(value: object, path: str, errors: Errors) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
        errors.add(path, f"must be an integer of 0 or more, or left out for no limit, not {type_name(value)}")
        return None
    return value
