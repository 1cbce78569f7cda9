# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter fencing: a fence that cannot work is named in every run, not when it is needed."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.netops.egress_ip.plugins.filter.outside import FilterModule

fencing = FilterModule().filters()["fencing"]
PLAN, FLEET = {"assignments": []}, {"current": [], "nodes": [], "unavailable": []}


def hosts(fence):
    return [{"inventory_hostname": "node3", "egress_ip_fence": fence}]


def test_a_file_that_is_not_there(tmp_path):
    path = tmp_path / "redfish.yml"
    with pytest.raises(AnsibleFilterError, match=rf"^node3: egress_ip_fence: there is no file {path}$"):
        fencing(PLAN, FLEET, hosts(str(path)))
    path.write_text("[]")
    assert fencing(PLAN, FLEET, hosts(str(path))) == {"nodes": {}, "withheld": {}}


def test_a_fence_that_is_none_of_ours():
    with pytest.raises(AnsibleFilterError, match="^node3: egress_ip_fence: must be vsphere or the absolute path"):
        fencing(PLAN, FLEET, hosts("redfish.yml"))
    assert fencing(PLAN, FLEET, [{"inventory_hostname": "node3"}, *hosts("vsphere")])["nodes"] == {}
