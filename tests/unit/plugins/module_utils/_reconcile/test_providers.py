# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The contract of providers: which hosts belong to one, and its queries and failures."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import InventoryError
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.manifests import read_egressips
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.providers import (
    PROVIDERS,
    failures,
    queries,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.argument_spec import CONNECTION

ROOT = Path(__file__).parents[5]
A, B = "192.168.126.10", "192.168.126.102"
UUID = "42304b1e-9e7b-4f1d-8a52-0c1f6b0f6c11"
BY_UUID = {"guest_uuid": UUID}
ON_VSPHERE = {"platform": {"name": "vsphere", "uuid": UUID}}


def egressip(name, *egress_ips):
    spec = {"egressIPs": list(egress_ips), "namespaceSelector": {}}
    return {"apiVersion": "k8s.ovn.org/v1", "kind": "EgressIP", "metadata": {"name": name}, "spec": spec}


def host(name, **values):
    return {"name": name, "observed": {"unreachable": True}, **values}


def names(hosts):
    return [node["name"] for query in queries(hosts, []) for node in query["nodes"]]


def vm(said):
    return host("node1", observed=ON_VSPHERE, variables={"egress_ip_vsphere_vm": said})


def test_the_hosts_of_a_provider():
    hosts = [
        host("says so", observed=ON_VSPHERE),
        host("says no", observed={"platform": {"name": "baremetal", "uuid": None}}, platform="vsphere"),
        host("is silent"),
        host("is silent, and the user says so", platform="vsphere"),
        host("is to be fenced", observed={"platform": {"name": "virtual", "uuid": None}}, fence="vsphere"),
        host("was not looked at", observed=None, platform="auto"),
        host("has a fence of the user", fence="/etc/fence.yml"),
    ]
    assert names(hosts) == ["says so", "is silent, and the user says so", "is to be fenced"]
    assert [query["required"] for query in queries(hosts, [])] == [True]
    assert [query["required"] for query in queries(hosts[:4], [])] == [False]
    assert queries(hosts[1:3], []) == []


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        (None, [{"name": "node1", **BY_UUID}]),
        ({}, [{"name": "node1", **BY_UUID}]),
        ({"uuid": UUID}, [{"uuid": UUID}]),
        ({"name": "web 1", "label": "Network adapter 2"}, [{"name": "web 1", "label": "Network adapter 2", **BY_UUID}]),
        ({"mac": "00:50:56:00:01:02"}, [{"name": "node1", "mac": "00:50:56:00:01:02", **BY_UUID}]),
        (
            {"datacenter": "DC0", "folder": "blue"},
            [{"name": "node1", "datacenter": "DC0", "folder": "blue", **BY_UUID}],
        ),
        (
            [{"label": "A"}, {"uuid": UUID, "label": "B"}],
            [{"name": "node1", "label": "A", **BY_UUID}, {"uuid": UUID, "label": "B"}],
        ),
    ],
)
def test_the_vm_of_a_host(said, asked):
    (query,) = queries([vm(said)], [])
    assert (query["name"], query["nodes"]) == ("vsphere", [{"name": "node1", "vms": asked, "uuid": UUID}])
    assert query["vcenters"] == [{"connection": "node1", "nodes": ["node1"], "vms": asked}]


def test_nodes_of_several_vcenters():
    named = {"node1": "vc1", "node2": None, "node3": "VC1", "node4": ""}
    hosts = [
        host(name, platform="vsphere", variables={"egress_ip_vsphere_hostname": vcenter})
        for name, vcenter in named.items()
    ]
    (query,) = queries(hosts, [])
    assert query["vcenters"] == [
        {"connection": "node1", "nodes": ["node1", "node3"], "vms": [{"name": "node1"}, {"name": "node3"}]},
        {"connection": "node2", "nodes": ["node2", "node4"], "vms": [{"name": "node2"}, {"name": "node4"}]},
    ]


LINKS = [{"mac": "00:50:56:00:01:02", "addresses": ["192.168.126.21/18"]}]


@pytest.mark.parametrize(
    ("observed", "members", "macs"),
    [
        ({"networks": [{"interface": "eth0", "addresses": []}], "macs": {"eth0": "a", "eth1": "b"}}, [], ["a"]),
        ({"unreachable": True}, [{"name": "node1", "links": LINKS}], ["00:50:56:00:01:02"]),
        ({"unreachable": True}, [{"name": "node1"}, {"name": "node2", "links": LINKS}], None),
    ],
)
def test_the_mac_addresses_of_a_host_select_its_adapter(observed, members, macs):
    known = {} if macs is None else {"macs": macs}
    (query,) = queries([host("node1", observed=observed, platform="vsphere")], [], members)
    assert query["vcenters"][0]["vms"] == [{"name": "node1", **known}]
    named = host("node1", observed=observed, platform="vsphere", variables={"egress_ip_vsphere_vm": {"label": "A"}})
    (query,) = queries([named], [], members)
    assert query["vcenters"][0]["vms"] == [{"name": "node1", "label": "A"}]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("node1", "node1: egress_ip_vsphere_vm: must be a dictionary, not the string 'node1'"),
        (
            {"nic": "x"},
            "node1: egress_ip_vsphere_vm.nic: unknown field; expected one of name, uuid, moid, mac, label, network,"
            " datacenter, folder",
        ),
        ([{}, 5], "node1: egress_ip_vsphere_vm[1]: must be a dictionary, not the integer 5"),
    ],
)
def test_a_vm_that_is_not_named_well(said, message):
    with pytest.raises(InventoryError) as error:
        queries([vm(said)], [])
    assert str(error.value) == message


def test_the_egress_ips_of_valid_manifests():
    documents = [egressip("web", B, A), egressip("db", A), {**egressip("broken"), "spec": {"egressIPs": ["x"]}}]
    assert [query["egress_ips"] for query in queries([vm(None)], read_egressips(documents))] == [[A, B]]


def test_failures_of_tasks_with_and_without_a_loop():
    assert failures("vsphere", {"failed": True, "msg": "a"}) == ["vCenter: a"]
    assert failures("vsphere", {"changed": True}) == []
    results = [{"failed": True, "msg": "b"}, {"changed": True}, {"failed": True, "msg": "c"}]
    assert failures("vsphere", {"failed": True, "msg": "One or more items failed", "results": results}) == [
        "vCenter: b",
        "vCenter: c",
    ]


@pytest.mark.parametrize(
    ("message", "line"),
    [
        (
            "hostname: vc:443 does not answer: timed out",
            "egress_ip_vsphere_hostname: vc:443 does not answer: timed out",
        ),
        (
            "port 1 of a: set allow_override: true, or scope: portgroup",
            "port 1 of a: set egress_ip_vsphere_allow_override: true, or egress_ip_vsphere_scope: portgroup",
        ),
        ("node1, A: use method: power_off", "node1, A: use egress_ip_vsphere_fence_method: power_off"),
        ("the scope is wrong", "the scope is wrong"),
        (
            "vms[2]: node3: is on a standard switch; set scope: portgroup",
            "egress_ip_vsphere_vm: node3: is on a standard switch; set egress_ip_vsphere_scope: portgroup",
        ),
        (
            "missing required arguments: hostname, password",
            "missing required arguments: egress_ip_vsphere_hostname, egress_ip_vsphere_password",
        ),
        (
            "argument 'port' is of type <class 'str'> and we were unable to convert to int: port",
            "argument 'egress_ip_vsphere_port' is of type <class 'str'> and we were unable to convert to int: port",
        ),
        (
            "username: 'a' and its password are rejected by vc:443",
            "egress_ip_vsphere_username: 'a' and its password are rejected by vc:443",
        ),
        (
            "mac_learning: is not supported by DVS0; use a distributed switch 6.6 or newer",
            "egress_ip_vsphere_guest_mac: is not supported by DVS0; use a distributed switch 6.6 or newer",
        ),
        ("vms[0].name: must identify one VM", "egress_ip_vsphere_vm: must identify one VM"),
    ],
)
def test_messages_name_the_variables_of_a_run(message, line):
    assert failures("vsphere", {"failed": True, "msg": message}) == [f"vCenter: {line}"]


def test_each_option_of_the_connection_has_a_variable():
    assert {*CONNECTION} <= {*PROVIDERS["vsphere"].options}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_only_its_role_and_its_code_name_a_provider(provider):
    """The word may be in documentation; and it is in the list of providers."""
    allowed = re.compile(rf"roles/{provider}/|plugins/modules/{provider}_|plugins/module_utils/_{provider}/")
    also = {"plugins/module_utils/_reconcile/providers.py"}
    word = re.compile(rf"\b{provider}|{provider.title()}|{provider.upper()}")
    found = set()
    for folder in ("plugins/action", "plugins/module_utils", "plugins/plugin_utils", "roles", "playbooks"):
        for path in sorted((ROOT / folder).rglob("*")):
            name = str(path.relative_to(ROOT))
            if path.suffix in {".py", ".yml"} and not allowed.search(name) and "meta/" not in name:
                found.update([name] if word.search(path.read_text()) else [])
    assert found <= also
