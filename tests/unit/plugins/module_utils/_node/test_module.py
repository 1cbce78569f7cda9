# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The entry point of the module `node`: each mode imports only what it uses."""

from __future__ import annotations

import subprocess
import sys

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._node import zipapp

RARE = {"_node.execute", "_node.claim", "_node.connections", "_host_io.handover_session", "_host_io.conntrack"}
RARE |= {"_node.metrics", "_node.cni_install", "_node.hook_install", "_host_io.container_networks"}
RARE |= {"_host_io.packets", "_host_io.esp", "concurrent.futures"}
UNUSED = {
    "observed": {"_node.apply", "_node.decide", *RARE},
    "absent": {"_node.apply", "_node.observe", *RARE - {"_node.connections"}},
    "present": {"_node.observe", "_node.remove", "_node.platform_detection", *RARE},
}


@pytest.mark.parametrize("mode", UNUSED)
def test_a_mode_imports_only_what_it_uses(mode, tmp_path):
    program = tmp_path / "node.pyz"
    program.write_bytes(zipapp.make())
    code = f"""
import sys
sys.path.insert(0, {str(program)!r})
from netops_egress_ip._node import module
params = {{"mode": {mode!r}, "options": {{"mark_mask": "x"}}, "observe": {{}}, "state": {{}}, "releasing": []}}
params.update(probe_count=1, probe_interval=1, claim_timeout=1, handover_key="", claim=True, tunnel_secret="",
              failover_key="")
try:
    module.run_module(params, True)
except module.EgressIPError:
    print(*sys.modules)
"""
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.replace("netops_egress_ip.", "") for name in done.stdout.split()}
    assert loaded
    assert not UNUSED[mode] & loaded
