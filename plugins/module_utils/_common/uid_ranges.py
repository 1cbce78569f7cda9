# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ranges of the numbers of users of a host, such as ``1001`` and ``100000-165535``. PRIVATE to the collection. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

from .errors import EgressIPError
from .messages import quote, type_name

ROOT = 0
# The kernel takes 2**32 - 1 for no user.
LAST_UID = 2**32 - 2
_RANGE = re.compile(r"(0|[1-9][0-9]{0,9})(?:-([1-9][0-9]{0,9}))?")


class UidRange(NamedTuple):
    """The users with the numbers from ``first`` to ``last``."""

    first: int
    last: int

    @property
    def text(self) -> str:
        """The form that `parse_uid_range` reads."""
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


def parse_uid_range(value: object, path: str) -> UidRange:
    """Return the UidRange that a string spells. Raises EgressIPError with ``path``, also for one that contains root."""
    match = _RANGE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        shown = quote(value) if isinstance(value, str) else type_name(value)
        raise EgressIPError(f"{path}: must be the number of a user or a range of them, such as 1001-1002, not {shown}")
    found = UidRange(int(match[1]), int(match[2] or match[1]))
    if not ROOT < found.first <= found.last <= LAST_UID:
        raise EgressIPError(f"{path}: must be within 1-{LAST_UID}, the lower number first, not {quote(match[0])}")
    return found
