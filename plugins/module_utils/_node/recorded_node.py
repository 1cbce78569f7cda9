# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node as its record describes it, and the changes that failover makes to both. PRIVATE to the collection.

The record stays the only description of what the node holds. A change is made under the lock of a run: first the data
plane, then the announcements, then the record. One that fails half-way is undone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from .._common.addresses import version_of
from .._common.errors import CommandError, EgressIPError
from .._dataplane.host import Host
from .._dataplane.moved_ends import after_move
from .._dataplane.nft_ruleset import settling_lines
from .._dataplane.node_state import Held, NodeState
from .._dataplane.state import DataPlane, Transaction, desired_data_plane, transaction, with_addresses_of
from .._host_io import files
from .._host_io.host_io import HostIO
from .._host_io.node_messages import Flows
from .._protocols.address_probe import announcements
from .address_conflicts import mac_address
from .connections import Connections, challenge, forget
from .current_state import read_data_plane, read_host
from .failover_key import load_key
from .fleet_news import notify_takeover
from .journal import log
from .presence import note_presence
from .record import Record
from .takeovers import Takeovers

if TYPE_CHECKING:
    from .._host_io.segment import Segment

# The version of a record that was not read.
NEVER_READ = (-1, -1)
# Seconds that a release waits for a run to end. It cannot wait longer: a standby is about to claim.
_PATIENCE = 0.02
_LENGTH = {4: 32, 6: 128}


class Prepared(NamedTuple):
    """What comes before a takeover, so that it is quick: the `plane` of the node without the addresses.

    `rest` leads to the `whole` data plane with them; `state` has the tunnels as they end then.
    """

    state: NodeState
    plane: DataPlane
    rest: Transaction
    whole: DataPlane


class RecordedNode:
    """The record of a node, its host and its data plane as they were read last, and the changes of them.

    `version` is that of the record; `held` are the addresses on record that the host has, `present` is its data plane;
    `key` is that of the fleet, empty without one. All but `version` and `present` are set by `read`.
    """

    record: Record
    host: Host
    takeovers: Takeovers
    held: tuple[Held, ...]

    def __init__(
        self, io: HostIO, segment: Segment, log_once: Callable[[str], None], changed: Callable[[], None]
    ) -> None:
        """`changed` is called after each change of the record that this object has made."""
        self.io, self._segment, self._log_once, self._changed = io, segment, log_once, changed
        self.version, self.present, self.key = NEVER_READ, DataPlane(), ""
        # {egress IP: its interface} of the addresses that the node holds or may hold.
        self._interfaces: dict[str, str] = {}
        # What was released without the record, and the generation of the plan then.
        self._owed: set[Held] = set()
        self._owed_by = 0

    # --- What it is ---------------------------------------------------------------------------------------------------

    def read(self, record: Record, version: tuple[int, int]) -> None:
        """Take a record that has a failover, and read the host. Raises CommandError."""
        self.version, self.host = version, read_host(self.io, record)
        self.key = load_key(self.io, record.state)
        self._learn(record)

    def read_again(self) -> None:
        """Let the record count as changed, so that the next step reads it and the host."""
        self.version = NEVER_READ

    def _learn(self, record: Record, plane: DataPlane | None = None) -> None:
        """Take a record that was read or written, with the data plane of the present addresses."""
        self.record = record
        self.takeovers = Takeovers.load(self.io, record)
        self.held = self._present()
        # Each announcement needs it, and a takeover announces each address by itself.
        self._interfaces = {item.egress_ip: item.interface for item in record.state.standbys}
        self._interfaces.update({item.egress_ip: item.interface for item in self.held})
        self.present = plane or self._plane_with(self.held)

    def _present(self) -> tuple[Held, ...]:
        return tuple(item for item in self.record.state.held if self.io.is_here((item.egress_ip, item.interface)))

    def has_other_addresses(self) -> bool:
        """Return whether someone has deleted an egress IP, or the watch has restored one: the record is the same."""
        return self._present() != self.held

    def check_current(self, egress_ips: Iterable[str]) -> None:
        """Raise CommandError if a run has changed the record or the addresses, or the tunnel has lost its end here."""
        if self.io.file_version(files.STATE_FILE) != self.version:
            raise CommandError("a run has changed the plan")
        if self.has_other_addresses():
            self.read_again()
            raise CommandError("the egress IPs of this node have changed")
        for version in {version_of(ip) for ip in egress_ips}:
            endpoint = self.record.state.endpoint(version)
            if not endpoint or not self.io.is_here((endpoint, "")):
                raise CommandError("this node has lost the address at which its tunnel ends")

    def items(self, egress_ips: Iterable[str]) -> tuple[Held, ...]:
        """Return the addresses with their interfaces."""
        return tuple(Held(ip, self._interfaces[ip]) for ip in egress_ips if ip in self._interfaces)

    def has_taken(self, egress_ips: Iterable[str], generation: int) -> bool:
        """Return whether this node holds all these addresses, which it took over since the plan `generation`."""
        is_same = self.record.state.generation == generation
        return is_same and set(egress_ips) <= {item.egress_ip for item in self.held}

    def _plane_with(self, held: Iterable[Held]) -> DataPlane:
        """Return the data plane of this node with these addresses."""
        return self._plane_of(self.record.state.holding(held))

    def _plane_of(self, state: NodeState) -> DataPlane:
        return desired_data_plane(state, self.record.marks, self.host)

    def plane_after(self, gone: Iterable[Held]) -> DataPlane:
        """Return the data plane without these addresses alone. Their translation stays: its removal takes time."""
        rest = self.record.state.holding(self._without(gone))
        return with_addresses_of(self.present, rest, self.record.marks, self.host)

    def _without(self, gone: Iterable[Held]) -> list[Held]:
        going = set(gone)
        return [item for item in self.held if item not in going]

    # --- Takeover -----------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def preparing(self, items: tuple[Held, ...]) -> Iterator[Prepared]:
        """Bring everything in place for these addresses but themselves; undone if they are not taken meanwhile."""
        record = self.record
        try:
            yield self._prepare(items)
        except EgressIPError:
            if self.record is record:
                self._undo(items)
            raise

    def _prepare(self, items: tuple[Held, ...]) -> Prepared:
        # The tunnels as they end when this node has these addresses too.
        state = after_move(self.record.state, [item.egress_ip for item in items], self.record.state.name)
        whole = self._plane_of(state.holding({*self.held, *items}))
        plane = with_addresses_of(whole, state.holding(self.held), self.record.marks, self.host)
        needed = transaction(self.present, plane)
        settling = settling_lines([item.egress_ip for item in items])
        self.io.execute(replace(needed, nft=(*needed.nft, *settling)))
        return Prepared(state, plane, transaction(plane, whole), whole)

    def _undo(self, items: Iterable[Held]) -> None:
        """Bring the node back to its record after a takeover that failed half-way."""
        self.read_again()
        self.io.execute(transaction(self._read_plane(items), self.present))
        if Takeovers.load(self.io, self.record) != self.takeovers:
            self.takeovers.save(self.io)
        if Record.load(self.io) != self.record:
            self.record.save(self.io)

    def _read_plane(self, items: Iterable[Held]) -> DataPlane:
        """Return the data plane that the host shows now, with these addresses in addition to those on record."""
        claimed = self.record.claimed.union(item.egress_ip for item in items)
        return read_data_plane(self.io, read_host(self.io, self.record), self.record.state.options, claimed)

    def take(self, former: Mapping[str, str], prepared: Prepared, handed_over: Flows | None = None) -> None:
        """Take addresses, {egress IP: its last holder}: note it, add them, announce them, and put them on record.

        The last holder hands them over with these connections, or did not answer.
        """
        record, items = self.record, self.items(former)
        connections = Connections(self.io, record.state, record.marks)
        self.takeovers.with_taken(former, self.io.wall_clock()).save(self.io)
        if handed_over is not None:
            connections.arrive(handed_over)
        self.io.execute(prepared.rest)
        self.announce(items)
        # The record takes time, and the tunnels of other nodes may wait for this.
        notify_takeover(self, items)
        self._save(prepared.state.holding({*record.state.held, *items}), prepared.whole)
        reason = "does not answer" if handed_over is None else "shuts down"
        for item in items:
            log(f"{item.egress_ip} is taken over: {former[item.egress_ip] or 'its last holder'} {reason}")
        if handed_over is None:
            self._forget_lost(connections, items)
        else:
            connections.forget_others(handed_over)

    def announce(self, items: Iterable[Held], holder: str = "") -> None:
        """Announce that this node has these addresses, or that a `holder` with this MAC address has them."""
        for item in items:
            ethertype, frames = announcements(mac_address(self.host, item.interface), item.egress_ip, holder)
            for frame in frames:
                self._segment.send(item.interface, ethertype, frame)

    def _forget_lost(self, connections: Connections, items: Iterable[Held]) -> None:
        """Forget the connections that went to the last holder, and make their clients notice."""
        stale = connections.elsewhere([item.egress_ip for item in items])
        try:
            self.forget(items)
        except CommandError as error:
            # The addresses are on record: they stay.
            log(str(error))
        challenge(self.io, stale)

    def forget(self, items: Iterable[Held]) -> None:
        """Forget the connections of these addresses. Raises CommandError if the kernel refuses."""
        forget(self.io, self.record.state.options, {self.record.marks[item.egress_ip] for item in items})

    # --- Release ------------------------------------------------------------------------------------------------------

    def release(self, holders: Mapping[str, str], reason: str) -> None:
        """Release addresses, {egress IP: MAC of its other holder, empty if unknown}.

        Without the record if a run holds the lock, for a standby does not wait; `complete_releases` does the rest.
        """
        items = self.items(holders)
        for item in items:
            log(f"{item.egress_ip} is released: {reason}")
        try:
            with self.io.lock(_PATIENCE):
                self._release_items(items, holders)
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
            self.read_again()

    def _release_items(self, items: tuple[Held, ...], holders: Mapping[str, str]) -> None:
        record, plane = self.record, self._plane_with(self._without(items))
        self.io.execute(transaction(self.present, plane))
        for item in items:
            if holders[item.egress_ip]:
                self.announce((item,), holders[item.egress_ip])
        connections = Connections(self.io, record.state, record.marks)
        connections.leaving([item.egress_ip for item in items])
        self.forget(items)
        challenge(self.io, connections.lost if any(holders.values()) else ())
        self._save_without(items, plane)

    def complete_releases(self) -> None:
        """Complete the releases without the record, unless there is another plan or the address is back since."""
        if not self._owed:
            return
        try:
            with self.io.lock(0):
                if self.io.file_version(files.STATE_FILE) == self.version:
                    self._release_owed()
        except EgressIPError as error:
            self._log_once(
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
            self.read_again()

    # --- Other changes ------------------------------------------------------------------------------------------------

    def record_departure(self, items: Iterable[Held]) -> None:
        """Put on record that these addresses, which this node has deleted, belong to others now."""
        plane = self._plane_with(self._without(items))
        self.io.execute(transaction(self.present, plane))
        self._save_without(items, plane)

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

    def _save_without(self, items: Iterable[Held], plane: DataPlane) -> None:
        gone, state = set(items), self.record.state
        self.takeovers.without(item.egress_ip for item in gone).save(self.io)
        self._save(state.holding({*state.held} - gone), plane)

    def _save(self, state: NodeState, plane: DataPlane) -> None:
        """Put a state on record, and note the presence for the watch."""
        record = replace(self.record, state=state)
        record.save(self.io)
        self.version = self.io.file_version(files.STATE_FILE)
        self._learn(record, plane)
        self._changed()
        try:
            note_presence(self.io, record.state, self.held)
        except CommandError as error:
            # The change is made. Without the note, the watch probes for the addresses.
            self._log_once(str(error))
