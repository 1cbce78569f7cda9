# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The messages of calls from node to node: their kinds and addresses. PRIVATE to the collection. Pure.

Each message is {kind, egressIPs}; a request also names the nodes, {from, to}.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from .._common.addresses import VERSIONS, of_version
from .._common.errors import CommandError
from .._dataplane.node_state import NodeState

# A node shuts down; a standby is ready for its addresses; it has released them. A node has taken addresses over.
LEAVING, READY, RELEASED, MOVED = "leaving", "ready", "released", "moved"

# Egress IPs of one request: as IPv6 addresses, they are below the limit of `fleet_calls` for its bytes.
_MOST_ADDRESSES = 1000
_Item = TypeVar("_Item")


def in_requests(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    """Yield the addresses of one request after the other."""
    for start in range(0, len(items), _MOST_ADDRESSES):
        yield items[start : start + _MOST_ADDRESSES]


def request_to(state: NodeState, other: str, kind: str, egress_ips: Iterable[str]) -> dict[str, object]:
    """Return a request of this node to another one."""
    return {"kind": kind, "from": state.name, "to": other, "egressIPs": list(egress_ips)}


def sender_of(state: NodeState, request: Mapping[str, object], address: str) -> str:
    """Return the node that sent a request from `address`. Raises CommandError for another address."""
    sender = str(request.get("from"))
    ends = next((node.endpoints for node in state.nodes if node.name == sender), ())
    if address not in ends or request.get("to") != state.name:
        raise CommandError("it names other nodes than those that talk")
    return sender


def egress_ips_of(message: Mapping[str, object], kind: str) -> list[str]:
    """Return the egress IPs of a message. Raises CommandError if it is not of this kind."""
    found = message.get("egressIPs")
    if message.get("kind") != kind or not isinstance(found, list):
        raise CommandError(f"the message must be {kind}")
    return [str(ip) for ip in found]


def endpoints_to(state: NodeState, name: str) -> tuple[str, str]:
    """Return (this node's endpoint, that of another node), of one IP version. Raises CommandError without them."""
    others = next((node.endpoints for node in state.nodes if node.name == name), ())
    for version in VERSIONS:
        for endpoint in of_version(others, version):
            if state.endpoint(version):
                return state.endpoint(version), endpoint
    raise CommandError(f"{name} has no endpoint that this node can reach")
