# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The vertices of the residual graph of a packing, in one encoding for all searches. PRIVATE to the collection.

- An arc into a node is its number, 0 or more.
- The common sink is ``SINK``: one node gets one address less, and another one gets one more.
- An address that leaves its place is ``ADDRESS - address``.
- A spread group that has one member more in a domain is a ``DomainVertex``; its domain is None if that member has none
  yet.

There are two searches, since ``min_cost_flow`` needs the distance of every vertex and corrects each as often as costs
change, while ``exchange_cycle`` visits each vertex once, along steps whose cost the distances give, and ends at its
goal: one search for both would do the work of the first in the thousands of calls of the second.
"""

from __future__ import annotations

from typing import Optional, Tuple, Union

SINK = -1
ADDRESS = -2

DomainVertex = Tuple[int, Optional[int]]
Vertex = Union[int, DomainVertex]
