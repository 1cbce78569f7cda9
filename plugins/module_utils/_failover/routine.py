# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames that come many times a second and change nothing but some times. PRIVATE to the collection. No I/O.

A processor's caches are cold whenever the program wakes up, so each function and each object that a step touches
counts. What a frame means is found out once, and holds until something else changes.
"""

from __future__ import annotations

from .values import AGAIN, KEPT, NEVER, Heard


class Stamp:
    """A time that frames change: when something was heard last."""

    __slots__ = ("at",)

    def __init__(self, at: float = NEVER) -> None:
        self.at = at


class Routine:
    """The times that each known frame changes.

    It knows a frame by the identity of its Heard: the edge passes the same value for the same bytes.
    """

    def __init__(self) -> None:
        self._stamps: dict[int, tuple[Stamp, ...]] = {}
        # No other value gets the identity of a known one.
        self._kept: list[Heard] = []

    def take_in(self, now: float, heard: Heard) -> bool:
        """Note a known frame; returns whether it is one, and has come lately: a host that returns is news."""
        stamps = self._stamps.get(id(heard))
        if stamps is None or now - stamps[0].at > AGAIN:
            return False
        for stamp in stamps:
            stamp.at = now
        return True

    def keep(self, heard: Heard, stamps: tuple[Stamp, ...]) -> None:
        """Know a frame that changes only these times."""
        if len(self._kept) >= KEPT:
            self.forget()
        self._stamps[id(heard)] = stamps
        self._kept.append(heard)

    def forget(self) -> None:
        """Know no frame: something has changed, and each may mean something else."""
        if self._kept:
            self._stamps.clear()
            self._kept.clear()
