# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host runs on. golden/platform/CASE holds facts.yml, what a host shows, and platform.yml, what that means."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import InventoryError
from ansible_collections.netops.egress_ip.plugins.module_utils._node.platform_detection import (
    PLATFORMS,
    find_platform,
    refusal,
)


@pytest.mark.golden("platform")
def test_find_platform(golden):
    platform = find_platform(golden["facts"][0])
    golden.check("platform.yml", {**platform.to_dict(), "refusal": refusal(platform)})


@pytest.mark.parametrize("name", [row.name for row in PLATFORMS])
def test_what_the_user_says_counts(name):
    assert find_platform({"sys_vendor": "Amazon EC2"}, name).name == name


@pytest.mark.parametrize("name", ["", "AWS", "bare metal", "kvm"])
def test_there_is_no_such_platform(name):
    with pytest.raises(InventoryError, match=r"^egress_ip_platform: must be one of auto, baremetal, .*, not '"):
        find_platform({}, name)


def test_the_refusal_is_one_line_and_names_the_way_out():
    for name in ("openstack", "aws", "azure", "gce", "cloud"):
        line = refusal(find_platform({}, name))
        assert "\n" not in line
        assert line.startswith("egress_ip_platform: this host is on ")
        assert line.endswith(f"set egress_ip_platform: {name}")
    assert [refusal(find_platform({}, name)) for name in ("baremetal", "vsphere", "virtual")] == [None] * 3
