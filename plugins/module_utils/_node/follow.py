# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that takes egress IPs over between two runs: the edge of the state machine. PRIVATE to the collection.

It reads the time, then all frames, then lets `_failover` decide, and carries the actions out. The record of the node
stays the only description of what it holds: a takeover and a release change its held addresses, under the same lock as
a run. When the process ends, all addresses stay.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Tuple

from .._common.addresses import version_of
from .._common.errors import CommandError, EgressIPError
from .._dataplane.moved_ends import after_move
from .._dataplane.nft_ruleset import settling_lines
from .._dataplane.node_state import Held, NodeState
from .._dataplane.state import DataPlane, desired_data_plane, transaction, with_addresses_of
from .._failover.failover import StateMachine
from .._failover.values import (
    Action,
    Announce,
    Ask,
    Claim,
    Clock,
    Configured,
    Event,
    FailoverSettings,
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
from .._protocols.address_probe import announcements, probe, question
from .._protocols.ethernet import KEPT
from .address_conflicts import mac_address
from .connections import Connections, challenge, forget
from .current_state import read_data_plane, read_host
from .failover_key import load_key
from .failover_settings import own_addresses, settings_of
from .fleet_handover import HandedOver, Prepared, hand_over_all, take_over_from
from .fleet_messages import LEAVING, MOVED
from .fleet_news import apply_notice, notify_takeover
from .journal import log
from .presence import note_presence
from .record import Record
from .takeovers import Takeovers

# A run may replace the zip of this program while it runs, so it imports what it needs later when it begins.
_IMPORTED = (conntrack, container_networks, esp, file_changes, fleet_calls, memory, packets, segment, termination)
# Seconds that a release waits for a run to end. It cannot wait longer: a standby is about to claim.
_PATIENCE = 0.02
# Seconds in which frames wait for each other after a step, so that all answers to its questions cost one more step. The
# usual windows are not shorter, and an answer counts at the end of its window. The second is for answers that decide
# whether this node yields: until then, two nodes may have an address.
_COALESCE, _COALESCE_SHORT = 0.04, 0.008
_LENGTH = {4: 32, 6: 128}
_NEVER_READ = (-1, -1)
# Seconds after which to check again whether the interfaces are those that were read.
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
    """The node as the state machine sees it: its record, its host, and the sockets."""

    def __init__(self, io: HostIO, awaited: Collection[int] = ()) -> None:
        """`awaited` are file descriptors that end the wait for the next step when they can be read."""
        self.io, self.segment, self.changes = io, io.segment(), io.file_changes(files.STATE_DIRECTORY)
        self.awaited = (*awaited, *([self.changes.fileno()] if self.changes.fileno() >= 0 else ()))
        # Whether there may be a change of the record, or a call.
        self._is_called = True
        # The key of the fleet, empty without one.
        self.key = ""
        self.call_listener: fleet_calls.CallListener | None = None
        self._calls_by: tuple[str, int, tuple[str, ...]] | None = None
        # The data plane that the host has.
        self.present = DataPlane()
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
        self._version = _NEVER_READ
        self._check_at = 0.0
        # Why a socket could not be opened, empty if all are open.
        self._unopened = ""
        # Whether an address was in question at the end of the last step.
        self._suspects = False
        # What was released without the record, and the generation of the plan then.
        self._owed: set[Held] = set()
        self._owed_by = 0
        # Line -> when it was logged, by the monotonic clock.
        self._logged: dict[str, float] = {}
        # {egress IP: its interface} of the addresses that the node holds or may hold.
        self._interfaces: dict[str, str] = {}
        # (the node, the egress IP or empty for a hand-over that it broke off) -> time of the monotonic clock.
        self._calls: dict[tuple[str, str], float] = {}

    def read_record(self) -> bool:
        """Read the record and the host again if one of them has changed; returns whether the plan has a failover."""
        now, version = self.done, self._version
        if self._is_called or version == _NEVER_READ:
            self.changes.forget()
            version = self.io.file_version(_RECORD)
        if version == self._version and now >= self._check_at:
            self._check_at = now + _CHECK_AGAIN
            self._complete_releases()
            version = self.io.file_version(files.STATE_FILE)
            if self.key and self.call_listener is None:
                self._version = _NEVER_READ
            if self._lacks_address() or self._lost_address() or self._links() != self.links:
                self._version = _NEVER_READ
            if self._present() != self.held:
                # Someone has deleted an egress IP, or the watch has restored one: the record is the same.
                self._version = _NEVER_READ
            if self._unopened:
                self._open_sockets()
        if version == self._version:
            return True
        self._version = version
        self.changes.watch()
        record = Record.load(self.io)
        if record is None or record.state.failover is None:
            # What this program knows is of a former record.
            self._version = _NEVER_READ
            return False
        self.own = dict.fromkeys((item.interface for item in record.state.standbys), {})
        self.links = self._links()
        self.host = read_host(self.io, record)
        self.own = {name: own_addresses(self.host, name, record.claimed) for name in self.own}
        self._frames.clear()
        self.key = load_key(self.io, record.state)
        self._take_calls(record.state)
        self._open_sockets()
        self._learn(record)
        return True

    def _open_sockets(self) -> None:
        listening = [self.call_listener.fileno()] if self.call_listener else []
        self._unopened = self.segment.open(self.own, (*self.awaited, *listening))
        if self._unopened:
            self.log_once(f"cannot watch other nodes, which is tried again every second: {self._unopened}")

    def _take_calls(self, state: NodeState) -> None:
        """Listen for calls of other nodes as the record wants it."""
        wanted = (self.key, state.options.tunnel_port, state.endpoints)
        if wanted == self._calls_by:
            return
        if self.call_listener:
            self.call_listener.close()
        self.call_listener = self._calls_by = None
        try:
            self.call_listener = self.io.call_listener(*wanted) if self.key else None
            self._calls_by = wanted
        except CommandError as error:
            # Tried again with the next look at the record.
            self.log_once(f"cannot listen for calls of other nodes: {error}")

    def _lacks_address(self) -> bool:
        """Return whether an interface had no address of its own with which to ask: one may have come since."""
        return any(version_of(item.egress_ip) not in self.own[item.interface] for item in self.record.state.standbys)

    def _lost_address(self) -> bool:
        """Return whether an IPv4 address of its own with which this node asks others is gone, as after a new lease.

        The one for IPv6 follows from the MAC address.
        """
        return not all(self.io.is_here((own[4], name)) for name, own in self.own.items() if 4 in own)

    def _present(self) -> tuple[Held, ...]:
        """Return the addresses on record that this host has."""
        return tuple(item for item in self.record.state.held if self.io.is_here((item.egress_ip, item.interface)))

    def _links(self) -> dict[str, tuple[bytes | None, ...]]:
        """Return what changes if an interface is replaced or gets another MAC address."""
        return {
            name: tuple(self.io.read_file(_LINKS / name / field) for field in ("ifindex", "address"))
            for name in self.own
        }

    def _learn(self, record: Record, plane: DataPlane | None = None) -> None:
        """Take a record that this program has read or written, with the data plane of the present addresses."""
        self.record = record
        self.takeovers = Takeovers.load(self.io, record)
        self.held = self._present()
        # Each announcement needs it, and a takeover announces each address by itself.
        self._interfaces = {item.egress_ip: item.interface for item in record.state.standbys}
        self._interfaces.update({item.egress_ip: item.interface for item in self.held})
        self.present = plane or self.plane_with(self.held)
        settings = self._settings()
        if self.machine is None or self.machine.settings.after != settings.after:
            now, boot = self.segment.clocks()
            self.machine, self.done = StateMachine(settings, Clock(now, boot, now)), now
            # They answer what the former one did.
            self.events.clear()
            # Its predecessor may have ended before all nodes heard of its takeovers.
            notify_takeover(self, [item for item in self.held if item.egress_ip in self.takeovers.taken])
        else:
            self.events.append(Configured(settings))

    def _settings(self) -> FailoverSettings:
        present = {item.egress_ip: item.interface for item in self.held}
        return settings_of(self.record.state, self.host, present, self.takeovers.taken)

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
            self._announce(self.items(action.egress_ips))
        elif isinstance(action, Claim):
            self.events.append(self._take_over(action))
        elif isinstance(action, Release):
            self._release(action)
        else:
            log(action.text)

    def _send_question(self, action: Ask | Resolve) -> None:
        """Send a question, unless this host has no address of its own with which to ask, and keep its frame."""
        own = self.own.get(action.interface, {}).get(version_of(action.address))
        if own:
            make = probe if isinstance(action, Ask) else question
            frame = make(mac_address(self.host, action.interface), own, action.address, action.mac)
            if len(self._frames) >= KEPT:
                self._frames.clear()
            self._frames[id(action)] = (action, action.interface, *frame)
            self.segment.send(action.interface, *frame)

    def _announce(self, items: Iterable[Held], holder: str = "") -> None:
        for item in items:
            ethertype, frames = announcements(mac_address(self.host, item.interface), item.egress_ip, holder)
            for frame in frames:
                self.segment.send(item.interface, ethertype, frame)

    def items(self, egress_ips: Iterable[str]) -> tuple[Held, ...]:
        """Return the addresses with their interfaces."""
        return tuple(Held(ip, self._interfaces[ip]) for ip in egress_ips if ip in self._interfaces)

    # --- Changes of the node ------------------------------------------------------------------------------------------

    def _take_over(self, claim: Claim) -> Event:
        try:
            with self.io.lock(0):
                self.check_current(claim.egress_ips)
                self.take(self.items(claim.egress_ips), claim.former)
        except EgressIPError as error:
            self.log_once(f"{', '.join(claim.egress_ips)}: not taken over: {error}")
            return Refused(claim.egress_ips)
        return Taken(claim.egress_ips)

    def accept(self, giver: str, egress_ips: Iterable[str]) -> tuple[str, ...]:
        """Return those of the addresses of another node that this one may take from it now."""
        return self.machine.accept(giver, egress_ips) if self.machine else ()

    def check_current(self, egress_ips: Iterable[str]) -> None:
        """Raise CommandError if a run has changed the record or the addresses, or the tunnel has lost its end here."""
        if self.io.file_version(files.STATE_FILE) != self._version:
            raise CommandError("a run has changed the plan")
        if self._present() != self.held:
            self._version = _NEVER_READ
            raise CommandError("the egress IPs of this node have changed")
        for version in {version_of(ip) for ip in egress_ips}:
            endpoint = self.record.state.endpoint(version)
            if not endpoint or not self.io.is_here((endpoint, "")):
                raise CommandError("this node has lost the address at which its tunnel ends")

    def take(self, items: tuple[Held, ...], former: Mapping[str, str], handed_over: HandedOver | None = None) -> None:
        """Take these addresses: note it, change the data plane, announce, and put them on record.

        `former` {egress IP: its last holder} did not answer, or hands them over with `handed_over`.
        """
        record = self.record
        connections = Connections(self.io, record.state, record.marks)
        self.takeovers.with_taken(former, self.io.wall_clock()).save(self.io)
        try:
            prepared = handed_over.prepared if handed_over else self.prepare(items)
            if handed_over:
                connections.arrive(handed_over.connections)
            else:
                self._check_silence(former)
            self.io.execute(prepared.rest)
            self._announce(items)
            # The record takes time, and the tunnels of other nodes may wait for this.
            notify_takeover(self, items)
            self._save(prepared.state.holding({*record.state.held, *items}), prepared.whole)
        except EgressIPError:
            if self.record is record:
                self._undo(items)
            raise
        reason = "shuts down" if handed_over else "does not answer"
        for item in items:
            log(f"{item.egress_ip} is taken over: {former[item.egress_ip] or 'its last holder'} {reason}")
        if handed_over:
            connections.forget_others(handed_over.connections)
        else:
            self._forget_lost(connections, items)

    def _check_silence(self, egress_ips: Collection[str]) -> None:
        """Raise CommandError if a host used one of the addresses while this node, which may be slow, prepared them."""
        self._unread += self.segment.read()
        if self.segment.is_behind:
            raise CommandError("more frames arrive than this node can read")
        users = {each.message.uses: each.message.mac for each in self._unread if each.message.uses in egress_ips}
        if users:
            raise CommandError(", ".join(f"{mac} uses {ip} now" for ip, mac in sorted(users.items())))

    def prepare(self, items: tuple[Held, ...]) -> Prepared:
        """Bring everything in place for these addresses but themselves."""
        state = self._state_with(items)
        whole = self._plane_of(state.holding({*self.held, *items}))
        plane = with_addresses_of(whole, state.holding(self.held), self.record.marks, self.host)
        needed = transaction(self.present, plane)
        settling = settling_lines([item.egress_ip for item in items])
        self.io.execute(replace(needed, nft=(*needed.nft, *settling)))
        return Prepared(state, plane, transaction(plane, whole), whole)

    def _forget_lost(self, connections: Connections, items: Iterable[Held]) -> None:
        """Forget the connections that went to the last holder, and make their clients notice."""
        record = self.record
        stale = connections.elsewhere([item.egress_ip for item in items])
        try:
            forget(self.io, record.state.options, {record.marks[item.egress_ip] for item in items})
        except CommandError as error:
            # The addresses are on record: they stay.
            log(str(error))
        challenge(self.io, stale)

    def _undo(self, items: Iterable[Held]) -> None:
        """Bring the node back to its record after a takeover that failed half-way."""
        self._version = _NEVER_READ
        self.io.execute(transaction(self._read_plane(items), self.present))
        self.takeovers.save(self.io)
        if Record.load(self.io) != self.record:
            self.record.save(self.io)

    def _read_plane(self, items: Iterable[Held]) -> DataPlane:
        """Return the data plane that the host shows now, with these addresses in addition to those on record."""
        claimed = self.record.claimed.union(item.egress_ip for item in items)
        return read_data_plane(self.io, read_host(self.io, self.record), self.record.state.options, claimed)

    def _release(self, release: Release) -> None:
        """Release addresses; without the record if a run holds the lock, for a standby does not wait."""
        items = self.items(release.holders)
        for item in items:
            log(f"{item.egress_ip} is released: {release.reason}")
        try:
            with self.io.lock(_PATIENCE):
                self._release_items(items, release.holders)
        except EgressIPError as error:
            log(f"only the addresses are deleted now, the rest follows: {error}")
            lines = [
                f"address delete {item.egress_ip}/{_LENGTH[version_of(item.egress_ip)]} dev {item.interface}\n"
                for item in items
            ]
            # One that is gone already must not keep the others.
            self.io.run(["ip", "-force", "-batch", "-"], "".join(lines))
            self._owed.update(items)
            self._owed_by = self.record.state.generation
            self._version = _NEVER_READ

    def _complete_releases(self) -> None:
        """Complete the releases without the record, unless there is another plan or the address is back since."""
        if not self._owed:
            return
        try:
            with self.io.lock(0):
                if self.io.file_version(files.STATE_FILE) == self._version:
                    self._release_owed()
        except EgressIPError as error:
            self.log_once(
                f"{', '.join(sorted(item.egress_ip for item in self._owed))} is released and still on record: {error}"
            )

    def _release_owed(self) -> None:
        here = {item for item in self._owed if self.io.is_here((item.egress_ip, item.interface))}
        items = tuple(sorted(self._owed.intersection(self.record.state.held) - here))
        if items and self._owed_by == self.record.state.generation:
            self.present = self._read_plane(items)
            self._release_items(items, dict.fromkeys((item.egress_ip for item in items), ""))
        self._owed.clear()
        if here:
            # This node holds them again, which the state machine must know to yield.
            self._version = _NEVER_READ

    def _release_items(self, items: tuple[Held, ...], holders: Mapping[str, str]) -> None:
        gone = set(items)
        record, plane = self.record, self.plane_with(item for item in self.held if item not in gone)
        self.io.execute(transaction(self.present, plane))
        for item in items:
            if holders[item.egress_ip]:
                self._announce((item,), holders[item.egress_ip])
        connections = Connections(self.io, record.state, record.marks)
        connections.leaving([item.egress_ip for item in items])
        forget(self.io, record.state.options, {record.marks[item.egress_ip] for item in items})
        challenge(self.io, connections.lost if any(holders.values()) else ())
        self.takeovers.without(holders).save(self.io)
        self._save(record.state.holding({*record.state.held} - gone), plane)

    def save_without(self, items: Iterable[Held]) -> None:
        """Put on record that these addresses, which this node has deleted, belong to others now."""
        gone = set(items)
        plane = self.plane_with(item for item in self.held if item not in gone)
        self.io.execute(transaction(self.present, plane))
        self.takeovers.without(item.egress_ip for item in gone).save(self.io)
        self._save(self.record.state.holding({*self.record.state.held} - gone), plane)

    def has_taken(self, egress_ips: Iterable[str], generation: int) -> bool:
        """Return whether this node holds all these addresses, which it took over since the plan `generation`."""
        is_same = self.record.state.generation == generation
        return is_same and set(egress_ips) <= {item.egress_ip for item in self.held}

    def plane_with(self, held: Iterable[Held]) -> DataPlane:
        """Return the data plane of this node with these addresses."""
        return self._plane_of(self.record.state.holding(held))

    def _plane_of(self, state: NodeState) -> DataPlane:
        return desired_data_plane(state, self.record.marks, self.host)

    def _state_with(self, items: Iterable[Held]) -> NodeState:
        """Return the state on record with the tunnels as they end when this node has these addresses too."""
        state = self.record.state
        return after_move(state, [item.egress_ip for item in items], state.name)

    def follow_ends(self, egress_ips: Iterable[str], holder: str) -> None:
        """Let the tunnels for these addresses end at their new holder. Raises EgressIPError."""
        state = after_move(self.record.state, egress_ips, holder)
        if state == self.record.state:
            return
        with self.io.lock(0):
            self.check_current(())
            plane = self._plane_of(state.holding(self.held))
            self.io.execute(transaction(self.present, plane))
            self._save(state, plane)

    def _save(self, state: NodeState, plane: DataPlane) -> None:
        """Put a state on record, and note the presence for the watch."""
        record = replace(self.record, state=state)
        record.save(self.io)
        self._version = self.io.file_version(files.STATE_FILE)
        self._learn(record, plane)
        try:
            note_presence(self.io, record.state, self.held)
        except CommandError as error:
            # The change is made. Without the note, the watch probes for the addresses.
            self.log_once(str(error))

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
