# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gives addresses of pools to EgressIP objects. PRIVATE to the collection. Pure.

Nothing is stored for it but what the nodes have anyway: each node's record names every object with its addresses, so
any node that answers tells what an object was given. An object keeps that for as long as its pool has it.
"""

from __future__ import annotations

from itertools import islice

from .._common.addresses import address_order, canonical, collapse, is_reserved_in, parse_address, parse_interface
from .._common.messages import quote
from .._common.validation import did_you_mean
from .._kubernetes.annotations import POOL, annotation_path
from .._kubernetes.objects import parse_egressip
from .pools import read_pools
from .requests import read_requests


def give_out(manifests, fleet, pools):
    """Return ``manifests`` with the addresses of pools in ``spec.egressIPs``, with ``owners`` and ``unfilled``.

    All are dicts: what the lookup `manifests` and the filter `fleet` returned, and `egress_ip_pools`. Who asks for an
    address by itself keeps it from being given out, but an object that was given it before keeps it. A broken object
    keeps what it had, by a pool or not, for its manifest tells that no more. ``owners`` {address: name of the object}
    is both, as ``assign`` takes it; ``unfilled`` is a list of sentences. InvalidError has every error of the pools.
    """
    pools = read_pools(pools)
    if not manifests["pooled"] and not manifests["broken"]:
        return {**manifests, "owners": {}, "unfilled": []}
    giver = _Giver(manifests, fleet, pools)
    giver.give()
    documents = [giver.filled(document) for document in manifests["egressips"]]
    return {**manifests, "egressips": documents, "owners": giver.owners(), "unfilled": giver.unfilled}


class _Giver:
    """``given`` {name: [address]} is what each object has for its own; what nobody else may have is in ``taken``."""

    def __init__(self, manifests, fleet, pools):
        self.pools, self.pooled = pools, {*manifests["pooled"]}
        self.held = {entry["egressIP"] for entry in fleet["current"]}
        self.given, self.unfilled = {}, []
        networks = _networks(fleet)
        # Where no node answers, neither the ends of a network nor its gateway are known.
        self.known = collapse(networks)
        self.taken = _unfit(fleet, networks)
        self.recalled = {name: entry["egressIPs"] for name, entry in fleet["recalled"].items()}
        # By name, as all that follows.
        self.requests = read_requests(manifests["egressips"])
        self.asked = {request.name: request.addresses for request in self.requests}
        # What is taken stays taken, so each pool is walked through once for all objects.
        self.free = {
            name: (address for address in pool.addresses(self.known) if address not in self.taken)
            for name, pool in pools.items()
        }

    def give(self):
        """Let all keep what they have, then give to those with a pool what they lack."""
        broken, sound = ([each for each in self.requests if bool(each.errors) == wanted] for wanted in (True, False))
        objects = [parse_egressip(request.document) for request in sound if request.name in self.pooled]
        for request in broken:
            self._take(request.name, self._given_before(request.name))
        for egressip in objects:
            self._keep(egressip)
        first = {address: request.name for request in reversed(sound) for address in request.addresses}
        for request in broken:
            self._take(request.name, self._asked_before(request.name, first))
        self.taken.update(address for addresses in self.asked.values() for address in addresses)
        for egressip in objects:
            self._fill(egressip)

    def _given_before(self, name):
        """Return what the nodes remember of an object and its document does not ask for. A pool gave it."""
        return [address for address in self.recalled.get(name, ()) if address not in self.asked[name]]

    def _asked_before(self, name, first):
        """Return what a broken object asks for as before and had, being ``first`` by name of those that ask for it."""
        mine = [address for address in self.recalled.get(name, ()) if address in self.asked[name]]
        return [address for address in mine if name <= first.get(address, name)]

    def _take(self, name, addresses):
        addresses = [address for address in addresses if address not in self.taken]
        self.given.setdefault(name, []).extend(addresses)
        self.taken.update(addresses)

    def _keep(self, egressip):
        """Let the object keep what it was given before: of too many those that a node holds."""
        remembered = self._given_before(egressip.name)
        remembered.sort(key=lambda address: (address not in self.held, address_order(address)))
        if not set(egressip.pools) <= set(self.pools):
            self._take(egressip.name, remembered)
            return
        for pool in egressip.pools:
            mine = [a for a in remembered if self.pools[pool].holds(a) and a not in self.taken]
            self._take(egressip.name, mine[: egressip.pool_size])

    def _fill(self, egressip):
        """Give the object what it lacks, and note what cannot be had."""
        path = annotation_path(f"egressip/{egressip.name}", POOL)
        unknown = [name for name in egressip.pools if name not in self.pools]
        for name in unknown:
            near = did_you_mean(name, self.pools)
            hint = f"; did you mean {near}?" if near else ""
            self.unfilled.append(f"{path}: there is no pool {quote(name)} in egress_ip_pools{hint}")
        for name in egressip.pools if not unknown else ():
            pool, had = self.pools[name], self.given.get(egressip.name, ())
            lacking = egressip.pool_size - sum(pool.holds(address) for address in had)
            found = list(islice(self.free[name], max(0, lacking)))
            self._take(egressip.name, found)
            if len(found) < lacking:
                has = egressip.pool_size - lacking + len(found)
                text = f"the pool {name} has {has} of the {egressip.pool_size} addresses that are wanted"
                hint = "; of others no node that answers has the network" if pool.exceeds(self.known) else ""
                self.unfilled.append(f"{path}: {text}{hint}")

    def filled(self, document):
        """Return the document with what its object was given. Without a pool in it, that would hide an error."""
        name, spec = _name_of(document), document.get("spec")
        given = [address for address in self.given.get(name, ()) if address not in self.asked[name]]
        if (
            not given
            or name not in self.pooled
            or not isinstance(spec, dict)
            or not isinstance(spec.get("egressIPs"), list)
        ):
            return document
        given.sort(key=address_order)
        return {**document, "spec": {**spec, "egressIPs": [*spec["egressIPs"], *given]}}

    def owners(self):
        """Return {address: name of the object that was given it}."""
        return {address: name for name, addresses in self.given.items() for address in addresses}


def _name_of(document):
    metadata = document.get("metadata") if isinstance(document, dict) else None
    return metadata.get("name") if isinstance(metadata, dict) else None


def _networks(fleet):
    """Return the set of the networks of all nodes that answered."""
    answers = fleet["observed"].values()
    own = {text for answer in answers for each in answer["networks"] for text in each["addresses"]}
    return {parse_interface(text, "networks").network for text in own}


def _unfit(fleet, networks):
    """Return the addresses that no object can be given: nodes' own, gateways, the ends of the nodes' networks."""
    unfit = {address for member in fleet["members"] for address in member["addresses"]}
    unfit |= {address for answer in fleet["observed"].values() for address in answer.get("gateways", ())}
    unfit = {canonical(parse_address(address, "addresses")) for address in unfit}
    for network in networks:
        ends = (network.network_address, network.broadcast_address)
        unfit |= {canonical(end) for end in ends if is_reserved_in(end, network)}
    return unfit
