# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The labels of a pod from a test API server over HTTPS, and kubeconfig files that cannot be used."""

from __future__ import annotations

import subprocess
import sys
from urllib.parse import urlsplit

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import pod_labels
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.pod_labels import (
    read_kubeconfig,
    read_labels,
    split_server,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.pod_notes import NoteError
from cluster_manifests import ROOT
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(ROOT / "tests/kubernetes"))

from api_server import ApiServer, answering, silent  # noqa: E402

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web"}},
    "spec": {"nodeName": "node1"},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server with one pod."""
    with ApiServer(tmp_path_factory.mktemp("api")).running() as running:
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
        bare = {**POD, "metadata": {"name": "bare", "namespace": "shop"}}
        running.store.add([namespace, POD, bare])
        yield running


@pytest.fixture
def config(server, tmp_path):
    """A kubeconfig file of the server."""
    return str(server.kubeconfig(tmp_path / "kubelet.conf"))


@pytest.fixture(autouse=True)
def _patient(monkeypatch):
    """The server is a thread of this process, on a machine that may be busy."""
    monkeypatch.setattr(pod_labels, "TIMEOUT", 60)


def reason(path, namespace="shop", name="web"):
    with pytest.raises(NoteError) as raised:
        read_labels(path, namespace, name)
    return str(raised.value)


def test_the_labels_of_a_pod(server, config):
    before = len(server.requests)
    assert read_labels(config, "shop", "web") == {"app": "web"}
    assert server.requests[before:] == ["GET /api/v1/namespaces/shop/pods/web"]
    assert read_labels(config, "shop", "bare") == {}


def test_files_beside_the_kubeconfig_file(server, config, tmp_path):
    """Their paths begin at its folder, as for kubectl."""
    (tmp_path / "token").write_text(read_kubeconfig(config)["token"] + "\n")
    (tmp_path / "ca.crt").write_bytes(server.ca.read_bytes())
    path = tmp_path / "relative.conf"
    path.write_text(f"server: {server.url}\ncertificate-authority: ca.crt\ntokenFile: token\n")
    assert read_labels(str(path), "shop", "web") == {"app": "web"}


def test_what_the_server_refuses(server, config, tmp_path):
    assert reason(config, name="gone") == f"{server.url}: refuses to show the pod: 404 Not Found"
    other = server.kubeconfig(tmp_path / "other.conf", token="wrong")
    assert reason(str(other)) == f"{server.url}: refuses to show the pod: 401 Unauthorized"


def test_a_server_of_another_authority(config, server, tmp_path):
    (tmp_path / "api").mkdir()
    other = ApiServer(tmp_path / "api")
    assert "certificate verify failed" in reason(str(server.kubeconfig(tmp_path / "c", ca=other.ca)))


def test_strange_answers(server, config, monkeypatch):
    server.fault("/pods/web", answering(200, b"[" * 100000), 1)
    assert reason(config) == f"{server.url}: the answer is not a Pod"
    server.fault("/pods/web", answering(200, b'{"kind": "Pod", "metadata": {"labels": {"a": 1}}}'), 1)
    assert reason(config) == f"{server.url}: the answer is not a Pod"
    monkeypatch.setattr(pod_labels, "TIMEOUT", 0.3)
    # Another name: the request may come too late, and the fault would be left for another test.
    server.fault("/pods/mute", silent)
    assert reason(config, name="mute").startswith(f"{server.url}: the pod cannot be read: ")


def test_a_server_that_is_away(tmp_path):
    path = tmp_path / "c"
    path.write_text("clusters:\n- cluster:\n    server: https://127.0.0.1:1\n")
    assert reason(str(path)) == "https://127.0.0.1:1: the pod cannot be read: Connection refused"


HOSTS = st.sampled_from(["10.0.0.1", "api.cluster.test", "[fd00::1]", "[fe80::1]", "localhost", "bücher.test"])
PORTS = st.one_of(st.just(""), st.integers(1, 65535).map(lambda port: f":{port}"))
PATHS = st.sampled_from(["", "/", "/k8s/clusters/c-1", "/k8s/clusters/c-1/"])


@given(HOSTS, PORTS, PATHS)
def test_the_parts_of_a_url(host, port, path):
    """As urllib reads them."""
    url = f"https://{host}{port}{path}"
    wanted = urlsplit(url)
    found = split_server(url)
    name = wanted.hostname if "ü" in host else wanted.hostname.encode()
    assert found == (name, wanted.port or 443, wanted.path.rstrip("/"))


def test_a_port_that_is_no_number(tmp_path):
    path = tmp_path / "c"
    path.write_text("server: https://127.0.0.1:x\n")
    assert reason(str(path)) == "https://127.0.0.1:x: the pod cannot be read: the port is not a number"


# A name server that receives and never answers; prints the error, and the number of queries.
SILENT_RESOLVER = """\
set -e
ip link set lo up
echo 'nameserver 127.0.0.1' > "$1/resolv.conf"
mount --bind "$1/resolv.conf" /etc/resolv.conf
exec "$2" -c '
import socket, sys
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import pod_labels, pod_notes
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))
server.setblocking(False)
try:
    pod_labels.read_labels(sys.argv[1] + "/kubelet.conf", "shop", "web")
except pod_notes.NoteError as error:
    print(error)
queries = set()
while True:
    try:
        queries.add(server.recv(512)[:2])
        print("query")
    except BlockingIOError:
        break
' "$1"
"""


def test_a_name_server_without_an_answer(tmp_path):
    """Each query waits: one for each version, and none again."""
    (tmp_path / "kubelet.conf").write_text("server: https://api.cluster.test:6443\n")
    words = ["unshare", "--net", "--mount", "sh", "-c", SILENT_RESOLVER, "sh", str(tmp_path), sys.executable]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    message, *queries = done.stdout.splitlines()
    assert message.startswith("https://api.cluster.test:6443: the pod cannot be read: ")
    assert len(queries) <= 2


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "has no server with https://"),
        ("server: http://10.0.0.1", "has no server with https://"),
        ("server: https://a\nserver: https://b", "has server twice; it must have one cluster and one user"),
        (
            "server: https://a\ninsecure-skip-tls-verify: true",
            "insecure-skip-tls-verify is not supported; name the certificate authority",
        ),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path, text, error):
    path = tmp_path / "kubelet.conf"
    path.write_text(text)
    with pytest.raises(NoteError) as raised:
        read_kubeconfig(str(path))
    assert str(raised.value) == f"{path}: {error}"


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("certificate-authority-data: x!", "certificate-authority-data is not base64"),
        ("certificate-authority: gone.crt", "gone.crt cannot be read: No such file or directory"),
        ("tokenFile: /dev/null/x", "/dev/null/x cannot be read: Not a directory"),
    ],
)
def test_a_file_that_names_others(server, tmp_path, line, error):
    path = tmp_path / "kubelet.conf"
    path.write_text(f"server: {server.url}\n{line}\n")
    assert error in reason(str(path))


def test_the_file_is_missing():
    assert reason("/no/kubelet.conf") == "/no/kubelet.conf: /no/kubelet.conf cannot be read: No such file or directory"
