# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tracked connections of egress IPs that this node releases or claims. PRIVATE to the collection.

`_dataplane.handover` decides what becomes of each connection; this module changes the kernel. If the kernel refuses,
the address moves without its connections, and the chain `guard` lets none continue with another
source.
"""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from errno import EEXIST

from .._common.addresses import version_of
from .._common.errors import CommandError
from .._dataplane.handover import flow_after_release, flows_after_claim
from .._dataplane.node_state import NodeState
from .._dataplane.options import DataPlaneOptions
from .._host_io import files
from .._host_io.host_io import HostIO
from .._protocols.challenge_ack import challenges
from .._protocols.conntrack_usage import mark_filters
from .._protocols.ctnetlink import End, Flow, create_request, delete_request

_REFUSED = (CommandError, OSError)
# Ports for a connection whose own port is in use, how many of them are tried, and how often a connection is.
_PORTS, _TRIES = range(32768, 61000), 4
# Seconds before each challenge of the clients of lost connections. One is not enough: an answer before the new holder
# has claimed the address is lost, a claim may come minutes after the release, and the kernel of a client answers only
# one packet in half a second (tcp_invalid_ratelimit), while both holders challenge it.
_PAUSES = (0, 2, 4, 8, 16, 32, 64, 128, 256)


class Connections:
    """The connections with the marks of a node's egress IPs.

    `arrived` {egress IP: number} counts the received ones. `lost` are those that may be gone without the knowledge of
    their clients.
    """

    def __init__(self, io: HostIO, state: NodeState, marks: Mapping[str, int]) -> None:
        self.io, self.state, self.marks, self.options = io, state, marks, state.options
        self.endpoints = {end for node in state.nodes for end in node.endpoints}
        self.arrived: dict[str, int] = {}
        self.lost: list[Flow] = []

    def leaving(self, egress_ips: Collection[str]) -> dict[str, list[Flow]]:
        """Return {egress IP: its connections} of addresses that were released. They count as lost."""
        leaving: dict[str, list[Flow]] = {ip: [] for ip in egress_ips}
        with contextlib.suppress(*_REFUSED):
            for ip, flows in self._read(egress_ips).items():
                leaving[ip] = [flow for flow in flows if flow.translated[0] == ip]
        self.lost += [flow for flows in leaving.values() for flow in flows]
        return leaving

    def send_on(self, egress_ip: str, flows: Iterable[Flow]) -> list[Flow]:
        """Route the connections of this node's own pods to the new holder; returns the flows that it must track."""
        own = self.state.endpoint(version_of(egress_ip))
        continued: list[Flow] = []
        for flow in flows:
            sent, stays = flow_after_release(flow, own, self.endpoints)
            if sent and stays:
                sent = self._reroute(egress_ip, sent, stays)
            continued += [sent] if sent else []
        return continued

    def arrive(self, received: Mapping[str, list[Flow]]) -> None:
        """Track what the old holders sent, {egress IP: flows}, instead of the connections that went to them."""
        with contextlib.suppress(*_REFUSED):
            own = self._read(received)
            for ip, flows in received.items():
                # An old holder has connections of its own and of other nodes, and of nothing else.
                known = [flow for flow in flows if flow.source[0] in self.endpoints]
                arrived = flows_after_claim(known, self.state.endpoint(version_of(ip)), own[ip])
                forget(self.io, self.options, [self.marks[ip]])
                self.arrived[ip] = self._track(ip, arrived).count(0)

    def elsewhere(self, egress_ips: Collection[str]) -> list[Flow]:
        """Return the connections with the marks of held addresses that still go to another node. They count as lost."""
        elsewhere: list[Flow] = []
        with contextlib.suppress(*_REFUSED):
            elsewhere = [f for ip, flows in self._read(egress_ips).items() for f in flows if f.translated[0] != ip]
        self.lost += elsewhere
        return elsewhere

    def forget_others(self, egress_ips: Collection[str]) -> None:
        """Forget the connections with the marks of held addresses that still go to another node.

        This includes those that are not flows, such as datagrams that no server answers: each would keep its entry, and
        the chain `guard` would drop its packets.
        """
        stale = self.elsewhere(egress_ips)
        by_mark = self._by_mark(egress_ips)
        with contextlib.suppress(*_REFUSED):
            self.io.forget_elsewhere(self._filters(by_mark), by_mark, self.options.mark_mask)
        challenge(self.io, stale)

    def _reroute(self, egress_ip: str, sent: Flow, stays: Flow) -> Flow | None:
        """Track `stays` with a free port; returns `sent` from that port, None if no port was free."""
        for port in (stays.translated[1], *random.sample(_PORTS, _TRIES)):
            end = (stays.translated[0], port)
            if not self._track(egress_ip, [replace(stays, translated=end)])[0]:
                return replace(sent, source=end)
        return None

    def _track(self, egress_ip: str, flows: Sequence[Flow]) -> list[int]:
        """Track connections with the mark of an egress IP; returns an error number for each, 0 for success.

        Their former entries are gone, so for a packet that came since then the kernel has made another entry, with
        another translation or none. It is replaced at once, so that no packet comes in between again.
        """
        mark = self.options.mark(self.marks[egress_ip])
        requests = [create_request(flow, mark) for flow in flows]
        errors = self.io.change_connections(requests)
        for i in [i for i, error in enumerate(errors) if error == EEXIST]:
            deletions = [delete_request(flows[i].protocol, *ends) for ends in self._conflicting(egress_ip, flows[i])]
            for _try in range(_TRIES):
                errors[i] = self.io.change_connections([*deletions, requests[i]])[-1]
                if errors[i] != EEXIST:
                    break
        return errors

    def _conflicting(self, egress_ip: str, flow: Flow) -> list[tuple[End, End]]:
        """Return the ends of entries that a packet of this connection may have made, (source, destination)."""
        own = self.state.endpoint(version_of(egress_ip))
        found: list[tuple[End, End]] = []
        if flow.source[0] == own or flow.source[0] not in self.endpoints:
            # From a pod or user of this node.
            found.append((flow.source, flow.destination))
        if flow.translated[0] == egress_ip:
            # From the server, which an earlier holder passed on.
            found.append((flow.server, flow.translated))
        return found

    def _read(self, egress_ips: Iterable[str]) -> dict[str, list[Flow]]:
        """Return {egress IP: connections with its mark}, with few dumps, as each walks through all connections."""
        found: dict[str, list[Flow]] = {ip: [] for ip in egress_ips}
        by_mark = self._by_mark(found)
        filters = self._filters(by_mark)
        for mark, flow in self.io.read_connections(filters) if filters else ():
            ip = by_mark.get(mark & self.options.mark_mask)
            if ip and version_of(ip) == version_of(flow.source[0]):
                found[ip].append(flow)
        return found

    def _by_mark(self, egress_ips: Iterable[str]) -> dict[int, str]:
        return {self.options.mark(self.marks[ip]): ip for ip in egress_ips}

    def _filters(self, by_mark: Mapping[int, str]) -> list[tuple[int, int]]:
        """Return the fewest filters that list all connections with these marks."""
        mask = self.options.mark_mask
        filters = mark_filters(mask, max((self.marks[ip] for ip in by_mark.values()), default=0))
        return filters if len(filters) < len(by_mark) else [(mark, mask) for mark in by_mark]


def forget(io: HostIO, options: DataPlaneOptions, indices: Iterable[int]) -> None:
    """Forget the connections with the marks of these indices. Raises CommandError if the kernel refuses."""
    io.forget_connections([options.mark(index) for index in indices], options.mark_mask)


def challenge(io: HostIO, flows: Iterable[Flow]) -> None:
    """Make the clients of these connections send something, so that no client hangs."""
    with contextlib.suppress(*_REFUSED):
        io.send_packets(challenges(flows))


def note_lost(io: HostIO, flows: Iterable[Flow]) -> None:
    """Note lost connections for `challenge_lost`, in addition to those of an earlier run that it has not read yet."""
    noted = [*_read_lost(io), *flows]
    io.write_file(files.LOST_FILE, json.dumps([flow.to_list() for flow in noted]).encode(), 0o600)


def challenge_lost(io: HostIO) -> None:
    """Challenge the clients of the noted connections several times, with growing pauses, unless the node is removed."""
    with io.lock():
        flows = _read_lost(io)
        io.remove_file(files.LOST_FILE)
    for pause in _PAUSES if flows else ():
        io.sleep(pause)
        if io.read_file(files.PROGRAM_FILE) is None:
            return
        challenge(io, flows)


def _read_lost(io: HostIO) -> list[Flow]:
    """Return the noted connections, none if the file is damaged."""
    try:
        noted = json.loads(io.read_file(files.LOST_FILE) or b"[]")
        return [Flow.from_list(values) for values in noted] if isinstance(noted, list) else []
    except ValueError:
        return []
