# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The CNI plugin as a runtime calls it, with the real tables, and packets of pods in network namespaces."""

from __future__ import annotations

import fcntl
import io
import json
import sys
from dataclasses import replace

import pytest
from admitted_pods import (
    FOLLOW,
    POD,
    apply_to_node,
    begin,
    elements,
    fleet_with_pod,
    no_answer,
    seen,
    send_from_one_port,
    state,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.conflist import TYPE, with_entry
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.followed_pods import FollowedNamespace
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.node_state import LocalPod
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.state import lines_between
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import commands, pod_labels, pod_notes
from ansible_collections.netops.egress_ip.plugins.module_utils._node import cni, cni_install, pod_admission, zipapp
from small_fleet import EGRESS1, NODE1, inside, listener, nft, planes, run, sources

CLOSED_FILE = pod_notes.CLOSED_FILE


@pytest.fixture(scope="module")
def fleet():
    with fleet_with_pod():
        yield


@pytest.fixture
def node(fleet, monkeypatch, tmp_path):
    """Node1, which follows pods."""
    begin(monkeypatch, tmp_path)


def result(*addresses, version="1.0.0"):
    """The result of the plugin before, with a field that nobody knows."""
    ips = [{"address": f"{address}/24", "interface": 1, "x": [None, 1.5]} for address in addresses]
    interfaces = [{"name": "veth0"}, {"name": "eth0", "sandbox": "/run/netns/pod"}]
    return {"cniVersion": version, "interfaces": interfaces, "ips": ips, "routes": [{"dst": "0.0.0.0/0"}], "dns": {}}


def call(command, previous=None, container="c1", args="K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web", **config):
    """Call the plugin as a runtime; return (exit status, output)."""
    environment = {"CNI_COMMAND": command, "CNI_CONTAINERID": container, "CNI_IFNAME": "eth0", "CNI_ARGS": args}
    given = {"cniVersion": "1.0.0", "name": "net", "type": "netops-egress-ip", **config}
    text = json.dumps({**given, **({"prevResult": previous} if previous is not None else {})}).encode()
    output, sys.stdout = sys.stdout, io.StringIO()
    try:
        with inside("node1"):
            status = cni.main(environment, text)
        printed = sys.stdout.getvalue()
    finally:
        sys.stdout = output
    return status, json.loads(printed) if printed else None


def args(namespace, name="web"):
    return f"IgnoreUnknown=1;K8S_POD_NAMESPACE={namespace};K8S_POD_NAME={name};K8S_POD_UID=0-1"


@pytest.mark.parametrize("version", [4, 6])
def test_the_first_packets_of_a_pod(node, version):
    assert seen(version) == [NODE1[version]] * 3
    previous = result(POD[4], POD[6])
    assert call("ADD", previous, args=args("shop")) == (0, previous)
    assert seen(version) == [EGRESS1[version]] * 3
    assert call("DEL", args=args("shop")) == (0, None)
    assert seen(version) == [NODE1[version]] * 3
    assert elements() == {}


def test_a_pod_that_manifests_select_too_stays_protected_and_shows_no_drift(node):
    """The kernel has one policy for a source: the run's and the plugin's must not replace each other."""
    selected = state(pods=(LocalPod(POD[4], ("one",), "shop/web"),))
    assert call("ADD", result(POD[4]))[0] == 0
    apply_to_node(selected)
    for command in ("ADD", "DEL"):
        with inside("node1"):
            assert lines_between(*planes(selected)) == ([], [])
        assert call(command, result(POD[4]))[0] == 0
    with inside("node1"):
        assert lines_between(*planes(selected)) == ([], [])
    assert seen(4) == [EGRESS1[4]] * 3


def test_an_address_that_is_used_again_inherits_nothing(node):
    """The runtime deletes the former pod late, or never."""
    for number, (namespace, source) in enumerate([("shop", EGRESS1[4]), ("plain", NODE1[4])] * 2):
        assert call("ADD", result(POD[4]), container=f"c{number}", args=args(namespace))[0] == 0
        with listener("server", 4) as server:
            # From one port: the kernel knows the connection of the former pod.
            send_from_one_port()
            assert sources(server, 1) == [source]
    assert call("DEL", container="c0")[0] == 0
    assert seen(4) == [NODE1[4]] * 3


def test_labels_decide_and_a_pod_without_them_is_closed(node, monkeypatch, capsys):
    assert call("ADD", result(POD[4]), args=args("labs")) == (0, result(POD[4]))
    assert "pod labs/web is closed: https://10.0.0.1:6443: no answer" in capsys.readouterr().err
    assert seen(4) == []
    for labels, source in (({"app": "web"}, EGRESS1[4]), ({"app": "db"}, NODE1[4])):
        monkeypatch.setattr(pod_labels, "read_labels", lambda *_pod, found=labels: found)
        call("ADD", result(POD[4]), args=args("labs"))
        assert seen(4) == [source] * 3


def test_a_closed_pod_opens_when_its_labels_can_be_read(node, monkeypatch, tmp_path):
    call("ADD", result(POD[4]), args=args("labs"))
    with inside("node1"):
        pod_admission.retry_closed()
    assert (tmp_path / "closed").exists()
    monkeypatch.setattr(pod_labels, "read_labels", lambda *_pod: {"app": "web"})
    with inside("node1"):
        pod_admission.retry_closed()
        pod_admission.retry_closed()
    assert not (tmp_path / "closed").exists()
    assert seen(4) == [EGRESS1[4]] * 3


def test_labels_that_a_run_makes_necessary_are_read_by_the_watch(node, monkeypatch, tmp_path, capsys):
    call("ADD", result(POD[4]), args=args("plain"))
    call("ADD", result("10.88.0.8"), container="c2", args=args("plain", "gone"))
    selector = replace(FOLLOW.namespaces[0], name="plain")
    apply_to_node(state(follow=replace(FOLLOW, namespaces=(selector,))))
    assert elements() == {POD[4]: "drop", "10.88.0.8": "drop"}
    assert (tmp_path / "closed").exists()
    monkeypatch.setattr(pod_labels, "read_labels", lambda _config, _space, name: POD_LABELS.get(name) or no_answer())
    with inside("node1"):
        pod_admission.retry_closed()
    assert elements() == {POD[4]: "goto", "10.88.0.8": "drop"}
    assert capsys.readouterr().err == "netops.egress_ip: pod plain/web is no longer closed\n"


POD_LABELS = {"web": {"app": "web"}}


def before_the_lock(monkeypatch, action):
    """Let `action` happen just before the next process takes the lock of the notes."""
    lock = pod_notes.lock

    def taking(*seconds):
        monkeypatch.setattr(pod_notes, "lock", lock)
        action()
        return lock(*seconds)

    monkeypatch.setattr(pod_notes, "lock", taking)


def test_a_watch_between_the_request_and_the_note_of_a_pod(node, monkeypatch, tmp_path):
    """It finds no closed pod yet."""
    before_the_lock(monkeypatch, pod_admission.retry_closed)
    call("ADD", result(POD[4]), args=args("labs"))
    assert elements() == {POD[4]: "drop"}
    assert (tmp_path / "closed").exists()


def test_a_run_while_a_pod_starts_makes_its_labels_necessary(node, monkeypatch, tmp_path):
    selector = replace(FOLLOW.namespaces[0], name="plain")
    before_the_lock(monkeypatch, lambda: apply_to_node(state(follow=replace(FOLLOW, namespaces=(selector,)))))
    call("ADD", result(POD[4]), args=args("plain"))
    assert elements() == {POD[4]: "drop"}
    assert (tmp_path / "closed").exists()


def test_closed_pods_are_noted_under_the_lock(node, monkeypatch, tmp_path):
    """Else a watch that has read the notes before forgets a pod that was closed since then."""
    locked = []

    def note_closed(closed):
        with (tmp_path / "lock").open() as other:
            try:
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
                locked.append(False)
            except BlockingIOError:
                locked.append(closed)

    monkeypatch.setattr(pod_notes, "note_closed", note_closed)
    call("ADD", result(POD[4]), args=args("labs"))
    with inside("node1"):
        pod_admission.retry_closed()
    assert locked == [True, True]


def test_a_run_while_the_watch_reads_labels(node, monkeypatch):
    """Its rules apply, and not those of before."""
    call("ADD", result(POD[4]), args=args("labs"))

    def labels_after_a_run(*_pod):
        apply_to_node(state(follow=replace(FOLLOW, namespaces=(FollowedNamespace("labs"),))))
        return {"app": "web"}

    monkeypatch.setattr(pod_labels, "read_labels", labels_after_a_run)
    with inside("node1"):
        pod_admission.retry_closed()
    assert elements() == {POD[4]: "return"}


def test_other_namespaces_keep_the_source_of_the_node(node):
    for given in (args("plain"), args("new"), "", "IgnoreUnknown=1;K8S_POD_NAME=container"):
        assert call("ADD", result(POD[4]), args=given)[0] == 0
        assert elements() == {POD[4]: "return"}
        assert seen(4) == [NODE1[4]] * 3


def test_unknown_namespaces_may_be_closed(node):
    closed = state()
    closed = replace(closed, options=replace(closed.options, unknown_pods="drop"))
    apply_to_node(closed)
    call("ADD", result(POD[4]), args=args("new"))
    assert seen(4) == []
    call("ADD", result(POD[4]), args=args("plain"))
    assert seen(4) == [NODE1[4]] * 3


def test_pods_survive_a_flush_and_a_change_of_the_tables(node):
    call("ADD", result(POD[4]), args=args("shop"))
    nft("node1", "delete table inet egress_ip")
    # The kernel closes the pod until the tables are back.
    assert seen(4) == []
    apply_to_node(state())
    assert seen(4) == [EGRESS1[4]] * 3
    apply_to_node(replace(state(), follow=replace(FOLLOW, namespaces=())))
    assert seen(4) == [NODE1[4]] * 3


def test_a_run_knows_newer_labels(node):
    """The manifests name the pod: its class is theirs, and not that of the namespace."""
    call("ADD", result(POD[4]), args=args("shop"))
    pods = [{"address": POD[4], "egressips": [], "pod": "shop/web"}]
    known = state().to_dict()
    apply_to_node(type(state()).from_dict({**known, "pods": [*known["pods"], *pods]}))
    assert elements() == {POD[4]: "return"}
    pods = [{"address": POD[4], "egressips": [], "pod": "shop/another"}]
    apply_to_node(type(state()).from_dict({**known, "pods": [*known["pods"], *pods], "excluded": ["10.0.0.0/8"]}))
    assert elements() == {POD[4]: "goto"}


def test_tables_missing_while_a_pod_starts(node, tmp_path):
    nft("node1", "delete table inet egress_ip")
    status, output = call("ADD", result(POD[4]))
    assert (status, output["code"]) == (1, 11)
    assert "the pod cannot be classified: nft: " in output["msg"]
    assert call("STATUS", cniVersion="1.1.0")[1]["code"] == 50
    assert list((tmp_path / "pods").iterdir()) == []
    assert call("DEL") == (0, None)


def test_check_and_collection_of_what_a_runtime_forgot(node):
    previous = result(POD[4])
    call("ADD", previous)
    call("ADD", result("10.88.0.8"), container="c2")
    assert call("CHECK", previous) == (0, None)
    assert call("CHECK", previous, container="c3")[1]["code"] == 100
    assert call("CHECK", result("10.88.0.9"))[1]["code"] == 100
    valid = {"cni.dev/valid-attachments": [{"containerID": "c2", "ifname": "eth0"}]}
    assert call("GC", cniVersion="1.1.0", **valid) == (0, None)
    assert elements() == {"10.88.0.8": "goto"}
    assert call("CHECK", previous)[1]["code"] == 100
    nft("node1", "flush map inet egress_ip followed4", "add element inet egress_ip followed4 { 10.88.0.8 : drop }")
    assert call("CHECK", result("10.88.0.8"), container="c2")[1]["code"] == 100


def test_the_versions(node):
    assert call("VERSION")[1] == {"cniVersion": "1.1.0", "supportedVersions": ["0.3.1", "0.4.0", "1.0.0", "1.1.0"]}
    assert call("STATUS", cniVersion="1.1.0") == (0, None)
    for version in ("0.3.1", "0.4.0", "1.0.0", "1.1.0"):
        previous = result(POD[4], version=version)
        assert call("ADD", previous, cniVersion=version) == (0, previous)
    for version in ("0.3.0", "2.0.0", None, 1):
        assert call("ADD", result(POD[4]), cniVersion=version)[1]["code"] == 1


ENVIRONMENTS = [
    {"container": ""},
    {"container": "../../etc/passwd"},
    {"container": "a/b"},
    {"container": ".hidden"},
    {"container": "a" * 300},
    {"args": "K8S_POD_NAMESPACE"},
    {"args": "K8S_POD_NAMESPACE=a;K8S_POD_NAMESPACE=b"},
    {"args": "K8S_POD_NAMESPACE=../x;K8S_POD_NAME=web"},
    {"args": "K8S_POD_NAMESPACE=A;K8S_POD_NAME=web"},
    {"args": "K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web/../../secrets/x"},
    {"args": "K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web\r\nHost: x"},
    {"args": "K8S_POD_NAMESPACE=shop;K8S_POD_NAME="},
    {"args": f"K8S_POD_NAMESPACE=shop;K8S_POD_NAME={'a' * 300}"},
    {"args": "X=" + "a" * 5000},
    {"command": "add"},
]


def test_an_environment_that_no_runtime_has(node):
    for given in ENVIRONMENTS:
        words = {"command": "ADD", **given}
        status, output = call(words.pop("command"), result(POD[4]), **words)
        assert (given, status, output["code"]) == (given, 1, 4)
    assert elements() == {}


RESULTS = [
    None,
    [],
    "x",
    {"ips": {}},
    {"ips": ["10.88.0.7/24"]},
    {"ips": [{"address": 7}]},
    {"ips": [{"address": "10.88.0.7; flush ruleset/24"}]},
    {"ips": [{"address": "10.88.0.7/24", "interface": 5}]},
    {"ips": [{"address": "10.88.0.7/24", "interface": True}]},
    {"ips": [{"address": f"{NODE1[4]}/24"}]},
    {"ips": [{"address": f"{EGRESS1[6]}/64"}]},
    *({"ips": [{"address": text}]} for text in ("0.0.0.0/0", "127.0.0.1/8", "224.0.0.1/4", "::1/8", "fe80::1/64")),
    {"ips": [{"address": "10.88.0.7/24"}] * 17},
]


def test_a_strange_result_of_another_plugin(node):
    for previous in RESULTS:
        status, output = call("ADD", previous)
        assert (previous, status, output["code"]) == (previous, 1, 7)
        assert output["msg"].startswith("netops.egress_ip: prevResult")
    assert elements() == {}


def test_addresses_of_the_host_in_a_result_are_not_those_of_the_pod(node):
    previous = {"ips": [{"address": "10.88.0.1/24", "interface": 0}], "interfaces": [{"name": "cni0"}]}
    assert call("ADD", previous) == (0, previous)
    assert elements() == {}
    assert call("ADD", {}) == (0, {})


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b"[" * 100000, b"\xff"])
def test_a_configuration_that_is_none(text, capsys):
    assert cni.main({"CNI_COMMAND": "ADD"}, text) == 1
    assert json.loads(capsys.readouterr().out)["code"] == 6


def test_a_slow_server_does_not_delay_the_watch_for_each_pod(node, monkeypatch, tmp_path):
    """A node whose watch is late counts as away."""
    for number in range(3):
        call("ADD", result(f"10.88.0.7{number}"), container=f"c{number}", args=args("labs", f"web{number}"))
    clock, asked = [0.0], []
    monkeypatch.setattr(pod_admission.time, "monotonic", lambda: clock[0])

    def slow(_config, _namespace, name):
        asked.append(name)
        clock[0] += 1.9
        return {"app": "web"}

    monkeypatch.setattr(pod_labels, "read_labels", slow)
    with inside("node1"):
        pod_admission.retry_closed()
    assert asked == ["web0"]
    assert sorted(elements().values()) == ["drop", "drop", "goto"]
    assert (tmp_path / "closed").exists()


def test_a_run_that_holds_the_lock_does_not_delay_the_watch(node, monkeypatch, capsys):
    call("ADD", result(POD[4]), args=args("labs"))
    monkeypatch.setattr(pod_admission, "RETRY_SECONDS", 0)
    with pod_notes.lock(), inside("node1"):
        pod_admission.retry_closed()
    assert "another process has held the lock for 0 seconds" in capsys.readouterr().err


def test_the_watch_asks_again_while_a_pod_is_closed():
    """The program of a node looks for the file itself: an import would cost more than the look."""
    assert f'os.path.exists("{CLOSED_FILE}")' in zipapp._MAIN


# Connects no pod, and returns what a plugin that does would return.
BRIDGE = """\
#!/bin/sh
cat > /dev/null
[ "$CNI_COMMAND" != ADD ] || echo '{"cniVersion": "1.0.0", "ips": [{"address": "10.88.0.7/24"}]}'
"""
# What a runtime does: each plugin of a list gets the result of the one before.
RUNTIME = """\
import json, subprocess, sys
command, path, folder = sys.argv[1:]
config, result = json.load(open(path)), None
for plugin in config["plugins"] if command == "ADD" else reversed(config["plugins"]):
    given = {**plugin, "cniVersion": config["cniVersion"], "name": config["name"], "prevResult": result}
    words = {"CNI_COMMAND": command, "CNI_CONTAINERID": "c1", "CNI_IFNAME": "eth0", "CNI_NETNS": "/run/netns/c1"}
    words["CNI_ARGS"] = "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web"
    done = subprocess.run([folder + "/" + plugin["type"]], input=json.dumps(given), env=words, stdout=-1, text=True)
    result = json.loads(done.stdout or "null")
    done.check_returncode()
print(json.dumps(result))
"""
# The program uses its usual paths, which are empty here.
OWN_FILES = """\
set -e
mount -t tmpfs none /run && mount -t tmpfs none /var/lib && mount -t tmpfs none /usr/local/lib
mkdir /var/lib/netops-egress-ip /usr/local/lib/netops-egress-ip
cp "$1" /var/lib/netops-egress-ip && cp "$4/node.pyz" /usr/local/lib/netops-egress-ip
python3 -c "$2" ADD "$3" "$4"
ls /run/netops-egress-ip.pods
nft -j list map inet egress_ip followed4
python3 -c "$2" DEL "$3" "$4"
ls /run/netops-egress-ip.pods
ls /run/netops-egress-ip.cni.*/netops_egress_ip/_node/__pycache__
"""


def test_the_program_as_a_runtime_starts_it(node, tmp_path):
    """From the list of plugins, with its own interpreter, out of the zip file."""
    (tmp_path / "node.pyz").write_bytes(zipapp.make())
    text = cni_install.program(commands.interpreter())
    for name, content in ((TYPE, text), ("bridge", BRIDGE)):
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(0o755)
    plugins = json.dumps({"cniVersion": "1.0.0", "name": "net", "plugins": [{"type": "bridge"}]})
    (tmp_path / "10.conflist").write_text(with_entry(plugins, ""))
    words = (tmp_path / "follow.json", RUNTIME, tmp_path / "10.conflist", tmp_path)
    with inside("node1"):
        added, note, listed, deleted, *compiled = run(
            "unshare", "--mount", "sh", "-c", OWN_FILES, "sh", *words
        ).splitlines()
    assert json.loads(added) == {"cniVersion": "1.0.0", "ips": [{"address": "10.88.0.7/24"}]}
    assert note == "c1:eth0"
    assert '["10.88.0.7", {"goto": {"target": "object_one"}}]' in listed
    assert json.loads(deleted) is None
    # Only the first start compiles.
    assert [name.partition(".")[0] for name in compiled] == ["__init__", "cni", "pod_admission"]
    assert elements() == {}
