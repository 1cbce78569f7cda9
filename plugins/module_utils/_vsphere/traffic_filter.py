# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The effect of a port's traffic filter on an egress IP. PRIVATE to the collection. No I/O.

Rules are ordered by sequence number, and the first that matches decides. A rule is a dict: ``description``,
``sequence``, ``direction`` (``both``, ``incomingPackets`` to the guest, ``outgoingPackets`` from it), ``action``
(``accept``, ``drop``, ``other``), ``source`` and ``destination`` (an address or a network, prefixed with ``not `` if
negated, None for any), ``conditions``: True if it also matches on anything else, a protocol or a MAC address, and
``protocol``: its number if that is the only further condition, else None.
"""

from __future__ import annotations

from typing import Any, Dict, Iterable, Sequence

from .._common.addresses import Address, canonical, parse_address, parse_network
from .change_note import TAG

Rule = Dict[str, Any]
# A guard may have one rule for each protocol. An address whose TCP and UDP packets are dropped is dropped.
_TCP, _UDP = 6, 17
# Name in a note of the sequence numbers of foreign rules before some had to be raised.
SEQUENCES = "rules.sequences"
# (the side of a packet that an address is on, the other side)
_SIDES = (("source", "destination"), ("destination", "source"))
# The packets of an address: those that it sends, those that it receives.
_SENT, _RECEIVED = (*_SIDES[0], "outgoingPackets"), (*_SIDES[1], "incomingPackets")


def dropped_by(rules: Sequence[Rule], address: Address) -> Rule | None:
    """Return the first rule that drops all packets from ``address``, or all packets to it; None if there is none.

    All packets are dropped if TCP and UDP are. A rule with other conditions decides about some traffic, not about the
    address, and is ignored.
    """
    drops = [
        [_dropping(rules, address, *packets, protocol) for protocol in (_TCP, _UDP)] for packets in (_SENT, _RECEIVED)
    ]
    return min((rule for pair in drops if all(pair) for rule in pair if rule), key=_sequence, default=None)


def partly_dropped_by(rules: Sequence[Rule], address: Address) -> Rule | None:
    """Return the first rule that drops some packets from or to ``address``; None if there is none."""
    drops = [rule for rule in sorted(rules, key=_sequence) if rule["action"] == "drop" and rule["conditions"]]
    return next(
        (rule for rule in drops if any(_applies(rule, address, *packets) for packets in (_SENT, _RECEIVED))), None
    )


def allow(rules: tuple[Rule, ...], addresses: Iterable[Address]) -> tuple[Rule, ...]:
    """Return ``rules``, in order, with own rules that accept each of ``addresses`` that is dropped.

    The own rules come directly before the rule that drops, so that no other decision changes. If there is no room for
    them, that rule and all after it get higher sequence numbers.
    """
    for address in addresses:
        rule = dropped_by(rules, address)
        if rule:
            rules = _with_ours(rules, rule, address)
    return tuple(sorted(rules, key=_sequence))


def sequences_of(rules: Iterable[Rule]) -> str:
    """Return the sequence numbers of the foreign rules as a word for a note."""
    return "-".join(str(rule["sequence"]) for rule in sorted(rules, key=_sequence) if not is_ours(rule))


def with_sequences(rules: tuple[Rule, ...], noted: object) -> tuple[Rule, ...]:
    """Return ``rules`` with the ``noted`` sequence numbers, unless the number of rules has changed since."""
    numbers = [int(number) for number in str(noted).split("-") if number]
    if len(numbers) != len(rules):
        return rules
    return tuple({**rule, "sequence": number} for rule, number in zip(sorted(rules, key=_sequence), numbers))


def equal_rules(first: Sequence[Rule], second: Sequence[Rule]) -> bool:
    """Return whether rules are equal but for their sequence numbers, in the same order."""
    plain = [[{**rule, "sequence": 0} for rule in sorted(rules, key=_sequence)] for rules in (first, second)]
    return plain[0] == plain[1]


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


def _with_ours(rules: tuple[Rule, ...], drop: Rule, address: Address) -> tuple[Rule, ...]:
    """Return the rules with two own ones, one for each side of the traffic, directly before ``drop``."""
    free = _free_before(rules, drop)
    missing = max(0, len(_SIDES) - len(free))
    if missing:
        rules = tuple(
            {**rule, "sequence": rule["sequence"] + missing} if rule["sequence"] >= drop["sequence"] else rule
            for rule in rules
        )
        free = _free_before(rules, {**drop, "sequence": drop["sequence"] + missing})
    both = {
        "description": tag(address),
        "direction": "both",
        "action": "accept",
        "conditions": False,
        "protocol": None,
    }
    ours = [
        {**both, "sequence": number, side: canonical(address), other: None}
        for number, (side, other) in zip(free, _SIDES)
    ]
    return (*rules, *ours)


def _free_before(rules: Sequence[Rule], drop: Rule) -> list[int]:
    """Return up to two free sequence numbers directly before ``drop`` and after all other foreign rules before it."""
    before = [rule for rule in rules if rule["sequence"] < drop["sequence"]]
    last = max((rule["sequence"] for rule in before if not is_ours(rule)), default=0)
    taken = {rule["sequence"] for rule in before}
    return [number for number in range(last + 1, drop["sequence"]) if number not in taken][-len(_SIDES) :]


def _dropping(
    rules: Sequence[Rule], address: Address, side: str, other: str, direction: str, protocol: int
) -> Rule | None:
    """Return the rule that drops packets of a protocol in a direction with the address on a side; None if they pass."""
    for rule in sorted(rules, key=_sequence):
        decides = not rule["conditions"] or rule["protocol"] == protocol
        if decides and rule["action"] in ("accept", "drop") and _applies(rule, address, side, other, direction):
            return rule if rule["action"] == "drop" else None
    return None


def _applies(rule: Rule, address: Address, side: str, other: str, direction: str) -> bool:
    """Return whether a rule decides about packets in a direction with the address on a side, to or from anywhere."""
    return rule["direction"] in ("both", direction) and rule[other] is None and _covers(rule[side], address)


def _covers(text: str | None, address: Address) -> bool:
    if text is None:
        return True
    negation, _blank, plain = text.rpartition(" ")
    inside = address in parse_network(plain, "rule") if "/" in plain else address == parse_address(plain, "rule")
    return inside != bool(negation)
