# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of the connections of an egress IP that moves from one node to another. PRIVATE. Pure.

The server sees the same egress IP and port before and after; everything else about a connection may be another:

    pod on a third node   third ── tunnel ──► old holder     becomes   third ── tunnel ──► new holder
    pod on the old holder old holder                         becomes   old holder ── tunnel ──► new holder
    pod on the new holder new holder ── tunnel ──► old       becomes   new holder

The old holder sends its connections to the new one (`flow_after_release`), which tracks them as its own
(`flows_after_claim`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from .._common.addresses import of_version, version_of


@dataclass(frozen=True)
class Release:
    """An egress IP that the node `giver` gives up in a run; `taker` claims it in the same run, or is empty."""

    egress_ip: str
    giver: str
    taker: str = ""

    def to_dict(self):
        """Return the release as a JSON-safe dict."""
        return {"egressIP": self.egress_ip, "from": self.giver, "to": self.taker}


@dataclass(frozen=True)
class Partners:
    """With whom a node talks in a run: {endpoint of the other node: its egress IPs that go there, or come}."""

    giving: dict = field(default_factory=dict)
    taking: dict = field(default_factory=dict)

    def __bool__(self):
        return bool(self.giving or self.taking)


def partners(state, releases, leaving, coming):
    """Return the Partners of a node that gives up the egress IPs `leaving` and claims the ones `coming`."""
    endpoints = {node.name: node.endpoints for node in state.nodes}
    found = Partners()
    for item in releases:
        ends = ((item.giver, item.taker, leaving, found.giving), (item.taker, item.giver, coming, found.taking))
        for mine, other, changing, side in ends:
            there = of_version(endpoints.get(other, ()), version_of(item.egress_ip))
            if mine == state.name and other != mine and there and item.egress_ip in changing:
                side.setdefault(there[0], []).append(item.egress_ip)
    return found


def flow_after_release(flow, endpoint, endpoints):
    """Return (the flow for the new holder, the flow that stays here) of a flow of an egress IP that is given up.

    `endpoint` is this node's own, `endpoints` are those of all. Nothing stays of another node's pod. A pod of this
    node goes on through the tunnel, from `endpoint` with the port that the server knows. (None, None) when that cannot
    be: the destination is translated as well.
    """
    if flow.source[0] in endpoints:
        return flow, None
    if flow.server != flow.destination:
        return None, None
    stays = replace(flow, translated=(endpoint, flow.translated[1]))
    return replace(flow, source=stays.translated), stays


def flows_after_claim(flows, endpoint, own):
    """Return the flows as the new holder tracks them, without those that it cannot.

    `own` are the flows of this node's pods through the tunnel to the old holder, where they came from `endpoint`.
    """
    here = {(mine.protocol, mine.translated, mine.server): mine for mine in own if mine.server == mine.destination}
    arrived = []
    for flow in flows:
        if flow.source[0] == endpoint:
            mine = here.get((flow.protocol, flow.source, flow.destination))
            arrived += [replace(flow, source=mine.source)] if mine else []
        else:
            arrived.append(flow)
    return arrived
