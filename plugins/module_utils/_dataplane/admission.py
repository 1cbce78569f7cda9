# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules by which pods that start between runs are classified, compiled from a state. PRIVATE. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Tuple

from .._common.addresses import VERSIONS, of_version
from .._common.destinations import in_force
from .._common.selectors import Selector
from .followed_pods import FollowedNamespace
from .nft_addresses import object_chain
from .node_state import EgressObject, NodeState
from .pod_classes import DROP, KEEP, classify, verdict_of, version_of
from .xfrm_policies import desired_policies

# With more objects that select pods of a namespace by labels, a combination of them may be closed until the next run.
_MOST_SELECTORS = 6

Names = Tuple[str, ...]


@dataclass(frozen=True)
class Admission:
    """How pods that start between runs get their class: `rules` as in `pod_classes`.

    `known` {(pod, address): its class} are the pods of the state: the labels in manifests may be newer than those that
    the node read when a pod started.
    """

    rules: Mapping[str, Any]
    known: Mapping[tuple[str, str], str]

    def note_after(self, note: Mapping[str, Any]) -> dict[str, Any]:
        """Return the note of a pod with the class that it has by these rules."""
        namespace = note["name"].partition("/")[0]
        found = classify(self.rules, namespace, note["labels"], note["addresses"])
        verdicts = {address: self.known.get((note["name"], address), own) for address, own in found.items()}
        return {**note, "verdicts": verdicts}


def admission_of(state: NodeState, choices: Mapping[Names, str]) -> Admission | None:
    """Return the Admission for a state, None if the node does not follow pods.

    `choices` {objects: name of the chain} are those in which the destination selects the object.
    """
    follow = state.follow
    if follow is None:
        return None
    closed = state.options.unknown_pods == "drop"
    reserved = {ip for node in state.nodes for ip in (*node.endpoints, *node.addresses)}
    used = follow.objects.union(*(pod.egressips for pod in state.pods if pod.pod))
    rules = {
        "unknown": DROP if closed else KEEP,
        "mask": state.options.mark_mask,
        "kubeconfig": follow.kubeconfig,
        "reserved": sorted({*reserved, *state.egress_ips}),
        # A namespace that no object selects is listed only where that makes a difference.
        "namespaces": {item.name: _compiled(item) for item in follow.namespaces if closed or item.rules},
        "objects": {item.name: _facts(item) for item in state.egressips if item.name in used},
        "choices": {" ".join(names): chain for names, chain in sorted(choices.items())},
        # The kernel has one policy for each source. Those of the state stay when a pod ends.
        "covered": sorted(words.split()[1] for words in desired_policies(state)),
    }
    known = {
        (pod.pod, pod.address): verdict_of(rules, pod.egressips, version_of(pod.address))
        for pod in state.pods
        if pod.pod
    }
    return Admission(rules, known)


def _compiled(namespace: FollowedNamespace) -> list[list[Any]]:
    rules = namespace.rules
    return [[each.egressip, None if each.pod_selector is None else _flat(each.pod_selector)] for each in rules]


def _flat(selector: Selector) -> list[list[Any]]:
    """Return a selector as requirements only."""
    labels = [[key, "In", [value]] for key, value in selector.match_labels]
    return [*labels, *([each.key, each.operator, list(each.values)] for each in selector.match_expressions)]


def _facts(item: EgressObject) -> dict[str, Any]:
    assigned = [str(version) for version in VERSIONS if of_version(item.slots, version)]
    return {"chain": object_chain(item.name), "assigned": assigned, "everywhere": item.destinations.everywhere}


def followed_combinations(state: NodeState) -> set[Names]:
    """Return the objects that pods may follow together, where the destination decides between them."""
    if state.follow is None:
        return set()
    objects = {item.name: item for item in state.egressips}
    return {names for item in state.follow.namespaces for names in _combinations(item, objects)}


def _combinations(namespace: FollowedNamespace, objects: Mapping[str, EgressObject]) -> Iterator[Names]:
    named = [rule.egressip for rule in namespace.rules]
    if all(objects[name].destinations.everywhere for name in named):
        return
    some = [rule.egressip for rule in namespace.rules if rule.pod_selector is not None][:_MOST_SELECTORS]
    always = [rule.egressip for rule in namespace.rules if rule.pod_selector is None]
    for count in range(len(some) + 1):
        for chosen in combinations(some, count):
            names = [name for name in named if name in chosen or name in always]
            yield from (_applying(names, objects, version) for version in VERSIONS if names)


def _applying(names: Sequence[str], objects: Mapping[str, EgressObject], version: int) -> Names:
    ordered = sorted(names, key=lambda name: not of_version(objects[name].slots, version))
    return tuple(name for name, _all in in_force([(name, objects[name].destinations) for name in ordered]))
