# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The facts of a node: what it is, what it holds, what prevents a run. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from .._dataplane.forward_filters import ForwardFilter, missing_exceptions
from .._dataplane.interfaces import CALL_IPTABLES, filtered_bridge_versions, own_networks, routers, usable_interfaces
from .._dataplane.node_state import Held, NodeState
from .._dataplane.options import DataPlaneOptions
from .._dataplane.state import (
    desired_data_plane,
    drift_lines,
    endpoints_of,
    held_on,
    lines_between,
    own_addresses,
    problems_of,
)
from .._host_io import files
from .._host_io.host_io import HostIO
from . import metrics_file, systemd_units
from .address_conflicts import mac_address, other_holders
from .current_state import Reading, missing_requirements, read_data_plane, read_node
from .engine_changes import EngineChanges
from .engine_install import engine_changes
from .failover_key import load_key
from .installed_files import is_follower_stopped, left_over, missing_files
from .networks import named_networks
from .platform_detection import AUTO, Platform, fact_names, find_platform, platform_rows, refusal
from .record import Record
from .takeovers import Takeovers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .metrics import Metrics


class ObserveRequest(NamedTuple):
    """What a caller wants to have observed.

    `interface` and `platform` are the user's, `platforms` the rows of providers for `platform_rows`; `recall` names
    objects whose addresses and pods on record are wanted, `networks` those networks of containers and VMs whose
    addresses are wanted, `engines` those whose containers are, `follow` the engines whose pods are to be followed.
    `metrics` costs a dump of all connections, and `probe`, for other holders of this node's addresses, 0.4 seconds.
    """

    interface: str = ""
    platform: str = AUTO
    platforms: Collection[Mapping[str, Any]] = ()
    recall: Collection[str] = ()
    networks: Collection[str] = ()
    follow: Collection[str] = ()
    engines: Collection[str] = ()
    metrics: bool = False
    probe: bool = False


_DEFAULT_REQUEST = ObserveRequest()


class Followed(NamedTuple):
    """What is known of pods that start between runs: changes of their engines, and notes of containers.

    `containers` are those that chose their namespace when they started, `ended` the keys of those that have ended.
    """

    engines: EngineChanges = EngineChanges()
    containers: Collection[Mapping[str, Any]] = ()
    ended: Collection[str] = ()


@dataclass(frozen=True)
class NodeFacts:
    """What `node_info` returns: all fields always, empty where the host has no value.

    With `problems`, nothing else but `packages` and `platform` is known. `lost` is why a node that held addresses has
    lost its interface; nothing else is known then.
    """

    platform: Platform
    problems: Collection[str] = ()
    packages: Collection[str] = ()
    lost: str = ""
    interface: str = ""
    endpoints: Collection[str] = ()
    networks: Collection[Mapping[str, Any]] = ()
    macs: Mapping[str, str] = field(default_factory=dict)
    addresses: Collection[str] = ()
    gateways: Collection[str] = ()
    routers: Mapping[str, Collection[str]] = field(default_factory=dict)
    bridge_filtered: Collection[int] = ()
    forward_filters: Collection[ForwardFilter] = ()
    held: Collection[Held] = ()
    drift: Collection[str] = ()
    recalled: Collection[Mapping[str, object]] = ()
    named_networks: Collection[Mapping[str, object]] = ()
    containers: Collection[Mapping[str, object]] = ()
    followed_pods: Collection[Mapping[str, object]] = ()
    takeovers: Collection[Mapping[str, object]] = ()
    failover_key: str = ""
    metrics: Metrics | None = None
    since: Mapping[str, float] = field(default_factory=dict)
    conflicts: Collection[Mapping[str, str]] = ()
    follow_problem: str = ""
    record: Record | None = None

    def to_dict(self) -> dict[str, object]:
        """Return the facts as a JSON-safe dict."""
        state = self.record.state if self.record else None
        return {
            "problems": list(self.problems),
            "packages": list(self.packages),
            "lost": self.lost,
            "platform": self.platform.to_dict(),
            "interface": self.interface,
            "endpoints": list(self.endpoints),
            "networks": list(self.networks),
            "macs": dict(self.macs),
            "addresses": list(self.addresses),
            "gateways": list(self.gateways),
            "routers": dict(self.routers),
            "bridge_filtered": list(self.bridge_filtered),
            "forward_filters": [item._asdict() for item in self.forward_filters],
            "held": [item.to_dict() for item in self.held],
            "generation": state.generation if state else 0,
            "digest": state.digest() if state else "",
            "drift": list(self.drift),
            "nodes": [item.to_dict() for item in state.nodes] if state else [],
            "far_ends": [item.to_dict() for item in state.far_ends] if state else [],
            "tunnel_keys": list(state.options.tunnel_keys) if state else [],
            **(self._failover_fields(state) if state and state.failover else {}),
            "recalled": list(self.recalled),
            "named_networks": list(self.named_networks),
            "containers": list(self.containers),
            "followed_pods": list(self.followed_pods),
            "metrics": self.metrics,
            "since": dict(self.since),
            "conflicts": list(self.conflicts),
            "follow_problem": self.follow_problem,
        }

    def _failover_fields(self, state: NodeState) -> dict[str, object]:
        """Return the facts of a node with failover; the order is that in which nodes claim an egress IP."""
        orders = [(item.egress_ip, [peer.name for peer in item.order]) for item in state.standbys]
        return {
            "standbys": [{"egressIP": ip, "order": order} for ip, order in orders],
            "takeovers": list(self.takeovers),
            "failover_key": self.failover_key,
        }


def observe(io: HostIO, options: DataPlaneOptions, request: ObserveRequest = _DEFAULT_REQUEST) -> NodeFacts:
    """Return the facts of this host. Raises EgressIPError if it cannot be read."""
    rows = platform_rows(request.platforms)
    platform = find_platform(io.platform_facts(fact_names(rows)), rows, request.platform)
    refused = refusal(platform) if request.platform == AUTO else None
    if refused:
        return NodeFacts(platform, problems=[refused])
    packages, problems = io.missing_packages(), missing_requirements(io, options)
    if problems:
        return NodeFacts(platform, problems, packages)
    return _observe_node(io, options, request, platform, _read_settled(io))


def _observe_node(
    io: HostIO, options: DataPlaneOptions, request: ObserveRequest, platform: Platform, reading: Reading
) -> NodeFacts:
    """Return the facts of a host that can be a node."""
    record, host, _tables, claimed = reading
    known = record.state.interface if record else ""
    interface = request.interface or host.default_interface() or known
    networks = own_networks(host, interface, claimed)
    if not networks and known and interface == known:
        # A fault of a node that worked; it must not stop the others.
        return NodeFacts(platform, lost=f"{interface} does not exist or has no address of its own")
    problems = problems_of(host, options, interface)
    if not problems and not networks:
        problems = [f"egress_ip_interface: {interface} has no address of its own"]
    interfaces = usable_interfaces(host, interface, claimed)
    followed = _followed(io, request.follow or (record.state.followed_engines if record else ()))
    facts = NodeFacts(
        platform,
        problems,
        interface=interface,
        endpoints=endpoints_of(networks),
        networks=interfaces,
        macs={item["interface"]: mac_address(host, item["interface"]) for item in interfaces},
        addresses=own_addresses(host, options.tunnel_device, claimed),
        gateways=host.gateways(),
        routers=routers(host, [item["interface"] for item in interfaces]),
        bridge_filtered=filtered_bridge_versions(host, interface, io.read_sysctls(CALL_IPTABLES.values())),
        forward_filters=missing_exceptions(io.read_forward_filters(), options.tunnel_device),
        held=held_on(host, claimed),
        named_networks=named_networks(io, host, request.networks, record),
        follow_problem=followed.engines.problem if request.follow else "",
        containers=[_containers(io, engine, record) for engine in request.engines],
        followed_pods=[_followed_pod(note) for note in followed.containers],
        record=record,
    )
    return replace(
        facts,
        **_on_record(io, record, reading, request, followed),
        conflicts=_conflicts(io, facts, reading, request),
    )


def _containers(io: HostIO, engine: str, record: Record | None) -> dict[str, object]:
    """Return {engine, found, problem, kept}: its containers, or why they are not known and those on record."""
    found, problem = io.find_containers(engine)
    recorded = record.state.pods if record and problem else ()
    kept = [{"address": pod.address, "egressips": list(pod.egressips)} for pod in recorded if pod.engine == engine]
    return {"engine": engine, "found": [each.to_dict() for each in found], "problem": problem, "kept": kept}


def _followed(io: HostIO, engines: Collection[str]) -> Followed:
    return Followed(engine_changes(io, engines), *io.followed_containers()) if engines else Followed()


def _followed_pod(note: Mapping[str, Any]) -> dict[str, object]:
    """Return {name, namespace, labels, addresses} of a container that chose its namespace when it started."""
    namespace, _slash, name = note["name"].partition("/")
    return {"name": name, "namespace": namespace, "labels": note["labels"], "addresses": note["addresses"]}


def _read_settled(io: HostIO) -> Reading:
    """Return the reading of the node, after its watch has checked whether another node has what it holds."""
    reading = read_node(io, Record.load(io))
    record, host, _tables, claimed = reading
    if record and _is_in_doubt(io, held_on(host, claimed)):
        io.wait_until(lambda: not io.was_away(), 2 * systemd_units.WATCH_INTERVAL)
        reading = read_node(io, Record.load(io))
    return reading


def _is_in_doubt(io: HostIO, held: Collection[Held]) -> bool:
    """Return whether this node was away, and its watch is about to check whether another node has what it holds.

    A plan with its present answer might leave an address without a holder: the other node releases it, because the plan
    names this node, and so does the watch, because the other node had it.
    """
    return (
        bool(held)
        and all(io.has_link(item.interface) for item in held)
        and io.was_away()
        and io.run(["systemctl", "is-active", "--quiet", systemd_units.WATCH_TIMER]).status == 0
    )


def _on_record(
    io: HostIO, record: Record | None, reading: Reading, request: ObserveRequest, followed: Followed
) -> dict[str, Any]:
    """Return the facts that need a record."""
    if record is None:
        return {}
    return {
        "drift": _drift(io, record, reading, followed),
        "recalled": _recall(record.state, request.recall),
        "metrics": metrics_file.measure(io, record) if request.metrics else None,
        "since": _since(io, reading.claimed) if request.metrics else {},
        "takeovers": _takeovers(io, record) if record.state.failover else [],
        "failover_key": record.state.failover.key if record.state.failover and load_key(io, record.state) else "",
    }


def _since(io: HostIO, claimed: Collection[str]) -> dict[str, float]:
    """Return {egress IP: seconds since 1970 at which this node got it} of what it holds."""
    now, ages = io.wall_clock(), io.read_ages()
    return {ip: round(now - ages[ip]) for ip in sorted(claimed) if ip in ages}


def _takeovers(io: HostIO, record: Record) -> list[Mapping[str, object]]:
    """Return what this node took over since the plan on record."""
    taken = Takeovers.load(io, record).taken
    return [{"egressIP": ip, "from": each.former, "since": each.since} for ip, each in sorted(taken.items())]


def _drift(io: HostIO, record: Record, reading: Reading, followed: Followed) -> list[str]:
    """Return `drift_lines` of the node, with missing, changed and surplus files."""
    options = record.state.options
    current = read_data_plane(io, reading.host, options, record.claimed, reading.tables)
    missing, surplus = lines_between(current, desired_data_plane(record.state, record.marks, reading.host))
    failover = record.state.failover is not None
    missing += [f"file {path}" for path in missing_files(io, systemd_units.Parts.of(record.state))]
    if record.state.failover and record.state.failover.key and not load_key(io, record.state):
        missing.append(f"file {files.FAILOVER_KEY}")
    if failover and is_follower_stopped(io):
        missing.append(f"unit {systemd_units.FOLLOW_UNIT}, which does not run")
    missing += [f"file {path}" for path in (followed.engines.added if record.state.follow else ())]
    surplus += [f"file {path}" for path in left_over(io, record.state, options)]
    surplus += [f"class of the container {key}, which has ended" for key in followed.ended]
    return drift_lines(missing, surplus)


def _conflicts(io: HostIO, facts: NodeFacts, reading: Reading, request: ObserveRequest) -> list[Mapping[str, str]]:
    """Return the held addresses for which another host answers, with its MAC."""
    if not request.probe:
        return []
    linked = [item for item in facts.held if io.has_link(item.interface)]
    others = other_holders(io, linked, reading.host)
    return [{**item.to_dict(), "mac": mac} for item, mac in sorted(others.items())]


def _recall(state: NodeState, names: Iterable[str]) -> list[Mapping[str, object]]:
    wanted = {*names}
    pods: dict[str, list[str]] = {}
    for pod in state.pods:
        for name in dict.fromkeys(pod.egressips):
            pods.setdefault(name, []).append(pod.address)
    networks, rules = _networks_by_object(state), _rules_by_object(state)
    return [
        {
            "name": item.name,
            "egressIPs": list(item.egress_ips),
            **item.destinations.to_dict(),
            "pods": pods.get(item.name, []),
            **({"networks": sorted(networks[item.name])} if item.name in networks else {}),
            **({"namespaces": rules[item.name]} if item.name in rules else {}),
        }
        for item in state.egressips
        if item.name in wanted
    ]


def _networks_by_object(state: NodeState) -> dict[str, set[str]]:
    """Return {object: networks of its pods} of the objects that have some."""
    found: dict[str, set[str]] = {}
    for each in state.networks:
        for name in each.egressips:
            found.setdefault(name, set()).add(each.network)
    return found


def _rules_by_object(state: NodeState) -> dict[str, list[Mapping[str, object]]]:
    """Return {object: [{name, podSelector}]}: the namespaces of whose pods an object selects some."""
    found: dict[str, list[Mapping[str, object]]] = {}
    for each in state.follow.namespaces if state.follow else ():
        for rule in each.rules:
            selector = {"name": each.name, "podSelector": rule.to_dict().get("podSelector", {})}
            found.setdefault(rule.egressip, []).append(selector)
    return found
