# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The networks that namespaces name, on each node, and what is wrong with them. PRIVATE to the collection. Pure.

Their names come from the annotation of a Namespace, for all nodes, and from the host variable `egress_ip_networks`. A
node finds their addresses itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from .._common.errors import Errors
from .._common.messages import first_lines, listed, quote, type_name
from .._common.network_names import ENGINES, USER, parse_network_name
from .._common.selectors import is_namespace_name
from .._dataplane.named_networks import Conflict, NamedNetworks, reserved_addresses
from .._dataplane.node_state import LocalNetwork, NodeState
from .._kubernetes.annotations import network_names
from .._kubernetes.manifests import Manifests, objects_of_networks
from .._kubernetes.objects import Pod

VARIABLE = "egress_ip_networks"
# The most nodes, and addresses of a network, that a line or a cell names, and the most lines on the networks of a node.
_SHOWN, ADDRESSES_SHOWN, _MOST_LINES = 5, 8, 20


class NamedNetwork(NamedTuple):
    """A network, `NetworkName.text`, and the namespace that names it."""

    namespace: str
    network: str


@dataclass(frozen=True)
class NetworkPlan:
    """The networks of a run: {node: those that namespaces name there}.

    `objects` {namespace: the objects that select its pods without labels}. `errors` are lines about names that cannot
    be read. The namespaces with one keep what nodes have on record for them, so that no packet changes its source.
    """

    by_node: Mapping[str, Sequence[NamedNetwork]]
    objects: Mapping[str, Sequence[str]]
    errors: tuple[str, ...] = ()

    def rows(self, observed: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return [{namespace, network, node, cidrs, uids, egressips}] of the nodes that answered, sorted."""
        rows = [
            {
                "namespace": each.namespace,
                "network": each.network,
                "node": node,
                "cidrs": list(found.get("cidrs", ())),
                "uids": list(found.get("uids", ())),
                "egressips": list(self.objects.get(each.namespace, ())),
            }
            for node, networks in self.by_node.items()
            if node in observed
            for each in networks
            for found in [found_network(observed[node], each.network)]
        ]
        return sorted(rows, key=lambda row: (row["namespace"], row["network"], row["node"]))


NO_NETWORKS = NetworkPlan({}, {})


def addresses_in(row: Mapping[str, Any]) -> list[str]:
    """Return the addresses of an entry of `NetworkPlan.rows`, or the numbers of a user."""
    return [*row["cidrs"], *(f"uid {users}" for users in row["uids"])]


def plan_networks(
    hosts: Iterable[Mapping[str, Any]], manifests: Manifests, observed: Mapping[str, Mapping[str, Any]]
) -> NetworkPlan:
    """Return the NetworkPlan. `hosts` are as `observe_fleet` takes them; `observed` is {node: its facts}."""
    errors = Errors()
    everywhere = [NamedNetwork(each.name, network) for each in manifests.namespaces for network in each.networks]
    by_node: dict[str, list[NamedNetwork]] = {}
    for host in hosts:
        node = host["name"]
        own, faults = _of_host(host.get("networks"), f"{node}: {VARIABLE}", errors)
        broken = None if faults is None else {*faults, *manifests.network_faults}
        kept = _on_record(observed.get(node, {}), broken)
        found = sorted({*everywhere, *own, *kept})
        if found:
            by_node[node] = found
    names = sorted({each.namespace for networks in by_node.values() for each in networks})
    objects = objects_of_networks(manifests.egressips, manifests.namespaces, names)
    return NetworkPlan(by_node, objects, (*manifests.network_errors, *errors.found))


def names_of_host(value: object) -> list[str]:
    """Return the valid networks in the variable of a host, sorted, without the errors that `plan_networks` returns."""
    return sorted({each.network for each in _of_host(value, VARIABLE, Errors())[0]})


def _of_host(value: object, path: str, errors: Errors) -> tuple[list[NamedNetwork], set[str] | None]:
    """Return the networks in the variable of a host, and the namespaces with errors, None if these are not known."""
    if value is None or value in ("", {}):
        return [], set()
    if not isinstance(value, Mapping):
        errors.add(path, f"must be a mapping of namespaces and their networks, not {type_name(value)}")
        return [], None
    found: list[NamedNetwork] = []
    faults: set[str] | None = set()
    for namespace, names in value.items():
        before = len(errors.found)
        if isinstance(namespace, str) and is_namespace_name(namespace):
            found += [
                NamedNetwork(str(namespace), name) for name in network_names(names, f"{path}.{namespace}", errors)
            ]
        else:
            shown = quote(namespace) if isinstance(namespace, str) else type_name(namespace)
            errors.add(path, f"a key must be the name of a namespace, not {shown}")
        if len(errors.found) > before:
            faults = {*(faults or ()), str(namespace)}
    return found, faults


def _on_record(facts: Mapping[str, Any], namespaces: Collection[str] | None) -> list[NamedNetwork]:
    """Return the networks of these namespaces, None for all, in the record of a node."""
    return [
        NamedNetwork(item["namespace"], item["network"])
        for item in facts.get("named_networks", ())
        if item["namespace"] and (namespaces is None or item["namespace"] in namespaces)
    ]


def found_network(facts: Mapping[str, Any], network: str) -> Mapping[str, Any]:
    """Return what a node found under the name of a network; empty without an answer about it."""
    return next((item for item in facts.get("named_networks", ()) if item["network"] == network), {})


def local_networks(
    plan: NetworkPlan, node: str, facts: Mapping[str, Any], valid: Collection[str], recalled: Mapping[str, Any]
) -> tuple[LocalNetwork, ...]:
    """Return the networks in the state of a node.

    `valid` are the objects without errors. `recalled` are the others, whose networks are those on record: their
    selectors are not known.
    """
    return tuple(
        LocalNetwork(
            each.namespace,
            each.network,
            (
                *(name for name in plan.objects.get(each.namespace, ()) if name in valid),
                *(
                    n
                    for n, entry in sorted(recalled.items())
                    if each.network in entry.get("networks", {}).get(node, ())
                ),
            ),
            tuple(found.get("cidrs", ())),
            tuple(found.get("uids", ())),
        )
        for each in plan.by_node.get(node, ())
        for found in [found_network(facts, each.network)]
    )


def served_by_engines(plan: NetworkPlan, pods: Iterable[Pod], nodes: Iterable[str]) -> set[str]:
    """Return those of these nodes whose only pods are in networks of engines, which accept their packets.

    Packets of users of the host are not forwarded.
    """
    others = {pod.node for pod in pods if not pod.engine}
    others |= {
        node
        for node, networks in plan.by_node.items()
        if any(parse_network_name(each.network, "network").kind not in (*ENGINES, USER) for each in networks)
    }
    return {*nodes} - others


def network_lines(
    plan: NetworkPlan, states: Mapping[str, NodeState], observed: Mapping[str, Mapping[str, Any]]
) -> tuple[list[str], list[str]]:
    """Return (errors, mistakes): networks that are not used or dropped, and those that have no effect."""
    named = [state for state in states.values() if state.networks]
    reserved = reserved_addresses(named[0].nodes, named[0].egress_ips) if named else []
    errors: list[str] = []
    for state in named:
        found = NamedNetworks(state, reserved)
        lines = [*(_conflict_line(state.name, each) for each in found.conflicts), *_refusals(state, found)]
        # Those of one node must not fill the report.
        errors += first_lines(lines, _MOST_LINES, "errors of networks", f"{state.name}: has ")
    return errors, [*_without_addresses(plan, observed), *_without_object(plan)]


def _conflict_line(node: str, conflict: Conflict) -> str:
    owners = " and ".join(dict.fromkeys(f"{each.network} of namespace/{each.namespace}" for each in conflict.named_by))
    return f"{node}: {conflict.network} is {owners}; its packets are dropped, so name it in one namespace only"


def _refusals(state: NodeState, found: NamedNetworks) -> Iterator[str]:
    for item in state.networks:
        for cidr in item.cidrs:
            if cidr in found.refused:
                yield (
                    f"{state.name}: {item.network} of namespace/{item.namespace} is not used: {cidr} contains"
                    f" {found.refused[cidr]}, a node's address or an egress IP; name networks of containers or VMs"
                )


def _without_addresses(plan: NetworkPlan, observed: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return a line for each network that nodes did not find, with the reason."""
    nodes: dict[tuple[str, str, str], list[str]] = {}
    for node, networks in plan.by_node.items():
        for each in networks if node in observed else ():
            problem = found_network(observed[node], each.network).get("problem", "")
            if problem:
                nodes.setdefault((each.namespace, each.network, problem), []).append(node)
    return [
        f"namespace/{namespace}: {network} {problem} on {listed(names, _SHOWN)}"
        for (namespace, network, problem), names in sorted(nodes.items())
    ]


def _without_object(plan: NetworkPlan) -> list[str]:
    names = {each.namespace for networks in plan.by_node.values() for each in networks}
    return [
        f"namespace/{name}: no EgressIP selects its networks; what they contain counts as pods without labels"
        for name in sorted(names - {*plan.objects})
    ]
