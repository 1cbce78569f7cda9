# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules on a controller without pyVmomi, and with it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere import pyvmomi

ROOT = Path(__file__).parents[5]
MODULES = sorted(path.stem for path in (ROOT / "plugins/modules").glob("vsphere_*.py"))
# Runs a module in a process in which pyVmomi cannot be imported.
WITHOUT = """
import runpy, sys
sys.modules["pyVmomi"] = sys.modules["pyVim"] = sys.modules["pyVim.connect"] = None
runpy.run_module("ansible_collections.netops.egress_ip.plugins.modules." + sys.argv.pop(), run_name="__main__")
"""
CONNECTION = {"hostname": "vc.invalid", "username": "admin", "password": "secret"}


@pytest.mark.parametrize("module", MODULES)
def test_without_pyvmomi_a_module_names_the_missing_library(module):
    arguments = {**CONNECTION, "vms": [{"name": "node1"}, {"name": "node2"}]}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, module],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
        capture_output=True,
        text=True,
        check=False,
    )
    result = json.loads(done.stdout)
    assert result["failed"] is True, done.stderr
    assert "Failed to import the required Python library (pyvmomi)" in result["msg"]


def test_with_pyvmomi_all_names_are_those_of_it():
    assert pyvmomi.PYVMOMI_ERROR is None
    assert pyvmomi.vim.VirtualMachine("vm-1")._GetMoId() == "vm-1"
    assert issubclass(pyvmomi.vim.fault.NotAuthenticated, pyvmomi.vmodl.MethodFault)
    assert callable(pyvmomi.Disconnect)
    assert hasattr(pyvmomi.SoapStubAdapter, "InvokeMethod")
