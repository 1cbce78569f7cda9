# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a new connection chooses among the addresses of an object, in nftables. PRIVATE to the collection. No I/O.

A hash of source and destination chooses among all addresses of the connection's IP version. If they differ in the
destinations that they reach (`EgressObject.reaches`), it chooses among those in whose networks the destination lies,
and for other destinations among those with a router.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from .._common.addresses import VERSIONS, WORDS, of_version, version_of
from .._common.destinations import Destinations, objects_by_network
from .nft_table import INTERVALS, ChainState, SetState, chain_of, fingerprint
from .node_state import EgressObject, NodeState, Reach, slots

# {IP version: prefix length of a single address}
SINGLE = {4: "/32", 6: "/128"}
# In an object with as many slots to compare, a map is quicker.
_FEW = 4


def object_chain(name: str) -> str:
    """Return the name of an object's chain; a name too long for nft is cut and gets a hash."""
    chain = f"object_{name}"
    return chain if len(chain) <= 100 else f"{chain[:80]}_{fingerprint(name)}"


def name_of(kind: str, egress_ip: str) -> str:
    """Return the name of an item of one egress IP: the chain `mark`, the counters `transmit` and `receive`."""
    # nft accepts no colon in a name.
    return f"{kind}_{egress_ip.replace(':', '-')}"


def network_text(network: str, version: int) -> str:
    """Return a network in the words of nft, which omits the prefix length of a single address."""
    return network.replace(SINGLE[version], "")


def object_chains(state: NodeState) -> dict[str, ChainState]:
    """Return the chains in which the objects choose one of their assigned addresses.

    The last rule of an object's chain is for packets of an IP version without an assigned address.
    """
    otherwise = "drop" if state.options.unassigned == "drop" else "return"
    chains = {object_chain(item.name): chain_of("", *_object_rules(item), otherwise) for item in state.egressips}
    for item in state.egressips:
        for version in VERSIONS:
            near = _slots_by_network(item, version)
            chains.update({_near_chain(item, network): chain_of("", *_choice(near[network])) for network in near})
    return chains


def object_maps(state: NodeState) -> dict[str, SetState]:
    """Return the maps from the networks of the objects' addresses to the chains that choose among those addresses."""
    return {
        _near_map(item, version): _network_map(item, version, near)
        for item in state.egressips
        for version in VERSIONS
        for near in [_slots_by_network(item, version)]
        if near
    }


def _network_map(item: EgressObject, version: int, networks: Iterable[str]) -> SetState:
    disjoint = objects_by_network([(network, Destinations((network,))) for network in networks], version)
    elements = {network_text(part, version): f"goto {_near_chain(item, whole)}" for part, whole in disjoint.items()}
    return SetState("map", f"{{ type ipv{version}_addr : verdict; {INTERVALS} }}", elements)


def _object_rules(item: EgressObject) -> Iterator[str]:
    for version, ip in WORDS.items():
        if _slots_by_network(item, version):
            yield f"{ip} daddr vmap @{_near_map(item, version)}"
        chosen = _routed_slots(item, version)
        if chosen:
            yield from _choice(chosen)


def _slots_by_network(item: EgressObject, version: int) -> dict[str, tuple[str, ...]]:
    """Return {network: slots} of the networks of the interfaces that hold an address of the object."""
    reaches = _of_version(item, version)
    networks = sorted({network for reach in reaches for network in reach.networks})
    found = {
        network: _slots_among(item, [each for each in reaches if network in each.networks]) for network in networks
    }
    return {network: chosen for network, chosen in found.items() if chosen}


def _routed_slots(item: EgressObject, version: int) -> tuple[str, ...]:
    """Return the slots of the addresses with a router; without any, all: no packet leaves with another source."""
    routed = [reach for reach in _of_version(item, version) if reach.routed]
    return _slots_among(item, routed) or of_version(item.slots, version)


def _of_version(item: EgressObject, version: int) -> list[Reach]:
    return [reach for reach in item.reaches if version_of(reach.egress_ip) == version]


def _slots_among(item: EgressObject, reaches: Iterable[Reach]) -> tuple[str, ...]:
    return slots([reach.egress_ip for reach in reaches], item.slots)


def _choice(chosen: Sequence[str]) -> Iterator[str]:
    """Yield the rules that choose among the slots of one IP version by a hash.

    Few slots need no map: the kernel compares the name of a new anonymous map with all others of the table, so that
    a table with one for each object takes a time that grows with the square of their number.
    """
    version, others = version_of(chosen[0]), {*chosen} - {chosen[-1]}
    ip, chains = WORDS[version], {each: name_of("mark", each) for each in chosen}
    draw = f"jhash {ip} saddr . {ip} daddr mod {len(chosen)} seed 0x1"
    # Many slots can belong to few addresses: those of lost addresses do.
    if sum(each in others for each in chosen) < _FEW:
        yield from (f"{draw} == {i} goto {chains[each]}" for i, each in enumerate(chosen) if each in others)
        yield f"meta nfproto ipv{version} goto {chains[chosen[-1]]}"
    else:
        verdicts = ", ".join(f"{i} : goto {chains[each]}" for i, each in enumerate(chosen))
        yield f"{draw} vmap {{ {verdicts} }}"


def _near_map(item: EgressObject, version: int) -> str:
    return f"near{version}_{fingerprint(item.name)}"


def _near_chain(item: EgressObject, network: str) -> str:
    return f"near_{fingerprint(f'{item.name} {network}')}"
