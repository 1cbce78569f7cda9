# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The garbage collector of Python. PRIVATE to the collection."""

from __future__ import annotations

import gc
from contextlib import contextmanager


@contextmanager
def paused_collector():
    """Do without the collector of reference cycles for a while.

    A plan makes hundreds of thousands of small values and no cycles. To look through all of them again and again
    takes a quarter of the time and finds nothing.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
