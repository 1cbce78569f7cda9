# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How two data planes differ, as lines for a person and as the result of a module. PRIVATE. Pure."""

from __future__ import annotations


def lines_between(current, desired):
    """Return (missing, surplus) lines. A rule is told by its fingerprint in both."""
    have, want = current.beside(desired).lines(), desired.lines()
    return sorted(want - have), sorted(have - want)


def result_of(before, after, known):
    """Return `changed` and `diff`; `known` are the texts of rules that stand in the lines by their fingerprints."""
    gone, new = before - after, after - before
    diff = {"before": _legible(gone, known), "after": _legible(new, known)}
    return {"changed": bool(gone or new), "diff": diff}


def _legible(lines, known):
    shown = []
    for line in lines:
        start, _colon, last = line.rpartition(": ")
        shown.append(f"{start}: {known[last]}\n" if last in known else f"{line}\n")
    return "".join(sorted(shown))
