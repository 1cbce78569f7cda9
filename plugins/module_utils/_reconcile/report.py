# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports for users: before, after and between runs. PRIVATE to the collection. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import AbstractSet as Set
from typing import Any, Iterable, Iterator, Mapping, NamedTuple, Sequence, Tuple

from .._common.addresses import address_order, canonical, parse_address
from .._common.errors import Errors
from .._common.messages import first_lines, listed, on_one_line
from .._common.tables import section, table
from .._planner.plan import Gap
from .failover import lines_without_standby, taken_over, takeovers
from .mac_vendor import with_vendor
from .networks import ADDRESSES_SHOWN, addresses_in

Dict = Mapping[str, Any]
# What `audited` returns, as far as reports need it, where there is no platform.
NO_AUDIT: Dict = {"fenced": {}, "proven": [], "failures": []}
_MEASURES = {
    "unassigned": "egress IPs without a node",
    "overlap": "egress IPs that share a failure domain",
    "squares": "sum of squares of the loads",
    "moves": "moves",
}
# The most lines of one kind on one node, beyond those on the egress IPs of the objects: a faulty node must not fill the
# report.
MOST_LINES = 20
# The most rows of a table on egress IPs that a node holds for no object.
MOST_UNKNOWN = 100
_HEADER = ("EGRESS IP", "OBJECT", "NODE", "STATE")
_Row = Tuple[str, str, str, str]
# Sign of a row by its state.
_SIGNS = {"to claim": "+ ", "to move": "~ ", "to release": "- ", "not assigned": "- "}


@dataclass(frozen=True)
class Report:
    """`lines` are for a person; `failures` always fail a run, `errors` fail a strict run; `stats` goes to AWX."""

    lines: tuple[str, ...]
    failures: tuple[str, ...]
    errors: tuple[str, ...]
    stats: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as a dict of plain values."""
        return {
            "lines": list(self.lines),
            "failures": list(self.failures),
            "errors": list(self.errors),
            "stats": self.stats,
        }


@dataclass(frozen=True)
class Events:
    """Events of a run outside the module `node`: fences and platforms.

    `withheld` {egress IP: reason} must not be claimed. `fenced` names nodes, `unproven` those that are noted as fenced
    without a proof. `failures`, `errors` and `notes` are lines.
    """

    withheld: Mapping[str, str] = field(default_factory=dict)
    fenced: Sequence[str] = ()
    unproven: Sequence[str] = ()
    failures: Sequence[str] = ()
    errors: Sequence[str] = ()
    notes: Sequence[str] = ()

    @classmethod
    def of_run(
        cls,
        audit: Dict,
        steps: Dict | None,
        fence_results: Mapping[str, str],
        failures: Iterable[str],
        check_mode: bool = False,
    ) -> Events:
        """Return the events of a run.

        `audit` and `steps` are what `audited` and `plan_steps` returned last, `steps` None where it was not needed.
        `fence_results` {node: why it is not fenced, empty when it is}; in `check_mode` no node was really fenced.
        `failures` are those of platforms.
        """
        if not steps:
            return cls(failures=tuple(failures))
        unfenced = {target["name"] for each in steps["unfence"] for target in each["targets"]}
        cut_off = [name for name, why in fence_results.items() if not why]
        now, later = ([], cut_off) if check_mode else (cut_off, [])
        fenced = {*audit["proven"], *now} - unfenced
        return cls(
            withheld=steps["withheld"],
            fenced=sorted(fenced),
            unproven=[name for name in audit["fenced"] if name not in {*audit["proven"], *now, *unfenced}],
            failures=[*audit["failures"], *failures],
            notes=[*steps["notes"], *(f"node {name} would be fenced first" for name in later)],
        )


def report(
    plan: Dict,
    manifests: Dict,
    fleet: Dict,
    results: Dict | None = None,
    check_mode: bool = False,
    events: Events | None = None,
) -> Report:
    """Return the Report of a run; in `check_mode` nothing was applied.

    The first three are the dicts of a Plan, of the manifests with addresses of pools, and of a Fleet. `results` {node:
    result of the module `node`} is None before a run.
    """
    events = events or Events()
    conflicts = _conflicts(results or {}, plan)
    claimed = set() if check_mode else {(ip, n) for n, r in (results or {}).items() for ip in r.get("claimed") or ()}
    refused = {ip: f"{_answering_host(item['mac'], fleet)} answers for it" for ip, item in conflicts.items()}
    refused.update(events.withheld)
    rows = _rows(plan, _Outcome.of(plan, fleet, refused, claimed, results or {}))
    lines = [*_table(rows, plan), *_weighted(plan), *_pools(manifests), *network_table(manifests)]
    failures = [f"{ip} is not claimed: {reason}" for ip, reason in events.withheld.items()]
    failures += [*_failures(conflicts, fleet, results or {}), *events.failures]
    errors = [*_errors(plan, manifests), *events.errors]
    notes = _notes(plan, manifests, fleet, events)
    for title, entries in (("Failed", failures), ("Errors", errors), ("Notes", notes)):
        lines += section(title, entries)
    # Some texts are from nodes, which must not be able to add a line.
    shown, failed, wrong = (tuple(map(on_one_line, each)) for each in (lines, failures, errors))
    return Report(shown, failed, wrong, _stats(plan, fleet, conflicts, results, events))


def preview(run: Dict, audit: Dict, steps: Dict | None = None) -> Report:
    """Return the Report of a plan that is not applied; `run` is the dict of a RunPlan, the others as in `Events`.

    Its table is the difference that a run would make, one sign per row: + claimed, ~ moved, - released or not assigned.
    """
    fenced = {each["node"]: "" for each in steps["fencing"]} if steps else {}
    events = Events.of_run(audit, steps, fenced, (), check_mode=True)
    shared = steps["domain_notes"]["planned"] if steps else ()
    events = replace(events, notes=[*events.notes, *shared, *run["notes"], *run["mistakes"]])
    made = report(run["plan"], run["manifests"], run["fleet"], events=events)
    rows = _rows(run["plan"], _Outcome.of(run["plan"], run["fleet"], events.withheld, set(), {}))
    releases, more = _releases(run["plan"], run["fleet"])
    rows = [*sorted([*rows, *releases], key=_row_order), *more]
    signs = ["  ", *(_SIGNS.get(row[3].partition(" from ")[0].partition(",")[0], "  ") for row in rows)]
    shown = [f"{sign}{line}" for sign, line in zip(signs, _table(rows, run["plan"]))]
    differing = ", ".join(run["rollout"].get("differing", ())) or "none"
    after = ("", f"Nodes to change: {differing}", f"Digest of the plan: {run['digest']}")
    lines = (*map(on_one_line, shown), *made.lines[_table_length(run["plan"]) :], *after)
    return Report(lines, made.failures, made.errors, {**made.stats, "digest": run["digest"]})


def _table_length(plan: Dict) -> int:
    return 1 + len(plan["assignments"]) + len(plan["unassigned"])


def status(egressips: Iterable[Dict], fleet: Dict) -> list[dict[str, Any]]:
    """Return each EgressIP document with the assignments that the nodes show as its status.

    Of several objects with one address, only its owner has the assignment: the object that a holder names, else the
    first by name. Egress IPs on nodes that belong to no object come last, in an object without a spec.
    """
    holders: dict[str, list[str]] = {}
    for item in fleet["current"]:
        holders.setdefault(item["egressIP"], []).append(item["node"])
    requested = [(document, _requested(document)) for document in egressips]
    owners = owners_of(((_name(document), addresses) for document, addresses in requested), fleet)
    documents = [
        _with_status(document, [ip for ip in addresses if owners[ip] == _name(document)], holders)
        for document, addresses in requested
    ]
    unknown = sorted(set(holders) - set(owners), key=address_order)
    if unknown:
        documents.append(_with_status({"kind": "EgressIP", "metadata": {"name": "in no manifest"}}, unknown, holders))
    return documents


def owners_of(requested: Iterable[tuple[str, Sequence[str]]], fleet: Dict) -> dict[str, str]:
    """Return {egress IP: name of the object that owns it} of all addresses of these (object name, egress IPs)."""
    names: dict[str, list[str]] = {}
    for name, addresses in requested:
        for ip in addresses:
            names.setdefault(ip, []).append(name)
    holding = {item["egressIP"]: item["name"] for item in fleet["current"] if item.get("name")}
    return {ip: holding[ip] if holding.get(ip) in found else min(found) for ip, found in names.items()}


def _with_status(document: Dict, egress_ips: Iterable[str], holders: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return the document with the nodes of these egress IPs as its status."""
    entries = [{"node": node, "egressIP": ip} for ip in egress_ips for node in holders.get(ip, ())]
    return {**document, "status": {"assignments": entries}}


def _name(document: Dict) -> str:
    metadata = document.get("metadata")
    return str(metadata.get("name", "")) if isinstance(metadata, dict) else ""


def _errors(plan: Dict, manifests: Dict) -> list[str]:
    errors = [f"{u['egressIP']} of {u['name']} is not assigned: {u['message']}" for u in plan["unassigned"]]
    errors += [error for item in (*manifests["invalid"], *plan["invalid"]) for error in item["errors"]]
    return [*errors, *manifests.get("unfilled", ()), *manifests.get("network_errors", ())]


def _notes(plan: Dict, manifests: Dict, fleet: Dict, events: Events) -> list[str]:
    return [
        *(f"node {item['name']} {item['reason']}" for item in fleet["unavailable"]),
        *(f"node {name} is fenced" for name in events.fenced),
        *(f"node {name} is recorded as fenced, and its platform does not confirm that" for name in events.unproven),
        *events.notes,
        *gap_lines(Gap.from_dict(plan["gap"]) if "gap" in plan else None),
        *lines_without_standby(plan),
        *plan["warnings"],
        *manifests["ignored"],
    ]


def gap_lines(gap: Gap | None) -> list[str]:
    """Return a line on how far a plan may be from the best one, if the time limit ended the search."""
    if gap is None:
        return []
    return [
        f"plan: egress_ip_plan_seconds ended the search, {_MEASURES[gap.objective]}: {gap.value}, in the best plan at"
        f" least {gap.lower_bound}; every rule is kept"
    ]


def _weighted(plan: Dict) -> list[str]:
    """Return lines on how even the load is where egress IPs have weights."""
    if "weighted" not in plan:
        return []
    squares, least = plan["weighted"]["squares"], plan["weighted"]["lower_bound"]
    # Rounded up, since the value is an upper bound.
    above = -(-1000 * (squares - least) // max(1, least)) / 10
    how = f"at most {above} % above the least" if above else "proven to be the least"
    return ["", f"Weighted loads: sum of squares {squares}, {how}"]


def _pools(manifests: Dict) -> list[str]:
    """Return a table of the pools and their free addresses."""
    rows = [[str(use[key]) for key in ("name", "addresses", "used", "free")] for use in manifests.get("pools", ())]
    return ["", *table(("POOL", "ADDRESSES", "USED", "FREE"), rows)] if rows else []


def network_table(manifests: Dict) -> list[str]:
    """Return a table of the networks of namespaces on each node."""
    rows = [
        (
            *(row[key] for key in ("namespace", "network", "node")),
            listed(addresses_in(row), ADDRESSES_SHOWN) or "-",
            ", ".join(row["egressips"]) or "-",
        )
        for row in manifests.get("networks", ())
    ]
    return ["", *table(("NAMESPACE", "NETWORK", "NODE", "ADDRESSES", "OBJECTS"), rows)] if rows else []


def _requested(document: Dict) -> list[str]:
    """Return the addresses that a document lists, which may be broken."""
    spec = document.get("spec")
    wanted = spec.get("egressIPs") if isinstance(spec, dict) else ()
    return [*map(_canonical, wanted if isinstance(wanted, (list, tuple)) else ())]


def _canonical(text: object) -> str:
    """Return the canonical form of an address; of any other value its text, which no node holds."""
    address = Errors().attempt(parse_address, text, "egressIPs")
    return str(text) if address is None else canonical(address)


class _Outcome(NamedTuple):
    """What happens, or happened, to the egress IPs.

    `held` and `claimed` are {(egress IP, node)}, `moves` {egress IP: move}, `refused` {egress IP: why it is not
    claimed}, `results` {node: result of the module `node`}, `taken` {(egress IP, node): how it was taken over}.
    """

    held: Set[tuple[str, str]]
    moves: Mapping[str, Dict]
    refused: Mapping[str, str]
    claimed: Set[tuple[str, str]]
    results: Dict
    taken: Mapping[tuple[str, str], str]

    @classmethod
    def of(
        cls, plan: Dict, fleet: Dict, refused: Mapping[str, str], claimed: Set[tuple[str, str]], results: Dict
    ) -> _Outcome:
        """Return the outcome of a plan."""
        held = {(entry["egressIP"], entry["node"]) for entry in fleet["current"]}
        moves = {move["egressIP"]: move for move in plan["moves"]}
        return cls(held, moves, refused, claimed, results, taken_over(fleet))


def _rows(plan: Dict, outcome: _Outcome) -> list[_Row]:
    """Return the rows of the table of the egress IPs, in the order of their addresses."""
    rows = [(item["egressIP"], item["name"], item["node"], _state_of(item, outcome)) for item in plan["assignments"]]
    rows += [
        (u["egressIP"], u["name"], "-", f"not assigned, {u['reason']}: {u['message']}") for u in plan["unassigned"]
    ]
    return sorted(rows, key=_row_order)


def _table(rows: Sequence[_Row], plan: Dict) -> list[str]:
    """Return the lines of the table of the egress IPs, with their standbys if the plan has any."""
    if "standbys" not in plan:
        return table(_HEADER, rows)
    orders = {item["egressIP"]: ", ".join(item["order"][:-1]) for item in plan["standbys"]}
    wide = [(*row[:3], orders.get(row[0], "-") if row[2] != "-" else "-", row[3]) for row in rows]
    return table((*_HEADER[:3], "STANDBY", _HEADER[3]), wide)


def _releases(plan: Dict, fleet: Dict) -> tuple[list[_Row], list[_Row]]:
    """Return the rows of held egress IPs that no object requests any more, and those that count the rest of a node."""
    requested = {item["egressIP"] for item in (*plan["assignments"], *plan["unassigned"])}
    released: dict[str, list[_Row]] = {}
    for entry in fleet["current"]:
        if entry["egressIP"] not in requested:
            row = entry["egressIP"], entry.get("name", "-"), entry["node"], "to release"
            released.setdefault(entry["node"], []).append(row)
    more = [(text, "-", node, "to release") for node, rows in released.items() for text in and_more(rows)]
    return [row for rows in released.values() for row in rows[:MOST_UNKNOWN]], more


def and_more(items: Sequence[object]) -> list[str]:
    """Return the first cell of a row that stands for all items but the first MOST_UNKNOWN, [] if there are no more."""
    return [f"and {len(items) - MOST_UNKNOWN} more"] if items[MOST_UNKNOWN:] else []


def _row_order(row: _Row) -> tuple[tuple[int, int], str, str]:
    return address_order(row[0]), row[1], row[2]


def _with_connections(count: int) -> str:
    return f", {count} connection{'' if count == 1 else 's'} with it" if count else ""


def _state_of(item: Dict, outcome: _Outcome) -> str:
    ip, node = item["egressIP"], item["node"]
    if ip in outcome.refused:
        return f"not claimed, {outcome.refused[ip]}"
    if (ip, node) in outcome.held:
        return f"held{outcome.taken.get((ip, node), '')}"
    move = outcome.moves.get(ip)
    where = f" from {move['from']} ({move['reason']})" if move else ""
    result = outcome.results.get(node, {})
    if result.get("unreachable"):
        return "not known, the node was lost during the run"
    if result.get("failed"):
        return "not claimed, the node failed"
    if (ip, node) in outcome.claimed:
        return (f"moved{where}" if move else "claimed") + _with_connections(result.get("connections", {}).get(ip, 0))
    return f"to move{where}" if move else "to claim"


def _conflicts(results: Dict, plan: Dict) -> dict[str, dict[str, Any]]:
    """Return {egress IP: {egressIP, interface, mac, node}} of the conflicts that nodes report for their addresses."""
    planned = {(item["egressIP"], item["node"]) for item in plan["assignments"]}
    return {
        item["egressIP"]: {**item, "node": node}
        for node, result in sorted(results.items())
        for item in result.get("conflicts") or ()
        if (item["egressIP"], node) in planned
    }


def _failures(conflicts: Dict, fleet: Dict, results: Dict) -> Iterator[str]:
    silent = ", ".join(item["name"] for item in (*fleet["unavailable"], *fleet["faulty"]))
    for item in fleet["faulty"]:
        yield f"{item['name']}: is set aside: {item['reason']}"
    hint = f"; it may be a node that cannot be reached ({silent})" if silent else ""
    for ip, item in conflicts.items():
        who, is_node = _answering_host(item["mac"], fleet), bool(_node_with(item["mac"], fleet))
        why = ": it did not release it, or took it over during the run; run again"
        advice = why if is_node else f"{hint}; remove the address from that device"
        yield f"{item['node']}: {ip} is not claimed, {who} answers for it on {item['interface']}{advice}"
    for node, result in sorted(results.items()):
        yield from _failure(node, result)
        unreleased = [
            f"{node}: {ip} is not released: its new holder did not connect; this node still holds it"
            for ip in result.get("unreleased") or ()
        ]
        yield from first_lines(unreleased, MOST_LINES, "egress IPs are not released", f"{node}: ")


def _failure(node: str, result: Dict, what: str = "") -> Iterator[str]:
    if result.get("unreachable"):
        yield f"{node}: was lost during the run: {result.get('msg', '')}"
    elif result.get("failed"):
        yield f"{node}: {what}{result.get('msg', '')}"


def failed_updates(results: Dict) -> list[str]:
    """Return a line for each node whose update after the claims of others failed; `results` are of these updates."""
    what = "does not use the egress IPs that others claimed: "
    return [line for node, result in sorted(results.items()) for line in _failure(node, result, what)]


def _node_with(mac: str, fleet: Dict) -> str:
    """Return the node that was reached and has this MAC address, "" if none."""
    return next((name for name, facts in fleet["observed"].items() if mac in facts.get("macs", {}).values()), "")


def _answering_host(mac: str, fleet: Dict) -> str:
    node = _node_with(mac, fleet)
    return f"node {node}" if node else with_vendor(mac)


def _stats(plan: Dict, fleet: Dict, conflicts: Dict, results: Dict | None, events: Events) -> dict[str, Any]:
    """Return the data that `set_stats` passes to AWX."""
    planned = {item["egressIP"] for item in plan["assignments"]}
    return {
        "assignments": plan["assignments"],
        "unassigned": plan["unassigned"],
        "invalid": plan["invalid"],
        "moves": plan["moves"],
        "load": plan["load"],
        **({"standbys": plan["standbys"]} if "standbys" in plan else {}),
        "takeovers": [{**item, "node": node} for (ip, node), item in sorted(takeovers(fleet).items()) if ip in planned],
        "conflicts": list(conflicts.values()),
        "withheld": [{"egressIP": ip, "reason": reason} for ip, reason in events.withheld.items()],
        "unavailable": list(fleet["unavailable"]),
        "faulty": list(fleet["faulty"]),
        "fenced": list(events.fenced),
        "changed": sorted(node for node, result in (results or {}).items() if result.get("changed")),
    }
