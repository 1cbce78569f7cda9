# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A test API server for each test, of tests/kubernetes/, with the CRD of docs/kubernetes/."""

from __future__ import annotations

import subprocess
import sys

import pytest
from cluster_manifests import ROOT, documents_of

sys.path.insert(0, str(ROOT / "tests/kubernetes"))

import kubectl as kubectl_of_tests  # noqa: E402
from api_server import ApiServer  # noqa: E402


@pytest.fixture
def server(tmp_path):
    """Start a server without objects and CRDs."""
    folder = tmp_path / "api"
    folder.mkdir()
    with ApiServer(folder).running() as running:
        yield running


@pytest.fixture
def cluster(server, tmp_path, monkeypatch):
    """Start a server with the CRD; ~/.kube/config names it, and no environment variable names another one."""
    server.store.add(documents_of("egressip-crd.yaml"))
    (tmp_path / ".kube").mkdir()
    server.kubeconfig(tmp_path / ".kube/config")
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("KUBECONFIG", "K8S_AUTH_HOST", "K8S_AUTH_API_KEY", "K8S_AUTH_KUBECONFIG", "K8S_AUTH_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    return server


@pytest.fixture
def kubectl_program():
    """Return the path of kubectl."""
    found = kubectl_of_tests.program()
    assert found, "kubectl is missing; run: bash tests/ci/bootstrap.sh unit"
    return found


@pytest.fixture
def kubectl(server, tmp_path, kubectl_program):
    """Return a function that runs kubectl as the administrator and returns its output."""
    home = tmp_path / "kubectl"
    home.mkdir()
    config = server.kubeconfig(home / "config")

    def run(*words, text=None):
        command = [kubectl_program, f"--kubeconfig={config}", f"--cache-dir={home}", *words]
        environment = {"HOME": str(home), "PATH": "/usr/bin:/bin"}
        made = subprocess.run(
            command, input=text, env=environment, capture_output=True, text=True, check=False, timeout=120
        )
        assert made.returncode == 0, made.stderr
        return made.stdout

    return run
