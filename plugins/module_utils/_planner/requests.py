# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who asks for which egress IP, and who holds it now. PRIVATE to the collection."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from .._common.addresses import address_order, canonical_address, canonical_egress_ip
from .._common.errors import EgressIPError, InvalidError, PlanError
from .._common.messages import type_name
from .._kubernetes.annotations import readable_weight
from .._kubernetes.manifests import plain
from .._kubernetes.objects import parse_egressip


class Request(NamedTuple):
    """An EgressIP object as far as the planner goes, sound or broken (then ``errors`` holds something).

    ``addresses``: tuple of canonical addresses in order; ``status``: tuple of (address, node) from its status;
    ``node_selector``: the Selector of its nodes, None for all; ``spread``: the label over whose values its addresses
    are spread, or None; ``weight``: what each adds to the load of its node; ``document``: a copy of the document. Of a
    broken object both tuples hold what can be read. ``owned`` is a frozenset of the addresses that are its own, whoever
    else asks.
    """

    name: str
    document: object
    addresses: tuple
    status: tuple
    errors: tuple = ()
    node_selector: object = None
    spread: str | None = None
    weight: int = 1
    owned: frozenset = frozenset()


def read_requests(documents, owners=None):
    """Return a Request for each EgressIP document, ordered by name; broken ones are among them.

    ``owners`` is {canonical address: name of the object whose own it is}, as ``give_out`` returns it.
    """
    requests = [_read_request(plain(document), f"egressip[{n}]") for n, document in enumerate(documents)]
    owned = {}
    for address, name in (owners or {}).items():
        owned.setdefault(name, set()).add(address)
    requests = [each._replace(owned=frozenset(owned[each.name])) if each.name in owned else each for each in requests]
    counts = Counter(request.name for request in requests)
    requests = [_refuse_repeated(each, counts[each.name]) if counts[each.name] > 1 else each for each in requests]
    requests.sort(key=lambda request: (request.name, repr(request.document) if counts[request.name] > 1 else ""))
    return tuple(requests)


def read_current(current, requests):
    """Return who holds what: {address: ((node, name or None), ...)} with canonical addresses.

    ``current`` is a list of ``{egressIP, node, name (optional)}``. The status of an object counts only for
    addresses that have no entry there. PlanError or EgressIPError names a malformed entry.
    """
    holders = {}
    for index, entry in enumerate(current):
        address, node, name = _read_entry(entry, f"current[{index}]")
        holders.setdefault(address, set()).add((node, name))
    observed = set(holders)
    for request in requests:
        for address, node in request.status:
            if address not in observed:
                holders.setdefault(address, set()).add((node, request.name))
    return {
        address: tuple(sorted(found, key=_holder_order) if len(found) > 1 else found)
        for address, found in holders.items()
    }


def _holder_order(holder):
    node, name = holder
    return node, name or ""


def claimants(requests, holders, owners=None):
    """Return {address: [requests that ask for it or, broken, hold or own it]}, the one that keeps it first.

    That is its owner, else the one that the holder's entry names, else one whose status lists the address, else the
    first by name. Where ``owners`` tell what objects had, a broken one that does not own it comes after the sound ones.
    """
    claims, held_for = {}, {}
    for address, found in holders.items():
        for _node, name in found:
            held_for.setdefault(name, set()).add(address)
    for request in requests:
        for address in _claimed(request, held_for):
            claims.setdefault(address, []).append(request)
    for address, found in claims.items():
        named = {name for node, name in holders.get(address, ())}
        if len(found) > 1:
            found.sort(key=lambda each: _rank(each, address, named, owners is not None))
    return claims


def _rank(request, address, named, is_known):
    """Key of the order of those who ask for an address; ``is_known`` says that who owns it would be known."""
    by_sign = address not in request.owned, request.name not in named, address not in dict(request.status)
    return (*by_sign, is_known and bool(request.errors), request.name)


def _claimed(request, held_for):
    """Return the addresses that a request has a claim to; ``held_for`` is {name or None: addresses held for it}."""
    if not request.errors:
        return request.addresses
    readable = {*request.addresses, *(address for address, node in request.status)}
    held = held_for.get(request.name, set()) | readable & held_for.get(None, set())
    return sorted(held | request.owned)


def _read_request(document, fallback):
    try:
        egressip = parse_egressip(document, fallback)
    except InvalidError as error:
        return _read_broken(document, fallback, error.errors)
    addresses = sorted(egressip.egress_ips, key=address_order)
    assignments = tuple(egressip.assignments)
    rules = {"node_selector": egressip.node_selector, "spread": egressip.spread, "weight": egressip.weight}
    return Request(egressip.name, document, tuple(addresses), assignments, **rules)


def _read_broken(document, fallback, errors):
    metadata, spec, status = (_part(document, field) for field in ("metadata", "spec", "status"))
    name = metadata.get("name")
    addresses = filter(None, (_readable(text) for text in _listed(spec, "egressIPs")))
    entries = [entry for field in ("items", "assignments") for entry in _listed(status, field)]
    pairs = [(_readable(each.get("egressIP")), each.get("node")) for each in entries if isinstance(each, dict)]
    return Request(
        name=name if isinstance(name, str) and name.strip() else fallback,
        document=document,
        addresses=tuple(dict.fromkeys(addresses)),
        status=tuple((address, node) for address, node in pairs if address and isinstance(node, str)),
        errors=tuple(errors),
        weight=readable_weight(metadata),
    )


def _refuse_repeated(request, count):
    error = f"egressip/{request.name}: metadata.name: {count} objects have this name"
    return request._replace(errors=(*request.errors, error))


def _part(document, field):
    value = document.get(field) if isinstance(document, dict) else None
    return value if isinstance(value, dict) else {}


def _listed(mapping, field):
    value = mapping.get(field)
    return value if isinstance(value, list) else []


def _readable(text):
    """Return the canonical egress IP that ``text`` spells, or None."""
    try:
        return canonical_egress_ip(text, "")
    except EgressIPError:
        return None


def _read_entry(entry, path):
    """Return (address, node, name or None) of an entry of ``current``."""
    if not isinstance(entry, (dict, Mapping)):
        raise PlanError(f"{path}: must be a mapping with egressIP and node, not {type_name(entry)}")
    for field in ("egressIP", "node"):
        if field not in entry:
            raise PlanError(f"{path}.{field}: is missing")
    if not isinstance(entry["node"], str):
        raise PlanError(f"{path}.node: must be a string, not {type_name(entry['node'])}")
    name = entry.get("name")
    if name is not None and not isinstance(name, str):
        raise PlanError(f"{path}.name: must be a string, not {type_name(name)}")
    return canonical_address(entry["egressIP"], f"{path}.egressIP"), str(entry["node"]), name and str(name)
