# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tasks of a run against a simulated vCenter, without hosts behind the nodes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.manifests import read_egressips
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.providers import queries
from ansible_collections.netops.egress_ip.plugins.plugin_utils._variables import hosts_of
from pyVmomi import vim
from setting_sources import task_variables
from spoof_guard import spoof_guard
from vcenter import running

LABEL = {"k8s.ovn.org/egress-assignable": ""}
A, B = "192.168.126.10", "192.168.126.102"
STEPS, WITHHELD = "egress_ip_steps", "egress_ip_steps.withheld"
RESULTS = "__egress_ip_fence_results"
REPORTED = "egress_ip_report.failures"
AUDITED = "egress_ip_audit"
FAILURES = "egress_ip_audit.failures"
TASKS = Path(__file__).parents[4] / "roles/node/tasks"
IN_A_RUN = {
    task["name"]: task
    for name in ("fence_and_ports.yml", "apply_in_steps.yml")
    for entry in yaml.safe_load((TASKS / name).read_text())
    for task in entry.get("block", [entry])
}
AUDIT = {**IN_A_RUN["Audit each platform"], "run_once": True}
OPEN = IN_A_RUN["Allow the egress IPs on the platforms"]
CLOSE = IN_A_RUN["Revert platform settings that no egress IP needs"]
UNFENCE = {"include_role": {"name": "netops.egress_ip.node", "tasks_from": "unfence"}, "run_once": True}
OUTSIDE = IN_A_RUN["Decide about fences and ports"]
REPORT = [
    {"netops.egress_ip.report": {"fence_results": "{{ __egress_ip_fence_results }}"}, "register": "egress_ip_report"}
]
LINES = "egress_ip_report.lines"
FENCE = [{"include_role": {"name": "netops.egress_ip.node", "tasks_from": "fence"}}]


def egressip(*egress_ips):
    spec = {"egressIPs": list(egress_ips), "namespaceSelector": {}}
    return {"apiVersion": "k8s.ovn.org/v1", "kind": "EgressIP", "metadata": {"name": "web"}, "spec": spec}


def node(number, uuid=None, platform="vsphere", **variables):
    """Variables of a node that answered."""
    networks = [{"interface": "eth0", "addresses": [f"192.168.126.2{number}/18"]}]
    observed = {"networks": networks, "macs": {}, "platform": {"name": platform, "uuid": uuid}}
    # The node has been changed already: only then fenced nodes are reconnected.
    return {"egress_ip_node_info": observed, "egress_ip_node": {}, "egress_ip_labels": LABEL, **variables}


def silent(**variables):
    return {"egress_ip_node_info": {"unreachable": True, "msg": "timed out"}, "egress_ip_labels": LABEL, **variables}


def world(hosts, egress_ips, assignments=(), held=()):
    """A task that makes the plan of these hosts; `assignments` and `held` are (egress IP, node)."""
    observed = {
        name: each["egress_ip_node_info"] for name, each in hosts.items() if "networks" in each["egress_ip_node_info"]
    }
    nodes = [
        {"name": name, "labels": each["egress_ip_labels"], "networks": each["egress_ip_node_info"].get("networks", [])}
        for name, each in hosts.items()
    ]
    unavailable = [{"name": name, "reason": "timed out"} for name in hosts if name not in observed]
    fleet = {"nodes": nodes, "observed": observed, "unavailable": unavailable, "faulty": [], "recalled": {}}
    fleet["eligible"] = [name for name, each in hosts.items() if each["egress_ip_labels"]]
    fleet["current"] = [{"egressIP": ip, "node": name} for ip, name in held]
    entries = [{"egressIP": ip, "node": name, "name": "web", "interface": "eth0"} for ip, name in assignments]
    platforms = queries(
        hosts_of(task_variables(**hosts), hosts),
        read_egressips([egressip(*egress_ips)]),
    )
    plan = {"assignments": entries, "load": {}, **{key: [] for key in ("unassigned", "invalid", "moves", "warnings")}}
    manifests = {"egressips": [egressip(*egress_ips)], "invalid": [], "ignored": []}
    made = {
        "fleet": fleet,
        "plan": plan,
        "manifests": manifests,
        "rollout": {},
        "mistakes": [],
        "answers": {},
        "notes": [],
    }
    made |= {"platforms": platforms, "stop_reasons": [], "in_steps": True}
    return {"set_fact": {"egress_ip_plan": made}, "run_once": True}


@pytest.fixture
def guarded(vcenter):
    """The port group of the nodes drops everything but their own addresses."""
    vcenter.change_group("nodes", defaultPortConfig=spoof_guard("192.168.126.21", "192.168.126.22"))
    return vcenter


def ours(vcenter, key):
    """Descriptions of our rules at a port."""
    rules = vcenter.port_setting(key).filterPolicy.filterConfig[0].trafficRuleset.rules
    return sorted({rule.description for rule in rules if (rule.description or "").startswith("netops")})


def test_ports_are_opened_before_and_closed_after_with_few_calls(play, guarded):
    hosts = {"node1": node(1), "node2": node(2)}
    facts = [FAILURES, STEPS]
    tasks = [world(hosts, [A, B]), AUDIT, OUTSIDE, OPEN]
    play(tasks, facts, "--check", hosts=hosts)
    assert guarded.writes() == []
    told = play(tasks, facts, hosts=hosts)
    assert told[FAILURES] == []
    assert [len(each["vms"]) for each in told[STEPS]["open"][0]["changes"]] == [2]
    assert ours(guarded, "10") == ours(guarded, "11") == [f"netops.egress_ip {A}", f"netops.egress_ip {B}"]
    calls = [call["method"] for call in guarded.journal()]
    assert (calls.count("Login"), calls.count("ReconfigureDVPort_Task")) == (2, 1)
    told = play([world(hosts, [A]), AUDIT, OUTSIDE, CLOSE], facts, hosts=hosts)
    assert told[STEPS]["open"] == []
    assert ours(guarded, "10") == ours(guarded, "11") == [f"netops.egress_ip {A}"]
    guarded.journal()
    play([world(hosts, [A]), AUDIT, OUTSIDE, OPEN], facts, hosts=hosts)
    calls = [call["method"] for call in guarded.journal()]
    assert (calls.count("Login"), [call for call in calls if call.endswith("_Task")]) == (1, [])


def test_the_esxi_hosts_of_the_nodes(play, vcenter):
    hosts = {"node1": node(1), "node2": node(2), "node3": silent(egress_ip_platform="vsphere")}
    hosts["node3"]["egress_ip_vsphere_vm"] = {"network": "strict"}
    made = world(hosts, [A, B], [(A, "node1"), (B, "node2")], [(A, "node1"), (B, "node3")])
    document = made["set_fact"]["egress_ip_plan"]["manifests"]["egressips"][0]
    document["metadata"]["annotations"] = {"egress-ip.netops/spread": "vsphere/host"}
    told = play([made, AUDIT, OUTSIDE], [AUDITED, STEPS, FAILURES], hosts=hosts)
    on = {"node1": "DC0_C0_H0", "node2": "DC0_C0_H1", "node3": "DC0_C0_H0"}
    assert told[AUDITED]["labels"] == {name: {"vsphere/host": host} for name, host in on.items()}
    assert (told[AUDITED]["plan_again"], told[FAILURES]) == (True, [])
    note = f"egressip/web: {A}, {B} are on one ESXi host, DC0_C0_H0"
    assert told[STEPS]["domain_notes"] == {"planned": [], "current": [note]}


@pytest.mark.parametrize(("key", "stops"), [("spread", False), ("node-selector", True)])
def test_the_esxi_host_of_a_node_is_unknown(play, vcenter, key, stops):
    hosts = {"node1": node(1), "node2": node(2, egress_ip_vsphere_vm={"name": "nowhere"})}
    made = world(hosts, [A, B], [(A, "node1"), (B, "node2")], [(A, "node1"), (B, "node2")])
    document = made["set_fact"]["egress_ip_plan"]["manifests"]["egressips"][0]
    document["metadata"]["annotations"] = {f"egress-ip.netops/{key}": "vsphere/host"}
    told = play([made, AUDIT], [AUDITED, FAILURES], hosts=hosts)
    (failure,) = told[FAILURES]
    assert failure.startswith("node2: egress_ip_vsphere_vm: name: must be a VM that this user can see, not 'nowhere'")
    audit = told[AUDITED]
    assert (audit["plan_again"], audit["keep_holders"], audit["stop_reasons"][1:]) == (
        True,
        not stops,
        [failure] if stops else [],
    )


def test_other_fleets_ask_no_vcenter(play, vcenter):
    hosts = {"node1": node(1, platform="baremetal"), "node2": silent()}
    told = play([world(hosts, [A]), AUDIT], [AUDITED, STEPS], hosts=hosts)
    assert (told[AUDITED]["audits"], told[STEPS]["in_steps"]) == ({}, False)
    assert vcenter.journal() == []


def test_a_vcenter_that_nobody_named_is_not_asked(play, vcenter, monkeypatch):
    monkeypatch.delenv("VMWARE_HOST")
    facts = [FAILURES]
    hosts = {"node1": node(1)}
    told = play([world(hosts, [A]), AUDIT, OUTSIDE], [FAILURES, STEPS], hosts=hosts)
    hint = "egress_ip_vsphere_hostname: names no vCenter, so that the ports of the VMs of node1 are not checked"
    assert (told[FAILURES], told[STEPS]["notes"]) == ([], [hint])
    hosts = {"node1": node(1, egress_ip_fence="vsphere")}
    told = play([world(hosts, [A]), AUDIT], facts, hosts=hosts)
    (failure,) = told[FAILURES]
    assert failure.startswith("vCenter: missing required arguments: egress_ip_vsphere_hostname")
    assert vcenter.journal() == []


def test_variables_win_over_the_environment_and_a_failure_is_told_at_the_end(play, vcenter):
    hosts = {"node1": node(1, egress_ip_vsphere_password="nonsense")}
    told = play([world(hosts, [A]), AUDIT], [FAILURES], hosts=hosts)
    assert told[FAILURES] == [
        f"vCenter: egress_ip_vsphere_username: 'admin' and its password are rejected by 127.0.0.1:{vcenter.port}"
    ]


def test_the_password_is_shown_nowhere(play, vcenter, tmp_path, monkeypatch):
    vcenter.control("user", name="boss", password="hunter2hunter2")
    hosts = {"node1": node(1, egress_ip_vsphere_username="boss", egress_ip_vsphere_password="hunter2hunter2")}
    monkeypatch.setenv("ANSIBLE_LOG_PATH", str(tmp_path / "log"))
    told = play([world(hosts, [A]), AUDIT], [FAILURES], "-vvvv", hosts=hosts)
    assert told[FAILURES] == []
    log = (tmp_path / "log").read_text()
    assert "vsphere_port_info" in log
    assert "hunter2" not in log


def test_a_node_whose_vm_is_another_one(play, vcenter):
    hosts = {"node1": node(1, uuid="564d0000-0000-0000-0000-000000000000")}
    told = play([world(hosts, [A]), AUDIT], [FAILURES], hosts=hosts)
    assert told[FAILURES][0].startswith("node1: egress_ip_vsphere_vm: the VM node1 has the UUID ")


def connected(vcenter, name):
    devices = vcenter.all(vim.VirtualMachine)[name].config.hardware.device
    return [each.connectable.connected for each in devices if isinstance(each, vim.vm.device.VirtualEthernetCard)]


def test_a_silent_node_is_fenced_and_given_back(play, vcenter):
    hosts = {"node1": node(1, egress_ip_fence="vsphere"), "node2": silent(egress_ip_fence="vsphere")}
    facts = [WITHHELD, RESULTS]
    tasks = [world(hosts, [A], [(A, "node1")]), AUDIT, OUTSIDE, *FENCE]
    told = play(tasks, facts, "--check", hosts=hosts)
    assert (told[WITHHELD], connected(vcenter, "node2")) == ({}, [True])
    told = play(tasks, facts, hosts=hosts)
    assert (told[WITHHELD], told[RESULTS]) == ({}, {"node2": ""})
    assert (connected(vcenter, "node1"), connected(vcenter, "node2")) == ([True], [False])
    play([*tasks, UNFENCE], [], hosts=hosts)
    assert connected(vcenter, "node2") == [False], "what it may hold is with nobody yet"
    later = [world(hosts, [A], [(A, "node1")], [(A, "node1")]), AUDIT, OUTSIDE, *FENCE, UNFENCE]
    told = play([*later, *REPORT], [AUDITED, LINES], hosts=hosts)
    assert told[AUDITED]["fenced"] == {"node2": ["vnic_disconnect"]}
    assert connected(vcenter, "node2") == [True]
    assert [line for line in told[LINES] if "fenced" in line] == [], "the run reconnected it"


@pytest.mark.parametrize("method", ["vnic_disconnect", "power_off"])
def test_a_silent_node_with_two_adapters(play, vcenter, method):
    two = [{"label": "Network adapter 1"}, {"label": "Network adapter 2"}]
    variables = {"egress_ip_vsphere_vm": two, "egress_ip_vsphere_fence_method": method}
    hosts = {
        "node1": node(1, egress_ip_vsphere_fence_method=method),
        "node3": silent(egress_ip_fence="vsphere", **variables),
    }
    tasks = [world(hosts, [A], [(A, "node1")]), AUDIT, OUTSIDE, *FENCE]
    told = play(tasks, [WITHHELD, RESULTS], hosts=hosts)
    assert (told[WITHHELD], told[RESULTS]) == ({}, {"node3": ""})
    assert connected(vcenter, "node3") == [False, False]
    later = [world(hosts, [A], [(A, "node1")], [(A, "node1")]), AUDIT, OUTSIDE, *FENCE, UNFENCE]
    told = play(later, [AUDITED], hosts=hosts)
    assert (told[AUDITED]["proven"], told[AUDITED]["failures"]) == (["node3"], [])
    assert connected(vcenter, "node3") == [True, True]


def test_a_silent_node_whose_address_is_on_another_adapter_is_not_fenced(play, vcenter):
    hosts = {
        "node1": node(1, egress_ip_vsphere_fence_method="vnic_disconnect"),
        "node3": silent(egress_ip_fence="vsphere", egress_ip_vsphere_vm={"label": "Network adapter 2"}),
    }
    made = world(hosts, [A], [(A, "node1")])
    link = {"mac": "00:50:56:00:03:01", "addresses": ["192.168.126.23/18"]}
    made["set_fact"]["egress_ip_plan"]["fleet"]["members"] = [{"name": "node3", "links": [link]}]
    told = play([made, AUDIT, OUTSIDE, *FENCE], [WITHHELD], hosts=hosts)
    assert told[WITHHELD][A].startswith(
        "node3 may hold it and is not fenced: node3, Network adapter 2: is not the only"
    )
    assert connected(vcenter, "node3") == [True, True]


def test_a_silent_node_without_a_record_is_not_fenced_by_one_of_its_adapters(play, vcenter):
    hosts = {
        "node1": node(1, egress_ip_vsphere_fence_method="vnic_disconnect"),
        "node3": silent(egress_ip_fence="vsphere", egress_ip_vsphere_vm={"label": "Network adapter 2"}),
    }
    told = play([world(hosts, [A], [(A, "node1")]), AUDIT, OUTSIDE, *FENCE], [WITHHELD], hosts=hosts)
    assert "may not be the only adapter that has egress IPs: no interface is on record" in told[WITHHELD][A]
    assert connected(vcenter, "node3") == [True, True]


def test_what_is_noted_is_no_proof(play, vcenter):
    vcenter.control("deaf", name="DC0_C0_H1")
    variables = {"egress_ip_vsphere_fence_method": "port_block", "egress_ip_vsphere_timeout": 5}
    hosts = {"node1": node(1, **variables), "node2": silent(egress_ip_fence="vsphere", **variables)}
    tasks = [world(hosts, [A], [(A, "node1")]), AUDIT, OUTSIDE, *FENCE]
    told = play(tasks, [WITHHELD], hosts=hosts)
    assert "is not proven within 5 seconds" in told[WITHHELD][A]
    told = play([world(hosts, [A]), AUDIT], [AUDITED], hosts=hosts)[AUDITED]
    assert (told["fenced"], told["proven"]) == ({"node2": ["port_block"]}, [])


def test_a_node_whose_vm_is_gone_keeps_no_other_node_from_its_work(play, guarded):
    hosts = {"node1": node(1), "gone": silent(egress_ip_platform="vsphere")}
    facts = [FAILURES]
    told = play([world(hosts, [A]), AUDIT, OUTSIDE, OPEN], facts, hosts=hosts)
    assert told[FAILURES] == ["gone: egress_ip_vsphere_vm: name: must be a VM that this user can see, not 'gone'"]
    assert ours(guarded, "10") == [f"netops.egress_ip {A}"]


def test_a_port_group_keeps_what_one_of_its_nodes_needs(play, guarded):
    scope = {"egress_ip_vsphere_scope": "portgroup"}
    hosts = {"node1": node(1, **scope), "node2": {**node(2, **scope), "egress_ip_labels": {}}}
    both = [world(hosts, [A]), AUDIT, OUTSIDE]
    play([*both, OPEN], [], hosts=hosts)
    assert ours(guarded, "10") == ours(guarded, "11") == [f"netops.egress_ip {A}"]
    guarded.journal()
    told = play([*both, OPEN, CLOSE], [STEPS, FAILURES], hosts=hosts)
    assert [told[STEPS][key] for key in ("open", "close", "notes")] == [[], [], []]
    assert told[FAILURES] == []
    assert guarded.writes() == []
    hosts["node1"]["egress_ip_labels"] = {}
    play([world(hosts, [A]), AUDIT, OUTSIDE, CLOSE], [], hosts=hosts)
    assert ours(guarded, "10") == []


def test_a_standard_port_group_is_given_back_too(play, vcenter):
    def forged():
        networks = [host.configManager.networkSystem.networkInfo for host in vcenter.all(vim.HostSystem).values()]
        return [each.portgroup[0].computedPolicy.security.forgedTransmits for each in networks]

    vm = {"name": "node3", "network": "VM Network"}
    words = {"egress_ip_vsphere_scope": "portgroup", "egress_ip_vsphere_guest_mac": "changed"}
    hosts = {"node3": node(3, egress_ip_vsphere_vm=vm, **words)}
    play([world(hosts, [A]), AUDIT, OUTSIDE, OPEN], [], hosts=hosts)
    assert forged() == [True, True]
    hosts["node3"]["egress_ip_labels"] = {}
    play([world(hosts, [A]), AUDIT, OUTSIDE, CLOSE], [], hosts=hosts)
    assert forged() == [False, False]


def test_what_is_not_proven_is_withheld(play, vcenter):
    vcenter.control("host", name="DC0_C0_H1", state="notResponding")
    hosts = {"node1": node(1), "node2": silent(egress_ip_fence="vsphere")}
    tasks = [world(hosts, [A], [(A, "node1")]), AUDIT, OUTSIDE, *FENCE]
    told = play(tasks, [WITHHELD], hosts=hosts)
    assert told[WITHHELD] == {
        A: "node2 may hold it and is not fenced: node2, Network adapter 1: its host DC0_C0_H1 does not respond, so that"
        " nothing can be proven"
    }
    assert connected(vcenter, "node2") == [True]


def test_tasks_of_the_user_fence(play, tmp_path):
    path, proof = tmp_path / "power_off.yml", tmp_path / "proof"
    path.write_text(
        "- ansible.builtin.copy: {content: '{{ egress_ip_fence_node }} {{ hostvars[egress_ip_fence_node].bmc }}', "
        f"dest: {proof}}}\n- ansible.builtin.fail: {{msg: still on}}\n  when: egress_ip_fence_node == 'node3'\n"
    )
    hosts = {"node1": node(1), "node2": silent(bmc="10.0.0.2", egress_ip_fence=str(path))}
    tasks = [world(hosts, [A], [(A, "node1")]), AUDIT, OUTSIDE, *FENCE]
    told = play(tasks, [RESULTS], hosts=hosts)
    assert (told[RESULTS], proof.read_text()) == ({"node2": ""}, "node2 10.0.0.2")
    hosts["node3"] = silent(bmc="10.0.0.3", egress_ip_fence=str(path))
    tasks = [world(hosts, [A], [(A, "node1")]), AUDIT, OUTSIDE, *FENCE]
    told = play(tasks, [RESULTS, WITHHELD], hosts=hosts)
    assert told[RESULTS] == {"node2": "", "node3": "still on"}
    assert told[WITHHELD] == {A: "node3 may hold it and is not fenced: still on"}


def test_two_vcenters(play, guarded, peer_program, tmp_path):
    """The second one has the VMs of the same names; a third one does not answer."""
    with running(peer_program, tmp_path / "second.pem") as second:
        second.change_group("nodes", defaultPortConfig=spoof_guard("192.168.126.21"))
        second.control("user", name="other", password="words")
        there = {
            **{"egress_ip_vsphere_hostname": "localhost", "egress_ip_vsphere_port": second.port},
            **{"egress_ip_vsphere_username": "other", "egress_ip_vsphere_password": "words"},
            "egress_ip_vsphere_validate_certs": False,
        }
        gone = {"egress_ip_vsphere_hostname": "gone.invalid", "egress_ip_platform": "vsphere"}
        hosts = {
            "node1": node(1),
            "node2": node(2, **there),
            "node4": silent(egress_ip_fence="vsphere", **there),
            "node3": silent(**gone),
        }
        tasks = [world(hosts, [A], [(A, "node1")]), AUDIT, OUTSIDE, *FENCE, OPEN]
        told = play(tasks, [STEPS, RESULTS, FAILURES], hosts=hosts)
        opened = told[STEPS]["open"][0]["changes"]
        assert [(change["connection"], len(change["vms"])) for change in opened] == [("node1", 1), ("node2", 1)]
        (failure,) = told[FAILURES]
        assert failure.startswith("vCenter: egress_ip_vsphere_hostname: gone.invalid:")
        rule = [f"netops.egress_ip {A}"]
        assert [ours(guarded, key) for key in ("10", "11")] == [rule, []]
        assert [ours(second, key) for key in ("10", "11")] == [[], rule]
        assert told[RESULTS] == {"node4": ""}
        devices = [vm.config.annotation for vm in second.all(vim.VirtualMachine).values() if vm.name == "node4"]
        assert "nic.4000.start_connected=true" in devices[0]


def test_the_password_of_one_host_does_not_reach_the_vcenter_of_another(
    play, guarded, peer_program, tmp_path, monkeypatch
):
    """The first host, which runs the tasks, has a password of its own. That of the second is in the environment."""
    with running(peer_program, tmp_path / "second.pem") as second:
        second.change_group("nodes", defaultPortConfig=spoof_guard("192.168.126.21"))
        second.control("user", name="other", password="words")
        monkeypatch.setenv("VMWARE_PASSWORD", "words")
        there = {"hostname": "localhost", "port": second.port, "username": "other", "validate_certs": False}
        hosts = {
            "node1": node(1, egress_ip_vsphere_password="secret"),
            "node2": node(2, **{f"egress_ip_vsphere_{name}": value for name, value in there.items()}),
        }
        told = play([world(hosts, [A]), AUDIT, OUTSIDE, OPEN], [FAILURES], hosts=hosts)
        assert told[FAILURES] == []
        rule = [f"netops.egress_ip {A}"]
        assert [ours(guarded, key) for key in ("10", "11")] == [rule, []]
        assert [ours(second, key) for key in ("10", "11")] == [[], rule]
