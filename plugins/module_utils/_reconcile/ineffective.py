# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of objects without effect, and pods that cannot be distinguished. PRIVATE to the collection. Pure."""

from __future__ import annotations

from typing import Any, Iterable, Mapping, Sequence

from .._common.addresses import version_of
from .._common.validation import did_you_mean
from .._kubernetes.annotations import DESTINATIONS, EXCLUDED_DESTINATIONS, PREFIX, SPREAD, annotation_path
from .._kubernetes.objects import EgressIP, Pod

# Similar enough for a typing error ("egress-ip.netop/weight").
_SAME_PREFIX = 0.75


def ineffective(
    egressips: Iterable[EgressIP], nodes: Sequence[Mapping[str, Any]], pods: Iterable[Pod]
) -> tuple[str, ...]:
    """Return a line for each setting that has no effect, and for each address of several pods on a node.

    ``nodes`` are ``{labels}``. An object with errors has its own lines.
    """
    labels = {key for node in nodes for key in node["labels"]}
    lines: list[str] = []
    for egressip in egressips:
        if not egressip.errors:
            root = f"egressip/{egressip.name}"
            lines += [*_spread(egressip, root, labels), *_destinations(egressip, root), *_mistyped(egressip, root)]
    return (*lines, *_shared_addresses(pods))


def _spread(egressip: EgressIP, root: str, labels: set[str]) -> Iterable[str]:
    label = egressip.annotations.spread
    if label is not None and label not in labels:
        yield f"{annotation_path(root, SPREAD)}: has no effect; no node has the label {label}"


def _destinations(egressip: EgressIP, root: str) -> Iterable[str]:
    versions = {version_of(address) for address in egressip.egress_ips}
    for key, networks in (
        (DESTINATIONS, egressip.annotations.destinations),
        (EXCLUDED_DESTINATIONS, egressip.annotations.excluded_destinations),
    ):
        for network in networks:
            if version_of(network) not in versions:
                reason = f"the object has no IPv{version_of(network)} address"
                yield f"{annotation_path(root, key)}: {network} has no effect; {reason}"


def _mistyped(egressip: EgressIP, root: str) -> Iterable[str]:
    """Yield a line for each annotation with almost the prefix of the collection; others belong to other software."""
    metadata = egressip.document.get("metadata") if isinstance(egressip.document, dict) else None
    annotations = (metadata or {}).get("annotations") or {}
    for key in annotations:
        prefix, slash, name = key.partition("/") if isinstance(key, str) else ("", "", "")
        if f"{prefix}/" != PREFIX and slash and did_you_mean(prefix, [PREFIX[:-1]], _SAME_PREFIX):
            yield f"{annotation_path(root, key)}: has no effect; did you mean {PREFIX}{name}?"


def _shared_addresses(pods: Iterable[Pod]) -> Iterable[str]:
    """Yield a line for each address of several running pods on one node: the same objects apply to all of them."""
    first: dict[tuple[str, str], Pod] = {}
    others: dict[tuple[str, str], list[Pod]] = {}
    for pod in pods:
        if pod.has_own_traffic:
            for address in pod.pod_ips:
                place = (pod.node or "", address)
                if first.setdefault(place, pod) is not pod:
                    others.setdefault(place, []).append(pod)
    for (node, address), found in sorted(others.items()):
        names = sorted(f"pod/{pod.namespace}/{pod.name}" for pod in (first[node, address], *found))
        yield f"{' and '.join(names)} on {node} have the same address {address}"
