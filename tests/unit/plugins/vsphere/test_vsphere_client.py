# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the client meets trouble; seen through vsphere_port_info."""

from __future__ import annotations

import pytest


def message(run, **options):
    return run("vsphere_port_info", vms=[{"name": "node1"}], **options)["msg"]


def order(vcenter, method, kind, **words):
    vcenter.control("order", method=method, kind=kind, **words)


def test_a_certificate_that_nobody_trusts(run, vcenter, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    for name in ("127.0.0.1", "localhost"):
        assert message(run, hostname=name) == (
            f"hostname: the certificate of {name}:{vcenter.port} is not trusted: self-signed certificate"
        )
    assert "ports" in run("vsphere_port_info", vms=[{"name": "node1"}], validate_certs=False)


def test_options_from_the_environment(run, vcenter, monkeypatch):
    monkeypatch.setenv("VMWARE_HOST", "127.0.0.1")
    monkeypatch.setenv("VMWARE_PASSWORD", "wrong")
    options = {"hostname": None, "password": None}
    assert message(run, **options).startswith(f"username: 127.0.0.1:{vcenter.port} refuses 'admin'")


def test_nobody_listens(run):
    assert message(run, port=1).startswith("hostname: 127.0.0.1:1 does not answer: ")


def test_a_missing_privilege_is_named_with_its_object(run, vcenter):
    vcenter.control("user", name="guest", password="secret", lacks=["System.Read"])
    assert message(run, username="guest") == "DVS0: guest lacks the privilege System.Read"


@pytest.mark.parametrize("kind", ["lose_session", "drop", "lose_answer"])
def test_a_loss_is_made_good(run, vcenter, kind):
    order(vcenter, "FetchDVPorts", kind)
    assert "ports" in run("vsphere_port_info", vms=[{"name": "node1"}])
    assert [call["method"] for call in vcenter.journal()].count("Login") == 2


def test_losses_without_end_are_an_error(run, vcenter):
    order(vcenter, "FetchDVPorts", "drop", times=100)
    assert message(run).startswith(f"hostname: 127.0.0.1:{vcenter.port} does not answer: ")


def test_a_vcenter_that_hangs(run, vcenter):
    order(vcenter, "FetchDVPorts", "hang", seconds=3)
    assert "ports" in run("vsphere_port_info", vms=[{"name": "node1"}], timeout=1)


def test_any_other_fault_is_named(run, vcenter):
    order(vcenter, "FetchDVPorts", "fault", fault="RuntimeFault")
    assert message(run) == f"127.0.0.1:{vcenter.port}: RuntimeFault"
