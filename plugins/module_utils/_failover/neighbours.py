# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Witnesses and the other nodes: their MAC addresses, and when they were heard last. PRIVATE. No I/O."""

from __future__ import annotations

from collections.abc import Iterator

from .._common.addresses import VERSIONS, version_of
from .values import SLOW, Greet, Heard, Neighbour, Settings

_NEVER = float("-inf")


class Neighbours:
    """The hosts of the segments that a node knows by name."""

    def __init__(self, settings: Settings, now: float) -> None:
        self.settings = settings
        self._places = _places(settings)
        self._names: dict[str, str] = {}
        self._macs: dict[Neighbour, str] = {}
        self._answered: dict[Neighbour, float] = {}
        self._witnessed: dict[tuple[str, int], float] = {}
        self._peers_heard: dict[str, float] = {}
        self._watchers: dict[str, float] = {}
        self._due = now

    def configure(self, settings: Settings) -> None:
        """Take other settings, and keep what is known."""
        self.settings, self._places = settings, _places(settings)
        self._names = {mac: name for mac, name in self._names.items() if name in settings.peers}

    def hear(self, now: float, heard: Heard) -> None:
        """Take in a frame. A node is known by the MAC address that answered last for its own address."""
        neighbour = Neighbour(heard.interface, heard.uses)
        name = self._places.get(neighbour, "")
        if name:
            former = self._macs.get(neighbour, "")
            if self._names.get(former) == name:
                del self._names[former]
            self._names[heard.mac] = name
            self._macs[neighbour] = heard.mac
        if self.name_of(heard.mac):
            self._peers_heard[heard.interface] = now
        # A frame to all hosts does not show that this node is heard.
        if neighbour in self.settings.witnesses and heard.direct:
            self._macs[neighbour] = heard.mac
            self._answered[neighbour] = self._witnessed[heard.interface, version_of(heard.uses)] = now

    def name_of(self, mac: str) -> str:
        """Return the name of the node with this MAC address, empty for a host that is no node of the fleet."""
        return self._names.get(mac) or self.settings.macs.get(mac, "")

    def witness_heard(self, interface: str, since: float, version: int = 0) -> bool:
        """Return whether a witness of this interface has answered since then.

        With `version`, only those of this IP version count, unless the interface has none.
        """
        versions = {version_of(each.address) for each in self.settings.witnesses if each.interface == interface}
        counted = {version} & versions or VERSIONS
        return any(self._witnessed.get((interface, each), _NEVER) >= since for each in counted)

    def is_heard(self, interface: str, since: float) -> bool:
        """Return whether this node is connected: a witness answered, or without `strict`, another node was heard."""
        peers = _NEVER if self.settings.strict else self._peers_heard.get(interface, _NEVER)
        return peers >= since or self.witness_heard(interface, since)

    def note_watcher(self, now: float, name: str) -> float:
        """Note that a node probes for what this node holds; returns the seconds since it did so last."""
        before = self._watchers.get(name, _NEVER)
        self._watchers[name] = now
        return now - before

    def watchers(self, since: float) -> set[str]:
        """Return the nodes that have probed for what this node holds since then."""
        return {name for name, at in self._watchers.items() if at >= since}

    def greet_witnesses(self, now: float, interface: str) -> Iterator[Greet]:
        """Yield the questions to the witnesses: to the MAC address that answered within the last second, if any."""
        for witness in self.settings.witnesses:
            if witness.interface == interface:
                fresh = now - self._answered.get(witness, _NEVER) < SLOW
                yield Greet(interface, witness.address, self._macs.get(witness, "") if fresh else "")

    def greet_peers(self, interface: str) -> Iterator[Greet]:
        """Yield a question to each other node."""
        for place in self._places:
            if place.interface == interface:
                yield Greet(interface, place.address)

    def learn(self, now: float) -> Iterator[Greet]:
        """Yield the questions whose answers keep the MAC addresses known."""
        if now < self._due:
            return
        unknown = [place for place in self._places if place not in self._macs]
        self._due = now + (SLOW if unknown else 10 * SLOW)
        for place in unknown or self._places:
            yield Greet(place.interface, place.address)
        for interface in {place.interface for place in self.settings.witnesses}:
            yield from self.greet_witnesses(now, interface)

    def next_time(self) -> float:
        """Return the time of the next step."""
        return self._due


def _places(settings: Settings) -> dict[Neighbour, str]:
    return {place: name for name, places in settings.peers.items() for place in places}
