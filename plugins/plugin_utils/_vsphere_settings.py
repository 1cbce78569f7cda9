# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of vSphere. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Mapping

from ansible_collections.netops.egress_ip.plugins.plugin_utils import _setting_types as types
from ansible_collections.netops.egress_ip.plugins.plugin_utils._setting import BOOLEAN, SECRET, TEXT, Setting

# As `_settings.OF_FLEET` and `_settings.OF_HOST`.
OF_FLEET: Mapping[str, Setting] = {
    "vsphere_timeout": Setting(types.integer(1)),
    "vsphere_guest_mac": Setting(types.choice("own", "second", "changed")),
    "vsphere_scope": Setting(types.choice("port", "portgroup")),
    "vsphere_allow_override": BOOLEAN,
    "vsphere_fence_method": Setting(types.choice("port_block", "vnic_disconnect", "power_off", "auto")),
}
OF_HOST: Mapping[str, Setting] = {
    "vsphere_hostname": TEXT,
    "vsphere_username": TEXT,
    "vsphere_password": SECRET,
    "vsphere_port": Setting(types.integer(1)),
    "vsphere_validate_certs": BOOLEAN,
    "vsphere_proxy_host": TEXT,
    "vsphere_proxy_port": Setting(types.integer(1)),
    "vsphere_vm": Setting(types.mapping_or_list, is_yaml=True),
}
