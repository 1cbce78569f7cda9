# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The moves of a plan and their reasons. PRIVATE to the collection. Pure."""

from __future__ import annotations

from collections import Counter

from .._common.addresses import address_order, version_of
from .candidates import Candidates
from .plan import CAPACITY_EXCEEDED, MAKE_ROOM, REBALANCE, SAME_DOMAIN, SAME_OBJECT, Move
from .requests import Claims

# The reasons of necessary moves that the state of no single node explains, in order of precedence.
_NECESSARY = (CAPACITY_EXCEEDED, SAME_OBJECT, SAME_DOMAIN, MAKE_ROOM)


def moves_of(candidates: Candidates, claims: Claims, for_balance: int) -> tuple[Move, ...]:
    """Return a Move for each address that goes to another node, ordered by address.

    Of the moves that the state of no node explains, all but ``for_balance`` are needed to place and spread most
    addresses.
    """
    explained: list[Move] = []
    optional: list[Move] = []
    for address in sorted(candidates.placed, key=address_order):
        move = _move(candidates, address)
        if move is not None:
            (optional if move.reason == REBALANCE else explained).append(move)
    needed = max(0, len(optional) - for_balance)
    if needed:
        staying = _count_staying(candidates, claims)
        causes = {move: _cause(candidates, staying, move, claims[move.egress_ip][0].name) for move in optional}
        optional.sort(key=lambda move: _NECESSARY.index(causes[move]))
        optional[:needed] = [
            Move(move.egress_ip, move.from_node, move.to_node, causes[move]) for move in optional[:needed]
        ]
    return tuple(sorted(explained + optional, key=lambda move: address_order(move.egress_ip)))


def _move(candidates: Candidates, address: str) -> Move | None:
    """Return the Move of an address, with the reason Rebalance if its node could keep it; None if it does not move."""
    holding, to_node = candidates.holding_nodes(address), candidates.placed[address].node
    if not holding or to_node in holding:
        return None
    reasons = {name: candidates.reason_to_leave(name, address) for name in holding}
    origin = next((name for name in holding if reasons[name] is None), holding[0])
    return Move(address, origin, to_node, reasons[origin] or REBALANCE)


def _count_staying(candidates: Candidates, claims: Claims) -> Counter[tuple[object, object]]:
    """Count the addresses that each node holds and could keep.

    The keys are (node, None) for all, (node, IP version), (node, object) and (failure domain, object).
    """
    counts: Counter[tuple[object, object]] = Counter()
    for address, claiming in claims.items():
        for node in candidates.holding_nodes(address) if claiming else ():
            if candidates.reason_to_leave(node, address) is None:
                name = claiming[0].name
                domain = candidates.domains(name).get(node)
                counts.update([(node, None), (node, version_of(address)), (node, name), (domain, name)])
    return counts


def _cause(candidates: Candidates, staying: Counter[tuple[object, object]], move: Move, owner: str) -> str:
    """Return the rule that the losing node would break for the object ``owner`` if every address stayed."""
    name, version = move.from_node, version_of(move.egress_ip)
    node = candidates.node(name)
    limits = () if node is None else ((None, node.capacity.ip), (version, node.capacity.of_version(version)))
    if any(limit is not None and staying[name, key] > limit for key, limit in limits):
        return CAPACITY_EXCEEDED
    if staying[name, owner] > 1:
        return SAME_OBJECT
    domain = candidates.domains(owner).get(name)
    return SAME_DOMAIN if domain is not None and staying[domain, owner] > 1 else MAKE_ROOM
