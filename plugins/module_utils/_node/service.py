# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the systemd units of a node run, without any controller: restore, claim, announce, watch ... PRIVATE.

The watch answers two questions. Has another node got our addresses while we were not here? A node was away when it did
not run (hung, suspended) or had no link for a while; `_host_io.watch` knows. It asks the wire then, and gives up what
somebody else answers for. A node that was here all the time never gives up anything, so of two holders exactly the old
one yields. And: has somebody thrown away what is ours? Then everything is put back as it is on record.
"""

from __future__ import annotations

import sys
from dataclasses import replace

from .._common.addresses import VERSIONS, version_of
from .._common.errors import EgressIPError
from .._dataplane.state import desired_data_plane, held_on, transaction
from .._host_io import node_io
from .._protocols.address_probe import announcements
from . import metrics_file
from .address_conflicts import announce, others_with
from .apply import apply
from .connections import Connections, challenge, challenge_given_up, forget
from .record import Record, look, read


def main(argv):
    """Run one of the commands; returns the exit status."""
    try:
        _COMMANDS[argv[0]]()
    except EgressIPError as error:
        sys.stderr.write(f"netops.egress_ip: {error}\n")
        return 1
    return 0


def _restore():
    """Bring the data plane back, with the addresses that are there: at boot, before the network, these are none."""
    with node_io.lock():
        record = Record.load()
        if record is not None:
            host = look(record)
            _put_back(record, host, _held(record, host))


def _put_back(record, host, held):
    """Make everything as it is on record, with these addresses; returns whether anything had to be done."""
    before = read(host, record.state.options, record.claimed)
    needed = transaction(before, desired_data_plane(record.state.holding(held), record.marks, host))
    node_io.execute(needed)
    return bool(needed)


def _claim(again=False):
    """Make everything as it is on record, and take the addresses for which nobody answers.

    Where this node has lost the address at which its tunnel ends, nobody could use them: then it takes none, and gives
    up what it has, until the address is there again. What was tried `again` is told only where it did something.
    """
    record = Record.load()
    if record is None:
        return
    with node_io.lock():
        host = look(record)
        own = {"", *(address["local"] for _name, address in host.addresses())}
        dead = {version for version in VERSIONS if record.state.endpoint(version) not in own}
        held = _held(record, host)
        if any(version_of(item.egress_ip) in dead for item in record.state.held):
            done = _put_back(record, host, [item for item in held if version_of(item.egress_ip) not in dead])
            if done or not again:
                _say("nothing is claimed: this node has lost the address at which its tunnel ends")
            return
    result = apply(record.state)
    for line in result["diff"]["after"].splitlines():
        _say(f"put back {line}")
    for conflict in result["conflicts"]:
        _say("{egressIP} is not claimed: {mac} answers for it".format(**conflict))


def _announce_held():
    record = Record.load()
    if record is not None:
        announce(_held(record, look(record)))


def _write_metrics():
    record = Record.load()
    if record is not None:
        metrics_file.write(record)


def _watch():
    """Yield and mend. Runs only when this node was away, something of ours is gone, or nobody knows (`watch`)."""
    with node_io.lock():
        record = Record.load()
        if record is None:
            return
        host = look(record)
        held = _held(record, host)
        if not all(node_io.has_link(item.interface) for item in held):
            node_io.remove_file(node_io.WATCH_FILE)
            return
        taken = others_with(held, host) if node_io.was_away() else {}
        if taken:
            _give_up(record, taken)
    _claim(again=True)


def _held(record, host):
    """Return what the host holds of the egress IPs on record. An address may bear our label and be in no object."""
    return tuple(item for item in held_on(host, record.claimed) if item.egress_ip in record.marks)


def _give_up(record, taken):
    """Release addresses, {Held: MAC of the new holder}, and tell the neighbours who has them."""
    state = record.state.holding(item for item in record.state.held if item not in taken)
    host = look(record)
    before = read(host, record.state.options, record.claimed)
    connections = Connections(record.state, record.marks)
    lost = connections.leaving([item.egress_ip for item in taken])
    node_io.execute(transaction(before, desired_data_plane(state, record.marks, host)))
    forget(state.options, {record.marks[item.egress_ip] for item in taken})
    replace(record, state=state).save()
    for item, mac in taken.items():
        _say(f"{item.egress_ip} is given up: {mac} has had it since this node was away")
        own = node_io.mac_address(item.interface)
        node_io.send_frames(item.interface, [announcements(own, item.egress_ip, mac)])
    challenge([flow for flows in lost.values() for flow in flows])


def _say(text):
    sys.stderr.write(f"netops.egress_ip: {text}\n")


_COMMANDS = {
    "restore": _restore,
    "claim": _claim,
    "announce": _announce_held,
    "challenge": challenge_given_up,
    "watch": _watch,
    "metrics": _write_metrics,
}
