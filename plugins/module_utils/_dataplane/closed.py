# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ready-made texts that drop the traffic of selected pods while nothing else works at boot. PRIVATE. No I/O.

They need no Python: the unit that loads them starts when the program fails. The table has the usual name, so the next
run or restore replaces it in one transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from .._common.addresses import WORDS
from .host_users import closed_user_rules
from .nft_ruleset import desired_tables
from .nft_table import INET, base_chain, chain_of
from .nft_transaction import script
from .node_state import NodeState
from .numbers import NFT_FORWARD, NFT_MARK
from .xfrm_policies import desired_policies, policy_lines

_CHAIN, _USERS = "closed", "closed_users"


def closed_ruleset(state: NodeState, marks: Mapping[str, int]) -> str:
    """Return the text for `nft -f` that drops what selected pods and users send to destinations outside."""
    table = desired_tables(state.holding(()), marks, 0)[INET]
    sources = {v: [name for name in (f"selected{v}", f"guarded{v}") if name in table.sets] for v in WORDS}
    rules = [f"{ip} saddr @{name} {ip} daddr != @excluded{v} drop" for v, ip in WORDS.items() for name in sources[v]]
    sets = {name: table.sets[name] for v in WORDS for name in (*sources[v], f"excluded{v}")}
    chains = {_CHAIN: chain_of(base_chain("filter", "forward", NFT_FORWARD), *rules)}
    of_users = closed_user_rules(state)
    if of_users:
        chains[_USERS] = chain_of(base_chain("filter", "output", NFT_MARK), *of_users)
    closed = replace(table, sets=sets, chains=chains, counters=frozenset())
    return "".join(f"{line}\n" for line in script({}, {INET: closed}))


def closed_policies(state: NodeState) -> str:
    """Return the text for `ip -batch` that blocks packets of selected pods that our tables have not marked."""
    before, after = policy_lines(frozenset(), desired_policies(state))
    return "".join(f"{line}\n" for line in (*before, *after))
