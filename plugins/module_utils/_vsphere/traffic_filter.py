# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the traffic filter of a port does to an egress IP. PRIVATE to the collection. No I/O.

Rules are in the order of their sequence numbers, and the first that fits decides. A rule is a dict: ``description``,
``sequence``, ``direction`` (``both``, ``incomingPackets`` for what the guest gets, ``outgoingPackets`` for what it
sends), ``action`` (``accept``, ``drop``, ``other``), ``source`` and ``destination`` (an address or a network, with
``not `` before it when negated, None for any), and ``conditions``: True when it asks for something else as well, a
protocol or a MAC address, say.
"""

from __future__ import annotations

from .._common.addresses import canonical, parse_address, parse_network
from .._common.errors import VsphereError
from .change_note import TAG

# Our rules are told from others by their description: the tag, a blank, the address.
_SIDES = (("source", "destination"), ("destination", "source"))
# What an address sends has it as source and goes out; what it gets has it as destination and comes in.
_SENT, _GOT = (*_SIDES[0], "outgoingPackets"), (*_SIDES[1], "incomingPackets")


def dropped_by(rules, address):
    """Return the first rule that drops all that ``address`` (parsed) sends, or all that it gets; None when none does.

    A rule with further conditions is somebody's decision about some traffic, not about the address: it does not count.
    """
    drops = [_dropping(rules, address, *way) for way in (_SENT, _GOT)]
    return min((rule for rule in drops if rule), key=_sequence, default=None)


def allow(rules, addresses, path):
    """Return ``rules`` with rules of ours that let each of ``addresses`` (parsed) pass that is dropped, in order.

    Ours come right before the rule that drops, so that all other decisions stay as they are. VsphereError begins with
    ``path`` when there is no room for them.
    """
    for address in addresses:
        rule = dropped_by(rules, address)
        if rule:
            rules = (*rules, *_ours(rules, rule, address, path))
    return tuple(sorted(rules, key=_sequence))


def without(rules, addresses):
    """Return ``rules`` without those of ours for ``addresses`` (parsed)."""
    return tuple(rule for rule in rules if rule["description"] not in {tag(address) for address in addresses})


def is_ours(rule):
    """Tell whether a rule is one of ours, for whatever address."""
    return rule["description"].startswith(f"{TAG} ")


def tag(address):
    """Return the description of our rules for an address (parsed)."""
    return f"{TAG} {canonical(address)}"


def _sequence(rule):
    return rule["sequence"]


def _ours(rules, drop, address, path):
    """Return two rules, one for either side of the traffic, that come before ``drop`` and after all before it."""
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


def _dropping(rules, address, side, other, direction):
    """Return the rule that drops what has the address on a side and goes in a direction, None when it passes."""
    meant = [rule for rule in rules if not rule["conditions"] and rule["direction"] in ("both", direction)]
    for rule in sorted(meant, key=_sequence):
        if rule["action"] in ("accept", "drop") and rule[other] is None and _covers(rule[side], address):
            return rule if rule["action"] == "drop" else None
    return None


def _covers(text, address):
    if text is None:
        return True
    negation, _blank, plain = text.rpartition(" ")
    inside = address in parse_network(plain, "rule") if "/" in plain else address == parse_address(plain, "rule")
    return inside != bool(negation)
