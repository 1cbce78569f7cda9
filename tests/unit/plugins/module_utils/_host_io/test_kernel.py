# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of sysctls."""

from __future__ import annotations

from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import (
    kernel,
)


def test_a_device_with_dots_in_its_name():
    path = str(kernel.sysctl_file("net.ipv4.conf.eth0.10.rp_filter"))
    assert path == "/proc/sys/net/ipv4/conf/eth0.10/rp_filter"
