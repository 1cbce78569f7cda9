# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The EgressIP objects that request addresses, and the nodes that hold them. PRIVATE to the collection. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Collection, Dict, Iterable, List, NamedTuple, Sequence, Tuple

from .._common.addresses import canonical_address
from .._common.errors import PlanError
from .._common.messages import type_name
from .._kubernetes.manifests import read_egressips
from .._kubernetes.objects import EgressIP


class Holder(NamedTuple):
    """A node that holds an address, and the object that it holds it for (None: unknown)."""

    node: str
    name: str | None = None


# The sorted holders of each canonical address.
Holders = Dict[str, Tuple[Holder, ...]]
# The objects that claim each canonical address; the first keeps or gets it.
Claims = Dict[str, List[EgressIP]]


@dataclass(frozen=True)
class Requests:
    """The EgressIP objects of a plan, ordered by name, broken ones included.

    ``owners`` {canonical address: name of an object}: addresses that only this object gets, as ``allocate_pools``
    determines them; None if no owners are known.
    """

    egressips: tuple[EgressIP, ...]
    owners: Mapping[str, str] | None = None

    def owns(self, egressip: EgressIP, address: str) -> bool:
        """Return whether only this object gets the address."""
        return self.owners is not None and self.owners.get(address) == egressip.name


def read_requests(documents: Iterable[object], owners: Mapping[str, str] | None = None) -> Requests:
    """Return the Requests of EgressIP documents."""
    return requests_of(read_egressips(documents), owners)


def requests_of(egressips: Sequence[EgressIP], owners: Mapping[str, str] | None = None) -> Requests:
    """Return the Requests of objects; several objects with one name are all broken."""
    counts = Counter(egressip.name for egressip in egressips)
    checked = [_refuse_repeated(each, counts[each.name]) if counts[each.name] > 1 else each for each in egressips]
    checked.sort(key=lambda each: (each.name, repr(each.document) if counts[each.name] > 1 else ""))
    return Requests(tuple(checked), owners)


def read_current(
    current: Iterable[object], egressips: Iterable[EgressIP], nodes: Collection[str] | None = None
) -> Holders:
    """Return {canonical address: its sorted Holders}.

    ``current`` is a list of ``{egressIP, node, name (optional)}``. The status of an object applies only to addresses
    without an entry there, and to these ``nodes`` if they are given: others are those of another cluster. PlanError or
    EgressIPError names a malformed entry.
    """
    holders: dict[str, set[Holder]] = {}
    for index, entry in enumerate(current):
        address, holder = _read_entry(entry, f"current[{index}]")
        holders.setdefault(address, set()).add(holder)
    observed = set(holders)
    for egressip in egressips:
        for address, node in egressip.assignments:
            if address not in observed and (nodes is None or node in nodes):
                holders.setdefault(address, set()).add(Holder(node, egressip.name))
    return {
        address: tuple(sorted(found, key=_holder_order) if len(found) > 1 else found)
        for address, found in holders.items()
    }


def _holder_order(holder: Holder) -> tuple[str, str]:
    return holder.node, holder.name or ""


def claimants(requests: Requests, holders: Holders) -> Claims:
    """Return {address: [objects that request it or, if broken, hold or own it]}; the first keeps or gets it.

    The first is its owner, else the object that a holder names, else one whose status lists the address, else the first
    by name. If owners are known, a broken object that does not own the address comes after the valid ones.
    """
    claims: Claims = {}
    owned: dict[str, set[str]] = {}
    for address, name in (requests.owners or {}).items():
        owned.setdefault(name, set()).add(address)
    held_for: dict[str | None, set[str]] = {}
    for address, found in holders.items():
        for holder in found:
            held_for.setdefault(holder.name, set()).add(address)
    for egressip in requests.egressips:
        for address in _claimed(egressip, held_for, owned):
            claims.setdefault(address, []).append(egressip)
    for address, claiming in claims.items():
        if len(claiming) > 1:
            named = {holder.name for holder in holders.get(address, ())}
            claiming.sort(key=lambda each: _rank(each, address, named, requests))  # noqa: B023
    return claims


def _rank(egressip: EgressIP, address: str, named: set[str | None], requests: Requests) -> tuple[object, ...]:
    """Return the sort key of the objects that claim an address."""
    evidence = (
        not requests.owns(egressip, address),
        egressip.name not in named,
        address not in dict(egressip.assignments),
    )
    return (*evidence, requests.owners is not None and bool(egressip.errors), egressip.name)


def _claimed(
    egressip: EgressIP, held_for: Mapping[str | None, set[str]], owned: Mapping[str, set[str]]
) -> Iterable[str]:
    """Return the addresses that an object claims: {name or None: addresses held for it}, {name: its own}."""
    if not egressip.errors:
        return egressip.egress_ips
    readable = {*egressip.egress_ips, *(address for address, node in egressip.assignments)}
    held = held_for.get(egressip.name, set()) | readable & held_for.get(None, set())
    return sorted(held | owned.get(egressip.name, set()))


def _refuse_repeated(egressip: EgressIP, count: int) -> EgressIP:
    error = f"egressip/{egressip.name}: metadata.name: must be unique; rename one of {count} objects"
    return replace(egressip, errors=(*egressip.errors, error))


def _read_entry(entry: Any, path: str) -> tuple[str, Holder]:
    """Return the address and the Holder of an entry of ``current``."""
    if not isinstance(entry, (dict, Mapping)):
        raise PlanError(f"{path}: must be a mapping with egressIP and node, not {type_name(entry)}")
    for key in ("egressIP", "node"):
        if key not in entry:
            raise PlanError(f"{path}.{key}: is missing")
    if not isinstance(entry["node"], str):
        raise PlanError(f"{path}.node: must be a string, not {type_name(entry['node'])}")
    name = entry.get("name")
    if name is not None and not isinstance(name, str):
        raise PlanError(f"{path}.name: must be a string, not {type_name(name)}")
    address = canonical_address(entry["egressIP"], f"{path}.egressIP")
    return address, Holder(str(entry["node"]), None if name is None else str(name))
