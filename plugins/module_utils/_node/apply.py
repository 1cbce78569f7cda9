# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One application of a state: read, compare, apply, verify; and the way back when something fails. PRIVATE.

The order of a run keeps two promises. A packet of a selected pod never leaves with a wrong source: rules and routes
are there before anything is marked, and a marked packet without a way is refused. An address is never on two hosts: it
is released before anything is claimed, and claimed only after the wire stayed silent.
"""

from __future__ import annotations

import itertools
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from .._common.addresses import version_of
from .._common.errors import ConflictError, EgressIPError, NodeStateError, PlanError, VerificationError
from .._dataplane.handover import Partners, partners
from .._dataplane.host import is_our_device
from .._dataplane.node_state import allocate_marks
from .._dataplane.state import (
    desired_data_plane,
    held_on,
    lasting_sysctls,
    lines_between,
    problems_of,
    result_of,
    rollback_target,
    transaction,
    with_addresses_of,
)
from .._host_io import node_io
from .._host_io.handover_session import meet
from . import metrics_file, systemd_units
from .address_conflicts import announce, probes
from .connections import Connections, challenge, forget, note_given_up
from .record import Record, claimed_by, look, missing_files, read

# Neighbours that missed the announcement hear it again after this many seconds.
ANNOUNCE_AGAIN = 2
# Clients whose egress IP this node gave up are made to speak after these many seconds. The second time is for runs in
# which claims come after all releases.
CHALLENGE_AFTER = (2, 10)
# Systemd reads new units this many seconds after they are there.
RELOAD_AFTER = 1
_SHOWN = 5


@dataclass(frozen=True)
class Pace:
    """How a claim asks the wire: `count` probes, `interval` seconds apart; `timeout` seconds for a hand-over.

    In a hand-over the probes come twice as fast: the holder is known to be alive and answers until it lets go.
    """

    count: int = 3
    interval: float = 0.1
    timeout: float = 20.0


def apply(state, releases=(), key="", pace=None, check=False, claim_new=True):
    """Make this node what `state` says, all but new claims unless `claim_new`; returns what the module `node` returns.

    `releases` are the `handover.Release` of the run: a claim of an address that another node gives up waits for
    silence. With a `key`, which all nodes of the run have, the connections go along.
    Raises EgressIPError with the node as it was; once addresses change hands, with what was reached on record.
    """
    missing = node_io.missing_requirements()
    if missing:
        raise NodeStateError("; ".join(missing))
    with node_io.lock():
        run = Run(state, releases, key, pace or Pace(), claim_new)
        return run.preview() if check else run.apply()


class Run:
    """One application of a state: everything is read and decided first, in the constructor, and done after."""

    def __init__(self, state, releases, key, pace, claim_new):
        self.state, self.key, self.pace = state, key, pace
        self.releasing = {item.egress_ip for item in releases if item.giver != state.name}
        self.record = Record.load()
        # At boot the node asks itself for what it got then, which may be less than what it was asked for.
        on_record = self.record is not None and state == self.record.state
        self.asked = self.record.asked if on_record else state.digest()
        self._refuse_an_older_plan()
        self.host = look(self.record)
        self._refuse_what_is_in_the_way()
        self.marks = allocate_marks(state.egress_ips, self.record.marks if self.record else {}, state.options.max_index)
        tables = node_io.read_tables()
        claimed = claimed_by(self.record, tables)
        self.before = read(self.host, state.options, claimed, tables)
        held = dict.fromkeys(held_on(self.host, claimed))
        if not claim_new:
            self.state = state = state.holding(item for item in state.held if item in held)
        wanted = set(state.held)
        self._planes, self._ways = {}, {}
        self.after = self._desired(state.held)
        self.connections = Connections(state, self.marks)
        self.kept = tuple(item for item in state.held if item in held)
        self.released = tuple(item for item in held if item not in wanted)
        # An address that is in no object any more goes at once; nobody waits for it.
        self.leaving = tuple(item for item in self.released if item.egress_ip in self.marks)
        self.foreign = self._foreign_addresses(item for item in state.held if item not in held)
        self.to_claim = tuple(item for item in state.held if item not in held and item not in self.foreign)
        # What nobody has to release first.
        self.free_now = tuple(item for item in self.to_claim if item.egress_ip not in self.releasing)
        self.partners = self._partners(releases)
        self.given_up = []
        self.missing = missing_files(state.options)
        self.surplus = metrics_file.left_over(state.options, self.record.state.options if self.record else None)

    def preview(self):
        """Return what `apply` would do. Asks the wire about the claims that no other node has to give up first."""
        conflicts = dict(self.foreign)
        for _free, busy in node_io.run_probes(self._probes(self.free_now)):
            conflicts.update({item: busy[item.egress_ip] for item in self.free_now if item.egress_ip in busy})
        claimed = tuple(item for item in self.to_claim if item not in conflicts)
        return self._report(claimed, conflicts)

    def apply(self):
        """Apply the state and return what was done."""
        if not (transaction(self.before, self.after) or self.missing or self.surplus) and self._is_on_record():
            self._note_presence(self.kept)
            return self._report((), {})
        with ThreadPoolExecutor(max_workers=2) as pool:
            # The wire takes its time to be silent, and systemd to read its units; meanwhile there is enough to do.
            asked = pool.submit(list, node_io.run_probes(self._probes(self.free_now)))
            installed = pool.submit(self._install)
            self._prepare()
            verified = self._change_data_plane(installed)
            # Or the watch would take a node that has just claimed an address for one that was away.
            self._note_presence(self.kept + self.to_claim)
            coming = self._hand_over()
            claimed, conflicts = self._claim(asked, coming)
        effective = self.state.holding(self.kept + claimed)
        if self.leaving or claimed or conflicts:
            self._settle(effective, verified)
        self._save(effective)
        if self.surplus:
            node_io.remove_files(self.surplus)
        self._note_presence(effective.held)
        if claimed:
            _later(ANNOUNCE_AGAIN, "announce")
        if self.given_up:
            note_given_up(self.given_up)
            for seconds in CHALLENGE_AFTER:
                _later(seconds, "challenge")
        return self._report(claimed, conflicts)

    def _refuse_an_older_plan(self):
        if self.record is None:
            return
        ours, theirs = self.state.generation, self.record.state.generation
        if ours < theirs or (ours == theirs and self.asked != self.record.asked):
            raise PlanError(
                f"state.generation: {ours} is not newer than {theirs}, which this node has already; somebody else made"
                " a plan in the meantime, so make a new one"
            )

    def _refuse_what_is_in_the_way(self):
        problems = problems_of(self.host, self.state.options, self.state.interface)
        problems += [
            f"state.held[{i}].interface: there is no interface {item.interface} on this host"
            for i, item in enumerate(self.state.held)
            if self.host.interface(item.interface) is None
        ]
        if problems:
            raise ConflictError("; ".join(problems))

    def _install(self):
        """Write the program for the boot, and make systemd run it."""
        if self.missing:
            metrics = bool(self.state.options.metrics_dir)
            for path, (data, mode) in systemd_units.files(sys.executable, metrics).items():
                if path in self.missing:
                    node_io.write_file(path, data, mode)
            node_io.check(["systemctl", "enable", "--quiet", "--no-reload", *systemd_units.enabled_units(metrics)])
            node_io.check(["systemctl", "start", "--quiet", "--no-block", *systemd_units.timers(metrics)])
            # By this nftables.service learns that it wants ours, and systemd that a unit has changed. It is much work
            # for systemd, and nothing of a run waits for it.
            node_io.later(RELOAD_AFTER, ["systemctl", "daemon-reload"])

    def _prepare(self):
        """Write what must outlive a crash: the addresses that may be ours from now on."""
        self._save(self.state.holding(set(self.kept + self.released + self.to_claim)))
        if self.record:
            _replace_device(self.record.state.options, self.state.options, self.host)

    def _change_data_plane(self, installed):
        """Bring everything but the change of hands, and return what was read then; if it fails, all is as it was.

        Nothing changes hands before `installed`, a Future: a node that holds addresses must know them after a crash.
        """
        interim = self._on_the_way(self.kept + self.leaving)
        try:
            try:
                node_io.execute(transaction(self.before, interim))
                return self._verify(interim, self.kept + self.leaving)
            finally:
                installed.result()
        except EgressIPError as error:
            self._roll_back(error)

    def _partners(self, releases):
        """Return with whom this node hands addresses over. Without a key, or with other marks, with nobody."""
        if not self.key or (self.record and self.record.state.options.mark_mask != self.state.options.mark_mask):
            return Partners()
        leaving, coming = ({item.egress_ip for item in items} for items in (self.leaving, self.to_claim))
        return partners(self.state, releases, leaving, coming)

    def _hand_over(self):
        """Release, and return what other nodes tell of the connections of the addresses to claim."""
        if not self.partners:
            self._release()
            return {}
        return meet(self.key, self.state.options.tunnel_port, self.state.endpoints, self.partners, self._release)

    def _release(self):
        """Give up what others are waiting for, in one step and as late as can be: the gap begins here.

        Returns {egress IP: [Flow]}, the connections for the nodes that take them.
        """
        node_io.execute(transaction(self._on_the_way(self.kept + self.leaving), self._on_the_way(self.kept)))
        leaving = self.connections.leaving([item.egress_ip for item in self.leaving])
        self.given_up = [flow for flows in leaving.values() for flow in flows]
        was = self.record.state.options if self.record else self.state.options
        forget(was, self._marks_to_forget())
        told = [ip for ips in self.partners.giving.values() for ip in ips]
        return {ip: self.connections.send_on(ip, leaving[ip]) for ip in told}

    def _desired(self, held):
        """Return the data plane with these addresses held; a run needs the same few again and again."""
        held = tuple(sorted(set(held)))
        if held not in self._planes:
            self._planes[held] = desired_data_plane(self.state.holding(held), self.marks, self.host)
        return self._planes[held]

    def _on_the_way(self, held):
        """Return the data plane between two steps: `held` is here, what is to be claimed has its translation."""
        held = tuple(sorted(set(held)))
        if held not in self._ways:
            plane = self._desired(held + self.to_claim)
            self._ways[held] = with_addresses_of(plane, self.state.holding(held), self.marks, self.host)
        return self._ways[held]

    def _marks_to_forget(self):
        """Return the marks whose connections must find their way anew: released, given up, or without a record."""
        if self.record is None:
            return set(self.marks.values()) if self.before.tables else set()
        if self.record.state.options.mark_mask != self.state.options.mark_mask:
            return set(self.record.marks.values())
        released = {self.marks[item.egress_ip] for item in self.released if item.egress_ip in self.marks}
        # Of an address that nobody has any more, too: its connections would hang.
        assigned = self.state.assigned
        unassigned = {ip for ip in self.record.state.assigned if ip not in assigned}
        return released | {mark for ip, mark in self.record.marks.items() if ip not in self.marks or ip in unassigned}

    def _claim(self, asked, coming):
        """Take each address as soon as the wire is silent; returns the taken ones and {Held: MAC} of the others.

        `asked` is the Future of what the wire says of the addresses that no other node releases.
        """
        claimed, conflicts = (), dict(self.foreign)
        waiting = [item for item in self.to_claim if item.egress_ip in self.releasing]
        try:
            for free, busy in itertools.chain(asked.result(), node_io.run_probes(self._probes(waiting))):
                batch = tuple(item for item in self.to_claim if item.egress_ip in free)
                conflicts.update({item: busy[item.egress_ip] for item in self.to_claim if item.egress_ip in busy})
                if batch:
                    self._take(self.kept + claimed, batch, coming)
                    claimed += batch
        except EgressIPError:
            self._save(self.state.holding(self.kept + claimed))
            raise
        return claimed, conflicts

    def _take(self, held, items, coming):
        """Claim these addresses. Their connections must be known before the first packet of a server comes."""
        told = {item.egress_ip: coming[item.egress_ip] for item in items if item.egress_ip in coming}
        untold = [item.egress_ip for item in items if item.egress_ip not in coming]
        if told:
            self.connections.arrive(told)
        node_io.execute(transaction(self._on_the_way(held), self._on_the_way(held + items)))
        announce(items)
        # What this node's own pods have sent to the holder of before.
        stale = self.connections.elsewhere(untold if self.record else ())
        forget(self.state.options, {self.marks[ip] for ip in untold})
        challenge(stale)
        if told:
            self.connections.forget_others(told)

    def _settle(self, effective, verified):
        """Take back what was prepared for addresses that could not be claimed, and look at the whole once more."""
        expected = self._desired(effective.held)
        # What is claimed finds its part of the tables prepared and verified; what leaves takes its own along.
        tables = None if self.leaving else verified.tables
        surplus = transaction(self._read_again(effective.held, tables), expected)
        if surplus:
            node_io.execute(surplus)
            self._verify(expected, effective.held)

    def _roll_back(self, error):
        then = self.record or Record(self.state, self.asked, self.marks, {})
        known = desired_data_plane(then.state, then.marks, self.host)
        claimed = {item.egress_ip for item in self.kept + self.released}
        try:
            _replace_device(self.state.options, then.state.options, look(self.record))
            now = read(look(self.record), then.state.options, claimed)
            before = rollback_target(self.before, known, then.state.options, self.host, claimed)
            node_io.execute(transaction(now, before))
            if self.record:
                self.record.save()
            else:
                remove_files(self.state.options)
        except EgressIPError as second:
            raise VerificationError(f"{error}; and the way back failed too: {second}") from None
        raise VerificationError(f"{error}; the node is as it was before") from None

    def _verify(self, expected, held):
        current = self._read_again(held)
        missing, surplus = lines_between(current, expected)
        if missing or surplus:
            shown = [f"missing {line}" for line in missing[:_SHOWN]] + [
                f"left over {line}" for line in surplus[:_SHOWN]
            ]
            raise VerificationError(f"node/{self.state.name}: does not show what was applied: {'; '.join(shown)}")
        return current

    def _read_again(self, held, tables=None):
        return read(look(self.record), self.state.options, {item.egress_ip for item in held}, tables)

    def _foreign_addresses(self, items):
        """Return {Held: this host's MAC} of the addresses that somebody else put on this very host."""
        ours = {item.egress_ip for item in self.kept + self.released}
        here = {address["local"]: name for name, address in self.host.addresses() if address["local"] not in ours}
        return {item: node_io.mac_address(here[item.egress_ip]) for item in items if item.egress_ip in here}

    def _probes(self, items):
        deadline = time.monotonic() + self.pace.timeout
        return probes(items, self.host, self.pace.count, self.pace.interval, deadline, self.releasing)

    def _save(self, state):
        # What was changed before keeps its first value.
        found = lasting_sysctls(self.before.beside(self.after).sysctls, self.state.options.tunnel_device)
        former = {**found, **(self.record.former if self.record else {})}
        Record(state, self.asked, self.marks, former).save()

    def _note_presence(self, held):
        """Note what the watch is to look for; without the end of its tunnel this node is of no use as a holder."""
        versions = sorted({version_of(item.egress_ip) for item in held})
        node_io.note_presence(self.state.options.tunnel_device, held, map(self.state.endpoint, versions))

    def _is_on_record(self):
        record = self.record
        return record is not None and record.state.digest() == self.state.digest() and record.marks == self.marks

    def _report(self, claimed, conflicts):
        """Return the result: what is different between before and what is there now, or would be."""
        effective = self.state.holding(self.kept + claimed)
        after = self._desired(effective.held)
        missing, surplus = (frozenset(f"file {path}" for path in paths) for paths in (self.missing, self.surplus))
        known = after.texts()
        if self.record:
            known.update(desired_data_plane(self.record.state, self.record.marks, self.host).texts())
        return {
            **result_of(self.before.beside(after).lines() | surplus, after.lines() | missing, known),
            "held": [item.to_dict() for item in effective.held],
            "claimed": [item.egress_ip for item in claimed],
            "connections": self.connections.arrived,
            "released": [item.egress_ip for item in self.released],
            "conflicts": [{**item.to_dict(), "mac": mac} for item, mac in sorted(conflicts.items())],
        }


def _later(seconds, command):
    """Let the program on the node run one of its commands in some seconds."""
    node_io.later(seconds, [sys.executable, "-I", str(node_io.PROGRAM_FILE), command])


def _replace_device(old, new, host):
    """Make room for the tunnel device of other options: two devices cannot share a port."""
    if old.tunnel_device != new.tunnel_device and is_our_device(host, old.tunnel_device):
        node_io.check(["ip", "link", "delete", old.tunnel_device])


def remove_files(options):
    """Take our files and units off the node, whose options were these."""
    files = (*systemd_units.files(sys.executable), node_io.STATE_FILE, node_io.WATCH_FILE, node_io.GIVEN_UP_FILE)
    node_io.remove_files([*metrics_file.left_over(None, options), *files])
