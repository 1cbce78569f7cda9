# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Against this machine's kernel, in a network namespace: other programs add and remove addresses outside."""

from __future__ import annotations

import json
import subprocess
import time

from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.address_times import read_ages
from kernel_host import ip
from network_namespace import network_namespace


def test_every_address_of_this_host_has_an_age():
    with network_namespace("eth0"):
        ip("address add 192.168.126.21/18 dev eth0", "address add 2001:db8:126::21/64 dev eth0 nodad")
        links = json.loads(subprocess.run(["ip", "-j", "address"], capture_output=True, check=True).stdout)
        ages = read_ages()
    own = {each["local"] for link in links for each in link["addr_info"] if each["scope"] != "link"}
    assert {"127.0.0.1", "::1", "192.168.126.21", "2001:db8:126::21"} == own <= {*ages}
    assert all(0 <= ages[address] <= time.monotonic() + 1 for address in own)
