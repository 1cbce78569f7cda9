# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of vSphere are the variables of its role and of its provider."""

from __future__ import annotations

from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.vsphere import VSPHERE
from ansible_collections.netops.egress_ip.plugins.plugin_utils import _vsphere_settings


def test_the_provider_reads_settings_of_hosts_only():
    assert {f"egress_ip_{name}" for name in _vsphere_settings.OF_HOST} >= {*VSPHERE.variables}


def test_every_setting_has_the_name_of_the_platform():
    names = [*_vsphere_settings.OF_FLEET, *_vsphere_settings.OF_HOST]
    assert [name for name in names if not name.startswith("vsphere_")] == []
