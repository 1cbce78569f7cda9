# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Witnesses and the other nodes: their MAC addresses, and when they were heard last. PRIVATE. No I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

from .._common.addresses import VERSIONS, version_of
from .routine import Routine, Stamp
from .values import SLOW, FailoverSettings, Heard, Neighbour, Resolve


@dataclass
class _Witness:
    """A witness: when it answered last, and the questions to all hosts and to the MAC address that answered."""

    place: Neighbour
    answered: Stamp = field(default_factory=Stamp)
    version: int = field(init=False)
    to_all: Resolve = field(init=False)
    to_it: Resolve = field(init=False)

    def __post_init__(self) -> None:
        self.version = version_of(self.place.address)
        self.to_all = self.to_it = Resolve(*self.place)


class Neighbours:
    """The hosts of the segments that a node knows by name."""

    def __init__(self, settings: FailoverSettings, now: float) -> None:
        self._names: dict[str, str] = {}
        self._macs: dict[Neighbour, str] = {}
        self._witnesses: dict[Neighbour, _Witness] = {}
        # {interface: its witnesses}
        self._witnesses_on: dict[str, list[_Witness]] = {}
        self._peers_heard: dict[str, Stamp] = {}
        self._watchers: dict[str, Stamp] = {}
        self._due = now
        self.routine = Routine()
        self.configure(settings)

    def configure(self, settings: FailoverSettings) -> None:
        """Take other settings, and keep what is known."""
        self.settings, self._places = settings, _places(settings)
        self._witnesses = {place: self._witnesses.get(place) or _Witness(place) for place in settings.witnesses}
        self._witnesses_on = {}
        for witness in self._witnesses.values():
            self._witnesses_on.setdefault(witness.place.interface, []).append(witness)
        self.routine.forget()
        self._names = {mac: name for mac, name in self._names.items() if name in settings.peers}

    def hear(self, now: float, heard: Heard) -> None:
        """Take in a frame. A node is known by the MAC address that answered last for its own address."""
        neighbour = heard.neighbour
        name = self._places.get(neighbour, "")
        if name:
            former = self._macs.get(neighbour, "")
            if self._names.get(former) == name:
                del self._names[former]
            self._names[heard.mac] = name
            self._macs[neighbour] = heard.mac
            self.routine.forget()
        if self.name_of(heard.mac):
            self._peers(heard.interface).at = now
        # A frame to all hosts does not show that this node is heard.
        witness = self._witnesses.get(neighbour)
        if witness and heard.direct:
            if witness.to_it.mac != heard.mac:
                witness.to_it = Resolve(*neighbour, heard.mac)
                self.routine.forget()
            witness.answered.at = now

    def stamps_of(self, heard: Heard) -> tuple[Stamp, ...] | None:
        """Return the times that `hear` changes, None if it may change something else."""
        witness = self._witnesses.get(heard.neighbour)
        if heard.neighbour in self._places or (witness and (not heard.direct or witness.to_it.mac != heard.mac)):
            return None
        peers = (self._peers(heard.interface),) if self.name_of(heard.mac) else ()
        return (*peers, witness.answered) if witness else peers

    def name_of(self, mac: str) -> str:
        """Return the name of the node with this MAC address, empty for a host that is no node of the fleet."""
        return self._names.get(mac) or self.settings.macs.get(mac, "")

    def witness_heard(self, interface: str, since: float, version: int) -> bool:
        """Return whether a witness of this interface has answered since then.

        Only those of this IP version count, unless the interface has none.
        """
        return any(witness.answered.at >= since for witness in self._of_version(interface, (version,)))

    def _of_version(self, interface: str, versions: Collection[int]) -> list[_Witness]:
        """Return the witnesses of this interface with these IP versions, all of them if it has no such one."""
        here = self._witnesses_on.get(interface, [])
        return [witness for witness in here if witness.version in versions] or here

    def is_heard(self, interface: str, since: float) -> bool:
        """Return whether this node is connected: a witness answered, or without `strict`, another node was heard."""
        for witness in self._witnesses_on.get(interface, ()):
            if witness.answered.at >= since:
                return True
        return not self.settings.strict and self._peers(interface).at >= since

    def _peers(self, interface: str) -> Stamp:
        """Return when another node was heard last."""
        return self._peers_heard.setdefault(interface, Stamp())

    def watcher(self, name: str) -> Stamp:
        """Return when a node probed last for what this node holds."""
        return self._watchers.setdefault(name, Stamp())

    def note_watcher(self, now: float, name: str) -> float:
        """Note that a node probes for what this node holds; returns the seconds since it did so last."""
        watcher = self.watcher(name)
        before, watcher.at = watcher.at, now
        return now - before

    def watchers(self, since: float) -> set[str]:
        """Return the nodes that have probed for what this node holds since then."""
        return {name for name, watcher in self._watchers.items() if watcher.at >= since}

    def resolve_witnesses(
        self, now: float, interface: str, versions: Collection[int] = VERSIONS, to_all: bool = False
    ) -> list[Resolve]:
        """Return the questions to the witnesses: to the MAC address that answered within the last second, if any.

        With `to_all`, to all hosts: a witness that has just fallen silent may have another MAC address now. Only those
        with these IP versions are asked, unless the interface has none.
        """
        asked = self._of_version(interface, versions)
        return [each.to_all if to_all or now - each.answered.at >= SLOW else each.to_it for each in asked]

    def resolve_peers(self, interface: str) -> Iterator[Resolve]:
        """Yield a question to each other node."""
        for place in self._places:
            if place.interface == interface:
                yield Resolve(interface, place.address)

    def learn(self, now: float) -> Iterable[Resolve]:
        """Return the questions whose answers keep the MAC addresses known."""
        return () if now < self._due else self._learn(now)

    def _learn(self, now: float) -> Iterator[Resolve]:
        unknown = [place for place in self._places if place not in self._macs]
        self._due = now + (SLOW if unknown else 10 * SLOW)
        for place in unknown or self._places:
            yield Resolve(place.interface, place.address)
        for interface in self._witnesses_on:
            yield from self.resolve_witnesses(now, interface)

    def next_time(self) -> float:
        """Return the time of the next step."""
        return self._due


def _places(settings: FailoverSettings) -> dict[Neighbour, str]:
    return {place: name for name, places in settings.peers.items() for place in places}
