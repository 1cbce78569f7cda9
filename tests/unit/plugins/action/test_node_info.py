# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is sent to observe a host; and a busy controller is not taken for dead nodes, in runs without hosts."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.netops.egress_ip.plugins.action.node_info import ActionModule as Action
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.providers import SIGNS
from ansible_collections.netops.egress_ip.plugins.plugin_utils._node_action import PROGRAM_DIGEST, without_control
from playbook_fleet import COLLECTION, PlaybookFleet

LIMIT = ["-e", "egress_ip_answer_timeout=10"]
# Each delays the processes of the controller at another place: before they connect, while they prepare the module,
# without a processor while they wait for the node, and without one so that the connection fails, twice.
DELAYS = {
    "before": """
original = ActionModule.answer_timeout
def answer_timeout(self):
    time.sleep(12)
    return original(self)
ActionModule.answer_timeout = answer_timeout
original_run = ActionModule._run_module
def run_module(self, *arguments):
    time.sleep(12)
    return original_run(self, *arguments)
ActionModule._run_module = run_module
""",
    "the module": """
def configure(self, *arguments, **options):
    time.sleep(12)
    return super(ActionModule, self)._configure_module(*arguments, **options)
ActionModule._configure_module = configure
""",
    "no processor": """
original = Connection.exec_command
def execute(self, *arguments, **options):
    done = original(self, *arguments, **options)
    without_processor(12)
    return done
Connection.exec_command = execute
""",
    "a lost connection": """
original, failures = Connection.exec_command, [1, 2]
def execute(self, *arguments, **options):
    if failures:
        failures.pop()
        without_processor(12)
        raise AnsibleConnectionFailure("Connection timed out during banner exchange")
    return original(self, *arguments, **options)
Connection.exec_command = execute
""",
}
PATCHED = """

import signal
import time

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection.local import Connection


def without_processor(seconds):
    # Signals wait, and several of one kind are one.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
    time.sleep(seconds)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})

"""
ACTION = "plugins/action/node_info.py"


def test_a_node_is_observed_with_the_options(sent):
    options = sent(Action, answer_timeout=15, interface="eth1", options={"tunnel_port": 4791}, recall=["node2"])
    assert options == {
        "mode": "observed",
        "options": {"tunnel_port": 4791},
        "observe": {"interface": "eth1", "recall": ["node2"], "networks": [], "platforms": SIGNS},
        "program_digest": PROGRAM_DIGEST,
    }


def test_without_options(sent):
    plain = {"mode": "observed", "options": {}, "observe": {"networks": [], "platforms": SIGNS}}
    assert sent(Action) == {**plain, "program_digest": PROGRAM_DIGEST}


def of_run(**more):
    host = {"interface": "eth2", "platform": "auto", "networks": {}, "follow": ["docker"]}
    common = {"answer_timeout": 15}
    settings = {"hosts": {"node1": host}, "options": {"tunnel_port": 4792}, "common": common}
    manifests = {"broken": ["a"], "pooled": ["b"], "contested": [], "network_names": ["podman:web"]}
    manifests["engines"] = [{"engine": "podman", "namespace": "default", "namespaces": []}]
    registered = {"egress_ip_settings": settings, "egress_ip_manifests_info": manifests}
    return {"inventory_hostname": "node1", **registered, **more}


@pytest.mark.parametrize("details", [False, True])
def test_the_options_of_the_run(sent, details):
    options = sent(Action, of_run(__egress_ip_details=details), of_run=True, platform="vsphere")
    assert options["options"] == {"tunnel_port": 4792}
    assert options["observe"] == {
        "interface": "eth2",
        "platform": "vsphere",
        "platforms": SIGNS,
        "recall": ["a", "b"],
        "networks": ["podman:web"],
        "engines": ["podman"],
        "follow": ["docker"],
        "metrics": details,
        "probe": details,
    }


def test_options_may_be_texts_as_templates_give_them(sent):
    assert "engines" not in sent(Action, of_run="false", answer_timeout="15")["observe"]
    assert "engines" in sent(Action, of_run(), of_run="true")["observe"]


@pytest.mark.parametrize("given", ["soon", -1, [5]])
def test_a_time_that_is_no_number(sent, given):
    with pytest.raises(AnsibleActionFail, match=r"^answer_timeout: must be a number of 0 or more, not "):
        sent(Action, answer_timeout=given)


def test_the_options_of_the_run_need_its_results(sent):
    with pytest.raises(AnsibleActionFail, match=r"egress_ip_settings: must be the registered result"):
        sent(Action, {"inventory_hostname": "node1"}, of_run=True)


@pytest.fixture
def fleet(tmp_path):
    return PlaybookFleet(tmp_path)


def test_a_node_that_does_not_answer_is_unavailable(fleet):
    ended = fleet.good("plan", *LIMIT, environment={"EGRESS_IP_TEST_SLOW": "60"})
    assert "node node1 gives no answer: Timed out after 10 seconds" in ended.output


@pytest.mark.parametrize("delay", DELAYS)
def test_a_busy_controller_is_said_and_no_node_is_dead(fleet, delay):
    fleet.replace(ACTION, (COLLECTION / ACTION).read_text() + PATCHED + DELAYS[delay])
    ended = fleet.good("plan", *LIMIT)
    assert "no answer" not in ended.output
    assert "Nodes to change: node1, node2, node3" in ended.output
    (line,) = [line for line in ended.lines if "controller" in line]
    assert line.strip().startswith("the controller is slow: node1, node2, node3 waited up to ")


def test_a_result_of_a_node_does_not_accuse_the_controller():
    assert without_control({"controller_seconds": 1000, "held": []}) == {"held": []}
