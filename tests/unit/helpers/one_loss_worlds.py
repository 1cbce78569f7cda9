# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small fleets in which one node is lost, and the best result found by trying all of them."""

from __future__ import annotations

import itertools
import random
from collections import Counter

from ansible_collections.netops.egress_ip.plugins.module_utils._solver.model import NodeLoad
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.one_loss import Lost, NodeRing


def world(seed, weights=(1,)):
    """Return (fleet, lost node, lost addresses) of at most 6 nodes and 5 addresses."""
    rng = random.Random(seed)
    size = rng.randint(2, 6)
    limits = rng.choice([[None], [None, 0, 1, 2, 3]])
    by_family = rng.choice([[None], [None], [None, 0, 1, 2]])
    most = rng.choice([0, 2, 5])
    nodes = [
        NodeLoad(rng.randint(0, most), rng.choice(limits), (rng.choice(by_family), rng.choice(by_family)))
        for _n in range(size)
    ]
    kinds = [frozenset(range(size))]
    kinds += [frozenset(node for node in range(size) if rng.random() < 0.6) for _n in range(rng.choice([0, 0, 2]))]
    fleet = NodeRing(nodes, kinds)
    fleet.closed.update(node for node in range(size) if rng.random() < rng.choice([0, 0, 0.2]))
    origin = rng.randrange(size)
    domains = [rng.randint(0, 2) for _n in range(size)]
    is_spread, has_last, siblings = (rng.random() < share for share in (0.4, 0.5, 0.6))
    lost = []
    for _n in range(rng.randint(1, 5 if size < 6 else 4)):
        taken = {node for node in range(size) if siblings and rng.random() < 0.25 and node != origin}
        overlap = Counter(domains[node] for node in taken)
        spread = (tuple(domains), overlap) if is_spread and rng.random() < 0.7 else ((), {})
        last = rng.choice([None, *range(size)]) if has_last else None
        family = rng.choice([4, 4, 6])
        lost.append(Lost(family, rng.randrange(len(kinds)), taken | {origin}, last, rng.choice(weights), *spread))
    return fleet, origin, lost


def keeps_rules(fleet, lost, nodes):
    """Return whether a result keeps all limits, kinds and siblings, and uses no closed node."""
    of_family = Counter((node, address.family) for address, node in zip(lost, nodes, strict=True))
    in_total = Counter(nodes)
    return all(
        node is None
        or (
            node in fleet.kinds[address.kind]
            and node not in address.taken
            and node not in fleet.closed
            and in_total[node] <= fleet.free[node]
            and of_family[node, address.family] <= fleet.free_by_family[address.family][node]
        )
        for address, node in zip(lost, nodes, strict=True)
    )


def objective(fleet, origin, lost, nodes):
    """Return what the best result minimizes; of equal weights, the squares are those of the loads."""
    placed = [(address, node) for address, node in zip(lost, nodes, strict=True) if node is not None]
    mean = sum(address.weight for address in lost) / len(lost)
    added = Counter(node for _address, node in placed)
    return (
        len(lost) - len(placed),
        sum(address.overlap_on(node) for address, node in placed),
        sum((load + mean * added[node]) ** 2 for node, load in enumerate(fleet.loads)),
        sum((node - origin) % len(fleet.loads) for _address, node in placed),
        sum(address.last not in (None, node) for address, node in zip(lost, nodes, strict=True)),
    )


def best(fleet, origin, lost):
    """Return the objective of the best result."""
    nodes = [[None, *(n for n in range(len(fleet.loads)) if keeps_rules(fleet, [each], [n]))] for each in lost]
    results = itertools.product(*nodes)
    return min(objective(fleet, origin, lost, each) for each in results if keeps_rules(fleet, lost, each))
