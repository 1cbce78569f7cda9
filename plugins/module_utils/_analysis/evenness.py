# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How even the load of the nodes is. PRIVATE to the collection. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .._planner.candidates import Candidates


@dataclass(frozen=True)
class Evenness:
    """``squares``: the sum of squares of all loads, least if they are equal; ``highest`` and ``lowest`` load."""

    squares: int
    highest: int
    lowest: int

    def to_dict(self) -> dict[str, int]:
        """Return ``{squares, highest, lowest}``."""
        return {"squares": self.squares, "highest": self.highest, "lowest": self.lowest}


def evenness_of(load: Mapping[str, int], usable: Iterable[str]) -> Evenness:
    """Return the Evenness of {node: load}; the highest and the lowest load are of the nodes ``usable``."""
    loads = [load[name] for name in usable if name in load]
    return Evenness(sum(each * each for each in load.values()), max(loads, default=0), min(loads, default=0))


def usable_names(candidates: Candidates) -> list[str]:
    """Return the names of the nodes of Candidates that may hold an egress IP."""
    return [
        node.name
        for node in candidates.nodes.valid
        if node.ready and node.name in candidates.eligible_names and not node.capacity.is_zero
    ]
