# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""IPsec policies that stop the packets of selected pods while our nftables tables are gone. PRIVATE. No I/O.

The tables mark every packet of a selected pod that they have processed. For each such pod, and for each network of such
pods, the kernel has a policy that blocks forwarded packets from its addresses without a mark. `nft flush ruleset` does
not remove it, and the kernel finds it in a tree, so that its cost does not grow with the number of pods. Policies of
others take precedence.
"""

from __future__ import annotations

from collections.abc import Iterable

from .._common.addresses import version_of
from .named_networks import NamedNetworks
from .node_state import NodeState
from .numbers import POLICY_PRIORITY

_OURS = f"dir fwd action block priority {POLICY_PRIORITY}"
# Arguments with which `ip` lists our policies, one per line.
READ_ARGUMENTS = ("-oneline", "xfrm", "policy", "list", *_OURS.split())
_LENGTHS = {4: 32, 6: 128}


def desired_policies(state: NodeState) -> frozenset[str]:
    """Return the policies for the selected pods of `state`, each as `src NETWORK mark VALUE mask MASK`.

    A pod without objects in a network with some is stopped too, since its packets pass the same chain.
    """
    networks = [f"{pod.address}/{_LENGTHS[version_of(pod.address)]}" for pod in state.pods if pod.egressips]
    networks += map(str, NamedNetworks(state).guarded if state.networks else ())
    return frozenset(f"src {network} mark 0x0 mask {state.options.mark_mask:#x}" for network in networks)


def parse_policies(text: str) -> frozenset[str]:
    """Return the policies in the output of `ip` for READ_ARGUMENTS, in the form of `desired_policies`."""
    return frozenset(_parse_policy(line.split()) for line in text.splitlines() if line.strip())


def _parse_policy(words: list[str]) -> str:
    mark = words[words.index("mark") + 1] if "mark" in words else "0/0"
    value, mask = (int(number, 0) for number in mark.split("/"))
    return f"src {words[1]} mark {value:#x} mask {mask:#x}"


def policy_lines(current: frozenset[str], desired: frozenset[str]) -> tuple[list[str], list[str]]:
    """Return lines for `ip -batch` that come (before, after) the change of the nftables tables.

    One surplus policy means that all are deleted and added: `ip` cannot select a single one whose mark is zero.
    """
    if current - desired:
        return [f"xfrm policy deleteall {_OURS}"], _additions(desired)
    return [], _additions(desired - current)


def _additions(policies: Iterable[str]) -> list[str]:
    return [f"xfrm policy update {words} {_OURS}" for words in sorted(policies)]
