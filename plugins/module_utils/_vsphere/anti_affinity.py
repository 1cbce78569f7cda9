# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DRS rules that keep VMs on different ESXi hosts. PRIVATE to the collection. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Collection, Mapping, Sequence

from .._common.messages import listed, quote
from .change_note import TAG
from .errors import VsphereError, VsphereInterruptedError

if TYPE_CHECKING:
    from .client import Client

# The API accepts no rule with fewer VMs.
_FEWEST = 2
_VMS_SHOWN = 5


@dataclass(frozen=True)
class Rule:
    """An anti-affinity rule. ``vms``: (ID, name) of each VM, in the order of the names."""

    vms: tuple[tuple[str, str], ...]
    enabled: bool
    mandatory: bool

    def to_dict(self) -> dict[str, Any]:
        """Return {vms: names, enabled, mandatory}."""
        return {"vms": [name for _moid, name in self.vms], "enabled": self.enabled, "mandatory": self.mandatory}


@dataclass(frozen=True)
class DrsCluster:
    """A cluster and the rule there that has the requested name.

    ``id``: unique in the vCenter; ``has_drs``: whether DRS is enabled; ``rule``: None if there is none; ``is_foreign``:
    whether the name belongs to a rule of another kind; ``vms``: (ID, name) of the requested VMs there, in the order of
    the names; ``handle``: for the client only.
    """

    id: str
    name: str
    has_drs: bool
    rule: Rule | None
    is_foreign: bool
    vms: tuple[tuple[str, str], ...]
    handle: dict[str, Any]


@dataclass(frozen=True)
class RuleChange:
    """The write to a cluster: ``after`` is its rule then, None for none."""

    cluster: DrsCluster
    after: Rule | None


def rule_name(name: str) -> str:
    """Return the name of an own rule in the vCenter, by which it is recognized."""
    return f"{TAG} {name}"


def decide(clusters: Sequence[DrsCluster], name: str, present: bool, mandatory: bool) -> list[RuleChange]:
    """Return a RuleChange for each cluster whose rule ``name`` differs. Raises VsphereError.

    A cluster with fewer than two of the VMs needs no rule. With ``present``, a rule that has none of the VMs is that of
    another fleet.
    """
    changes = []
    named = {vm for cluster in clusters for vm, _name in cluster.vms}
    for cluster in clusters:
        wanted = Rule(cluster.vms, True, mandatory) if present and len(cluster.vms) >= _FEWEST else None
        if wanted and cluster.is_foreign:
            raise VsphereError(
                f"name: {quote(rule_name(name))} is a rule of another kind in cluster {cluster.name}; use another name"
            )
        if present and cluster.rule and _is_of_others(cluster.rule, named):
            if wanted:
                raise VsphereError(
                    f"name: {quote(rule_name(name))} is a rule of other VMs in cluster {cluster.name}, of"
                    f" {listed(cluster.rule.to_dict()['vms'], _VMS_SHOWN)}; use another name, or remove that rule first"
                )
            continue
        if cluster.rule != wanted:
            changes.append(RuleChange(cluster, wanted))
    return changes


def _is_of_others(rule: Rule, named: Collection[str]) -> bool:
    """Return whether a rule has VMs, but none of those with the IDs ``named``."""
    return bool(rule.vms) and not any(vm in named for vm, _name in rule.vms)


class AntiAffinity:
    """One run of `vsphere_anti_affinity`. Call it with a client, and again after each VsphereInterruptedError."""

    def __init__(self, options: Mapping[str, Any], check_mode: bool) -> None:
        self._vms = options["vms"] or ()
        self._name = options["name"]
        self._present = options["state"] == "present"
        self._mandatory = options["mandatory"]
        self._check_mode = check_mode
        self._before: dict[str, Rule | None] = {}

    def __call__(self, client: Client) -> dict[str, Any]:
        """Read, decide, write, and read again; return {changed, rules, warnings, diff}. Raises VsphereError."""
        if self._present and len(self._vms) < _FEWEST:
            raise VsphereError(f"vms: must name at least {_FEWEST} VMs, not {len(self._vms)}")
        clusters, changes = self._observe(client)
        for cluster in clusters:
            self._before.setdefault(cluster.id, cluster.rule)
        if changes and not self._check_mode:
            client.write_rules(self._name, changes)
            clusters, left = self._observe(client)
            if left:
                raise VsphereInterruptedError(
                    f"cluster {left[0].cluster.name}: does not have the written rule; check it in vCenter"
                )
            changes = []
        return self._report(clusters, {change.cluster.id: change.after for change in changes})

    def _observe(self, client: Client) -> tuple[list[DrsCluster], list[RuleChange]]:
        clusters = client.read_clusters(self._vms, self._name)
        return clusters, decide(clusters, self._name, self._present, self._mandatory)

    def _report(self, clusters: Sequence[DrsCluster], planned: Mapping[str, Rule | None]) -> dict[str, Any]:
        rules = []
        warnings = []
        for cluster in clusters:
            before, after = self._before.get(cluster.id), planned.get(cluster.id, cluster.rule)
            if before or after:
                rules.append(_entry(cluster.name, before, after))
            if after and not cluster.has_drs:
                warnings.append(f"cluster {cluster.name}: DRS is not enabled, so that the rule has no effect")
        return {
            "changed": any(rule["changed"] for rule in rules),
            "rules": rules,
            "warnings": warnings,
            "diff": {
                side: {rule["cluster"]: rule[side] for rule in rules if rule[side]} for side in ("before", "after")
            },
        }


def _entry(cluster: str, before: Rule | None, after: Rule | None) -> dict[str, Any]:
    sides = {"before": before and before.to_dict(), "after": after and after.to_dict()}
    return {"cluster": cluster, "changed": before != after, **sides}
