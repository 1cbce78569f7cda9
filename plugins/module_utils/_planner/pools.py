# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pools of addresses, as the inventory describes them. PRIVATE to the collection. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from .._common.addresses import (
    address_at,
    canonical,
    parse_egress_ip,
    parse_network,
    parsed,
    refuse_not_unicast_between,
)
from .._common.errors import EgressIPError, Errors
from .._common.messages import expected_string, quote
from .._common.validation import check_list, check_mapping, check_string

PATH = "egress_ip_pools"


@dataclass(frozen=True)
class Pool:
    """Addresses of one IP version. ``ranges`` is a tuple of (first, last), integers, in the order of their use."""

    name: str
    version: int
    ranges: tuple

    def holds(self, address):
        """Tell whether a canonical address belongs to the pool."""
        found = parsed(address)
        return found.version == self.version and any(first <= int(found) <= last for first, last in self.ranges)

    def addresses(self, networks):
        """Yield one by one the canonical addresses that one of some disjoint networks contains; there may be many."""
        for first, last in self._within(networks):
            for value in range(first, last + 1):
                yield canonical(address_at(value, self.version))

    def exceeds(self, networks):
        """Tell whether the pool has addresses that none of some disjoint networks contains."""
        inside, in_all = (
            sum(last - first + 1 for first, last in each) for each in (self._within(networks), self.ranges)
        )
        return inside < in_all

    def _within(self, networks):
        spans = [
            (int(each.network_address), int(each.broadcast_address))
            for each in networks
            if each.version == self.version
        ]
        return [
            (max(first, low), min(last, high))
            for first, last in self.ranges
            for low, high in spans
            if first <= high and low <= last
        ]


def read_pools(value):
    """Return {name: Pool} of ``{name: ["192.168.126.100-192.168.126.120", "192.168.126.128/28", ...]}``.

    An address alone is a range as well. InvalidError has every error.
    """
    errors, pools, seen = Errors(), {}, []
    for name, listed in check_mapping(value, PATH, errors).items():
        if errors.attempt(_check_name, name, f"{PATH}: a name") is None:
            continue
        path = f"{PATH}.{name}"
        found = [
            (*span, f"{path}[{n}]")
            for n, text in enumerate(check_list(listed, path, errors))
            for span in [errors.attempt(_parse_range, text, f"{path}[{n}]")]
            if span is not None
        ]
        if len({version for version, _first, _last, _path in found}) > 1:
            errors.add(path, "has IPv4 and IPv6 addresses; make two pools, and name both in the annotation")
        elif found:
            pools[str(name)] = Pool(str(name), found[0][0], tuple((first, last) for _v, first, last, _p in found))
        elif isinstance(listed, (list, tuple)) and not listed:
            errors.add(path, "is empty; a pool needs at least one range or network")
        seen += found
    seen.sort()
    for (version, _first, last, path), (other, first, _last, where) in zip(seen, seen[1:]):
        if version == other and first <= last:
            errors.add(where, f"overlaps with {path}")
    errors.raise_if_any()
    return pools


def _check_name(name, path):
    """Return the name if an annotation can refer to it."""
    errors = Errors()
    text = check_string(name, path, errors)
    if text is not None and (text != text.strip() or "," in text):
        errors.add(path, f"{quote(text)} has a comma or blanks around it, so that no annotation can refer to it")
    errors.raise_if_any()
    return text


def _parse_range(text, path):
    """Return (version, first, last) of a range, a network or an address."""
    if not isinstance(text, str):
        raise EgressIPError(f"{path}: {expected_string(text)}")
    if "/" in text:
        network = parse_network(text, path)
        ends = [network.network_address, network.broadcast_address]
    else:
        first, hyphen, last = text.partition("-")
        ends = [parse_egress_ip(each.strip(), path) for each in (first, last if hyphen else first)]
    if ends[0].version != ends[1].version or ends[0] > ends[1]:
        raise EgressIPError(f"{path}: {canonical(ends[0])} does not come before {canonical(ends[1])}")
    refuse_not_unicast_between(*ends, text, path)
    return ends[0].version, int(ends[0]), int(ends[1])
