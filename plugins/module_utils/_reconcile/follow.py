# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules by which nodes classify pods that start between runs. PRIVATE to the collection. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from .._common.messages import listed
from .._common.selectors import LabelIndex, Selector, is_dns_label
from .._dataplane.followed_pods import Follow, FollowedNamespace, PodRule
from .._kubernetes.clusters import own_name
from .._kubernetes.manifests import Manifests
from .._kubernetes.objects import CLUSTER_LABEL, NAME_LABEL, implicit_namespace

VARIABLE = "egress_ip_follow"
# The most nodes that a line names.
_SHOWN = 5


def plan_follow(hosts: Iterable[Mapping[str, Any]], manifests: Manifests) -> dict[str, Follow]:
    """Return {node: its Follow} of the hosts with `egress_ip_follow`; `hosts` are as `observe_fleet` takes."""
    following = [host for host in hosts if host.get("follow")]
    rules = _rules(manifests) if following else {}
    clusters = _clusters(manifests)
    return {
        host["name"]: Follow(
            tuple(sorted({*host["follow"]})),
            _of_cluster(rules, clusters.get(host["name"], "")),
            host["follow_kubeconfig"],
        )
        for host in following
    }


def follow_problems(observed: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return a line for each reason why nodes cannot follow their pods; `observed` is {node: its facts}."""
    nodes: dict[str, list[str]] = {}
    for name, facts in sorted(observed.items()):
        if facts.get("follow_problem"):
            nodes.setdefault(facts["follow_problem"], []).append(name)
    return [f"{listed(names, _SHOWN)}: {VARIABLE}: {problem}" for problem, names in nodes.items()]


def without_unfollowed(
    hosts: Iterable[Mapping[str, Any]], observed: Mapping[str, Mapping[str, Any]]
) -> dict[str, Mapping[str, Any]]:
    """Return {node: its facts} without `followed_pods` of hosts that no longer follow pods: they remove the classes."""
    following = {host["name"] for host in hosts if host.get("follow")}
    return {
        name: facts if name in following or not facts.get("followed_pods") else {**facts, "followed_pods": []}
        for name, facts in observed.items()
    }


def hosts_without_cluster(hosts: Iterable[Mapping[str, Any]], manifests: Manifests) -> list[str]:
    """Return a line on the hosts that follow no namespace, because all are of clusters and no Node matches the host."""
    clusters = _clusters(manifests)
    names = sorted(host["name"] for host in hosts if host.get("follow") and not clusters.get(host["name"]))
    namespaces = _namespaces(manifests) if names else {}
    if not namespaces or not all("." in name for name in namespaces):
        return []
    reason = "no Node of a cluster matches, so no namespace is followed"
    return [f"{listed(names, _SHOWN)}: {VARIABLE}: {reason}; read the kind Node, or set ansible_host to its address"]


def _clusters(manifests: Manifests) -> dict[str, str]:
    """Return {node: its cluster}, empty for one without a name."""
    return {node.name: node.labels.get(CLUSTER_LABEL, "") for node in manifests.nodes}


def _namespaces(manifests: Manifests) -> dict[str, Mapping[str, str]]:
    """Return {namespace: its labels}, also of those that only pods or selectors name."""
    labels: dict[str, Mapping[str, str]] = {each.name: each.labels for each in manifests.namespaces}
    for name in sorted({pod.namespace for pod in manifests.pods} | _named_by_selectors(manifests)):
        labels.setdefault(name, implicit_namespace(name).labels)
    return labels


def _rules(manifests: Manifests) -> dict[str, tuple[PodRule, ...]]:
    """Return {namespace: the rules of valid objects, in the order of their names} of all namespaces."""
    labels = _namespaces(manifests)
    index = LabelIndex(labels)
    rules: dict[str, list[PodRule]] = {name: [] for name in labels}
    for egressip in sorted(manifests.egressips, key=lambda item: item.name):
        if egressip.errors or egressip.namespace_selector is None:
            continue
        pods = None if egressip.pod_selector == Selector() else egressip.pod_selector
        for name in index.selected_by(egressip.namespace_selector):
            rules[name].append(PodRule(egressip.name, pods))
    return {name: tuple(items) for name, items in rules.items()}


def _named_by_selectors(manifests: Manifests) -> set[str]:
    """Return the namespaces that objects select by name, which may not exist yet."""
    found = set()
    for egressip in manifests.egressips:
        wanted = dict(egressip.namespace_selector.match_labels) if egressip.namespace_selector else {}
        if NAME_LABEL in wanted:
            cluster = wanted.get(CLUSTER_LABEL)
            found.add(f"{cluster}.{wanted[NAME_LABEL]}" if cluster else wanted[NAME_LABEL])
    return found


def _of_cluster(rules: Mapping[str, tuple[PodRule, ...]], cluster: str) -> tuple[FollowedNamespace, ...]:
    """Return the namespaces of a node's cluster, by the names that they have there.

    A selector or a Pod may name one that cannot exist, which has no pods to follow.
    """
    own = {own_name(name, cluster): items for name, items in rules.items()}
    names = sorted(name for name in own if name and is_dns_label(name))
    return tuple(FollowedNamespace(name, own[name]) for name in names)


def with_objects(follow: Follow, names: Collection[str], recalled: Mapping[str, Any], node: str) -> Follow:
    """Return the same with the rules of these objects only, and with those on record of the objects `recalled`.

    The selectors of an object with errors are not known, so its pods on this node are those of the last plan.
    """
    rules = {item.name: [rule for rule in item.rules if rule.egressip in names] for item in follow.namespaces}
    for name, entry in sorted(recalled.items()):
        for each in entry.get("namespaces", {}).get(node, ()):
            selector = Selector.from_dict(each["podSelector"], "podSelector")
            rules.setdefault(each["name"], []).append(PodRule(name, selector if selector != Selector() else None))
    namespaces = tuple(FollowedNamespace(name, tuple(rules[name])) for name in sorted(rules))
    return Follow(follow.engines, namespaces, follow.kubeconfig)


def pod_name(namespace: str, name: str) -> str:
    """Return how a node knows a pod, whose namespace may be qualified by its cluster."""
    return f"{namespace.rpartition('.')[2]}/{name}"
