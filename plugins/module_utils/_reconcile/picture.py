# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture of a fleet: zones, nodes, addresses, objects and moves. PRIVATE to the collection. Pure."""

from __future__ import annotations

from collections import Counter
from typing import Any, Iterable, Iterator, Mapping, Sequence

from .._common.addresses import address_order
from .._common.messages import first_lines, listed
from .._kubernetes.manifests import Manifests, select_pods
from .failover import last_orders
from .mac_vendor import with_vendor
from .report import MOST_LINES, owners_of

Dict = Mapping[str, Any]
ZONE = "topology.kubernetes.io/zone"

# States of an address on a node.
HELD = "held"
ARRIVES = "arrives"
LEAVES = "leaves"
TWICE = "on several nodes"
# The most lines on egress IPs that several nodes hold, and the most nodes that such a line names.
_MOST_TWICE, _NODES_SHOWN = 100, 8


def picture(run: Dict, planned: bool, manifests: Manifests | None = None) -> dict[str, Any]:
    """Return the picture of a run; `run` is the dict of a RunPlan, `manifests` its objects if they are read already.

    ``{planned, nodes: [{name, zone, state, reason, capacity, addresses, pods}], objects: [{name, addresses, pods}],
    unassigned: [{egressIP, name, reason, message}], problems: [line], pools, networks}``. The addresses of a node are
    ``{egressIP, name, state, other, standbys, ports}``: the object, one of the states above, the node from which it
    comes or to which it goes, and the share of the fullest protocol's ports in use, None if it is not known. Those of
    an object are ``{egressIP, nodes}``; its pods are ``{node: number}``. If not `planned`, only the observed state is
    shown: nothing arrives, leaves or is unassigned.
    """
    manifests = manifests or Manifests.from_dict(run["manifests"])
    selected = _selected(manifests)
    owners = _owners(run, manifests)
    addresses = _addresses(run, owners, planned)
    return {
        "planned": planned,
        "nodes": [
            {**_node(node, run["fleet"]), "addresses": addresses.get(node["name"], []), "pods": pods}
            for node in run["fleet"]["nodes"]
            for pods in [{name: count[node["name"]] for name, count in selected.items() if count[node["name"]]}]
        ],
        "objects": list(_objects(manifests, owners, selected, addresses)),
        "unassigned": list(run["plan"]["unassigned"]) if planned else [],
        "problems": [*_problems(run["fleet"], addresses), *(run["stop_reasons"] if planned else ())],
        "pools": list(run["manifests"].get("pools", ())),
        "networks": list(run["manifests"].get("networks", ())),
    }


def _selected(manifests: Manifests) -> dict[str, Counter[str]]:
    """Return {object: {node: number of pods}}; pods without a node count as on the node with an empty name."""
    found: dict[str, Counter[str]] = {}
    for pod, names in select_pods(manifests.egressips, manifests.pods, manifests.namespaces):
        for name in names:
            found.setdefault(name, Counter())[pod.node or ""] += 1
    return found


def _node(node: Dict, fleet: Dict) -> dict[str, Any]:
    """Return the node without its addresses and pods; `reason`: why it gave no answer, or is faulty."""
    about = {"name": node["name"], "zone": str(node["labels"].get(ZONE, "")), "capacity": node["capacity"]}
    for state, key in (("no answer", "unavailable"), ("faulty", "faulty")):
        for item in fleet[key]:
            if item["name"] == node["name"]:
                return {**about, "state": state, "reason": item["reason"]}
    if node["name"] not in fleet["observed"]:
        return {**about, "state": "no answer", "reason": "was not observed"}
    if node["name"] not in fleet["eligible"]:
        return {**about, "state": "not assignable", "reason": ""}
    return {**about, "state": "ready" if node["ready"] else "drained or fenced", "reason": ""}


def _addresses(run: Dict, owners: Mapping[str, str], planned: bool) -> dict[str, list[dict[str, Any]]]:
    """Return {node: its addresses}, in the order of the addresses."""
    holders: dict[str, list[str]] = {}
    for item in run["fleet"]["current"]:
        holders.setdefault(item["egressIP"], []).append(item["node"])
    goals = {item["egressIP"]: item["node"] for item in run["plan"]["assignments"]} if planned else {}
    ports = _ports(run["fleet"])
    plan_orders = {item["egressIP"]: item["order"] for item in run["plan"].get("standbys", ())}
    standbys: Mapping[str, Sequence[str]] = plan_orders if planned else last_orders(run["fleet"])
    found: dict[str, list[dict[str, Any]]] = {}
    for ip in sorted({*holders, *goals}, key=address_order):
        for node, state, other in _places(holders.get(ip, []), goals.get(ip), planned):
            about = {"egressIP": ip, "name": owners.get(ip, ""), "state": state, "other": other}
            found.setdefault(node, []).append(
                {
                    **about,
                    "standbys": [name for name in standbys.get(ip, ()) if name != node],
                    "ports": ports.get((node, ip)),
                }
            )
    return found


def _places(holders: list[str], goal: str | None, planned: bool) -> Iterator[tuple[str, str, str]]:
    """Yield (node, state, other node) of each node that holds an address or gets it."""
    for node in holders:
        if len(holders) > 1:
            yield node, TWICE, ""
        elif planned and node != goal:
            yield node, LEAVES, goal or ""
        else:
            yield node, HELD, ""
    if goal is not None and goal not in holders:
        yield goal, ARRIVES, holders[0] if len(holders) == 1 else ""


def _owners(run: Dict, manifests: Manifests) -> dict[str, str]:
    """Return {egress IP: its owner}: by the plan, else by its holder, else the first by name that lists it."""
    listed = owners_of(((egressip.name, egressip.egress_ips) for egressip in manifests.egressips), run["fleet"])
    return {**listed, **{item["egressIP"]: item["name"] for item in run["plan"]["assignments"]}}


def _ports(fleet: Dict) -> dict[tuple[str, str], float]:
    """Return {(node, egress IP): share of the ports in use of the fullest protocol}."""
    return {
        (node, row["egressIP"]): max((float(use.get("port_share", 0)) for use in row["use"]), default=0.0)
        for node, facts in fleet["observed"].items()
        for row in (facts.get("metrics") or {}).get("egress_ips", ())
    }


def _objects(
    manifests: Manifests,
    owners: Mapping[str, str],
    selected: Mapping[str, Mapping[str, int]],
    addresses: Mapping[str, Iterable[Dict]],
) -> Iterator[dict[str, Any]]:
    """Yield the objects; an address that several list is with its owner only."""
    nodes: dict[str, list[str]] = {}
    for node, items in sorted(addresses.items()):
        for item in items:
            if item["state"] != LEAVES:
                nodes.setdefault(item["egressIP"], []).append(node)
    for egressip in manifests.egressips:
        own = [ip for ip in egressip.egress_ips if owners[ip] == egressip.name]
        listed = [{"egressIP": ip, "nodes": nodes.get(ip, [])} for ip in own]
        yield {
            "name": egressip.name,
            "addresses": listed,
            "pods": dict(sorted(selected.get(egressip.name, {}).items())),
        }


def _problems(fleet: Dict, addresses: Mapping[str, Iterable[Dict]]) -> Iterator[str]:
    for item in fleet["unavailable"]:
        yield f"node {item['name']} {item['reason']}; whether it holds egress IPs is not known"
    for item in fleet["faulty"]:
        yield f"node {item['name']} is set aside: {item['reason']}"
    explained = {item["name"] for item in (*fleet["unavailable"], *fleet["faulty"])} | set(fleet["observed"])
    for node in fleet["nodes"]:
        if node["name"] not in explained:
            yield f"node {node['name']} was not observed; whether it holds egress IPs is not known"
    holders: dict[str, list[str]] = {}
    for name, items in sorted(addresses.items()):
        for item in items:
            if item["state"] == TWICE:
                holders.setdefault(item["egressIP"], []).append(name)
    twice = [f"{ip} is on {len(names)} nodes: {listed(names, _NODES_SHOWN)}" for ip, names in holders.items()]
    yield from first_lines(twice, _MOST_TWICE, "egress IPs are on several nodes")
    for node, facts in sorted(fleet["observed"].items()):
        conflicts = [_conflict(node, each) for each in facts.get("conflicts", ())]
        yield from first_lines(conflicts, MOST_LINES, "conflicts", f"{node} has ")


def _conflict(node: str, conflict: Dict) -> str:
    held = f"{node} holds {conflict['egressIP']} on {conflict['interface']}"
    return f"{held}, and {with_vendor(conflict['mac'])} answers for it too"
