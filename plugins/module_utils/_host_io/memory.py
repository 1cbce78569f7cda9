# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The memory of a long-running program. PRIVATE to the collection."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib.util
import sys

# Python's own modules with SHA-256. Not every distribution has them.
_SHA256 = ("_sha2", "_sha256")


def leave_out_openssl() -> None:
    """Let `hashlib`, which must not be loaded yet, use Python's own SHA-256: OpenSSL would take 3 MB."""
    if "hashlib" not in sys.modules and any(importlib.util.find_spec(name) for name in _SHA256):
        sys.modules["_hashlib"] = None  # type: ignore[assignment]  # as Python documents


def settle_memory() -> None:
    """Return the memory to the system that only the start needed, and let the collector leave the rest alone."""
    gc.collect()
    gc.freeze()
    # Only glibc has it.
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
