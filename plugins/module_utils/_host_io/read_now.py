# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a file that another program may have replaced by a FIFO. PRIVATE to the collection.

The program that starts with each pod uses it: it imports nothing else, since imports take most of the time of such a
start.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path


def read_now(path: str | Path, most: int | None = None, flags: int = 0) -> bytes:
    """Return the content of a file, without a wait for the writer of a FIFO. Raises OSError.

    Of a file with more than `most` bytes, it returns one byte more than these. `flags` are further ones of `os.open`.
    """
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | flags), "rb") as file:
        return file.read(-1 if most is None else most + 1) or b""
