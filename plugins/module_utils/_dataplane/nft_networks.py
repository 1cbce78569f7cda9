# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sets and rules of nftables for networks of containers and VMs. PRIVATE to the collection. No I/O.

A node without such networks has none of them, and no packet pays for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Callable, Dict, Mapping, NamedTuple

from .._common.addresses import VERSIONS, WORDS, Network, is_private, of_version, outermost, parse_network
from .named_networks import Classes, Follows, NamedNetworks
from .nft_addresses import SINGLE, network_text
from .nft_table import INTERVALS, SetState
from .node_state import NEVER_EXTERNAL, NodeState

# Returns the name of the chain in which a packet follows these objects.
ChainOf = Callable[[Follows], str]
Sets = Dict[str, SetState]
DROP, KEEP = "drop", "return"


class Inner(NamedTuple):
    """The CIDRs of all networks of containers and VMs on this node: on its bridges, and idle ones without a bridge."""

    bridged: tuple[str, ...] = ()
    idle: tuple[str, ...] = ()

    @property
    def known(self) -> list[str]:
        """All of them, none inside another one."""
        return [
            str(network) for network in outermost(parse_network(cidr, "inner") for cidr in (*self.bridged, *self.idle))
        ]

    @property
    def excluded(self) -> list[str]:
        """The private ones on bridges, where the node delivers packets itself.

        Packets to an idle network leave the node as others do.
        """
        return [cidr for cidr in self.bridged if is_private(parse_network(cidr, "inner"))]


def closes_unknown(state: NodeState) -> bool:
    """Return whether packets from bridges whose networks the node does not know yet are dropped."""
    return state.names_networks and state.options.unknown_pods == "drop"


def excluded_networks(state: NodeState, version: int, inner: Inner) -> list[Network]:
    """Return the networks of one IP version to which no packet uses an egress IP; none lies in another."""
    texts = [*NEVER_EXTERNAL, *state.excluded, *state.egress_ips, *(a for node in state.nodes for a in node.addresses)]
    texts += [*(NamedNetworks(state).excluded if state.networks else ()), *inner.excluded]
    return outermost(
        parse_network(text if "/" in text else f"{text}{SINGLE[version]}", "excluded")
        for text in of_version(texts, version)
    )


def classes_of(state: NodeState) -> dict[int, Classes]:
    """Return {IP version: Classes}."""
    named = NamedNetworks(state)
    return {version: named.classes(version) for version in VERSIONS}


def network_sets(state: NodeState, classes: Classes, version: int, inner: Inner, chain: ChainOf) -> Sets:
    """Return the sets and maps for one IP version."""
    if not state.names_networks:
        return {}
    kind = f"ipv{version}_addr"
    guarded = [str(network) for network in NamedNetworks(state).guarded]
    verdicts = {network_text(cidr, version): verdict_of(each, chain) for cidr, each in classes.by_network.items()}
    sets = {
        # From these, no packet leaves with the node's address unless its pod is known.
        f"guarded{version}": _networks(kind, of_version(guarded, version), version),
        f"networks{version}": SetState("map", f"{{ type {kind} : verdict; {INTERVALS} }}", verdicts),
    }
    if closes_unknown(state):
        sets[f"inner{version}"] = _networks(kind, of_version(inner.known, version), version)
    return sets


def _networks(kind: str, networks: Sequence[str], version: int) -> SetState:
    elements = dict.fromkeys(network_text(network, version) for network in networks)
    return SetState("set", f"{{ type {kind}; {INTERVALS} }}", elements)


def verdict_of(follows: Follows | None, chain: ChainOf) -> str:
    """Return the verdict about packets that follow these objects, None for those that are dropped."""
    if follows is None:
        return DROP
    return f"goto {chain(follows)}" if follows else KEEP


def guard_rules(state: NodeState) -> Iterator[str]:
    """Yield the rules for all packets from guarded networks, as for those from selected pods."""
    if state.names_networks:
        yield from (f"{ip} saddr @guarded{v} jump selected" for v, ip in WORDS.items())


def outside_interfaces(state: NodeState, classes: Mapping[int, Classes]) -> str:
    """Return the matches, each with a space behind it, of packets to which no rule for an interface applies."""
    if not state.names_networks:
        return ""
    names = sorted({name for each in classes.values() for name in each.by_interface})
    quoted = ", ".join(f'"{name}"' for name in names)
    others = f"iifname != {{ {quoted} }} " if names else ""
    return others + ('meta iifkind != "bridge" ' if closes_unknown(state) else "")


def network_rules(
    state: NodeState, classes: dict[int, Classes], outward: Sequence[str], chain: ChainOf
) -> Iterator[str]:
    """Yield the rules for packets of pods without an address in the state: by network, then by interface."""
    if not state.names_networks:
        return
    options = state.options
    only_new = "" if DROP in (options.unassigned, options.unknown_pods) else "ct state new "
    for v, ip in WORDS.items():
        yield f"{only_new}{ip} daddr != @excluded{v} {ip} saddr vmap @networks{v}"
    for v, ip in WORDS.items():
        for name, follows in classes[v].by_interface.items():
            yield f'iifname "{name}" {only_new}{ip} daddr != @excluded{v} {verdict_of(follows, chain)}'
    if closes_unknown(state):
        # A network that was created, or created again with other addresses, until the node knows it.
        names = ", ".join(f'"{name}"' for name in outward)
        bridges = f"iifname != {{ {names} }} " if outward else ""
        for v, ip in WORDS.items():
            yield f'{bridges}meta iifkind "bridge" {ip} saddr != @inner{v} {ip} daddr != @excluded{v} drop'
