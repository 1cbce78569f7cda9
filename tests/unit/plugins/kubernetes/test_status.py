# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The status of EgressIP objects in a cluster, and what a playbook shows of a cluster."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.clusters import Cluster
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.status import ClusterOutcome
from ansible_collections.netops.egress_ip.plugins.plugin_utils._kubernetes_api import Api
from ansible_collections.netops.egress_ip.plugins.plugin_utils._kubernetes_status import StatusWriter
from api_server import ADMIN, answering, silent
from cluster_manifests import rules_of
from forked_ansible import deprecations

PATH = "manifests[0].kubernetes"
# Seconds that a busy machine does not need.
LONG = 60
ITEM = {"node": "node1", "egressIP": "192.0.2.10"}
MOVE = {"egressIP": "192.0.2.10", "from": "node2", "to": "node1", "reason": "drained"}
MOMENT = "2026-11-29T12:00:00Z"
PLAYBOOK = [
    {
        "hosts": "all",
        "gather_facts": False,
        "connection": "local",
        "tasks": [
            {
                "netops.egress_ip.settings": {"hosts": "{{ ansible_play_hosts }}"},
                "register": "egress_ip_settings",
                "run_once": True,
            },
            {
                "netops.egress_ip.manifests_info": {"sources": "{{ sources }}"},
                "register": "egress_ip_manifests_info",
                "run_once": True,
            },
            {
                "netops.egress_ip.kubernetes_status": {"sources": "{{ sources }}", "hosts": "{{ ansible_play_hosts }}"},
                "register": "egress_ip_kubernetes_status",
                "run_once": True,
            },
            {"ansible.builtin.debug": {"var": "egress_ip_kubernetes_status.failures"}, "run_once": True},
        ],
    }
]


def egressip(name, address="192.0.2.10"):
    """Return an EgressIP."""
    spec = {"egressIPs": [address], "namespaceSelector": {}}
    return {"apiVersion": "k8s.ovn.org/v1", "kind": "EgressIP", "metadata": {"name": name}, "spec": spec}


def write(reached, check_mode=False, **settings):
    """Write an ClusterOutcome into the cluster of ~/.kube/config and return the result."""
    writer = StatusWriter(reached, MOMENT, check_mode)
    writer.write(Cluster(PATH, timeout=LONG, **settings), lambda path, _source: path)
    return writer.result()


def statuses(cluster):
    """Return {name: items of the status} of all EgressIPs."""
    resource = cluster.store.of_kind("k8s.ovn.org/v1", "EgressIP")
    found = cluster.store.all(resource)
    return {each["metadata"]["name"]: each.get("status", {}).get("items") for each in found}


def events(cluster):
    """Return all Events."""
    return cluster.store.all(cluster.store.of_kind("v1", "Event"))


def writes(cluster):
    """Return the requests that change something."""
    return [request for request in cluster.requests if not request.startswith("GET ")]


def test_writes_what_differs_and_an_event_for_each_move(cluster):
    cluster.store.add([egressip("web"), egressip("api", "192.0.2.11")])
    reached = ClusterOutcome({"web": [ITEM]}, {"web": [MOVE]})
    result = write(reached)
    assert result == {
        "changed": True,
        "written": ["web"],
        "failures": [],
        "diff": {"before": {"web": []}, "after": {"web": [ITEM]}},
    }
    assert statuses(cluster) == {"web": [ITEM], "api": None}
    (event,) = events(cluster)
    assert (event["reason"], event["metadata"]["namespace"]) == ("EgressIPMoved", "default")
    assert event["message"] == "192.0.2.10 moved from node2 to node1 (drained)"
    before = writes(cluster)
    assert write(reached) == {"changed": False, "written": [], "failures": []}
    assert writes(cluster) == before


def test_check_mode_writes_nothing(cluster):
    cluster.store.add([egressip("web")])
    assert write(ClusterOutcome({"web": [ITEM]}, {}), check_mode=True)["written"] == ["web"]
    assert (statuses(cluster), writes(cluster)) == ({"web": None}, [])


def test_the_objects_of_a_named_cluster(cluster):
    cluster.store.add([egressip("web")])
    result = write(ClusterOutcome({"prod.web": [ITEM], "test.web": [{**ITEM, "node": "node9"}]}, {}), name="prod")
    assert (result["written"], statuses(cluster)) == (["prod.web"], {"web": [ITEM]})


def test_the_rights_of_the_manifests_are_sufficient_and_needed(cluster, tmp_path):
    cluster.store.add([egressip("web")])
    cluster.kubeconfig(tmp_path / ".kube/config", "writer")
    cluster.allow("writer", "egress-ip", rules_of("rbac.yaml"))
    reached = ClusterOutcome({"web": [ITEM]}, {"web": [MOVE]})
    result = write(reached)
    assert (result["changed"], statuses(cluster)) == (False, {"web": None})
    (failure,) = result["failures"]
    assert failure.startswith("egressip/web: the status is not written: ")
    assert 'cannot patch resource "egressips/status"' in failure
    cluster.allow("writer", "egress-ip", rules_of("rbac.yaml", "rbac-status.yaml"))
    assert write(reached)["failures"] == []
    assert len(events(cluster)) == 1


def test_a_failure_of_one_object_does_not_stop_the_others(cluster):
    cluster.store.add([egressip("api", "192.0.2.11"), egressip("web")])
    cluster.fault("/egressips/api/status", answering(500, b"{}"))
    result = write(ClusterOutcome({"web": [ITEM], "api": [{**ITEM, "egressIP": "192.0.2.11"}]}, {}))
    assert (result["written"], len(result["failures"])) == (["web"], 1)


@pytest.mark.parametrize(("path", "written"), [("/egressips/", 0), ("/events", 1)], ids=["status", "event"])
def test_silence_after_the_list_is_waited_for_once(cluster, monkeypatch, path, written):
    request = Api._open

    def impatient(self, method, url, *words):
        *others, timeout = words
        return request(self, method, url, *others, 0.5 if path in url else timeout)

    monkeypatch.setattr(Api, "_open", impatient)
    names = [f"web{number}" for number in range(5)]
    cluster.store.add(egressip(name, f"192.0.2.{number}") for number, name in enumerate(names, 10))
    cluster.fault(path, silent)
    result = write(ClusterOutcome({name: [ITEM] for name in names}, {name: [MOVE] for name in names}))
    asked, end = [], time.monotonic() + LONG
    while not asked and time.monotonic() < end:
        time.sleep(0.01)
        asked = [line for line in cluster.requests if path in line]
    assert len(asked) == 1
    first, others = result["failures"]
    assert "did not answer" in first
    assert others.startswith(f"{PATH}: the status of the other EgressIPs (4) is not written")
    assert len(result["written"]) == written


def test_a_refused_event_leaves_the_status_written(cluster, tmp_path):
    cluster.store.add([egressip("web"), egressip("api", "192.0.2.11")])
    cluster.kubeconfig(tmp_path / ".kube/config", "writer")
    rules = rules_of("rbac.yaml", "rbac-status.yaml")
    cluster.allow("writer", "egress-ip", [rule for rule in rules if "events" not in rule["resources"]])
    result = write(ClusterOutcome({"web": [ITEM], "api": [ITEM]}, {"web": [MOVE], "api": [MOVE]}))
    assert result["written"] == ["api", "web"]
    assert statuses(cluster) == {"web": [ITEM], "api": [ITEM]}
    assert sorted(line.partition(" written")[0] for line in result["failures"]) == [
        f"egressip/{name}: 192.0.2.10: the Event of a move is not" for name in ("api", "web")
    ]
    assert events(cluster) == []


def test_a_cluster_that_is_down_is_a_line(cluster):
    cluster.fault("/egressips", answering(503, b""))
    result = write(ClusterOutcome({"web": [ITEM]}, {}))
    assert result["changed"] is False
    (failure,) = result["failures"]
    assert failure.startswith(f"the status of EgressIPs is not written: {PATH}: {cluster.url} answers GET")


def test_a_url_that_nothing_can_reach_is_a_line(cluster):
    result = write(ClusterOutcome({"web": [ITEM]}, {}), host="https://[::1")
    (failure,) = result["failures"]
    assert failure.startswith(f"the status of EgressIPs is not written: {PATH}: the URL of the API server must be like")


def test_kubectl_shows_the_status(cluster, kubectl):
    cluster.store.add([egressip("web")])
    write(ClusterOutcome({"web": [ITEM]}, {"web": [MOVE]}))
    assert '[{"egressIP":"192.0.2.10","node":"node1"}]' in kubectl("get", "eip")
    assert "192.0.2.10 moved from node2 to node1" in kubectl("get", "events")


@pytest.fixture
def play(cluster, tmp_path):
    """Return a function that runs PLAYBOOK for node1 with these variables, and returns exit code and output."""

    def run(*words, **variables):
        stats = {"assignments": [{"name": "web", "interface": "eth0", **ITEM}], "conflicts": [], "withheld": []}
        given = {"egress_ip_report": {"stats": {**stats, "moves": [MOVE]}}, **variables}
        (tmp_path / "variables.json").write_text(json.dumps(given))
        (tmp_path / "playbook.yml").write_text(json.dumps(PLAYBOOK))
        program = Path(sys.executable).parent / "ansible-playbook"
        command = [program, "-i", "node1,", "-e", "@variables.json", "playbook.yml", *words]
        environment = {
            **os.environ,
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_HOME": str(tmp_path),
            "ANSIBLE_LOCALHOST_WARNING": "0",
        }
        made = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=300
        )
        output = made.stdout + made.stderr
        assert deprecations(output) == []
        return made.returncode, output

    return run


def test_a_play_shows_no_token_at_the_highest_verbosity(cluster, play):
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node1.example"}}
    cluster.store.add([egressip("web"), node])
    code, output = play("-vvvv", sources=[{"kubernetes": {}}])
    assert code == 0, output
    assert ADMIN not in output
    assert statuses(cluster) == {"web": [{**ITEM, "node": "node1.example"}]}


def test_a_play_stops_when_the_api_server_is_down(cluster, play):
    cluster.store.add([egressip("web")])
    cluster.fault("/pods", answering(503, b""))
    code, output = play("-vvvv", sources=[{"kubernetes": {}}])
    assert code == 2
    assert f"{PATH}: {cluster.url} answers GET /api/v1/pods with the status 503" in output
    assert "Traceback" not in output
    assert ADMIN not in output
    assert writes(cluster) == []
