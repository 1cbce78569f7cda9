# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects and pods without effect, usually by a mistake in a manifest. PRIVATE to the collection. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from .._common.messages import first_lines, listed
from .._kubernetes.manifests import Manifests, select_pods
from .._kubernetes.objects import DEFAULT_NAMESPACE, Pod

_SHOWN = 5
_ENDED = ("Succeeded", "Failed")
# An address for the selection of pods without one; it is not used for anything else.
_PLACEHOLDER = "0.0.0.0"


def without_effect(
    manifests: Manifests, selecting: Collection[str], own: Mapping[str, Collection[str]], hosts: Collection[str]
) -> list[str]:
    """Return a line for each silent mistake: selected pods without egress IP, and objects that select no pod.

    `selecting` names the objects that select pods with traffic of their own, `own` {node: its addresses} has the nodes
    that answered, `hosts` are the names of all hosts.
    """
    addresses = {name: frozenset(each) for name, each in own.items()}
    reasons = [(pod, _reason(pod, addresses, hosts)) for pod in manifests.pods]
    affected = {(pod.namespace, pod.name): reason for pod, reason in reasons if reason}
    pods = [_selectable(pod) for pod, reason in reasons if reason]
    lines: dict[tuple[str, str], list[str]] = {}
    for pod, objects in select_pods(manifests.egressips, pods, manifests.namespaces):
        for name in objects:
            reason = affected[pod.namespace, pod.name]
            lines.setdefault((name, reason), []).append(f"{pod.namespace}/{pod.name}")
    found = [
        f"egressip/{name}: has no effect on pods {reason}: {listed(names, _SHOWN)}"
        for (name, reason), names in sorted(lines.items())
    ]
    effective = {*selecting, *(name for name, _reason in lines)}
    found += [
        f"egressip/{egressip.name}: selects no pod"
        for egressip in manifests.egressips
        if not egressip.errors and egressip.name not in effective
    ]
    return found + _unknown_namespaces(manifests)


def _reason(pod: Pod, own: Mapping[str, Collection[str]], hosts: Collection[str]) -> str | None:
    """Return why no egress IP applies to a pod, as the end of a sentence; None if one does, or if the pod has ended."""
    if pod.phase in _ENDED or (pod.node is None and pod.phase == "Pending"):
        return None
    reason = None
    if pod.host_network:
        reason = "in the host network, which use the address of their node"
    elif pod.node is None:
        reason = "without spec.nodeName"
    elif pod.node not in hosts:
        reason = "whose spec.nodeName is not a host of egress_ip_group"
    elif not pod.pod_ips:
        reason = "without status.podIPs"
    elif any(map(own.get(pod.node, ()).__contains__, pod.pod_ips)):
        reason = "with an address of their node, such as rootless containers"
    return reason


def _selectable(pod: Pod) -> Pod:
    """Return the pod as one that selectors can match."""
    pod_ips = pod.pod_ips or (_PLACEHOLDER,)
    return pod._replace(host_network=False, node=pod.node or "none", pod_ips=pod_ips, phase=None)


def _unknown_namespaces(manifests: Manifests) -> list[str]:
    """Return a line for each namespace of pods without a document if an object could select it by a label."""
    selectors = [each.namespace_selector for each in manifests.egressips if not each.errors and each.namespace_selector]
    known = {namespace.name for namespace in manifests.namespaces}
    of_documents = {pod.namespace for pod in manifests.pods if not pod.engine} - known
    of_engines = {pod.namespace for pod in manifests.pods if pod.engine and not _is_implicit(pod)} - known
    found = [
        [
            f"namespace/{name}: has pods but no Namespace document, so that no label of it is known"
            for name in sorted(names)
            if not all(selector.matches({"kubernetes.io/metadata.name": name}) for selector in selectors)
        ]
        for names in (of_documents, of_engines - of_documents)
    ]
    # A node names those of its containers.
    return [*found[0], *first_lines(found[1], _SHOWN, "namespaces of containers have no Namespace document")]


def _is_implicit(pod: Pod) -> bool:
    """Return whether no setting names the pod's namespace: that of containers without settings."""
    return bool(pod.engine) and pod.namespace == DEFAULT_NAMESPACE
