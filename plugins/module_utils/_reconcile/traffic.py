# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The traffic of the egress IPs of all nodes as a table. PRIVATE to the collection. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from .._common.addresses import address_order
from .._common.messages import listed
from .._common.tables import table
from .report import MOST_UNKNOWN, and_more

_PROTOCOLS_SHOWN = 8


def traffic(fleet: Mapping[str, Any], egress_ips: Collection[str]) -> list[str]:
    """Return the lines of a table, none without traffic; `fleet` is the dict of a Fleet whose facts have `metrics`.

    `egress_ips` are those of the objects. Of others, a node has at most MOST_UNKNOWN rows.
    """
    found = {name: answer.get("metrics") or {} for name, answer in sorted(fleet["observed"].items())}
    rows, more = [], []
    for node, values in found.items():
        of_node = {row["egressIP"]: row for row in values.get("egress_ips", ())}
        unknown = [ip for ip in of_node if ip not in egress_ips]
        shown = [*(ip for ip in of_node if ip in egress_ips), *unknown[:MOST_UNKNOWN]]
        rows += [_row(node, of_node[ip]) for ip in shown]
        more += [(text, node, "-", "-", "-", "-") for text in and_more(unknown)]
    rows.sort(key=lambda row: (address_order(row[0]), row[1]))
    rows += more
    rows += [
        (row["source"], node, "-", "-", *_use_cells(row["use"]))
        for node, values in found.items()
        for row in values.get("tunnel", ())
        if any(use["connections"] for use in row["use"])
    ]
    return table(("SOURCE", "NODE", "SENT", "RECEIVED", "CONNECTIONS", "PORTS IN USE"), rows) if rows else []


def _row(node: str, row: Mapping[str, Any]) -> tuple[str, str, str, str, str, str]:
    return row["egressIP"], node, _size(row, "transmit"), _size(row, "receive"), *_use_cells(row["use"])


def _size(row: Mapping[str, Any], direction: str) -> str:
    return f"{row[f'{direction}_packets']} packets, {_bytes(row[f'{direction}_bytes'])}"


def _bytes(number: float) -> str:
    """Return a number of bytes with a decimal unit.

    >>> [_bytes(n) for n in (999, 1000, 12_345_678)]
    ['999 B', '1.0 kB', '12.3 MB']
    """
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if number < 1000 or unit == "TB":
            break
        number /= 1000
    return f"{number:.1f} {unit}" if unit != "B" else f"{number} B"


def _use_cells(uses: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """Return the cells of the connections, and of the ports of the protocol with the fewest free ports."""
    used = [f"{use['connections']} {use['protocol']}" for use in uses if use["connections"]]
    count = listed(used, _PROTOCOLS_SHOWN) or "0"
    shares = [use for use in uses if "port_share" in use and use["busiest"]]
    if not shares:
        return count, "0 %"
    fullest = max(shares, key=lambda use: float(use["port_share"]))
    return count, f"{100 * fullest['port_share']:.1f} % ({fullest['protocol']} to {fullest['busiest']})"
