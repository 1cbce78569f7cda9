# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The desired state of one node: the value that a run sends to it. PRIVATE to the collection. No I/O.

`NodeState` differs between nodes in the name, interface and endpoints, the pods and the held egress IPs. The module
`node` takes its dict form. Marks are not part of it: they have a meaning on one node only, so each node numbers its
egress IPs itself and keeps the numbers (`allocate_marks`).
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Callable, Mapping, TypeVar

from .._common.addresses import (
    VERSIONS,
    Address,
    Network,
    address_order,
    canonical,
    covers_everything,
    of_version,
    parse_address,
    parse_egress_ip,
    parse_network,
)
from .._common.destinations import Destinations
from .._common.errors import Errors, NodeStateError
from .._common.messages import type_name
from .._common.network_names import ENGINES, USER, parse_network_name
from .._common.uid_ranges import parse_uid_range
from .._common.validation import NO_MAPPING, check_fields, check_list, check_mapping, check_string
from .failover import Failover, Standby, read_standbys
from .options import DataPlaneOptions, parse_integer

if TYPE_CHECKING:
    from .followed_pods import Follow

T = TypeVar("T")
# A parser of an address and the reader of one entry of a list; the second argument is the path for errors.
Parser = Callable[[object, str], Address]
Reader = Callable[[Mapping[str, Any], str], T]

# Always excluded: loopback, link-local, multicast and broadcast addresses are never outside the fleet.
NEVER_EXTERNAL = (
    "127.0.0.0/8",
    "169.254.0.0/16",
    "224.0.0.0/4",
    "255.255.255.255/32",
    "::1/128",
    "fe80::/10",
    "ff00::/8",
)


class _Entry:
    """An entry of a list of a NodeState. The states of all nodes share most entries, so each is converted once."""

    def to_dict(self) -> dict[str, Any]:
        """Return the entry as a JSON-safe dict."""
        raise NotImplementedError

    @cached_property
    def shared_dict(self) -> dict[str, Any]:
        """The dict form, the same object in the dict forms of all states; read-only."""
        return self.to_dict()


@dataclass(frozen=True)
class Link:
    """An interface of a node: its MAC address, and its addresses with their prefix lengths."""

    mac: str
    addresses: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the link as a JSON-safe dict."""
        return {"mac": self.mac, "addresses": list(self.addresses)}


@dataclass(frozen=True)
class FleetNode(_Entry):
    """What all nodes know of one node.

    `endpoints` are the ends of its tunnel, at most one address per IP version; only they may send to the tunnel.
    `addresses` are all its own: traffic to them is node traffic, which needs no egress IP. A fence needs the `links` of
    a node that does not answer any more.
    """

    name: str
    endpoints: tuple[str, ...]
    addresses: tuple[str, ...]
    links: tuple[Link, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the node as a JSON-safe dict."""
        node = {"name": self.name, "endpoints": list(self.endpoints), "addresses": list(self.addresses)}
        return {**node, "links": [link.to_dict() for link in self.links]} if self.links else node


@dataclass(frozen=True)
class Reach:
    """The destinations that an egress IP reaches from its holder's interface.

    `networks` are those of the interface; `routed` is whether a router leads from there to all others.
    """

    egress_ip: str
    networks: tuple[str, ...]
    routed: bool

    def to_dict(self) -> dict[str, Any]:
        """Return the reach as a JSON-safe dict."""
        return {"egressIP": self.egress_ip, "networks": list(self.networks), "routed": self.routed}


@dataclass(frozen=True)
class EgressObject(_Entry):
    """An EgressIP object on a node.

    `egress_ips` are all its addresses; each has a mark and a table even while it is unassigned, so that a short outage
    renumbers nothing. `slots` has one entry per address, in which an assigned address replaces each unassigned one: the
    hash of a connection selects a slot of its IP version, and the loss of one address moves only its share. `reaches`
    is empty if all addresses reach the same destinations.
    """

    name: str
    egress_ips: tuple[str, ...]
    slots: tuple[str, ...]
    destinations: Destinations = Destinations()
    reaches: tuple[Reach, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the object as a JSON-safe dict."""
        addresses = {"egressIPs": list(self.egress_ips), "slots": list(self.slots)}
        reaches = {"reaches": [reach.to_dict() for reach in self.reaches]} if self.reaches else {}
        return {"name": self.name, **addresses, **self.destinations.to_dict(), **reaches}


@dataclass(frozen=True)
class LocalPod(_Entry):
    """An address of a pod on this node, and the names of the objects that select it.

    Of several that apply to a destination, the one with the longest prefix wins, then the first. A pod without objects
    keeps the node's address; it matters in a network of `LocalNetwork`, and on a node that follows pods. There, `pod`
    is its namespace and name, "NAMESPACE/NAME". `engine` is where the node found it, one of `network_names.ENGINES`,
    empty for a pod of the manifests.
    """

    address: str
    egressips: tuple[str, ...]
    pod: str = ""
    engine: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the pod as a JSON-safe dict."""
        found: dict[str, Any] = {"address": self.address, "egressips": list(self.egressips)}
        if self.pod:
            found["pod"] = self.pod
        if self.engine:
            found["engine"] = self.engine
        return found


@dataclass(frozen=True)
class LocalNetwork(_Entry):
    """A network of containers or VMs on this node; what is in it are pods of `namespace` without labels.

    `network` is its name, `NetworkName.text`; `cidrs` are its addresses, as the node found them under this name.
    `egressips` are the sorted names of the objects that select such pods, perhaps none. If the name is that of a user
    of the host, its processes are the pods, and `uids` the texts of its UidRanges.
    """

    namespace: str
    network: str
    egressips: tuple[str, ...]
    cidrs: tuple[str, ...]
    uids: tuple[str, ...] = ()

    @property
    def is_user(self) -> bool:
        """Whether the name is that of a user of the host."""
        return self.network.startswith(f"{USER}:")

    def to_dict(self) -> dict[str, Any]:
        """Return the network as a JSON-safe dict."""
        lists = {"egressips": list(self.egressips), "cidrs": list(self.cidrs)}
        uids = {"uids": list(self.uids)} if self.uids else {}
        return {"namespace": self.namespace, "network": self.network, **lists, **uids}


@dataclass(frozen=True, order=True)
class Held(_Entry):
    """An egress IP that the node holds, and its interface."""

    egress_ip: str
    interface: str

    def to_dict(self) -> dict[str, str]:
        """Return the assignment as a JSON-safe dict."""
        return {"egressIP": self.egress_ip, "interface": self.interface}


@dataclass(frozen=True, order=True)
class FarEnd(_Entry):
    """The end of the tunnel for an egress IP that is not on its holder's primary interface: the holder's endpoint."""

    egress_ip: str
    endpoint: str

    def to_dict(self) -> dict[str, str]:
        """Return the far end as a JSON-safe dict."""
        return {"egressIP": self.egress_ip, "endpoint": self.endpoint}


@dataclass(frozen=True)
class NodeState:
    """The desired state of a node. Lists are sorted and addresses canonical, so equal states are equal values.

    `endpoints` are the node's own ends of the tunnel, at most one address per IP version. The tunnel for an egress IP
    ends at the address itself, unless `far_ends` has another address. Without `failover`, there are no `standbys`; the
    dict form has no key for empty `networks`, nor for `follow` on a node that does not follow pods between runs.
    """

    name: str
    generation: int
    interface: str
    endpoints: tuple[str, ...]
    options: DataPlaneOptions
    nodes: tuple[FleetNode, ...]
    excluded: tuple[str, ...]
    egressips: tuple[EgressObject, ...]
    pods: tuple[LocalPod, ...]
    held: tuple[Held, ...]
    far_ends: tuple[FarEnd, ...] = ()
    failover: Failover | None = None
    standbys: tuple[Standby, ...] = ()
    networks: tuple[LocalNetwork, ...] = ()
    follow: Follow | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the state as a JSON-safe dict, the form that modules exchange. States share the dicts of entries."""
        return {**self._own_fields(), **{key: [item.shared_dict for item in getattr(self, key)] for key in _LISTS}}

    def _own_fields(self) -> dict[str, Any]:
        """Return the dict form without the lists of entries."""
        return {
            "name": self.name,
            "generation": self.generation,
            "interface": self.interface,
            "endpoints": list(self.endpoints),
            "options": self.options.to_dict(),
            "excluded": list(self.excluded),
            **(self._failover_fields(self.failover) if self.failover else {}),
            **({"networks": [item.shared_dict for item in self.networks]} if self.networks else {}),
            **({"follow": self.follow.to_dict()} if self.follow else {}),
        }

    def _failover_fields(self, failover: Failover) -> dict[str, Any]:
        return {"failover": failover.to_dict(), "standbys": [item.to_dict() for item in self.standbys]}

    @classmethod
    def from_dict(cls, value: object, path: str = "state") -> NodeState:
        """Return the NodeState in the mapping `value`.

        Raises NodeStateError if it is not a mapping, and InvalidError with every error, each with its path.
        """
        return _NodeStateReader(path).read(value)

    def digest(self) -> str:
        """Return a short hash of all fields but the generation: states with equal digests configure a node equally."""
        own = {**self._own_fields(), "generation": 0}
        texts = {key: json.dumps(value, sort_keys=True) for key, value in own.items()}
        texts.update({key: _text_of(getattr(self, key)) for key in _LISTS})
        first, *others = sorted(texts)
        found = _hash_of_first(first, texts[first]).copy()
        found.update("".join(f', "{key}": {texts[key]}' for key in others).encode())
        found.update(b"}")
        return str(found.hexdigest()[:16])

    def holding(self, held: Iterable[Held]) -> NodeState:
        """Return the same state with these held addresses."""
        return replace(self, held=tuple(sorted(held)))

    def endpoint(self, version: int) -> str:
        """Return the node's own end of the tunnel of this IP version, empty without one."""
        return next(iter(of_version(self.endpoints, version)), "")

    def far_end(self, egress_ip: str) -> str:
        """Return the address at which the tunnel for an egress IP ends."""
        return self._ends.get(egress_ip, egress_ip)

    @cached_property
    def _ends(self) -> Mapping[str, str]:
        return {item.egress_ip: item.endpoint for item in self.far_ends}

    @property
    def followed_engines(self) -> tuple[str, ...]:
        """The engines whose pods this node follows between runs."""
        return self.follow.engines if self.follow else ()

    @property
    def watches_networks(self) -> bool:
        """Return whether a change of the host's networks, or of their definitions, concerns the node."""
        return self.has_containers or self.follow is not None

    @property
    def has_containers(self) -> bool:
        """Return whether the networks of engines concern the node: a namespace names some, or pods are in them."""
        return bool(self.networks) or any(pod.engine for pod in self.pods)

    @property
    def names_networks(self) -> bool:
        """Return whether namespaces name networks of the node, and not only users."""
        return not all(item.is_user for item in self.networks)

    @property
    def assigned(self) -> set[str]:
        """Return the egress IPs that a node holds."""
        return {ip for item in self.egressips for ip in item.slots}

    @property
    def egress_ips(self) -> tuple[str, ...]:
        """Return the egress IPs of all objects, sorted."""
        return tuple(sorted({ip for item in self.egressips for ip in item.egress_ips}, key=address_order))


# The fields of NodeState that are lists of entries.
_LISTS = ("nodes", "egressips", "pods", "held", "far_ends")
# Long lists of the last states, with their texts.
_MANY = 200
_TEXTS: deque[tuple[Sequence[Any], str]] = deque(maxlen=6)
_KEYS = set(NodeState.__dataclass_fields__)


@lru_cache(maxsize=4)
def _hash_of_first(key: str, text: str) -> Any:
    """Return the hash of the beginning of a state.

    The first field has the objects of the fleet, most of the text, and is equal on all nodes.
    """
    return hashlib.sha256(f'{{"{key}": {text}'.encode())


def _text_of(entries: Sequence[Any]) -> str:
    """Return the JSON text of a list of entries.

    All nodes of a fleet share some of their lists, so those of the last states are kept: otherwise N states of N nodes
    would need N times N texts.
    """
    for known, text in _TEXTS:
        if known is entries:
            return text
    text = json.dumps([item.shared_dict for item in entries], sort_keys=True)
    if len(entries) > _MANY:
        _TEXTS.append((entries, text))
    return text


def known_keys(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return the dict form of a state without the keys of a newer version, so that a downgrade can read it."""
    options = {key: item for key, item in value["options"].items() if key in DataPlaneOptions.__dataclass_fields__}
    return {**{key: item for key, item in value.items() if key in _KEYS}, "options": options}


def allocate_marks(egress_ips: Sequence[str], current: Mapping[str, int], max_index: int) -> dict[str, int]:
    """Return {egress IP: index from 1 to max_index}; raises NodeStateError when there are more egress IPs.

    Indices in `current` stay, for connections have them in their marks. New addresses take the lowest unused indices;
    those of addresses that are gone are used last.
    """
    if len(egress_ips) > max_index:
        raise NodeStateError(
            f"egress_ip_mark_mask: has room for {max_index} egress IPs, not for {len(egress_ips)}; use a wider mask"
        )
    marks = {ip: current[ip] for ip in egress_ips if ip in current and 1 <= current[ip] <= max_index}
    kept = set(marks.values())
    given_up = set(current.values()) - kept
    free = [index for index in range(1, max_index + 1) if index not in given_up and index not in kept]
    free += sorted(given_up)
    missing = [ip for ip in egress_ips if ip not in marks]
    return {**marks, **dict(zip(missing, free))}


def slots(egress_ips: Iterable[str], assigned: Collection[str]) -> tuple[str, ...]:
    """Return one assigned address per address of an object, of the same IP version; none if none is assigned.

    >>> slots(("10.0.0.1", "10.0.0.2", "10.0.0.3", "2001:db8::1"), {"10.0.0.2", "10.0.0.3"})
    ('10.0.0.2', '10.0.0.2', '10.0.0.3')
    """
    egress_ips = tuple(egress_ips)
    return tuple(slot for version in VERSIONS for slot in _stand_in(of_version(egress_ips, version), assigned))


def _stand_in(egress_ips: Iterable[str], assigned: Collection[str]) -> tuple[str, ...]:
    available = [ip for ip in egress_ips if ip in assigned]
    if not available:
        return ()
    return tuple(ip if ip in assigned else available[i % len(available)] for i, ip in enumerate(egress_ips))


class _NodeStateReader:
    """Reads the dict form of a NodeState and collects its errors."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.errors = Errors()

    def read(self, value: object) -> NodeState:
        if not isinstance(value, dict):
            raise NodeStateError(f"{self.path}: must be a mapping, not {type_name(value)}")
        self._check_keys(value)
        state = NodeState(
            name=self._string(value, "name"),
            generation=self._generation(value),
            interface=self._string(value, "interface"),
            endpoints=self._endpoints(value, self.path),
            options=self._options(value),
            nodes=self._each(value, "nodes", self._fleet_node),
            excluded=self._excluded(value),
            egressips=self._each(value, "egressips", self._egressip),
            pods=self._each(value, "pods", self._pod),
            held=tuple(sorted(self._each(value, "held", self._held))),
            far_ends=tuple(sorted(self._each(value, "far_ends", self._far_end))),
            failover=Failover.from_dict(value.get("failover"), f"{self.path}.failover", self.errors),
            standbys=read_standbys(value.get("standbys"), f"{self.path}.standbys", str(value.get("name")), self.errors),
            networks=self._each(value, "networks", self._network),
            follow=self._follow(value),
        )
        self._check_references(state)
        self.errors.raise_if_any()
        return state

    def _check_keys(self, value: Mapping[Any, Any]) -> None:
        check_fields(value, f"{self.path}.", sorted(_KEYS), self.errors)

    def _string(self, value: Mapping[str, Any], key: str) -> str:
        text = value.get(key)
        if not isinstance(text, str) or not text:
            self.errors.add(f"{self.path}.{key}", f"must be a non-empty string, not {type_name(text)}")
            return ""
        return str(text)

    def _generation(self, value: Mapping[str, Any]) -> int:
        return parse_integer(value.get("generation", 0), f"{self.path}.generation", self.errors)

    def _options(self, value: Mapping[str, Any]) -> DataPlaneOptions:
        path = f"{self.path}.options."
        options = self.errors.attempt(DataPlaneOptions.from_dict, value.get("options") or {}, path)
        return DataPlaneOptions() if options is None else options

    def _address(self, text: object, path: str, parse: Parser = parse_address) -> str:
        address = self.errors.attempt(parse, text, path)
        return "" if address is None else canonical(address)

    def _networks(self, item: Mapping[str, Any], key: str, path: str) -> list[Network]:
        texts = self._list(item, key, path)
        networks = [self.errors.attempt(parse_network, text, f"{path}.{key}[{i}]") for i, text in enumerate(texts)]
        return [network for network in networks if network is not None]

    def _excluded(self, value: Mapping[str, Any]) -> tuple[str, ...]:
        found = self._networks(value, "excluded", self.path)
        if covers_everything(found):
            self.errors.add(
                f"{self.path}.excluded", "covers every address, so that no traffic would leave with an egress IP"
            )
        return tuple(map(canonical, found))

    def _each(self, value: Mapping[str, Any], key: str, read: Reader[T]) -> tuple[T, ...]:
        return tuple(read(item, path) for item, path in self._mappings(value, key, self.path))

    def _mappings(self, value: Mapping[str, Any], key: str, path: str) -> list[tuple[Mapping[str, Any], str]]:
        """Return (mapping, its path) of the mappings in a list."""
        paths = [(item, f"{path}.{key}[{i}]") for i, item in enumerate(self._list(value, key, path))]
        checked = [(check_mapping(item, where, self.errors), where) for item, where in paths]
        return [(item, where) for item, where in checked if item is not NO_MAPPING]

    def _list(self, value: Mapping[str, Any], key: str, path: str) -> Sequence[Any]:
        return check_list(value.get(key) or [], f"{path}.{key}", self.errors)

    def _addresses(
        self, item: Mapping[str, Any], key: str, path: str, parse: Parser = parse_address
    ) -> tuple[str, ...]:
        texts = self._list(item, key, path)
        return tuple(self._address(text, f"{path}.{key}[{i}]", parse) for i, text in enumerate(texts))

    def _endpoints(self, item: Mapping[str, Any], path: str) -> tuple[str, ...]:
        endpoints = self._addresses(item, "endpoints", path)
        if not endpoints or any(len(of_version(endpoints, version)) > 1 for version in VERSIONS):
            self.errors.add(f"{path}.endpoints", "must be one IPv4 address, one IPv6 address, or one of each")
        return endpoints

    def _fleet_node(self, item: Mapping[str, Any], path: str) -> FleetNode:
        endpoints = self._endpoints(item, path)
        links = [
            Link(str(link.get("mac", "")), tuple(map(str, self._list(link, "addresses", f"{path}.links[{i}]"))))
            for i, each in enumerate(self._list(item, "links", path))
            for link in [check_mapping(each, f"{path}.links[{i}]", self.errors)]
        ]
        addresses = self._addresses(item, "addresses", path)
        return FleetNode(str(item.get("name", "")), endpoints, addresses, tuple(links))

    def _egressip(self, item: Mapping[str, Any], path: str) -> EgressObject:
        egress_ips = self._addresses(item, "egressIPs", path, parse_egress_ip)
        chosen = self._addresses(item, "slots", path)
        for i, ip in enumerate(chosen):
            if ip and ip not in egress_ips:
                self.errors.add(f"{path}.slots[{i}]", f"{ip} is not among the object's egressIPs")
        networks, excluded = (self._networks(item, key, path) for key in ("destinations", "excluded_destinations"))
        destinations = Destinations(tuple(map(canonical, networks)), tuple(map(canonical, excluded)))
        reaches = tuple(self._reach(each, where, egress_ips) for each, where in self._mappings(item, "reaches", path))
        return EgressObject(str(item.get("name", "")), egress_ips, chosen, destinations, reaches)

    def _reach(self, item: Mapping[str, Any], path: str, egress_ips: Collection[str]) -> Reach:
        egress_ip = self._address(item.get("egressIP"), f"{path}.egressIP")
        if egress_ip and egress_ip not in egress_ips:
            self.errors.add(f"{path}.egressIP", f"{egress_ip} is not among the object's egressIPs")
        routed = item.get("routed")
        if not isinstance(routed, bool):
            self.errors.add(f"{path}.routed", f"must be true or false, not {type_name(routed)}")
        return Reach(egress_ip, tuple(map(canonical, self._networks(item, "networks", path))), routed is True)

    def _pod(self, item: Mapping[str, Any], path: str) -> LocalPod:
        names = tuple(map(str, self._list(item, "egressips", path)))
        engine = item.get("engine", "")
        if engine and engine not in ENGINES:
            self.errors.add(f"{path}.engine", f"must be one of {', '.join(ENGINES)}, not {type_name(engine)}")
        address = self._address(item.get("address"), f"{path}.address")
        return LocalPod(address, names, str(item.get("pod", "")), str(engine))

    def _network(self, item: Mapping[str, Any], path: str) -> LocalNetwork:
        text = check_string(item.get("network"), f"{path}.network", self.errors) or ""
        name = self.errors.attempt(parse_network_name, text, f"{path}.network") if text else None
        names = tuple(map(str, self._list(item, "egressips", path)))
        cidrs = tuple(map(canonical, self._networks(item, "cidrs", path)))
        uids = self._uids(item, path)
        return LocalNetwork(str(item.get("namespace", "")), name.text if name else "", names, cidrs, uids)

    def _uids(self, item: Mapping[str, Any], path: str) -> tuple[str, ...]:
        texts = enumerate(self._list(item, "uids", path))
        ranges = [self.errors.attempt(parse_uid_range, text, f"{path}.uids[{i}]") for i, text in texts]
        return tuple(each.text for each in ranges if each is not None)

    def _follow(self, value: Mapping[str, Any]) -> Follow | None:
        if value.get("follow") is None:
            return None
        # Most nodes do not need it.
        from .followed_pods import Follow  # noqa: PLC0415

        return Follow.from_dict(value["follow"], f"{self.path}.follow", self.errors)

    def _held(self, item: Mapping[str, Any], path: str) -> Held:
        return Held(self._address(item.get("egressIP"), f"{path}.egressIP"), str(item.get("interface", "")))

    def _far_end(self, item: Mapping[str, Any], path: str) -> FarEnd:
        egress_ip = self._address(item.get("egressIP"), f"{path}.egressIP")
        return FarEnd(egress_ip, self._address(item.get("endpoint"), f"{path}.endpoint"))

    def _check_references(self, state: NodeState) -> None:
        names = {item.name for item in state.egressips}
        known = {ip for item in state.egressips for ip in item.egress_ips}
        followers: dict[str, Sequence[LocalPod | LocalNetwork]] = {"pods": state.pods, "networks": state.networks}
        for key, items in followers.items():
            for i, item in enumerate(items):
                for j, name in enumerate(item.egressips):
                    if name not in names:
                        path = f"{self.path}.{key}[{i}].egressips[{j}]"
                        self.errors.add(path, f"{name!r} is not the name of an object in egressips")
        for name in sorted(state.follow.objects - names if state.follow else ()):
            self.errors.add(f"{self.path}.follow.namespaces", f"{name!r} is not the name of an object in egressips")
        for i, each in enumerate(state.held):
            if each.egress_ip not in known:
                self.errors.add(
                    f"{self.path}.held[{i}].egressIP", f"{each.egress_ip} belongs to no object in egressips"
                )
        for standby in state.standbys:
            if standby.egress_ip not in known:
                self.errors.add(f"{self.path}.standbys", f"{standby.egress_ip} belongs to no object in egressips")
        if state.standbys and state.failover is None:
            self.errors.add(f"{self.path}.standbys", "must be left out without failover")
