# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text output for users: tables and lists as lines. PRIVATE to the collection. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Iterable


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table; all columns but the last are padded to the width of their longest cell."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header) - 1)]
    lines = ("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths)), row[-1]]) for row in (header, *rows))
    return [line.rstrip() for line in lines]


def section(title: str, entries: Iterable[str]) -> list[str]:
    """Return an empty line, the title and the indented entries; an empty list without entries."""
    lines = [f"  {entry}" for entry in entries]
    return ["", f"{title}:", *lines] if lines else []
