# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The failover between two runs: one state machine for each node. PRIVATE to the collection. No I/O, no clock.

The edge reads the time, then all frames, then calls `step`, and carries out the actions: so the lateness of this node
never looks like the silence of others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from .._common.addresses import version_of
from .held import Holding
from .neighbours import Neighbours
from .values import (
    PAUSE,
    Action,
    Claim,
    Clock,
    Configured,
    Duty,
    Event,
    FailoverSettings,
    FramesLost,
    Heard,
    Note,
    Release,
    Taken,
    Timing,
)
from .watched import Watch


class StateMachine:
    """What one node knows and does. Deterministic: equal events give equal actions."""

    def __init__(self, settings: FailoverSettings, clock: Clock) -> None:
        timing = Timing.of(settings.after)
        self.settings, self._clock = settings, clock
        self.neighbours = Neighbours(settings, clock.now)
        self.watch = Watch(settings.name, timing, self.neighbours)
        self.holding = Holding(settings.name, timing, self.neighbours)
        # The time of this step, None until `next_time` finds it.
        self._expected: float | None = clock.now
        self._claiming: dict[str, tuple[Duty, str]] = {}
        self._refused: dict[str, str] = {}
        self._configure(settings, clock.now)
        self.holding.probe_all(clock.now)

    def step(self, clock: Clock, events: Iterable[Event] = ()) -> list[Action]:
        """Take in what happened before `clock`, and return what to do now."""
        self.sent(clock.done)
        self._notice_pause(clock)
        self._clock, self._expected = clock, None
        routine = self.neighbours.routine
        for event in events:
            if not (isinstance(event, Heard) and routine.take_in(clock.now, event)):
                self._take_in(clock.now, event)
        actions: list[Action] = [*self.neighbours.learn(clock.now)]
        held = self.holding.decide(clock)
        for action in held:
            if isinstance(action, Release):
                self._watch_released(action, clock.now)
        asked, free = self.watch.decide(clock, bool(held))
        claims = self._claim(free, clock.now) if free else ()
        return [*actions, *held, *asked, *claims]

    def sent(self, at: float) -> None:
        """Learn when the actions of the last step were done: the next step learns it if this is not called."""
        self.watch.sent(at)
        self.holding.sent(at)

    def next_time(self) -> float:
        """Return the time of the next step."""
        self._expected = min(self.neighbours.next_time(), self.watch.next_time(), self.holding.next_time())
        return self._expected

    def _notice_pause(self, clock: Clock) -> None:
        """Doubt everything if this node did nothing for a while: it hung, or its host was suspended."""
        suspended = (clock.boot - clock.now) - (self._clock.boot - self._clock.now)
        expected = self.next_time() if self._expected is None else self._expected
        # The windows of the last step count from when it was done, and its own time is lateness too.
        late = clock.now - max(expected - (clock.done - self._clock.now), self._clock.done)
        if max(suspended, late) > PAUSE:
            self.watch.forget_silence(clock.now)
            self.holding.forget_silence()
            self.holding.probe_all(clock.now)

    def _take_in(self, now: float, event: Event) -> None:
        if isinstance(event, Heard):
            if event.mac not in self.settings.own_macs:
                self.neighbours.hear(now, event)
                self.watch.hear(now, event)
                self.holding.hear(now, event)
                self._keep(event)
        elif isinstance(event, Configured):
            self._configure(event.settings, now)
        elif isinstance(event, Taken):
            for ip in event.egress_ips:
                duty, former = self._claiming.pop(ip)
                self.watch.remove(ip)
                self.holding.add(duty, now, taken=True, former=former)
        elif isinstance(event, FramesLost):
            self.watch.forget_silence(now)
        else:
            self.watch.refuse(event.egress_ips, now, prompt=True)
            for ip in event.egress_ips:
                self._claiming.pop(ip, None)

    def _keep(self, heard: Heard) -> None:
        """Know this frame when it comes again, if it changed only times. Those to all hosts do not come often."""
        parts = (self.holding, self.neighbours, self.watch) if heard.direct else ()
        stamps = [part.stamps_of(heard) for part in parts]
        known = tuple(stamp for each in stamps for stamp in each or ())
        if known and None not in stamps:
            self.neighbours.routine.keep(heard, known)

    def _configure(self, settings: FailoverSettings, now: float) -> None:
        """Take the settings of another plan, and keep what is known of addresses that stay where they are."""
        self.settings = settings
        self.neighbours.configure(settings)
        duties = {duty.egress_ip: duty for duty in settings.duties}
        for ip in [ip for ip in self.holding.addresses if ip not in settings.held]:
            self.holding.remove(ip)
        for ip in [ip for ip in self.watch.addresses if ip not in duties or ip in settings.held]:
            self.watch.remove(ip)
        taken = set(settings.taken)
        for ip, interface in settings.held.items():
            self.holding.configure(duties.get(ip, Duty(ip, interface, ())), ip in taken, now)
        for ip, duty in duties.items():
            if ip not in settings.held:
                self.watch.configure(duty, now)

    def _watch_released(self, release: Release, now: float) -> None:
        for ip, mac in release.holders.items():
            item = self.holding.addresses[ip]
            self.holding.remove(ip)
            if item.duty.order:
                self.watch.add(item.duty, now, orphaned=not mac, holder=mac)

    def _claim(self, free: Iterable[str], now: float) -> list[Action]:
        """Return the claim of silent addresses that this node may hold in addition to what it holds."""
        batch, refused = self._may_hold(ip for ip in free if ip not in self._claiming)
        notes = [
            Note(f"{ip} is not taken over: {text}") for ip, text in refused.items() if self._refused.get(ip) != text
        ]
        self._refused = {**{ip: text for ip, text in self._refused.items() if ip not in batch}, **refused}
        self.watch.refuse(refused, now)
        self._begin(batch)
        former = {ip: self.watch.addresses[ip].holder_name for ip in batch}
        return [*notes, *([Claim(former)] if batch else ())]

    def accept(self, giver: str, egress_ips: Iterable[str]) -> tuple[str, ...]:
        """Return those of the addresses of another node that this one may take from it now, as one of their standbys.

        An event Taken or Refused must follow for them.
        """
        batch, _refused = self._may_hold(ip for ip in dict.fromkeys(egress_ips) if self._is_offered(giver, ip))
        self._begin(batch)
        return tuple(batch)

    def _is_offered(self, giver: str, egress_ip: str) -> bool:
        item = self.watch.addresses.get(egress_ip)
        return (
            item is not None
            and item.holder_name == giver
            and self.settings.name in item.duty.order
            and egress_ip not in self.holding.addresses
            and egress_ip not in self._claiming
        )

    def _begin(self, egress_ips: Iterable[str]) -> None:
        """Note that this node is about to take these addresses."""
        for ip in egress_ips:
            self._claiming[ip] = (self.watch.addresses[ip].duty, self.watch.addresses[ip].holder)

    def _may_hold(self, egress_ips: Iterable[str]) -> tuple[dict[str, None], dict[str, str]]:
        """Return those addresses that this node may hold in addition to its own, and {address: obstacle} of the rest.

        Each address costs the same, however many the node has.
        """
        owners, limits = self.settings.owners, self.settings.limits
        present = (*self.holding.addresses, *self._claiming)
        counts = Counter(map(version_of, present))
        siblings = {owners[ip]: ip for ip in reversed(present) if ip in owners}
        allowed: dict[str, None] = {}
        refused: dict[str, str] = {}
        for ip in egress_ips:
            sibling, version = siblings.get(owners.get(ip, "")), version_of(ip)
            if sibling:
                refused[ip] = f"this node has {sibling} of the same object"
            elif not limits.allow({**counts, version: counts[version] + 1}):
                refused[ip] = "this node has no capacity left"
            else:
                allowed[ip] = None
                counts[version] += 1
                if ip in owners:
                    siblings[owners[ip]] = ip
        return allowed, refused
