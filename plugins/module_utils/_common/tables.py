# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines for a person: tables and lists. PRIVATE to the collection. Pure."""

from __future__ import annotations


def table(header, rows):
    """Return the lines of a table of strings, the last column as long as it is."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header) - 1)]
    lines = ("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths)), row[-1]]) for row in (header, *rows))
    return [line.rstrip() for line in lines]


def section(title, entries):
    """Return an empty line, the title and the entries below it; nothing without entries."""
    return ["", f"{title}:", *(f"  {entry}" for entry in entries)] if entries else []
