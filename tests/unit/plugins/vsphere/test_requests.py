# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The number of requests to a vCenter, which does not grow with the number of nodes and VMs."""

from __future__ import annotations

import pytest

MOST = 60
NETWORKS = {"distributed": ("-fleet", "120"), "standard": ("-fleet", "120", "-network", "VM Network")}
SIZES = (2, 110)


def vms(count):
    return [{"name": f"fleet{n}"} for n in range(1, count + 1)]


@pytest.mark.parametrize("vcenter", NETWORKS.values(), ids=NETWORKS, indirect=True)
class TestRequests:
    """The same for ports, whole port groups and fences."""

    @pytest.fixture
    def requests(self, run, vcenter):
        """Return a function that runs a module for some VMs and returns the number of its requests."""

        def count(name, number, **options):
            vcenter.journal()
            result = run(name, check=True, vms=vms(number), **options)
            assert "msg" not in result, result
            return len(vcenter.journal())

        return count

    @pytest.mark.parametrize("shared_with", [True, False])
    def test_an_audit(self, requests, shared_with):
        few, many = (requests("vsphere_port_info", size, shared_with=shared_with) for size in SIZES)
        assert few == many <= MOST

    def test_a_change_of_port_groups(self, requests):
        options = {"scope": "portgroup", "security": {"forged_transmits": True}}
        few, many = (requests("vsphere_port_security", size, **options) for size in SIZES)
        assert few == many <= MOST

    def test_a_fence(self, requests):
        few, many = (requests("vsphere_fence", size, method="vnic_disconnect") for size in SIZES)
        assert few == many <= MOST


@pytest.mark.parametrize("vcenter", [NETWORKS["distributed"]], indirect=True)
def test_a_change_of_ports_whose_group_has_noted_overrides(run, vcenter):
    vcenter.change_group("nodes", description="[netops.egress_ip before: override.security=false]")
    counts = []
    for size in SIZES:
        vcenter.journal()
        result = run("vsphere_port_security", check=True, vms=vms(size), security={"promiscuous": True}, state="absent")
        assert "msg" not in result, result
        counts.append(len(vcenter.journal()))
    assert counts[0] == counts[1] <= MOST


@pytest.mark.parametrize("vcenter", [NETWORKS["distributed"]], indirect=True)
def test_the_other_vms_of_a_port_group_are_optional(run, vcenter):
    (long,) = run("vsphere_port_info", vms=vms(1))["ports"]
    (short,) = run("vsphere_port_info", vms=vms(1), shared_with=False)["ports"]
    assert len(long["shared_with"]) == 124
    assert short == {**long, "shared_with": None}
