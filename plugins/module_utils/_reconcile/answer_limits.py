# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much text of the nodes' answers the controller reads. PRIVATE to the collection. Pure.

As values, a text takes several times its size. Each node has a share for itself, in which a thousand containers fit and
the records of a fleet with 8,190 egress IPs, each of an object of its own. What exceeds the shares comes from one
reserve for the whole fleet, so that several faulty nodes cost little more than one. A node that needs little of the
reserve comes first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

# Characters of each node's share, and how many more it has for each node of the fleet.
SHARE, SHARE_PER_NODE = 3 << 20, 1 << 10
# Characters beyond the shares: of one node whose texts are the longest that are read, and of smaller ones.
RESERVE = 1 << 24


def refused_answers(texts: Mapping[str, Mapping[str, int]]) -> dict[str, str]:
    """Return {node: the reason why its texts are not read}; `texts` is {node: {text in its answer: its characters}}.

    A text that several nodes have costs each of them a part of it, since it is read once.
    """
    owners = Counter(text for each in texts.values() for text in each)
    share = SHARE + SHARE_PER_NODE * len(texts)
    sizes = {node: sum(size // owners[text] for text, size in each.items()) for node, each in texts.items()}
    left = RESERVE
    refused = {}
    for node, size in sorted(sizes.items(), key=lambda item: (item[1], item[0])):
        excess = max(0, size - share)
        if excess <= left:
            left -= excess
        else:
            limits = f"must be at most {share}, or {RESERVE} more for all nodes together"
            refused[node] = f"gives too long an answer: {limits}, not {size} characters"
    return refused
