# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The vendor of the device that answers for an egress IP."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile import mac_vendor

LOCAL = "locally administered: a VM or a container"


@pytest.mark.parametrize(
    ("mac", "text"),
    [
        ("d4:be:d9:00:00:01", "d4:be:d9:00:00:01 (Dell Inc.)"),
        ("00:50:56:12:34:56", "00:50:56:12:34:56 (VMware, Inc.)"),
        ("52:54:00:12:34:56", f"52:54:00:12:34:56 ({LOCAL})"),
        ("02:00:00:00:00:09", f"02:00:00:00:00:09 ({LOCAL})"),
        ("fc:ff:ff:ff:ff:ff", "fc:ff:ff:ff:ff:ff"),
        # A node's answer can be any text.
        ("", ""),
        ("unknown", "unknown"),
        ("5", "5"),
        ("9" * 5000, "9" * 5000),
        ("00:50:56:12:34:56:78:9a", "00:50:56:12:34:56:78:9a"),
    ],
)
def test_the_vendor_follows_the_address(mac, text):
    assert mac_vendor.with_vendor(mac) == text


def test_without_netaddr_the_address_stays_alone(monkeypatch):
    monkeypatch.setattr(mac_vendor, "EUI", None)
    assert mac_vendor.with_vendor("d4:be:d9:00:00:01") == "d4:be:d9:00:00:01"
