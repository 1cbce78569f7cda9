# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Notes on a controller that is too small for the fleet. PRIVATE to the collection. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Sequence

from .._common.messages import listed

# The field with the seconds that the controller took, in the result of a node for which it took too long.
SLOW = "controller_seconds"
_NODES_SHOWN = 3


def controller_lines(hosts: Sequence[Mapping[str, Any]], rollout: Mapping[str, Any], forks: int) -> list[str]:
    """Return lines on hosts {name, observed} that waited for the controller, and on too few `forks` for a rollout."""
    slow = {host["name"]: host["observed"][SLOW] for host in hosts if SLOW in (host.get("observed") or {})}
    lines = []
    if slow:
        lines.append(
            f"the controller is slow: {listed(sorted(slow), _NODES_SHOWN)} waited up to {max(slow.values()):.0f} s for"
            f" it, which does not count as silence of a node; lower forks ({forks}), or give it more processors"
        )
    differing = len(rollout.get("differing", ()))
    if rollout.get("releasing") and differing > forks:
        lines.append(
            f"forks: {differing} nodes change and Ansible changes {forks} at once, so addresses are released before"
            f" they are claimed and no connection is handed over; set forks to {differing} or more"
        )
    return lines
