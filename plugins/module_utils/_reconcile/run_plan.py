# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a run, from the manifests, the settings and the answers of the nodes. PRIVATE to the collection. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Callable, Collection, Iterable, Sequence

from .._common.errors import InventoryError
from .._dataplane.options import DataPlaneOptions
from .._kubernetes.engine_sources import EngineSource
from .._kubernetes.manifests import Manifests
from .._planner.assign import check_max_moves, make_plan
from .._planner.pool_allocation import Allocation, allocate_pools
from .._planner.requests import Requests
from .._planner.standbys import StandbyRules
from .containers import plan_containers, with_engines
from .coverage import without_effect
from .credibility import unshared_lines
from .failover import NodeFailover, key_for, read_failover, standby_rules
from .fleet import Fleet, observe_fleet
from .follow import follow_problems, hosts_without_cluster, plan_follow, without_unfollowed
from .ineffective import ineffective
from .networks import network_lines, plan_networks, served_by_engines
from .node_limits import limits
from .node_names import with_host_names
from .rollout import OptionalParts, Rollout, parse_excluded, roll_out
from .tunnel_keys import key_of, next_keys


@dataclass(frozen=True)
class RunPlan:
    """The dicts of a Fleet, of the manifests with addresses of pools, of a Plan and of a Rollout.

    `stop_reasons` are reasons to change nothing; with any of them `rollout` is empty. `doubts` are lines
    on silent mistakes in manifests, `notes` lines on steps of the run and on what may be as intended. `requests` and
    `objects` are the objects of the plan and all objects as values, with the names of hosts.
    """

    fleet: dict[str, Any]
    manifests: dict[str, Any]
    plan: dict[str, Any]
    rollout: dict[str, Any]
    stop_reasons: tuple[str, ...]
    doubts: tuple[str, ...]
    requests: Requests
    objects: Manifests
    notes: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """A digest of the holders before and after, which differs for plans that move egress IPs differently."""
        holders = [[item["egressIP"], item["node"]] for item in self.fleet["current"]]
        goals = [[item["egressIP"], item["node"], item["name"]] for item in self.plan["assignments"]]
        text = json.dumps([sorted(holders), sorted(goals)])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def to_dict(self) -> dict[str, Any]:
        """Return the plan of the run as a dict of plain values."""
        values = {**vars(self), **{name: list(getattr(self, name)) for name in ("stop_reasons", "doubts", "notes")}}
        del values["requests"], values["objects"]
        return {**values, "digest": self.digest}


@dataclass(frozen=True)
class Settings:
    """Settings of a whole run: the variables of the same names with the prefix ``egress_ip_``.

    The planner returns its best plan so far when `deadline` returns true, `plan_seconds` after the start. `failover`
    {setting: value} are those of `egress_ip_failover` (empty key) and `egress_ip_failover_*`. With
    `tunnel_secret` the nodes encrypt the tunnel, if the options of the data plane want that. With `failover_key` nodes
    with failover call each other, unless all have the same key already. `keep_holders` and
    `stop_reasons` are those of the audit of the platforms: no moves for balance, and reasons to change nothing.
    """

    policy: str = "balanced"
    max_moves: int | None = None
    min_available: object = "50%"
    pools: Mapping[str, Any] = field(default_factory=dict)
    excluded_cidrs: Sequence[str] = ()
    drain_nodes: Sequence[str] = ()
    drain_force: bool = False
    forget_nodes: Sequence[str] = ()
    plan_seconds: float = 10
    failover: Mapping[str, Any] = field(default_factory=dict)
    tunnel_secret: str = field(default="", repr=False)
    failover_key: str = field(default="", repr=False)
    keep_holders: bool = False
    stop_reasons: Sequence[str] = ()
    deadline: Callable[[], bool] = lambda: False

    @property
    def cap(self) -> int | None:
        """The number of moves that may be made only for balance; 0 while nodes are drained or holders kept."""
        return 0 if self.drain_nodes or self.keep_holders else self.max_moves


def plan_run(
    hosts: Sequence[Mapping[str, Any]],
    manifests: Mapping[str, Any],
    settings: Settings,
    options: Mapping[str, Any] | None = None,
    fenced: Collection[str] = (),
    withheld: Collection[str] = (),
    states: bool = True,
) -> RunPlan:
    """Return the RunPlan. `hosts` are as `observe_fleet` takes them, `manifests` is what the lookup returned.

    `options` are those of the data plane. `fenced` nodes hold nothing, `withheld` egress IPs must not be claimed.
    Without `states` there is no rollout. Raises EgressIPError for an invalid inventory.
    """
    _check_settings(settings)
    # First: each node that gets invalid options reports them too, but does not know the variable's name.
    data_plane = DataPlaneOptions.from_dict(options or {}, "egress_ip_")
    key = key_of(settings.tunnel_secret, data_plane)
    given = Manifests.from_dict(manifests)
    read, notes = with_host_names(given, hosts)
    sources = [EngineSource.from_dict(each) for each in manifests.get("engines", ())]
    hosts = with_engines(hosts, sources)
    fleet = _fleet(hosts, read, fenced, settings).to_dict()
    allocation = allocate_pools(read.egressips, fleet, settings.pools)
    requests = allocation.requests
    egress_ips = {address for egressip in requests.egressips for address in egressip.egress_ips}
    failover, against = read_failover(settings.failover, hosts, fleet["eligible"], egress_ips)
    call_key = key_for(settings.failover_key, fleet) if failover else ""
    rules = standby_rules(failover, hosts, fleet, bool(call_key)) if failover else None
    plan = _plan(requests, fleet, settings, rules)
    stop = [*fleet["stop_reasons"], *_unusable(read), *_excess(egress_ips, data_plane.max_index), *against]
    stop += settings.stop_reasons
    stop += _reasons_against_drain(plan, fleet, requests, partial(_fleet, hosts, read, fenced), settings)
    doubts = [*notes, *hosts_without_cluster(hosts, read), *ineffective(requests.egressips, fleet["nodes"], read.pods)]
    on_nodes, wrong = _on_nodes(hosts, read, sources, fleet, egress_ips)
    served = served_by_engines(on_nodes.networks, read.pods, fleet["observed"])
    doubts += limits(fleet["observed"], fleet["eligible"], egress_ips, data_plane.tunnel_device, served)
    tunnel = next_keys(key, fleet)
    steps = [*tunnel.notes]
    wanted = {**(options or {}), "tunnel_keys": list(tunnel.keys)}
    rollout: dict[str, Any] = {}
    planned = replace(read, egressips=requests.egressips, pods=(*read.pods, *on_nodes.containers.pods))
    if states and not stop:
        standbys = NodeFailover(failover, plan, fleet, withheld, call_key) if failover else None
        more_of_nodes = on_nodes._replace(failover=standbys, follow=plan_follow(hosts, read))
        made = roll_out(plan, planned, fleet, settings.excluded_cidrs, wanted, withheld, more_of_nodes)
        rollout = made.to_dict()
        found, more = _doubts_about(made, planned, fleet, settings)
        faults, of_networks = network_lines(on_nodes.networks, made.states, fleet["observed"])
        doubts, steps, wrong = [*doubts, *found, *of_networks], [*steps, *more], [*wrong, *faults]
    filled = {
        **_with_addresses_of_pools(manifests, allocation),
        "networks": on_nodes.networks.rows(fleet["observed"]),
        "network_errors": wrong,
    }
    if planned.pods != given.pods:
        filled["pods"] = [pod.to_dict() for pod in planned.pods]
    return RunPlan(fleet, filled, plan, rollout, tuple(stop), tuple(doubts), requests, planned, tuple(steps))


def _on_nodes(
    hosts: Sequence[Mapping[str, Any]],
    read: Manifests,
    sources: Sequence[EngineSource],
    fleet: Mapping[str, Any],
    egress_ips: Collection[str],
) -> tuple[OptionalParts, list[str]]:
    """Return what the nodes know of networks and containers, and lines about what is wrong with it."""
    observed = fleet["observed"]
    networks = plan_networks(hosts, read, observed)
    nodes = {address for member in fleet["members"] for address in (*member["endpoints"], *member["addresses"])}
    known = without_unfollowed(hosts, observed)
    containers = plan_containers(sources, read, networks, known, nodes | {*egress_ips})
    errors = [*networks.errors, *follow_problems(observed), *containers.errors]
    return OptionalParts(networks=networks, containers=containers), errors


def _doubts_about(
    rollout: Rollout, planned: Manifests, fleet: Mapping[str, Any], settings: Settings
) -> tuple[list[str], list[str]]:
    """Return (doubts, notes): lines on pods, on their networks, and on addresses of nodes without effect."""
    own = {name: facts["addresses"] for name, facts in fleet["observed"].items()}
    names = {node["name"] for node in fleet["nodes"]}
    excluded = parse_excluded(settings.excluded_cidrs)
    unshared = unshared_lines(fleet["observed"], fleet["members"], [*excluded, *rollout.pod_networks])
    doubts = [
        *rollout.public_lines,
        *unshared.outward,
        *without_effect(planned, rollout.selecting, own, names),
    ]
    return doubts, unshared.other


def _fleet(hosts: Sequence[Mapping[str, Any]], read: Manifests, fenced: Collection[str], settings: Settings) -> Fleet:
    drained, needed, gone = settings.drain_nodes, settings.min_available, settings.forget_nodes
    return observe_fleet(hosts, read.nodes, drained, needed, fenced, read.egressips, gone)


def _unusable(read: Manifests) -> list[str]:
    """Return the errors of documents that cannot be parsed: they may define addresses that are held now.

    An EgressIP with errors is no reason to stop: it keeps what it has, and the others go on.
    """
    return [error for item in read.invalid for error in item["errors"]]


def _with_addresses_of_pools(manifests: Mapping[str, Any], allocation: Allocation) -> dict[str, Any]:
    return {
        **manifests,
        "egressips": [egressip.document for egressip in allocation.requests.egressips],
        "owners": dict(allocation.requests.owners or {}),
        "unfilled": list(allocation.unfilled),
        "pools": [use._asdict() for use in allocation.uses],
    }


def _check_settings(settings: Settings) -> None:
    check_max_moves(settings.max_moves, "egress_ip_max_moves")
    if not settings.plan_seconds > 0:
        raise InventoryError(f"egress_ip_plan_seconds: must be a number above 0, not {settings.plan_seconds}")


def _excess(egress_ips: Collection[str], max_marks: int) -> list[str]:
    """Return a line if there are more egress IPs than marks."""
    if len(egress_ips) <= max_marks:
        return []
    return [f"egress_ip_mark_mask: has room for {max_marks} egress IPs, not for {len(egress_ips)}; use a wider mask"]


def _reasons_against_drain(
    plan: Mapping[str, Any],
    fleet: Mapping[str, Any],
    requests: Requests,
    fleet_with: Callable[[Settings], Fleet],
    settings: Settings,
) -> list[str]:
    """Return a line for each egress IP that is held now and that the drain leaves without a node."""
    if not settings.drain_nodes or settings.drain_force:
        return []
    undrained = replace(settings, drain_nodes=(), max_moves=0)
    return drain_losses(plan, fleet, lambda: _plan(requests, fleet_with(undrained).to_dict(), undrained))


def drain_losses(
    plan: Mapping[str, Any], fleet: Mapping[str, Any], plan_without_drain: Callable[[], Mapping[str, Any]]
) -> list[str]:
    """Return a line for each egress IP that is held now and that the drain leaves without a node.

    `plan` and `fleet` are dicts of the run with the drain; `plan_without_drain` is called only if a held egress IP has
    no node in `plan`.
    """
    held = {entry["egressIP"] for entry in fleet["current"]}
    lost = [each for each in plan["unassigned"] if each["egressIP"] in held - _assigned(plan)]
    spared = _assigned(plan_without_drain()) if lost else set()
    return [
        f"egress_ip_drain_nodes: {each['egressIP']} of {each['name']} would become unassigned: {each['message']};"
        " set egress_ip_drain_force: true to drain anyway"
        for each in lost
        if each["egressIP"] in spared
    ]


def _assigned(plan: Mapping[str, Any]) -> set[str]:
    assignments: Iterable[Mapping[str, str]] = plan["assignments"]
    return {entry["egressIP"] for entry in assignments}


def _plan(
    requests: Requests, fleet: Mapping[str, Any], settings: Settings, rules: StandbyRules | None = None
) -> dict[str, Any]:
    current, policy, cap = fleet["current"], settings.policy, settings.cap
    return make_plan(requests, fleet["nodes"], current, policy, cap, settings.deadline, rules).to_dict()
