# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The containers and VMs of the nodes' engines as pods. PRIVATE to the collection. Pure.

A node is trusted only for its own containers. If it cannot read an engine, what it has on record for that engine stays:
that is no evidence that the containers are gone.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from .._common.addresses import Network, NetworkSet, parse_network
from .._common.errors import EgressIPError
from .._common.messages import first_lines, listed, quote
from .._common.network_names import PODMAN
from .._common.selectors import parse_labels
from .._kubernetes.engine_sources import NAMESPACE_LABEL, EngineSource
from .._kubernetes.manifests import Manifests
from .._kubernetes.objects import Pod
from .networks import NamedNetwork, NetworkPlan, found_network
from .node_answer import valid_fields

_Host = Mapping[str, Any]
_SHOWN, _MOST_LINES = 5, 20
# With the number in front, at most as long as the name of an object may be.
_LONGEST = 240
_NOT_IN_NAMES = re.compile("[^a-z0-9]+")


class Origin(NamedTuple):
    """The engine that has an address, and the CIDR of a namespace's network that contains it, empty for none."""

    engine: str
    cidr: str


class Kept(NamedTuple):
    """The objects of an address on record, of an engine that cannot be read."""

    engine: str
    egressips: tuple[str, ...]


@dataclass(frozen=True)
class ContainerPlan:
    """The `pods` of a run that engines have; `origins` and `kept` are {node: {address: ...}}, `errors` lines.

    `followed` {node: addresses} are those of containers that chose their namespace when they started.
    """

    pods: tuple[Pod, ...]
    origins: Mapping[str, Mapping[str, Origin]]
    kept: Mapping[str, Mapping[str, Kept]]
    errors: tuple[str, ...]
    followed: Mapping[str, Collection[str]]

    @property
    def selecting(self) -> Iterator[str]:
        """The names of objects on record that `kept` addresses follow."""
        return (name for entries in self.kept.values() for kept in entries.values() for name in kept.egressips)


NO_CONTAINERS = ContainerPlan((), {}, {}, (), {})


def with_engines(hosts: Sequence[_Host], sources: Sequence[EngineSource]) -> Sequence[_Host]:
    """Return the hosts, as `observe_fleet` takes them, in which an answer about too few engines is a failure.

    A failed answer never counts as one without containers.
    """
    return [_with_engines(host, {source.engine for source in sources}) for host in hosts] if sources else hosts


def _with_engines(host: _Host, engines: Collection[str]) -> _Host:
    observed = host["observed"]
    if not observed or any(observed.get(key) for key in ("failed", "unreachable", "problems", "lost")):
        return host
    answers = valid_fields(observed, "containers").get("containers", ())
    silent = {*engines} - {answer["engine"] for answer in answers}
    if not silent:
        return host
    names = listed(sorted(silent), _SHOWN)
    text = f"gives no answer about {names}; run netops.egress_ip.node_info with the engines of the manifests"
    return {**host, "observed": {"failed": True, "msg": text}}


def plan_containers(
    sources: Iterable[EngineSource],
    manifests: Manifests,
    networks: NetworkPlan,
    observed: Mapping[str, Mapping[str, Any]],
    reserved: Collection[str],
) -> ContainerPlan:
    """Return the ContainerPlan. `observed` is {node: its facts}; `reserved` are addresses that belong to no pod.

    A Pod document with an address of a container replaces it.
    """
    by_engine = {source.engine: source for source in sources}
    documented = {(pod.node, address) for pod in manifests.pods for address in pod.pod_ips}
    found = [
        _Node(node, facts, by_engine, networks.by_node.get(node, ()), documented, reserved).read()
        for node, facts in sorted(observed.items())
        if (facts.get("containers") and by_engine) or facts.get("followed_pods")
    ]
    return ContainerPlan(
        tuple(pod for each in found for pod in each.pods),
        {each.name: each.origins for each in found},
        {each.name: each.kept for each in found},
        # Those of one node must not fill the report.
        tuple(
            line
            for each in found
            for line in first_lines(each.errors, _MOST_LINES, "errors of containers", f"{each.name}: has ")
        ),
        {each.name: each.followed for each in found},
    )


class _Node:
    """Reads the containers of one node."""

    def __init__(
        self,
        name: str,
        facts: Mapping[str, Any],
        sources: Mapping[str, EngineSource],
        networks: Iterable[NamedNetwork],
        documented: Collection[tuple[str | None, str]],
        reserved: Collection[str],
    ) -> None:
        self.name, self.sources, self.documented, self.reserved = name, sources, documented, reserved
        self.started = facts.get("followed_pods", ())
        self.followed = {address for each in self.started for address in each["addresses"]}
        self.answers = [answer for answer in facts.get("containers", ()) if answer["engine"] in sources]
        self.namespaces = _namespaces_by_network(facts, networks)
        self.networks = NetworkSet(self.namespaces)
        self.pods: list[Pod] = []
        self.names: set[tuple[str, str]] = set()
        self.numbers: Counter[tuple[str, str]] = Counter()
        self.origins: dict[str, Origin] = {}
        self.kept: dict[str, Kept] = {}
        self.errors: list[str] = []

    def read(self) -> _Node:
        # Containers that share a network have the class of the one that started last.
        last = {address: number for number, each in enumerate(self.started) for address in each["addresses"]}
        for number, each in enumerate(self.started):
            own = tuple(address for address in each["addresses"] if last[address] == number)
            if own:
                name = self._pod_name(each["name"], each["namespace"])
                labels = _valid_labels(each["labels"])
                self.pods.append(Pod(each["namespace"], name, labels, self.name, own, engine=PODMAN))
        left_out = self._shared() | self.followed
        for answer in self.answers:
            if answer["problem"]:
                self._keep(answer["engine"], answer)
            else:
                self._read_engine(answer["engine"], answer["found"], left_out)
        return self

    def _read_engine(self, engine: str, found: Iterable[Mapping[str, Any]], left_out: Collection[str]) -> None:
        refused = []
        for container in found:
            wanted = container["labels"].get(NAMESPACE_LABEL)
            if wanted is None or wanted in self.sources[engine].namespaces:
                self._add(engine, container, wanted, left_out)
            else:
                refused.append(f"{container['name']} ({quote(wanted)})")
        if refused:
            text = f"no pods, since `namespaces` of this source lacks the namespace in their label {NAMESPACE_LABEL}"
            self.errors.append(f"{self.name}: {engine}: {text}: {listed(refused, _SHOWN)}")

    def _shared(self) -> set[str]:
        """Return the addresses that belong to no single container, with an error for each."""
        owners: dict[str, list[str]] = {}
        for answer in self.answers:
            for container in answer["found"]:
                for address in container["addresses"]:
                    owners.setdefault(address, []).append(f"{answer['engine']}:{container['name']}")
        for address, names in owners.items():
            if address in self.reserved:
                text = f"{listed(names, _SHOWN)} has {address}, a node's address or an egress IP; it is no pod"
                self.errors.append(f"{self.name}: {text}")
            elif len(names) > 1:
                text = f"{' and '.join(names[:_SHOWN])} have the same address {address}; neither is a pod"
                self.errors.append(f"{self.name}: {text}")
        return {address for address, names in owners.items() if len(names) > 1 or address in self.reserved}

    def _keep(self, engine: str, answer: Mapping[str, Any]) -> None:
        self.errors.append(
            f"{self.name}: {engine} cannot be read: {answer['problem']}; its {len(answer['kept'])} pods on record stay"
        )
        for pod in answer["kept"]:
            if (self.name, pod["address"]) not in self.documented:
                self.kept.setdefault(pod["address"], Kept(engine, tuple(pod["egressips"])))

    def _add(self, engine: str, container: Mapping[str, Any], wanted: str | None, left_out: Collection[str]) -> None:
        addresses: dict[str, list[str]] = {}
        for address in container["addresses"]:
            if address not in left_out and (self.name, address) not in self.documented:
                cidr, namespaces = self._network_of(address)
                # The packets of a network with several namespaces are dropped.
                if wanted is not None or len(namespaces) < 2:
                    default = next(iter(namespaces), self.sources[engine].namespace)
                    addresses.setdefault(default if wanted is None else wanted, []).append(address)
                    self.origins[address] = Origin(engine, cidr)
        labels = _valid_labels(container["labels"])
        for namespace, own in addresses.items():
            name = self._pod_name(container["name"], namespace)
            self.pods.append(Pod(namespace, name, labels, self.name, tuple(own), engine=engine))

    def _network_of(self, address: str) -> tuple[str, Collection[str]]:
        """Return the longest of the named networks that contains an address, and the namespaces that name it."""
        longest = self.networks.longest(address)
        return (str(longest), self.namespaces[longest]) if longest else ("", ())

    def _pod_name(self, name: str, namespace: str) -> str:
        """Return a valid name of a Pod that no other pod of the node has."""
        parts = [_NOT_IN_NAMES.sub("-", part.lower()).strip("-") or "x" for part in (name, self.name)]
        base = ".".join(parts)[-_LONGEST:].lstrip("-.")
        found = ""
        while not found or (namespace, found) in self.names:
            self.numbers[namespace, base] += 1
            number = self.numbers[namespace, base]
            found = base if number == 1 else f"{number}-{base}"
        self.names.add((namespace, found))
        return found


def _namespaces_by_network(facts: Mapping[str, Any], networks: Iterable[NamedNetwork]) -> dict[Network, set[str]]:
    found: dict[Network, set[str]] = {}
    for each in networks:
        for cidr in found_network(facts, each.network).get("cidrs", ()):
            found.setdefault(parse_network(cidr, "cidrs"), set()).add(each.namespace)
    return found


def _valid_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Return the labels that a Kubernetes object could have: no selector matches others."""
    found: dict[str, str] = {}
    for key, value in labels.items():
        try:
            found.update(parse_labels({key: value}, "labels"))
        except EgressIPError:
            continue
    return found
