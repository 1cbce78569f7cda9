# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory hosts of the nodes that Node and Pod documents name. PRIVATE to the collection. Pure.

A cluster may know a node by its FQDN and the inventory by its short name or address.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Iterable, Mapping, Sequence

from .._common.messages import listed
from .._kubernetes.manifests import Manifests
from .._kubernetes.objects import ASSIGNABLE, NodeObject

_NAMES_SHOWN = 8
_Host = Mapping[str, Any]


def with_host_names(manifests: Manifests, hosts: Sequence[_Host]) -> tuple[Manifests, tuple[str, ...]]:
    """Return the Manifests with the names of hosts in Node and Pod objects, and notes about nodes without a host.

    Each host is ``{name, address, observed}``: its name, its ``ansible_host`` if any, and the facts of the node.
    """
    named = {node.name: node for node in manifests.nodes}
    unknown = {pod.node for pod in manifests.pods if pod.node and pod.has_own_traffic} - {*named}
    found = _match([*named.values(), *(NodeObject(name, {}) for name in sorted(unknown))], _Hosts(hosts))
    names = {name: matched[0] for name, matched in found.items() if len(matched) == 1}
    changed = {name: host for name, host in names.items() if name != host}
    notes = _notes(manifests, found)
    if not changed:
        return manifests, notes
    return (
        replace(
            manifests,
            nodes=tuple(replace(node, name=changed.get(node.name, node.name)) for node in manifests.nodes),
            pods=tuple(pod._replace(node=changed[pod.node]) if pod.node in changed else pod for pod in manifests.pods),
        ),
        notes,
    )


class _Hosts:
    """The hosts by everything that identifies the node of a document."""

    def __init__(self, hosts: Sequence[_Host]) -> None:
        self.names = {host["name"] for host in hosts}
        self._by_address = _index((host.get("address"), host["name"]) for host in hosts)
        self._by_own_address = _index((own, host["name"]) for host in hosts for own in _own_addresses(host))
        self._by_short_name = _index((_short(host["name"]), host["name"]) for host in hosts)

    def of(self, node: NodeObject) -> list[str]:
        """Return the names of the hosts that a node may be, by the strongest evidence that there is."""
        if node.name in self.names:
            return [node.name]
        evidence = (
            self._among(self._by_address, (node.name, *node.addresses)),
            sorted(self.names.intersection(node.addresses)),
            self._among(self._by_own_address, node.addresses),
            self._among(self._by_short_name, (_short(node.name),)),
        )
        return next(filter(None, evidence), [])

    @staticmethod
    def _among(index: Mapping[str, set[str]], keys: Iterable[str]) -> list[str]:
        return sorted({name for key in keys for name in index.get(key, ())})


def _match(nodes: Iterable[NodeObject], hosts: _Hosts) -> dict[str, list[str]]:
    """Return {name of a node: names of the hosts that it may be}; no two nodes are the same single host."""
    found = {node.name: hosts.of(node) for node in nodes}
    claimed = _index((matched[0], name) for name, matched in found.items() if len(matched) == 1)
    for host, names in claimed.items():
        for name in names - {host} if len(names) > 1 else ():
            found[name] = [host, *(f"the host of node/{other}" for other in sorted(names - {name}))]
    return found


def _index(pairs: Iterable[tuple[object, str]]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for key, name in pairs:
        if isinstance(key, str) and key:
            found.setdefault(key, set()).add(name)
    return found


def _own_addresses(host: _Host) -> Sequence[object]:
    """Return the addresses in a node's facts, which are not checked yet."""
    facts = host.get("observed")
    listed = facts.get("addresses") if isinstance(facts, dict) else None
    return listed if isinstance(listed, (list, tuple)) else ()


def _notes(manifests: Manifests, found: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    notes = [
        f"node/{name}: may be {' or '.join(matched)}; its labels and pods are ignored"
        for name, matched in sorted(found.items())
        if len(matched) > 1
    ]
    labelled = {node.name for node in manifests.nodes if ASSIGNABLE.matches(node.labels)}
    lost = sorted(name for name, matched in found.items() if not matched and name in labelled)
    if lost:
        notes.append(f"Node documents with the label of egress nodes match no host: {listed(lost, _NAMES_SHOWN)}")
    return tuple(notes)


def _short(name: str) -> str:
    """Return the first label of a DNS name; an address has none of its own."""
    return name if name.replace(".", "").isdigit() or ":" in name else name.partition(".")[0]
