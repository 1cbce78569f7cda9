# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who answers for an egress IP, as the server of the lab sees it."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from typing import NamedTuple

from lab import Lab, Remote
from lab_topology import SERVER


class TwoAnswers(NamedTuple):
    """Two hosts that answered in turn for an address, and for how many seconds."""

    address: str
    hosts: tuple[str, str]
    seconds: float


def probe_repeatedly(lab: Lab, addresses: Iterable[str]) -> Remote:
    """Ask the network for these addresses every 20 ms, in the background; a line is `UNIX_TIME ADDRESS MAC`."""
    return lab.background(SERVER.name, "python3", "/opt/lab/lab_prober.py", SERVER.address, *addresses)


def two_answers(lines: Iterable[str]) -> list[TwoAnswers]:
    """The times in which two hosts answered in turn, from the lines of `probe_repeatedly`.

    An address that moves back later is no such time: after a host was silent for a second, its next answers are others.
    """
    spans: dict[str, list[tuple[str, float, float]]] = {}
    for line in lines:
        at, address, mac = line.split()
        _extend(spans.setdefault(address, []), float(at), mac)
    return [
        TwoAnswers(address, (one[0], other[0]), min(one[2], other[2]) - max(one[1], other[1]))
        for address, found in spans.items()
        for one, other in combinations(found, 2)
        if one[0] != other[0] and min(one[2], other[2]) > max(one[1], other[1])
    ]


def _extend(spans: list[tuple[str, float, float]], at: float, mac: str) -> None:
    """Add an answer to the last span of its host, or begin the next one."""
    for index in range(len(spans) - 1, -1, -1):
        host, begin, end = spans[index]
        if host == mac:
            if at - end < 1.0:
                spans[index] = (mac, begin, at)
                return
            break
    spans.append((mac, at, at))
