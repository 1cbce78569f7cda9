# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the egress IPs of all nodes carry, as a table for people. PRIVATE to the collection. Pure."""

from __future__ import annotations

from .._common.addresses import address_order
from .._common.tables import table


def traffic(fleet):
    """Return the lines of a table; the fleet's nodes were looked at with `metrics`."""
    found = {name: answer.get("metrics") or {} for name, answer in sorted(fleet["observed"].items())}
    rows = [
        (row["egressIP"], node, _size(row, "transmit"), _size(row, "receive"), *_use_cells(row["use"]))
        for node, values in found.items()
        for row in values.get("egress_ips", ())
    ]
    rows.sort(key=lambda row: (address_order(row[0]), row[1]))
    rows += [
        (row["source"], node, "-", "-", *_use_cells(row["use"]))
        for node, values in found.items()
        for row in values.get("tunnel", ())
        if any(use["connections"] for use in row["use"])
    ]
    return table(("SOURCE", "NODE", "SENT", "RECEIVED", "CONNECTIONS", "PORTS IN USE"), rows)


def _size(row, direction):
    return f"{row[f'{direction}_packets']} packets, {_bytes(row[f'{direction}_bytes'])}"


def _bytes(number):
    """Return a number of bytes for people.

    >>> [_bytes(n) for n in (999, 1000, 12_345_678)]
    ['999 B', '1.0 kB', '12.3 MB']
    """
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if number < 1000 or unit == "TB":
            break
        number /= 1000
    return f"{number:.1f} {unit}" if unit != "B" else f"{number} B"


def _use_cells(uses):
    """Return the cells for the connections, and for the ports of the protocol that is nearest to running out."""
    count = ", ".join(f"{use['connections']} {use['protocol']}" for use in uses if use["connections"]) or "0"
    fullest = max((use for use in uses if "port_share" in use), key=lambda use: use["port_share"])
    share = f"{100 * fullest['port_share']:.1f} % ({fullest['protocol']} to {fullest['busiest']})"
    return count, share if fullest["busiest"] else "0 %"
