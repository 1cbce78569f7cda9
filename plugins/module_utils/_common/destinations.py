# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where an object's egress IPs apply, and which of several objects a pod follows to where. PRIVATE. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from .addresses import VERSIONS, networks_between, parse_network

_EVERYTHING = {4: "0.0.0.0/0", 6: "::/0"}


@dataclass(frozen=True)
class Destinations:
    """The networks to which an object applies, all when it names none, and those of them that it leaves alone.

    Both are tuples of CIDRs in canonical form.
    """

    networks: tuple = ()
    excluded: tuple = ()

    @property
    def everywhere(self):
        """Tell whether the object makes no difference between destinations."""
        return not self.networks and not self.excluded

    @property
    def nowhere(self):
        """Tell whether nothing is left to which the object applies."""
        return not any(choices([("", self)], version) for version in VERSIONS)

    def to_dict(self):
        """Return what there is to say as a JSON-safe dict, which is empty for an object that applies everywhere."""
        lists = {"destinations": self.networks, "excludedDestinations": self.excluded}
        return {key: list(networks) for key, networks in lists.items() if networks}


@dataclass(frozen=True)
class _Span:
    """A network as the integers of its first and last address. `rank` is its object's place in the list."""

    first: int
    last: int
    rank: int
    applies: bool


def in_force(objects):
    """Return [(name, Destinations)] without those that never have a say, as all that follow one for everywhere."""
    found, general = [], False
    for name, destinations in objects:
        if not (general and destinations.everywhere):
            found.append((name, destinations))
        general = general or destinations.everywhere
    return found


def choices(objects, version):
    """Return {network: name}: which of the objects [(name, Destinations)] of a pod applies to where.

    The networks, of one IP version, do not overlap; outside of them no object applies. The longest prefix wins, then
    the first in the list.
    """
    spans = sorted(
        (span for rank, item in enumerate(objects) for span in _spans(rank, item[1], version)),
        key=lambda span: (span.first, -span.last),
    )
    edges = sorted({edge for span in spans for edge in (span.first, span.last + 1)})
    pieces, around = [], []
    for first, end in zip(edges, edges[1:]):
        around = [span for span in around if span.last >= first]
        while spans and spans[0].first == first:
            around.append(spans.pop(0))
        rank = _winner(around)
        if pieces and pieces[-1][0] == rank:
            pieces[-1][2] = end - 1
        else:
            pieces.append([rank, first, end - 1])
    return {
        str(network): objects[rank][0]
        for rank, first, last in pieces
        if rank is not None
        for network in networks_between(first, last, version)
    }


def _spans(rank, destinations, version):
    named = destinations.networks or _EVERYTHING.values()
    for texts, applies in ((named, True), (destinations.excluded, False)):
        for network in (parse_network(text, "destinations") for text in texts):
            if network.version == version:
                yield _Span(int(network.network_address), int(network.broadcast_address), rank, applies)


def _winner(around):
    """Return the rank of the object that applies within all these spans, the widest first; None if none does."""
    leave_alone = {span.rank for span in around if not span.applies}
    applying = [span for span in around if span.applies and span.rank not in leave_alone]
    return min(applying, key=lambda span: (span.last - span.first, span.rank)).rank if applying else None
