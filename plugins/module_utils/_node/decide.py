# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of one run on a node, decided from one observation of it. PRIVATE to the collection. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from .._common.errors import ConflictError, PlanError
from .._common.messages import quote
from .._dataplane.esp import IPSEC
from .._dataplane.handover import Partners, PlannedRelease, partners
from .._dataplane.host import Host
from .._dataplane.node_state import Held, NodeState, allocate_marks
from .._dataplane.options import DataPlaneOptions
from .._dataplane.state import (
    DataPlane,
    desired_data_plane,
    held_on,
    lasting_sysctls,
    problems_of,
    transaction,
    with_addresses_of,
)
from .address_conflicts import Pace, mac_address
from .current_state import Reading
from .engine_changes import EngineChanges
from .record import Record
from .result import Difference, NodeOutcome, Result, file_lines, result


class Request(NamedTuple):
    """The task of a run: apply `state`, with new claims only if `claim_new`.

    `releases` are those of all nodes in the run: a claim of an address in them waits for silence. With the `key` that
    all nodes of the run have, connections move along with their address. `by_unit` means that a unit of this node runs,
    which can neither write units nor call systemd. `tunnel_secret` is the newest secret of the encrypted tunnel,
    `failover_key` the newest key of a fleet with failover.
    """

    state: NodeState
    releases: Sequence[PlannedRelease] = ()
    key: str = ""
    pace: Pace = Pace()
    claim_new: bool = True
    by_unit: bool = False
    tunnel_secret: str = ""
    failover_key: str = ""


class Observation(NamedTuple):
    """What a node shows before a run.

    Its reading, its data plane, files that are missing, files to remove, and the changes of engines.
    """

    reading: Reading
    current: DataPlane
    missing: Sequence[Path]
    surplus: Sequence[Path]
    engines: EngineChanges = EngineChanges()


class Planes:
    """The data planes that a run passes through, by the addresses that the node holds; each is computed once."""

    def __init__(self, state: NodeState, marks: Mapping[str, int], host: Host, to_claim: Collection[Held]) -> None:
        self._state, self._marks, self._host, self._to_claim = state, marks, host, tuple(to_claim)
        self._final: dict[tuple[Held, ...], DataPlane] = {}
        self._interim: dict[tuple[Held, ...], DataPlane] = {}

    def final(self, held: Iterable[Held]) -> DataPlane:
        """Return the data plane with these addresses held."""
        key = tuple(sorted(set(held)))
        if key not in self._final:
            self._final[key] = desired_data_plane(self._state.holding(key), self._marks, self._host)
        return self._final[key]

    def interim(self, held: Iterable[Held]) -> DataPlane:
        """Return the data plane with these addresses held, and with the translation of those to claim."""
        key = tuple(sorted(set(held)))
        if key not in self._interim:
            plane = self.final(key + self._to_claim)
            self._interim[key] = with_addresses_of(plane, self._state.holding(key), self._marks, self._host)
        return self._interim[key]


class AddressChanges(NamedTuple):
    """Which addresses change hands.

    `foreign` {Held: MAC} are those that someone else configured on this host, `unreleased` those of the kept ones whose
    new holder did not connect.
    """

    kept: tuple[Held, ...]
    released: tuple[Held, ...]
    to_claim: tuple[Held, ...]
    foreign: Mapping[Held, str]
    unreleased: tuple[Held, ...] = ()


@dataclass(frozen=True)
class Steps:
    """Everything that a run needs, decided before it changes anything.

    `leaving` are the released addresses that objects still have: other nodes may wait for them. `releasing` are the
    egress IPs that other nodes release in this run. `forget` are the marks whose connections must be routed again.
    """

    request: Request
    state: NodeState
    requested_digest: str
    observation: Observation
    marks: Mapping[str, int]
    planes: Planes
    changes: AddressChanges
    leaving: tuple[Held, ...]
    releasing: Collection[str]
    partners: Partners
    forget: Collection[int]
    original_sysctls: Mapping[str, str] = field(default_factory=dict)

    @property
    def record(self) -> Record | None:
        """Return the record of the run before."""
        return self.observation.reading.record

    @property
    def host(self) -> Host:
        """Return the host as it was observed."""
        return self.observation.reading.host

    @property
    def is_empty(self) -> bool:
        """Return whether the node already is as requested."""
        seen = self.observation
        if transaction(seen.current, self.planes.final(self.state.held)) or seen.missing or seen.surplus:
            return False
        if seen.engines.added or seen.engines.removed:
            return False
        record = self.record
        return record is not None and record.state.digest() == self.state.digest() and record.marks == self.marks

    @property
    def free_now(self) -> tuple[Held, ...]:
        """Return the addresses to claim that no other node has to release first."""
        return tuple(item for item in self.changes.to_claim if item.egress_ip not in self.releasing)

    @property
    def held_elsewhere(self) -> tuple[Held, ...]:
        """Return the addresses to release that another node already reports to hold."""
        untaken = {item.egress_ip for item in self.request.releases if item.giver == self.state.name and not item.taker}
        return tuple(item for item in self.leaving if item.egress_ip in untaken & self.state.assigned)

    def keeping(self, unreleased: Collection[str]) -> Steps:
        """Return the steps of a run that keeps these egress IPs instead of releasing them."""
        if not unreleased:
            return self
        stay = {item: None for item in self.leaving if item.egress_ip in unreleased}
        marks = {self.marks[item.egress_ip] for item in stay}
        changes = self.changes._replace(
            kept=(*self.changes.kept, *stay),
            released=tuple(item for item in self.changes.released if item not in stay),
            unreleased=(*self.changes.unreleased, *stay),
        )
        leaving = tuple(item for item in self.leaving if item not in stay)
        return replace(self, changes=changes, leaving=leaving, forget=set(self.forget) - marks)

    def record_with(self, held: Iterable[Held]) -> Record:
        """Return the record to write while the node holds these addresses."""
        return Record(self.state.holding(held), self.requested_digest, self.marks, self.original_sysctls)

    def report(
        self, claimed: tuple[Held, ...], conflicts: Mapping[Held, str], connections: Mapping[str, int]
    ) -> Result:
        """Return the result of a run that claimed these addresses, or would claim them."""
        held = self.state.holding(self.changes.kept + claimed).held
        after = self.planes.final(held)
        texts = after.texts()
        if self.record:
            texts.update(desired_data_plane(self.record.state, self.record.marks, self.host).texts())
        seen = self.observation
        before = seen.current.comparable_to(after).lines() | file_lines((*seen.surplus, *seen.engines.removed))
        change = Difference(before, after.lines() | file_lines((*seen.missing, *seen.engines.added)), texts)
        changes = self.changes
        return result(change, NodeOutcome(held, claimed, changes.released, changes.unreleased, conflicts, connections))


def decide(request: Request, observation: Observation) -> Steps:
    """Return the steps of a run. Raises PlanError for an older plan, and ConflictError for obstacles on this host."""
    reading = observation.reading
    requested_digest = _requested_digest(request.state, reading.record)
    _refuse_older_plan(request.state, requested_digest, reading.record)
    _refuse_obstacles(request.state, reading.host)
    if not request.by_unit:
        _refuse_unknown_keys(request.state.options, reading.host)
    former_marks = reading.record.marks if reading.record else {}
    marks = allocate_marks(request.state.egress_ips, former_marks, request.state.options.max_index)
    held = held_on(reading.host, reading.claimed)
    wanted = request.state.held if request.claim_new else [item for item in request.state.held if item in held]
    state = request.state.holding(wanted)
    changes = _changes(state, held, reading.host)
    # An address that no object has any more is released at once: no node waits for it.
    leaving = tuple(item for item in changes.released if item.egress_ip in marks)
    planes = Planes(state, marks, reading.host, changes.to_claim)
    return Steps(
        request=request,
        state=state,
        requested_digest=requested_digest,
        observation=observation,
        marks=marks,
        planes=planes,
        changes=changes,
        leaving=leaving,
        releasing={item.egress_ip for item in request.releases if item.giver != state.name},
        partners=_partners(request, reading.record, leaving, changes.to_claim),
        forget=_marks_to_forget(state, marks, changes.released, observation),
        original_sysctls=_original_sysctls(observation, planes.final(state.held), state),
    )


def _requested_digest(state: NodeState, record: Record | None) -> str:
    """Return the digest of the requested state.

    At boot, a node requests the state it held last, which may be less than the requested one.
    """
    return record.requested_digest if record is not None and state == record.state else state.digest()


def _refuse_older_plan(state: NodeState, requested_digest: str, record: Record | None) -> None:
    if record is None:
        return
    new, known = state.generation, record.state.generation
    if new < known or (new == known and requested_digest != record.requested_digest):
        raise PlanError(
            f"state.generation: {new} is not newer than {known}, which this node has applied; another plan was made in"
            " the meantime, so make a new one"
        )


def _refuse_obstacles(state: NodeState, host: Host) -> None:
    problems = problems_of(host, state.options, state.interface)
    problems += [
        f"state.held[{i}].interface: must be an interface of this host, not {quote(item.interface)}"
        for i, item in enumerate(state.held)
        if host.interface(item.interface) is None
    ]
    if problems:
        raise ConflictError(", ".join(problems))


def _refuse_unknown_keys(options: DataPlaneOptions, host: Host) -> None:
    if options.tunnel_encryption == IPSEC and not {*options.tunnel_keys} & {*host.tunnel_secrets}:
        raise ConflictError(
            "tunnel_secret: this node has no secret of the plan's tunnel keys; pass the secret with which the plan was"
            " made"
        )


def _changes(state: NodeState, held: Sequence[Held], host: Host) -> AddressChanges:
    wanted, present = set(state.held), set(held)
    new = [item for item in state.held if item not in present]
    foreign = _foreign_addresses(new, held, host)
    return AddressChanges(
        kept=tuple(item for item in state.held if item in present),
        released=tuple(item for item in held if item not in wanted),
        to_claim=tuple(item for item in new if item not in foreign),
        foreign=foreign,
    )


def _foreign_addresses(new: Iterable[Held], held: Iterable[Held], host: Host) -> dict[Held, str]:
    """Return {Held: this host's MAC} of the new addresses that someone else configured on this host."""
    own = {item.egress_ip for item in held}
    present = {address["local"]: name for name, address in host.addresses() if address["local"] not in own}
    return {item: mac_address(host, present[item.egress_ip]) for item in new if item.egress_ip in present}


def _partners(request: Request, record: Record | None, leaving: Iterable[Held], coming: Iterable[Held]) -> Partners:
    """Return the nodes with which this node hands addresses over: none without a key, or when the mark mask changes."""
    options = request.state.options
    if not request.key or (record and record.state.options.mark_mask != options.mark_mask):
        return Partners()
    ips = [{item.egress_ip for item in items} for items in (leaving, coming)]
    return partners(request.state, request.releases, *ips)


def _marks_to_forget(
    state: NodeState, marks: Mapping[str, int], released: Iterable[Held], observation: Observation
) -> set[int]:
    """Return the marks of addresses that are released, removed or unassigned; without a record, all of them."""
    record = observation.reading.record
    if record is None:
        return set(marks.values()) if observation.current.tables else set()
    if record.state.options.mark_mask != state.options.mark_mask:
        return set(record.marks.values())
    gone = {marks[item.egress_ip] for item in released if item.egress_ip in marks}
    # Connections of an address that no node holds any more would hang.
    unassigned = record.state.assigned - state.assigned
    return gone | {mark for ip, mark in record.marks.items() if ip not in marks or ip in unassigned}


def _original_sysctls(observation: Observation, desired: DataPlane, state: NodeState) -> dict[str, str]:
    """Return the sysctls as they were before the first run that changed them."""
    record = observation.reading.record
    found = lasting_sysctls(observation.current.comparable_to(desired).sysctls, state.options.tunnel_device)
    return {**found, **(record.original_sysctls if record else {})}
