# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes as the planner sees them: labels, readiness, networks, capacity. PRIVATE to the collection."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from .._common.addresses import address_order, canonical, is_reserved_in, parse_interface, parsed
from .._common.errors import EgressIPError, Errors, InvalidError
from .._common.messages import type_name
from .._common.validation import check_fields, check_list, check_mapping, check_string, required

ASSIGNABLE_LABEL = "k8s.ovn.org/egress-assignable"

_NODE_FIELDS = ("name", "labels", "ready", "networks", "capacity")
_NETWORK_FIELDS = ("interface", "addresses")
_CAPACITY_FIELDS = ("ip", "ipv4", "ipv6")


@dataclass(frozen=True)
class Network:
    """An interface and the node's own addresses on it, a tuple of IPv4Interface and IPv6Interface."""

    interface: str
    addresses: tuple

    def to_dict(self):
        """Return ``{interface, addresses: ["192.168.126.21/18", ...]}``."""
        return {"interface": self.interface, "addresses": [canonical(address) for address in self.addresses]}


@dataclass(frozen=True)
class Capacity:
    """How many egress IPs a node takes, in all and of each family; None: any number."""

    ip: int | None = None
    ipv4: int | None = None
    ipv6: int | None = None

    def of_family(self, version):
        """Return the limit for addresses of IP ``version`` (4 or 6)."""
        return self.ipv4 if version == 4 else self.ipv6

    @property
    def is_none(self):
        """Tell whether the node takes no egress IP at all."""
        return self.ip == 0 or (self.ipv4 == 0 and self.ipv6 == 0)

    def to_dict(self):
        """Return ``{ip, ipv4, ipv6}``."""
        return {"ip": self.ip, "ipv4": self.ipv4, "ipv6": self.ipv6}


@dataclass(frozen=True)
class Node:
    """A node: ``labels`` is a dict, ``networks`` a tuple of Network with the primary one first."""

    name: str
    labels: dict
    ready: bool = True
    networks: tuple = ()
    capacity: Capacity = Capacity()

    @classmethod
    def from_dict(cls, document, path="node"):
        """Return the Node of ``{name, labels, ready, networks, capacity}``; InvalidError holds every error.

        ``path`` names the entry in errors while it has no usable name.
        """
        errors = Errors()
        document = check_mapping(document, path, errors)
        errors.raise_if_any()
        name = check_string(required(document, "name", f"{path}: ", errors), f"{path}: name", errors)
        prefix = f"node/{name}: " if name else f"{path}: "
        check_fields(document, prefix, _NODE_FIELDS, errors)
        fields = {
            "labels": _parse_labels(document.get("labels"), f"{prefix}labels", errors),
            "ready": _parse_ready(document.get("ready", True), f"{prefix}ready", errors),
            "networks": _parse_networks(document.get("networks"), f"{prefix}networks", errors),
            "capacity": _parse_capacity(document.get("capacity"), f"{prefix}capacity", errors),
        }
        errors.raise_if_any()
        return cls(name=name, **fields)

    def to_dict(self):
        """Return the entry that ``from_dict`` reads."""
        return {
            "name": self.name,
            "labels": dict(self.labels),
            "ready": self.ready,
            "networks": [network.to_dict() for network in self.networks],
            "capacity": self.capacity.to_dict(),
        }

    @property
    def assignable(self):
        """Tell whether the node bears the label. Its value does not matter."""
        return ASSIGNABLE_LABEL in self.labels

    def network_for(self, address):
        """Return (interface, network) of the longest prefix that contains ``address``; None without one.

        Among equal prefixes the first interface counts, as the primary one is listed first.
        """
        best = None
        for network in self.networks:
            for own in network.addresses:
                longer = best is None or own.network.prefixlen > best[1].prefixlen
                if own.version == address.version and address in own.network and longer:
                    best = (network.interface, own.network)
        return best

    def reserves(self, address):
        """Tell whether ``address`` is the network's or the broadcast address where this node would hold it."""
        found = self.network_for(address)
        return found is not None and is_reserved_in(address, found[1])


@dataclass(frozen=True)
class Nodes:
    """All nodes. ``sound``: a tuple of Node by name. ``broken``: names of the nodes that cannot be used.

    ``invalid``: a tuple of ``{name, errors}``. ``owners``: whose own a canonical address is, {address: ((node,
    interface),)}.
    """

    sound: tuple
    broken: tuple
    invalid: tuple
    owners: dict

    def warnings(self):
        """Return a line for each address that more than one node calls its own."""
        lines = []
        for address in sorted(self.owners, key=address_order):
            names = sorted({node for node, interface in self.owners[address]})
            if len(names) > 1 and not parsed(address).is_link_local:
                lines.append(f"{address} is the own address of {' and of '.join(names)}")
        return lines


def read_nodes(documents):
    """Return the Nodes of a list of ``{name, labels, ready, networks, capacity}``; a broken entry stops no other."""
    names = [_name_of(document) for document in documents]
    counts = Counter(names)
    sound, broken, invalid, owners = [], set(), [], {}
    for index, document in enumerate(documents):
        name, errors = names[index], []
        try:
            node = Node.from_dict(document, f"node[{index}]")
        except InvalidError as error:
            errors.extend(error.errors)
        if name is not None and counts[name] > 1:
            errors.append(f"node/{name}: name: {counts[name]} nodes have this name")
        if errors:
            broken.update([name] if name else [])
            invalid.append({"name": f"node/{name}" if name else f"node[{index}]", "errors": errors})
        else:
            sound.append(node)
        for interface, address in _readable_addresses(document) if errors else _own_addresses(node):
            owners.setdefault(address, set()).add((name or f"node[{index}]", interface))
    return Nodes(
        sound=tuple(sorted(sound, key=lambda node: node.name)),
        broken=tuple(sorted(broken)),
        invalid=tuple(sorted(invalid, key=lambda entry: (entry["name"], entry["errors"]))),
        owners={address: tuple(sorted(holders)) for address, holders in owners.items()},
    )


def label_text(value):
    """Return the value of a label as Kubernetes has it; YAML may have made something else of it in an inventory."""
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def _name_of(document):
    name = document.get("name") if isinstance(document, dict) else None
    return str(name) if isinstance(name, str) and name.strip() else None


def _own_addresses(node):
    return ((network.interface, canonical(own.ip)) for network in node.networks for own in network.addresses)


def _readable_addresses(document):
    """Yield (interface, address) for what can be read of an entry: an address is taken also when its node is broken."""
    networks = document.get("networks") if isinstance(document, dict) else None
    for network in networks if isinstance(networks, (list, tuple)) else ():
        listed = network.get("addresses") if isinstance(network, dict) else None
        for text in listed if isinstance(listed, (list, tuple)) else ():
            try:
                yield str(network.get("interface")), canonical(parse_interface(text, "").ip)
            except EgressIPError:
                continue


def _parse_labels(value, path, errors):
    labels = {} if value is None else check_mapping(value, path, errors)
    return {str(key): entry for key, entry in labels.items()}


def _parse_ready(value, path, errors):
    if not isinstance(value, bool):
        errors.add(path, f"must be true or false, not {type_name(value)}")
    return value is True


def _parse_networks(value, path, errors):
    networks, seen = [], {}
    for index, entry in enumerate([] if value is None else check_list(value, path, errors)):
        network = errors.attempt(_parse_network, entry, f"{path}[{index}]")
        if network is None:
            continue
        first = seen.setdefault(network.interface, index)
        if first != index:
            errors.add(f"{path}[{index}].interface", f"{network.interface} is also the interface of networks[{first}]")
        networks.append(network)
    return tuple(networks)


def _parse_network(entry, path):
    errors = Errors()
    entry = check_mapping(entry, path, errors)
    errors.raise_if_any()
    check_fields(entry, f"{path}.", _NETWORK_FIELDS, errors)
    interface = required(entry, "interface", f"{path}.", errors)
    if "interface" in entry:
        interface = check_string(interface, f"{path}.interface", errors)
    listed = required(entry, "addresses", f"{path}.", errors)
    if "addresses" in entry:
        listed = check_list(listed, f"{path}.addresses", errors)
        parsed = [errors.attempt(parse_interface, text, f"{path}.addresses[{n}]") for n, text in enumerate(listed)]
    errors.raise_if_any()
    return Network(interface, tuple(parsed))


def _parse_capacity(value, path, errors):
    """Return the Capacity of ``none``, a number for all addresses, or ``{ip, ipv4, ipv6}``."""
    if isinstance(value, dict):
        check_fields(value, f"{path}.", _CAPACITY_FIELDS, errors)
        return Capacity(*(_parse_limit(value.get(field), f"{path}.{field}", errors) for field in _CAPACITY_FIELDS))
    return Capacity(_parse_limit(value, path, errors))


def _parse_limit(value, path, errors):
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
        errors.add(path, f"must be an integer of 0 or more, or left out for no limit, not {type_name(value)}")
        return None
    return value
