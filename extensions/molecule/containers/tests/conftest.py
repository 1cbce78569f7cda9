# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures: the lab with one EgressIP for containers and a VM, and engines on one of its hosts."""

from __future__ import annotations

import pytest
from engines import (
    DEFAULT,
    DOCKER_SUBNET,
    EGRESS_IP,
    HOLDER,
    LIBVIRT_SUBNET,
    OTHER,
    SUBNETS,
    WEB,
    Docker,
    Libvirt,
    Podman,
    address_in,
)
from fleet import ASSIGNABLE, EXCLUDED, NOT_ASSIGNABLE, Fleet, Lab, egressip

# The addresses that the tests give to containers of the namespace.
SELECTED = {
    "default": address_in(DEFAULT, 10),
    "web": address_in(WEB, 10),
    "web2": address_in(WEB, 11),
    "docker": "172.17.0.2",
    "vm": "192.168.122.50",
}
VARIABLES = {
    "egress_ip_excluded_cidrs": [*EXCLUDED, *SUBNETS.values(), DOCKER_SUBNET, LIBVIRT_SUBNET],
    "hosts": {HOLDER: ASSIGNABLE, OTHER: NOT_ASSIGNABLE, "node3": NOT_ASSIGNABLE},
}


def pod(name: str, node: str, address: str) -> dict:
    """A Pod document of the namespace `apps`."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"{name}-{node}", "namespace": "apps"},
        "spec": {"nodeName": node},
        "status": {"podIPs": [{"ip": address}]},
    }


def documents() -> list[dict]:
    """The namespace, its containers on two hosts, and an object with one address."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "apps", "labels": {"env": "prod"}}}
    pods = [pod(name, node, address) for node in (HOLDER, OTHER) for name, address in SELECTED.items()]
    return [namespace, *pods, egressip("apps", EGRESS_IP)]


@pytest.fixture(scope="session")
def lab():
    """The lab, locked for these tests."""
    with Lab().hold() as held:
        held.up()
        yield held


@pytest.fixture(scope="session")
def fleet(lab):
    """The fleet with the object."""
    fleet = Fleet(lab)
    fleet.good(egress_ip_manifests=documents(), **VARIABLES)
    yield fleet
    fleet.close()


@pytest.fixture(scope="session")
def engines(fleet):
    """{host: Podman}, with networks and an image, on the holder and on another node."""
    found = {name: Podman(fleet.lab, name) for name in (HOLDER, OTHER)}
    for engine in found.values():
        engine.set_up()
    return found


@pytest.fixture
def podman(engines):
    """Podman on the node that does not hold the address, without containers."""
    yield engines[OTHER]
    engines[OTHER].remove_all()


@pytest.fixture
def docker(fleet):
    """Docker on the node that does not hold the address."""
    engine = Docker(fleet.lab, OTHER)
    engine.set_up()
    yield engine
    engine.tear_down()


@pytest.fixture
def libvirt(fleet):
    """Libvirt with a VM on the node that does not hold the address."""
    host = Libvirt(fleet.lab, OTHER)
    host.set_up()
    yield host
    host.tear_down()
