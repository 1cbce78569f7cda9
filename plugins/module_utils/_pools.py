# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pools of addresses, as the inventory describes them. PRIVATE to the collection. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from ._addresses import address_at, canonical, parse_egress_ip, parse_network, parsed
from ._errors import EgressIPError, Errors
from ._shape import check_list, check_mapping, check_string
from ._text import expected_string

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

    def addresses(self):
        """Yield the canonical addresses one by one; there may be very many."""
        for first, last in self.ranges:
            for value in range(first, last + 1):
                yield canonical(address_at(value, self.version))


def read_pools(value):
    """Return {name: Pool} of ``{name: ["192.168.126.100-192.168.126.120", "192.168.126.128/28", ...]}``.

    An address alone is a range as well. InvalidError has every error.
    """
    errors, pools, seen = Errors(), {}, []
    for name, listed in check_mapping(value, PATH, errors).items():
        if check_string(name, f"{PATH}: a name", errors) is None:
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


def _parse_range(text, path):
    """Return (version, first, last) of a range, a network or an address."""
    if not isinstance(text, str):
        raise EgressIPError(f"{path}: {expected_string(text)}")
    if "/" in text:
        network = parse_network(text, path)
        return network.version, int(network.network_address), int(network.broadcast_address)
    first, hyphen, last = text.partition("-")
    ends = [parse_egress_ip(each.strip(), path) for each in (first, last if hyphen else first)]
    if ends[0].version != ends[1].version or ends[0] > ends[1]:
        raise EgressIPError(f"{path}: {canonical(ends[0])} does not come before {canonical(ends[1])}")
    return ends[0].version, int(ends[0]), int(ends[1])
