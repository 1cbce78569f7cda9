# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the traffic filter of a port does to an egress IP. PRIVATE to the collection. No I/O.

A rule is a dict: ``key``, ``description``, ``sequence`` (rules count in this order, the first that fits decides),
``direction`` (``both``, ``incomingPackets``, ``outgoingPackets``), ``action`` (``accept``, ``drop``, ``other``),
``source`` and ``destination`` (an address or a network, with ``not `` before it when negated, None for any), and
``conditions``: True when it asks for something else as well, a protocol or a MAC address, say.
"""

from __future__ import annotations

from ._addresses import parse_address, parse_network


def dropped_by(rules, address):
    """Return the first rule that drops all that ``address`` (parsed) sends, or all that it gets; None when none does.

    A rule with further conditions is somebody's decision about some traffic, not about the address: it does not count.
    """
    in_order = sorted((rule for rule in rules if not rule["conditions"]), key=lambda rule: rule["sequence"])
    for side, other in (("source", "destination"), ("destination", "source")):
        for rule in in_order:
            if rule[other] is None and _covers(rule[side], address):
                if rule["action"] == "drop":
                    return rule
                # What passes one way only may still be dropped the other way.
                if rule["action"] == "accept" and rule["direction"] == "both":
                    break
    return None


def _covers(text, address):
    if text is None:
        return True
    negation, _blank, plain = text.rpartition(" ")
    inside = address in parse_network(plain, "rule") if "/" in plain else address == parse_address(plain, "rule")
    return inside != bool(negation)
