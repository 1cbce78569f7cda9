# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When this node releases the egress IPs that it holds, and when it announces them. PRIVATE to the collection. No I/O.

Of two nodes that answer for an address, the planned holder yields to the one that took over. A node that was paused, or
that begins, probes for what it holds, and yields to any host that answers. A node that hears neither a witness nor
another node releases what it holds before a standby may claim it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from .._common.addresses import VERSIONS, version_of
from .neighbours import Neighbours
from .routine import Stamp
from .values import (
    AGAIN,
    ALIVE,
    ANNOUNCE_AGAIN,
    INFINITE,
    MISSED_BEATS,
    NEVER,
    SLOW,
    Action,
    Announce,
    Ask,
    Clock,
    Duty,
    Heard,
    Note,
    Release,
    Timing,
)
from .watched import Window


@dataclass
class HeldAddress:
    """An egress IP that this node holds.

    `former` is the MAC address of the host that had it before this node took it over. Until `probed_until`, this node
    waits for answers to its probe, and yields to a node that answers; with `anyone`, to any host.
    """

    duty: Duty
    taken: bool = False
    former: str = ""
    probed_until: float = NEVER
    anyone: bool = False
    announce_at: tuple[float, ...] = ()
    announced: float = NEVER
    foreign: str = ""
    noted: float = NEVER
    leaving: bool = False


@dataclass
class _Beat:
    """The connection of one interface: the windows in a row in which nothing was heard.

    `items` are the addresses that this node holds there, with these IP `versions`, `former` the questions to the hosts
    that had some of them before.
    """

    window: Window = field(default_factory=Window)
    missed: int = 0
    items: list[HeldAddress] = field(default_factory=list)
    versions: frozenset[int] = frozenset()
    former: list[Ask] = field(default_factory=list)

    @property
    def is_cut_off(self) -> bool:
        """Return whether this node counts as cut off on this interface."""
        return self.missed >= MISSED_BEATS


class Holding:
    """All addresses that this node holds."""

    def __init__(self, name: str, timing: Timing, neighbours: Neighbours) -> None:
        self.name, self.timing, self.neighbours = name, timing, neighbours
        self.addresses: dict[str, HeldAddress] = {}
        self._beats: dict[str, _Beat] = {}
        # Whether the beats have the present addresses; a step is due many times a second and hardly ever changes them.
        self._sorted = False
        # The time of the next announcement that is due by itself.
        self._again = INFINITE
        self._actions: list[Action] = []
        # {reason: {egress IP: MAC address of the host that has it}} of the next actions.
        self._released: dict[str, dict[str, str]] = {}
        # The addresses for which the next actions ask the wire, and those for which the last ones did.
        self._to_ask: list[HeldAddress] = []
        self._asked: list[HeldAddress] = []
        self._answers_until = NEVER

    def add(self, duty: Duty, now: float, taken: bool = False, former: str = "") -> None:
        """Hold an address from now on. One that was taken over is announced again."""
        again = tuple(now + seconds for seconds in ANNOUNCE_AGAIN) if taken else ()
        self.addresses[duty.egress_ip] = HeldAddress(duty, taken, former, announce_at=again)
        self._again = min((self._again, *again))
        self._change()

    def configure(self, duty: Duty, taken: bool, now: float) -> None:
        """Hold an address as another plan wants it."""
        if duty.egress_ip not in self.addresses:
            self.add(duty, now)
        item = self.addresses[duty.egress_ip]
        item.duty, item.taken = duty, taken
        self._change()

    def remove(self, egress_ip: str) -> None:
        """Hold an address no more: what was to be done with it is not done."""
        self.addresses.pop(egress_ip, None)
        for holders in self._released.values():
            holders.pop(egress_ip, None)
        self._change()

    def _change(self) -> None:
        """Find again what follows from the addresses."""
        self._sorted = False
        self.neighbours.routine.forget()

    def probe_all(self, now: float) -> None:
        """Probe for all addresses, since another node may have taken them over."""
        for item in self.addresses.values():
            self._probe(item, now, anyone=True)

    def _probe(self, item: HeldAddress, now: float, anyone: bool = False) -> None:
        item.probed_until, item.anyone = now + self.timing.interval, anyone
        self._to_ask.append(item)
        self._actions.append(Ask(item.duty.interface, item.duty.egress_ip))

    def hear(self, now: float, heard: Heard) -> None:
        """Take in a frame."""
        used = heard.uses in self.addresses
        item = self.addresses.get(heard.uses if used else heard.probes)
        if item is None or item.leaving or item.duty.interface != heard.interface:
            return
        name = self.neighbours.name_of(heard.mac)
        if used:
            self._hear_other(now, item, heard.mac, name)
        elif name and AGAIN < self.neighbours.note_watcher(now, name) < INFINITE:
            # The node was out of reach for a while: it or another one may have this node's addresses by now.
            self._announce(item, now)
            self._probe_taken_by(name, heard.interface, now)

    def _probe_taken_by(self, name: str, interface: str, now: float) -> None:
        """Probe for the addresses that a node may have taken over, to yield at once if it answers."""
        for item in self.addresses.values():
            is_its_turn = name in item.duty.order and self._yields_to(item, name)
            if is_its_turn and item.duty.interface == interface and not item.leaving and now > item.probed_until:
                self._probe(item, now)

    def stamps_of(self, heard: Heard) -> tuple[Stamp, ...] | None:
        """Return the times that `hear` changes, None if it may change something else."""
        if heard.uses in self.addresses:
            return None
        item, name = self.addresses.get(heard.probes), self.neighbours.name_of(heard.mac)
        if item is None or item.duty.interface != heard.interface or not name:
            return ()
        return None if item.leaving else (self.neighbours.watcher(name),)

    def _hear_other(self, now: float, item: HeldAddress, mac: str, name: str) -> None:
        """Yield to another holder, or defend the address against it."""
        ip, asked = item.duty.egress_ip, now <= item.probed_until
        if asked and (item.anyone or self._yields_to(item, name)):
            item.leaving = True
            self._change()
            reason = "answered while this node was away" if item.anyone else "has taken over"
            self._release({ip: mac}, f"{name or mac} {reason}")
        elif self._yields_to(item, name):
            self._probe(item, now)
        elif name:
            self._announce(item, now)
        elif item.foreign != mac and now >= item.noted + SLOW:
            item.foreign, item.noted = mac, now
            self._actions.append(Note(f"{ip} is in conflict: {mac}, which is not a node, also answers for it"))

    def _release(self, holders: dict[str, str], reason: str) -> None:
        self._released.setdefault(reason, {}).update(holders)

    def _yields_to(self, item: HeldAddress, name: str) -> bool:
        """Return whether this node yields to another one: the planned holder does, and of two others the later name.

        Not the later turn: nodes with different plans may each have the first one.
        """
        standbys = item.duty.order
        is_planned = not item.taken or self.name not in standbys
        return bool(name) and (is_planned or (name in standbys and name < self.name))

    def _announce(self, item: HeldAddress, now: float) -> None:
        if now - item.announced >= self.timing.window:
            item.announced = now
            self._actions.append(Announce((item.duty.egress_ip,)))

    def sent(self, at: float) -> None:
        """Learn when the questions of the last step were sent."""
        for beat in self._beats.values():
            beat.window.sent(at)
        if self._asked:
            self._answers_until = at + self.timing.interval
        for item in self._asked:
            item.probed_until = max(item.probed_until, at + self.timing.interval)
        self._asked.clear()

    def awaits_answers(self, now: float) -> bool:
        """Return whether another node may be about to answer for an address of this one."""
        return now <= self._answers_until

    def forget_silence(self) -> None:
        """Begin all windows again: this node may not have received the answers."""
        for beat in self._beats.values():
            beat.window.close()

    def decide(self, clock: Clock) -> list[Action]:
        """Return what to do now."""
        if not self._sorted:
            self._sort()
        for interface, beat in self._beats.items():
            if not beat.window.is_open or clock.now >= beat.window.begin + self.timing.beat:
                self._check_connection(interface, beat, clock.now)
        if clock.now >= self._again:
            self._announce_again(clock.now)
        actions, self._actions = self._actions, []
        if self._to_ask:
            self._asked, self._to_ask = self._to_ask, []
        return self._releases_first(actions) if self._released else actions

    def _sort(self) -> None:
        """Find the addresses of each interface, and announce none that is gone."""
        self._actions = [
            each
            for each in self._actions
            if not isinstance(each, Announce) or self.addresses.keys() >= set(each.egress_ips)
        ]
        by_interface: dict[str, list[HeldAddress]] = {}
        for item in self.addresses.values():
            by_interface.setdefault(item.duty.interface, []).append(item)
        self._beats = {name: self._beats.get(name) or _Beat() for name in by_interface}
        for name, beat in self._beats.items():
            beat.items = by_interface[name]
            beat.versions = frozenset(version_of(item.duty.egress_ip) for item in beat.items)
            former = {item.former: item.duty.egress_ip for item in reversed(beat.items) if item.former}
            beat.former = [Ask(name, ip, mac) for mac, ip in former.items()]
        self._sorted = True

    def _announce_again(self, now: float) -> None:
        for item in self.addresses.values():
            if item.announce_at and now >= item.announce_at[0]:
                item.announce_at = item.announce_at[1:]
                self._announce(item, now)
        self._again = min(
            (item.announce_at[0] for item in self.addresses.values() if item.announce_at), default=INFINITE
        )

    def _check_connection(self, interface: str, beat: _Beat, now: float) -> None:
        is_heard = not beat.window.is_open or self.neighbours.is_heard(interface, beat.window.begin)
        if beat.missed or not is_heard:
            self._count(interface, beat, is_heard, now)
        # One witness is enough; all hosts are asked as soon as nothing was heard.
        is_silent = beat.missed > 0
        versions = VERSIONS if is_silent else beat.versions
        self._actions += self.neighbours.resolve_witnesses(now, interface, versions, to_all=is_silent)
        if is_silent:
            self._actions += self.neighbours.resolve_peers(interface)
        # Those that had what this node took over: one that returns and answers must yield.
        self._actions += beat.former
        beat.window.open(now)

    def _count(self, interface: str, beat: _Beat, is_heard: bool, now: float) -> None:
        if not is_heard:
            beat.missed += 1
            if beat.is_cut_off:
                self._release_watched(interface, beat.items, now)
        elif beat.window.is_open:
            # While this node heard nothing, another one may have taken its addresses.
            if beat.is_cut_off:
                for item in beat.items:
                    self._announce(item, now)
            beat.missed = 0

    def _release_watched(self, interface: str, items: Iterable[HeldAddress], now: float) -> None:
        """Release the addresses of which a standby was alive just before this node was cut off."""
        since = now - ALIVE - MISSED_BEATS * self.timing.beat
        lost = [item for item in items if not item.leaving and self._is_watched(item, since)]
        for item in lost:
            item.leaving = True
        if lost:
            self._change()
            holders = {item.duty.egress_ip: "" for item in lost}
            self._release(holders, f"{interface} is cut off from the network")

    def _is_watched(self, item: HeldAddress, since: float) -> bool:
        """Return whether a standby has probed since then; for a taken address, the planned holder is one too."""
        watchers = self.neighbours.watchers(since)
        return bool(watchers if item.taken else watchers & set(item.duty.order))

    def next_time(self) -> float:
        """Return the time of the next step."""
        return min((self._again, *(beat.window.begin + self.timing.beat for beat in self._beats.values())))

    def _releases_first(self, actions: list[Action]) -> list[Action]:
        """Return the actions, with one release for each reason: it takes about as long for many addresses as for one.

        An address that leaves is not announced.
        """
        released, self._released = self._released, {}
        gone = {ip for holders in released.values() for ip in holders}
        rest = [each for each in actions if not (isinstance(each, Announce) and gone.issuperset(each.egress_ips))]
        return [*(Release(holders, reason) for reason, holders in released.items() if holders), *rest]
