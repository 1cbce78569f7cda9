# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pools of addresses in the inventory (``egress_ip_pools``). PRIVATE to the collection. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Iterable, Iterator, Mapping

from .._common.addresses import (
    Network,
    address_at,
    canonical,
    parse_egress_ip,
    parse_network,
    refuse_not_unicast_between,
)
from .._common.errors import EgressIPError, Errors
from .._common.messages import expected_string, quote
from .._common.validation import check_fields, check_list, check_mapping, check_string
from .netaddr import MISSING, IPRange, IPSet

PATH = "egress_ip_pools"
# A netaddr.IPSet, of one IP version.
AddressSet = Any


@dataclass(frozen=True)
class Pool:
    """Addresses of one IP version. ``ranges``: sets without the excluded addresses, in the order of their use."""

    name: str
    version: int
    ranges: tuple[AddressSet, ...]

    @property
    def size(self) -> int:
        """The number of addresses."""
        return sum(each.size for each in self.ranges)

    def contains(self, address: str) -> bool:
        """Return whether a canonical address belongs to the pool."""
        return any(address in each for each in self.ranges)

    def addresses(self, networks: Iterable[Network]) -> Iterator[str]:
        """Yield the canonical addresses that one of these networks contains; there may be many."""
        inside = self._set_of(networks)
        for each in self.ranges:
            for address in each & inside:
                yield canonical(address_at(int(address), self.version))

    def exceeds(self, networks: Iterable[Network]) -> bool:
        """Return whether the pool has addresses that none of these networks contains."""
        inside = self._set_of(networks)
        return any(each - inside for each in self.ranges)

    def free(self, networks: Iterable[Network], taken: Iterable[str]) -> int:
        """Return how many addresses one of these networks contains that are not among ``taken``, canonical ones."""
        inside = self._set_of(networks)
        used = IPSet(address for address in taken if self.contains(address))
        return sum(((each & inside) - used).size for each in self.ranges)

    def _set_of(self, networks: Iterable[Network]) -> AddressSet:
        return IPSet(str(network) for network in networks if network.version == self.version)


@dataclass(frozen=True)
class _Span:
    """The addresses of an entry at ``path``, as integers, both included."""

    version: int
    first: int
    last: int
    path: str

    @property
    def addresses(self) -> AddressSet:
        ends = (str(address_at(value, self.version)) for value in (self.first, self.last))
        return IPSet(IPRange(*ends))

    def contains(self, other: _Span) -> bool:
        """Return whether all addresses of another span are here."""
        return self.version == other.version and self.first <= other.first and other.last <= self.last


def read_pools(value: object) -> dict[str, Pool]:
    """Return {name: Pool} of ``{name: ["192.168.126.100-192.168.126.120", "192.168.126.128/28", ...]}``.

    A single address is a range as well. ``{"ranges": [...], "exclude": [...]}`` in place of a list leaves addresses
    out. InvalidError has every error. Raises EgressIPError if there are pools and netaddr is missing.
    """
    errors = Errors()
    pools: dict[str, Pool] = {}
    seen: list[_Span] = []
    for name, described in check_mapping(value, PATH, errors).items():
        if IPSet is None:
            raise EgressIPError(f"{PATH}: {MISSING}")
        if errors.attempt(_check_name, name, f"{PATH}: a name") is None:
            continue
        spans, excluded = _spans_of(described, f"{PATH}.{name}", errors)
        if spans:
            left_out = IPSet()
            for each in excluded:
                left_out |= each.addresses
            pools[str(name)] = Pool(str(name), spans[0].version, tuple(each.addresses - left_out for each in spans))
        seen += spans
    _refuse_overlaps(seen, errors)
    errors.raise_if_any()
    return pools


def _spans_of(described: object, path: str, errors: Errors) -> tuple[list[_Span], list[_Span]]:
    """Return the spans of a pool and those that it excludes."""
    if not isinstance(described, Mapping):
        return _read_spans(described, path, errors, needed=True), []
    check_fields(described, f"{path}.", ("ranges", "exclude"), errors)
    ranges = _read_spans(described.get("ranges", ()), f"{path}.ranges", errors, needed=True)
    excluded = _read_spans(described.get("exclude", ()), f"{path}.exclude", errors)
    for each in excluded if ranges else ():
        if not any(span.contains(each) for span in ranges):
            errors.add(each.path, "is not within one of the pool's ranges; remove it, or correct it")
    return ranges, excluded


def _read_spans(listed: object, path: str, errors: Errors, needed: bool = False) -> list[_Span]:
    found = [
        span
        for n, text in enumerate(check_list(listed, path, errors))
        for span in [errors.attempt(_parse_span, text, f"{path}[{n}]")]
        if span is not None
    ]
    if len({span.version for span in found}) > 1:
        errors.add(path, "has IPv4 and IPv6 addresses; make two pools, and name both in the annotation")
        return []
    if needed and isinstance(listed, (list, tuple)) and not listed:
        errors.add(path, "is empty; a pool needs at least one range or network")
    return found


def _refuse_overlaps(spans: Iterable[_Span], errors: Errors) -> None:
    ordered = sorted(spans, key=lambda span: (span.version, span.first, span.last))
    for before, after in zip(ordered, ordered[1:]):
        if before.version == after.version and after.first <= before.last:
            errors.add(after.path, f"overlaps with {before.path}")


def _check_name(name: object, path: str) -> str | None:
    """Return the name if an annotation can refer to it; else raise an InvalidError."""
    errors = Errors()
    text = check_string(name, path, errors)
    if text is not None and (text != text.strip() or "," in text):
        errors.add(path, f"{quote(text)} has a comma or blanks around it, so that no annotation can refer to it")
    errors.raise_if_any()
    return text


def _parse_span(text: object, path: str) -> _Span:
    """Return the span of a range, a network or an address."""
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
    return _Span(low.version, int(low), int(high), path)
