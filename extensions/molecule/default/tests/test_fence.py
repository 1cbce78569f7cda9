# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node without an answer is fenced, with proof, before its address moves; later it gets its network back."""

from __future__ import annotations

import json
import sys

import pytest
from fleet import ASSIGNABLE, ROOT, wait_for
from test_failures import held_by, unit_ended

sys.path.insert(0, str(ROOT / "tests/vcenter"))

from vcenter import build, running  # noqa: E402

pytestmark = pytest.mark.faults

SPARE = {"node2": ASSIGNABLE}
# The VM of node3: its only adapter has the port 15 of the test vCenter, and its ESXi host is DC0_C0_H0. The lab's hosts
# have other MAC addresses, so a VM with two adapters would have to be fenced as a whole.
IN_THE_VCENTER = {**SPARE, "node3": {"egress_ip_vsphere_vm": {"name": "twin", "folder": "blue"}}}
PORT = "15"


@pytest.fixture
def vcenter(tmp_path, monkeypatch):
    """A simulated vCenter with VMs that have the names of the nodes; it has no effect on the lab."""
    with running(build(tmp_path), tmp_path / "ca.pem") as peer:
        monkeypatch.setenv("SSL_CERT_FILE", str(peer.certificate))
        for name, value in {"HOST": "127.0.0.1", "PORT": peer.port, "USER": "admin", "PASSWORD": "secret"}.items():
            monkeypatch.setenv(f"VMWARE_{name}", str(value))
        yield peer


def test_an_address_waits_until_the_port_of_its_holder_is_blocked_for_sure(fleet, vcenter):
    options = {
        "hosts": IN_THE_VCENTER,
        "egress_ip_fence": "vsphere",
        "egress_ip_vsphere_fence_method": "port_block",
    }
    lost = held_by(fleet, "node3")
    fleet.lab.kill("node3")
    vcenter.control("host", name="DC0_C0_H0", state="notResponding")
    run = fleet.bad(**options)
    assert lost not in fleet.holders()
    assert f"{lost} is not claimed: node3 may hold it and is not fenced: " in run.report()
    assert vcenter.port_setting(PORT).blocked.value is False

    vcenter.control("host", name="DC0_C0_H0", state="connected")
    run = fleet.good(**options)
    assert fleet.holders()[lost] == ["node2"]
    assert "node node3 is fenced" in run.report()
    assert vcenter.port_setting(PORT).blocked.value is True
    vcenter.journal()

    fleet.lab.start("node3")
    wait_for("the claims at boot", lambda: unit_ended(fleet, "node3"))
    before = fleet.holders()
    assert before[lost] == ["node2"]
    fleet.good(**options)
    assert (vcenter.port_setting(PORT).blocked.value, vcenter.writes()) == (False, ["ReconfigureDVPort_Task"])
    assert fleet.holders() == before
    run = fleet.good(**options)
    assert (run.changed(), vcenter.writes()) == ([], []), run.output


def test_a_node_that_cannot_be_reached_and_answers_for_its_address_loses_it_by_a_fence_of_the_users(fleet, tmp_path):
    """Also the first host, in whose name Ansible runs the tasks with run_once, such as the fence itself."""
    lab = [sys.executable, str(ROOT / "tests/lab/lab.py")]
    tasks = [
        {"name": "Switch it off", "ansible.builtin.command": {"argv": [*lab, "kill", "{{ egress_ip_fence_node }}"]}},
        {
            "name": "Prove it",
            "ansible.builtin.command": {"argv": [*lab, "status"]},
            "register": "state",
            "failed_when": "state.stdout is not search(egress_ip_fence_node ~ ' .* exited')",
        },
    ]
    path = tmp_path / "power_off.yml"
    path.write_text(json.dumps(tasks))
    lost = held_by(fleet, "node1")
    fleet.lab.exec("node1", "bash", "-c", "systemctl stop ssh.service ssh.socket; pkill sshd; true")
    run = fleet.good(hosts=SPARE, egress_ip_fence=str(path))
    assert fleet.lab.status()["node1"] == "exited"
    assert fleet.holders()[lost] == ["node2"]
    assert "node node1 is fenced" in run.report()
