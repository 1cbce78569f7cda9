# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Destinations of objects, and which of several objects applies to each. PRIVATE to the collection. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterable, Iterator, Sequence, Tuple

from .addresses import VERSIONS, networks_between, parse_network
from .pod_rules import that_can_apply

_EVERYTHING = {4: "0.0.0.0/0", 6: "::/0"}


@dataclass(frozen=True)
class Destinations:
    """The networks to which an object applies (empty for all), and exceptions from them.

    Both are tuples of CIDRs in canonical form.
    """

    networks: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()

    @property
    def everywhere(self) -> bool:
        """Whether the object applies to every destination."""
        return not self.networks and not self.excluded

    @property
    def is_empty(self) -> bool:
        """Whether the exceptions leave no destination."""
        return not any(objects_by_network([("", self)], version) for version in VERSIONS)

    def to_dict(self) -> dict[str, list[str]]:
        """Return the non-empty lists as a JSON-safe dict; it is empty for an object that applies everywhere."""
        lists = {"destinations": self.networks, "excluded_destinations": self.excluded}
        return {key: list(networks) for key, networks in lists.items() if networks}


@dataclass(frozen=True)
class _Span:
    """A network as the integers of its first and last address. `rank` is its object's place in the list."""

    first: int
    last: int
    rank: int
    applies: bool


Named = Tuple[str, Destinations]  # evaluated by Python 3.8


def in_force(objects: Iterable[Named]) -> list[Named]:
    """Return the objects (name, Destinations) that can apply: of those for everywhere, only the first can."""
    return that_can_apply(((name, destinations), destinations.everywhere) for name, destinations in objects)


def objects_by_network(objects: Sequence[Named], version: int) -> dict[str, str]:
    """Return {network: name}: for each destination network, which of the objects (name, Destinations) applies.

    The networks are of one IP version and do not overlap; outside them no object applies. The longest prefix wins,
    then the first in the list.
    """
    spans = sorted(
        (span for rank, item in enumerate(objects) for span in _spans(rank, item[1], version)),
        key=lambda span: (span.first, -span.last),
    )
    edges = sorted({edge for span in spans for edge in (span.first, span.last + 1)})
    pieces: list[tuple[int | None, int, int]] = []
    covering: list[_Span] = []
    for first, end in zip(edges, edges[1:]):
        covering = [span for span in covering if span.last >= first]
        while spans and spans[0].first == first:
            covering.append(spans.pop(0))
        rank = _winner(covering)
        joined = bool(pieces) and pieces[-1][0] == rank
        pieces.append((rank, pieces.pop()[1] if joined else first, end - 1))
    return {
        str(network): objects[rank][0]
        for rank, first, last in pieces
        if rank is not None
        for network in networks_between(first, last, version)
    }


def _spans(rank: int, destinations: Destinations, version: int) -> Iterator[_Span]:
    named = destinations.networks or tuple(_EVERYTHING.values())
    for texts, applies in ((named, True), (destinations.excluded, False)):
        for network in (parse_network(text, "destinations") for text in texts):
            if network.version == version:
                yield _Span(int(network.network_address), int(network.broadcast_address), rank, applies)


def _winner(covering: Sequence[_Span]) -> int | None:
    """Return the rank of the object that applies where all these spans overlap; None if none does."""
    excepted = {span.rank for span in covering if not span.applies}
    applying = [span for span in covering if span.applies and span.rank not in excepted]
    return min(applying, key=lambda span: (span.last - span.first, span.rank)).rank if applying else None
