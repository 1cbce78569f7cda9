# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How evenly egress IPs are spread over nodes. PRIVATE to the collection. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """``squares``: the sum of squares of all loads, least when they are equal; ``highest``, ``lowest``: their ends."""

    squares: int
    highest: int
    lowest: int

    def to_dict(self):
        """Return ``{squares, highest, lowest}``."""
        return {"squares": self.squares, "highest": self.highest, "lowest": self.lowest}


def spread_of(load, usable):
    """Return the Spread of {node: load}; the ends are among the nodes of ``usable``, which may hold something."""
    loads = [load[name] for name in usable if name in load]
    return Spread(sum(each * each for each in load.values()), max(loads, default=0), min(loads, default=0))


def usable_names(candidates):
    """Return the names of the nodes of Candidates that may hold an egress IP."""
    return [
        node.name
        for node in candidates.nodes.valid
        if node.ready and node.name in candidates.eligible_names and not node.capacity.is_zero
    ]
