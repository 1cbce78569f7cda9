# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Invalid input: one line that names the host or the file and the fix; nothing is changed on any host."""

from __future__ import annotations

import copy
import json
import re

import pytest
from fleet import (
    ADDRESS,
    ADDRESS6,
    BOTH_VERSIONS,
    FIRST,
    FIRST6,
    INFO_MODULE,
    PROD,
    SECOND,
    SECOND6,
    assert_same,
    egressip,
    manifests,
)
from lab_topology import SERVER

NODE2 = "node2"
EGRESS_IPS = {FIRST, SECOND, FIRST6, SECOND6}


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
    assert f"{NODE2}: is set aside: " in message, message
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


def test_conflicts_on_one_host_do_not_stop_the_others(fleet):
    """All of them are in the message."""
    fleet.lab.exec(NODE2, "bash", "-ec", "\n".join(script for script, _undo, _words in ON_THE_HOST.values()))
    try:
        message = set_aside(fleet, egress_ip_unassigned="drop")
    finally:
        fleet.lab.exec(NODE2, "bash", "-c", "\n".join(undo for _script, undo, _words in ON_THE_HOST.values()))
    for case, (_script, _undo, words) in ON_THE_HOST.items():
        assert all(word in message for word in words), (case, message)


def test_foreign_tunnels_on_a_bare_host(fleet):
    names = {"port": "vx9", "device": "egress0"}
    fleet.clear()
    for number, name in enumerate(names.values(), start=9):
        link = f"link add {name} type vxlan id {number} dstport 4790 dev eth0 remote 192.168.126.9"
        fleet.lab.exec(NODE2, "ip", *link.split())
    try:
        message = set_aside(fleet)
    finally:
        for name in names.values():
            fleet.lab.exec(NODE2, "ip", "link", "delete", name)
    for case, name in names.items():
        assert re.search(rf"egress_ip_tunnel_{case}: [^;]*\b{name}\b", message), message


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


def test_bad_variables(fleet):
    """tests/unit/playbooks/test_refusals.py has every kind of them."""
    message = refused(fleet, egress_ip_excluded_cidrs=["10.88.0.1/16"], egress_ip_unassigned="drop")
    assert message.startswith("egress_ip_excluded_cidrs[0]: ")
    assert "10.88.0.0/16" in message


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


# An interpreter that changes the answers of a node by the fields in a file.
LIAR = """#!/usr/bin/python3
import json, subprocess, sys
forged = json.load(open("/opt/forged.json"))
done = subprocess.run(["/usr/bin/python3", *sys.argv[1:]], stdin=sys.stdin, stdout=subprocess.PIPE, text=True)
text = done.stdout
if text.lstrip().startswith("{"):
    answer = json.loads(text)
    answer.update(forged["everywhere"])
    if "networks" in answer:
        answer.update(forged["replaced"])
        for name, items in forged["more"].items():
            answer[name] = [*answer[name], *items]
    text = json.dumps(answer)
sys.stdout.write(text)
sys.exit(done.returncode)
"""
# Destinations outside, and variables and a host that Ansible would take over.
ELSEWHERE = ("192.0.2.80", "2001:db8:2::80")
VARIABLES = {"egress_ip_manifests": [], "egress_ip_unassigned": "drop", "ansible_host": ELSEWHERE[0]}
ENDPOINTS, OUTSIDE = [ADDRESS["node1"], ADDRESS6["node1"]], [SERVER.address, SERVER.address6]
WHOLE = {"ansible_facts": VARIABLES, "add_host": {"host_name": "evil", "groups": ["egress_ip_nodes"]}}


@pytest.fixture
def dual(machines):
    """A fleet with egress IPs of both IP versions."""
    machines.arrange(**BOTH_VERSIONS)
    return machines


@pytest.fixture
def lies(dual):
    """A function that runs `reconcile` with forged answers of node2, and checks that it changes no other node."""

    def run(everywhere=None, replaced=None, more=None):
        forged = {"everywhere": everywhere or {}, "replaced": replaced or {}, "more": more or {}}
        dual.lab.exec(NODE2, "sh", "-c", "cat > /opt/forged.json", stdin=json.dumps(forged))
        before = dual.snapshot()
        liar = {NODE2: {"ansible_python_interpreter": "/opt/liar"}}
        done = dual.run(hosts=liar, **BOTH_VERSIONS)
        after = dual.snapshot()
        for name in ("node1", "node3"):
            assert_same({name: before[name]}, {name: after[name]})
        assert "Traceback" not in done.output
        assert dual.sources_of_both("namespace1/pod1") | dual.sources_of_both("namespace2/pod3") <= EGRESS_IPS
        return done

    dual.lab.exec(NODE2, "sh", "-c", "cat > /opt/liar; chmod +x /opt/liar", stdin=LIAR)
    yield run
    dual.lab.exec(NODE2, "rm", "/opt/liar", "/opt/forged.json")


def test_variables_hosts_and_destinations_that_a_node_forges_do_not_leave_it(lies):
    networks = [{"interface": "eth7", "addresses": [f"{ELSEWHERE[0]}/24", f"{ELSEWHERE[1]}/64"]}]
    run = lies(WHOLE, more={"addresses": [*ELSEWHERE], "networks": networks})
    assert run.code == 0, run.output
    ((_host, answer),) = [item for item in run.results(INFO_MODULE) if item[0] == NODE2]
    assert {*ELSEWHERE} <= {*answer["addresses"]}
    # Ansible warns of it by its name.
    assert "[evil]" not in run.output


def test_a_node_that_forges_the_endpoints_of_another_one_is_set_aside(lies):
    networks = [{"interface": "eth0", "addresses": [f"{ENDPOINTS[0]}/24", f"{ENDPOINTS[1]}/64"]}]
    reason = why_set_aside(lies(replaced={"endpoints": ENDPOINTS, "networks": networks}))
    assert any(endpoint in reason for endpoint in ENDPOINTS)


def test_a_node_that_forges_an_endpoint_in_no_network_of_it_is_set_aside(lies):
    """The tunnels of the others accept nothing from there."""
    reason = why_set_aside(lies(replaced={"endpoints": OUTSIDE}))
    assert f"gives invalid facts: endpoints[0]: {OUTSIDE[0]} is not one of the addresses" in reason


def why_set_aside(run):
    """Return why node2 is set aside, which must be the only failure of a run."""
    assert run.code != 0
    (message,) = run.failed()
    assert f"{NODE2}: is set aside: " in message
    return message
