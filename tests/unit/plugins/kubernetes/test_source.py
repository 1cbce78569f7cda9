# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clusters as sources of manifests: what is read, and that a cluster which cannot be read stops the run."""

from __future__ import annotations

import gzip
import json
import socket
import sys
import time

import api_server
import pytest
import yaml
from ansible import constants
from ansible.errors import AnsibleLookupError
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultLib, VaultSecret
from ansible_collections.netops.egress_ip.plugins.lookup.manifests import LookupModule
from ansible_collections.netops.egress_ip.plugins.plugin_utils import _kubernetes_api
from api_server import ADMIN, ApiServer, answering
from api_store import pods
from cluster_manifests import documents_of, rules_of

EGRESSIP = {
    "apiVersion": "k8s.ovn.org/v1",
    "kind": "EgressIP",
    "metadata": {"name": "web"},
    "spec": {"egressIPs": ["192.0.2.10"], "namespaceSelector": {"matchLabels": {"env": "prod"}}},
    "status": {"items": [{"node": "node1", "egressIP": "192.0.2.10"}]},
}
NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"env": "prod"}}}
NODE = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node1"}, "spec": {"podCIDRs": ["10.128.0.0/24"]}}
SECRETS = [("default", VaultSecret(b"secret"))]
# Seconds that the server, which is a thread of this process, has on a busy machine.
PATIENCE = {"timeout": 60}


@pytest.fixture
def lookup_terms(tmp_path, monkeypatch):
    """Return a function that looks up terms; the vault secret is "secret"."""
    loader = DataLoader()
    loader.set_basedir(str(tmp_path))
    loader.set_vault_secrets(SECRETS)
    monkeypatch.setattr(constants, "DEFAULT_LOCAL_TMP", str(tmp_path))
    lookup = LookupModule(loader=loader)
    monkeypatch.setattr(lookup, "set_options", lambda **kwargs: None)

    def patient(term):
        if isinstance(term, list):
            return [patient(each) for each in term]
        return {"kubernetes": {**PATIENCE, **term["kubernetes"]}} if "kubernetes" in term else term

    return lambda *terms: lookup.run([patient(term) for term in terms], {"ansible_search_path": [str(tmp_path)]})[0]


@pytest.fixture
def refused(lookup_terms):
    """Return a function that looks up a source and returns the error without the source's path."""

    def message(**settings):
        with pytest.raises(AnsibleLookupError) as raised:
            lookup_terms({"kubernetes": settings})
        text = raised.value.message
        assert text.startswith("manifests[0].kubernetes")
        assert "\n" not in text
        assert not text.endswith(" ")
        assert ADMIN not in text
        return text.removeprefix("manifests[0].kubernetes").removeprefix(": ")

    return message


def names(documents):
    """Return the names of documents."""
    return [document["metadata"]["name"] for document in documents]


def test_reads_all_kinds(cluster, lookup_terms):
    cluster.store.add([EGRESSIP, NAMESPACE, NODE, *pods(3, "shop")])
    found = lookup_terms({"kubernetes": {}})
    assert [names(found[key]) for key in ("egressips", "namespaces", "nodes", "pods")] == [
        ["web"],
        ["shop"],
        ["node1"],
        ["web-0", "web-1", "web-2"],
    ]
    assert (found["invalid"], found["ignored"], found["unreadable"]) == ([], [], [])
    (egressip,) = found["egressips"]
    assert egressip["metadata"] == {"name": "web"}
    assert egressip["status"] == EGRESSIP["status"]
    assert found["pods"][0]["status"] == {"podIPs": [{"ip": "10.128.0.0"}], "phase": "Running"}


def test_reads_pages_and_leaves_out_finished_pods(cluster, lookup_terms):
    finished = {"metadata": {"name": "job", "namespace": "shop"}, "status": {"phase": "Succeeded"}}
    cluster.store.add([*pods(1203, "shop"), {"apiVersion": "v1", "kind": "Pod", **finished}])
    assert len(lookup_terms({"kubernetes": {"kinds": ["Pod"]}})["pods"]) == 1203
    assert sum("limit=500" in path for path in cluster.requests) == 3


def test_kinds_and_namespaces_limit_what_is_read(cluster, lookup_terms):
    other = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}}
    cluster.store.add([EGRESSIP, NAMESPACE, other, NODE, *pods(2, "shop"), *pods(2, "other")])
    found = lookup_terms({"kubernetes": {"kinds": ["Pod", "Namespace"], "namespaces": ["shop"]}}, EGRESSIP)
    assert (names(found["egressips"]), names(found["namespaces"]), found["nodes"]) == (["web"], ["shop"], [])
    assert {pod["metadata"]["namespace"] for pod in found["pods"]} == {"shop"}


def test_two_clusters_side_by_side(cluster, lookup_terms, tmp_path):
    """The same names in both clusters: nothing meets, and nothing is lost."""
    folder = tmp_path / "second"
    folder.mkdir()
    with ApiServer(folder).running() as second:
        for each, address in ((cluster, "192.0.2.10"), (second, "192.0.2.11")):
            each.store.add(documents_of("egressip-crd.yaml"))
            each.store.add([{**EGRESSIP, "spec": {**EGRESSIP["spec"], "egressIPs": [address]}}, NAMESPACE])
            each.store.add(pods(1, "shop"))
        second.kubeconfig(tmp_path / "second.yml")
        sources = [{"kubernetes": {"name": "a"}}, {"kubernetes": {"name": "b", "kubeconfig": "second.yml"}}]
        found = lookup_terms(sources)
    assert names(found["egressips"]) == ["a.web", "b.web"]
    assert names(found["namespaces"]) == ["a.shop", "b.shop"]
    assert [pod["metadata"]["namespace"] for pod in found["pods"]] == ["a.shop", "b.shop"]
    assert (found["invalid"], found["ignored"]) == ([], [])


def test_two_clusters_without_names_are_refused(lookup_terms):
    with pytest.raises(AnsibleLookupError, match=r"manifests\[0\].kubernetes.name: is missing; each of several"):
        lookup_terms({"kubernetes": {}}, {"kubernetes": {"kubeconfig": "b"}})


def test_a_name_that_is_in_a_file_too_is_reported(cluster, lookup_terms):
    cluster.store.add([EGRESSIP])
    other = {**EGRESSIP, "spec": {**EGRESSIP["spec"], "egressIPs": ["192.0.2.99"]}}
    (entry,) = lookup_terms({"kubernetes": {}}, other)["invalid"]
    assert "defines it again and differently" in entry["errors"][0]


def test_credentials_of_awx(cluster, lookup_terms, monkeypatch, tmp_path):
    cluster.kubeconfig(tmp_path / ".kube/config", "wrong")
    monkeypatch.setenv("K8S_AUTH_HOST", cluster.url)
    monkeypatch.setenv("K8S_AUTH_API_KEY", ADMIN)
    monkeypatch.setenv("K8S_AUTH_VERIFY_SSL", "True")
    monkeypatch.setenv("K8S_AUTH_SSL_CA_CERT", str(cluster.ca))
    cluster.store.add([NODE])
    assert names(lookup_terms({"kubernetes": {}})["nodes"]) == ["node1"]
    monkeypatch.delenv("K8S_AUTH_SSL_CA_CERT")
    monkeypatch.setenv("K8S_AUTH_VERIFY_SSL", "False")
    found = lookup_terms({"kubernetes": {}})
    assert found["ignored"] == [f"manifests[0].kubernetes: the certificate of {cluster.url} is not verified"]


def test_a_token_file_and_a_vaulted_kubeconfig(cluster, lookup_terms, tmp_path):
    cluster.store.add([NODE])
    (tmp_path / "token").write_text(f"{ADMIN}\n")
    found = lookup_terms({"kubernetes": {"host": cluster.url, "ca_cert": str(cluster.ca), "token_file": "token"}})
    assert names(found["nodes"]) == ["node1"]
    plain = cluster.kubeconfig(tmp_path / "plain.yml").read_bytes()
    (tmp_path / "vaulted.yml").write_bytes(VaultLib(SECRETS).encrypt(plain, SECRETS[0][1]))
    assert names(lookup_terms({"kubernetes": {"kubeconfig": "vaulted.yml"}})["nodes"]) == ["node1"]


def test_a_program_that_gets_a_token_has_a_time_limit(cluster, lookup_terms, refused, tmp_path, monkeypatch):
    login = {"apiVersion": "client.authentication.k8s.io/v1", "command": str(tmp_path / "login")}
    config = yaml.safe_load((tmp_path / ".kube/config").read_text())
    config["users"] = [{"name": "test", "user": {"exec": {**login, "interactiveMode": "Never"}}}]
    (tmp_path / ".kube/config").write_text(yaml.safe_dump(config))
    program = tmp_path / "login"
    answer = {"apiVersion": login["apiVersion"], "kind": "ExecCredential", "status": {"token": ADMIN}}
    program.write_text(f"#!/bin/sh\necho '{json.dumps(answer)}'\n")
    program.chmod(0o755)
    cluster.store.add([NODE])
    assert names(lookup_terms({"kubernetes": {}})["nodes"]) == ["node1"]
    program.write_text("#!/bin/sh\nexec sleep infinity\n")
    monkeypatch.setattr(_kubernetes_api, "_LOGIN_SECONDS", 1)
    assert refused().startswith(".kubeconfig: the program of the file that gets a token did not end within 1 s")


def test_the_rights_of_the_manifest_are_sufficient_and_needed(cluster, lookup_terms, refused, tmp_path):
    rules = rules_of("rbac.yaml")
    cluster.allow("reader", "system:serviceaccount:kube-system:egress-ip", rules)
    cluster.kubeconfig(tmp_path / ".kube/config", "reader")
    cluster.store.add([EGRESSIP, NAMESPACE, NODE])
    assert names(lookup_terms({"kubernetes": {}})["egressips"]) == ["web"]
    cluster.allow("reader", "system:serviceaccount:kube-system:egress-ip", rules[1:])
    text = refused()
    assert text.startswith(f"{cluster.url} refuses the request (403 Forbidden); give the user the rights of docs/")
    assert 'cannot list resource "pods"' in text or 'cannot list resource "namespaces"' in text


def test_wrong_token(cluster, refused, tmp_path):
    cluster.kubeconfig(tmp_path / ".kube/config", "wr0ng")
    text = refused()
    assert text.startswith(f"{cluster.url} does not accept the credentials (401 Unauthorized)")
    assert "wr0ng" not in text


@pytest.mark.parametrize("written", ["{}\n", "\n{}", " {}\r\n"])
def test_line_ends_around_a_token_have_no_effect(cluster, lookup_terms, monkeypatch, tmp_path, written):
    cluster.store.add([NODE])
    cluster.kubeconfig(tmp_path / ".kube/config", written.format(ADMIN).lstrip())
    assert names(lookup_terms({"kubernetes": {}})["nodes"]) == ["node1"]
    for name, value in {"HOST": cluster.url, "SSL_CA_CERT": str(cluster.ca), "API_KEY": written.format(ADMIN)}.items():
        monkeypatch.setenv(f"K8S_AUTH_{name}", value)
    assert names(lookup_terms({"kubernetes": {}})["nodes"]) == ["node1"]


@pytest.mark.parametrize("written", ["a\n{}", "{}\r\nX: y", "{}\0", "{}\u00e9", "{}\u2028b"])
def test_a_token_that_is_no_header_is_a_line_without_it(cluster, refused, monkeypatch, tmp_path, written):
    line = "the token has characters that no token has, such as a line end; write the token on one line"
    cluster.kubeconfig(tmp_path / ".kube/config", written.format(ADMIN))
    assert refused() == line
    if "\0" not in written:
        monkeypatch.setenv("K8S_AUTH_HOST", cluster.url)
        monkeypatch.setenv("K8S_AUTH_API_KEY", written.format(ADMIN))
        assert refused() == line
    assert cluster.requests == []


@pytest.mark.parametrize("written", ["http://u:s3cret@[::1", "http://u:s3cret@proxy:port", "u:s3cret@proxy:3128"])
def test_a_malformed_proxy_is_a_line_without_its_password(cluster, refused, monkeypatch, written):
    monkeypatch.setenv("HTTPS_PROXY", written)
    text = refused()
    assert text == "the proxy (HTTPS_PROXY, or proxy-url of the kubeconfig) must be like http://proxy.example.com:3128"
    assert cluster.requests == []


@pytest.mark.parametrize("code", [401, 500])
def test_a_server_that_repeats_the_token_does_not_show_it(cluster, refused, code):
    cluster.fault("/pods", answering(code, json.dumps({"message": f"{'x' * 380} {ADMIN} is wrong"}).encode()))
    text = refused(kinds=["Pod"])
    assert "(token) is" in text
    assert ADMIN[:10] not in text


def test_wrong_ca(cluster, refused, tmp_path):
    folder = tmp_path / "other"
    folder.mkdir()
    cluster.kubeconfig(tmp_path / ".kube/config", ca=ApiServer(folder).ca)
    text = refused()
    assert text.startswith(f"the certificate of {cluster.url} is not trusted")
    assert cluster.requests == []


def test_no_crd(server, refused, monkeypatch, tmp_path):
    server.kubeconfig(tmp_path / "config")
    text = refused(kubeconfig="config")
    assert "answers GET /apis/k8s.ovn.org/v1/egressips with the status 404" in text
    assert text.endswith("apply docs/kubernetes/egressip-crd.yaml, or leave EgressIP out of kinds")


def test_a_namespace_that_is_gone(cluster, refused):
    text = refused(namespaces=["gone"])
    assert text.endswith('"gone" not found; a namespace that was deleted must be removed from namespaces')


def test_api_server_down(cluster, refused, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        cluster.url = f"https://127.0.0.1:{free.getsockname()[1]}"
        cluster.kubeconfig(tmp_path / ".kube/config")
        assert refused().startswith(f"{cluster.url} cannot be reached: ")


@pytest.mark.parametrize("fault", ["silent", "dripping"])
def test_silence_and_slowness_end(cluster, refused, fault):
    cluster.fault("/pods", getattr(api_server, fault))
    assert refused(timeout=0.5, kinds=["Pod"]).startswith(f"{cluster.url} did not answer GET /api/v1/pods within 0.5 s")


def test_a_server_that_accepts_no_handshake(cluster, refused, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        cluster.url = f"https://127.0.0.1:{mute.getsockname()[1]}"
        cluster.kubeconfig(tmp_path / ".kube/config")
        assert "did not answer" in refused(timeout=0.5)


def test_an_answer_that_breaks_off(cluster, refused):
    cluster.fault("continue=", api_server.cut)
    cluster.store.add(pods(600))
    assert "cannot be reached" in refused()


@pytest.mark.parametrize(
    ("code", "body", "words"),
    [
        (200, b"<html>login</html>", "does not answer as an API server (no JSON object)"),
        (200, b"[]", "does not answer as an API server (no JSON object)"),
        (200, b"[" * 100000, "does not answer as an API server (no JSON object)"),
        (200, b'{"kind": "Status"}', "answers /api/v1/pods with 'Status', not with a PodList"),
        (200, b'{"kind": "PodList", "items": {"a": 1}}', "not with a PodList"),
        (302, b"", "answers GET /api/v1/pods with the status 302"),
        (500, b'{"message": "etcd\\n\\u001b[31mdown"}', "with the status 500: etcd\\n\\x1b[31mdown"),
        (503, b"", "answers GET /api/v1/pods with the status 503"),
    ],
)
def test_other_answers(cluster, refused, code, body, words):
    cluster.fault("/pods", answering(code, body))
    assert words in refused(kinds=["Pod"])


def test_a_compressed_answer_is_not_expanded(cluster, refused):
    def compressed(handler):
        handler.send_response(200)
        body = gzip.compress(b'{"kind": "PodList", "items": []}')
        handler.send_header("Content-Encoding", "gzip")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)
        raise api_server.Done

    cluster.fault("/pods", compressed)
    assert "does not answer as an API server (no JSON object)" in refused(kinds=["Pod"])


def test_a_list_begins_again_when_its_next_page_is_forgotten(cluster, lookup_terms, refused):
    cluster.store.add(pods(1100))
    gone = answering(410, json.dumps(api_server.EXPIRED.to_dict()).encode())
    cluster.fault("continue=", gone, times=2)
    assert len(lookup_terms({"kubernetes": {"kinds": ["Pod"]}})["pods"]) == 1100
    cluster.fault("continue=", gone)
    assert "forgot the pages of /api/v1/pods 3 times" in refused(kinds=["Pod"])


def test_a_failure_of_the_last_list_leaves_nothing(cluster, refused):
    cluster.store.add([EGRESSIP, NAMESPACE, *pods(2)])
    cluster.fault("/nodes", answering(500, b"{}"))
    assert "answers GET /api/v1/nodes with the status 500" in refused()


def test_malformed_objects_do_not_stop_the_others(cluster, lookup_terms):
    broken = [{"metadata": {"name": "bad", "namespace": "shop", "labels": {"a": 5}}}, 5, {"metadata": []}]
    cluster.store.add([NODE, NAMESPACE])
    answer = {"kind": "PodList", "metadata": {}, "items": [*broken, {"metadata": {"name": "good"}}]}
    cluster.fault("/pods", answering(200, json.dumps(answer).encode()))
    found = lookup_terms({"kubernetes": {}})
    assert names(found["pods"]) == ["good"]
    assert [entry["name"] for entry in found["invalid"]] == [
        "pod/shop/bad",
        "manifests[0].kubernetes: /api/v1/pods[1]",
        "manifests[0].kubernetes: /api/v1/pods[2]",
    ]


def test_clear_text_is_refused(refused):
    for host in ("http://api.example:8080", "api.example", "https:///"):
        assert refused(host=host) == "the URL of the API server must begin with https://"


@pytest.mark.parametrize("host", ["https://api:port", "https://api:70000", "https://[::1", "https://a:secret@b:x"])
def test_a_malformed_url_is_a_line(cluster, refused, tmp_path, host):
    line = "the URL of the API server must be like https://api.example.com:6443; correct its host or port"
    assert refused(host=host) == line
    path = cluster.kubeconfig(tmp_path / "other.yml")
    path.write_text(path.read_text().replace(cluster.url, f'"{host}"'))
    assert refused(kubeconfig="other.yml") in (line, ".kubeconfig: cannot be used: Invalid IPv6 URL")


def test_a_kubeconfig_that_cannot_be_used(refused, tmp_path):
    assert refused(kubeconfig="none.yml").startswith(".kubeconfig: 'none.yml' does not exist")
    (tmp_path / "bad.yml").write_text("a: [")
    assert refused(kubeconfig="bad.yml").startswith(".kubeconfig: cannot be used: ")
    (tmp_path / "bad.yml").write_text("kind: Config")
    assert refused(kubeconfig="bad.yml").startswith(".kubeconfig: cannot be used: ")


def test_a_context_that_is_not_there(cluster, refused):
    assert "prod" in refused(context="prod")


def test_without_the_client(refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "kubernetes", None)
    monkeypatch.delitem(sys.modules, "kubernetes.client", raising=False)
    text = refused()
    assert text.startswith("needs the Python packages kubernetes and urllib3 on the controller: ")
    assert text.endswith("; install those of meta/ee-requirements.txt")


def test_two_thousand_pods_cost_little(cluster, lookup_terms):
    """CPU time of this thread alone: the server runs in others, and the machine may be busy.

    The limit is for the cost of one pod, of four pages and more. Others use the caches of the processor too, so one of
    five tries may be enough.
    """
    cluster.store.add(pods(2_000))
    lookup_terms({"kubernetes": {"kinds": ["Node"]}})

    def seconds():
        start = time.thread_time()
        assert len(lookup_terms({"kubernetes": {}})["pods"]) == 2_000
        return time.thread_time() - start

    # 0.3 s; with the client's models it would be ten times as much.
    assert any(seconds() < 1 for _try in range(5))
