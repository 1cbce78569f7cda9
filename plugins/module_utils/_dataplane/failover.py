# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of a node's desired state for failover between runs. PRIVATE to the collection. No I/O.

A node has a `Standby` for each egress IP that it holds, or that it claims when the holder falls silent. Only states of
fleets with `egress_ip_failover` have these values.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .._common.addresses import canonical_address, canonical_egress_ip, version_of
from .._common.errors import Errors
from .._common.messages import type_name
from .._common.validation import NO_MAPPING, check_fields, check_list, check_mapping, is_device_name, is_mac_address

# Seconds of silence after which a holder counts as lost: the range that can be set, and what `auto` stands for.
SHORTEST_AFTER = 0.1
LONGEST_AFTER = 60.0
USUAL_AFTER = 0.2
MOST_WITNESSES = 8
# A holder and at most three standbys.
MOST_IN_ORDER = 4

_KEY = re.compile(r"([0-9a-f]{16})?")
_FAILOVER_FIELDS = ("after", "strict", "witnesses", "capacity", "key", "ends")
_ENDS_FIELDS = ("egressIP", "ends")
_CAPACITY_FIELDS = ("ip", "ipv4", "ipv6")
_STANDBY_FIELDS = ("egressIP", "interface", "order")
_PEER_FIELDS = ("name", "address", "mac")


@dataclass(frozen=True)
class Limits:
    """The most egress IPs that the node may hold, in total and per IP version; None: no limit."""

    ip: int | None = None
    ipv4: int | None = None
    ipv6: int | None = None

    def to_dict(self) -> dict[str, int]:
        """Return the limits that exist as a JSON-safe dict."""
        return {key: value for key, value in vars(self).items() if value is not None}

    def allow(self, counts: Mapping[int, int]) -> bool:
        """Return whether a node may hold so many egress IPs at once, {IP version: number}."""
        present = (
            (self.ip, sum(counts.values())),
            *((limit, counts.get(version, 0)) for version, limit in ((4, self.ipv4), (6, self.ipv6))),
        )
        return all(limit is None or count <= limit for limit, count in present)


@dataclass(frozen=True, order=True)
class Ends:
    """Where the tunnel for an egress IP ends, depending on its holder: (node, its endpoint) of all that may hold it.

    The endpoint is empty for a node that holds it on its primary interface: there the tunnel ends at the address.
    """

    egress_ip: str
    ends: tuple[tuple[str, str], ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the ends as a JSON-safe dict."""
        return {"egressIP": self.egress_ip, "ends": dict(self.ends)}


@dataclass(frozen=True)
class Failover:
    """The settings of failover, which are the same on all nodes but for `witnesses` and `capacity`.

    A holder counts as lost after `after` seconds without an answer, in which one of the `witnesses` answered: addresses
    that are neither egress IPs nor nodes, usually gateways, of which those in the network of an egress IP count for it.
    `strict`: a node holds an egress IP only while a witness answers; otherwise another node that answers is enough.
    `capacity` are the limits of this node. `key` is the fingerprint of the key with which the nodes call each other,
    empty if they do not. `ends` are those of the egress IPs whose tunnel does not end at the address for each holder.
    """

    after: float
    strict: bool = False
    witnesses: tuple[str, ...] = ()
    capacity: Limits = Limits()
    key: str = ""
    ends: tuple[Ends, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as a JSON-safe dict."""
        return {
            "after": self.after,
            "strict": self.strict,
            "witnesses": list(self.witnesses),
            "capacity": self.capacity.to_dict(),
            "key": self.key,
            "ends": [item.to_dict() for item in self.ends],
        }

    @classmethod
    def from_dict(cls, value: object, path: str, errors: Errors) -> Failover | None:
        """Return the Failover in a mapping, None without a value; adds every error with its path."""
        if value is None:
            return None
        fields = check_mapping(value, path, errors)
        check_fields(fields, f"{path}.", _FAILOVER_FIELDS, errors)
        return cls(
            after=_after(fields.get("after"), f"{path}.after", errors),
            strict=_boolean(fields.get("strict", False), f"{path}.strict", errors),
            witnesses=_witnesses(fields.get("witnesses", ()), f"{path}.witnesses", errors),
            capacity=_capacity(fields.get("capacity", {}), f"{path}.capacity", errors),
            key=_key(fields.get("key", ""), f"{path}.key", errors),
            ends=_read_ends(fields.get("ends", ()), f"{path}.ends", errors),
        )


@dataclass(frozen=True, order=True)
class Peer:
    """A node on the interface on which it may hold an egress IP: its own address in that network, and its MAC."""

    name: str
    address: str
    mac: str

    def to_dict(self) -> dict[str, str]:
        """Return the peer as a JSON-safe dict."""
        return {"name": self.name, "address": self.address, "mac": self.mac}


@dataclass(frozen=True, order=True)
class Standby:
    """The nodes that may hold an egress IP until the next run.

    `interface` is that of this node. The first node of `order` claims the address when the holder is lost, the next one
    if the first is lost too, and so on. The last one is the holder that the plan names.
    """

    egress_ip: str
    interface: str
    order: tuple[Peer, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the standby as a JSON-safe dict."""
        order = [peer.to_dict() for peer in self.order]
        return {"egressIP": self.egress_ip, "interface": self.interface, "order": order}


def _read_ends(value: object, path: str, errors: Errors) -> tuple[Ends, ...]:
    listed = check_list(value, path, errors)
    checked = [
        (check_mapping(entry, f"{path}[{index}]", errors), f"{path}[{index}]") for index, entry in enumerate(listed)
    ]
    return tuple(sorted(_ends(fields, where, errors) for fields, where in checked if fields is not NO_MAPPING))


def _ends(fields: Mapping[str, Any], path: str, errors: Errors) -> Ends:
    check_fields(fields, f"{path}.", _ENDS_FIELDS, errors)
    egress_ip = errors.attempt(canonical_egress_ip, fields.get("egressIP"), f"{path}.egressIP") or ""
    listed = check_mapping(fields.get("ends"), f"{path}.ends", errors)
    found = {
        str(name): errors.attempt(canonical_address, end, f"{path}.ends.{name}") or "" if end != "" else ""
        for name, end in listed.items()
    }
    return Ends(egress_ip, tuple(sorted(found.items())))


def read_standbys(value: object, path: str, name: str, errors: Errors) -> tuple[Standby, ...]:
    """Return the sorted Standbys in a list, none without a value; adds every error with its path.

    `name` is that of this node, which is part of each order.
    """
    listed = check_list(() if value is None else value, path, errors)
    checked = [
        (check_mapping(entry, f"{path}[{index}]", errors), f"{path}[{index}]") for index, entry in enumerate(listed)
    ]
    found: dict[str, Standby] = {}
    for fields, where in checked:
        standby = None if fields is NO_MAPPING else _standby(fields, where, name, errors)
        if standby and standby.egress_ip in found:
            errors.add(f"{where}.egressIP", f"{standby.egress_ip} is listed twice")
        elif standby:
            found[standby.egress_ip] = standby
    return tuple(sorted(found.values()))


def _standby(fields: Mapping[str, Any], path: str, name: str, errors: Errors) -> Standby | None:
    """Return the Standby in a mapping, None without a usable address."""
    check_fields(fields, f"{path}.", _STANDBY_FIELDS, errors)
    egress_ip = errors.attempt(canonical_egress_ip, fields.get("egressIP"), f"{path}.egressIP") or ""
    listed = check_list(fields.get("order", ()), f"{path}.order", errors)
    order = tuple(_peer(entry, f"{path}.order[{index}]", errors) for index, entry in enumerate(listed))
    names = [peer.name for peer in order]
    if not 2 <= len(order) <= MOST_IN_ORDER or len({*names}) < len(names):
        errors.add(f"{path}.order", f"must be 2 to {MOST_IN_ORDER} different nodes, the holder last")
    elif name not in names:
        errors.add(f"{path}.order", f"must contain this node, {name}")
    for index, peer in enumerate(order):
        if egress_ip and peer.address and version_of(peer.address) != version_of(egress_ip):
            errors.add(f"{path}.order[{index}].address", f"must be of the IP version of {egress_ip}")
    interface = fields.get("interface")
    if not is_device_name(interface):
        errors.add(f"{path}.interface", f"must be a device name of 1 to 15 characters, not {type_name(interface)}")
    return Standby(egress_ip, str(interface), order) if egress_ip else None


def _peer(value: object, path: str, errors: Errors) -> Peer:
    fields = check_mapping(value, path, errors)
    check_fields(fields, f"{path}.", _PEER_FIELDS, errors)
    name = _text(fields.get("name"), f"{path}.name", errors)
    address = errors.attempt(canonical_address, fields.get("address"), f"{path}.address") or ""
    return Peer(name, address, _mac(fields.get("mac"), f"{path}.mac", errors))


def _text(value: object, path: str, errors: Errors) -> str:
    if isinstance(value, str) and value:
        return str(value)
    errors.add(path, f"must be a non-empty string, not {type_name(value)}")
    return ""


def _mac(value: object, path: str, errors: Errors) -> str:
    if is_mac_address(value):
        return str(value)
    errors.add(path, f"must be a MAC address in lower case with colons, not {type_name(value)}")
    return ""


def _after(value: object, path: str, errors: Errors) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and SHORTEST_AFTER <= value <= LONGEST_AFTER:
        return float(value)
    errors.add(path, f"must be a number of seconds from {SHORTEST_AFTER} to {LONGEST_AFTER:g}, not {type_name(value)}")
    return USUAL_AFTER


def _key(value: object, path: str, errors: Errors) -> str:
    if isinstance(value, str) and _KEY.fullmatch(value):
        return str(value)
    errors.add(path, f"must be 16 hexadecimal digits, or empty, not {type_name(value)}")
    return ""


def _boolean(value: object, path: str, errors: Errors) -> bool:
    if not isinstance(value, bool):
        errors.add(path, f"must be true or false, not {type_name(value)}")
    return value is True


def _witnesses(value: object, path: str, errors: Errors) -> tuple[str, ...]:
    listed = check_list(value, path, errors)
    if len(listed) > MOST_WITNESSES:
        errors.add(path, f"must be at most {MOST_WITNESSES} addresses, not {len(listed)}")
    found = [errors.attempt(canonical_address, text, f"{path}[{index}]") for index, text in enumerate(listed)]
    return tuple(address for address in found if address)


def _capacity(value: object, path: str, errors: Errors) -> Limits:
    fields: Mapping[str, Any] = check_mapping(value, path, errors)
    check_fields(fields, f"{path}.", _CAPACITY_FIELDS, errors)
    return Limits(*(_limit(fields.get(key), f"{path}.{key}", errors) for key in _CAPACITY_FIELDS))


def _limit(value: object, path: str, errors: Errors) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    errors.add(path, f"must be an integer of at least 0, not {type_name(value)}")
    return None
