# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers and VMs as pods, which the nodes read from their engines within a run."""

from __future__ import annotations

import json

import pytest
from conftest import VARIABLES, documents
from engines import DB, EGRESS_IP, OTHER, SHORT_WAIT
from fleet import ADDRESS, NODE_MODULE, Fleet, wait_for
from lab_topology import SERVER

NODE_INFO = f"{NODE_MODULE}_info"
PROGRAM = "/usr/bin/podman"
NAMESPACE = "egress-ip.netops/namespace"
SOURCES = [{"podman": {"namespaces": ["apps"]}}, {"docker": {}}, {"libvirt": {"namespaces": ["others"]}}]


@pytest.fixture
def fleet(podman, docker, libvirt):
    """The fleet with the documents of the other tests, to which it returns."""
    fleet = Fleet(podman.lab)
    yield fleet
    podman.run("umount", PROGRAM, check=False)
    libvirt.undefine()
    fleet.good(egress_ip_manifests=documents(), **VARIABLES)


def pods(fleet):
    """{address: objects} of the pods that engines have, in the state of the node."""
    record = json.loads(fleet.lab.exec(OTHER, "cat", "/var/lib/netops-egress-ip/state.json"))
    return {pod["address"]: pod["egressips"] for pod in record["state"]["pods"] if pod.get("engine")}


def test_containers_are_pods_without_documents(fleet, podman, docker, libvirt):
    manifests = [*documents(), *SOURCES]
    # Its network belongs to no namespace, and this source lets the label choose one; the other source does not.
    podman.start("chosen", "--network", DB, "--label", f"{NAMESPACE}=apps")
    podman.start("plain", "--network", DB)
    docker.start("forger", "--label", f"{NAMESPACE}=others")
    # An exact pod, which no object selects, in a network that a namespace names.
    libvirt.define(f"app=vm,{NAMESPACE}=others")
    run = fleet.good(egress_ip_manifests=manifests, **VARIABLES)
    assert "docker: no pods" in run.output
    assert "forger ('others')" in run.output
    found = pods(fleet)
    assert found[podman.address("chosen")] == ["apps"]
    assert found[podman.address("plain")] == []
    assert podman.source_of("chosen", SERVER.address) == EGRESS_IP
    assert podman.source_of("plain", SERVER.address) == ADDRESS[OTHER]
    assert docker.source_of("forger", SERVER.address) == EGRESS_IP
    # Flows that an earlier test opened keep the egress IP for a while, and a datagram may have the port of one.
    wait_for("the VM is a pod of no object", lambda: libvirt.first_packets(20) == {ADDRESS[OTHER]: 20})

    # One module call for each node, and no change, also while an engine cannot be read.
    podman.run("mount", "--bind", "/usr/bin/false", PROGRAM)
    run = fleet.good(egress_ip_manifests=manifests, **VARIABLES)
    podman.run("umount", PROGRAM)
    assert (run.changed(), pods(fleet)) == ([], found)
    assert (len(run.results(NODE_INFO)), len(run.results(NODE_MODULE))) == (3, 0)
    assert f"{OTHER}: podman cannot be read: podman ends with status 1: no message" in run.output
    assert podman.source_of("chosen", SERVER.address) == EGRESS_IP

    podman.remove_all()
    libvirt.undefine()
    fleet.good(egress_ip_manifests=manifests, **VARIABLES)
    assert pods(fleet) == {}
    wait_for("the VM follows its network", lambda: libvirt.first_packets(20, SHORT_WAIT) == {EGRESS_IP: 20})
