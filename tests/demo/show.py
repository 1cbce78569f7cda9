# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the demo prints: headings, tables, and Ansible's output, in colour where a terminal reads it."""

from __future__ import annotations

import os
import sys

COLOURED = "NO_COLOR" not in os.environ and (sys.stdout.isatty() or "FORCE_COLOR" in os.environ)
CODES = {"heading": "1;36", "good": "32", "bad": "1;31", "dim": "2", "strong": "1"}


def paint(style: str, text: str) -> str:
    """The text in that style; unchanged if the output is not a terminal."""
    return f"\033[{CODES[style]}m{text}\033[0m" if COLOURED else text


def heading(number: int, text: str) -> None:
    """The heading of a step."""
    print(f"\n{paint('heading', f'{number}. {text}')}\n", flush=True)


def paragraph(text: str) -> None:
    """One paragraph."""
    print(f"   {text}", flush=True)


def table(titles: tuple[str, ...], rows: list[tuple[str, ...]], good: list[bool] | None = None) -> None:
    """A table; `good` marks each row, and the wrong ones are red."""
    widths = [max(len(row[column]) for row in [titles, *rows]) for column in range(len(titles))]
    marks = good if good is not None else [None] * len(rows)

    def line(cells: tuple[str, ...]) -> str:
        return "   " + "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()

    print(paint("strong", line(titles)))
    for row, mark in zip(rows, marks, strict=True):
        style = {True: "good", False: "bad", None: None}[mark]
        print(paint(style, line(row)) if style else line(row))
    sys.stdout.flush()
