# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hand-over of a node that shuts down to the standbys of its addresses. PRIVATE to the collection.

    holder   ──►  `leaving`: the egress IPs
    standby  ──►  `ready`: those that it takes. It holds its lock, and their translation is in place
    holder        deletes these addresses
    holder   ──►  `released`: their connections
    standby       takes the addresses, without probes: the message proves that they are free

Both sides prove the key of the fleet (`_host_io.fleet_calls`). Without an answer the holder keeps the address, and the
standby takes it over when the host is down.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from .._common.errors import CommandError, EgressIPError
from .._dataplane.failover import MOST_IN_ORDER
from .._dataplane.node_state import Held, NodeState
from .._dataplane.state import DataPlane, Transaction, transaction
from .._failover.values import Refused, Taken
from .._host_io.node_messages import Flows, RefusedError, read_flows
from .connections import Connections
from .fleet_messages import LEAVING, READY, RELEASED, egress_ips_of, endpoints_to, in_requests, request_to, sender_of
from .journal import log

if TYPE_CHECKING:
    from .._host_io.fleet_calls import Call
    from .follow import Follower
    from .recorded_node import RecordedNode

# Seconds that a node which shuts down waits for the end of a run.
_PATIENCE = 3.0
# Seconds for which a node is refused after a hand-over that it broke off.
_DISTRUST = 60.0
# Seconds after which it calls no other standby.
_MOST_SECONDS = 10.0


class _Departure(NamedTuple):
    """The addresses that a node gives away, and the way to the data plane without them."""

    items: tuple[Held, ...]
    commands: Transaction
    plane: DataPlane


# --- The holder -------------------------------------------------------------------------------------------------------


def hand_over_all(follower: Follower) -> None:
    """Hand what this node holds over to the first standbys, or to the next ones. What none takes in time stays."""
    if not follower.read_record():
        return
    end = follower.segment.clocks()[0] + _MOST_SECONDS
    for rank in range(MOST_IN_ORDER - 1) if follower.node.key else ():
        for standby, items in _calls(follower.node, rank):
            if follower.segment.clocks()[0] > end:
                return
            try:
                with follower.io.lock(_PATIENCE):
                    _hand_over(follower.node, standby, items)
            except EgressIPError as error:
                log(f"{_names(items)}: not handed over to {standby}: {error}")


def _calls(node: RecordedNode, rank: int) -> list[tuple[str, Sequence[Held]]]:
    """Return the calls of the hand-over to the standbys of this rank, (node, addresses)."""
    by_standby = _by_standby(node.record.state, node.held, rank)
    return [(standby, part) for standby, items in by_standby.items() for part in in_requests(items)]


def _by_standby(state: NodeState, held: Iterable[Held], rank: int) -> dict[str, list[Held]]:
    """Return {node: the addresses of which it is the standby of this rank, from 0}."""
    orders = {item.egress_ip: [peer.name for peer in item.order if peer.name != state.name] for item in state.standbys}
    found: dict[str, list[Held]] = {}
    for item in held:
        for standby in orders.get(item.egress_ip, [])[rank : rank + 1]:
            found.setdefault(standby, []).append(item)
    return found


def _hand_over(node: RecordedNode, standby: str, items: Sequence[Held]) -> None:
    """Hand these addresses over to a node, with the lock. Raises EgressIPError if the node does not take them."""
    record = node.record
    own, endpoint = endpoints_to(record.state, standby)
    request = request_to(record.state, standby, LEAVING, [item.egress_ip for item in items])
    node.check_current(())
    departure = _departure(node, tuple(items))
    with node.io.call(node.key, own, endpoint, record.state.options.tunnel_port, request) as call:
        ready = set(egress_ips_of(call.receive(), READY))
        going = tuple(item for item in items if item.egress_ip in ready)
        if not going:
            raise CommandError("it accepts none of these addresses now")
        flows = _delete(node, departure if going == departure.items else _departure(node, going))
        try:
            listed = {ip: [flow.to_list() for flow in found] for ip, found in flows.items()}
            call.send({"kind": RELEASED, "egressIPs": listed})
        finally:
            # They are deleted, so they must not come back with the next addresses.
            node.record_departure(going)
    log(f"{_names(going)}: handed over to {standby}, because this host shuts down")


def _departure(node: RecordedNode, items: tuple[Held, ...]) -> _Departure:
    """Return the way to the data plane without these addresses, which takes little time."""
    plane = node.plane_after(items)
    return _Departure(items, transaction(node.present, plane), plane)


def _delete(node: RecordedNode, departure: _Departure) -> Flows:
    """Delete addresses and return their connections."""
    record, items = node.record, departure.items
    node.io.execute(departure.commands)
    node.present = departure.plane
    connections = Connections(node.io, record.state, record.marks)
    leaving = connections.leaving([item.egress_ip for item in items])
    node.forget(items)
    return {ip: connections.send_on(ip, flows) for ip, flows in leaving.items()}


# --- The standby ------------------------------------------------------------------------------------------------------


def take_over_from(follower: Follower, call: Call) -> None:
    """Take what another node hands over in a call."""
    try:
        giver = sender_of(follower.node.record.state, call.request, call.peer)
        if follower.is_soon_after(_DISTRUST, giver):
            raise CommandError(f"{giver} is refused for a minute: it did not complete a hand-over")
        accepted = follower.accept(giver, egress_ips_of(call.request, LEAVING))
        if accepted:
            _take(follower, call, giver, accepted)
    except EgressIPError as error:
        follower.log_once(f"a call of {call.peer} is refused: {error}")
    finally:
        call.close()


def _take(follower: Follower, call: Call, giver: str, egress_ips: tuple[str, ...]) -> None:
    """Take addresses that the machine has accepted."""
    event: Taken | Refused = Refused(egress_ips)
    node = follower.node
    try:
        with follower.io.lock(0):
            node.check_current(egress_ips)
            with node.preparing(node.items(egress_ips)) as prepared:
                try:
                    call.send({"kind": READY, "egressIPs": list(egress_ips)})
                    flows = _connections(call.receive(), egress_ips)
                except EgressIPError:
                    # The wait for it stops everything else here.
                    follower.note_call(giver)
                    raise
                node.take(dict.fromkeys(egress_ips, giver), prepared, flows)
        event = Taken(egress_ips)
    finally:
        follower.events.append(event)


def _connections(message: Mapping[str, object], egress_ips: Iterable[str]) -> Flows:
    """Return the connections in a message. Raises CommandError unless it confirms that the addresses are released."""
    released = message.get("egressIPs")
    if message.get("kind") != RELEASED or not isinstance(released, dict):
        raise CommandError("the addresses are not released")
    try:
        return {ip: read_flows(released.get(ip), ip) for ip in egress_ips}
    except RefusedError as error:
        raise CommandError(str(error)) from None


def _names(items: Iterable[Held]) -> str:
    return ", ".join(item.egress_ip for item in items)
