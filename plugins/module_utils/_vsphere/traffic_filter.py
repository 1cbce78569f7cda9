# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The effect of a port's traffic filter on an egress IP. PRIVATE to the collection. No I/O.

Rules are ordered by sequence number, and the first that matches decides. A rule is a dict: ``description``,
``sequence``, ``direction`` (``both``, ``incomingPackets`` to the guest, ``outgoingPackets`` from it), ``action``
(``accept``, ``drop``, ``other``), ``source`` and ``destination`` (an address or a network, prefixed with ``not `` if
negated, None for any), and ``conditions``: True if it also matches on anything else, a protocol or a MAC address.
"""

from __future__ import annotations

from typing import Any, Dict, Iterable, Sequence

from .._common.addresses import Address, canonical, parse_address, parse_network
from .._common.errors import VsphereError
from .change_note import TAG

Rule = Dict[str, Any]
# (the side of a packet that an address is on, the other side)
_SIDES = (("source", "destination"), ("destination", "source"))
# The packets of an address: those that it sends, those that it receives.
_SENT, _RECEIVED = (*_SIDES[0], "outgoingPackets"), (*_SIDES[1], "incomingPackets")


def dropped_by(rules: Sequence[Rule], address: Address) -> Rule | None:
    """Return the first rule that drops all packets from ``address``, or all packets to it; None if there is none.

    A rule with further conditions decides about some traffic, not about the address, and is ignored.
    """
    drops = [_dropping(rules, address, *packets) for packets in (_SENT, _RECEIVED)]
    return min((rule for rule in drops if rule), key=_sequence, default=None)


def allow(rules: tuple[Rule, ...], addresses: Iterable[Address], path: str) -> tuple[Rule, ...]:
    """Return ``rules``, in order, with own rules that accept each of ``addresses`` that is dropped.

    The own rules come directly before the rule that drops, so that no other decision changes. Raises VsphereError,
    which begins with ``path``, if there is no room for them.
    """
    for address in addresses:
        rule = dropped_by(rules, address)
        if rule:
            rules = (*rules, *_ours(rules, rule, address, path))
    return tuple(sorted(rules, key=_sequence))


def without(rules: tuple[Rule, ...], addresses: Iterable[Address]) -> tuple[Rule, ...]:
    """Return ``rules`` without the own ones for ``addresses``."""
    return tuple(rule for rule in rules if rule["description"] not in {tag(address) for address in addresses})


def is_ours(rule: Rule) -> bool:
    """Return whether the collection made a rule, for any address."""
    return bool(rule["description"].startswith(f"{TAG} "))


def tag(address: Address) -> str:
    """Return the description of the own rules for an address, by which they are recognized."""
    return f"{TAG} {canonical(address)}"


def _sequence(rule: Rule) -> int:
    return int(rule["sequence"])


def _ours(rules: Sequence[Rule], drop: Rule, address: Address, path: str) -> tuple[Rule, ...]:
    """Return two rules, one for each side of the traffic, directly before ``drop``."""
    before = [rule for rule in rules if rule["sequence"] < drop["sequence"]]
    last = max((rule["sequence"] for rule in before if not is_ours(rule)), default=0)
    taken = {rule["sequence"] for rule in before}
    free = [number for number in range(last + 1, drop["sequence"]) if number not in taken][-len(_SIDES) :]
    if len(free) < len(_SIDES):
        raise VsphereError(
            f"{path}: there is no room for {len(_SIDES)} rules between rule {last} and rule {drop['sequence']}, which "
            f"drops {canonical(address)}; give the later rules higher sequence numbers"
        )
    both = {"description": tag(address), "direction": "both", "action": "accept", "conditions": False}
    return tuple(
        {**both, "sequence": number, side: canonical(address), other: None}
        for number, (side, other) in zip(free, _SIDES)
    )


def _dropping(rules: Sequence[Rule], address: Address, side: str, other: str, direction: str) -> Rule | None:
    """Return the rule that drops packets in a direction with the address on a side; None if they pass."""
    meant = [rule for rule in rules if not rule["conditions"] and rule["direction"] in ("both", direction)]
    for rule in sorted(meant, key=_sequence):
        if rule["action"] in ("accept", "drop") and rule[other] is None and _covers(rule[side], address):
            return rule if rule["action"] == "drop" else None
    return None


def _covers(text: str | None, address: Address) -> bool:
    if text is None:
        return True
    negation, _blank, plain = text.rpartition(" ")
    inside = address in parse_network(plain, "rule") if "/" in plain else address == parse_address(plain, "rule")
    return inside != bool(negation)
