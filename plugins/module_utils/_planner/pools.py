# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pools of addresses in the inventory (``egress_ip_pools``). PRIVATE to the collection. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterable, Iterator

from .._common.addresses import (
    Network,
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
    """Addresses of one IP version. ``ranges``: (first, last) as integers, in the order of their use."""

    name: str
    version: int
    ranges: tuple[tuple[int, int], ...]

    def contains(self, address: str) -> bool:
        """Return whether a canonical address belongs to the pool."""
        found = parsed(address)
        return found.version == self.version and any(first <= int(found) <= last for first, last in self.ranges)

    def addresses(self, networks: Iterable[Network]) -> Iterator[str]:
        """Yield the canonical addresses that one of these disjoint networks contains; there may be many."""
        for first, last in self._within(networks):
            for value in range(first, last + 1):
                yield canonical(address_at(value, self.version))

    def exceeds(self, networks: Iterable[Network]) -> bool:
        """Return whether the pool has addresses that none of these disjoint networks contains."""
        inside, in_all = (
            sum(last - first + 1 for first, last in each) for each in (self._within(networks), self.ranges)
        )
        return inside < in_all

    def _within(self, networks: Iterable[Network]) -> list[tuple[int, int]]:
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


def read_pools(value: object) -> dict[str, Pool]:
    """Return {name: Pool} of ``{name: ["192.168.126.100-192.168.126.120", "192.168.126.128/28", ...]}``.

    A single address is a range as well. InvalidError has every error.
    """
    errors = Errors()
    pools: dict[str, Pool] = {}
    seen: list[tuple[int, int, int, str]] = []
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


def _check_name(name: object, path: str) -> str | None:
    """Return the name if an annotation can refer to it; else raise an InvalidError."""
    errors = Errors()
    text = check_string(name, path, errors)
    if text is not None and (text != text.strip() or "," in text):
        errors.add(path, f"{quote(text)} has a comma or blanks around it, so that no annotation can refer to it")
    errors.raise_if_any()
    return text


def _parse_range(text: object, path: str) -> tuple[int, int, int]:
    """Return (version, first, last) of a range, a network or an address."""
    if not isinstance(text, str):
        raise EgressIPError(f"{path}: {expected_string(text)}")
    if "/" in text:
        network = parse_network(text, path)
        low, high = network.network_address, network.broadcast_address
    else:
        first, hyphen, last = text.partition("-")
        low, high = (parse_egress_ip(each.strip(), path) for each in (first, last if hyphen else first))
    if low.version != high.version or int(low) > int(high):
        raise EgressIPError(f"{path}: must be a range of one IP version, lower address first, not {quote(text)}")
    refuse_not_unicast_between(low, high, text, path)
    return low.version, int(low), int(high)
