# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a run, from the manifests, the settings and the answers of the nodes. PRIVATE to the collection. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Callable, Collection, Iterable, NamedTuple, Sequence

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
from .failover import FailoverSettings, NodeFailover, key_for, read_failover, standby_rules
from .fleet import Fleet, observe_fleet
from .follow import follow_problems, hosts_without_cluster, plan_follow, without_unfollowed
from .ineffective import ineffective
from .networks import NetworkPlan, network_lines, plan_networks, served_by_engines
from .node_limits import limits
from .node_names import with_host_names
from .rollout import OptionalParts, Rollout, parse_excluded, roll_out
from .tunnel_keys import key_of, next_keys


@dataclass(frozen=True)
class RunPlan:
    """The dicts of a Fleet, of the manifests with addresses of pools, of a Plan and of a Rollout.

    `stop_reasons` are reasons to change nothing; with any of them `rollout` is empty. `mistakes` are lines
    on silent mistakes in manifests, `notes` lines on steps of the run and on what may be as intended. `requests` and
    `objects` are the objects of the plan and all objects as values, with the names of hosts.
    """

    fleet: dict[str, Any]
    manifests: dict[str, Any]
    plan: dict[str, Any]
    rollout: dict[str, Any]
    stop_reasons: tuple[str, ...]
    mistakes: tuple[str, ...]
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
        values = {**vars(self), **{name: list(getattr(self, name)) for name in ("stop_reasons", "mistakes", "notes")}}
        del values["requests"], values["objects"]
        return {**values, "digest": self.digest}


@dataclass(frozen=True)
class RunSettings:
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
    settings: RunSettings,
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
    tunnel_key = key_of(settings.tunnel_secret, data_plane)
    run = _read_input(hosts, manifests, fenced, settings)
    fleet, requests = run.fleet, run.allocation.requests
    failover = _failover(run, settings)
    plan = _plan(requests, fleet, settings, failover.rules)
    stop = [*fleet["stop_reasons"], *_unusable(run.objects), *_excess(run.egress_ips, data_plane.max_index)]
    stop += [*failover.reasons, *settings.stop_reasons, *_reasons_against_drain(plan, run, fenced, settings)]
    parts, errors = _on_nodes(run)
    tunnel = next_keys(tunnel_key, fleet)
    lines = _Lines(_mistakes(run, parts.networks, data_plane.tunnel_device), tunnel.notes, errors)
    planned = replace(run.objects, egressips=requests.egressips, pods=(*run.objects.pods, *parts.containers.pods))
    rollout: dict[str, Any] = {}
    if states and not stop:
        standbys = NodeFailover(failover.settings, plan, fleet, withheld, failover.key) if failover.settings else None
        parts = parts._replace(failover=standbys, follow=plan_follow(run.hosts, run.objects))
        wanted = {**(options or {}), "tunnel_keys": list(tunnel.keys)}
        made = roll_out(plan, planned, fleet, settings.excluded_cidrs, wanted, withheld, parts)
        rollout, lines = made.to_dict(), lines.with_rollout(made, planned, fleet, settings, parts.networks)
    filled = _filled(manifests, run, parts.networks, lines.errors)
    if planned.pods != run.given.pods:
        filled["pods"] = [pod.to_dict() for pod in planned.pods]
    mistakes, notes = tuple(lines.mistakes), tuple(lines.notes)
    return RunPlan(fleet, filled, plan, rollout, tuple(stop), mistakes, requests, planned, notes)


class _Input(NamedTuple):
    """What a plan is made of.

    `given` are the manifests, `objects` the same with the names of hosts, which `notes` are about. `fleet` is the dict
    of a Fleet.
    """

    hosts: Sequence[Mapping[str, Any]]
    given: Manifests
    objects: Manifests
    notes: Sequence[str]
    sources: Sequence[EngineSource]
    fleet: dict[str, Any]
    allocation: Allocation
    egress_ips: frozenset[str]


def _read_input(
    hosts: Sequence[Mapping[str, Any]], manifests: Mapping[str, Any], fenced: Collection[str], settings: RunSettings
) -> _Input:
    given = Manifests.from_dict(manifests)
    objects, notes = with_host_names(given, hosts)
    sources = [EngineSource.from_dict(each) for each in manifests.get("engines", ())]
    hosts = with_engines(hosts, sources)
    fleet = _fleet(hosts, objects, fenced, settings).to_dict()
    allocation = allocate_pools(objects.egressips, fleet, settings.pools)
    egress_ips = (address for egressip in allocation.requests.egressips for address in egressip.egress_ips)
    return _Input(hosts, given, objects, notes, sources, fleet, allocation, frozenset(egress_ips))


class _Failover(NamedTuple):
    """The settings of failover (None without it), reasons against the run, fingerprint of the key, and rules."""

    settings: FailoverSettings | None
    reasons: Sequence[str]
    key: str = ""
    rules: StandbyRules | None = None


def _failover(run: _Input, settings: RunSettings) -> _Failover:
    failover, reasons = read_failover(settings.failover, run.hosts, run.fleet["eligible"], run.egress_ips)
    if not failover:
        return _Failover(None, reasons)
    key = key_for(settings.failover_key, run.fleet)
    return _Failover(failover, reasons, key, standby_rules(failover, run.hosts, run.fleet, bool(key)))


class _Lines(NamedTuple):
    """Lines for the report: `mistakes` on silent mistakes, `notes`, and `errors` in networks and containers."""

    mistakes: Sequence[str]
    notes: Sequence[str]
    errors: Sequence[str]

    def with_rollout(
        self,
        rollout: Rollout,
        planned: Manifests,
        fleet: Mapping[str, Any],
        settings: RunSettings,
        networks: NetworkPlan,
    ) -> _Lines:
        """Return the lines with those on a rollout."""
        mistakes, notes = _mistakes_in(rollout, planned, fleet, settings)
        errors, of_networks = network_lines(networks, rollout.states, fleet["observed"])
        return _Lines([*self.mistakes, *mistakes, *of_networks], [*self.notes, *notes], [*self.errors, *errors])


def _mistakes(run: _Input, networks: NetworkPlan, device: str) -> list[str]:
    """Return lines on the manifests and on the settings of nodes."""
    observed, objects = run.fleet["observed"], run.objects
    served = served_by_engines(networks, objects.pods, observed)
    return [
        *run.notes,
        *hosts_without_cluster(run.hosts, objects),
        *ineffective(run.allocation.requests.egressips, run.fleet["nodes"], objects.pods),
        *limits(observed, run.fleet["eligible"], run.egress_ips, device, served),
    ]


def _on_nodes(run: _Input) -> tuple[OptionalParts, list[str]]:
    """Return what the nodes know of networks and containers, and lines about what is wrong with it."""
    observed = run.fleet["observed"]
    networks = plan_networks(run.hosts, run.objects, observed)
    nodes = {address for member in run.fleet["members"] for address in (*member["endpoints"], *member["addresses"])}
    known = without_unfollowed(run.hosts, observed)
    containers = plan_containers(run.sources, run.objects, networks, known, nodes | run.egress_ips)
    errors = [*networks.errors, *follow_problems(observed), *containers.errors]
    return OptionalParts(networks=networks, containers=containers), errors


def _mistakes_in(
    rollout: Rollout, planned: Manifests, fleet: Mapping[str, Any], settings: RunSettings
) -> tuple[list[str], list[str]]:
    """Return (mistakes, notes): lines on pods, on their networks, and on addresses of nodes without effect."""
    own = {name: facts["addresses"] for name, facts in fleet["observed"].items()}
    names = {node["name"] for node in fleet["nodes"]}
    excluded = parse_excluded(settings.excluded_cidrs)
    unshared = unshared_lines(fleet["observed"], fleet["members"], [*excluded, *rollout.pod_networks])
    mistakes = [
        *rollout.public_lines,
        *unshared.outward,
        *without_effect(planned, rollout.selecting, own, names),
    ]
    return mistakes, unshared.other


def _fleet(
    hosts: Sequence[Mapping[str, Any]], read: Manifests, fenced: Collection[str], settings: RunSettings
) -> Fleet:
    drained, needed, gone = settings.drain_nodes, settings.min_available, settings.forget_nodes
    return observe_fleet(hosts, read.nodes, drained, needed, fenced, read.egressips, gone)


def _unusable(read: Manifests) -> list[str]:
    """Return the errors of documents that cannot be parsed: they may define addresses that are held now.

    An EgressIP with errors is no reason to stop: it keeps what it has, and the others go on.
    """
    return [error for item in read.invalid for error in item["errors"]]


def _filled(manifests: Mapping[str, Any], run: _Input, networks: NetworkPlan, errors: Sequence[str]) -> dict[str, Any]:
    """Return the manifests with addresses of pools, and with the networks."""
    allocation = run.allocation
    return {
        **manifests,
        "egressips": [egressip.document for egressip in allocation.requests.egressips],
        "owners": dict(allocation.requests.owners or {}),
        "unfilled": list(allocation.unfilled),
        "pools": [use._asdict() for use in allocation.uses],
        "networks": networks.rows(run.fleet["observed"]),
        "network_errors": list(errors),
    }


def _check_settings(settings: RunSettings) -> None:
    check_max_moves(settings.max_moves, "egress_ip_max_moves")
    if not settings.plan_seconds > 0:
        raise InventoryError(f"egress_ip_plan_seconds: must be a number above 0, not {settings.plan_seconds}")


def _excess(egress_ips: Collection[str], max_marks: int) -> list[str]:
    """Return a line if there are more egress IPs than marks."""
    if len(egress_ips) <= max_marks:
        return []
    return [f"egress_ip_mark_mask: has room for {max_marks} egress IPs, not for {len(egress_ips)}; use a wider mask"]


def _reasons_against_drain(
    plan: Mapping[str, Any], run: _Input, fenced: Collection[str], settings: RunSettings
) -> list[str]:
    """Return a line for each egress IP that is held now and that the drain leaves without a node."""
    if not settings.drain_nodes or settings.drain_force:
        return []
    undrained = replace(settings, drain_nodes=(), max_moves=0)

    def plan_without_drain() -> dict[str, Any]:
        fleet = _fleet(run.hosts, run.objects, fenced, undrained).to_dict()
        return _plan(run.allocation.requests, fleet, undrained)

    return drain_losses(plan, run.fleet, plan_without_drain)


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
    requests: Requests, fleet: Mapping[str, Any], settings: RunSettings, rules: StandbyRules | None = None
) -> dict[str, Any]:
    current, policy, cap = fleet["current"], settings.policy, settings.cap
    return make_plan(requests, fleet["nodes"], current, policy, cap, settings.deadline, rules).to_dict()
