# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the firmware shows."""

from __future__ import annotations

from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import (
    preflight,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.host_io import HostIO
from node_runs import observe

IO = HostIO()


def test_the_platform_is_read_as_far_as_it_is_shown(host, monkeypatch):
    names = ["sys_vendor", "product_serial", "hypervisor_uuid", "cpu_flags", "no_such_file"]
    assert set(preflight.platform_facts(names)) <= {"cpu_flags"}
    (host / "sys_vendor").write_bytes(b"VMware, Inc.\n")
    (host / "product_serial").write_bytes(b"VMware-\xff\n")
    (host / "uuid").write_text("ec2e1916\n")
    facts = preflight.platform_facts(names)
    facts.pop("cpu_flags", None)
    assert facts == {"sys_vendor": "VMware, Inc.", "product_serial": "VMware-\ufffd", "hypervisor_uuid": "ec2e1916"}
    assert set(preflight.platform_facts(["sys_vendor"])) == {"sys_vendor"}
    assert "AWS" in observe(IO)["problems"][0]
    (host / "uuid").unlink()
    assert observe(IO)["problems"] == []
