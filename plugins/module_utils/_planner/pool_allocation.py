# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The owners of addresses, and the allocation of addresses of pools. PRIVATE to the collection. Pure.

The state is in the records of the nodes: each names every object with its own addresses, so any node that answers
suffices. An object keeps an allocated address as long as its pool contains it. Of two objects that request one address,
its owner keeps it as long as it requests it.
"""

from __future__ import annotations

from itertools import islice
from typing import Any, Iterable, Iterator, Mapping, NamedTuple, Sequence

from .._common.addresses import (
    Network,
    address_order,
    canonical,
    is_reserved_in,
    parse_address,
    parse_interface,
)
from .._common.messages import quote
from .._common.validation import did_you_mean
from .._kubernetes.annotations import POOL, annotation_path
from .._kubernetes.objects import EgressIP
from .candidates import Candidates
from .nodes import read_nodes
from .pools import Pool, read_pools
from .requests import Requests, requests_of


class PoolUse(NamedTuple):
    """How many addresses a pool has, how many of them objects have, and how many can be allocated now.

    The rest is in no network of a node that answers, or unfit, such as a gateway.
    """

    name: str
    addresses: int
    used: int
    free: int


class Allocation(NamedTuple):
    """The Requests with allocated addresses and their owners, and the use of each pool in the order of their names.

    ``unfilled``: a sentence for each missing address.
    """

    requests: Requests
    unfilled: tuple[str, ...] = ()
    uses: tuple[PoolUse, ...] = ()


def allocate_pools(egressips: Sequence[EgressIP], fleet: Mapping[str, Any], pools: object) -> Allocation:
    """Return the Allocation for these objects.

    ``fleet`` is the dict of a Fleet, ``pools`` the value of ``egress_ip_pools``. An address that an object lists in its
    manifest is not allocated to others, but an object keeps one that was allocated to it before. A broken object keeps
    all its recorded addresses, since its manifest does not name them reliably. InvalidError has every error of the
    pools.
    """
    read = read_pools(pools)
    recorded = any(egressip.name in fleet["recalled"] for egressip in egressips)
    if not recorded and not read and not any(egressip.is_pooled for egressip in egressips):
        return Allocation(requests_of(egressips, {}))
    allocator = _Allocator(requests_of(egressips).egressips, fleet, read)
    allocator.allocate()
    filled = [allocator.filled(egressip) for egressip in egressips]
    return Allocation(requests_of(filled, allocator.owners()), tuple(allocator.unfilled), tuple(allocator.uses()))


class _Allocator:
    """``given``: {object name: its own addresses that its manifest does not list}; ``kept``: those that it lists.

    ``taken`` are the addresses that no other object can get.
    """

    def __init__(self, egressips: Sequence[EgressIP], fleet: Mapping[str, Any], pools: Mapping[str, Pool]) -> None:
        self.egressips, self.pools = egressips, pools
        self.held = {entry["egressIP"] for entry in fleet["current"]}
        self.given: dict[str, list[str]] = {}
        self.kept: dict[str, list[str]] = {}
        self.unfilled: list[str] = []
        self.candidates = Candidates(read_nodes(fleet["nodes"]), {}, egressips)
        # If no node answers, neither the ends of a network nor its gateway are known.
        self.networks = {name: _networks(facts) for name, facts in fleet["observed"].items()}
        self.known: dict[frozenset[str], set[Network]] = {}
        self.taken = _unfit(fleet, {network for networks in self.networks.values() for network in networks})
        self.recorded = {name: entry["egressIPs"] for name, entry in fleet["recalled"].items()}
        self.requested = {egressip.name: egressip.egress_ips for egressip in egressips}
        self.free: dict[tuple[str, frozenset[str]], Iterator[str]] = {}

    def _known(self, names: frozenset[str]) -> set[Network]:
        """Return the networks of these nodes, as far as they answered."""
        if names not in self.known:
            self.known[names] = {network for name in names for network in self.networks.get(name, ())}
        return self.known[names]

    def _free_of(self, pool: Pool, names: frozenset[str]) -> Iterator[str]:
        """Return the free addresses of a pool that these nodes can hold.

        Objects with the same nodes share the iterator, since a taken address stays taken.
        """
        key = pool.name, names
        if key not in self.free:
            addresses = pool.addresses(self._known(names))
            self.free[key] = (address for address in addresses if address not in self.taken)
        return self.free[key]

    def allocate(self) -> None:
        """Let all objects keep their addresses, then allocate the missing ones to those with a pool."""
        broken, valid = ([each for each in self.egressips if bool(each.errors) == has] for has in (True, False))
        pooled = [egressip for egressip in valid if egressip.is_pooled]
        for egressip in broken:
            self._take(egressip.name, self._allocated_before(egressip.name))
        for egressip in pooled:
            self._keep(egressip)
        for egressip in (*valid, *broken):
            self.kept[egressip.name] = self._free_among(self._requested_before(egressip.name))
            self.taken.update(self.kept[egressip.name])
        self.taken.update(address for addresses in self.requested.values() for address in addresses)
        for egressip in pooled:
            self._fill(egressip)

    def _allocated_before(self, name: str) -> list[str]:
        """Return the recorded addresses of an object that its document does not list: a pool gave them."""
        return [address for address in self.recorded.get(name, ()) if address not in self.requested[name]]

    def _requested_before(self, name: str) -> list[str]:
        """Return the recorded addresses that the object still lists."""
        return [address for address in self.recorded.get(name, ()) if address in self.requested[name]]

    def _take(self, name: str, addresses: Iterable[str]) -> None:
        free = self._free_among(addresses)
        self.given.setdefault(name, []).extend(free)
        self.taken.update(free)

    def _free_among(self, addresses: Iterable[str]) -> list[str]:
        return [address for address in addresses if address not in self.taken]

    def _keep(self, egressip: EgressIP) -> None:
        """Let the object keep its allocated addresses; if they are too many, those that a node holds."""
        recorded = self._allocated_before(egressip.name)
        recorded.sort(key=lambda address: (address not in self.held, address_order(address)))
        names, size = egressip.annotations.pools, egressip.annotations.pool_size
        if not set(names) <= set(self.pools):
            self._take(egressip.name, recorded)
            return
        for name in names:
            mine = [a for a in recorded if self.pools[name].contains(a) and a not in self.taken]
            self._take(egressip.name, mine[:size])

    def _fill(self, egressip: EgressIP) -> None:
        """Allocate the missing addresses of the object, and note those that cannot be allocated."""
        path = annotation_path(f"egressip/{egressip.name}", POOL)
        names, size = egressip.annotations.pools, egressip.annotations.pool_size
        unknown = [name for name in names if name not in self.pools]
        for name in unknown:
            near = did_you_mean(name, self.pools)
            hint = f"; did you mean {near}?" if near else ""
            self.unfilled.append(f"{path}: there is no pool {quote(name)} in egress_ip_pools{hint}")
        for name in names if not unknown else ():
            pool, given = self.pools[name], self.given.get(egressip.name, ())
            lacking = size - sum(pool.contains(address) for address in given)
            nodes = self.candidates.eligible_for(egressip)
            found = list(islice(self._free_of(pool, nodes), max(0, lacking)))
            self._take(egressip.name, found)
            if len(found) < lacking:
                text = f"the pool {name} has {size - lacking + len(found)} of the {size} addresses that are wanted"
                exceeds = pool.exceeds(self._known(nodes))
                hint = "; no selected node that answers has the network of the others" if exceeds else ""
                self.unfilled.append(f"{path}: {text}{hint}")

    def filled(self, egressip: EgressIP) -> EgressIP:
        """Return the object with its allocated addresses. Without a pool, they would hide an error."""
        spec = egressip.document.get("spec") if isinstance(egressip.document, dict) else None
        listed = spec.get("egressIPs") if isinstance(spec, dict) else None
        given = [a for a in self.given.get(egressip.name, ()) if a not in self.requested[egressip.name]]
        if not given or not egressip.is_pooled or not isinstance(listed, list):
            return egressip
        return egressip.with_addresses(sorted(given, key=address_order))

    def uses(self) -> Iterator[PoolUse]:
        """Yield how far each pool is used."""
        networks = self._known(self.candidates.eligible_names)
        had = {address for given in (self.given, self.requested) for each in given.values() for address in each}
        for name, pool in sorted(self.pools.items()):
            used = sum(pool.contains(address) for address in had)
            yield PoolUse(name, pool.size, used, pool.free(networks, self.taken))

    def owners(self) -> dict[str, str]:
        """Return {address: name of the only object that gets it}."""
        own = (*self.given.items(), *self.kept.items())
        return {address: name for name, addresses in own for address in addresses}


def _networks(facts: Mapping[str, Any]) -> set[Network]:
    """Return the networks of a node that answered."""
    own = {text for each in facts["networks"] for text in each["addresses"]}
    return {parse_interface(text, "networks").network for text in own}


def _unfit(fleet: Mapping[str, Any], networks: Iterable[Network]) -> set[str]:
    """Return the addresses that cannot be allocated: nodes' own, gateways, the ends of the nodes' networks."""
    texts = {address for member in fleet["members"] for address in member["addresses"]}
    texts |= {address for answer in fleet["observed"].values() for address in answer.get("gateways", ())}
    unfit = {canonical(parse_address(address, "addresses")) for address in texts}
    for network in networks:
        ends = (network.network_address, network.broadcast_address)
        unfit |= {canonical(end) for end in ends if is_reserved_in(end, network)}
    return unfit
