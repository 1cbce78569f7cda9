# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of any length in the answer of one node: the report of all others stays short, and quick to make."""

from __future__ import annotations

import ipaddress

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._analysis.answers import Questions, answer
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.engine_sources import EngineSource
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.manifests import read_manifests
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.containers import plan_containers
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.credibility import (
    false_addresses,
    unshared_lines,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.networks import plan_networks
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.node_answer import read_result
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.report import NO_AUDIT, preview, report
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.rollout import roll_out
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.run_plan import RunSettings, plan_run
from counted_steps import Counted, comparisons_of, growth, steps_of
from node_answers import answer as node_answer

A, B = "192.168.126.101", "192.168.126.102"
MAC = "02:e1:aa:bb:cc:dd"
USE = {"protocol": "protocol-7", "connections": 3, "busiest": "203.0.113.5:443", "port_share": 0.1}
COUNTERS = dict.fromkeys(("transmit_packets", "transmit_bytes", "receive_packets", "receive_bytes"), 1)
CONTAINER = {"name": "container", "labels": {"app": "shop"}, "addresses": ["10.88.0.5"]}
FACTS = {
    "problems": [],
    "packages": ["nftables"],
    "macs": {"eth0": MAC},
    "addresses": ["192.168.126.23", "10.88.0.1"],
    "gateways": ["192.168.64.1"],
    "routers": {"eth0": ["192.168.64.1"]},
    "bridge_filtered": [4],
    "forward_filters": [{"family": "ip", "table": "filter", "chain": "FORWARD"}],
    "held": [{"egressIP": A, "interface": "eth0", "name": "shop"}],
    "drift": ["missing ip rules"],
    "nodes": [{"name": "node1", "endpoints": ["192.168.126.21"], "addresses": ["192.168.126.21"]}],
    "tunnel_keys": ["0" * 16],
    "far_ends": [{"egressIP": A, "endpoint": "192.168.126.23"}],
    "standbys": [{"egressIP": A, "order": ["node1", "node3"]}],
    "takeovers": [{"egressIP": A, "from": "node1", "since": 5}],
    "recalled": [{"name": "shop", "egressIPs": [A], "pods": ["10.88.0.2"], "destinations": ["10.0.0.0/8"]}],
    "named_networks": [
        {"network": "podman:web", "namespace": "", "cidrs": ["10.89.0.0/24"], "problem": "", "uids": []}
    ],
    "containers": [{"engine": "podman", "found": [CONTAINER], "problem": "", "kept": []}],
    "followed_pods": [{**CONTAINER, "namespace": "namespace"}],
    "conflicts": [{"egressIP": A, "interface": "eth0", "mac": MAC}],
    "metrics": {"egress_ips": [{"egressIP": A, **COUNTERS, "use": [USE]}], "tunnel": [{"source": A, "use": [USE]}]},
    "since": {A: 5},
}
DOCUMENTS = [
    {
        "apiVersion": "k8s.ovn.org/v1",
        "kind": "EgressIP",
        "metadata": {"name": "shop"},
        "spec": {"egressIPs": [A, B], "namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "shop"}}},
    },
    {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "web", "annotations": {"egress-ip.netops/networks": "podman:web"}},
    },
]


def hosts_with(facts):
    answers = [node_answer(number, containers=FACTS["containers"]) for number in (1, 2)] + [node_answer(3, **facts)]
    common = {"labels": {"k8s.ovn.org/egress-assignable": ""}, "networks": None, "follow": ["podman"]}
    common["follow_kubeconfig"] = ""
    return [{"name": f"node{n}", **common, "observed": each} for n, each in enumerate(answers, 1)]


def plan_with(facts):
    """Return the RunPlan if the third node has these facts."""
    manifests = read_manifests([{"source": "m.yml", "document": document} for document in DOCUMENTS]).to_dict()
    manifests["engines"] = [EngineSource("podman").to_dict()]
    return plan_run(hosts_with(facts), manifests, RunSettings())


def texts_of(run, results=None):
    """Return the lines of the report, of the plan, of the status and of the traffic."""
    answers = answer(Questions(status=True, traffic=True), run, RunSettings())
    shown = report(run.plan, run.manifests, run.fleet, results or {})
    return {"report": shown.lines, "plan": preview(run.to_dict(), NO_AUDIT).lines, **answers}


MAPPINGS = (("macs",), ("routers",), ("labels",), ("since",))


def lists_in(value, path=()):
    """Yield the path of each list, and of each mapping of addresses or names, in an answer."""
    if isinstance(value, list) or (isinstance(value, dict) and path[-1:] in MAPPINGS):
        yield path
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from lists_in(item, (*path, key))


def varied(value, number):
    """Return a value of the same kind: other addresses, and other texts but short ones."""
    if isinstance(value, dict):
        return {key: varied(each, number) for key, each in value.items()}
    if isinstance(value, list):
        return [varied(each, number) for each in value]
    if not isinstance(value, str) or len(value) < 5:
        return value
    address, slash, length = value.partition("/")
    try:
        step = 256 if slash and length == "24" else 1
        return f"{ipaddress.ip_address(address) + number * step}{slash}{length}"
    except ValueError:
        return f"{value}{number}"


def longer(value, path, count, vary):
    """Return an answer in which the list at this path has so many entries, equal or different ones."""
    if path:
        items = dict(value) if isinstance(value, dict) else list(value)
        items[path[0]] = longer(value[path[0]], path[1:], count, vary)
        return items
    if isinstance(value, dict):
        ((key, each),) = value.items()
        return {varied(f"{key}-long" if "." not in key else key, n): each for n in range(count)}
    first = value[0] if value else "a problem"
    return [varied(first, n) for n in range(count)] if vary else [first] * count


PATHS = [path for path in lists_in(FACTS) if path != ("named_networks", 0, "uids")]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: ".".join(map(str, path)))
def test_one_node_does_not_fill_the_report(path):
    # As many as are refused, and as many as pass.
    for count, vary in ((100_000, False), (900, True), (51, True)):
        _check_texts(texts_of(plan_with(longer(FACTS, path, count, vary))))


@pytest.mark.parametrize("count", [900, 100_000])
@pytest.mark.parametrize("name", ["unreleased", "claimed", "released", "conflicts", "connections"])
def test_the_result_of_one_node_does_not_fill_the_report(name, count):
    conflict = {"egressIP": A, "interface": "eth0", "mac": MAC}
    addresses = [varied(A, n) for n in range(count)]
    value = {"conflicts": [conflict] * count, "connections": dict.fromkeys(addresses, 1)}.get(name, addresses)
    _check_texts(texts_of(plan_with(FACTS), {"node3": read_result({"changed": True, name: value})}))


def _check_texts(texts):
    for lines in texts.values():
        assert len(lines) <= 200, [*lines[:3], *lines[-3:]]
        assert max(map(len, lines), default=0) <= 2000


def test_differences_and_egress_ips_of_no_object_are_counted():
    held = [{"egressIP": varied(A, n), "interface": "eth0", "name": "former"} for n in range(2, 303)]
    metrics = {"egress_ips": [{"egressIP": item["egressIP"], **COUNTERS, "use": [USE]} for item in held], "tunnel": []}
    texts = texts_of(plan_with({**FACTS, "held": held, "metrics": metrics}))
    for name in ("plan", "status", "traffic"):
        (line,) = [line for line in texts[name] if "and 201 more" in line]
        assert "node3" in line


def _facts(addresses, **more):
    return {
        "interface": "eth0",
        "networks": [],
        "endpoints": [],
        "addresses": addresses,
        "held": [],
        "nodes": [],
        **more,
    }


def _members(addresses):
    return [{"name": name, "endpoints": [], "addresses": own} for name, own in (("node1", addresses), ("node2", []))]


def _lines(count):
    addresses = [Counted(varied(A, n)) for n in range(count)]
    return lambda: unshared_lines({"node1": _facts(addresses), "node2": _facts([])}, _members(addresses), [])


def _reasons(count):
    """A node calls its own what another one holds, and all records have it."""
    addresses = [Counted(varied(A, n)) for n in range(count)]
    held = [{"egressIP": each} for each in addresses]
    nodes = [{"name": "node1", "addresses": addresses}]
    observed = {
        "node1": _facts(addresses),
        "node2": _facts([], held=held, nodes=nodes),
        "node3": _facts([], nodes=nodes),
    }
    return lambda: false_addresses(observed)


def _states(count):
    addresses = [Counted(varied(A, n)) for n in range(count)]
    run = plan_with(FACTS)
    facts = {**run.fleet["observed"]["node3"], "addresses": addresses}
    fleet = {**run.fleet, "observed": {**run.fleet["observed"], "node3": facts}}
    fleet["members"] = [{**each, "addresses": addresses} for each in run.fleet["members"]]
    return lambda: roll_out(run.plan, run.objects, fleet)


@pytest.mark.parametrize("call", [_lines, _reasons, _states])
def test_the_work_grows_with_the_addresses_of_a_node(call):
    assert growth(lambda count: comparisons_of(call(count)), 50) < 1.3


def test_the_work_grows_with_the_addresses_and_networks_of_containers():
    def containers(count):
        cidrs = [varied("10.89.0.0/24", n) for n in range(count)]
        found = [{**CONTAINER, "addresses": [varied("10.88.0.5", n)]} for n in range(count)]
        networks = [{**FACTS["named_networks"][0], "cidrs": cidrs}]
        run = plan_with({**FACTS, "followed_pods": []})
        observed = {"node3": {"named_networks": networks, "containers": [{**FACTS["containers"][0], "found": found}]}}
        named = plan_networks([{"name": "node3"}], run.objects, observed)
        return steps_of(lambda: plan_containers([EngineSource("podman")], run.objects, named, observed, ()))

    assert growth(containers) < 1.3
