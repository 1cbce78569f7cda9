# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of docs/kubernetes.md, run as they are there; only the validation by OpenAPI documents is off."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import textwrap

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible_collections.netops.egress_ip.plugins.lookup.manifests import LookupModule
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.status import ClusterOutcome
from ansible_collections.netops.egress_ip.plugins.plugin_utils._kubernetes_status import StatusWriter
from cluster_manifests import MANIFESTS, ROOT

GUIDE = (ROOT / "docs/kubernetes.md").read_text(encoding="utf-8")
# Where ansible-galaxy installs the files, in the home of a user.
INSTALLED = ".ansible/collections/ansible_collections/netops/egress_ip/docs/kubernetes"
BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)


def block(language, words):
    """Return the text of the block in this language that contains these words."""
    (text,) = [text for _indent, kind, text in BLOCK.findall(GUIDE) if kind == language and words in text]
    return textwrap.dedent(text)


@pytest.fixture
def shell(server, tmp_path, kubectl_program):
    """Return a function that runs commands of an administrator, in whose home the collection is installed."""
    for folder in (".kube", "bin", "work"):
        (tmp_path / folder).mkdir()
    shutil.copytree(MANIFESTS, tmp_path / INSTALLED)
    server.kubeconfig(tmp_path / ".kube/config")
    wrapper = tmp_path / "bin/kubectl"
    off = '[ "$1" != apply ] || set -- "$@" --validate=false'
    wrapper.write_text(f'#!/bin/sh\n{off}\nexec {kubectl_program} "$@"\n')
    wrapper.chmod(0o755)
    environment = {**os.environ, "HOME": str(tmp_path), "PATH": f"{tmp_path}/bin:/usr/bin:/bin"}
    environment.pop("KUBECONFIG", None)

    def run(text):
        made = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            cwd=tmp_path / "work",
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert made.returncode == 0, made.stdout + made.stderr
        return made.stdout

    return run


def test_each_namespace_of_a_command_exists():
    created = set(re.findall(r"kubectl create namespace (\S+)", GUIDE))
    assert set(re.findall(r"kubectl -n (\S+)", GUIDE)) <= created | {"default", "kube-system", "kube-flannel"}


def test_the_commands_of_the_guide(server, shell, tmp_path, monkeypatch):
    server.store.add({"apiVersion": "v1", "kind": "Node", "metadata": {"name": f"node{n}"}} for n in (1, 2, 3))
    shell(block("shell", "egressip-crd.yaml"))
    shell(block("shell", "kubectl label node"))
    shell(block("shell", "set-cluster"))
    (inventory,) = yaml.safe_load(block("yaml", "ansible_host: 192.168.126.21")).values()
    monkeypatch.setenv("KUBECONFIG", "/dev/null")
    lookup = LookupModule(loader=DataLoader())
    monkeypatch.setattr(lookup, "set_options", lambda **kwargs: None)
    variables = {"ansible_search_path": [str(tmp_path / "work")]}
    (found,) = lookup.run(inventory["vars"]["egress_ip_manifests"], variables)
    assert [each["metadata"]["name"] for each in found["egressips"]] == ["egressips-prod"]
    labelled = [each["metadata"]["name"] for each in found["nodes"] if each["metadata"]["labels"]]
    assert (labelled, found["invalid"]) == (["node1", "node3"], [])

    reached = {"egressips-prod": [{"egressIP": "192.168.126.10", "node": "node1"}]}
    settings = inventory["vars"]["egress_ip_manifests"][0]
    (cluster,) = lookup.clusters_of([settings])
    for refused in (True, False):
        writer = StatusWriter(ClusterOutcome(reached, {}), "2026-11-29T12:00:00Z", check_mode=False)
        with lookup.files_of(variables) as find:
            writer.write(cluster, find)
        assert bool(writer.result()["failures"]) == refused
        shell(f"kubectl apply -f ~/{INSTALLED}/rbac-status.yaml")
    assert '{"egressIP":"192.168.126.10","node":"node1"}' in shell("kubectl get egressips")
    shell(block("shell", "kubectl get events"))
