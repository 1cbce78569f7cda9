# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The time limit of a search. PRIVATE to the collection.

The solver reads no clock: its caller passes a function that returns whether the time is over.
"""

from __future__ import annotations

from typing import Callable

# Returns whether the time for a search is over.
Deadline = Callable[[], bool]


def never() -> bool:
    """Return that the time is not over: the deadline of a search that may take any time."""
    return False


def after(seconds: float, clock: Callable[[], float]) -> Deadline:
    """Return the Deadline that is over ``seconds`` from now by ``clock``, which returns seconds."""
    end = clock() + seconds
    return lambda: clock() >= end
