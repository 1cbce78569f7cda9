# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's topology and its manifests say the same; its inventory and archives are what Ansible and the hosts need."""

from __future__ import annotations

import importlib.util
import io
import ipaddress
import json
import os
import signal
import socket
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
import yaml
from ansible_collections.netops.egress_ip.plugins.modules import node

LAB = Path(__file__).resolve().parents[1] / "lab"
sys.path.insert(0, str(LAB))

import lab as lab_module  # noqa: E402
import lab_answers  # noqa: E402
import lab_image  # noqa: E402
import lab_playbook  # noqa: E402
import lab_topology  # noqa: E402


def documents(name):
    return list(yaml.safe_load_all((LAB / "manifests" / name).read_text(encoding="utf-8")))


@pytest.fixture
def state(tmp_path, monkeypatch):
    """A state folder with a key, so that nothing of the real lab is touched."""
    (tmp_path / "id_ed25519").write_text("private", encoding="utf-8")
    (tmp_path / "id_ed25519.pub").write_text("public", encoding="utf-8")
    monkeypatch.setattr(lab_module, "state_dir", lambda: tmp_path)
    return tmp_path


def test_pod_manifests_name_the_pods_of_the_topology():
    told = [
        (pod["metadata"]["namespace"], pod["metadata"]["name"], pod["spec"]["nodeName"], pod["status"]["podIPs"])
        for pod in documents("pods.yml")
    ]
    assert told == [(pod.namespace, pod.name, pod.node, [{"ip": pod.address}]) for pod in lab_topology.PODS]


def test_every_pod_has_a_namespace_document():
    names = {namespace["metadata"]["name"] for namespace in documents("namespaces.yml")}
    assert names == {pod.namespace for pod in lab_topology.PODS}


def test_egress_ips_are_in_the_subnet_and_nobodys_own():
    (egressip,) = documents("egressip.yml")
    subnet = ipaddress.ip_network(lab_topology.SUBNET)
    own = {host.address for host in lab_topology.HOSTS} | {lab_topology.GATEWAY}
    for address in egressip["spec"]["egressIPs"]:
        assert ipaddress.ip_address(address) in subnet
        assert address not in own


def test_pods_of_different_nodes_share_addresses():
    addresses = [pod.address for pod in lab_topology.PODS]
    assert len(set(addresses)) < len(addresses)


def test_macs_differ():
    assert len({host.mac for host in lab_topology.HOSTS}) == len(lab_topology.HOSTS)


def test_inventory_labels_nodes_one_and_three(state):
    inventory = yaml.safe_load(lab_module.Lab().write_inventory().read_text(encoding="utf-8"))
    hosts = inventory["all"]["children"]["egress_ip_nodes"]["hosts"]
    assert list(hosts) == ["node1", "node2", "node3"]
    assert [name for name, host in hosts.items() if "egress_ip_labels" in host] == ["node1", "node3"]


@pytest.mark.parametrize("host", lab_topology.HOSTS, ids=lambda host: host.name)
def test_archive_holds_the_hosts_part_and_is_the_same_each_time(state, host):
    files = lab_module.Lab()._files(host)
    assert files == lab_module.Lab()._files(host)
    with tarfile.open(fileobj=io.BytesIO(files)) as archive:
        names = set(archive.getnames())
        assert ("etc/lab/server" in names) == host.is_server
        if not host.is_server:
            declared = json.load(archive.extractfile("etc/lab/pods.json"))["pods"]
            assert len(declared) == sum(pod.node == host.name for pod in lab_topology.PODS)


@pytest.mark.parametrize("find, key", [(lab_module.find_host, "node9"), (lab_module.find_pod, "namespace1/pod9")])
def test_unknown_names_are_refused_with_the_known_ones(find, key):
    with pytest.raises(lab_image.LabError, match=rf"no \w+ '{key}' in the lab; there are "):
        find(key)


def test_image_tag_follows_its_definition(monkeypatch):
    before = lab_image.image_name()
    monkeypatch.setattr(lab_image, "PACKAGES", ("systemd",))
    assert lab_image.image_name() != before


def test_a_second_user_of_the_lab_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(lab_module, "LOCK", tmp_path / "lock")
    monkeypatch.delenv(lab_module.HOLDER, raising=False)
    with lab_module.Lab().hold():
        with lab_module.Lab().hold():
            pass  # The holder's own children may.
        monkeypatch.delenv(lab_module.HOLDER)
        with pytest.raises(lab_image.LabError, match="in use by process"), lab_module.Lab().hold():
            pass
        monkeypatch.setenv(lab_module.HOLDER, "1")


HELD = """
import argparse, pathlib, sys
sys.path.insert(0, {folder!r})
import lab, lab_namespace
lab.LOCK = pathlib.Path({folder2!r}, "lock")
lab.Lab.down = lambda self: print("hosts removed", flush=True)
lab_namespace.NAME, lab_namespace.remove = "named", lambda: print("namespace removed", flush=True)
sys.exit(lab._hold(lab.Lab(), argparse.Namespace(words=["sh", "-c", {words!r}])))
"""


def held(tmp_path, monkeypatch, words):
    """A process that holds a named lab while these words of a shell run."""
    monkeypatch.delenv(lab_module.HOLDER, raising=False)
    script = HELD.format(folder=str(LAB), folder2=str(tmp_path), words=words)
    return subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("code", [0, 3])
def test_a_named_lab_ends_with_the_command_that_holds_it(tmp_path, monkeypatch, code):
    with held(tmp_path, monkeypatch, f"echo done; exit {code}") as process:
        assert process.stdout.read().splitlines() == ["done", "hosts removed", "namespace removed"]
    assert process.returncode == code


def test_a_named_lab_ends_when_its_holder_is_stopped(tmp_path, monkeypatch):
    """With everything that the command has started, which could create hosts again."""
    with held(tmp_path, monkeypatch, "sleep 300 & echo $!; wait") as process:
        child = int(process.stdout.readline())
        process.terminate()
        assert process.stdout.read().splitlines() == ["hosts removed", "namespace removed"]
    assert process.returncode == 128 + signal.SIGTERM
    deadline = time.monotonic() + 20
    while runs(child):
        assert time.monotonic() < deadline


def runs(pid):
    """Whether a process runs: one that has ended has no command line until its parent has read its status."""
    try:
        return bool(Path("/proc", str(pid), "cmdline").read_bytes())
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("work", [lambda lab: lab.down(), lambda lab: lab.pause("node1")], ids=["a removal", "a pause"])
def test_what_a_busy_disk_delays_is_tried_again(state, monkeypatch, work):
    calls = []

    def podman(*words, **_options):
        calls.append(words[0])
        return subprocess.CompletedProcess(words, int(len(calls) < 3), b"", b"given PIDs did not die within timeout")

    monkeypatch.setattr(lab_module, "podman", podman)
    monkeypatch.setenv(lab_module.HOLDER, "1")
    work(lab_module.Lab())
    assert calls[:3] in (["rm"] * 3, ["pause"] * 3)


@pytest.mark.parametrize("count", [1, 0], ids=["some connections", "a poll"])
def test_a_poll_alone_counts_a_server_without_the_processor_as_a_gap(count):
    """Its kernel connects at once in any case."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        words = [sys.executable, LAB / "node/lab_client.py", *map(str, server.getsockname())]
        words += ["--timeout", "0.3", "--count", str(count)]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as client:
            connection, (address, port) = server.accept()
            with connection:
                time.sleep(0.6)
                connection.sendall(f"{address} {port}\n".encode())
            answer = json.loads(client.stdout.readline())
            client.kill()
    expected = {"source": "127.0.0.1", "error": None} if count else {"source": None, "error": "timed out"}
    assert {key: answer[key] for key in expected} == expected


def child_of(process):
    """The number of the first child of a process, once it has one."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    lab_module._wait("no child", children.read_text)
    return int(children.read_text().split()[0])


def test_who_has_entered_a_host_does_not_stop_with_it():
    """At shutdown systemd stops all processes first. A host ends when all that entered it have been waited for."""
    with subprocess.Popen(["unshare", "--pid", "--fork", "sleep", "600"]) as host:
        first = child_of(host)
        words = [*lab_module.ENTER, str(first), "--", *lab_module.INSIDE, "sh", "-c", "kill -STOP $$"]
        with subprocess.Popen(words) as entered:
            inside = child_of(entered)
            lab_module._wait("not stopped", lambda: lab_module._process_state(inside) == "T")
            time.sleep(0.2)
            state = lab_module._process_state(entered.pid)
            os.kill(first, signal.SIGKILL)
            entered.send_signal(signal.SIGCONT)
        assert (state, entered.returncode) == ("S", 128 + signal.SIGKILL)


SLOW_CAPTURE = """
import sys, time
time.sleep(0.3)
print("listening on eth0", file=sys.stderr, flush=True)
end = time.monotonic() + 0.5
while time.monotonic() < end:
    pass
print("a packet", flush=True)
time.sleep(60)
"""


def test_a_capture_begins_before_and_ends_after_what_it_shows(monkeypatch):
    """Also on a machine where tcpdump waits for the processor."""
    monkeypatch.setattr(lab_module, "environment", lambda: None)
    with lab_module.Capture([sys.executable, "-c", SLOW_CAPTURE]) as capture:
        capture.wait_until_it_listens()
        assert capture.errors == ["listening on eth0"]
        assert capture.stop() == ["a packet"]


def test_a_capture_that_does_not_begin_is_an_error(monkeypatch):
    monkeypatch.setattr(lab_module, "environment", lambda: None)
    words = ["sh", "-c", "echo syntax error >&2; exit 1"]
    with lab_module.Capture(words) as capture, pytest.raises(lab_image.LabError, match="has ended: syntax error"):
        capture.wait_until_it_listens()


def answers(*items):
    """Lines of the prober: (seconds, host), of one address."""
    return [f"{at:.3f} 192.168.126.10 {host}" for at, host in items]


@pytest.mark.parametrize(
    ("lines", "seconds"),
    [
        (answers((0, "a"), (0.5, "a"), (1, "b"), (1.5, "b")), []),
        (answers((0, "a"), (0.5, "b"), (0.7, "a"), (1.2, "b")), [0.2]),
        (answers((0, "a"), (1, "b"), (3, "a"), (3.5, "a")), []),
        (answers((0, "a"), (0.5, "b"), (0.9, "a"), (1, "b"), (3, "b"), (3.5, "a"), (3.75, "b"), (4, "a")), [0.4, 0.25]),
        (answers((0, "a")) + ["0.1 192.168.126.102 b"] + answers((0.2, "a")), []),
    ],
    ids=["a move", "in turn", "there and back", "twice", "another address"],
)
def test_two_answers_are_those_of_two_hosts_at_one_time(lines, seconds):
    found = lab_answers.two_answers(lines)
    assert sorted(round(each.seconds, 3) for each in found) == sorted(seconds)
    assert {each.hosts for each in found} <= {("a", "b"), ("b", "a")}


OUTPUT = """
PLAY [Apply the egress IPs] ****

TASK [netops.egress_ip.node : Make the plan] ****
ok: [node1]

TASK [netops.egress_ip.node : Install missing packages] ****

TASK [netops.egress_ip.node : Apply] ****
[ERROR]: Task failed: no answer
Origin: node.yml
fatal: [node3]: FAILED! => {"changed": false}
ok: [node1]

TASK [netops.egress_ip.node : Report] ****
EGRESS IP       NODE   STATE
192.168.126.10  node1  held

Notes:
  node3 did not answer
ok: [node1]

PLAY RECAP ****
node1 : ok=5
"""


def test_the_text_of_a_run_is_what_its_tasks_show():
    run = lab_playbook.PlaybookRun(0.0, 1.0, 0, (), OUTPUT)
    shown = ["EGRESS IP       NODE   STATE", "192.168.126.10  node1  held", "", "Notes:", "  node3 did not answer"]
    assert run.messages == shown


def test_the_direct_calls_of_the_lab_pass_every_option_of_the_module(monkeypatch):
    """The program reads each of them; if one lacked, every fleet would be set up by runs of playbooks instead."""
    options = {}

    def arguments(argument_spec, **_more):
        options.update(argument_spec)
        raise LookupError

    monkeypatch.setattr(node, "AnsibleModule", arguments)
    with pytest.raises(LookupError):
        node.main()
    # The action plugin makes three of them, and two are for other modes.
    wanted = {*options} - {"state_json", "program", "program_digest", "observe", "options"}
    assert {*load_direct().PRESENT, "state", "releasing"} == wanted


def load_direct():
    """The calls of the tests in the lab, whose folder has modules with the names of others here."""
    path = LAB.parents[1] / "extensions/molecule/default/tests/direct.py"
    spec = importlib.util.spec_from_file_location("direct", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_direct_call_that_is_wrong_itself_is_an_error_of_the_tests():
    direct = load_direct()
    words = [sys.executable, "-c", "raise KeyError('failover_key')"]
    with (
        subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as call,
        pytest.raises(RuntimeError, match="node1: Traceback"),
    ):
        direct._result("node1", call)
