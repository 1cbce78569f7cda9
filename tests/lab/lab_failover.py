# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that takes egress IPs over between two runs, as seen from outside of a node."""

from __future__ import annotations

import time
from collections.abc import Iterable

from lab import Lab, LabError

FOLLOW = "netops-egress-ip-follow.service"
# A run restarts the program some seconds after it, with the new code. Only a holder that has answered a program is
# replaced by it, so faults begin when the programs have run for a while.
SETTLED = 8.0
PATIENCE = 90.0


def is_active(lab: Lab, name: str) -> bool:
    """Whether the program runs on a node."""
    return lab.exec(name, "sh", "-c", f"systemctl is-active {FOLLOW} || true").strip() == "active"


def seconds_active(lab: Lab, name: str) -> float:
    """For how long the program has run on a node; 0.0 if it does not run."""
    if not is_active(lab, name):
        return 0.0
    words = ("systemctl", "show", "--value", "--property", "ActiveEnterTimestampMonotonic", FOLLOW)
    since = int(lab.exec(name, *words)) / 1e6
    return time.clock_gettime(time.CLOCK_MONOTONIC) - since


def wait_until_settled(lab: Lab, names: Iterable[str]) -> None:
    """Wait until the programs of these nodes know each other; LabError if one does not run."""
    for name in names:
        end = time.monotonic() + PATIENCE
        while seconds_active(lab, name) <= SETTLED:
            if time.monotonic() > end:
                raise LabError(f"{name}: {FOLLOW} has not run for {SETTLED:.0f} s after {PATIENCE:.0f} s")
            time.sleep(0.2)
