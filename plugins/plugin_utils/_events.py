# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps large results out of events. PRIVATE to the collection.

A callback gets the result of each task, and AWX stores it; above 700,000 characters it drops the result. Variables that
`register` sets have the whole result.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# An event has further fields of its own; docs/awx.md promises the sum.
MAX_CHARACTERS = 48_000


def with_small_event(result: Mapping[str, Any], limit: int = MAX_CHARACTERS) -> dict[str, Any]:
    """Return a result that callbacks do not get if it has more than ``limit`` characters.

    They get every failure, and what `--diff` requests.
    """
    if result.get("failed") or "diff" in result or not is_large(result, limit):
        return dict(result)
    return {**result, "_ansible_no_log": True}


def is_large(value: object, limit: int) -> bool:
    """Return whether a value has more characters than ``limit`` as JSON, approximately. Stops as soon as it has."""
    waiting, left = [value], limit
    while waiting and left >= 0:
        each = waiting.pop()
        # Brackets or quotes, and a separator.
        left -= 4
        if isinstance(each, Mapping):
            waiting += [*each.keys(), *each.values()]
        elif isinstance(each, (list, tuple)):
            waiting += each
        else:
            left -= len(str(each))
    return left < 0
