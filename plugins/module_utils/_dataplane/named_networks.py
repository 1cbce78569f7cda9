# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The networks of containers and VMs of a node, and what applies to packets from each. PRIVATE. No I/O.

The order: a pod with its own address in the state, then the network with the longest prefix, then the interface on
which a packet arrives. Two namespaces with the same network are a conflict: its packets are dropped. The same applies
to users of the host, whose packets no interface receives.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import NamedTuple, Tuple

from .._common.addresses import (
    VERSIONS,
    Network,
    address_at,
    address_order,
    is_private,
    of_version,
    outermost,
    parse_network,
)
from .._common.destinations import Destinations, in_force, objects_by_network
from .._common.network_names import INTERFACE
from .._common.uid_ranges import UidRange, parse_uid_range
from .node_state import FleetNode, LocalNetwork, NodeState

# The objects that a packet follows; with none, it keeps the node's address.
Follows = Tuple[str, ...]


class Conflict(NamedTuple):
    """A network (a CIDR, the name of an interface, or users) of several namespaces, and the entries that name it."""

    network: str
    named_by: tuple[LocalNetwork, ...]


class Classes(NamedTuple):
    """What packets from the networks of one IP version follow, None for those that are dropped.

    `by_network` {CIDR: ...}, which do not overlap, `by_interface` {name: ...}.
    """

    by_network: dict[str, Follows | None]
    by_interface: dict[str, Follows | None]

    @property
    def followed(self) -> set[Follows]:
        """Return all objects that packets follow together."""
        return {names for names in (*self.by_network.values(), *self.by_interface.values()) if names}


def reserved_addresses(nodes: Iterable[FleetNode], egress_ips: Iterable[str]) -> list[tuple[int, int]]:
    """Return the sorted `address_order` of addresses that belong to no pod: tunnel endpoints and egress IPs.

    What comes out of the tunnel has the endpoint of a node as its source.
    """
    endpoints = (endpoint for node in nodes for endpoint in node.endpoints)
    return sorted({*map(address_order, endpoints), *map(address_order, egress_ips)})


class NamedNetworks:
    """The networks of one node state. `reserved` are the `reserved_addresses`, which are equal on all nodes."""

    def __init__(self, state: NodeState, reserved: Sequence[tuple[int, int]] | None = None) -> None:
        self._state = state
        self._reserved = reserved_addresses(state.nodes, state.egress_ips) if reserved is None else reserved
        self._objects = {item.name: item for item in state.egressips}

    @cached_property
    def refused(self) -> dict[str, str]:
        """Return {CIDR: address in it} of the CIDRs with a reserved address, which cannot be pod networks."""
        found = {cidr: self._reserved_in(cidr) for item in self._state.networks for cidr in item.cidrs}
        return {cidr: address for cidr, address in found.items() if address}

    def _reserved_in(self, cidr: str) -> str:
        network = parse_network(cidr, "cidrs")
        place = bisect_left(self._reserved, (network.version, int(network[0])))
        version, value = self._reserved[place] if place < len(self._reserved) else (0, 0)
        inside = version == network.version and value <= int(network[-1])
        return str(address_at(value, version)) if inside else ""

    @cached_property
    def conflicts(self) -> list[Conflict]:
        """Return the networks that more than one namespace names, sorted."""
        named: dict[str, list[LocalNetwork]] = {}
        for item in self._state.networks:
            for key in (*self._usable(item), *self._interface(item)):
                named.setdefault(key, []).append(item)
        found = [Conflict(key, tuple(items)) for key, items in sorted(named.items())]
        found += [Conflict(f"uid {users.text}", items) for users, items in self._users]
        return [each for each in found if _is_contested(each.named_by)]

    def _usable(self, item: LocalNetwork) -> Iterator[str]:
        return (cidr for cidr in item.cidrs if cidr not in self.refused)

    def _interface(self, item: LocalNetwork) -> tuple[str, ...]:
        """Return the name of the interface of a network, if it is known by one that leads to pods."""
        kind, _colon, name = item.network.partition(":")
        return (name,) if kind == INTERFACE and not any(cidr in self.refused for cidr in item.cidrs) else ()

    def classes(self, version: int) -> Classes:
        """Return the Classes for one IP version."""
        contested = {item.network for item in self.conflicts}
        of_cidr: dict[str, Follows | None] = {}
        of_interface: dict[str, Follows | None] = {}
        for item in self._state.networks:
            follows = self._follows(item, version)
            for cidr in of_version(self._usable(item), version):
                of_cidr[cidr] = None if cidr in contested else follows
            for name in self._interface(item):
                of_interface[name] = None if name in contested else follows
        return Classes(_apart(of_cidr, version), of_interface)

    @cached_property
    def _users(self) -> list[tuple[UidRange, tuple[LocalNetwork, ...]]]:
        """Return (users, the entries that name them), sorted; the ranges do not overlap."""
        ranges = [(parse_uid_range(text, "uids"), item) for item in self._state.networks for text in item.uids]
        limits = sorted({*(users.first for users, _item in ranges), *(users.last + 1 for users, _item in ranges)})
        parts = [UidRange(first, after - 1) for first, after in zip(limits, limits[1:])]
        found = [
            (part, tuple(item for users, item in ranges if users.first <= part.first <= part.last <= users.last))
            for part in parts
        ]
        return [(part, items) for part, items in found if items]

    def users(self, version: int) -> dict[UidRange, Follows | None]:
        """Return {users of the host: what their packets follow, None for those that are dropped}.

        Without users that keep the node's address. The ranges do not overlap.
        """
        found = {
            users: None if _is_contested(items) else self._follows(items[0], version) for users, items in self._users
        }
        return {users: follows for users, follows in found.items() if follows != ()}

    def _follows(self, item: LocalNetwork, version: int) -> Follows | None:
        """Return the objects that can apply, those with an assigned egress IP of the version first, as for pods."""
        ordered = sorted(item.egressips, key=lambda name: not of_version(self._objects[name].slots, version))
        names = tuple(name for name, _all in in_force([(name, self._objects[name].destinations) for name in ordered]))
        return None if not names and self._state.options.unknown_pods == "drop" else names

    @cached_property
    def guarded(self) -> list[Network]:
        """Return the networks whose packets must not leave with the node's address, none inside another one."""
        found = [cidr for v in VERSIONS for cidr, follows in self.classes(v).by_network.items() if follows != ()]
        return outermost(parse_network(cidr, "cidrs") for cidr in found)

    @cached_property
    def excluded(self) -> list[str]:
        """Return the private CIDRs, towards which nothing on this node uses an egress IP.

        A manifest could name any other network, to which pods would no longer use their egress IP.
        """
        cidrs = [cidr for item in self._state.networks for cidr in self._usable(item)]
        return [cidr for cidr in cidrs if is_private(parse_network(cidr, "cidrs"))]


def _is_contested(named_by: Iterable[LocalNetwork]) -> bool:
    return len({item.namespace for item in named_by}) > 1


def _apart(of_cidr: dict[str, Follows | None], version: int) -> dict[str, Follows | None]:
    """Return the same with networks that do not overlap: the longest prefix applies."""
    kinds = list(dict.fromkeys(of_cidr.values()))
    networks = [tuple(cidr for cidr, follows in of_cidr.items() if follows == kind) for kind in kinds]
    numbered = [(str(number), Destinations(each)) for number, each in enumerate(networks)]
    return {cidr: kinds[int(number)] for cidr, number in objects_by_network(numbered, version).items()}
