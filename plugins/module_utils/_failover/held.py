# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The egress IPs that this node holds: when it lets go, and when it announces. PRIVATE to the collection. No I/O.

Of two nodes that answer for an address, the planned holder yields to the one that took over. A node that was paused, or
that begins, asks the wire, and yields to any host that answers. A node that hears neither a witness nor another node
lets go before a standby may claim.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from .neighbours import Neighbours
from .values import (
    ALIVE,
    ANNOUNCE_AGAIN,
    MISSED_BEATS,
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

_NEVER = float("-inf")


@dataclass
class Held:
    """An egress IP that this node holds.

    `former` is the MAC address of the host that had it before this node took it over. Until `doubt`, this node has
    asked the wire for it, and yields to a node that answers; with `anyone`, to any host.
    """

    duty: Duty
    taken: bool = False
    former: str = ""
    doubt: float = _NEVER
    anyone: bool = False
    announce_at: tuple[float, ...] = ()
    announced: float = _NEVER
    foreign: str = ""
    noted: float = _NEVER
    leaving: bool = False


@dataclass
class _Beat:
    """The connection of one interface: the windows in a row in which nothing was heard."""

    window: Window = field(default_factory=Window)
    missed: int = 0

    @property
    def is_cut_off(self) -> bool:
        """Return whether this node counts as cut off on this interface."""
        return self.missed >= MISSED_BEATS


class Holding:
    """All addresses that this node holds."""

    def __init__(self, name: str, timing: Timing, neighbours: Neighbours) -> None:
        self.name, self.timing, self.neighbours = name, timing, neighbours
        self.addresses: dict[str, Held] = {}
        self._beats: dict[str, _Beat] = {}
        self._actions: list[Action] = []
        # The addresses for which the next actions ask the wire, and those for which the last ones did.
        self._to_ask: list[Held] = []
        self._asked: list[Held] = []

    def add(self, duty: Duty, now: float, taken: bool = False, former: str = "") -> None:
        """Hold an address from now on. One that was taken over is announced again."""
        again = tuple(now + seconds for seconds in ANNOUNCE_AGAIN) if taken else ()
        self.addresses[duty.egress_ip] = Held(duty, taken, former, announce_at=again)

    def remove(self, egress_ip: str) -> None:
        """Hold an address no more."""
        self.addresses.pop(egress_ip, None)

    def ask_the_wire(self, now: float) -> None:
        """Probe for all addresses, since another node may have taken them over."""
        for item in self.addresses.values():
            self._doubt(item, now, anyone=True)

    def _doubt(self, item: Held, now: float, anyone: bool = False) -> None:
        item.doubt, item.anyone = now + self.timing.interval, anyone
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
        elif name and ALIVE / 10 < self.neighbours.note_watcher(now, name) < float("inf"):
            # The node was out of reach for a while: another one may have the address by now.
            self._announce(item, now)

    def _hear_other(self, now: float, item: Held, mac: str, name: str) -> None:
        """Yield to another holder, or defend the address against it."""
        ip, asked = item.duty.egress_ip, now <= item.doubt
        if asked and (item.anyone or self._yields_to(item, name)):
            item.leaving = True
            reason = "answered while this node was away" if item.anyone else "has taken over"
            self._actions.append(Release({ip: mac}, f"{name or mac} {reason}"))
        elif self._yields_to(item, name):
            self._doubt(item, now)
        elif name:
            self._announce(item, now)
        elif item.foreign != mac and now >= item.noted + SLOW:
            item.foreign, item.noted = mac, now
            self._actions.append(Note(f"{ip} is in conflict: {mac}, which is not a node, also answers for it"))

    def _yields_to(self, item: Held, name: str) -> bool:
        """Return whether this node yields to another one: the planned holder does, and of two others the later name.

        Not the later turn: nodes with different plans may each have the first one.
        """
        standbys = item.duty.order
        is_planned = not item.taken or self.name not in standbys
        return bool(name) and (is_planned or (name in standbys and name < self.name))

    def _announce(self, item: Held, now: float) -> None:
        if now - item.announced >= self.timing.window:
            item.announced = now
            self._actions.append(Announce((item.duty.egress_ip,)))

    def sent(self, at: float) -> None:
        """Learn when the questions of the last step were sent."""
        for beat in self._beats.values():
            beat.window.sent(at)
        for item in self._asked:
            item.doubt = max(item.doubt, at + self.timing.interval)
        self._asked.clear()

    def forget_silence(self) -> None:
        """Begin all windows again: this node may not have received the answers."""
        for beat in self._beats.values():
            beat.window.close()

    def judge(self, clock: Clock) -> list[Action]:
        """Return what to do now."""
        interfaces = {item.duty.interface for item in self.addresses.values()}
        self._beats = {name: self._beats.get(name) or _Beat() for name in interfaces}
        for interface, beat in self._beats.items():
            self._check_connection(interface, beat, clock.now)
        for item in self.addresses.values():
            if item.announce_at and clock.now >= item.announce_at[0]:
                item.announce_at = item.announce_at[1:]
                self._announce(item, clock.now)
        actions, self._actions = self._actions, []
        self._asked, self._to_ask = self._to_ask, []
        return _releases_first(actions)

    def _check_connection(self, interface: str, beat: _Beat, now: float) -> None:
        if beat.window.is_open and not beat.window.is_over(now, self.timing.beat):
            return
        if beat.window.is_open:
            self._count(interface, beat, now)
        self._actions += self.neighbours.greet_witnesses(now, interface)
        self._actions += self.neighbours.greet_peers(interface) if beat.missed else ()
        self._actions += self._ask_former(interface)
        beat.window.open(now)

    def _count(self, interface: str, beat: _Beat, now: float) -> None:
        if not self.neighbours.is_heard(interface, beat.window.begin):
            beat.missed += 1
            if beat.is_cut_off:
                self._let_go(interface, now)
        elif beat.missed:
            # While this node heard nothing, another one may have taken its addresses.
            if beat.is_cut_off:
                for item in self._on(interface):
                    self._announce(item, now)
            beat.missed = 0

    def _let_go(self, interface: str, now: float) -> None:
        """Release the addresses of which a standby was alive just before this node was cut off."""
        since = now - ALIVE - MISSED_BEATS * self.timing.beat
        lost = [item for item in self._on(interface) if not item.leaving and self._is_watched(item, since)]
        for item in lost:
            item.leaving = True
        if lost:
            holders = {item.duty.egress_ip: "" for item in lost}
            self._actions.append(Release(holders, f"{interface} is cut off from the network"))

    def _is_watched(self, item: Held, since: float) -> bool:
        """Return whether a standby has probed since then; for a taken address, the planned holder is one too."""
        watchers = self.neighbours.watchers(since)
        return bool(watchers if item.taken else watchers & set(item.duty.order))

    def _ask_former(self, interface: str) -> Iterator[Action]:
        """Ask the hosts that had what this node took over: one that returns and answers must yield."""
        former: dict[str, str] = {}
        for item in self._on(interface):
            if item.former:
                former.setdefault(item.former, item.duty.egress_ip)
        for mac, ip in former.items():
            yield Ask(interface, ip, mac)

    def _on(self, interface: str) -> Iterator[Held]:
        return (item for item in self.addresses.values() if item.duty.interface == interface)

    def next_time(self) -> float:
        """Return the time of the next step."""
        windows = (beat.window.begin + self.timing.beat for beat in self._beats.values())
        again = (item.announce_at[0] for item in self.addresses.values() if item.announce_at)
        return min((*windows, *again), default=float("inf"))


def _releases_first(actions: list[Action]) -> list[Action]:
    """Return the actions with one release for each reason: a release takes about as long for many addresses as for one.

    An address that leaves is not announced.
    """
    merged: dict[str, dict[str, str]] = {}
    for action in actions:
        if isinstance(action, Release):
            merged.setdefault(action.reason, {}).update(action.holders)
    gone = {ip for holders in merged.values() for ip in holders}
    rest = [
        action
        for action in actions
        if not isinstance(action, Release) and not (isinstance(action, Announce) and gone.issuperset(action.egress_ips))
    ]
    return [*(Release(holders, reason) for reason, holders in merged.items()), *rest]
