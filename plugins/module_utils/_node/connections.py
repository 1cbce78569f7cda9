# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The connections of egress IPs on this node, as they leave for another node or arrive from one. PRIVATE.

`handover` decides what becomes of each connection; here it is done. A kernel that does not let us is no reason to keep
an address from moving: then connections are lost, and `guard` sees to it that none goes on with another source.
"""

from __future__ import annotations

import contextlib
import json
import random
from dataclasses import replace

from .._common.addresses import version_of
from .._common.errors import CommandError
from .._dataplane.handover import flow_after_release, flows_after_claim
from .._host_io import node_io
from .._protocols.challenge_ack import challenges
from .._protocols.conntrack_usage import mark_filters
from .._protocols.ctnetlink import Flow, create_request, delete_request

_REFUSED = (CommandError, OSError)
# Ports for a connection whose own port is taken, and how many are tried.
_PORTS, _TRIES = range(32768, 61000), 4


class Connections:
    """The connections that carry the marks of a node's egress IPs; `arrived` {egress IP: number} counts those told."""

    def __init__(self, state, marks):
        self.state, self.marks, self.options = state, marks, state.options
        self.endpoints = {end for node in state.nodes for end in node.endpoints}
        self.arrived = {}

    def leaving(self, egress_ips):
        """Return {egress IP: its connections} of addresses that are given up."""
        with contextlib.suppress(*_REFUSED):
            return {ip: [f for f in flows if f.translated[0] == ip] for ip, flows in self._read(egress_ips).items()}
        return {ip: [] for ip in egress_ips}

    def send_on(self, egress_ip, flows):
        """Let this node's own pods go on by way of the new holder; returns the flows that it must know."""
        own, told = self.state.endpoint(version_of(egress_ip)), []
        for flow in flows:
            sent, stays = flow_after_release(flow, own, self.endpoints)
            if stays:
                sent = self._reroute(egress_ip, sent, stays)
            told += [sent] if sent else []
        return told

    def arrive(self, coming):
        """Make known what the old holders told, {egress IP: flows}, in place of all that went to them."""
        with contextlib.suppress(*_REFUSED):
            own = self._read(coming)
            for ip, flows in coming.items():
                arrived = flows_after_claim(flows, self.state.endpoint(version_of(ip)), own[ip])
                forget(self.options, [self.marks[ip]])
                # A node that held the address a while ago may have passed on what a server still sent it.
                passed_on = [delete_request(flow.protocol, flow.server, flow.translated) for flow in arrived]
                node_io.change_connections(passed_on)
                self.arrived[ip] = self._create(ip, arrived).count(0)

    def elsewhere(self, egress_ips):
        """Return the connections that carry the marks of addresses that are here now, and still go another way."""
        with contextlib.suppress(*_REFUSED):
            return [f for ip, flows in self._read(egress_ips).items() for f in flows if f.translated[0] != ip]
        return []

    def forget_others(self, egress_ips):
        """Forget the connections that carry the marks of held addresses and still go another way."""
        stale = self.elsewhere(egress_ips)
        with contextlib.suppress(*_REFUSED):
            node_io.change_connections([delete_request(f.protocol, f.source, f.destination) for f in stale])
        challenge(stale)

    def _reroute(self, egress_ip, sent, stays):
        """Track `stays` with a port that is free; returns `sent` from that port, None when none was found."""
        for port in (stays.translated[1], *random.sample(_PORTS, _TRIES)):
            end = (stays.translated[0], port)
            if not self._create(egress_ip, [replace(stays, translated=end)])[0]:
                return replace(sent, source=end)
        return None

    def _create(self, egress_ip, flows):
        mark = self.options.mark(self.marks[egress_ip])
        return node_io.change_connections([create_request(flow, mark) for flow in flows])

    def _read(self, egress_ips):
        """Return {egress IP: connections with its mark}, in few looks, as each goes through all that is tracked."""
        found = {ip: [] for ip in egress_ips}
        by_mark = {self.options.mark(self.marks[ip]): ip for ip in found}
        mask = self.options.mark_mask
        filters = mark_filters(mask, max((self.marks[ip] for ip in found), default=0))
        if len(by_mark) < len(filters):
            filters = [(mark, mask) for mark in by_mark]
        for mark, flow in node_io.read_connections(filters) if filters else ():
            ip = by_mark.get(mark & mask)
            if ip and version_of(ip) == version_of(flow.source[0]):
                found[ip].append(flow)
        return found


def forget(options, indices):
    """Forget the connections that carry the marks of these numbers."""
    node_io.forget_connections([options.mark(index) for index in indices], options.mark_mask)


def challenge(flows):
    """Make the clients of these connections speak, so that none is left hanging."""
    with contextlib.suppress(*_REFUSED):
        node_io.send_packets(challenges(flows))


def note_given_up(flows):
    """Note the connections of addresses that are given up, for `challenge_given_up` at a time when others have them."""
    node_io.write_file(node_io.GIVEN_UP_FILE, json.dumps([flow.to_list() for flow in flows]).encode(), 0o600)


def challenge_given_up():
    """Challenge what was noted last."""
    noted = node_io.read_file(node_io.GIVEN_UP_FILE)
    challenge([Flow.from_list(values) for values in json.loads(noted or "[]")])
