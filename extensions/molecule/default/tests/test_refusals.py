# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Invalid input: one line that names the host or the file and the fix; nothing is changed on any host."""

from __future__ import annotations

import copy
import re

import pytest
from fleet import FIRST, PROD, SECOND, assert_same, egressip, manifests

NODE2 = "node2"


def refused(fleet, *words, **options):
    """Run what must be refused, and check that no node was changed; returns the only message."""
    before = fleet.snapshot()
    run = fleet.bad(*words, **options)
    assert_same(before, fleet.snapshot())
    assert "Traceback" not in run.output
    messages = run.failed()
    assert len(messages) == 1, messages
    return messages[0]


def set_aside(fleet, **options):
    """Run with a faulty node2, and check that it is not changed and the run fails at its end; returns the reasons."""
    before = fleet.snapshot()
    run = fleet.bad(**options)
    assert_same({NODE2: before[NODE2]}, {NODE2: fleet.snapshot()[NODE2]})
    assert "Traceback" not in run.output
    (message,) = run.failed()
    assert f"{NODE2}: is excluded: " in message, message
    assert "node1" not in message
    return message


# Case: (script for node2, script that undoes it, words of the message).
ON_THE_HOST = {
    "mark": (
        "ip rule add priority 400 fwmark 0x10/0xff lookup 999",
        "ip rule delete priority 400",
        ("egress_ip_mark_mask: ", "choose free bits"),
    ),
    "priority": (
        "ip rule add priority 7003 from 10.50.0.0/16 lookup 999",
        "ip rule delete priority 7003 from 10.50.0.0/16",
        ("egress_ip_rule_priority: ", "7003"),
    ),
    "table": (
        "ip rule add priority 401 from 10.50.0.0/16 lookup 7001",
        "ip rule delete priority 401",
        ("egress_ip_table_base: ", "7001"),
    ),
}


def test_a_conflict_on_one_host_does_not_stop_the_others(fleet, subtests):
    for case, (script, undo, words) in ON_THE_HOST.items():
        with subtests.test(case):
            fleet.lab.exec(NODE2, "bash", "-ec", script)
            try:
                message = set_aside(fleet, egress_ip_unassigned="drop")
            finally:
                fleet.lab.exec(NODE2, "bash", "-ec", undo)
            assert all(word in message for word in words), message


@pytest.mark.parametrize("case", ["port", "device"])
def test_a_foreign_tunnel_on_a_bare_host(fleet, case):
    name = {"port": "vx9", "device": "egress0"}[case]
    fleet.clear()
    fleet.lab.exec(
        NODE2, "bash", "-ec", f"ip link add {name} type vxlan id 9 dstport 4790 dev eth0 remote 192.168.126.9"
    )
    try:
        message = set_aside(fleet)
    finally:
        fleet.lab.exec(NODE2, "ip", "link", "delete", name)
    assert f"egress_ip_tunnel_{case}: " in message
    assert name in message


def test_a_missing_interface(fleet):
    message = refused(fleet, egress_ip_interface="ens192")
    assert re.search(r"node1: egress_ip_interface: must be an interface of this host, .*not 'ens192'", message)
    assert "node3: egress_ip_interface: " in message


def test_a_user_who_is_not_root(fleet):
    fleet.lab.exec(NODE2, "bash", "-ec", NEW_USER)
    try:
        message = set_aside(fleet, hosts={NODE2: {"ansible_user": "guest", "ansible_become": False}})
    finally:
        fleet.lab.exec(NODE2, "userdel", "--remove", "guest", check=False)
    assert "ansible_become: " in message


NEW_USER = """
useradd --create-home --shell /bin/bash guest
cp -r /root/.ssh /home/guest/.ssh
chown -R guest: /home/guest/.ssh
"""


def test_a_host_without_python(fleet):
    message = set_aside(fleet, hosts={NODE2: {"ansible_python_interpreter": "/usr/bin/python9"}})
    assert "ansible_python_interpreter: " in message


INPUT = {
    "excluded everything": (
        {"egress_ip_excluded_cidrs": ["0.0.0.0/0"]},
        ("egress_ip_excluded_cidrs", "every address"),
    ),
    "excluded everything in halves": (
        {"egress_ip_excluded_cidrs": ["0.0.0.0/1", "128.0.0.0/1"]},
        ("egress_ip_excluded_cidrs", "every address"),
    ),
    "excluded with host bits": (
        {"egress_ip_excluded_cidrs": ["10.88.0.1/16"]},
        ("egress_ip_excluded_cidrs[0]", "10.88.0.0/16"),
    ),
    "mask with holes": ({"egress_ip_mark_mask": "0x101"}, ("egress_ip_mark_mask", "contiguous bits")),
    "port": ({"egress_ip_tunnel_port": 70000}, ("tunnel_port", "65535")),
    "min_available": ({"egress_ip_min_available": "most"}, ("egress_ip_min_available", "percentage")),
    "policy": ({"egress_ip_policy": "random"}, ("egress_ip_policy", "balanced")),
    "unassigned": ({"egress_ip_unassigned": "other"}, ("egress_ip_unassigned", "drop")),
    "missing manifests": ({"egress_ip_manifests": ["/nowhere.yml"]}, ("/nowhere.yml",)),
}


def test_bad_variables(fleet, subtests):
    before = fleet.snapshot()
    for case, (variables, words) in INPUT.items():
        with subtests.test(case):
            run = fleet.bad(**variables)
            text = " ".join(run.output.split())
            assert "Traceback" not in text
            assert all(word in text for word in words), text
    assert_same(before, fleet.snapshot())


def test_an_unreadable_manifest_file_stops_the_run(fleet, tmp_path):
    file = tmp_path / "broken.yml"
    file.write_text("apiVersion: v1\nkind: [Namespace\n", encoding="utf-8")
    message = refused(fleet, egress_ip_manifests=[*manifests(PROD), str(file)], egress_ip_unassigned="drop")
    assert "broken.yml" in message


def test_a_broken_object_keeps_what_it_has_and_stops_no_other(fleet):
    before = fleet.holders()
    broken = copy.deepcopy(PROD)
    broken["spec"]["egressIPs"].append("192.168.126.300")
    run = fleet.good(
        hosts={"node2": {"egress_ip_labels": {"k8s.ovn.org/egress-assignable": ""}}},
        egress_ip_manifests=manifests(broken, egressip("sound", "192.168.126.50", namespaces={"env": "test"})),
    )
    assert "egressip/egressips-prod: spec.egressIPs[2]: " in run.report()
    holders = fleet.holders()
    assert {ip: holders[ip] for ip in before} == before
    assert len(holders.pop("192.168.126.50")) == 1
    assert fleet.sources("namespace2/pod3") | fleet.sources("namespace1/pod2") <= {FIRST, SECOND}
    assert fleet.sources("namespace3/other") == {"192.168.126.50"}


def test_a_hidden_broken_object_fails_a_strict_run(fleet):
    broken = copy.deepcopy(PROD)
    del broken["spec"]["namespaceSelector"]
    run = fleet.bad(egress_ip_manifests=manifests(broken), egress_ip_strict=True)
    assert "spec.namespaceSelector" in "".join(run.failed())
    assert sorted(fleet.holders()) == [FIRST, SECOND]


def test_a_fleet_that_shrank_stops_the_run(fleet):
    """As with a job for each host: every node knows the others from its record."""
    message = refused(fleet, hosts={"node1": None, "node3": None}, egress_ip_unassigned="drop")
    assert "egress_ip_forget_nodes" in message
    assert "node1" in message
    assert "node3" in message
