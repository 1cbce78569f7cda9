# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections of an egress IP that moves from one node to another. PRIVATE to the collection. No I/O.

The server sees the same egress IP and port before and after; the path between pod and holder may change:

    pod on a third node   third ── tunnel ──► old holder     becomes   third ── tunnel ──► new holder
    pod on the old holder old holder                         becomes   old holder ── tunnel ──► new holder
    pod on the new holder new holder ── tunnel ──► old       becomes   new holder

The old holder sends its connections to the new one (`flow_after_release`), which tracks them as its own
(`flows_after_claim`). Flows are values like `_protocols.ctnetlink.Flow`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Protocol, TypeVar

from .._common.addresses import of_version, version_of
from .node_state import NodeState


class Connection(Protocol):
    """The fields of a tracked connection; each end is (address, port)."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def protocol(self) -> int: ...
    @property
    def source(self) -> tuple[str, int]: ...
    @property
    def destination(self) -> tuple[str, int]: ...
    @property
    def server(self) -> tuple[str, int]: ...
    @property
    def translated(self) -> tuple[str, int]: ...


AnyConnection = TypeVar("AnyConnection", bound=Connection)


@dataclass(frozen=True)
class PlannedRelease:
    """An egress IP that the node `giver` releases in a run; the node `taker`, empty for none, claims it."""

    egress_ip: str
    giver: str
    taker: str = ""

    def to_dict(self) -> dict[str, str]:
        """Return the release as a JSON-safe dict."""
        return {"egressIP": self.egress_ip, "from": self.giver, "to": self.taker}


@dataclass(frozen=True)
class Partners:
    """The nodes with which a node exchanges connections in a run: {endpoint: egress IPs} given to and taken from it."""

    giving: Mapping[str, list[str]] = field(default_factory=dict)
    taking: Mapping[str, list[str]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.giving or self.taking)


def partners(
    state: NodeState, releases: Iterable[PlannedRelease], leaving: Collection[str], coming: Collection[str]
) -> Partners:
    """Return the Partners of a node that releases the egress IPs `leaving` and claims the egress IPs `coming`."""
    releases = list(releases)
    return Partners(
        giving=_by_endpoint(state, [(r.egress_ip, r.taker) for r in releases if r.giver == state.name], leaving),
        taking=_by_endpoint(state, [(r.egress_ip, r.giver) for r in releases if r.taker == state.name], coming),
    )


def _by_endpoint(state: NodeState, moves: Iterable[tuple[str, str]], changing: Collection[str]) -> dict[str, list[str]]:
    """Return {endpoint of the other node: egress IPs} of the moves [(egress IP, other node)] with a known endpoint."""
    endpoints = {node.name: node.endpoints for node in state.nodes if node.name != state.name}
    found: dict[str, list[str]] = {}
    for egress_ip, other in moves:
        for endpoint in of_version(endpoints.get(other, ()), version_of(egress_ip))[:1]:
            if egress_ip in changing:
                found.setdefault(endpoint, []).append(egress_ip)
    return found


def flow_after_release(
    flow: AnyConnection, endpoint: str, endpoints: Collection[str]
) -> tuple[AnyConnection | None, AnyConnection | None]:
    """Return (the flow for the new holder, the flow that stays on this node) of a flow of a released egress IP.

    `endpoint` is that of this node, `endpoints` are those of all nodes. Nothing stays for another node's pod. A pod of
    this node, or a user of it, continues through the tunnel, from `endpoint` and the port that the server knows.
    Returns (None, None) for a flow that cannot continue, as its destination is translated as well.
    """
    if flow.source[0] in endpoints and flow.source[0] != endpoint:
        return flow, None
    if flow.server != flow.destination:
        return None, None
    stays = replace(flow, translated=(endpoint, flow.translated[1]))
    return replace(flow, source=stays.translated), stays


def flows_after_claim(
    flows: Iterable[AnyConnection], endpoint: str, own: Iterable[AnyConnection]
) -> list[AnyConnection]:
    """Return the flows as the new holder tracks them, without those that it cannot continue.

    `endpoint` is that of this node; `own` are the flows of this node's pods through the tunnel to the old holder, where
    they arrived from `endpoint`.
    """
    local = {(mine.protocol, mine.translated, mine.server): mine for mine in own if mine.server == mine.destination}
    arrived: list[AnyConnection] = []
    for flow in flows:
        if flow.source[0] == endpoint:
            mine = local.get((flow.protocol, flow.source, flow.destination))
            arrived += [replace(flow, source=mine.source)] if mine else []
        else:
            arrived.append(flow)
    return arrived
