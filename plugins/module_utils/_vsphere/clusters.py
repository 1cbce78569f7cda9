# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read and write the DRS rules of clusters. PRIVATE to the collection. No policy."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from .anti_affinity import DrsCluster, Rule, RuleChange, rule_name
from .errors import VsphereError
from .inventory import choose_vms
from .pyvmomi import vim
from .session import Session, plain_name

_CLUSTER = ("name", "host", "configurationEx")


def read_clusters(session: Session, selectors: Sequence[Mapping[str, Any]], name: str) -> list[DrsCluster]:
    """Return all clusters that the user can read, in the order of their names, with the own rule ``name``.

    Raises VsphereError for a VM in no such cluster.
    """
    found = {
        cluster: each
        for cluster, each in session.all_properties(vim.ClusterComputeResource, _CLUSTER).items()
        if each.get("configurationEx") is not None
    }
    on = {host: cluster for cluster, each in found.items() for host in each.get("host") or ()}
    vms = _chosen_vms(session, selectors, on)
    named = {vm: plain_name(each.get("name")) or vm._GetMoId() for vm, each in _members(session, found, name).items()}
    clusters = [
        _cluster(cluster, each, name, vms.get(cluster, {}), {**named, **vms.get(cluster, {})})
        for cluster, each in found.items()
    ]
    return sorted(clusters, key=lambda cluster: (cluster.name, cluster.id))


def _chosen_vms(
    session: Session, selectors: Sequence[Mapping[str, Any]], clusters: Mapping[Any, Any]
) -> dict[Any, dict[Any, str]]:
    """Return {cluster: {VM: its name}}; ``clusters``: the cluster of each host."""
    chosen = choose_vms(session, selectors)
    hosts = session.properties([vm["object"] for vm in chosen], ("runtime.host",))
    found: dict[Any, dict[Any, str]] = {}
    for n, vm in enumerate(chosen):
        host = hosts[vm["object"]]["runtime.host"]
        if host not in clusters:
            raise VsphereError(f"vms[{n}]: {vm['name']} must be in a cluster that this user can read; DRS needs one")
        found.setdefault(clusters[host], {})[vm["object"]] = vm["name"]
    return found


def _members(session: Session, clusters: Mapping[Any, Any], name: str) -> dict[Any, Any]:
    """Return the properties of all VMs in rules ``name``."""
    infos = [_info(each["configurationEx"], name) for each in clusters.values()]
    vms = {vm for info in infos for vm in getattr(info, "vm", ())}
    return session.properties(list(vms), ("name",))


def _info(config: Any, name: str) -> Any:
    """Return the rule ``name`` in the configuration of a cluster; None if there is none."""
    return next((rule for rule in config.rule if plain_name(rule.name) == rule_name(name)), None)


def _cluster(cluster: Any, found: Mapping[str, Any], name: str, chosen: Mapping[Any, str], names: Any) -> DrsCluster:
    config = found["configurationEx"]
    info = _info(config, name)
    is_own = isinstance(info, vim.cluster.AntiAffinityRuleSpec)
    vms = _ordered({vm: names[vm] for vm in info.vm}) if is_own else ()
    drs = config.drsConfig
    return DrsCluster(
        id=cluster._GetMoId(),
        name=plain_name(found["name"]),
        has_drs=bool(drs and drs.enabled),
        rule=Rule(vms, bool(info.enabled), bool(info.mandatory)) if is_own else None,
        is_foreign=info is not None and not is_own,
        vms=_ordered(chosen),
        handle={"cluster": cluster, "info": info, "vms": list(chosen)},
    )


def _ordered(vms: Mapping[Any, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(((str(vm._GetMoId()), name) for vm, name in vms.items()), key=lambda pair: (pair[1], pair[0])))


def write_rules(session: Session, name: str, changes: Sequence[RuleChange]) -> None:
    """Write the rules ``name`` of clusters, one task each."""
    for change in changes:
        handle = change.cluster.handle
        spec = vim.cluster.ConfigSpecEx(rulesSpec=[_spec(name, change)])
        reconfigure = handle["cluster"].ReconfigureComputeResource_Task
        session.run(f"cluster {change.cluster.name}", reconfigure, spec, True)


def _spec(name: str, change: RuleChange) -> Any:
    info, after = change.cluster.handle["info"], change.after
    if after is None:
        return vim.cluster.RuleSpec(operation="remove", removeKey=info.key)
    written = vim.cluster.AntiAffinityRuleSpec(
        name=rule_name(name),
        enabled=after.enabled,
        mandatory=after.mandatory,
        userCreated=True,
        vm=change.cluster.handle["vms"],
    )
    if info is None:
        return vim.cluster.RuleSpec(operation="add", info=written)
    written.key, written.ruleUuid = info.key, info.ruleUuid
    return vim.cluster.RuleSpec(operation="edit", info=written)
