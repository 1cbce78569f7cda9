# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a kernel can encrypt; tests/kernel has the states themselves, on a kernel that can."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.esp import Esp
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import commands, esp
from kernel_host import ip
from network_namespace import network_namespace

POLICY = (
    "xfrm policy add src 10.9.0.1/32 dst 10.9.0.2/32 proto 17 dport 4790 dir out tmpl proto esp reqid 1 mode transport"
)


def test_nothing_is_there_at_first():
    with network_namespace():
        assert esp.read_esp() == Esp()


def test_a_kernel_without_esp_is_one_line(monkeypatch):
    refused = commands.Completed(2, "", "RTNETLINK answers: Protocol not supported\nCommand failed -:1\n")
    monkeypatch.setattr(commands, "run", lambda argv, text="": refused)
    (line,) = esp.esp_problems(4790)
    assert line.startswith("egress_ip_tunnel_encryption: ipsec needs iproute2 5.9 or newer, and a kernel with ESP")
    assert "(RTNETLINK answers: Protocol not supported); load the modules esp4 and esp6" in line


@pytest.mark.parametrize(
    ("release", "new"), [("5.8.18", False), ("4.18.0-553.el8", False), ("5.10.0-1", True), ("6.1", True)]
)
def test_an_old_kernel_is_one_line(monkeypatch, release, new):
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(release=release))
    monkeypatch.setattr(commands, "run", lambda argv, text="": commands.Completed(0, "", ""))
    assert [line.partition(";")[0] for line in esp.esp_problems(4790)] == [
        f"egress_ip_tunnel_encryption: ipsec needs Linux 5.9 or newer, not {release}"
    ][new:]


def test_the_trial_changes_nothing_here():
    """Whether this kernel can or not."""
    with network_namespace():
        esp.esp_problems(4790)
        assert commands.check(["ip", "xfrm", "state", "list"]) == ""


def test_a_foreign_policy_for_the_tunnel_is_a_problem(monkeypatch):
    monkeypatch.setattr(commands, "run", _all_well_but_listing(commands.run))
    with network_namespace():
        assert esp.esp_problems(4790) == []
        ip(POLICY)
        (line,) = esp.esp_problems(4790)
        assert "a foreign IPsec policy covers UDP port 4790 from 10.9.0.1/32 to 10.9.0.2/32" in line
        assert esp.esp_problems(4791) == []


def _all_well_but_listing(run):
    return lambda argv, text="": commands.Completed(0, "", "") if argv[0] == "unshare" else run(argv, text)
