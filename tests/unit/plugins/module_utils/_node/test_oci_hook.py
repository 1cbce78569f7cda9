# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The OCI hook as an engine calls it, with the real tables. A container is a process in a network namespace.

Its packets are those of pod1, which has the same addresses.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
from dataclasses import replace

import pytest
from admitted_pods import POD, apply_to_node, begin, elements, fleet_with_pod, seen, send_from_one_port, state
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import commands, pod_labels, pod_notes
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.host_io import HostIO
from ansible_collections.netops.egress_ip.plugins.module_utils._node import cni, oci_hook, zipapp
from ansible_collections.netops.egress_ip.plugins.module_utils._node.hook_install import hook_text
from small_fleet import EGRESS1, NODE1, inside, listener, nft, run, sources

NAMESPACE, LABELS = "egress-ip.netops/namespace", "egress-ip.netops/labels"
SHOP = {NAMESPACE: "shop"}
CRIO_LABELS = "io.kubernetes.cri-o.Labels"
CRIO_CONTAINER = {"io.kubernetes.cri-o.ContainerType": "container"}
POD_LABELS = {"io.kubernetes.pod.namespace": "plain", "io.kubernetes.pod.name": "web-0"}
CRIO = {"io.container.manager": "cri-o", NAMESPACE: "plain", LABELS: "app=web"}


@pytest.fixture(scope="module")
def fleet():
    with fleet_with_pod():
        yield


@pytest.fixture
def node(fleet, monkeypatch, tmp_path):
    """Node1, which follows pods."""
    begin(monkeypatch, tmp_path)


@contextlib.contextmanager
def process(*words):
    """A process that has written a line; it ends here at the latest."""
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as started:
        try:
            assert started.stdout.readline() == "ready\n"
            yield started
        finally:
            started.kill()


def container(*addresses):
    """The first process of a container with these addresses."""
    lines = ("link set lo up", *(f"address add {each} dev lo" for each in (*addresses, "fe80::7/64")))
    script = 'printf "%s\\n" "$@" | ip -batch - && echo ready; exec sleep 600'
    return process("unshare", "--net", "sh", "-c", script, "sh", *lines)


def joined(first):
    """The first process of a container in the network namespace of another one."""
    return process("nsenter", f"--net=/proc/{first.pid}/ns/net", "sh", "-c", "echo ready; exec sleep 600")


def hook(given):
    """Call the hook with this state of a container; return its exit status."""
    with inside("node1"):
        return oci_hook.main(given if isinstance(given, bytes) else json.dumps(given).encode())


def start(pid, annotations=(), name="c1"):
    """Call the hook before the first process of a container runs."""
    words = {"ociVersion": "1.0.2", "id": name, "status": "creating", "bundle": "/run/c1", "pid": pid}
    return hook({**words, "annotations": dict(annotations)})


def stop(name="c1"):
    """Call the hook after a container has ended, as Podman does."""
    return hook({"ociVersion": "1.0.2", "id": name, "status": "stopped", "bundle": "/run/c1"})


def one_address():
    return container(f"{POD[4]}/24", f"{POD[6]}/64")


@pytest.mark.parametrize("version", [4, 6])
def test_the_first_packets_of_a_container(node, version):
    with one_address() as first:
        assert start(first.pid, SHOP) == 0
        assert seen(version) == [EGRESS1[version]] * 3
    assert stop() == 0
    assert seen(version) == [NODE1[version]] * 3
    assert elements() == {}


def test_a_note_has_what_a_run_needs(node):
    with one_address() as first:
        start(first.pid, {NAMESPACE: "labs", LABELS: "app=web, tier=a"}, name="0123456789abcdef")
        (note,) = [*pod_notes.read_notes().values()]
    assert note["name"] == "labs/0123456789ab"
    assert note["addresses"] == [POD[4], POD[6]]
    assert note["labels"] == {"app": "web", "tier": "a"}
    assert note["container"] == "0123456789ab"


@pytest.mark.parametrize(
    ("annotations", "verdict"),
    [
        ({NAMESPACE: "labs", LABELS: "app=web"}, "goto"),
        ({NAMESPACE: "labs", LABELS: "app=db"}, "return"),
        ({NAMESPACE: "labs"}, "return"),
        ({NAMESPACE: "plain"}, "return"),
        ({NAMESPACE: "unknown"}, "return"),
    ],
)
def test_the_namespace_and_labels_decide(node, annotations, verdict):
    with one_address() as first:
        assert start(first.pid, annotations) == 0
    assert elements() == {POD[4]: verdict}


def test_unknown_namespaces_may_be_closed(node):
    closed = state()
    apply_to_node(replace(closed, options=replace(closed.options, unknown_pods="drop")))
    with one_address() as first:
        start(first.pid, {NAMESPACE: "unknown"})
        assert elements() == {POD[4]: "drop"}
        start(first.pid, {NAMESPACE: "plain"})
        assert elements() == {POD[4]: "return"}


def test_a_container_without_annotations_has_the_class_of_its_network(node):
    """No element comes before the map of networks."""
    for words in ({}, {NAMESPACE: "", LABELS: "app=web"}):
        with one_address() as first:
            assert start(first.pid, words) == 0
        assert elements() == {}
        assert list(pod_notes.all_keys()) == []


def test_an_address_that_is_used_again_inherits_nothing(node):
    """The engine calls the hook for the former container late, or never."""
    wrong = []
    for number in range(100):
        words, source = [(SHOP, EGRESS1), ({}, NODE1), ({NAMESPACE: "plain"}, NODE1)][number % 3]
        with one_address() as each, listener("server", 4) as server:
            assert start(each.pid, words, name=f"c{number}") == 0
            # From one port: the kernel knows the connection of the former container.
            send_from_one_port()
            wrong += [number] if sources(server, 1) != [source[4]] else []
        if number % 5 == 0:
            stop(f"c{number - 1}")
    assert wrong == []


def test_a_container_that_ended_with_its_engine_is_forgotten_by_a_run(node):
    with one_address() as first:
        start(first.pid, SHOP)
    assert pod_notes.read_notes() == {}
    assert pod_notes.all_keys() == ["c1"]
    assert elements() == {POD[4]: "goto"}
    assert HostIO.followed_containers() == ([], ["c1"])
    apply_to_node(state())
    assert pod_notes.all_keys() == []
    assert elements() == {}


def test_containers_share_a_network(node, monkeypatch):
    """The second one has no class of its own, and the connections of the first one stay."""
    forgotten = []
    monkeypatch.setattr(oci_hook, "forget_connections", forgotten.append)
    with one_address() as first:
        start(first.pid, SHOP)
        with joined(first) as second:
            assert start(second.pid, name="c2") == 0
            assert elements() == {POD[4]: "goto"}
            # That of the last one with an annotation counts.
            assert start(second.pid, {NAMESPACE: "plain"}, name="c2") == 0
            assert elements() == {POD[4]: "return"}
    assert forgotten == [[POD[4], POD[6]]]


VICTIM = "10.88.0.8"


@pytest.mark.parametrize("annotations", [SHOP, {}], ids=["annotated", "plain"])
def test_a_container_that_adds_the_address_of_another_one_changes_nothing(node, annotations):
    """One with CAP_NET_ADMIN can, before the next container of its pod starts."""
    with container(f"{VICTIM}/24") as victim, one_address() as first:
        assert start(victim.pid, {NAMESPACE: "plain"}, name="victim") == 0
        assert start(first.pid, SHOP) == 0
        both = {VICTIM: "return", POD[4]: "goto"}
        assert elements() == both
        run("nsenter", f"--net=/proc/{first.pid}/ns/net", "ip", "address", "add", f"{VICTIM}/32", "dev", "lo")
        with joined(first) as second:
            assert start(second.pid, annotations, name="c2") == 0
            assert elements() == both
            # Now also the first one is in a network namespace with others.
            assert start(first.pid, annotations) == 0
            assert elements() == both


def test_a_container_that_adds_the_address_of_a_pod_of_kubernetes_changes_nothing(node):
    note = {"name": "plain/web-0", "addresses": [VICTIM], "labels": None, "verdicts": {VICTIM: "return"}}
    with one_address() as first:
        start(first.pid, SHOP)
        pod_notes.write_note("cni", note)
        run("nsenter", f"--net=/proc/{first.pid}/ns/net", "ip", "address", "add", f"{VICTIM}/32", "dev", "lo")
        with joined(first) as second:
            assert start(second.pid, SHOP, name="c2") == 0
        assert pod_notes.read_note("c2")["addresses"] == [POD[4], POD[6]]


def test_a_container_that_adds_the_address_of_a_container_without_a_class_changes_nothing(node):
    with one_address() as first:
        start(first.pid, SHOP)
        for address in (f"{VICTIM}/32", "2001:db8:88::8/128"):
            run("nsenter", f"--net=/proc/{first.pid}/ns/net", "ip", "address", "add", address, "dev", "lo")
        with joined(first) as second:
            assert start(second.pid, SHOP, name="c2") == 0
        assert pod_notes.read_note("c2")["addresses"] == [POD[4], POD[6]]
        assert elements() == {POD[4]: "goto"}


@pytest.mark.parametrize(
    ("named", "own"),
    [
        ([POD[4]], [POD[4]]),
        ([POD[4], POD[6]], [POD[4], POD[6]]),
        ([POD[6], POD[4]], [POD[4], POD[6]]),
        ([POD[4], POD[6], VICTIM], [POD[4], POD[6]]),
        ([POD[4], VICTIM], [POD[4]]),
        (["x", VICTIM], []),
        ([], [VICTIM, POD[4], POD[6]]),
    ],
)
def test_a_pod_of_cri_o_has_the_addresses_that_cri_o_names(node, named, own):
    """The author of a pod can add an annotation with a further number; a container that ended, an address."""
    words = {**CRIO, CRIO_LABELS: json.dumps(POD_LABELS)}
    words.update({f"io.kubernetes.cri-o.IP.{number}": address for number, address in enumerate(named)})
    with container(f"{POD[4]}/24", f"{POD[6]}/64", f"{VICTIM}/32") as first:
        assert start(first.pid, words) == 0
        assert [address for note in pod_notes.read_notes().values() for address in note["addresses"]] == sorted(own)


def test_a_container_of_which_all_addresses_are_those_of_another_one(node):
    with one_address() as victim, one_address() as first:
        assert start(victim.pid, {NAMESPACE: "plain"}, name="victim") == 0
        with joined(first) as second:
            assert start(second.pid, SHOP, name="c2") == 0
        assert pod_notes.all_keys() == ["victim"]
        assert elements() == {POD[4]: "return"}


def test_a_container_in_the_network_namespace_of_a_router(node, capsys):
    """`podman run --network ns:/run/netns/router`: only one with an annotation may have too many addresses."""
    with container(*(f"10.88.7.{number}/32" for number in range(1, 18))) as first:
        assert start(first.pid) == 0
        assert capsys.readouterr().err == ""
        assert start(first.pid, SHOP) == 1
        assert capsys.readouterr().err == "netops.egress_ip: the container has more than 16 addresses\n"


def test_a_container_that_was_disconnected_from_a_network(node):
    with container("10.88.0.8/24", f"{POD[4]}/24") as first, one_address() as second:
        start(first.pid, SHOP)
        assert start(second.pid, name="c2") == 0
        assert elements() == {"10.88.0.8": "goto"}


@pytest.mark.parametrize("words", [(), ("unshare", "--net")])
def test_a_container_without_a_network_of_its_own(node, words):
    """It has the network of the host, or gets its own network later."""
    script = ("sh", "-c", "echo ready; exec sleep 600")
    with inside("node1"), process(*words, *script) as first:
        assert oci_hook.main(json.dumps({"id": "c1", "pid": first.pid, "annotations": SHOP}).encode()) == 0
    assert elements() == {}


def test_tables_missing_while_a_container_starts(node, capsys):
    nft("node1", "delete table inet egress_ip")
    with one_address() as first:
        assert start(first.pid, SHOP) == 1
        error = capsys.readouterr().err
        assert error.startswith("netops.egress_ip: the pod cannot be classified: nft: ")
        assert error.count("\n") == 1
        assert pod_notes.all_keys() == []
        # Nothing says that it is a pod.
        assert start(first.pid) == 0
    assert stop() == 0


def test_rules_missing_while_a_container_starts(node, tmp_path, capsys):
    (tmp_path / "follow.json").unlink()
    with one_address() as first:
        assert start(first.pid, SHOP) == 1
        assert capsys.readouterr().err == (
            f"netops.egress_ip: {tmp_path}/follow.json: does not exist; run the playbook reconcile\n"
        )


def test_containers_survive_a_flush_and_a_change_of_the_rules(node):
    with one_address() as first:
        start(first.pid, SHOP)
        nft("node1", "delete table inet egress_ip")
        # The kernel closes the container until the tables are back.
        assert seen(4) == []
        apply_to_node(state())
        assert seen(4) == [EGRESS1[4]] * 3
        apply_to_node(replace(state(), follow=replace(state().follow, namespaces=())))
        assert seen(4) == [NODE1[4]] * 3


def test_cri_o_names_the_namespace_and_not_the_author_of_the_pod(node, monkeypatch):
    labels = {"io.kubernetes.pod.namespace": "labs", "io.kubernetes.pod.name": "web-0", "app": "web"}
    annotations = {**CRIO, "io.kubernetes.cri-o.Labels": json.dumps(labels)}
    asked = []
    monkeypatch.setattr(pod_labels, "read_labels", lambda *words: asked.append(words[1:]) or {"app": "web"})
    with one_address() as first:
        assert start(first.pid, annotations) == 0
        assert elements() == {POD[4]: "goto"}
        assert asked == [("labs", "web-0")]
    assert stop() == 0
    assert elements() == {}


@pytest.mark.parametrize("words", [{}, {"io.kubernetes.cri-o.Labels": "{}"}])
def test_cri_o_starts_a_container_without_a_kubelet(node, words):
    """As `crictl run` does: nothing names its pod, and its other annotations do not count."""
    with one_address() as first:
        assert start(first.pid, {**CRIO, **words}) == 0
    assert elements() == {}


def test_the_author_of_a_pod_annotates_its_sandbox_and_chooses_nothing(node):
    """Containers of the pod follow."""
    labels = {"io.kubernetes.pod.namespace": "shop", "io.kubernetes.pod.name": "web-0"}
    sandbox = {"io.kubernetes.cri-o.Labels": json.dumps(labels), "io.kubernetes.cri-o.ContainerType": "sandbox"}
    with one_address() as first:
        assert start(first.pid, {**CRIO, **sandbox}) == 0
    assert elements() == {}


def test_a_pod_of_cri_o_without_an_answer_of_the_api_server_is_closed(node):
    labels = {"io.kubernetes.pod.namespace": "labs", "io.kubernetes.pod.name": "web-0"}
    with one_address() as first:
        assert start(first.pid, {**CRIO, "io.kubernetes.cri-o.Labels": json.dumps(labels)}) == 0
        # A run knows it from the API server.
        assert HostIO.followed_containers() == ([], [])
    assert elements() == {POD[4]: "drop"}


@pytest.mark.parametrize(
    ("forged", "message"),
    [
        (
            {"io.container.manager": "libpod", NAMESPACE: "shop"},
            f"annotation io.container.manager: must be cri-o in a pod of CRI-O, which has {CRIO_LABELS}",
        ),
        (
            {**CRIO_CONTAINER, CRIO_LABELS: json.dumps({**POD_LABELS, "io.kubernetes.pod.namespace": "shop"})},
            f"annotation {CRIO_LABELS}: io.kubernetes.pod.namespace: must be that of the annotation "
            "io.kubernetes.pod.namespace",
        ),
        (
            {**CRIO_CONTAINER, CRIO_LABELS: json.dumps({**POD_LABELS, "io.kubernetes.pod.name": "shop-0"})},
            f"annotation {CRIO_LABELS}: io.kubernetes.pod.name: must be that of the annotation io.kubernetes.pod.name",
        ),
        ({**CRIO_CONTAINER, NAMESPACE: "shop"}, ""),
        ({**CRIO_CONTAINER, CRIO_LABELS: "{}", NAMESPACE: "shop"}, ""),
        ({"io.container.manager": "libpod"}, ""),
    ],
)
def test_the_author_of_a_pod_of_cri_o_cannot_choose_its_namespace(node, forged, message, capsys):
    """CRI-O gives a sandbox its own annotations, then those of the pod, its labels, and last those of the kubelet."""
    own = {"io.container.manager": "cri-o", "io.kubernetes.cri-o.ContainerType": "sandbox"}
    with one_address() as sandbox:
        status = start(sandbox.pid, {**own, CRIO_LABELS: json.dumps(POD_LABELS), **forged, **POD_LABELS}, "sandbox")
        assert capsys.readouterr().err == (f"netops.egress_ip: {message}\n" if message else "")
        assert status == (1 if message else 0)
        # Its own namespace has no egress IP.
        assert {*elements().values()} <= {"return"}


def test_the_collection_of_a_cni_runtime_leaves_containers_alone(node):
    with one_address() as first:
        start(first.pid, SHOP)
        config = {"cniVersion": "1.1.0", "name": "net", "cni.dev/valid-attachments": []}
        with inside("node1"):
            assert cni.main({"CNI_COMMAND": "GC"}, json.dumps(config).encode()) == 0
        assert pod_notes.all_keys() == ["c1"]


GOOD = {"id": "c1", "status": "creating", "pid": 1}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (b"", "the state of the container is not a JSON object"),
        (b"[]", "the state of the container is not a JSON object"),
        (b" " * (oci_hook.LARGEST_STATE + 1), "the state of the container is larger than 4194304 bytes"),
        ({**GOOD, "id": None}, "id: must be a letter or digit, then letters, digits, '_', '.', '-'"),
        ({**GOOD, "id": "../x"}, "id: must be a letter or digit, then letters, digits, '_', '.', '-'"),
        ({"id": "c1", "status": "creating"}, "pid: must be the number of a process"),
        ({**GOOD, "pid": True}, "pid: must be the number of a process"),
        ({**GOOD, "pid": "1"}, "pid: must be the number of a process"),
        ({**GOOD, "annotations": []}, None),
        ({**GOOD, "annotations": ["x"]}, "annotations: must be a mapping of strings"),
        ({**GOOD, "annotations": {NAMESPACE: 1}}, "annotations: must be a mapping of strings"),
        (
            {**GOOD, "annotations": {NAMESPACE: "a" * 70000}},
            f"annotation {NAMESPACE}: is longer than 65536 characters",
        ),
        (
            {**GOOD, "annotations": {NAMESPACE: "A\n"}},
            f"annotation {NAMESPACE}: must be the name of a namespace, not 'A\\n'",
        ),
        *(
            (
                {**GOOD, "annotations": {**SHOP, LABELS: text}},
                f"annotation {LABELS}: must be labels as app=shop,tier=web, each once",
            )
            for text in ("app", "app=a,", "app=a,app=b")
        ),
        (
            {**GOOD, "annotations": {**SHOP, LABELS: f"app={'x' * 64}"}},
            f"annotation {LABELS}: must be at most 100 labels of the size of Kubernetes",
        ),
        *(
            (
                {**GOOD, "annotations": {**CRIO, "io.kubernetes.cri-o.Labels": text}},
                f"annotation io.kubernetes.cri-o.Labels: {message}",
            )
            for text, message in (
                ("{", "is not a JSON object"),
                ("[]", "is not a JSON object"),
                ('{"io.kubernetes.pod.namespace": 5}', "io.kubernetes.pod.namespace: must be a name of Kubernetes"),
                ('{"io.kubernetes.pod.namespace": "labs"}', "io.kubernetes.pod.name: must be a name of Kubernetes"),
            )
        ),
    ],
)
def test_a_state_that_no_engine_has(node, given, message, capsys):
    """Process 1 has the network of the host, so a good state has no effect."""
    with inside("node1"):
        status = oci_hook.main(given if isinstance(given, bytes) else json.dumps(given).encode())
    assert capsys.readouterr().err == (f"netops.egress_ip: {message}\n" if message else "")
    assert status == (1 if message else 0)


def test_an_address_of_a_node_is_not_one_of_a_container(node, capsys):
    with container(f"{NODE1[4]}/24") as first:
        assert start(first.pid, SHOP) == 1
    assert capsys.readouterr().err == (
        f"netops.egress_ip: {NODE1[4]} is an address of a node or an egress IP, not of a container\n"
    )


def test_a_container_that_ends_while_it_starts(node, capsys):
    with one_address() as first:
        pass
    assert start(first.pid, SHOP) == 1
    assert capsys.readouterr().err.count("\n") == 1


# The program uses its usual paths, which are empty here.
OWN_FILES = """\
set -e
mount -t tmpfs none /run && mount -t tmpfs none /var/lib && mount -t tmpfs none /usr/local/lib
mkdir /var/lib/netops-egress-ip /usr/local/lib/netops-egress-ip
cp "$1/follow.json" /var/lib/netops-egress-ip && cp "$1/node.pyz" /usr/local/lib/netops-egress-ip
python3 "$1/engine.py" "$1/hook.json" "$1/creating.json"
ls /run/netops-egress-ip.pods
nft -j list map inet egress_ip followed4
python3 "$1/engine.py" "$1/hook.json" "$1/stopped.json"
ls /run/netops-egress-ip.pods
ls /run/netops-egress-ip.cni.*/netops_egress_ip/_node/__pycache__
"""
# What an engine does with a hook of the schema.
ENGINE = """\
import json, subprocess, sys
hook = json.load(open(sys.argv[1]))
assert hook["version"] == "1.0.0" and hook["when"] == {"always": True}
assert hook["stages"] == ["createRuntime", "poststop"]
words = hook["hook"]["args"]
sys.exit(subprocess.run(words, executable=hook["hook"]["path"], stdin=open(sys.argv[2]), env={}).returncode)
"""


@pytest.fixture
def program(node, tmp_path):
    """The folder of a hook, of an engine, and of states for it."""
    (tmp_path / "node.pyz").write_bytes(zipapp.make())
    (tmp_path / "hook.json").write_text(hook_text(commands.interpreter()))
    (tmp_path / "engine.py").write_text(ENGINE)
    (tmp_path / "stopped.json").write_text(json.dumps({"id": "c1", "status": "stopped"}))
    with one_address() as first:
        state_ = {"id": "c1", "status": "creating", "pid": first.pid, "annotations": SHOP}
        (tmp_path / "creating.json").write_text(json.dumps(state_))
        yield tmp_path


def test_the_program_as_an_engine_starts_it(program):
    """From the file of the hook, with its own interpreter, out of the zip file."""
    with inside("node1"):
        note, listed, *compiled = run("unshare", "--mount", "sh", "-c", OWN_FILES, "sh", str(program)).splitlines()
    assert note == "c1"
    assert f'["{POD[4]}", {{"goto": {{"target": "object_one"}}}}]' in listed
    # Only the first start compiles.
    assert [name.partition(".")[0] for name in compiled] == ["__init__", "oci_hook", "pod_admission"]
    assert elements() == {}


# The files of the test are those of root.
OTHER_USER = """\
set -e
mount -t tmpfs -o mode=755 none /run && mount -t tmpfs none /var/lib && mkdir -m 700 /var/lib/netops-egress-ip
cp "$1"/*.json "$1/engine.py" /run && chmod a+r /run/*
setpriv --reuid 65534 --clear-groups /usr/bin/python3 -I /run/engine.py /run/hook.json /run/creating.json
"""


def test_the_engine_of_another_user_does_nothing(program):
    """Its containers have no network of the host, and the hook no access to its files."""
    (program / "hook.json").write_text(hook_text("/usr/bin/python3"))
    assert run("unshare", "--mount", "sh", "-c", OTHER_USER, "sh", str(program)) == ""


def test_the_program_of_the_node_is_missing(program):
    script = 'mount -t tmpfs none /usr/local/lib; python3 "$1/engine.py" "$1/hook.json" "$1/creating.json"'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", str(program)], capture_output=True, text=True, check=False
    )
    missing = "/usr/local/lib/netops-egress-ip/node.pyz is missing; run the playbook reconcile"
    assert (done.returncode, done.stderr) == (1, f"netops.egress_ip: {missing}\n")
