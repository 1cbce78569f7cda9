# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a plan to the state of each node, and which nodes a run changes. PRIVATE to the collection. Pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Collection, Iterable, Mapping, NamedTuple, Sequence

from .._common.addresses import (
    Network,
    NetworkSet,
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
from .._common.validation import NO_MAPPING
from .._dataplane.followed_pods import Follow
from .._dataplane.handover import PlannedRelease
from .._dataplane.node_state import (
    EgressObject,
    FarEnd,
    FleetNode,
    Held,
    Link,
    LocalNetwork,
    LocalPod,
    NodeState,
    slots,
)
from .._dataplane.options import DataPlaneOptions
from .._kubernetes.manifests import Manifests, select_pods
from .._planner.plan import DUPLICATE_REQUEST
from .containers import NO_CONTAINERS, ContainerPlan, Origin
from .credibility import Recorded, confirmed
from .failover import NodeFailover
from .follow import pod_name, with_objects
from .networks import NO_NETWORKS, NetworkPlan, local_networks
from .pod_networks import pod_networks
from .reaches import AddressReaches

_Values = Mapping[str, Any]


class OptionalParts(NamedTuple):
    """Parts of the states that only some fleets have.

    Failover, None without it, networks of namespaces, {node: Follow}, and containers of engines.
    """

    failover: NodeFailover | None = None
    networks: NetworkPlan = NO_NETWORKS
    follow: Mapping[str, Follow] = NO_MAPPING
    containers: ContainerPlan = NO_CONTAINERS


NO_OPTIONAL_PARTS = OptionalParts()


@dataclass(frozen=True)
class Rollout:
    """`states` {node: NodeState} of the nodes that answered; `differing` names those that a run must change.

    `releasing` are the addresses that nodes release, so that their new holders wait for that. `following` [{egressIP,
    node, endpoint}] are egress IPs whose tunnel ends at another node once that has claimed them, and not before: a node
    that did not answer may still hold them. `pending` [{egressIP, node, name}] are egress IPs that no node holds now;
    `assigned` {object: [egressIP]} are all assignments of their objects. `selecting` names objects that select pods.
    `pod_networks` and `public_lines` are the networks and the lines of the PodNetworks.
    """

    states: dict[str, NodeState]
    differing: tuple[str, ...]
    releasing: tuple[PlannedRelease, ...]
    following: tuple[dict[str, str], ...] = ()
    pending: tuple[dict[str, str], ...] = ()
    assigned: _Values | None = None
    selecting: frozenset[str] = frozenset()
    pod_networks: tuple[Network, ...] = ()
    public_lines: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the rollout as a dict of plain values, with the states of the nodes that a run may change.

        Those are all nodes if some have to follow the claims of others. N states of N nodes have N times N entries.
        """
        changing = self.states if self.following or self.pending else self.differing
        return {
            "states": {name: self.states[name].to_dict() for name in changing},
            "differing": list(self.differing),
            "releasing": [item.to_dict() for item in self.releasing],
            "following": list(self.following),
            "pending": list(self.pending),
            "assigned": dict(self.assigned or {}),
        }


def roll_out(
    plan: _Values,
    manifests: Manifests,
    fleet: _Values,
    excluded: Sequence[str] = (),
    options: _Values | None = None,
    withheld: Collection[str] = (),
    optional: OptionalParts = NO_OPTIONAL_PARTS,
) -> Rollout:
    """Return the Rollout of a plan; `plan` and `fleet` are dicts of a Plan and a Fleet.

    `excluded` are the CIDRs of `egress_ip_excluded_cidrs`, `options` those of the data plane; `withheld` are egress IPs
    that must not be claimed in this run. Raises InvalidError.
    """
    data_plane = DataPlaneOptions.from_dict(options or {}, "egress_ip_")
    builder = _Builder(plan, manifests, fleet, parse_excluded(excluded), data_plane, withheld, optional)
    states = {name: builder.state_for(name) for name in sorted(fleet["observed"])}
    differing = tuple(name for name, state in states.items() if _differs(state, fleet["observed"][name]))
    names = {item["name"] for item in builder.pending}
    return Rollout(
        states,
        differing,
        tuple(_releases(plan, fleet, states)),
        builder.following,
        builder.pending,
        {name: sorted(builder.assigned[name], key=address_order) for name in sorted(names)},
        builder.selecting(),
        builder.pod_networks,
        builder.public_lines,
    )


def updates_after(rollout: _Values, results: _Values) -> dict[str, _Values]:
    """Return {node: state} of the nodes that the results of the run leave behind, all plain values; mostly none.

    Tunnels follow the addresses of `following` that were claimed, and pods use an address of `pending` only if it was
    claimed: if its node failed, no node holds it. `results` are {node: result of the module `node`}.
    """
    claimed = {
        item["egressIP"]
        for item in (*rollout["following"], *rollout["pending"])
        if item["egressIP"] in (results.get(item["node"], {}).get("claimed") or ())
    }
    ends = {item["egressIP"]: item["endpoint"] for item in rollout["following"] if item["egressIP"] in claimed}
    unheld = {item["egressIP"] for item in rollout["pending"]} - claimed
    usable = {name: {*addresses} - unheld for name, addresses in rollout["assigned"].items()}
    updated: dict[str, _Values] = {}
    for name, state in rollout["states"].items():
        result = results.get(name, {})
        changed = {**_with_ends(ends, state), **_with_slots(usable, state)}
        if changed and not result.get("failed") and not result.get("unreachable"):
            updated[name] = {**state, "generation": state["generation"] + 1, **changed}
    return updated


def _with_ends(ends: Mapping[str, str], state: _Values) -> dict[str, Any]:
    """Return the field with these {egress IP: endpoint, empty where the tunnel ends at the address}; {} for none."""
    if not ends:
        return {}
    known = {**{item["egressIP"]: item["endpoint"] for item in state["far_ends"]}, **ends}
    return {"far_ends": [{"egressIP": ip, "endpoint": end} for ip, end in sorted(known.items()) if end]}


def _with_slots(usable: Mapping[str, Collection[str]], state: _Values) -> dict[str, Any]:
    """Return the field in which objects use only these {object: addresses}; {} if they do so already."""
    objects = [
        {**item, "slots": list(slots(item["egressIPs"], usable[item["name"]]))} if item["name"] in usable else item
        for item in (state["egressips"] if usable else ())
    ]
    return {"egressips": objects} if objects and objects != state["egressips"] else {}


def _releases(plan: _Values, fleet: _Values, states: Mapping[str, NodeState]) -> list[PlannedRelease]:
    held = {name: {item.egress_ip for item in state.held} for name, state in states.items()}
    holders = {(name, item["egressIP"]) for name, answer in fleet["observed"].items() for item in answer["held"]}
    # A node that already holds its address takes nothing over, so no other node waits for it.
    takers = {
        item["egressIP"]: item["node"]
        for item in plan["assignments"]
        if (item["node"], item["egressIP"]) not in holders
    }
    releases = [PlannedRelease(ip, name, takers.get(ip, "")) for name, ip in sorted(holders) if ip not in held[name]]
    return sorted(releases, key=lambda item: address_order(item.egress_ip))


class _Builder:
    """Builds the states; values that are equal on all nodes are computed once."""

    def __init__(
        self,
        plan: _Values,
        manifests: Manifests,
        fleet: _Values,
        excluded: Collection[Network],
        options: DataPlaneOptions,
        withheld: Collection[str],
        optional: OptionalParts,
    ) -> None:
        self.plan, self.fleet, self.options, self.withheld = plan, fleet, options, withheld
        self.failover, self.networks, self.follow, self.containers = optional
        self.recalled = {name: fleet["recalled"][name] for name in manifests.broken if name in fleet["recalled"]}
        self.assigned: dict[str, set[str]] = {}
        for item in plan["assignments"]:
            self.assigned.setdefault(item["name"], set()).add(item["egressIP"])
        self.of_node: dict[str, list[_Values]] = {}
        for item in plan["assignments"]:
            self.of_node.setdefault(item["node"], []).append(item)
        self.owner = {item["egressIP"]: item["name"] for item in plan["assignments"]}
        self.refused = {(u["name"], u["egressIP"]) for u in plan["unassigned"] if u["reason"] == DUPLICATE_REQUEST}
        self.reaches = AddressReaches(plan["assignments"], fleet["observed"])
        self.pending = self._pending()
        self.egressips = self._objects(manifests, self.assigned)
        unheld = {item["egressIP"] for item in self.pending}
        held = {name: addresses - unheld for name, addresses in self.assigned.items()}
        self.cautious = self._objects(manifests, held) if unheld else self.egressips
        self.destinations = {item.name: item.destinations for item in self.egressips}
        self.selected = self._selected(manifests)
        self.unselected = self._unselected(manifests) if self.networks.by_node or self.follow else {}
        self.pod_names = self._pod_names(manifests) if self.follow else {}
        self.in_force: dict[tuple[tuple[str, ...], int], tuple[str, ...]] = {}
        self.members = tuple(
            FleetNode(m["name"], tuple(m["endpoints"]), tuple(m["addresses"]), _links(m)) for m in fleet["members"]
        )
        self.addresses = {member.name: frozenset(member.addresses) for member in self.members}
        self.far_ends, self.following = self._far_ends()
        own = {address for member in self.members for address in member.addresses}
        of_pods = pod_networks(manifests, own, excluded)
        self.pod_networks, self.public_lines = tuple(outermost(of_pods.networks)), tuple(of_pods.lines)
        networks = outermost([*excluded, *self.pod_networks])
        self.excluded, self._excluded = tuple(map(str, networks)), NetworkSet(networks)

    def state_for(self, name: str) -> NodeState:
        """Return the NodeState of one node.

        Its pods use addresses that are claimed in this run. If the node has a state of an earlier run in which one of
        them could not be claimed, it keeps that state until the address is held.
        """
        state = self._state(name, self.egressips)
        answer = self.fleet["observed"][name]
        if self.pending and answer["digest"] and answer["digest"] != state.digest():
            cautious = self._state(name, self.cautious)
            return cautious if cautious.digest() == answer["digest"] else state
        return state

    def _state(self, name: str, egressips: tuple[EgressObject, ...]) -> NodeState:
        answer = self.fleet["observed"][name]
        assigned = self.of_node.get(name, ())
        held = [Held(i["egressIP"], i["interface"]) for i in assigned if i["egressIP"] not in self.withheld]
        networks = local_networks(self.networks, name, answer, self.destinations, self.recalled)
        return NodeState(
            name=name,
            generation=self.fleet["generation"] + 1,
            interface=answer["interface"],
            endpoints=tuple(answer["endpoints"]),
            options=self.options,
            nodes=self.members,
            excluded=self.excluded + self._own_only(name),
            egressips=egressips,
            pods=self._pods(name, networks),
            held=tuple(sorted(held)),
            far_ends=self.far_ends,
            failover=self.failover.settings_of(name) if self.failover else None,
            standbys=self.failover.standbys_of(name) if self.failover else (),
            networks=networks,
            follow=self._follow(name),
        )

    def _follow(self, name: str) -> Follow | None:
        if name not in self.follow:
            return None
        return with_objects(self.follow[name], self.destinations, self.recalled, name)

    def _own_only(self, name: str) -> tuple[str, ...]:
        """Return the node's own addresses that do not count for the other nodes, as networks.

        Without those that all nodes exclude: nodes with equal exclusions share them.
        """
        known = self.addresses.get(name, ())
        own = [a for a in self.fleet["observed"][name]["addresses"] if a not in known and a not in self._excluded]
        return tuple(f"{address}/{parsed(address).max_prefixlen}" for address in sorted(own, key=address_order))

    def _pending(self) -> tuple[dict[str, str], ...]:
        """Return the assignments to addresses that no node holds; none if a node that did not answer may hold them."""
        if self.fleet["unavailable"] or self.fleet["faulty"]:
            return ()
        held = {item["egressIP"] for item in self.fleet["current"]}
        return tuple(
            {"egressIP": item["egressIP"], "node": item["node"], "name": item["name"]}
            for item in self.plan["assignments"]
            if item["egressIP"] not in held and item["egressIP"] not in self.withheld
        )

    def _far_ends(self) -> tuple[tuple[FarEnd, ...], tuple[dict[str, str], ...]]:
        """Return the FarEnds of the egress IPs that are not on the primary interface of their holder, and `following`.

        As long as a node that did not answer may hold an egress IP, its tunnel ends where it did.
        """
        endpoints = {member.name: member.endpoints for member in self.members}
        primary = {name: answer["interface"] for name, answer in self.fleet["observed"].items()}
        former = self._former_ends()
        held = {item["egressIP"] for item in self.fleet["current"]}
        silent = self.fleet["unavailable"] or self.fleet["faulty"]
        ends, following = {}, []
        for item in self.plan["assignments"]:
            ip, node = item["egressIP"], item["node"]
            elsewhere = item["interface"] != primary.get(node, item["interface"])
            end = next(iter(of_version(endpoints[node], version_of(ip))), "") if elsewhere else ""
            ends[ip] = end
            if ip not in held and silent and end != former.get(ip, ""):
                ends[ip] = former.get(ip, "")
                following.append({"egressIP": ip, "node": node, "endpoint": end})
        return tuple(sorted(FarEnd(ip, end) for ip, end in ends.items() if end)), tuple(following)

    def _former_ends(self) -> dict[str, str]:
        """Return {egress IP: endpoint} of the far ends on record."""
        entries = [
            Recorded(
                answer["generation"], name, {each["egressIP"]: each["endpoint"] for each in answer.get("far_ends", ())}
            )
            for name, answer in self.fleet["observed"].items()
        ]
        return dict(confirmed(entries)) if entries else {}

    def _objects(self, manifests: Manifests, assigned: Mapping[str, Collection[str]]) -> tuple[EgressObject, ...]:
        """Return the valid objects, and the recorded state of those with errors, so that they keep working."""
        objects = {}
        for name, entry in self.recalled.items():
            networks, excluded = (tuple(entry.get(key, ())) for key in ("destinations", "excluded_destinations"))
            objects[name] = self._object(name, entry["egressIPs"], assigned, Destinations(networks, excluded))
        for egressip in manifests.egressips:
            if not egressip.errors:
                objects[egressip.name] = self._object(
                    egressip.name, egressip.egress_ips, assigned, egressip.destinations
                )
        return tuple(objects[name] for name in sorted(objects))

    def _object(
        self,
        name: str,
        egress_ips: Iterable[str],
        assigned: Mapping[str, Collection[str]],
        destinations: Destinations,
    ) -> EgressObject:
        own, usable = self._own(name, egress_ips), assigned.get(name, ())
        return EgressObject(name, own, slots(own, usable), destinations, self.reaches.of(own, usable))

    def _own(self, name: str, egress_ips: Iterable[str]) -> tuple[str, ...]:
        """Return the addresses that no other object has: the record is the evidence of who had an address."""
        return tuple(ip for ip in egress_ips if self.owner.get(ip, name) == name and (name, ip) not in self.refused)

    def _selected(self, manifests: Manifests) -> dict[str, dict[str, tuple[str, ...]]]:
        """Return {node: {address of a pod: objects}} of the pods that valid objects select."""
        found: defaultdict[str, dict[str, tuple[str, ...]]] = defaultdict(dict)
        # Most pods of a namespace have the same objects.
        known: dict[tuple[str, ...], tuple[str, ...]] = {}
        for pod, egressips in select_pods(manifests.egressips, manifests.pods, manifests.namespaces):
            names = known.get(egressips)
            if names is None:
                names = known[egressips] = tuple(name for name in egressips if name in self.destinations)
            for address in pod.pod_ips if names and pod.node else ():
                found[pod.node or ""][address] = names
        return found

    def _unselected(self, manifests: Manifests) -> dict[str, list[str]]:
        """Return {node: addresses of pods} of the nodes with networks, or that follow pods.

        A known pod is no pod without labels, and the run knows its labels better than the node.
        """
        found: dict[str, list[str]] = {}
        for pod in manifests.pods:
            if pod.has_own_traffic and pod.node and (pod.node in self.networks.by_node or pod.node in self.follow):
                found.setdefault(pod.node, []).extend(pod.pod_ips)
        return found

    def _pod_names(self, manifests: Manifests) -> dict[str, dict[str, str]]:
        """Return {node: {address: name of its pod}} of the nodes that follow pods."""
        found: dict[str, dict[str, str]] = {}
        for pod in manifests.pods:
            if pod.has_own_traffic and pod.node and pod.node in self.follow:
                names = found.setdefault(pod.node, {})
                names.update({address: pod_name(pod.namespace, pod.name) for address in pod.pod_ips})
        return found

    def selecting(self) -> frozenset[str]:
        """Return the names of the objects that select pods, or networks on any node."""
        objects = {names for pods in self.selected.values() for names in pods.values()}
        networks = self.networks.objects.values()
        return frozenset(name for names in (*objects, *networks, self.containers.selecting) for name in names)

    def _pods(self, node: str, networks: Iterable[LocalNetwork]) -> tuple[LocalPod, ...]:
        pods = dict(self.selected.get(node, {}))
        # Valid objects go first: the selectors of the others are not known.
        for name, entry in sorted(self.recalled.items()):
            for address in entry["pods"].get(node, ()):
                pods[address] = (*pods.get(address, ()), name)
        for address in self.unselected.get(node, ()):
            pods.setdefault(address, ())
        origins, kept = self.containers.origins.get(node, {}), self.containers.kept.get(node, {})
        for address, each in kept.items():
            pods.setdefault(address, tuple(name for name in sorted(each.egressips) if name in self.destinations))
        # A pod with an address of its node is in the host network, even if its manifest does not state it. A container
        # that follows its network needs no entry, which another one could inherit with the address; one that chose its
        # namespace when it started has a class of its own.
        own = {*self.fleet["observed"][node]["addresses"], *self.containers.followed.get(node, ())}
        left_out = own | _following(pods, origins, networks)
        engines = {address: each.engine for entries in (kept, origins) for address, each in entries.items()}
        names_of = self.pod_names.get(node, {})
        return tuple(
            LocalPod(
                address,
                self._in_force(pods[address], version_of(address)),
                names_of.get(address, ""),
                engines.get(address, ""),
            )
            for address in sorted(pods, key=address_order)
            if address not in left_out
        )

    def _in_force(self, names: tuple[str, ...], version: int) -> tuple[str, ...]:
        """Return the objects that apply to a pod's address; those with an assigned egress IP of its version go first.

        So the second of two objects stands by for the first, as in OVN-Kubernetes.
        """
        if (names, version) not in self.in_force:
            ordered = sorted(names, key=lambda name: not of_version(self.assigned.get(name, ()), version))
            applying = in_force([(name, self.destinations[name]) for name in ordered])
            self.in_force[names, version] = tuple(name for name, _destinations in applying)
        return self.in_force[names, version]


def _following(
    pods: Mapping[str, tuple[str, ...]], origins: Mapping[str, Origin], networks: Iterable[LocalNetwork]
) -> set[str]:
    """Return the addresses of containers that follow the same objects as their network, {address: objects} of pods."""
    of_network = {cidr: network.egressips for network in networks for cidr in network.cidrs if network.egressips}
    return {address for address, origin in origins.items() if of_network.get(origin.cidr) == pods.get(address)}


def _differs(state: NodeState, answer: _Values) -> bool:
    return bool(answer["drift"]) or state.digest() != answer["digest"]


def parse_excluded(values: Sequence[object]) -> list[Network]:
    """Return the networks of `egress_ip_excluded_cidrs`. Raises InvalidError."""
    errors = Errors()
    path = "egress_ip_excluded_cidrs"
    parsed_values = [errors.attempt(parse_network, value, f"{path}[{i}]") for i, value in enumerate(values)]
    networks = [network for network in parsed_values if network is not None]
    if covers_everything(networks):
        errors.add(
            path, "covers every address, so that no traffic would leave with an egress IP; name the pod networks"
        )
    errors.raise_if_any()
    return networks


def _links(member: Mapping[str, Any]) -> tuple[Link, ...]:
    return tuple(Link(link["mac"], tuple(link["addresses"])) for link in member.get("links", ()))
