# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host runs on. golden/platform/CASE holds facts.yml, what a host shows, and platform.yml, what that means."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import InventoryError
from ansible_collections.netops.egress_ip.plugins.module_utils._node.platform_detection import (
    fact_names,
    find_platform,
    platform_rows,
    refusal,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.providers import PROVIDERS, SIGNS

ROWS = platform_rows(SIGNS)


@pytest.mark.golden("platform")
def test_find_platform(golden):
    platform = find_platform(golden["facts"][0], ROWS)
    golden.check("platform.yml", {**platform.to_dict(), "refusal": refusal(platform)})


@pytest.mark.parametrize("name", [row.name for row in ROWS])
def test_what_the_user_says_counts(name):
    assert find_platform({"sys_vendor": "Amazon EC2"}, ROWS, name).name == name


@pytest.mark.parametrize("name", ["", "AWS", "bare metal", "kvm"])
def test_there_is_no_such_platform(name):
    with pytest.raises(InventoryError, match=r"^egress_ip_platform: must be one of auto, baremetal, .*, not '"):
        find_platform({}, ROWS, name)


def test_the_refusal_is_one_line_and_names_the_way_out():
    for name in ("openstack", "aws", "azure", "gce", "cloud"):
        line = refusal(find_platform({}, ROWS, name))
        assert "\n" not in line
        assert line.startswith("egress_ip_platform: this host is on ")
        assert line.endswith(f"set egress_ip_platform: {name}")
    allowed = ("baremetal", "virtual", *PROVIDERS)
    assert {name: refusal(find_platform({}, ROWS, name)) for name in allowed} == dict.fromkeys(allowed)


SIGN = {"name": "proxmox", "signs": [["board_vendor", "proxmox"]], "serial": "PVE-((?:[0-9a-f]{2} ?){16})"}


def test_a_provider_brings_the_signs_of_its_platform():
    """A guest of a cloud is on the cloud; a guest of a platform with a provider is no other virtual machine."""
    rows = platform_rows([SIGN])
    assert {"board_vendor", "product_serial"} <= {*fact_names(rows)}
    facts = {"board_vendor": "Proxmox GmbH", "sys_vendor": "QEMU", "product_serial": "pve-" + "42 " * 15 + "42"}
    found = find_platform(facts, rows)
    assert found.to_dict() == {"name": "proxmox", "uuid": "42424242-4242-4242-4242-424242424242"}
    assert refusal(found) is None
    assert find_platform(facts, platform_rows([])).to_dict() == {"name": "virtual", "uuid": None}
    assert find_platform({**facts, "sys_vendor": "OpenStack Foundation"}, rows).name == "openstack"
    assert find_platform({}, rows, "proxmox").name == "proxmox"
    with pytest.raises(InventoryError, match=r"must be one of auto, baremetal, virtual, proxmox, cloud, .*, not 'kvm'"):
        find_platform({}, rows, "kvm")
