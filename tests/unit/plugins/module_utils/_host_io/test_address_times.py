# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Against this machine's kernel."""

from __future__ import annotations

import json
import subprocess
import time

from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.address_times import read_ages


def test_every_address_of_this_host_has_an_age():
    links = json.loads(subprocess.run(["ip", "-j", "address"], capture_output=True, check=True).stdout)
    own = {each["local"] for link in links for each in link["addr_info"] if each["scope"] != "link"}
    ages = read_ages()
    assert own <= {*ages}
    assert all(0 <= ages[address] <= time.monotonic() + 1 for address in own)
