# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a plan to a state for each node, and which nodes a run has to touch. PRIVATE to the collection. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from .._common.addresses import (
    address_order,
    covers_everything,
    of_version,
    outermost,
    parse_network,
    parsed,
    version_of,
)
from .._common.destinations import Destinations, in_force
from .._common.errors import Errors
from .._dataplane.handover import Release
from .._dataplane.node_state import EgressObject, FarEnd, FleetNode, Held, LocalPod, NodeState, slots
from .._dataplane.options import DataPlaneOptions
from .._kubernetes.manifests import select_pods


@dataclass(frozen=True)
class Rollout:
    """`states` {node: NodeState} of the nodes that answered; `differing` names those that a run must touch.

    `releasing` are the `handover.Release` of what nodes have to give up, so that whoever claims it waits for it.
    `following` [{egressIP, node, endpoint}] are egress IPs whose tunnel may end at another node once that has claimed
    them, and not before: a node that gave no answer may still hold them. `follow` does it.
    """

    states: dict
    differing: tuple
    releasing: tuple
    following: tuple = ()

    def to_dict(self):
        """Return the rollout as a dict of plain values."""
        return {
            "states": {name: state.to_dict() for name, state in self.states.items()},
            "differing": list(self.differing),
            "releasing": [item.to_dict() for item in self.releasing],
            "following": list(self.following),
        }


def roll_out(plan, manifests, fleet, excluded=(), options=None, withheld=()):
    """Return the Rollout of a plan. `plan` and `fleet` are dicts, `manifests` are Manifests with the plan's objects.

    `excluded` are the CIDRs of `egress_ip_excluded_cidrs`, `options` the data plane's; `withheld` are egress IPs that
    nobody may claim in this run. Raises InvalidError.
    """
    options = DataPlaneOptions.from_dict(options or {}, "egress_ip_")
    builder = _Builder(plan, manifests, fleet, _parse_excluded(excluded), options, withheld)
    states = {name: builder.state(name) for name in sorted(fleet["observed"])}
    differing = tuple(name for name, state in states.items() if _differs(state, fleet["observed"][name]))
    held = {name: {item.egress_ip for item in state.held} for name, state in states.items()}
    takers = {item["egressIP"]: item["node"] for item in plan["assignments"]}
    releasing = [
        Release(item["egressIP"], name, takers.get(item["egressIP"], ""))
        for name, answer in sorted(fleet["observed"].items())
        for item in answer["held"]
        if item["egressIP"] not in held[name]
    ]
    releasing.sort(key=lambda item: address_order(item.egress_ip))
    return Rollout(states, differing, tuple(releasing), builder.following)


def follow(rollout, results):
    """Return {node: state} that lead the tunnels to what was claimed of `following`, all plain values; mostly none.

    `results` are {node: result of the module `node`}.
    """
    ends = {
        item["egressIP"]: item["endpoint"]
        for item in rollout["following"]
        if item["egressIP"] in (results.get(item["node"], {}).get("claimed") or ())
    }
    return {name: _leading_to(ends, state) for name, state in rollout["states"].items()} if ends else {}


def _leading_to(ends, state):
    """Return the next state of a node, with these {egress IP: endpoint, empty where the tunnel ends at the address}."""
    known = {**{item["egressIP"]: item["endpoint"] for item in state["farEnds"]}, **ends}
    far_ends = [{"egressIP": ip, "endpoint": end} for ip, end in sorted(known.items()) if end]
    return {**state, "generation": state["generation"] + 1, "farEnds": far_ends}


class _Builder:
    """Everything that is the same for all nodes is computed once."""

    def __init__(self, plan, manifests, fleet, excluded, options, withheld):
        self.plan, self.fleet, self.options, self.withheld = plan, fleet, options, withheld
        self.recalled = {name: fleet["recalled"][name] for name in manifests.broken if name in fleet["recalled"]}
        self.assigned = {}
        for item in plan["assignments"]:
            self.assigned.setdefault(item["name"], set()).add(item["egressIP"])
        self.egressips = self._objects(manifests)
        self.destinations = {item.name: item.destinations for item in self.egressips}
        self.selected = self._selected(manifests)
        self.members = tuple(
            FleetNode(m["name"], tuple(m["endpoints"]), tuple(m["addresses"])) for m in fleet["members"]
        )
        self.far_ends, self.following = self._far_ends()
        self.own = {address for member in self.members for address in member.addresses}
        self.excluded = tuple(str(network) for network in outermost([*excluded, *_pod_networks(manifests, self.own)]))

    def state(self, name):
        """Return the NodeState of one node."""
        answer = self.fleet["observed"][name]
        assigned = [item for item in self.plan["assignments"] if item["node"] == name]
        held = [Held(i["egressIP"], i["interface"]) for i in assigned if i["egressIP"] not in self.withheld]
        return NodeState(
            name=name,
            generation=self.fleet["generation"] + 1,
            interface=answer["interface"],
            endpoints=tuple(answer["endpoints"]),
            options=self.options,
            nodes=self.members,
            excluded=self.excluded,
            egressips=self.egressips,
            pods=self._pods(name),
            held=tuple(sorted(held)),
            far_ends=self.far_ends,
        )

    def _far_ends(self):
        """Return the FarEnds of the egress IPs that are not on the primary interface of their holder, and `following`.

        As long as a node that gave no answer may hold an egress IP, its tunnel ends where it did.
        """
        endpoints = {member.name: member.endpoints for member in self.members}
        primary = {name: answer["interface"] for name, answer in self.fleet["observed"].items()}
        newest = max(self.fleet["observed"].values(), key=lambda answer: answer["generation"], default={})
        former = {item["egressIP"]: item["endpoint"] for item in newest.get("farEnds", ())}
        held = {item["egressIP"] for item in self.fleet["current"]}
        ends, following = {}, []
        for item in self.plan["assignments"]:
            ip, node = item["egressIP"], item["node"]
            elsewhere = item["interface"] != primary.get(node, item["interface"])
            end = next(iter(of_version(endpoints[node], version_of(ip))), "") if elsewhere else ""
            ends[ip] = end
            if ip not in held and self.fleet["unavailable"] and end != former.get(ip, ""):
                ends[ip] = former.get(ip, "")
                following.append({"egressIP": ip, "node": node, "endpoint": end})
        return tuple(sorted(FarEnd(ip, end) for ip, end in ends.items() if end)), tuple(following)

    def _objects(self, manifests):
        """Return the sound objects, and the broken ones as the nodes remember them: what works is not taken down."""
        objects = {}
        for name, entry in self.recalled.items():
            networks, excluded = (tuple(entry.get(key, ())) for key in ("destinations", "excludedDestinations"))
            objects[name] = self._object(name, entry["egressIPs"], Destinations(networks, excluded))
        for egressip in manifests.egressips:
            if not egressip.errors:
                objects[egressip.name] = self._object(egressip.name, egressip.egress_ips, egressip.destinations)
        return tuple(objects[name] for name in sorted(objects))

    def _object(self, name, egress_ips, destinations):
        return EgressObject(name, tuple(egress_ips), slots(egress_ips, self.assigned.get(name, set())), destinations)

    def _selected(self, manifests):
        """Return {node: {pod's address: [object's name]}} of what the sound objects select."""
        found = {}
        for pod, egressips in select_pods(manifests.egressips, manifests.pods, manifests.namespaces):
            names = [name for name in egressips if name in self.destinations]
            for address in pod.pod_ips if names else ():
                found.setdefault(pod.node, {})[address] = names
        return found

    def _pods(self, node):
        pods = {address: list(names) for address, names in self.selected.get(node, {}).items()}
        # Sound objects go first: what a broken one selects now, nobody knows.
        for name, entry in sorted(self.recalled.items()):
            for address in entry["pods"].get(node, ()):
                pods.setdefault(address, []).append(name)
        # A pod with a node's address is in the node's network, whatever its manifest says.
        return tuple(LocalPod(a, self._in_force(pods[a])) for a in sorted(pods, key=address_order) if a not in self.own)

    def _in_force(self, names):
        return tuple(name for name, _destinations in in_force([(name, self.destinations[name]) for name in names]))


def _differs(state, answer):
    return bool(answer["drift"]) or state.digest() != answer["digest"]


def _parse_excluded(values):
    errors = Errors()
    path = "egress_ip_excluded_cidrs"
    networks = [errors.attempt(parse_network, value, f"{path}[{i}]") for i, value in enumerate(values)]
    networks = [network for network in networks if network is not None]
    if covers_everything(networks):
        errors.add(
            path, "covers every address, so that no traffic would leave with an egress IP; name the pod networks"
        )
    errors.raise_if_any()
    return networks


def _pod_networks(manifests, own):
    """Return what is pod traffic for sure: the address of every pod, and the pod networks that Node documents name."""
    errors = Errors()
    networks = [
        parse_network(f"{address}/{parsed(address).max_prefixlen}", "podIPs")
        for pod in manifests.pods
        for address in pod.pod_ips
        if address not in own
    ]
    for node in manifests.nodes:
        path = f"node/{node.name}: spec.podCIDRs"
        networks += [errors.attempt(parse_network, cidr, f"{path}[{i}]") for i, cidr in enumerate(node.pod_cidrs)]
    errors.raise_if_any()
    return networks
