# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One node's run: read, compare, apply, verify; and the way back when something fails. PRIVATE to the collection.

The order of a run keeps two promises. A packet of a selected pod never leaves with a wrong source: rules and routes
are there before anything is marked, and a marked packet without a way is refused. An address is never on two hosts: it
is released before anything is claimed, and claimed only after the wire stayed silent.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, replace

from . import _node_io as node_io
from . import _program
from ._data_plane import (
    DataPlane,
    claim,
    current_data_plane,
    desired_data_plane,
    endpoints_of,
    held_on,
    lasting_sysctls,
    networks_of,
    own_addresses,
    problems_of,
    sysctl_names,
    to_go_back_to,
    transaction,
)
from ._errors import ConflictError, EgressIPError, NodeStateError, PlanError, VerificationError
from ._host import is_our_device
from ._nftables import held_by
from ._node_state import NodeState, allocate_marks
from ._platform import AUTO, find_platform, refusal
from ._probe import Probe, announcements

# Neighbours that missed the announcement hear it again after this many seconds.
ANNOUNCE_AGAIN = 2
_SHOWN = 5


@dataclass(frozen=True)
class Pace:
    """How a claim asks the wire: `count` probes, `interval` seconds apart; `timeout` seconds for a hand-over.

    In a hand-over the probes come twice as fast: the holder is known to be alive and answers until it lets go.
    """

    count: int = 3
    interval: float = 0.1
    timeout: float = 20.0


@dataclass(frozen=True)
class Record:
    """What was applied last: the state, its marks, and the sysctls as they were before us.

    `asked` is the digest of what was asked for; the state lacks the addresses that could not be claimed.
    """

    state: NodeState
    asked: str
    marks: dict
    former: dict

    @classmethod
    def load(cls):
        """Return the record of this node, None when nothing was applied yet."""
        data = node_io.load()
        if data is None:
            return None
        path = str(node_io.STATE_FILE)
        try:
            record = cls(NodeState.from_dict(data["state"], path), data["asked"], data["marks"], data["former"])
            sound = isinstance(record.asked, str) and isinstance(record.former, dict) and record._numbers_everything()
        except (KeyError, TypeError):
            sound = False
        if not sound:
            raise NodeStateError(f"{path}: is not a record of this collection; remove it to start anew")
        return record

    def save(self):
        """Write the record."""
        node_io.save({**self.__dict__, "state": self.state.to_dict()})

    @property
    def claimed(self):
        """Return the egress IPs on record as held."""
        return {item.egress_ip for item in self.state.held}

    def _numbers_everything(self):
        return all(isinstance(self.marks[ip], int) for ip in self.state.egress_ips)


def observe(options, interface="", recall=(), platform=AUTO):
    """Return what the module `node_info` returns: what this host is, what it holds, what stands in the way.

    `recall` names objects of which the record's addresses and pods are wanted too; `platform` is what the user says.
    """
    found = find_platform(node_io.platform_facts(), platform)
    refused = refusal(found) if platform == AUTO else None
    if refused:
        return {"problems": [refused], "packages": []}
    packages, problems = node_io.missing_packages(), node_io.missing_requirements()
    if problems:
        return {"problems": problems, "packages": packages}
    record = Record.load()
    host = look(record)
    claimed = _claimed(record)
    interface = interface or host.default_interface() or ""
    problems = problems_of(host, options, interface)
    networks = networks_of(host, interface, claimed)
    if not problems and not networks:
        problems = [f"egress_ip_interface: {interface} has no address of its own"]
    return {
        "problems": problems,
        "packages": [],
        "platform": found.to_dict(),
        "interface": interface,
        "endpoints": endpoints_of(networks),
        "networks": [{"interface": interface, "addresses": networks}],
        "addresses": own_addresses(host, options.tunnel_device, claimed),
        "held": [item.to_dict() for item in held_on(host, claimed)],
        "generation": record.state.generation if record else 0,
        "digest": record.state.digest() if record else "",
        "drift": _drift(record, host) if record else [],
        "nodes": [item.to_dict() for item in record.state.nodes] if record else [],
        "recalled": _recall(record.state, recall) if record else [],
    }


def apply(state, releasing=(), pace=None, check=False, claim_new=True):
    """Make this node what `state` says, all but new claims unless `claim_new`; returns what the module `node` returns.

    Egress IPs in `releasing` are being given up by another node in the same run: a claim of theirs waits for silence.
    Raises EgressIPError with the node as it was; once addresses change hands, with what was reached on record.
    """
    missing = node_io.missing_requirements()
    if missing:
        raise NodeStateError("; ".join(missing))
    with node_io.lock():
        run = _Run(state, set(releasing), pace or Pace(), claim_new)
        return run.preview() if check else run.apply()


def remove(options, check=False):
    """Take everything of ours off this node; returns what the module `node` returns."""
    missing = node_io.missing_requirements()
    if missing:
        raise NodeStateError("; ".join(missing))
    with node_io.lock():
        record = Record.load()
        host = look(record)
        options = record.state.options if record else options
        claimed = _claimed(record)
        before = read(host, options, claimed)
        before = replace(before, sysctls={})
        left = [
            path
            for path in (*_program.files(sys.executable), node_io.STATE_FILE)
            if node_io.read_file(path) is not None
        ]
        lines = before.lines() | {f"file {path}" for path in left}
        known = desired_data_plane(record.state, record.marks, host).texts() if record else {}
        if lines and not check:
            _take_down(before, record, options)
        released = [item.egress_ip for item in held_on(host, claimed)]
        return {**_result(lines, frozenset(), known), "held": [], "released": released, "claimed": [], "conflicts": []}


def _take_down(before, record, options):
    node_io.execute(transaction(before, DataPlane()))
    former = record.former if record else {}
    for name in node_io.read_sysctls(former):
        node_io.write_sysctl(name, former[name])
    forget(options, record.marks.values() if record else ())
    _remove_files()


def _remove_files():
    node_io.run(["systemctl", "stop", "--quiet", _program.WATCH_TIMER, _program.RESTORE_UNIT])
    node_io.run(["systemctl", "disable", "--quiet", *_program.enabled_units()])
    for path in (*_program.files(sys.executable), node_io.STATE_FILE, node_io.WATCH_FILE):
        node_io.remove_file(path)
    node_io.check(["systemctl", "daemon-reload"])


class _Run:
    """One application of a state: everything is read and decided first, in the constructor, and done after."""

    def __init__(self, state, releasing, pace, claim_new):
        self.state, self.releasing, self.pace = state, releasing, pace
        self.record = Record.load()
        # At boot the node asks itself for what it got then, which may be less than what it was asked for.
        on_record = self.record is not None and state == self.record.state
        self.asked = self.record.asked if on_record else state.digest()
        self._refuse_an_older_plan()
        self.host = look(self.record)
        self._refuse_what_is_in_the_way()
        self.marks = allocate_marks(state.egress_ips, self.record.marks if self.record else {}, state.options.max_index)
        claimed = _claimed(self.record)
        self.before = read(self.host, state.options, claimed)
        held = held_on(self.host, claimed)
        if not claim_new:
            self.state = state = state.holding(item for item in state.held if item in held)
        self._planes = {}
        self.after = self._desired(state.held)
        self.kept = tuple(item for item in state.held if item in held)
        self.released = tuple(item for item in held if item not in state.held)
        # An address that is in no object any more goes at once; nobody waits for it.
        self.leaving = tuple(item for item in self.released if item.egress_ip in self.marks)
        self.foreign = self._foreign_addresses(item for item in state.held if item not in held)
        self.to_claim = tuple(item for item in state.held if item not in held and item not in self.foreign)
        self.missing = _missing_files()

    def preview(self):
        """Return what `apply` would do. Asks the wire about the claims that no other node has to give up first."""
        conflicts = dict(self.foreign)
        askable = [item for item in self.to_claim if item.egress_ip not in self.releasing]
        for _free, busy in node_io.run_probes(self._probes(askable)):
            conflicts.update({item: busy[item.egress_ip] for item in askable if item.egress_ip in busy})
        claimed = tuple(item for item in self.to_claim if item not in conflicts)
        return self._report(claimed, conflicts)

    def apply(self):
        """Apply the state and return what was done."""
        if not transaction(self.before, self.after) and not self.missing and self._is_on_record():
            return self._report((), {})
        self._prepare()
        self._change_data_plane()
        # Or the watch would take a node that has just claimed an address for one that was away.
        node_io.note_presence(sorted({item.interface for item in self.kept + self.to_claim}))
        self._release()
        claimed, conflicts = self._claim()
        effective = self.state.holding(self.kept + claimed)
        if self.leaving or claimed or conflicts:
            self._settle(effective)
        self._save(effective)
        if claimed:
            node_io.later(ANNOUNCE_AGAIN, [sys.executable, "-I", str(node_io.PROGRAM_FILE), "announce"])
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

    def _prepare(self):
        """Write what must outlive a crash: the program for the boot, and the addresses that may be ours from now on."""
        if self.missing:
            for path, (data, mode) in _program.files(sys.executable).items():
                if path in self.missing:
                    node_io.write_file(path, data, mode)
            # This makes systemd read the units again too.
            node_io.check(["systemctl", "enable", "--quiet", *_program.enabled_units()])
            # It waits for this run to end. A unit that is not active would not be reloaded with nftables.service.
            node_io.check(["systemctl", "start", "--quiet", "--no-block", _program.WATCH_TIMER, _program.RESTORE_UNIT])
        self._save(self.state.holding(set(self.kept + self.released + self.to_claim)))
        if self.record:
            _replace_device(self.record.state.options, self.state.options, self.host)

    def _change_data_plane(self):
        """Bring everything but the change of hands; when that fails, the node gets back what it had."""
        interim = self._on_the_way(self.kept + self.leaving)
        try:
            node_io.execute(transaction(self.before, interim))
            self._verify(interim, self.kept + self.leaving)
        except EgressIPError as error:
            self._roll_back(error)

    def _release(self):
        """Give up what others are waiting for, in one step and as late as can be: the gap begins here."""
        node_io.execute(transaction(self._on_the_way(self.kept + self.leaving), self._on_the_way(self.kept)))
        was = self.record.state.options if self.record else self.state.options
        forget(was, self._marks_to_forget())

    def _desired(self, held):
        """Return the data plane with these addresses held; a run needs the same few again and again."""
        held = tuple(sorted(held))
        if held not in self._planes:
            self._planes[held] = desired_data_plane(self.state.holding(held), self.marks, self.host)
        return self._planes[held]

    def _on_the_way(self, held):
        """Return the data plane between two steps: `held` is here, what is to be claimed has its translation."""
        return replace(self._desired(held + self.to_claim), ip=self._desired(held).ip)

    def _marks_to_forget(self):
        """Return the marks whose connections must find their way anew: released, given up, or without a record."""
        if self.record is None:
            return set(self.marks.values()) if self.before.tables else set()
        if self.record.state.options.mark_mask != self.state.options.mark_mask:
            return set(self.record.marks.values())
        released = {self.marks[item.egress_ip] for item in self.released if item.egress_ip in self.marks}
        return released | {mark for ip, mark in self.record.marks.items() if ip not in self.marks}

    def _claim(self):
        """Take each address as soon as the wire is silent; returns the taken ones and {Held: MAC} of the others."""
        claimed, conflicts = (), dict(self.foreign)
        try:
            for free, busy in node_io.run_probes(self._probes(self.to_claim)):
                batch = tuple(item for item in self.to_claim if item.egress_ip in free)
                conflicts.update({item: busy[item.egress_ip] for item in self.to_claim if item.egress_ip in busy})
                if batch:
                    self._take(batch)
                    claimed += batch
        except EgressIPError:
            self._save(self.state.holding(self.kept + claimed))
            raise
        return claimed, conflicts

    def _take(self, items):
        egress_ips = {item.egress_ip for item in items}
        before = self._on_the_way(())
        node_io.execute(transaction(before, claim(self.state, self.marks, before, egress_ips)))
        announce(items)
        forget(self.state.options, {self.marks[ip] for ip in egress_ips})

    def _settle(self, effective):
        """Take back what was prepared for addresses that could not be claimed, and look at the whole once more."""
        expected = self._desired(effective.held)
        surplus = transaction(self._read_again(effective.held), expected)
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
            before = to_go_back_to(self.before, known, then.state.options, self.host, claimed)
            node_io.execute(transaction(now, before))
            if self.record:
                self.record.save()
            else:
                _remove_files()
        except EgressIPError as second:
            raise VerificationError(f"{error}; and the way back failed too: {second}") from None
        raise VerificationError(f"{error}; the node is as it was before") from None

    def _verify(self, expected, held):
        missing, surplus = _lines_between(self._read_again(held), expected)
        if missing or surplus:
            shown = [f"missing {line}" for line in missing[:_SHOWN]] + [
                f"left over {line}" for line in surplus[:_SHOWN]
            ]
            raise VerificationError(f"node/{self.state.name}: does not show what was applied: {'; '.join(shown)}")

    def _read_again(self, held):
        return read(look(self.record), self.state.options, {item.egress_ip for item in held})

    def _foreign_addresses(self, items):
        """Return {Held: this host's MAC} of the addresses that somebody else put on this very host."""
        ours = {item.egress_ip for item in self.kept + self.released}
        here = {address["local"]: name for name, address in self.host.addresses() if address["local"] not in ours}
        return {item: node_io.mac_address(here[item.egress_ip]) for item in items if item.egress_ip in here}

    def _probes(self, items):
        deadline = time.monotonic() + self.pace.timeout
        probes = {}
        for item in items:
            waiting = item.egress_ip in self.releasing
            probe = Probe(
                item.egress_ip,
                node_io.mac_address(item.interface),
                self.pace.count,
                self.pace.interval / (2 if waiting else 1),
                deadline,
                waiting,
            )
            probes.setdefault(item.interface, []).append(probe)
        return probes

    def _save(self, state):
        # What was changed before keeps its first value.
        found = lasting_sysctls(self.before.beside(self.after).sysctls, self.state.options.tunnel_device)
        former = {**found, **(self.record.former if self.record else {})}
        Record(state, self.asked, self.marks, former).save()

    def _is_on_record(self):
        record = self.record
        return record is not None and record.state.digest() == self.state.digest() and record.marks == self.marks

    def _report(self, claimed, conflicts):
        """Return the result: what is different between before and what is there now, or would be."""
        effective = self.state.holding(self.kept + claimed)
        after = self._desired(effective.held)
        files = frozenset(f"file {path}" for path in self.missing)
        known = after.texts()
        if self.record:
            known.update(desired_data_plane(self.record.state, self.record.marks, self.host).texts())
        return {
            **_result(self.before.beside(after).lines(), after.lines() | files, known),
            "held": [item.to_dict() for item in effective.held],
            "claimed": [item.egress_ip for item in claimed],
            "released": [item.egress_ip for item in self.released],
            "conflicts": [{**item.to_dict(), "mac": mac} for item, mac in sorted(conflicts.items())],
        }


def forget(options, indices):
    """Forget the connections that carry the marks of these numbers."""
    node_io.forget_connections([options.mark(index) for index in indices], options.mark_mask)


def _replace_device(old, new, host):
    """Make room for the tunnel device of other options: two devices cannot share a port."""
    if old.tunnel_device != new.tunnel_device and is_our_device(host, old.tunnel_device):
        node_io.check(["ip", "link", "delete", old.tunnel_device])


def announce(items):
    """Tell all neighbours of these held addresses."""
    for interface in sorted({item.interface for item in items}):
        mac = node_io.mac_address(interface)
        node_io.send_frames(
            interface, [announcements(mac, item.egress_ip) for item in items if item.interface == interface]
        )


def look(record):
    """Return what this host shows. What heeded router advertisements before us goes on: after a boot none was heard."""
    prefix, suffix = "net.ipv6.conf.", ".accept_ra"
    names = [name for name in (record.former if record else ()) if name.endswith(suffix)]
    return node_io.read_host([name[len(prefix) : -len(suffix)] for name in names])


def read(host, options, claimed):
    """Return the DataPlane that the host shows now."""
    sysctls = node_io.read_sysctls(sysctl_names(host, options.tunnel_device))
    return current_data_plane(host, node_io.read_tables(), sysctls, options, claimed)


def _claimed(record):
    """Return the egress IPs that this node holds for sure or maybe. Without a record our own tables tell."""
    return record.claimed if record else held_by(node_io.read_tables())


def _drift(record, host):
    """Return how the node differs from its record, as lines; files that are gone or changed count too."""
    current = read(host, record.state.options, record.claimed)
    missing, surplus = _lines_between(current, desired_data_plane(record.state, record.marks, host))
    files = [f"missing file {path}" for path in _missing_files()]
    return [f"missing {line}" for line in missing] + [f"left over {line}" for line in surplus] + files


def _missing_files():
    """Return the paths of what the node should keep and does not, or not as it should: files, links, the record."""
    wanted = {path: data for path, (data, _mode) in _program.files(sys.executable).items()}
    wanted.update({link: wanted[unit] for link, unit in _program.links().items()})
    missing = [path for path, data in wanted.items() if node_io.read_file(path) != data]
    return missing + ([] if node_io.read_file(node_io.STATE_FILE) else [node_io.STATE_FILE])


def _recall(state, names):
    return [
        {
            "name": item.name,
            "egressIPs": list(item.egress_ips),
            "pods": [pod.address for pod in state.pods if pod.egressip == item.name],
        }
        for item in state.egressips
        if item.name in names
    ]


def _lines_between(current, desired):
    """Return (missing, surplus) lines. A rule is told by its fingerprint in both."""
    have, want = current.beside(desired).lines(), desired.lines()
    return sorted(want - have), sorted(have - want)


def _result(before, after, known):
    """Return `changed` and `diff`; `known` are the texts of rules that stand in the lines by their fingerprints."""
    gone, new = before - after, after - before
    diff = {"before": _legible(gone, known), "after": _legible(new, known)}
    return {"changed": bool(gone or new), "diff": diff}


def _legible(lines, known):
    shown = []
    for line in lines:
        start, _colon, last = line.rpartition(": ")
        shown.append(f"{start}: {known[last]}\n" if last in known else f"{line}\n")
    return "".join(sorted(shown))
