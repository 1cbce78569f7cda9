# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person reads after a run, before one, and in between. PRIVATE to the collection. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from .._common.addresses import address_order, canonical, parse_address
from .._common.errors import Errors
from .._common.tables import section, table


@dataclass(frozen=True)
class Report:
    """`lines` are the table; `failures` always fail a run, `complaints` do when it is strict; `stats` goes to AWX."""

    lines: tuple
    failures: tuple
    complaints: tuple
    stats: dict

    def to_dict(self):
        """Return the report as a dict of plain values."""
        return {
            "lines": list(self.lines),
            "failures": list(self.failures),
            "complaints": list(self.complaints),
            "stats": self.stats,
        }


def report(plan, manifests, fleet, results=None, check_mode=False, besides=None):
    """Return the Report of a run, of which nothing was applied in `check_mode`.

    `results` {node: result of the module `node`} is None when no node was asked. `besides` is what happened elsewhere:
    {withheld: {egress IP: why nobody may claim it}, fenced: [node], unproven: [node that was fenced, without a proof],
    failures: [line], notes: [line]}, all optional.
    """
    besides = {"withheld": {}, "fenced": [], "unproven": [], "failures": [], "notes": [], **(besides or {})}
    conflicts = _conflicts(results or {})
    claimed = set() if check_mode else {(ip, n) for n, r in (results or {}).items() for ip in r.get("claimed") or ()}
    refused = {ip: f"{item['mac']} answers for it" for ip, item in conflicts.items()}
    refused.update(besides["withheld"])
    rows = [_assignment_row(item, plan, fleet, refused, claimed, results or {}) for item in plan["assignments"]]
    rows += [
        (u["egressIP"], u["name"], "-", f"not assigned, {u['reason']}: {u['message']}") for u in plan["unassigned"]
    ]
    rows.sort(key=lambda row: (address_order(row[0]), row[1]))
    lines = [*table(("EGRESS IP", "OBJECT", "NODE", "STATE"), rows), *_weighted(plan)]
    failures = [f"{ip} is not claimed: {reason}" for ip, reason in besides["withheld"].items()]
    failures += [*_failures(conflicts, fleet, results or {}), *besides["failures"]]
    complaints = [f"{u['egressIP']} of {u['name']} is not assigned: {u['message']}" for u in plan["unassigned"]]
    complaints += [error for item in (*manifests["invalid"], *plan["invalid"]) for error in item["errors"]]
    complaints += manifests.get("unfilled", ())
    notes = [f"node {item['name']} {item['reason']}" for item in fleet["unavailable"]]
    notes += [f"node {name} is fenced" for name in besides["fenced"]]
    notes += [f"node {name} is noted as fenced, and nothing proves it" for name in besides["unproven"]]
    notes += besides["notes"]
    notes += plan["warnings"] + manifests["ignored"]
    for title, entries in (("Failed", failures), ("To be put right", complaints), ("To be known", notes)):
        lines += section(title, entries)
    return Report(tuple(lines), tuple(failures), tuple(complaints), _stats(plan, fleet, conflicts, results, besides))


def status(egressips, fleet):
    """Return what is held where as documents: each object as its manifest says, with what the nodes show as status.

    Egress IPs on nodes that belong to no object come last, in an object without a spec.
    """
    holders = {}
    for item in fleet["current"]:
        holders.setdefault(item["egressIP"], []).append(item["node"])
    documents = [_observed(document, holders) for document in egressips]
    known = {entry["egressIP"] for document in documents for entry in document["status"]["assignments"]}
    strangers = sorted(set(holders) - known, key=address_order)
    if strangers:
        entries = [{"node": node, "egressIP": ip} for ip in strangers for node in holders[ip]]
        documents.append(
            {"kind": "EgressIP", "metadata": {"name": "in no manifest"}, "status": {"assignments": entries}}
        )
    return documents


def _weighted(plan):
    """Return how even the load is where egress IPs have weights, as lines."""
    if "weighted" not in plan:
        return []
    squares, least = plan["weighted"]["squares"], plan["weighted"]["lowerBound"]
    # Rounded up, for what is said is a bound.
    above = -(-1000 * (squares - least) // max(1, least)) / 10
    how = f"at most {above} % above the least" if above else "proven to be the least"
    return ["", f"Weighted loads: sum of squares {squares}, {how}"]


def _observed(document, holders):
    spec = document.get("spec")
    wanted = spec.get("egressIPs") if isinstance(spec, dict) else ()
    egress_ips = map(_canonical, wanted if isinstance(wanted, (list, tuple)) else ())
    entries = [{"node": node, "egressIP": ip} for ip in egress_ips for node in holders.get(ip, ())]
    return {**document, "status": {"assignments": entries}}


def _canonical(text):
    """Return the address as nodes spell it; the text itself, which no node holds, when it is none."""
    address = Errors().attempt(parse_address, text, "egressIPs")
    return str(text) if address is None else canonical(address)


def _assignment_row(item, plan, *run):
    return (item["egressIP"], item["name"], item["node"], _state_of(item, plan, *run))


def _along(count):
    return f", {count} connection{'' if count == 1 else 's'} with it" if count else ""


def _state_of(item, plan, fleet, refused, claimed, results):
    ip, node = item["egressIP"], item["node"]
    if ip in refused:
        return f"not claimed, {refused[ip]}"
    here = any(entry["egressIP"] == ip and entry["node"] == node for entry in fleet["current"])
    if here:
        return "held"
    move = next((m for m in plan["moves"] if m["egressIP"] == ip), None)
    where = f" from {move['from']} ({move['reason']})" if move else ""
    result = results.get(node, {})
    if result.get("unreachable"):
        return "not known, the node was lost during the run"
    if result.get("failed"):
        return "not claimed, the node failed"
    if (ip, node) in claimed:
        return (f"moved{where}" if move else "claimed") + _along(result.get("connections", {}).get(ip, 0))
    return f"to move{where}" if move else "to claim"


def _conflicts(results):
    return {
        item["egressIP"]: {**item, "node": node}
        for node, result in sorted(results.items())
        for item in result.get("conflicts") or ()
    }


def _failures(conflicts, fleet, results):
    silent = ", ".join(item["name"] for item in fleet["unavailable"])
    hint = f"; it may be a node that cannot be reached ({silent})" if silent else ""
    failures = [
        f"{item['node']}: {ip} is not claimed, {item['mac']} answers for it on {item['interface']}{hint}"
        for ip, item in conflicts.items()
    ]
    for node, result in sorted(results.items()):
        if result.get("unreachable"):
            failures.append(f"{node}: was lost during the run: {result.get('msg', '')}")
        elif result.get("failed"):
            failures.append(f"{node}: {result.get('msg', '')}")
    return failures


def _stats(plan, fleet, conflicts, results, besides):
    """Return what `set_stats` hands to AWX."""
    results = results or {}
    return {
        "assignments": plan["assignments"],
        "unassigned": plan["unassigned"],
        "invalid": plan["invalid"],
        "moves": plan["moves"],
        "load": plan["load"],
        "conflicts": [conflicts[ip] for ip in conflicts],
        "withheld": [{"egressIP": ip, "reason": reason} for ip, reason in besides["withheld"].items()],
        "unavailable": list(fleet["unavailable"]),
        "fenced": list(besides["fenced"]),
        "changed": sorted(node for node, result in results.items() if result.get("changed")),
    }
