# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet of hosts that do not exist, for measurements of the controller.

The connection plugin `recorded` answers for them. A host has 10 egress IPs and 100 pods; an EgressIP object has two
addresses and a namespace of 20 pods, which are spread over the nodes.
"""

from __future__ import annotations

import ipaddress
import json
import os
import random
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / ".build"))

from ansible_collections.netops.egress_ip.plugins.module_utils._common.gc_pause import paused_collector  # noqa: E402
from ansible_collections.netops.egress_ip.plugins.module_utils._common.text_fields import with_texts  # noqa: E402
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.manifests import (  # noqa: E402
    Manifests,
    read_manifests,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._node.observe import NodeFacts  # noqa: E402
from ansible_collections.netops.egress_ip.plugins.module_utils._node.platform_detection import Platform  # noqa: E402
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.rollout import Rollout, roll_out  # noqa: E402
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.run_plan import RunSettings, plan_run  # noqa: E402

LABEL = "k8s.ovn.org/egress-assignable"
# All 14 bits of a mark that the collection can use: 1,000 nodes have 10,000 egress IPs.
MARK_MASK = 0x3FFF
# Otherwise each node excludes each pod's address.
POD_NETWORKS = ("10.128.0.0/9",)
_FIRST_NODE = ipaddress.IPv4Address("10.0.0.1")
_FIRST_EGRESS_IP = ipaddress.IPv4Address("10.0.128.1")
_FIRST_POD = ipaddress.IPv4Address("10.128.0.1")


@dataclass(frozen=True)
class Size:
    """The size of a fleet."""

    nodes: int
    addresses_per_node: int = 10
    pods_per_node: int = 100
    addresses_per_object: int = 2

    @property
    def names(self) -> list[str]:
        """The names of the nodes."""
        return [f"node{number:04}" for number in range(1, self.nodes + 1)]

    @property
    def addresses(self) -> int:
        """The number of egress IPs."""
        return self.nodes * self.addresses_per_node

    @property
    def objects(self) -> int:
        """The number of EgressIP objects, and of namespaces."""
        return self.addresses // self.addresses_per_object

    @property
    def pods(self) -> int:
        """The number of pods."""
        return self.nodes * self.pods_per_node


def documents(size: Size) -> list[dict]:
    """Return the manifests; the same for each call."""
    found = []
    for index in range(size.objects):
        name = f"tenant-{index:05}"
        selector = {"matchLabels": {"kubernetes.io/metadata.name": name}}
        first = index * size.addresses_per_object
        addresses = [str(_FIRST_EGRESS_IP + first + each) for each in range(size.addresses_per_object)]
        spec = {"egressIPs": addresses, "namespaceSelector": selector}
        found.append({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        found.append({"apiVersion": "k8s.ovn.org/v1", "kind": "EgressIP", "metadata": {"name": name}, "spec": spec})
    return found + pods(size)


def pods(size: Size) -> list[dict]:
    """Return the pods, as a cluster shows them."""
    numbers = [*range(size.pods)]
    random.Random(1).shuffle(numbers)
    return [
        pod(size, place % size.nodes, number % size.objects, f"pod-{number:06}", str(_FIRST_POD + number))
        for place, number in enumerate(numbers)
    ]


def pod(size: Size, node: int, tenant: int, name: str, address: str) -> dict:
    """Return a pod of a namespace on a node, both by number."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": f"tenant-{tenant:05}", "labels": {"app": "web", "tier": "front"}},
        "spec": {"nodeName": size.names[node], "containers": [{"name": "web", "image": "registry/web:1"}]},
        "status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]},
    }


def base_answer(index: int) -> dict:
    """Return the answer of a node to the module `node_info` before its first plan."""
    own = str(_FIRST_NODE + index)
    facts = NodeFacts(
        Platform("baremetal", f"4c4c4544-0000-4000-8000-{index:012}"),
        interface="eth0",
        endpoints=[own],
        networks=[{"interface": "eth0", "addresses": [f"{own}/16"]}],
        macs={"eth0": f"52:54:00:00:{index >> 8:02x}:{index & 255:02x}"},
        addresses=[own],
        gateways=["10.0.255.254"],
        routers={"eth0": ["10.0.255.254"]},
    )
    return {"changed": False, **facts.to_dict()}


def roll_out_to(size: Size, read: Manifests, answers: dict[str, dict]) -> Rollout:
    """Return the rollout of the manifests to nodes with these answers."""
    common = {"capacity": None, "networks": [], "drain": False, "platform": "auto", "fence": "", "failover": {}}
    hosts = [
        {"name": name, "address": None, "labels": {LABEL: ""}, **common, "variables": {}, "observed": answers[name]}
        for name in size.names
    ]
    options = {"mark_mask": MARK_MASK, "tunnel_keys": []}
    made = plan_run(hosts, read.to_dict(), RunSettings(), options, states=False)
    return roll_out(made.plan, made.objects, made.fleet, POD_NETWORKS, options)


@paused_collector()
def write(folder: Path, size: Size) -> None:
    """Write the manifests, the inventory, and the answers of nodes to which the manifests were applied."""
    items = documents(size)
    write_manifests(folder, items)
    (folder / "inventory.json").write_text(json.dumps(_inventory(folder, size)), encoding="utf-8")
    read = read_manifests([{"source": "bench", "document": document} for document in items])
    answers = {name: base_answer(index) for index, name in enumerate(size.names)}
    rollout = roll_out_to(size, read, answers)
    owner = {ip: item.name for state in rollout.states.values() for item in state.egressips for ip in item.egress_ips}
    for name, state in rollout.states.items():
        held = [{**item.to_dict(), "name": owner[item.egress_ip]} for item in state.held]
        answers[name].update(held=held, generation=state.generation, digest=state.digest())
    record = record_of(rollout)
    for name, answer in answers.items():
        (folder / f"{name}.json").write_text(json.dumps(with_texts({**answer, **record})), encoding="utf-8")


def record_of(rollout: Rollout) -> dict:
    """Return the part of the answers that is equal on all nodes: what their records have of each other."""
    state = next(iter(rollout.states.values()))
    return {"nodes": [item.to_dict() for item in state.nodes]}


def write_manifests(folder: Path, items: list[dict]) -> None:
    """Write the manifests as one file."""
    content = {"apiVersion": "v1", "kind": "List", "items": items}
    (folder / "manifests.json").write_text(json.dumps(content), encoding="utf-8")


def _inventory(folder: Path, size: Size) -> dict:
    common = {
        "ansible_pipelining": True,
        "ansible_python_interpreter": "/usr/bin/python3",
        "recorded_folder": str(folder),
        "egress_ip_manifests": [str(folder / "manifests.json")],
        "egress_ip_mark_mask": hex(MARK_MASK),
        "egress_ip_excluded_cidrs": list(POD_NETWORKS),
    }
    hosts = {name: {"egress_ip_labels": {LABEL: ""}} for name in size.names}
    return {"egress_ip_nodes": {"hosts": hosts, "vars": common}}


def environment(forks: int) -> dict[str, str]:
    """Return the environment of `ansible-playbook` for such a fleet."""
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".build"),
        "ANSIBLE_CONNECTION_PLUGINS": str(Path(__file__).resolve().parent / "connection_plugins"),
        "ANSIBLE_FORKS": str(forks),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_STDOUT_CALLBACK": "default",
        # As ssh, which a real fleet has: the one that is loaded before Ansible forks.
        "ANSIBLE_TRANSPORT": "recorded",
        "PYTHONUNBUFFERED": "1",
    }
