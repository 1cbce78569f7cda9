# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of the egress IPs as the nodes show it, as a table. PRIVATE to the collection. Pure."""

from __future__ import annotations

from typing import Any, Iterator, Mapping, NamedTuple, Sequence

from .._common.addresses import address_order
from .._common.tables import section, table
from .failover import taken_over, time_text
from .mac_vendor import with_vendor
from .report import MOST_UNKNOWN, and_more, network_table

Dict = Mapping[str, Any]
Row = tuple[str, str, str, str, str, str, str]


class StatusTable(NamedTuple):
    """`lines` are for a person; `failures` describe what is wrong or unknown."""

    lines: list[str]
    failures: list[str]


def status_table(picture: Dict, fleet: Dict) -> StatusTable:
    """Return the StatusTable of the observed picture of a fleet; `fleet` is the dict of a Fleet."""
    silent = [node["name"] for node in picture["nodes"] if node["name"] not in fleet["observed"]]
    rows = [*_held(picture, fleet), *_missing(picture, silent)]
    rows.sort(key=lambda row: (address_order(row[0]), row[2]))
    rows += _unknown_rest(picture)
    lines = table(("EGRESS IP", "OBJECT", "NODE", "STANDBY", "CONNECTIONS", "SINCE", "STATE"), rows)
    failures = list(picture["problems"])
    lines += network_table(picture)
    lines += section("Problems", failures)
    return StatusTable([*lines, *section("Differences from the applied state", _drift(fleet))], failures)


def _drift(fleet: Dict) -> Iterator[str]:
    """Yield a line for each difference of a node from the state that was applied last."""
    for node, facts in sorted(fleet["observed"].items()):
        for line in facts.get("drift", ()):
            yield f"{node}: {line}"


def _held(picture: Dict, fleet: Dict) -> Iterator[Row]:
    """Yield a row for each egress IP on each node that answered, except `_unknown_rest`."""
    taken = taken_over(fleet)
    for node in picture["nodes"]:
        facts = fleet["observed"].get(node["name"], {})
        foreign = {item["egressIP"]: item["mac"] for item in facts.get("conflicts", ())}
        connections, since = _connections(facts), facts.get("since", {})
        unknown = [item for item in node["addresses"] if not item["name"]]
        for item in (*(item for item in node["addresses"] if item["name"]), *unknown[:MOST_UNKNOWN]):
            ip = item["egressIP"]
            state = f"held, {with_vendor(foreign[ip])} answers too" if ip in foreign else item["state"]
            state += taken.get((ip, node["name"]), "")
            state = state if item["name"] else f"{state}, in no manifest"
            standby = ", ".join(item["standbys"]) or "-"
            began = time_text(since[ip]) if ip in since else "-"
            yield ip, item["name"] or "-", node["name"], standby, connections.get(ip, "-"), began, state


def _unknown_rest(picture: Dict) -> Iterator[Row]:
    """Yield a row for each node with too many egress IPs of no object."""
    for node in picture["nodes"]:
        for text in and_more([item for item in node["addresses"] if not item["name"]]):
            yield text, "-", node["name"], "-", "-", "-", "held, in no manifest"


def _connections(facts: Dict) -> dict[str, str]:
    """Return {egress IP: number of connections} of a node whose answer has them."""
    rows = (facts.get("metrics") or {}).get("egress_ips", ())
    return {row["egressIP"]: str(sum(use["connections"] for use in row["use"])) for row in rows}


def _missing(picture: Dict, silent: Sequence[str]) -> Iterator[Row]:
    """Yield a row for each egress IP of an object that no node shows."""
    state = f"not known, no answer from {', '.join(silent)}" if silent else "on no node"
    for each in picture["objects"]:
        for item in each["addresses"]:
            if not item["nodes"]:
                yield item["egressIP"], each["name"], "-", "-", "-", "-", state
