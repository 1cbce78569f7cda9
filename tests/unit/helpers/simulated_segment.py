# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A simulated segment: nodes with the state machine of the failover, a gateway, and a client that watches.

Time is virtual and all randomness comes from one seed, so every run can be repeated. A kernel answers for its addresses
as Linux does; a program reads the time, then its frames, then acts, and a claim or a release takes it a while. Every
10 ms the referee counts the holders of each address and whether the client reaches one.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.failover import Limits
from ansible_collections.netops.egress_ip.plugins.module_utils._failover.failover import StateMachine
from ansible_collections.netops.egress_ip.plugins.module_utils._failover.values import (
    Announce,
    Ask,
    Claim,
    Clock,
    Configured,
    Duty,
    FailoverSettings,
    FramesLost,
    Heard,
    Neighbour,
    Refused,
    Release,
    Resolve,
    Taken,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._protocols.address_probe import Probe
from ansible_collections.netops.egress_ip.plugins.module_utils._protocols.ethernet import NeighbourMessage

INTERFACE, GATEWAY, CLIENT = "eth0", "gateway", "client"
LOOK = 0.01
# Seconds that a program needs to change addresses, at least and at most.
CLAIM_TIME, RELEASE_TIME = (0.015, 0.04), (0.008, 0.025)


@dataclass(frozen=True)
class Frame:
    """A frame: a question for `asks`, or a message that `mac` uses `uses`. `to` is a MAC, empty for all hosts."""

    mac: str
    to: str = ""
    asks: str = ""
    uses: str = ""


@dataclass
class Host:
    """A host of the segment with its kernel: the addresses for which it answers. The wire loses what it gets off."""

    name: str
    mac: str
    own: str
    addresses: set[str] = field(default_factory=set)
    powered: bool = True
    stunned: bool = False

    @property
    def works(self) -> bool:
        return self.powered and not self.stunned


@dataclass
class Node(Host):
    """A node: its record, and the program with the state machine."""

    program: StateMachine | None = None
    hung: bool = False
    inbox: list[Heard] = field(default_factory=list)
    claim_inbox: list[Heard] = field(default_factory=list)
    events: list = field(default_factory=list)
    record: set[str] = field(default_factory=set)
    taken: set[str] = field(default_factory=set)
    done: float = 0.0
    busy_until: float = 0.0
    woken_at: float | None = None
    stood_still: float = 0.0
    notes: list[str] = field(default_factory=list)
    claims: list[tuple[float, tuple[str, ...]]] = field(default_factory=list)
    releases: list[tuple[float, str]] = field(default_factory=list)
    locked_until: float = 0.0
    # The plan that the node has, if no run has reached it since.
    old_plan: dict[str, tuple[str, ...]] | None = None
    flooded_until: float = 0.0


class Segment:
    """Nodes n1, n2 ... on one wire. `plan` is {egress IP: (holder, *standbys)}."""

    def __init__(self, plan: dict[str, tuple[str, ...]], count: int = 3, seed: int = 1, **settings) -> None:
        self.random = random.Random(seed)
        self.now, self._order, self._queue = 0.0, itertools.count(), []
        self.plan, self.settings = dict(plan), settings
        self.loss, self.delay, self.lateness = 0.0, (0.0001, 0.0008), (0.0, 0.003)
        self.unreachable: Callable[[str, str], bool] = lambda _one, _other: False
        # {(sender, receiver): whether each of the next answers for an egress IP is lost}
        self.fates: dict[tuple[str, str], list[bool]] = {}
        self.hosts: dict[str, Host] = {
            name: Host(name, f"02:00:00:00:01:{i:02x}", f"10.0.0.{250 + i}") for i, name in enumerate((GATEWAY, CLIENT))
        }
        self.nodes = {f"n{i}": Node(f"n{i}", f"02:00:00:00:00:{i:02x}", f"10.0.0.{i}") for i in range(1, count + 1)}
        self.hosts.update(self.nodes)
        self.doubles: dict[str, list[float]] = {ip: [] for ip in plan}
        self.silent: dict[str, list[float]] = {ip: [] for ip in plan}
        for ip, (holder, *_standbys) in plan.items():
            self.nodes[holder].addresses.add(ip)
            self.nodes[holder].record.add(ip)
        for node in self.nodes.values():
            self.at(self.random.uniform(0, 0.3), lambda node=node: self.start(node))
        self.at(0.0, self._check_holders)

    # --- What a test does ---------------------------------------------------------------------------------------------

    def at(self, when: float, act: Callable[[], None]) -> None:
        """Do something at this time."""
        heapq.heappush(self._queue, (when, next(self._order), act))

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while self._queue and self._queue[0][0] <= end:
            self.now, _order, act = heapq.heappop(self._queue)
            act()
        self.now = end

    def settle(self) -> None:
        """Let the nodes learn who is where, and begin the record of the referee."""
        self.run(3.0 + self.random.uniform(0, 0.1))
        self.clear()

    def clear(self) -> None:
        """Forget what the referee noted."""
        for noted in (*self.doubles.values(), *self.silent.values()):
            noted.clear()

    def holders(self, ip: str) -> list[str]:
        """The nodes whose kernel answers for an address."""
        return [node.name for node in self.nodes.values() if node.works and ip in node.addresses]

    def gap(self, ip: str) -> float:
        """Seconds without a holder that the client reaches."""
        return len(self.silent[ip]) * LOOK

    def overlap(self, ip: str) -> float:
        """Seconds with two holders."""
        return len(self.doubles[ip]) * LOOK

    def moves(self) -> int:
        """Number of claims and releases of all programs."""
        return sum(len(node.claims) + len(node.releases) for node in self.nodes.values())

    def kill(self, name: str) -> None:
        """Cut the power of a node."""
        node = self.nodes[name]
        node.powered, node.program, node.inbox, node.events = False, None, [], []
        node.addresses.clear()
        node.taken.clear()

    def boot(self, name: str) -> None:
        """Start a node: it claims what is on record and free, as the unit at boot does, and then runs the program."""
        node = self.nodes[name]
        node.powered, node.stunned, node.hung = True, False, False
        self.claim(name, sorted(node.record), lambda: self.start(node))

    def claim(self, name: str, ips: Collection[str], then: Callable[[], None], waiting: bool = False) -> None:
        """Claim addresses as a run or the unit at boot does: probe, and take what is free."""
        node, pace = self.nodes[name], (0.05 if waiting else 0.1)
        node.locked_until = self.now + 20
        probes = [Probe(ip, node.mac, 3, pace, self.now + 20, waiting, own=frozenset([node.mac])) for ip in ips]

        def step() -> None:
            if not node.powered:
                return
            for heard in node.claim_inbox:
                for probe in probes:
                    probe.receive(NeighbourMessage(heard.mac, heard.uses, heard.probes))
            node.claim_inbox.clear()
            for probe in list(probes):
                if probe.is_free(self.now):
                    self._take(node, (probe.address,))
                elif probe.conflict(self.now):
                    node.record.discard(probe.address)
                else:
                    if probe.frame_due(self.now):
                        self._send(Frame(node.mac, asks=probe.address))
                    continue
                probes.remove(probe)
            if probes:
                self.at(self.now + 0.002, step)
            else:
                node.locked_until = 0.0
                then()

        step()

    def move(self, ip: str, giver: str, taker: str) -> None:
        """Move an address as a run does: the taker probes until the giver, shortly after, releases it."""
        self.plan[ip] = (taker, *(name for name in self.plan[ip] if name not in (giver, taker)), giver)
        self.claim(taker, [ip], self._configure_all, waiting=True)

        def release() -> None:
            node = self.nodes[giver]
            node.addresses.discard(ip)
            node.record.discard(ip)
            self._configure(node)

        self.at(self.now + 0.3, release)

    def stun(self, name: str, seconds: float, clocks_stand_still: bool = False) -> None:
        """Suspend a virtual machine."""
        node = self.nodes[name]
        node.stunned = True

        def resume() -> None:
            node.stunned = False
            node.stood_still += seconds if clocks_stand_still else 0.0
            self._wake(node)

        self.at(self.now + seconds, resume)

    def hang(self, name: str, seconds: float) -> None:
        """Stop the program of a node while its kernel goes on."""
        node = self.nodes[name]
        node.hung = True

        def resume() -> None:
            node.hung = False
            self._wake(node)

        self.at(self.now + seconds, resume)

    def split(self, *sides: Iterable[str]) -> None:
        """Cut the wire between these groups of hosts; those that are not named are with the first one."""
        side_of = {name: i for i, side in enumerate(sides) for name in side}
        self.unreachable = lambda one, other: side_of.get(one, 0) != side_of.get(other, 0)

    def reconnect(self) -> None:
        """Connect all hosts."""
        self.unreachable = lambda _one, _other: False

    def flood(self, seconds: float, *names: str) -> None:
        """Let so many frames arrive at nodes that they lose some: at the worst, those of holders. They notice it."""
        for name in names:
            self.nodes[name].flooded_until = self.now + seconds

    def lose_answers(self, sender: str, receiver: str, rows: Iterable[int]) -> None:
        """Lose the next answers of a node for egress IPs: so many in a row, and then one not, for each of `rows`."""
        self.fates[sender, receiver] = [is_lost for row in rows for is_lost in (*[True] * row, False)]

    def start(self, node: Node) -> None:
        """Start the program of a node."""
        if node.powered:
            node.inbox.clear()
            node.program = StateMachine(self._settings(node), self._clock(node))
            self._wake(node)

    def scan(self, ip: str, seconds: float) -> None:
        """Let a foreign host probe for an address again and again."""
        for i in range(int(seconds / 0.05)):
            self.at(self.now + i * 0.05, lambda: self._send(Frame("02:00:00:00:02:99", asks=ip)))

    # --- The wire and the kernels -------------------------------------------------------------------------------------

    def _send(self, frame: Frame) -> None:
        sender = next((host.name for host in self.hosts.values() if host.mac == frame.mac), GATEWAY)
        for host in self.hosts.values():
            if host.mac == frame.mac or frame.to not in ("", host.mac) or self.unreachable(sender, host.name):
                continue
            fates = self.fates.get((sender, host.name)) if frame.to and frame.uses in self.plan else None
            if not (fates and fates.pop(0)) and self.random.random() >= self.loss:
                self.at(self.now + self.random.uniform(*self.delay), lambda host=host: self._receive(host, frame))

    def _receive(self, host: Host, frame: Frame) -> None:
        if not host.works:
            return
        if frame.asks and frame.asks in host.addresses | {host.own}:
            self._send(Frame(host.mac, to=frame.mac, uses=frame.asks))
        if isinstance(host, Node):
            heard = Heard(INTERFACE, frame.mac, frame.uses, "" if frame.uses else frame.asks, bool(frame.to))
            is_lost = self.now < host.flooded_until and frame.uses in self.plan
            host.inbox += [heard] if host.program and not is_lost else []
            host.claim_inbox += [heard] if host.locked_until else []
            self._wake_at(host, self.now + self.random.uniform(0.0001, 0.001))

    # --- The programs -------------------------------------------------------------------------------------------------

    def _clock(self, node: Node) -> Clock:
        seen = self.now - node.stood_still
        return Clock(seen, seen, node.done)

    def _wake_at(self, node: Node, when: float) -> None:
        when = max(when, node.busy_until)
        if node.woken_at is None or when < node.woken_at:
            node.woken_at = when
            self.at(when, lambda: self._wake(node, when))

    def _wake(self, node: Node, when: float | None = None) -> None:
        if when is not None and when != node.woken_at:
            return
        node.woken_at = None
        if node.program is None or not node.works or node.hung or self.now < node.busy_until:
            return
        clock = self._clock(node)
        lost = [FramesLost()] if self.now < node.flooded_until else []
        events, node.inbox, node.events = [*node.inbox, *node.events, *lost], [], []
        at = self.now
        for action in node.program.step(clock, events):
            at = self._do(node, action, at)
        node.busy_until, node.done = at, at - node.stood_still
        due = node.program.next_time() + node.stood_still + self.random.uniform(*self.lateness)
        self._wake_at(node, max(at if node.inbox or node.events else due, at))
        if node.events:
            self._wake_at(node, at)

    def _do(self, node: Node, action: object, at: float) -> float:
        """Carry out an action that begins at this time; returns when it is done."""
        if isinstance(action, Ask):
            self._send_at(at, node, Frame(node.mac, action.mac, asks=action.address))
        elif isinstance(action, Resolve):
            self._send_at(at, node, Frame(node.mac, action.mac, asks=action.address, uses=node.own))
        elif isinstance(action, Announce):
            for ip in action.egress_ips:
                self._send_at(at, node, Frame(node.mac, uses=ip))
        elif isinstance(action, Claim):
            return self._claimed(node, action, at)
        elif isinstance(action, Release):
            at += self.random.uniform(*RELEASE_TIME)
            self.at(at, lambda: self._released(node, action))
        else:
            node.notes.append(action.text)
        return at

    def _claimed(self, node: Node, action: Claim, at: float) -> float:
        node.claims.append((at, action.egress_ips))
        if node.locked_until > at:
            node.events.append(Refused(action.egress_ips))
            return at
        at += self.random.uniform(*CLAIM_TIME)
        self.at(at, lambda: self._take(node, action.egress_ips, taken=True))
        node.events.append(Taken(action.egress_ips))
        return at

    def _released(self, node: Node, action: Release) -> None:
        if node.powered:
            node.releases.append((self.now, action.reason))
            node.addresses -= set(action.holders)
            node.record -= set(action.holders)
            node.taken -= set(action.holders)
            self._configure(node)

    def _take(self, node: Node, ips: Iterable[str], taken: bool = False) -> None:
        if not node.powered:
            return
        node.addresses.update(ips)
        node.record.update(ips)
        node.taken.update(ips if taken else ())
        for ip in ips:
            self._send(Frame(node.mac, uses=ip))
            self._send(Frame(node.mac, uses=ip))
        self._configure(node)

    def _send_at(self, at: float, node: Node, frame: Frame) -> None:
        self.at(at, lambda: self._send(frame) if node.works else None)

    def _settings(self, node: Node) -> FailoverSettings:
        plan = self.plan if node.old_plan is None else node.old_plan
        duties = [Duty(ip, INTERFACE, order[1:]) for ip, order in plan.items() if node.name in order]
        return FailoverSettings(
            name=node.name,
            duties=tuple(duties),
            held=dict.fromkeys(sorted(node.addresses & node.record), INTERFACE),
            taken=tuple(sorted(node.taken)),
            peers={
                other.name: (Neighbour(INTERFACE, other.own),) for other in self.nodes.values() if other is not node
            },
            witnesses=(Neighbour(INTERFACE, self.hosts[GATEWAY].own),),
            own_macs=frozenset([node.mac]),
            **{"limits": Limits(), **self.settings},
        )

    def _configure(self, node: Node) -> None:
        if node.program:
            node.events.append(Configured(self._settings(node)))
            self._wake_at(node, self.now + 0.001)

    def _configure_all(self) -> None:
        for node in self.nodes.values():
            self._configure(node)

    # --- The referee --------------------------------------------------------------------------------------------------

    def _check_holders(self) -> None:
        for ip in self.plan:
            holders = self.holders(ip)
            if len(holders) > 1:
                self.doubles[ip].append(self.now)
            if not any(not self.unreachable(CLIENT, name) for name in holders):
                self.silent[ip].append(self.now)
        self.at(self.now + LOOK, self._check_holders)
