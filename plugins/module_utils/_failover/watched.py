# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The egress IPs of other nodes that this node watches. PRIVATE to the collection. No I/O.

A holder is asked for one of its addresses after the other, by frames to its MAC address. If one answer is missing, all
its addresses are in question: this node probes for them, by three frames to all hosts. An address that stays silent, in
windows in which a witness answered, is free. Each standby begins its three windows when its turn comes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Tuple

from .._common.addresses import version_of
from .neighbours import Neighbours
from .routine import Stamp
from .values import (
    INFINITE,
    MISSED_BEATS,
    NEVER,
    PROMPT_RETRIES,
    QUIET,
    RIVAL_LIMIT,
    SILENT_WINDOWS,
    SLOW,
    UNPROVEN,
    Action,
    Ask,
    Clock,
    Duty,
    Heard,
    Note,
    Resolve,
    Timing,
)


@dataclass
class Window:
    """The time in which an answer counts, open while a question is out.

    It begins when the question was sent, which `sent` learns afterwards.
    """

    begin: float = NEVER
    is_open: bool = field(default=False, init=False)
    _sent: bool = field(default=False, init=False)

    def open(self, now: float) -> None:
        """Begin with a question that is sent now."""
        self.begin, self.is_open, self._sent = now, True, False

    def sent(self, at: float) -> None:
        """Move the begin to the time at which the question was sent."""
        if self.is_open and not self._sent:
            self.begin, self._sent = max(self.begin, at), True

    def close(self) -> None:
        """Ask no more."""
        self.is_open = False

    def is_over(self, now: float, length: float) -> bool:
        """Return whether the time for an answer has passed."""
        return self.is_open and now >= self.begin + length


@dataclass
class Suspicion:
    """An address whose holder did not answer, and the silence since then.

    The questions begin `delay` after `since`, and as long after `blocked_until`, if others probe for the address: hosts
    without an earlier turn delay it only until `limit`. `missed` are the last windows in which no
    witness answered. `claimant` is the MAC address of a host that probed before the holder fell silent, empty if none
    did.
    """

    since: float
    delay: float
    claimant: str = ""
    blocked_until: float = NEVER
    silent: int = 0
    missed: int = 0
    window: Window = field(default_factory=Window)

    @property
    def asks(self) -> bool:
        """Return whether to probe for the address: while no witness answers, a node only asks the witness."""
        return self.missed < MISSED_BEATS

    def opens(self, now: float) -> bool:
        """Begin the next window if it is time; returns whether it has begun."""
        if self.window.is_open or now < self.begins:
            return False
        self.window.open(now)
        return True

    @property
    def begins(self) -> float:
        """Return the time of the first question."""
        return max(self.since, self.blocked_until) + self.delay

    @property
    def limit(self) -> float:
        """Return the time after which only nodes with an earlier turn delay the takeover."""
        return self.since + RIVAL_LIMIT

    def block(self, until: float) -> None:
        """Wait for another host that probes for the address, and count the silence from the start after that."""
        self.blocked_until, self.silent = until, 0
        self.window.close()


@dataclass
class Watched:
    """An egress IP that another node has, or that no node has.

    `holder` is the MAC address that used it last, `holder_name` the node with it; both are empty if unknown. `rival` is
    the MAC address of another host that probed for it last. `answered` is when the holder answered the last question.
    `refusals` counts the takeovers by this node that failed since a holder was heard.
    """

    duty: Duty
    holder: str = ""
    holder_name: str = ""
    suspicion: Suspicion | None = None
    rival: str = ""
    rival_at: float = NEVER
    ask_at: float = NEVER
    answered: Stamp = field(default_factory=Stamp)
    refusals: int = 0

    @property
    def place(self) -> tuple[str, str]:
        """Return the interface and the holder's MAC address."""
        return self.duty.interface, self.holder


@dataclass
class _Round:
    """The questions to one holder, for one address after the other.

    The last one `is_open` until the end of its window, or until `answered` is set, which a question unsets.
    """

    turn: int = 0
    missed: int = 0
    is_open: bool = False
    window: Window = field(default_factory=Window)
    answered: Stamp = field(default_factory=Stamp)


_Place = Tuple[str, str]


class Watch:
    """All addresses that this node watches."""

    def __init__(self, name: str, timing: Timing, neighbours: Neighbours) -> None:
        self.name, self.timing, self.neighbours = name, timing, neighbours
        self.addresses: dict[str, Watched] = {}
        self._rounds: dict[_Place, _Round] = {}
        # Those of them whose last question has no answer yet.
        self._waiting: dict[_Place, _Round] = {}
        # The holders that have answered a probe. If probes do not get through, silence means nothing.
        self._proven: set[_Place] = set()
        # The time of the next questions.
        self._due = NEVER
        # The windows that were opened since the last questions were sent.
        self._opened: list[Window] = []
        # The questions to each holder, and the addresses without a known one or in question. A step is due many times a
        # second and hardly ever changes them, so they are sorted again only when `_sorted` is unset.
        self._sorted = False
        self._questions: dict[_Place, list[Ask]] = {}
        self._pending: list[Watched] = []
        # Whether a holder was not asked yet.
        self._is_new = False

    def add(self, duty: Duty, now: float, orphaned: bool = False, holder: str = "") -> None:
        """Watch an address from now on; with `orphaned`, one that this node released because it was cut off.

        `holder` is the MAC address of the host for which this node let it go, after an answer of it: if that host lets
        go too, this node notices the silence.
        """
        self._change()
        name = self.name if orphaned else self.neighbours.name_of(holder)
        item = self.addresses[duty.egress_ip] = Watched(duty, holder, name, ask_at=now)
        if orphaned:
            self._suspect(item, now)
        elif name:
            self._proven.add(item.place)

    def configure(self, duty: Duty, now: float) -> None:
        """Watch an address as another plan wants it."""
        if duty.egress_ip in self.addresses:
            self.addresses[duty.egress_ip].duty = duty
            self._change()
        else:
            self.add(duty, now)

    def remove(self, egress_ip: str) -> None:
        """Watch an address no more."""
        self.addresses.pop(egress_ip, None)
        self._change()

    def _change(self) -> None:
        """Find again what follows from the addresses and their holders."""
        self._sorted = False
        self.neighbours.routine.forget()

    def hear(self, now: float, heard: Heard) -> None:
        """Take in a frame."""
        if heard.uses in self.addresses and self.addresses[heard.uses].duty.interface == heard.interface:
            self._hear_holder(now, self.addresses[heard.uses], heard)
        elif heard.probes in self.addresses and not heard.direct:
            item = self.addresses[heard.probes]
            if item.duty.interface == heard.interface:
                self._hear_rival(now, item, heard)

    def _hear_holder(self, now: float, item: Watched, heard: Heard) -> None:
        name = self.neighbours.name_of(heard.mac)
        if item.holder != heard.mac:
            item.answered = Stamp()
        if item.suspicion or (item.holder, item.holder_name) != (heard.mac, name):
            item.holder, item.holder_name, item.suspicion = heard.mac, name, None
            self._change()
        item.refusals = 0
        if heard.direct:
            item.answered.at = now

    def stamps_of(self, heard: Heard) -> tuple[Stamp, ...] | None:
        """Return the times that `hear` changes, None if it may change something else; `heard` is direct."""
        item = self.addresses.get(heard.uses)
        if item is None or item.duty.interface != heard.interface:
            return ()
        changes = item.suspicion or (item.holder, item.holder_name) != (heard.mac, self.neighbours.name_of(heard.mac))
        return None if changes else (item.answered,)

    def _hear_rival(self, now: float, item: Watched, heard: Heard) -> None:
        """Wait for another host that is about to claim: a standby with an earlier turn, or the claimant of a run.

        A later standby does not probe before its turn. So one that probed before the holder fell silent, a node that is
        no standby, and an unknown host claim the address for another reason: a run moves it.
        """
        if heard.mac == item.holder and not item.suspicion:
            return
        item.rival, item.rival_at = heard.mac, now
        name, suspicion = self.neighbours.name_of(heard.mac), item.suspicion
        if suspicion and name and self._rank(item, name) < self._rank(item, self.name):
            suspicion.block(now + QUIET)
        elif suspicion and now < suspicion.limit and (heard.mac == suspicion.claimant or self._is_outsider(item, name)):
            suspicion.block(min(now + QUIET, suspicion.limit))

    @staticmethod
    def _is_outsider(item: Watched, name: str) -> bool:
        """Return whether a host has no turn: an unknown one, or a node that is neither standby nor last holder."""
        return not name or name not in (*item.duty.order, item.holder_name)

    def _rank(self, item: Watched, name: str) -> int:
        return item.duty.rank(name, item.holder_name)

    def _suspect(self, item: Watched, now: float) -> None:
        self._change()
        is_contested = now - item.rival_at < QUIET
        claimant = item.rival if is_contested else ""
        item.suspicion = Suspicion(now, self._rank(item, self.name) * self.timing.turn, claimant)
        if is_contested:
            item.suspicion.block(item.rival_at + QUIET)

    def forget_silence(self, now: float) -> None:
        """Begin all questions again: this node may not have received the answers."""
        self._rounds.clear()
        self._waiting.clear()
        self._change()
        for item in self.addresses.values():
            if item.suspicion:
                self._suspect(item, now)

    @property
    def suspects(self) -> bool:
        """Return whether an address is in question."""
        return any(item.suspicion for item in self._find_pending())

    def refuse(self, egress_ips: Iterable[str], now: float, prompt: bool = False) -> None:
        """Probe for these silent addresses again when all others had their turn; `prompt`: the first times at once."""
        for ip in egress_ips:
            item = self.addresses.get(ip)
            if item and item.suspicion:
                item.refusals += 1
                again = prompt and item.refusals <= PROMPT_RETRIES
                pause = self.timing.window if again else self._full_turn(item.duty)
                item.suspicion = Suspicion(now + pause, self._rank(item, self.name) * self.timing.turn)

    def _full_turn(self, duty: Duty) -> float:
        """Return the time in which all other nodes had their turn. Each begins it QUIET after the probes before."""
        return (len(duty.order) + 1) * (QUIET + 3 * self.timing.turn)

    def sent(self, at: float) -> None:
        """Learn when the questions of the last step were sent."""
        for window in self._opened:
            window.sent(at)
        self._opened.clear()

    def decide(self, clock: Clock, is_beat: bool = False) -> tuple[list[Action], list[str]]:
        """Return the questions to send now, and the addresses that are free.

        At a beat of this node holders are asked if the time for it comes before the next one: so both cost one step.
        """
        now, free = clock.now, []
        if self._waiting:
            self._read_answers()
        if not self._sorted:
            self._sort()
        elif not self._pending and not self._waiting and now + (self.timing.beat if is_beat else 0.0) < self._due:
            return [], []
        actions: list[Action] = [*self._ask_holders(now, self.timing.beat if is_beat else 0.0)]
        # {interface: whether no witness answered in a window of an address there}
        asking: dict[str, bool] = {}
        for item in self._find_pending():
            if item.suspicion is None:
                actions += self._ask_unknown(item, now)
                continue
            self._count(item.duty, item.suspicion, now)
            if item.suspicion.silent >= SILENT_WINDOWS:
                free.append(item.duty.egress_ip)
            elif item.suspicion.opens(now):
                self._opened.append(item.suspicion.window)
                asking[item.duty.interface] = asking.get(item.duty.interface, False) or item.suspicion.missed > 0
                actions += [Ask(item.duty.interface, item.duty.egress_ip)] if item.suspicion.asks else []
        for interface, to_all in asking.items():
            actions += self.neighbours.resolve_witnesses(now, interface, to_all=to_all)
        return actions, free

    def _sort(self) -> None:
        """Find the questions to each holder, and the addresses that need more than these."""
        self._questions = {}
        for ip, item in self.addresses.items():
            if item.holder_name and not item.suspicion:
                self._questions.setdefault(item.place, []).append(Ask(item.duty.interface, ip, item.holder))
        self._pending, self._sorted = self._find_pending(), True
        self._rounds = {place: self._rounds.get(place) or _Round() for place in self._questions}
        self._waiting = {place: each for place, each in self._waiting.items() if self._rounds.get(place) is each}
        self._is_new = any(not questions.turn for questions in self._rounds.values())
        # Also those whose addresses are in question: they have answered a probe.
        self._proven &= {item.place for item in self.addresses.values()}

    def _find_pending(self) -> list[Watched]:
        """Return the addresses whose holder is unknown or did not answer."""
        if self._sorted:
            return self._pending
        return [item for item in self.addresses.values() if item.suspicion or not item.holder_name]

    def _read_answers(self) -> None:
        """Take in which holders have answered the last question."""
        for place, questions in [*self._waiting.items()]:
            if questions.answered.at > NEVER:
                questions.missed, questions.is_open = 0, False
                self._proven.add(place)
                del self._waiting[place]

    def _ask_unknown(self, item: Watched, now: float) -> Iterator[Action]:
        """Resolve an address whose holder is unknown. A probe to all hosts would look like one before a claim."""
        if not item.holder_name and now >= item.ask_at:
            item.ask_at = now + SLOW
            yield Resolve(item.duty.interface, item.duty.egress_ip)

    def _ask_holders(self, now: float, early: float) -> Iterator[Action]:
        """Ask all holders together, at most `early` seconds before the time for it, and a new one at once."""
        for place, questions in [*self._waiting.items()]:
            if questions.is_open and questions.window.is_over(now, self.timing.window):
                yield from self._suspect_all(place, questions, now)
        is_time = now + early >= self._due
        if not is_time and not self._is_new:
            return
        self._is_new, window = False, Window()
        window.open(now)
        self._opened.append(window)
        asking = [
            place
            for place, questions in self._rounds.items()
            if (is_time or not questions.turn) and not questions.is_open
        ]
        if is_time and asking:
            self._due = max(self._due, now) + self.timing.interval
        for place in asking:
            yield self._ask(place, window)

    def _ask(self, place: _Place, window: Window) -> Ask:
        """Return the next question to a holder."""
        questions, asks = self._rounds[place], self._questions[place]
        ask = asks[questions.turn % len(asks)]
        questions.window, questions.answered = window, self.addresses[ask.address].answered
        questions.answered.at = NEVER
        questions.turn, questions.is_open = questions.turn + 1, True
        self._waiting[place] = questions
        return ask

    def _suspect_all(self, place: _Place, questions: _Round, now: float) -> Iterator[Action]:
        """Suspect all addresses of a holder that has not answered, if it ever did."""
        questions.is_open = False
        if place in self._proven:
            for ask in self._questions[place]:
                self._suspect(self.addresses[ask.address], now)
            del self._rounds[place], self._waiting[place]
            return
        questions.missed += 1
        if questions.missed == UNPROVEN:
            name = self.neighbours.name_of(place[1])
            yield Note(f"{name} does not answer probes on {place[0]}, so nothing of it can be taken over")

    def _count(self, duty: Duty, suspicion: Suspicion, now: float) -> None:
        """Count the window if it is over: as silent if this node asked for the address and a witness answered."""
        if suspicion.window.is_over(now, self.timing.window):
            connected = self.neighbours.witness_heard(
                duty.interface, suspicion.window.begin, version_of(duty.egress_ip)
            )
            suspicion.silent += connected and suspicion.asks
            suspicion.missed = 0 if connected else suspicion.missed + 1
            suspicion.window.close()

    def next_time(self) -> float:
        """Return the time of the next step."""
        if self._rounds and self._sorted and not self._pending and not self._waiting:
            return self._due
        return min(self._times(), default=INFINITE)

    def _times(self) -> Iterator[float]:
        waiting = [questions for questions in self._waiting.values() if questions.is_open]
        if len(waiting) < len(self._rounds):
            yield self._due
        for questions in waiting:
            yield questions.window.begin + self.timing.window
        for item in self._find_pending():
            suspicion = item.suspicion
            if suspicion is None:
                yield item.ask_at
            elif suspicion.window.is_open:
                yield suspicion.window.begin + self.timing.window
            else:
                yield suspicion.begins
