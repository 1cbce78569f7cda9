# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The work of a call, as a number that does not depend on the speed of the machine."""

from __future__ import annotations

import sys

_OURS = ("/plugins/module_utils/", "<string>")


def steps_of(call):
    """Return how many instructions of the collection's modules, and of its generated methods, a call executes."""
    count = 0

    def step(_frame, event, _argument):
        nonlocal count
        count += event == "opcode"
        return step

    def enter(frame, _event, _argument):
        if not any(part in frame.f_code.co_filename for part in _OURS):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return step

    before = sys.gettrace()
    sys.settrace(enter)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


def growth(steps, small=20):
    """Return how much more an item costs among many than among few, for `steps(number)`: 1 is linear, 2 quadratic."""
    few, some, many = (steps(number) for number in (small, 2 * small, 4 * small))
    return (many - some) / (some - few) / 2


class Counted(str):
    """A text that counts its comparisons and hashes, which Python's lists and sets do without instructions."""

    __slots__ = ()
    work = 0

    def __eq__(self, other):
        Counted.work += 1
        return str.__eq__(self, other)

    def __hash__(self):
        Counted.work += 1
        return str.__hash__(self)


def comparisons_of(call):
    """Return how many comparisons and hashes of `Counted` texts a call makes."""
    before = Counted.work
    call()
    return Counted.work - before
