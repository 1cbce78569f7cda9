# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A VM in libvirt's network `default`."""

from __future__ import annotations

from engines import EGRESS_IP


def test_the_first_packets_of_a_vm(libvirt):
    assert libvirt.first_packets() == {EGRESS_IP: 300}
