# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that takes egress IPs over between two runs: the edge of the state machine. PRIVATE to the collection.

It reads the time, then all frames, then lets `_failover` decide, and carries the actions out, those that change the
node by `recorded_node`. When the process ends, all addresses stay.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Tuple

from .._common.addresses import version_of
from .._common.errors import CommandError, EgressIPError
from .._dataplane.node_state import NodeState
from .._failover.failover import StateMachine
from .._failover.values import (
    Action,
    Announce,
    Ask,
    Claim,
    Clock,
    Configured,
    Event,
    FramesLost,
    Heard,
    Refused,
    Release,
    Resolve,
    Taken,
)
from .._host_io import (
    conntrack,
    container_networks,
    esp,
    file_changes,
    files,
    fleet_calls,
    memory,
    packets,
    segment,
    termination,
)
from .._host_io.fleet_calls import Call
from .._host_io.host_io import HostIO
from .._host_io.segment import Received
from .._protocols.address_probe import probe, question
from .._protocols.ethernet import KEPT
from .address_conflicts import mac_address
from .failover_settings import own_addresses, settings_of
from .fleet_handover import hand_over_all, take_over_from
from .fleet_messages import LEAVING, MOVED
from .fleet_news import apply_notice, notify_takeover
from .journal import log
from .record import Record
from .recorded_node import NEVER_READ, RecordedNode

# A run may replace the zip of this program while it runs, so it imports what it needs later when it begins.
_IMPORTED = (conntrack, container_networks, esp, file_changes, fleet_calls, memory, packets, segment, termination)
# Seconds in which frames wait for each other after a step, so that all answers to its questions cost one more step. The
# usual windows are not shorter, and an answer counts at the end of its window. The second is for answers that decide
# whether this node yields: until then, two nodes may have an address.
_COALESCE, _COALESCE_SHORT = 0.04, 0.008
# Seconds after which to check again whether record, host and sockets are as they were read and opened.
_CHECK_AGAIN = 1.0
# A program that cannot begin, for example without a record, ends after so many looks for another record, with so many
# seconds between them: systemd starts it again at once, and a start takes a third of a second of a processor.
_LOOKS, _LOOK_AGAIN = 25, 0.2
# Seconds after which a line that comes again and again is logged again.
_LOG_AGAIN = 600.0
_LINKS = Path("/sys/class/net")
_RECORD = str(files.STATE_FILE)
# An action with its interface, EtherType and frame.
_Question = Tuple[Action, str, int, bytes]


def main(io: HostIO, argv: Sequence[str]) -> int:
    """Follow the egress IPs; returns the exit status. `argv` is the name of the command."""
    try:
        follow(io)
    except EgressIPError as error:
        log(str(error))
        return 1
    return 0


def follow(io: HostIO) -> None:
    """Follow the egress IPs for as long as the plan on record has a failover. Raises EgressIPError.

    When the host shuts down, the first standbys take over what this node holds. When only this program ends, all
    addresses stay.
    """
    end = io.termination()
    follower = Follower(io, (end.fileno(),))
    version, is_needed = io.file_version(_RECORD), False
    try:
        is_needed = follower.read_record()
    finally:
        if not is_needed:
            _wait_for_record(io, end, version)
    if not is_needed:
        return
    io.settle_memory()
    while not end.requested and follower.read_record():
        follower.turn()
    if end.requested and io.is_shutting_down():
        hand_over_all(follower)


def _wait_for_record(io: HostIO, end: termination.Termination, version: tuple[int, int]) -> None:
    """Wait until there is another record: a run may start this program before it has written one. Not for long."""
    for _look in range(_LOOKS):
        if end.requested or io.file_version(_RECORD) != version:
            return
        end.wait(_LOOK_AGAIN)


class Follower:
    """The state machine, and all by which it sees the node and its networks: the record, the host, and the sockets."""

    def __init__(self, io: HostIO, awaited: Collection[int] = ()) -> None:
        """`awaited` are file descriptors that end the wait for the next step when they can be read."""
        self.io, self.segment, self.changes = io, io.segment(), io.file_changes(files.STATE_DIRECTORY)
        self.node = RecordedNode(io, self.segment, self.log_once, self._configure)
        self.awaited = (*awaited, *([self.changes.fileno()] if self.changes.fileno() >= 0 else ()))
        # Whether there may be a change of the record, or a call.
        self._is_called = True
        self.call_listener: fleet_calls.CallListener | None = None
        self._calls_by: tuple[str, int, tuple[str, ...]] | None = None
        self.machine: StateMachine | None = None
        self.own: dict[str, dict[int, str]] = {}
        # Frames that came and come again, and {identity of a question: it, its interface, EtherType and frame}.
        self._heard: dict[Received, Heard] = {}
        # Frames that were read and not taken in yet.
        self._unread: list[Received] = []
        self._frames: dict[int, _Question] = {}
        self.links: dict[str, tuple[bytes | None, ...]] = {}
        self.events: list[Event] = []
        self.done = 0.0
        self._check_at = 0.0
        # Why a socket could not be opened, empty if all are open.
        self._unopened = ""
        # Whether an address was in question at the end of the last step.
        self._suspects = False
        # Line -> when it was logged, by the monotonic clock.
        self._logged: dict[str, float] = {}
        # (the node, the egress IP or empty for a hand-over that it broke off) -> time of the monotonic clock.
        self._calls: dict[tuple[str, str], float] = {}

    def read_record(self) -> bool:
        """Read the record and the host again if one of them has changed; returns whether the plan has a failover."""
        node, version = self.node, self.node.version
        if self._is_called or version == NEVER_READ:
            self.changes.forget()
            version = self.io.file_version(_RECORD)
        if version == node.version and self.done >= self._check_at:
            self._check_at = self.done + _CHECK_AGAIN
            self._check()
            version = self.io.file_version(_RECORD)
        if version == node.version:
            return True
        self.changes.watch()
        record = Record.load(self.io)
        if record is None or record.state.failover is None:
            # What this program knows is of a former record.
            node.read_again()
            return False
        self.own = dict.fromkeys((item.interface for item in record.state.standbys), {})
        self.links = self._links()
        node.read(record, version)
        self.own = {name: own_addresses(node.host, name, record.claimed) for name in self.own}
        self._frames.clear()
        self._take_calls(record.state)
        self._open_sockets()
        self._configure()
        return True

    def _check(self) -> None:
        """Check what comes without a new record: whether the host and the sockets are as they were read and opened."""
        node = self.node
        node.complete_releases()
        is_changed = self._lacks_address() or self._lost_address() or self._links() != self.links
        if is_changed or node.has_other_addresses() or (node.key and self.call_listener is None):
            node.read_again()
        if self._unopened:
            self._open_sockets()

    def _open_sockets(self) -> None:
        listening = [self.call_listener.fileno()] if self.call_listener else []
        self._unopened = self.segment.open(self.own, (*self.awaited, *listening))
        if self._unopened:
            self.log_once(f"cannot watch other nodes, which is tried again every second: {self._unopened}")

    def _take_calls(self, state: NodeState) -> None:
        """Listen for calls of other nodes as the record wants it."""
        wanted = (self.node.key, state.options.tunnel_port, state.endpoints)
        if wanted == self._calls_by:
            return
        if self.call_listener:
            self.call_listener.close()
        self.call_listener = self._calls_by = None
        try:
            self.call_listener = self.io.call_listener(*wanted) if self.node.key else None
            self._calls_by = wanted
        except CommandError as error:
            # Tried again with the next look at the record.
            self.log_once(f"cannot listen for calls of other nodes: {error}")

    def _lacks_address(self) -> bool:
        """Return whether an interface had no address of its own with which to ask: one may have come since."""
        standbys = self.node.record.state.standbys
        return any(version_of(item.egress_ip) not in self.own[item.interface] for item in standbys)

    def _lost_address(self) -> bool:
        """Return whether an IPv4 address of its own with which this node asks others is gone, as after a new lease.

        The one for IPv6 follows from the MAC address.
        """
        return not all(self.io.is_here((own[4], name)) for name, own in self.own.items() if 4 in own)

    def _links(self) -> dict[str, tuple[bytes | None, ...]]:
        """Return what changes if an interface is replaced or gets another MAC address."""
        return {
            name: tuple(self.io.read_file(_LINKS / name / field) for field in ("ifindex", "address"))
            for name in self.own
        }

    def _configure(self) -> None:
        """Let the state machine know the record that was read or written."""
        node = self.node
        present = {item.egress_ip: item.interface for item in node.held}
        settings = settings_of(node.record.state, node.host, present, node.takeovers.taken)
        if self.machine is None or self.machine.settings.after != settings.after:
            now, boot = self.segment.clocks()
            self.machine, self.done = StateMachine(settings, Clock(now, boot, now)), now
            # They answer what the former one did.
            self.events.clear()
            # Its predecessor may have ended before all nodes heard of its takeovers.
            notify_takeover(node, [item for item in node.held if item.egress_ip in node.takeovers.taken])
        else:
            self.events.append(Configured(settings))

    def turn(self) -> None:
        """Carry out one step of the state machine, and wait until the next one."""
        if self.machine is None:
            raise AssertionError("read_record comes first")
        now, boot = self.segment.clocks()
        for call in self.call_listener.read() if self.call_listener and self._is_called else ():
            self._answer(call)
        known, received = self._heard, [*self._unread, *self.segment.read()]
        self._unread.clear()
        events: list[Event] = [known.get(each) or self._hear(each) for each in received]
        events, self.events = [*events, *self.events], []
        if self.segment.is_behind or (self._suspects and self.segment.has_dropped()):
            events.append(FramesLost())
        for action in self.machine.step(Clock(now, boot, self.done), events):
            made = self._frames.get(id(action))
            if made:
                self.segment.send(*made[1:])
            else:
                self._do(action)
        self.done = self.segment.clocks()[0]
        self.machine.sent(self.done)
        self._notice_suspicion(self.machine.watch.suspects)
        self._is_called = bool(self.events)
        if not self.events:
            pause = _COALESCE_SHORT if self.machine.holding.awaits_answers(self.done) else _COALESCE
            # Also a node that holds and watches nothing makes its checks.
            seconds = min(self.machine.next_time() - self.done, _CHECK_AGAIN)
            is_ready = self.segment.wait(seconds, pause)
            self._is_called = is_ready or not self.changes.works

    def _notice_suspicion(self, suspects: bool) -> None:
        """Count the frames that the kernel drops from now on if an address has just come into question."""
        if suspects and not self._suspects:
            self.segment.has_dropped()
        self._suspects = suspects

    def _hear(self, received: Received) -> Heard:
        """Return what a frame that has not come yet means. When it comes again, it is the same value."""
        message = received.message
        probes = message.probes or received.solicits
        if len(self._heard) >= KEPT:
            self._heard.clear()
        heard = self._heard[received] = Heard(received.interface, message.mac, message.uses, probes, received.direct)
        return heard

    def _answer(self, call: Call) -> None:
        answer = {LEAVING: take_over_from, MOVED: apply_notice}.get(str(call.request.get("kind")))
        if answer:
            answer(self, call)
        else:
            call.close()

    def _do(self, action: Action) -> None:
        if isinstance(action, (Ask, Resolve)):
            self._send_question(action)
        elif isinstance(action, Announce):
            self.node.announce(self.node.items(action.egress_ips))
        elif isinstance(action, Claim):
            self.events.append(self._take_over(action))
        elif isinstance(action, Release):
            self.node.release(action.holders, action.reason)
        else:
            log(action.text)

    def _send_question(self, action: Ask | Resolve) -> None:
        """Send a question, unless this host has no address of its own with which to ask, and keep its frame."""
        own = self.own.get(action.interface, {}).get(version_of(action.address))
        if own:
            make = probe if isinstance(action, Ask) else question
            frame = make(mac_address(self.node.host, action.interface), own, action.address, action.mac)
            if len(self._frames) >= KEPT:
                self._frames.clear()
            self._frames[id(action)] = (action, action.interface, *frame)
            self.segment.send(action.interface, *frame)

    def _take_over(self, claim: Claim) -> Event:
        try:
            with self.io.lock(0):
                self.node.check_current(claim.egress_ips)
                with self.node.preparing(self.node.items(claim.egress_ips)) as prepared:
                    self._check_silence(claim.former)
                    self.node.take(claim.former, prepared)
        except EgressIPError as error:
            self.log_once(f"{', '.join(claim.egress_ips)}: not taken over: {error}")
            return Refused(claim.egress_ips)
        return Taken(claim.egress_ips)

    def _check_silence(self, egress_ips: Collection[str]) -> None:
        """Raise CommandError if a host used one of the addresses while this node, which may be slow, prepared them."""
        self._unread += self.segment.read()
        if self.segment.is_behind:
            raise CommandError("more frames arrive than this node can read")
        users = {each.message.uses: each.message.mac for each in self._unread if each.message.uses in egress_ips}
        if users:
            raise CommandError(", ".join(f"{mac} uses {ip} now" for ip, mac in sorted(users.items())))

    def accept(self, giver: str, egress_ips: Iterable[str]) -> tuple[str, ...]:
        """Return those of the addresses of another node that this one may take from it now."""
        return self.machine.accept(giver, egress_ips) if self.machine else ()

    def is_soon_after(self, seconds: float, node: str, egress_ip: str = "") -> bool:
        """Return whether `note_call` was called with these values in the last seconds."""
        return self.segment.clocks()[0] - self._calls.get((node, egress_ip), -seconds) < seconds

    def note_call(self, node: str, egress_ip: str = "") -> None:
        """Note that a node has called now, about an egress IP, or for a hand-over that it broke off."""
        self._calls[node, egress_ip] = self.segment.clocks()[0]

    def log_once(self, text: str) -> None:
        """Log a line that may come again and again, unless it was logged a short time ago."""
        now = self.segment.clocks()[0]
        self._logged = {line: when for line, when in self._logged.items() if now - when < _LOG_AGAIN}
        if text not in self._logged:
            self._logged[text] = now
            log(text)
