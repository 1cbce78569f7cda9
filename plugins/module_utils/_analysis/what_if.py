# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a simulated fleet compared with the current plan. PRIVATE to the collection. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .._common.addresses import address_order
from .._common.tables import section, table
from .._planner.assign import make_plan
from .._planner.candidates import Candidates
from .._planner.nodes import read_nodes
from .._planner.plan import Plan
from .._planner.requests import Requests
from .._reconcile.fleet import required_nodes
from .._reconcile.report import gap_lines
from .._solver.deadline import Deadline, never
from .evenness import Evenness, evenness_of, usable_names
from .scenario import FleetAfter, read_scenario

NEW = "New"
NO_LONGER_WANTED = "NoLongerWanted"
OTHER_OBJECT = "OtherObject"


@dataclass(frozen=True)
class PlanChange:
    """An egress IP with another node or another object; ``name`` is its object after the change.

    ``from_node`` or ``to_node`` is None if it had, or has, no node.
    """

    name: str
    egress_ip: str
    from_node: str | None
    to_node: str | None
    reason: str
    message: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return ``{name, egressIP, from, to, reason, message}``."""
        places = {"from": self.from_node, "to": self.to_node}
        return {"name": self.name, "egressIP": self.egress_ip, **places, "reason": self.reason, "message": self.message}


@dataclass(frozen=True)
class WhatIf:
    """``evenness`` is that of the plans ``before`` and ``after``; ``fleet_after`` is the fleet after the run."""

    sentences: tuple[str, ...]
    before: Plan
    after: Plan
    evenness: tuple[Evenness, Evenness]
    changes: tuple[PlanChange, ...]
    fleet_after: FleetAfter

    def to_dict(self) -> dict[str, Any]:
        """Return ``{scenario, changes, unassigned, load, evenness, fleet_after, lines}``.

        ``proven``, which is false, and ``gap`` are added if the time limit ended the search.
        """
        names = sorted({*self.before.load, *self.after.load})
        return {
            "scenario": list(self.sentences),
            "changes": [change.to_dict() for change in self.changes],
            "unassigned": [each.to_dict() for each in self.after.unassigned],
            "load": {n: {"before": self.before.load.get(n), "after": self.after.load.get(n)} for n in names},
            "evenness": {key: each.to_dict() for key, each in zip(("before", "after"), self.evenness)},
            "fleet_after": self.fleet_after.to_dict(),
            **({"proven": False, "gap": self.after.gap.to_dict()} if self.after.gap else {}),
            "lines": self._lines(names),
        }

    def _lines(self, names: list[str]) -> list[str]:
        rows = [_row(change) for change in self.changes]
        lines = [f"If {' and '.join(self.sentences)}:", ""]
        if len(self.fleet_after.answering) < self.fleet_after.needed:
            lines += ["A run would stop and move nothing: egress_ip_min_available requires more nodes that answer.", ""]
        lines += (
            table(("EGRESS IP", "OBJECT", "FROM", "TO", "WHY"), rows)
            if rows
            else ["No egress IP changes its node or object."]
        )
        loads = [(n, *(str(plan.leveled_load.get(n, "-")) for plan in (self.before, self.after))) for n in names]
        squares = tuple(str(spread.squares) for spread in self.evenness)
        lines += ["", *table(("NODE", "BEFORE", "AFTER"), [*loads, ("sum of squares", *squares)])]
        listed = {(change.name, change.egress_ip) for change in self.changes}
        still = [
            f"{each.egress_ip} of {each.name} ({each.reason}): {each.message}"
            for each in self.after.unassigned
            if (each.name, each.egress_ip) not in listed
        ]
        lines += section("Without a node, as now", still)
        notes = [*gap_lines(self.after.gap), *self.after.warnings]
        lines += section("Notes", [line for line in notes if line not in self.before.warnings])
        return [*lines, "", "Nothing was changed."]


@dataclass(frozen=True)
class RunOptions:
    """Options of the run after the changes, as in ``make_plan`` and ``required_nodes``."""

    policy: str = "balanced"
    max_moves: int | None = None
    min_available: object = "50%"


def what_if(
    plan: Mapping[str, Any],
    requests: Requests,
    fleet: Mapping[str, Any],
    changes: object,
    options: RunOptions = RunOptions(),
    deadline: Deadline = never,
) -> WhatIf:
    """Return the WhatIf of ``changes`` (see ``read_scenario``) after the run that applies ``plan``.

    ``plan`` and ``fleet`` are dicts of a Plan and a Fleet, ``requests`` are the Requests of the plan. Raises
    InvalidError with every error of the changes. When ``deadline`` returns true, the plan is the best one found, and it
    has a ``gap``.
    """
    before = Plan.from_dict(plan)
    scenario = read_scenario(changes, requests, fleet["nodes"])
    current = [{"egressIP": each.egress_ip, "node": each.node, "name": each.name} for each in before.assignments]
    # As in a real drain, nothing moves for balance.
    max_moves = 0 if scenario.drained else options.max_moves
    after = make_plan(scenario.requests, scenario.nodes, current, options.policy, max_moves, deadline)
    fleet_after = FleetAfter(
        requests=scenario.requests,
        nodes=scenario.nodes,
        current=tuple({"egressIP": a.egress_ip, "node": a.node, "name": a.name} for a in after.assignments),
        answering=tuple(sorted({*fleet["observed"], *scenario.added} - {*scenario.down})),
        needed=required_nodes(options.min_available, len(scenario.nodes)),
    )
    spreads = (
        evenness_of(before.leveled_load, usable_names(Candidates(read_nodes(fleet["nodes"]), {}, requests.egressips))),
        evenness_of(
            after.leveled_load, usable_names(Candidates(read_nodes(scenario.nodes), {}, scenario.requests.egressips))
        ),
    )
    return WhatIf(scenario.sentences, before, after, spreads, tuple(_changes(before, after)), fleet_after)


def _changes(before: Plan, after: Plan) -> list[PlanChange]:
    """Return a PlanChange for each egress IP whose node or object changes."""
    was = {each.egress_ip: each for each in before.assignments}
    moves = {move.egress_ip: move for move in after.moves}
    found: list[PlanChange] = []
    for each in after.assignments:
        old = was.pop(each.egress_ip, None)
        if old is None:
            found.append(PlanChange(each.name, each.egress_ip, None, each.node, NEW))
        elif (old.name, old.node) != (each.name, each.node):
            reason = moves[each.egress_ip].reason if each.egress_ip in moves else OTHER_OBJECT
            whose = f"egressip/{old.name} has it now" if old.name != each.name else ""
            found.append(PlanChange(each.name, each.egress_ip, old.node, each.node, reason, whose))
    without = {(each.name, each.egress_ip) for each in before.unassigned}
    for lost in after.unassigned:
        if (lost.name, lost.egress_ip) not in without:
            old = was.pop(lost.egress_ip, None)
            found.append(PlanChange(lost.name, lost.egress_ip, old and old.node, None, lost.reason, lost.message))
    found += [PlanChange(each.name, each.egress_ip, each.node, None, NO_LONGER_WANTED) for each in was.values()]
    return sorted(found, key=lambda change: (address_order(change.egress_ip), change.name))


def _row(change: PlanChange) -> tuple[str, ...]:
    why = f"{change.reason}: {change.message}" if change.message else change.reason
    return (change.egress_ip, change.name, change.from_node or "-", change.to_node or "-", why)
