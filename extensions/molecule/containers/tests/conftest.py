# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures: engines on hosts of the lab, and one EgressIP for their networks."""

from __future__ import annotations

import pytest
from engines import (
    DB,
    DEFAULT,
    EGRESS_IP,
    HOLDER,
    IMAGE,
    OTHER,
    USER,
    USER_ID,
    WEB,
    Docker,
    Libvirt,
    Podman,
    address_in,
)
from fleet import ASSIGNABLE, NOT_ASSIGNABLE, Fleet, Lab, Run, egressip

PODS = (("apps", address_in(DB, 10)), ("others", address_in(WEB, 99)))
NETWORKS = f"podman:{DEFAULT}, podman:{WEB}, docker:bridge, libvirt:default, user:{USER}"
VARIABLES = {
    # The nodes know their own networks, also those that no namespace names.
    "egress_ip_excluded_cidrs": [],
    "egress_ip_unknown_pods": "drop",
    "hosts": {HOLDER: ASSIGNABLE, OTHER: NOT_ASSIGNABLE, "node3": NOT_ASSIGNABLE},
}


def namespace(name: str, **metadata: dict) -> dict:
    """A Namespace document."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, **metadata}}


def pod(node: str, space: str, address: str) -> dict:
    """A Pod document."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"pod-{node}", "namespace": space},
        "spec": {"nodeName": node},
        "status": {"podIPs": [{"ip": address}]},
    }


def documents() -> list[dict]:
    """A namespace with networks and a pod in another one, a pod that no object selects, an object with one address."""
    apps = namespace("apps", labels={"env": "prod"}, annotations={"egress-ip.netops/networks": NETWORKS})
    pods = [pod(node, *each) for node in (HOLDER, OTHER) for each in PODS]
    return [apps, namespace("others"), *pods, egressip("apps", EGRESS_IP)]


def pytest_configure(config):
    """Register the mark."""
    config.addinivalue_line("markers", "repeats: repeats less in `make test` than in `make long`")


def pytest_unconfigure():
    """End what the tests have started."""
    Fleet.end_runs()


@pytest.fixture(scope="session")
def lab():
    """The lab, locked for these tests."""
    with Lab().hold() as held:
        held.up()
        yield held


@pytest.fixture(scope="module")
def fleet(lab):
    """The fleet of a file of tests, without engines."""
    return Fleet(lab)


def follow(fleet: Fleet, node: str, engine: str, *words: object, **more: object) -> Run:
    """Run a playbook with pods of an engine that are followed on one node."""
    hosts = {**VARIABLES["hosts"], node: {**VARIABLES["hosts"][node], "egress_ip_follow": [engine]}}
    return fleet.good(*words, egress_ip_manifests=documents(), **{**VARIABLES, "hosts": hosts, **more})


@pytest.fixture(scope="session")
def installed(lab):
    """{host: Podman} with networks and an image on the holder and on another node, which has Docker and libvirt too."""
    found = {name: Podman(lab, name) for name in (HOLDER, OTHER)}
    for host in (*found.values(), Docker(lab, OTHER), Libvirt(lab, OTHER)):
        host.set_up()
    for host in found.values():
        host.run("useradd", "--create-home", "--uid", USER_ID, USER)
        host.run("runuser", "-u", USER, "--", "podman", "import", "--quiet", "/opt/image.tar", IMAGE)
    return found


@pytest.fixture(scope="session")
def engines(installed):
    """The same, with the object applied."""
    Fleet(installed[HOLDER].lab).good(egress_ip_manifests=documents(), **VARIABLES)
    return installed


@pytest.fixture
def podman(engines):
    """Podman on the node that does not hold the address, without containers."""
    yield engines[OTHER]
    engines[OTHER].remove_all()


@pytest.fixture
def docker(engines):
    """Docker on the same node."""
    engine = Docker(engines[OTHER].lab, OTHER)
    yield engine
    engine.remove_all()


@pytest.fixture
def libvirt(engines):
    """Libvirt with a VM on the same node."""
    return Libvirt(engines[OTHER].lab, OTHER)
