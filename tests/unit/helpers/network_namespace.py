# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A network namespace of its own for a test that asks the real kernel, `ip` and `nft`. Nothing of it stays."""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
from pathlib import Path

import pytest

_CLONE_NEWNET = 0x40000000


@contextlib.contextmanager
def network_namespace(*interfaces):
    """Put this thread, and what it starts, into a new network namespace with these interfaces (bridges, and up)."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/thread-self/ns/net").open("rb") as home:
        if libc.unshare(_CLONE_NEWNET):
            pytest.fail(f"a network namespace is needed: run the tests as root ({os.strerror(ctypes.get_errno())})")
        try:
            lines = ["link set lo up"]
            for name in interfaces:
                lines += [f"link add {name} type bridge", f"link set {name} up"]
            subprocess.run(["ip", "-batch", "-"], input="\n".join(lines) + "\n", text=True, check=True)
            yield
        finally:
            if libc.setns(home.fileno(), _CLONE_NEWNET):
                os._exit(70)  # Never go on with the other tests in here.
