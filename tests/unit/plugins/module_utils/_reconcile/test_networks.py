# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks in a run: from annotations and host variables to states, errors, mistakes and tables."""

from __future__ import annotations

import copy

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.node_state import NodeState
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.manifests import Manifests, read_manifests
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.networks import names_of_host
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.page import page
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.picture import picture
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.report import report
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.run_plan import RunSettings, plan_run
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.status_table import status_table
from node_answers import answer

A = "192.168.126.101"
LABELS = {"k8s.ovn.org/egress-assignable": ""}
NETWORKS = "egress-ip.netops/networks"


def egressip(name="web", address=A, **spec):
    spec = {"egressIPs": [address], "namespaceSelector": {"matchLabels": {"egress": name}}, **spec}
    return {"apiVersion": "k8s.ovn.org/v1", "kind": "EgressIP", "metadata": {"name": name}, "spec": spec}


def namespace(name="web", networks=None, egress="web"):
    annotations = {} if networks is None else {"annotations": {NETWORKS: networks}}
    metadata = {"name": name, "labels": {"egress": egress}, **annotations}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def pod(name, node, *ips, **metadata):
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "other", **metadata},
        "spec": {"nodeName": node},
        "status": {"podIPs": [{"ip": ip} for ip in ips]},
    }


def found(network, *cidrs, namespace="", problem=""):
    return {"network": network, "namespace": namespace, "cidrs": list(cidrs), "problem": problem}


def host(number, *named, networks=None, **facts):
    observed = answer(number, named_networks=list(named), **facts)
    return {"name": f"node{number}", "labels": LABELS, "networks": networks, "observed": observed}


def run(hosts, *documents, **options):
    manifests = read_manifests([{"source": "m.yml", "document": document} for document in documents]).to_dict()
    assert Manifests.from_dict(manifests).to_dict() == manifests
    inputs = copy.deepcopy((hosts, manifests))
    made = plan_run(hosts, manifests, RunSettings(), options).to_dict()
    assert (hosts, manifests) == inputs
    for state in made["rollout"]["states"].values():
        assert NodeState.from_dict(state).to_dict() == state
    return made


def networks_of(made, node="node1"):
    return [
        (each["namespace"], each["network"], each["egressips"], each["cidrs"])
        for each in made["rollout"]["states"][node].get("networks", ())
    ]


def errors(made):
    return made["manifests"]["network_errors"]


def test_one_annotation_and_one_object_are_enough():
    hosts = [host(1, found("podman:web", "10.89.0.0/24")), host(2, found("podman:web", "10.89.0.0/24"))]
    made = run(hosts, egressip(), namespace(networks="podman:web"))
    for node in ("node1", "node2"):
        assert networks_of(made, node) == [("web", "podman:web", ["web"], ["10.89.0.0/24"])]
    assert (made["mistakes"], errors(made), made["stop_reasons"]) == ([], [], [])
    assert made["manifests"]["network_names"] == ["podman:web"]


def found_user(name, *uids, namespace="", problem=""):
    return {**found(f"user:{name}", namespace=namespace, problem=problem), **({"uids": [*uids]} if uids else {})}


def test_a_user_has_the_numbers_that_each_node_found():
    hosts = [
        host(1, found_user("deploy", "1001", "100000-165535")),
        host(2, found_user("deploy", problem="does not exist")),
        host(3, found_user("deploy", "1007")),
    ]
    made = run(hosts, egressip(), namespace(networks="user:deploy"))
    of_node = {node: made["rollout"]["states"][node]["networks"][0] for node in ("node1", "node2", "node3")}
    assert {node: each.get("uids") for node, each in of_node.items()} == {
        "node1": ["1001", "100000-165535"],
        "node2": None,
        "node3": ["1007"],
    }
    assert made["mistakes"] == ["namespace/web: user:deploy does not exist on node2"]
    shown = report(made["plan"], made["manifests"], made["fleet"]).lines
    assert "web        user:deploy  node1  uid 1001, uid 100000-165535  web" in shown
    assert "<code>uid 1007</code>" in page(picture(made, planned=False), "Fleet")


def test_a_user_of_two_namespaces_is_one_line():
    hosts = [
        host(1, found_user("deploy", "1001"), found_user("1001", "1001"), networks={"db": ["user:1001"]}),
        host(2, found_user("deploy", "1001")),
    ]
    made = run(hosts, egressip(), namespace(networks="user:deploy"), namespace("db"))
    assert errors(made) == [
        "node1: uid 1001 is user:1001 of namespace/db and user:deploy of namespace/web; its packets are dropped, so"
        " name it in one namespace only"
    ]


def test_a_host_may_name_its_own():
    hosts = [host(1, found("docker:web", "172.18.0.0/16"), networks={"web": ["docker:web"]}), host(2)]
    made = run(hosts, egressip(), namespace())
    assert networks_of(made) == [("web", "docker:web", ["web"], ["172.18.0.0/16"])]
    assert "networks" not in made["rollout"]["states"]["node2"]


def test_a_host_names_a_namespace_of_a_named_cluster():
    live = namespace("prod.web")
    live["metadata"]["labels"]["egress-ip.netops/cluster"] = "prod"
    hosts = [host(1, found("docker:web", "172.18.0.0/16"), networks={"prod.web": ["docker:web"]}), host(2)]
    made = run(hosts, egressip(), live)
    assert networks_of(made) == [("prod.web", "docker:web", ["web"], ["172.18.0.0/16"])]
    assert errors(made) == []


def test_without_networks_nothing_changes():
    made = run([host(1), host(2)], egressip(), namespace(), pod("p", "node1", "10.88.0.9"))
    assert "networks" not in made["rollout"]["states"]["node1"]
    assert made["rollout"]["states"]["node1"]["pods"] == []
    assert made["manifests"]["networks"] == []


def test_a_known_pod_that_no_object_selects_is_in_the_states_of_nodes_with_networks():
    hosts = [host(1, networks={"web": "docker:web"}), host(2)]
    pods = pod("p", "node1", "10.88.0.9"), pod("q", "node2", "10.88.0.9")
    made = run(hosts, egressip(), namespace(), *pods)
    assert made["rollout"]["states"]["node1"]["pods"] == [{"address": "10.88.0.9", "egressips": []}]
    assert made["rollout"]["states"]["node2"]["pods"] == []


@pytest.mark.parametrize(
    ("selector", "selects"),
    [
        ({"matchLabels": {"app": "x"}}, False),
        ({"matchExpressions": [{"key": "app", "operator": "Exists"}]}, False),
        ({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, True),
        ({}, True),
    ],
)
def test_what_is_in_a_network_is_a_pod_without_labels(selector, selects):
    made = run([host(1), host(2)], egressip(podSelector=selector), namespace(networks="10.89.7.0/24"))
    assert networks_of(made) == [("web", "10.89.7.0/24", ["web"] if selects else [], [])]
    line = "namespace/web: no EgressIP selects its networks; what they contain counts as pods without labels"
    assert (line in made["mistakes"]) == (not selects)


@pytest.mark.parametrize(
    ("annotation", "lines"),
    [
        ("podman:web, lxc:x", ["[1]: 'lxc:x' names no known engine"]),
        ("podman:web,", ["[1]: is empty"]),
        ("podman:web, podman:web", ["[1]: 'podman:web' is a duplicate; list each network once"]),
        ("podman:web, user:root, 10.0.0.0/33", ["[1]: 'user:root' is the user of", "[2]: '10.0.0.0/33' has"]),
        (5, [": must be a list of networks with commas between them, not the integer 5"]),
    ],
)
def test_a_wrong_annotation_is_one_line_and_the_rest_goes_on(annotation, lines):
    made = run([host(1), host(2)], egressip(), namespace(networks=annotation))
    assert made["stop_reasons"] == []
    assert len(errors(made)) == len(lines)
    for line, text in zip(errors(made), lines, strict=True):
        assert line.startswith(f"namespace/web: metadata.annotations['{NETWORKS}']{text}")
    assert [each[1] for each in networks_of(made)] == ([] if annotation == 5 else ["podman:web"])


def test_an_annotation_of_another_kind_is_one_line():
    wrong = egressip("db", "192.168.126.103")
    wrong["metadata"]["annotations"] = {NETWORKS: "podman:db"}
    odd = namespace("odd")
    odd["metadata"]["annotations"] = {"egress-ip.netops/pool": "x", "egress-ip.netops/network": "y"}
    on_pod = pod("p", "node1", "10.88.0.9", annotations={NETWORKS: "podman:web"})
    made = run([host(1), host(2)], egressip(), wrong, odd, on_pod)
    root, move = "namespace/odd: metadata.annotations", "has an effect on a Namespace only; move it there"
    assert errors(made) == [
        f"pod/other/p: metadata.annotations['{NETWORKS}']: {move}",
        f"{root}['egress-ip.netops/pool']: has an effect on an EgressIP only; move it there",
        f"{root}['egress-ip.netops/network']: unknown annotation; did you mean {NETWORKS}?",
    ]
    (broken,) = made["plan"]["invalid"]
    assert broken["errors"] == [f"egressip/db: metadata.annotations['{NETWORKS}']: {move}"]
    assert [item["name"] for item in made["plan"]["assignments"]] == ["web"]


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("podman:web", "must be a mapping of namespaces and their networks, not the string 'podman:web'"),
        ({"Web": ["podman:web"]}, "a key must be the name of a namespace, not 'Web'"),
        ({5: ["podman:web"]}, "a key must be the name of a namespace, not the integer 5"),
        *(
            ({name: ["podman:web"]}, f"a key must be the name of a namespace, not '{name}'")
            for name in ("a.b.web", ".web", "prod.", "Prod.web", f"prod.{'a' * 64}")
        ),
    ],
)
def test_a_wrong_variable_of_a_host_is_one_line(value, line):
    made = run([host(1, networks=value), host(2)], egressip(), namespace())
    assert errors(made) == [f"node1: egress_ip_networks: {line}"]
    assert made["stop_reasons"] == networks_of(made) == []
    assert names_of_host(value) == []


def test_a_wrong_network_of_a_host_names_its_place():
    value = {"web": ["docker:web", "lxc:x", 5]}
    made = run([host(1, networks=value), host(2)], egressip(), namespace())
    assert [line.partition(" '")[0].partition(" must")[0] for line in errors(made)] == [
        "node1: egress_ip_networks.web[1]:",
        "node1: egress_ip_networks.web[2]:",
    ]
    assert names_of_host(value) == [each[1] for each in networks_of(made)] == ["docker:web"]


def test_a_namespace_with_an_error_keeps_what_nodes_have_on_record():
    """Packets of its containers must not leave with another source because of a typing error."""
    recorded = found("docker:db", "172.18.0.0/16", namespace="web"), found("docker:x", namespace="other")
    made = run([host(1, *recorded), host(2)], egressip(), namespace(networks="podman:web, docker;db"))
    assert networks_of(made) == [
        ("web", "docker:db", ["web"], ["172.18.0.0/16"]),
        ("web", "podman:web", ["web"], []),
    ]
    made = run([host(1, *recorded, networks="x"), host(2)], egressip(), namespace())
    assert [each[:2] for each in networks_of(made)] == [("other", "docker:x"), ("web", "docker:db")]
    assert networks_of(run([host(1, *recorded), host(2)], egressip(), namespace())) == []


def test_a_broken_object_keeps_its_networks():
    recalled = {"name": "web", "egressIPs": [A], "pods": [], "networks": ["podman:web"]}
    hosts = [host(1, found("podman:web", "10.89.0.0/24"), recalled=[recalled]), host(2)]
    made = run(hosts, egressip(podSelector=5), namespace(networks="podman:web"))
    assert networks_of(made) == [("web", "podman:web", ["web"], ["10.89.0.0/24"])]
    assert networks_of(made, "node2") == [("web", "podman:web", [], [])]


def test_a_network_that_nodes_do_not_have_is_one_line():
    absent = found("podman:web", problem="does not exist")
    made = run([host(1, found("podman:web", "10.89.0.0/24")), host(2, absent), host(3, absent)], egressip(), NAMED)
    assert made["mistakes"] == ["namespace/web: podman:web does not exist on node2, node3"]
    assert networks_of(made, "node2") == [("web", "podman:web", ["web"], [])]
    assert errors(made) == []


NAMED = namespace(networks="podman:web")


def test_a_network_of_two_namespaces_is_an_error_on_that_node():
    hosts = [
        host(1, found("podman:web", "10.89.0.0/24"), found("docker:db", "10.89.0.0/24")),
        host(2, found("podman:web", "10.89.0.0/24"), found("docker:db", "10.89.1.0/24")),
    ]
    made = run(hosts, egressip(), NAMED, namespace("db", "docker:db"))
    assert errors(made) == [
        "node1: 10.89.0.0/24 is docker:db of namespace/db and podman:web of namespace/web; its packets are dropped, so"
        " name it in one namespace only"
    ]


def test_a_network_with_a_node_in_it_is_an_error():
    hosts = [host(1, found("interface:eth0", "192.168.64.0/18")), host(2)]
    made = run(hosts, egressip(), namespace(networks="interface:eth0"))
    assert errors(made) == [
        "node1: interface:eth0 of namespace/web is not used: 192.168.64.0/18 contains 192.168.126.21, a node's address"
        " or an egress IP; name networks of containers or VMs"
    ]


def test_the_tables_and_the_page_show_the_networks():
    hosts = [host(1, found("podman:web", "10.89.0.0/24", "fd00:89::/64")), host(2)]
    made = run(hosts, egressip(), NAMED)
    shown = report(made["plan"], made["manifests"], made["fleet"]).lines
    expected = [
        "NAMESPACE  NETWORK     NODE   ADDRESSES                   OBJECTS",
        "web        podman:web  node1  10.89.0.0/24, fd00:89::/64  web",
        "web        podman:web  node2  -                           web",
    ]
    start = shown.index(expected[0])
    assert list(shown[start : start + 3]) == expected
    seen = picture(made, planned=False)
    assert set(expected) <= set(status_table(seen, made["fleet"]).lines)
    assert "<td>podman:web</td>" in page(seen, "Fleet")


def test_errors_are_errors_of_the_report():
    made = run([host(1, networks="x"), host(2)], egressip(), NAMED)
    shown = report(made["plan"], made["manifests"], made["fleet"])
    assert shown.errors == tuple(errors(made))
    assert shown.failures == ()
