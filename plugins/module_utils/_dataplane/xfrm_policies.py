# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stops the packets of selected pods when our nftables tables are gone. PRIVATE to the collection. Pure.

The tables mark every packet of a selected pod that they have seen. For each such pod the kernel has an IPsec policy
which blocks what is forwarded from there without a mark: `nft flush ruleset` cannot remove it, and the kernel finds it
in a tree, however many there are. It comes after the policies of others, if a host has any.
"""

from __future__ import annotations

from .._common.addresses import version_of

# The number says whose they are; hardly any comes after it.
PRIORITY = 4294967225
_OURS = f"dir fwd action block priority {PRIORITY}"
# What shows them, one in a line.
READ_ARGUMENTS = ("-oneline", "xfrm", "policy", "list", *_OURS.split())
_LENGTHS = {4: 32, 6: 128}


def desired_policies(state):
    """Return the policies that a NodeState asks for: a frozenset of texts `src NETWORK mark VALUE mask MASK`."""
    return frozenset(
        f"src {pod.address}/{_LENGTHS[version_of(pod.address)]} mark 0x0 mask {state.options.mark_mask:#x}"
        for pod in state.pods
    )


def parse_policies(text):
    """Read what `ip` printed for READ_ARGUMENTS."""
    return frozenset(_parse_policy(line.split()) for line in text.splitlines() if line.strip())


def _parse_policy(words):
    mark = words[words.index("mark") + 1] if "mark" in words else "0/0"
    value, mask = (int(number, 0) for number in mark.split("/"))
    return f"src {words[1]} mark {value:#x} mask {mask:#x}"


def policy_lines(current, desired):
    """Return (lines before, lines after) for `ip -batch`: before and after the change of the nftables tables.

    One that is gone takes all others along: `ip` cannot delete a single one whose mark is zero without looking at all.
    """
    if current - desired:
        return [f"xfrm policy deleteall {_OURS}"], _additions(desired)
    return [], _additions(desired - current)


def _additions(policies):
    return [f"xfrm policy update {words} {_OURS}" for words in sorted(policies)]
