# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Users of the host whose processes are pods: the routing and the nftables chains for their packets. PRIVATE. No I/O.

The kernel routes a packet of the host before nftables sees it. The route of such a user leads to the tunnel device
without a far end, where the kernel drops the packet. The chain `users` marks it, so that the kernel routes it again: to
the tunnel of its egress IP, or as any other packet of the host. Without the tables, none leaves the node.

A node without such users has none of this.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Mapping, Optional

from .._common.addresses import VERSIONS, WORDS
from .._common.uid_ranges import UidRange
from .esp import IPSEC
from .named_networks import Follows, NamedNetworks
from .nft_networks import ChainOf, verdict_of
from .nft_table import ChainState, base_chain, chain_of
from .nft_tunnel import WITHOUT_CONNECTION
from .node_state import NodeState
from .numbers import CONNTRACK_ZONE, LAST_METRIC, NFT_MARK, NFT_RAW, RULE_USERS
from .options import DataPlaneOptions

# {IP version: {users: what their packets follow, None for those that are dropped}}
Users = Mapping[int, Mapping[UidRange, Optional[Follows]]]

# The number of the protocol: hosts without /etc/protocols do not know its name.
UDP = 17
# {IP version: all destinations}
ANY = {4: "0.0.0.0/0", 6: "::/0"}
_DROP_OUTSIDE = tuple(f"{ip} daddr != @excluded{version} drop" for version, ip in WORDS.items())
# New connections from an address that this host does not have.
_FORGED = "ct state new ip6 saddr != fe80::/10 fib saddr type != local"


def users_of(state: NodeState) -> Users:
    """Return the users whose packets must not leave with the node's address; no IP version without any."""
    if not any(item.uids for item in state.networks):
        return {}
    named = NamedNetworks(state)
    found = {version: named.users(version) for version in VERSIONS}
    return {version: users for version, users in found.items() if users}


def followed_by_users(users: Users) -> set[Follows]:
    """Return all objects that packets of users follow together."""
    return {names for each in users.values() for names in each.values() if names}


# --- iproute2 ---------------------------------------------------------------------------------------------------------


def user_rules(options: DataPlaneOptions, users: Iterable[UidRange]) -> Iterator[str]:
    """Yield the rules that route packets of users without a mark, see `user_routes`."""
    for each in users:
        yield (
            f"priority {options.rule_priority + RULE_USERS} fwmark 0x0/{options.mark_mask:#x} iif lo"
            f" uidrange {each.first}-{each.last} lookup {options.first_table}"
        )


def own_packets(options: DataPlaneOptions) -> str:
    """Return the match of the packets of the host that our rules skip on a node with users: those of the tunnel."""
    return f"iif lo ipproto {UDP} dport {options.tunnel_port}"


def user_routes(options: DataPlaneOptions, version: int, source: str, excluded: Iterable[str]) -> Iterator[str]:
    """Yield the routes of packets of users without a mark: to `excluded` networks as all packets, else to no host.

    `source` is the node's endpoint of the IP version.
    """
    table = options.first_table
    yield from (f"throw {network} table {table}" for network in excluded)
    yield f"default dev {options.tunnel_device} src {source} table {table}"
    # While the device is gone.
    yield f"unreachable {ANY[version]} metric {LAST_METRIC} table {table}"


# --- nftables ---------------------------------------------------------------------------------------------------------


def user_chains(state: NodeState, users: Users, chain: ChainOf) -> dict[str, ChainState]:
    """Return {name: chain} of the chains for the packets of users; none without users."""
    if not users:
        return {}
    header = base_chain("route", "output", NFT_MARK)
    return {
        "users_raw": chain_of(base_chain("filter", "output", NFT_RAW), _own_zone(state.options, users)),
        "users": chain_of(header, *_output(state.options, users)),
        "user": chain_of("", *_user(state.options, users, chain)),
    }


def _own_zone(options: DataPlaneOptions, users: Users) -> str:
    """Return the rule that keeps the connections of these users apart from those of others.

    Another user may have had a connection from the same port to the same server a moment ago, with another source. In
    TCP, a new connection replaces the old one, whose last packets have no user. Replies belong to the usual zone.
    """
    new = f"meta mark and {options.mark_mask:#x} == 0 meta l4proto != tcp"
    return f"{new} meta skuid {{ {_listed(users)} }} ct original zone set {CONNTRACK_ZONE}"


def _output(options: DataPlaneOptions, users: Users) -> Iterator[str]:
    mask = f"{options.mark_mask:#x}"
    # The outer packets of the tunnel inherit the mark, and the socket of the user.
    yield f"udp dport {options.tunnel_port} meta mark and {mask} != 0 return"
    if options.tunnel_encryption == IPSEC:
        yield f"meta l4proto esp meta mark and {mask} != 0 return"
    # Also those of a socket whose process has ended.
    yield f"ct direction original ct state != related ct mark and {mask} vmap @marks"
    yield f"meta skuid {{ {_listed(users)} }} goto user"
    yield f'oifname "{options.tunnel_device}" goto user'


def _user(options: DataPlaneOptions, users: Users, chain: ChainOf) -> Iterator[str]:
    """Yield the rules for packets of users: as for those of pods in `prerouting`."""
    # Without a capability, a program can send from addresses of other hosts (IPV6_FREEBIND). The rest of such a
    # connection would look like replies.
    yield f"{_FORGED} fib daddr type local drop"
    yield f"{_FORGED} ip6 daddr @excluded6 drop"
    # A packet that is routed again loses the interface that its program has chosen.
    yield "fib daddr type { local, broadcast, multicast } return"
    yield f"meta mark set meta mark or {options.mark_mask:#x}"
    yield f"{WITHOUT_CONNECTION} jump without_connection"
    yield "ct direction reply return"
    if options.unassigned != "drop":
        yield "ct state != new return"
    for version, ip in WORDS.items():
        verdicts = {each.text: verdict_of(follows, chain) for each, follows in users.get(version, {}).items()}
        if verdicts:
            listed = ", ".join(f"{text} : {verdict}" for text, verdict in verdicts.items())
            yield f"{ip} daddr != @excluded{version} meta skuid vmap {{ {listed} }}"
    # Of a socket whose process has ended, and whose connection is unknown.
    yield from _DROP_OUTSIDE


def closed_user_rules(state: NodeState) -> list[str]:
    """Return the rules for the hook output that drop what users send to destinations that are not excluded."""
    users = users_of(state)
    return [f"meta skuid {{ {_listed(users)} }} {rule}" for rule in _DROP_OUTSIDE] if users else []


def _listed(users: Users) -> str:
    return ", ".join(each.text for each in sorted({each for found in users.values() for each in found}))
