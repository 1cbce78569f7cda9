# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deadlines by a clock that the caller passes."""

from __future__ import annotations

import itertools

from ansible_collections.netops.egress_ip.plugins.module_utils._solver import deadline


def test_a_deadline_depends_on_the_clock_it_is_given():
    ticks = itertools.count()
    over = deadline.after(2, lambda: next(ticks))
    assert [over(), over(), over()] == [False, True, True]
    assert not deadline.never()


def test_a_deadline_is_over_when_its_seconds_have_passed():
    now = [100.0]
    over = deadline.after(10, lambda: now[0])
    answers = []
    for now[0] in (100.0, 109.9, 110.0, 200.0):
        answers.append(over())
    assert answers == [False, False, True, True]
