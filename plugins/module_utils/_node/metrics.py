# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The metrics of a node's egress IPs, as a value and as a Prometheus textfile. PRIVATE to the collection. Pure.

`node_info` returns the value as `metrics`: `egress_ips` has a row for each address that the node holds, and `tunnel` a
row for each own address of the node from which its pods' connections go to other holders.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Dict, List, Tuple, TypedDict

from .._common.addresses import address_order
from .._dataplane.nft_addresses import name_of
from .._dataplane.nft_ruleset import DIRECTIONS
from .._dataplane.node_state import NodeState
from .._protocols.conntrack_usage import WITH_PORTS, Use

# Every address has these protocols, so that an alert always has a value to compare with.
_ALWAYS = ("tcp", "udp")
_UNITS = ("packets", "bytes")
_HELP = {"transmit": "sent with the egress IP as their source", "receive": "received in answer"}

Row = Dict[str, Any]
_Labels = Dict[str, str]
# Name, type, help text, samples.
_Family = Tuple[str, str, str, List[Tuple[_Labels, float]]]


class Metrics(TypedDict):
    """The metrics of a node, JSON-safe."""

    egress_ips: list[Row]
    tunnel: list[Row]
    conflicts: list[Row]


def metrics(
    state: NodeState,
    counters: Mapping[str, tuple[int, int]],
    used: Mapping[str, Mapping[str, Use]],
    conflicts: Mapping[str, str],
) -> Metrics:
    """Return the metrics of a node with this state.

    `counters` {name: (packets, bytes)} are those of the collection's table, `used` {source: {protocol: Use}}
    (see `conntrack_usage`).
    """
    owners = {ip: item.name for item in state.egressips for ip in item.egress_ips}
    owners.update({ip: item.name for item in state.egressips for ip in item.slots})
    rows: list[Row] = []
    for ip in sorted(owners, key=address_order):
        counted = {way: counters.get(name_of(way, ip)) for way in DIRECTIONS.values()}
        # An address without counters is not held: they come and go with the translation.
        if all(counted.values()):
            numbers = {f"{way}_{unit}": n for way, both in counted.items() for unit, n in zip(_UNITS, both or ())}
            rows.append({"egressIP": ip, "object": owners[ip], **numbers, "use": _use_rows(used.get(ip, {}))})
    tunnel: list[Row] = [{"source": own, "use": _use_rows(used.get(own, {}))} for own in state.endpoints]
    held = {row["egressIP"] for row in rows}
    others: list[Row] = [{"egressIP": ip, "mac": mac} for ip, mac in conflicts.items() if ip in held]
    return {"egress_ips": rows, "tunnel": tunnel, "conflicts": sorted(others, key=lambda row: str(row["egressIP"]))}


def _use_rows(protocols: Mapping[str, Use]) -> list[Row]:
    """Return a row for each protocol, with `port_share` for a protocol with ports."""
    rows: list[Row] = []
    for protocol in sorted({*_ALWAYS, *protocols}):
        use = protocols.get(protocol, Use())
        share = {"port_share": round(use.port_share, 6)} if protocol in WITH_PORTS else {}
        rows.append({"protocol": protocol, "connections": use.connections, "busiest": use.busiest, **share})
    return rows


def textfile(values: Metrics, takeovers: int | None = None) -> str:
    """Return the metrics in Prometheus' text format, with the number of takeovers of a node with failover."""
    families: list[_Family] = []
    rows = [({"egress_ip": row["egressIP"], "object": row["object"]}, row) for row in values["egress_ips"]]
    for direction in DIRECTIONS.values():
        for unit in _UNITS:
            samples = [(labels, row[f"{direction}_{unit}"]) for labels, row in rows]
            help_text = f"{unit.capitalize()} {_HELP[direction]}."
            families.append((f"egress_ip_{direction}_{unit}_total", "counter", help_text, samples))
    tunnel = [({"source": row["source"]}, row) for row in values["tunnel"]]
    conflicts: list[tuple[_Labels, float]] = [
        ({"egress_ip": row["egressIP"], "mac": row["mac"]}, 1) for row in values["conflicts"]
    ]
    families.append(("egress_ip_conflict", "gauge", "Another host with this MAC answers for the egress IP.", conflicts))
    if takeovers is not None:
        help_text = "Egress IPs that this node took over from silent nodes since it booted."
        families.append(("egress_ip_takeovers_total", "counter", help_text, [({}, takeovers)]))
    families += _use_families("egress_ip", "an egress IP", rows)
    families += _use_families("egress_ip_tunnel", "the node's own address through the tunnel", tunnel)
    return "".join(line for family in families for line in _family(*family))


def _use_families(prefix: str, source: str, rows: Sequence[tuple[_Labels, Row]]) -> Iterator[_Family]:
    used = [({**labels, "protocol": use["protocol"]}, use) for labels, row in rows for use in row["use"]]
    connections = [(labels, use["connections"]) for labels, use in used]
    shares = [(labels, use["port_share"]) for labels, use in used if "port_share" in use]
    yield f"{prefix}_connections", "gauge", f"Tracked connections from {source}.", connections
    yield (
        f"{prefix}_source_ports_used_ratio",
        "gauge",
        f"Share of the source ports in use from {source} to the busiest destination.",
        shares,
    )


def _family(name: str, kind: str, help_text: str, samples: Sequence[tuple[_Labels, float]]) -> Iterator[str]:
    yield f"# HELP {name} {help_text}\n# TYPE {name} {kind}\n"
    for labels, value in samples:
        shown = ",".join(f"{key}={_quoted(text)}" for key, text in labels.items())
        yield f"{name}{{{shown}}} {value}\n" if shown else f"{name} {value}\n"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
