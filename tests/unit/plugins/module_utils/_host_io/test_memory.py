# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The memory of a program that stays."""

from __future__ import annotations

import ctypes
import gc
import hashlib
import hmac
import subprocess
import sys

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import memory
from ansible_collections.netops.egress_ip.plugins.module_utils._node import zipapp

HASH = """
import importlib.util, sys
sys.path.insert(0, sys.argv[1])
from netops_egress_ip._host_io import memory
if "without" in sys.argv:
    importlib.util.find_spec = lambda _name: None
memory.leave_out_openssl()
import hashlib, hmac
print(hmac.new(b"k", b"x", hashlib.sha256).hexdigest(), bool(sys.modules.get("_hashlib")))
"""


@pytest.mark.parametrize("words", [(), ("without",)])
def test_hashes_are_equal_with_and_without_openssl(words, tmp_path):
    program = tmp_path / "node.pyz"
    program.write_bytes(zipapp.make())
    done = subprocess.run(
        [sys.executable, "-I", "-c", HASH, program, *words], capture_output=True, text=True, check=True
    )
    digest, uses_openssl = done.stdout.split()
    assert digest == hmac.new(b"k", b"x", hashlib.sha256).hexdigest()
    assert uses_openssl == str("without" in words)
    assert done.stderr == ""


@pytest.fixture(autouse=True)
def _unfrozen():
    yield
    gc.unfreeze()


def test_the_collector_leaves_what_is_there_alone():
    memory.settle_memory()
    assert gc.get_freeze_count() > 1000


def test_another_c_library_is_no_error(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: object())
    memory.settle_memory()
