# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages of a node to all others after a takeover, and their effect there. PRIVATE to the collection.

The new holder does not know the connections of the lost one. It learns of each as soon as the pod sends a packet; a pod
that only listens does so when its node challenges it. The tunnel for an address on another interface than the primary
one ends at the endpoint of its holder, so the other nodes change a route.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from .._common.errors import CommandError, EgressIPError
from .._dataplane.node_state import Held
from .._host_io.fleet_calls import Notice
from .connections import Connections, challenge
from .fleet_messages import MOVED, egress_ips_of, endpoints_to, in_requests, request_to, sender_of

# Seconds in which a node is heeded once for an address.
_REPEATED = 5.0

if TYPE_CHECKING:
    from .._host_io.fleet_calls import Call
    from .follow import Follower
    from .recorded_node import RecordedNode


def notify_takeover(node: RecordedNode, items: Iterable[Held]) -> None:
    """Inform the other nodes, in the background, that this node has taken these addresses over."""
    state, egress_ips = node.record.state, [item.egress_ip for item in items]
    notices: list[Notice] = []
    for other in state.nodes if node.key else ():
        if other.name != state.name:
            try:
                own, endpoint = endpoints_to(state, other.name)
            except CommandError:
                continue
            notices += [
                Notice(own, endpoint, request_to(state, other.name, MOVED, each)) for each in in_requests(egress_ips)
            ]
    if notices:
        port, generation = state.options.tunnel_port, state.generation
        node.io.notify(node.key, port, notices, lambda: node.has_taken(egress_ips, generation))


def apply_notice(follower: Follower, call: Call) -> None:
    """Let the tunnels of this node end at the new holder of egress IPs, and its pods speak to it."""
    record = follower.node.record
    try:
        holder = sender_of(record.state, call.request, call.peer)
        egress_ips = [ip for ip in egress_ips_of(call.request, MOVED) if ip in record.marks]
        if record.claimed & {*egress_ips}:
            raise CommandError("this node holds its addresses")
        follower.node.follow_ends(egress_ips, holder)
        # A challenge is sent to all pods that use an address: one node must not cause it again and again.
        fresh = [ip for ip in egress_ips if not follower.is_soon_after(_REPEATED, holder, ip)]
        if fresh:
            connections = Connections(follower.io, record.state, record.marks)
            challenge(follower.io, connections.elsewhere(fresh))
        for ip in fresh:
            follower.note_call(holder, ip)
        call.send({"kind": MOVED, "egressIPs": egress_ips})
    except EgressIPError as error:
        follower.log_once(f"a call of {call.peer} is ignored: {error}")
    finally:
        call.close()
