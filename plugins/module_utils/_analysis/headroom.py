# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which egress IPs the loss of a node or of a failure domain leaves unassigned. PRIVATE to the collection. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .._common.addresses import parsed
from .._common.errors import Errors
from .._common.tables import section, table
from .._common.validation import check_string
from .._planner.assign import make_plan, read_plan_input
from .._planner.nodes import Node, label_text
from .._planner.plan import Assignment, Plan, Unassigned
from .._solver.deadline import Deadline, never
from .._solver.solve import STICKY
from .scenario import FleetAfter


@dataclass(frozen=True)
class Loss:
    """The effect of the loss of ``nodes``: ``holding`` egress IPs must move, ``unassigned`` of them have no other node.

    ``label`` and its value ``domain`` are None for a single node. ``stops``: too few nodes are left for a run.
    ``with_standby``: how many of them have a standby that is not lost too, None without failover.

    If not ``proven``, the time limit ended the search: ``unassigned`` is None, or those of the best plan found.
    """

    label: str | None
    domain: str | None
    nodes: tuple[str, ...]
    holding: int
    unassigned: tuple[Unassigned, ...] | None
    stops: bool
    proven: bool = True
    with_standby: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return ``{label, domain, nodes, holding, unassigned, stops}``; ``proven``, which is false, only if it is."""
        return {
            "label": self.label,
            "domain": self.domain,
            "nodes": list(self.nodes),
            "holding": self.holding,
            "unassigned": None if self.unassigned is None else [each.to_dict() for each in self.unassigned],
            "stops": self.stops,
            **({} if self.proven else {"proven": False}),
            **({} if self.with_standby is None else {"with_standby": self.with_standby}),
        }


@dataclass(frozen=True)
class Headroom:
    """``losses``: a Loss for each node that holds egress IPs and for each domain; ``outside``: nodes in no domain.

    ``unassigned`` are the egress IPs without a node before any loss.
    """

    label: str
    losses: tuple[Loss, ...]
    outside: tuple[str, ...]
    unassigned: tuple[Unassigned, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return ``{losses, outside, unassigned, lines}``."""
        return {
            "losses": [loss.to_dict() for loss in self.losses],
            "outside": list(self.outside),
            "unassigned": [each.to_dict() for each in self.unassigned],
            "lines": self._lines(),
        }

    def _lines(self) -> list[str]:
        lines = [self._verdict()]
        if self.losses:
            lines += ["", *self._table()]
        late = sum(not loss.proven for loss in self.losses)
        if late:
            lines += [
                "",
                f"egress_ip_plan_seconds ended the search: {late} of {len(self.losses)} losses are not proven.",
            ]
        lines += section("Without a node already", [*map(_named, self.unassigned)])
        return lines + section(f"Without the label {self.label}", self.outside)

    def _table(self) -> list[str]:
        header, rows = ("LOST", "EGRESS IPS", "WITHOUT A PLACE"), [*map(self._row, self.losses)]
        if all(loss.with_standby is None for loss in self.losses):
            return table(header, rows)
        cells = [str(loss.with_standby) for loss in self.losses]
        wide = [(*row[:2], cell, row[2]) for row, cell in zip(rows, cells)]
        return table((*header[:2], "STANDBY", header[2]), wide)

    def _verdict(self) -> str:
        if not any(loss.holding for loss in self.losses):
            return "No node holds an egress IP, so none can be lost."
        short = sum(bool(loss.unassigned or loss.stops) for loss in self.losses)
        if short:
            return f"{short} of {len(self.losses)} losses leave egress IPs without a node."
        if not all(loss.proven for loss in self.losses):
            return "No loss that was tried leaves an egress IP without a node."
        which = "Every egress IP that has a node now" if self.unassigned else "Every egress IP"
        return f"{which} still finds a place, whichever of these is lost."

    def _row(self, loss: Loss) -> tuple[str, str, str]:
        what = loss.nodes[0] if loss.domain is None else f"{loss.label}={loss.domain} ({', '.join(loss.nodes)})"
        short = "not tried" if loss.unassigned is None else ", ".join(map(_named, loss.unassigned))
        stopped = "all: too few nodes are left, so a run stops (egress_ip_min_available)" if loss.stops else ""
        most = "" if loss.proven or loss.unassigned is None else "at most: "
        return what, str(loss.holding), stopped or most + (short or "none")


def _named(unassigned: Unassigned) -> str:
    return f"{unassigned.egress_ip} of {unassigned.name} ({unassigned.reason})"


def headroom(
    fleet_after: FleetAfter,
    label: str,
    platform_labels: Iterable[str] = (),
    deadline: Deadline = never,
    orders: Mapping[str, Sequence[str]] | None = None,
) -> Headroom:
    """Return the Headroom of a fleet after its run.

    ``label`` is the label whose values are failure domains; values of ``platform_labels`` are such domains too if they
    have several nodes. The number of unassigned egress IPs is exact; where there is a choice, they are those of the
    plan with the fewest moves. When ``deadline`` returns true, the losses that need a plan are not tried any more.
    ``orders`` {egress IP: nodes, the holder last} are those of failover, None without it. InvalidError names
    ``egress_ip_headroom_label``.
    """
    errors = Errors()
    check_string(label, "egress_ip_headroom_label", errors)
    errors.raise_if_any()
    question = _Question(fleet_after, deadline, orders)
    labels = {each["name"]: each.get("labels") or {} for each in fleet_after.nodes}
    domains = _domains(labels, label)
    holding = [name for name in sorted(labels) if question.held(name)]
    losses = [question.loss(None, None, [name]) for name in holding]
    losses += [question.loss(label, value, nodes) for value, nodes in domains.items()]
    for other in sorted({*platform_labels} - {label}):
        losses += [question.loss(other, value, nodes) for value, nodes in _domains(labels, other).items() if nodes[1:]]
    outside = [name for name in holding if label not in labels[name]] if domains else []
    return Headroom(label, tuple(losses), tuple(outside), question.without_a_node())


def _domains(labels: Mapping[str, Mapping[str, Any]], label: str) -> dict[str, list[str]]:
    """Return {value of the label: its nodes}, in order."""
    domains: dict[str, list[str]] = {}
    for name in sorted(labels):
        if label in labels[name]:
            domains.setdefault(label_text(labels[name][label]), []).append(name)
    return dict(sorted(domains.items()))


class _Question:
    """A fleet in the state of its plan, without some nodes."""

    def __init__(self, fleet_after: FleetAfter, deadline: Deadline, orders: Mapping[str, Sequence[str]] | None) -> None:
        self.fleet_after, self.deadline, self.orders = fleet_after, deadline, orders
        self.plan = self._plan(fleet_after.nodes)
        self.candidates = read_plan_input(fleet_after.requests, fleet_after.nodes, fleet_after.current).candidates
        self.invalid = {each["name"] for each in self.plan.invalid}
        self.on: dict[str, list[Assignment]] = {}
        nodes = {node.name: node for node in self.candidates.nodes.valid}
        for each in self.plan.assignments:
            self.on.setdefault(each.node, []).append(each)
            self.candidates.place(each.name, each.egress_ip, nodes[each.node])

    def _plan(self, nodes: Sequence[Mapping[str, Any]]) -> Plan:
        return make_plan(self.fleet_after.requests, nodes, self.fleet_after.current, STICKY, None, self.deadline)

    def held(self, name: str) -> list[Assignment]:
        """Return the Assignments of a node."""
        return self.on.get(name, [])

    def without_a_node(self) -> tuple[Unassigned, ...]:
        """Return the Unassigned of the egress IPs that no object has on any node."""
        placed = {each.egress_ip for each in self.plan.assignments}
        return tuple(each for each in self.plan.unassigned if each.egress_ip not in placed)

    def loss(self, label: str | None, domain: str | None, names: Sequence[str]) -> Loss:
        """Return the Loss of some nodes."""
        lost = [each for name in names for each in self.held(name)]
        stops = bool(lost) and len({*self.fleet_after.answering} - {*names}) < self.fleet_after.needed
        unassigned, proven = ((), True) if self._all_fit(lost, set(names)) else self._unassigned(names)
        with_standby = self._count_with_standby(lost, names)
        return Loss(label, domain, tuple(names), len(lost), unassigned, stops, proven, with_standby)

    def _count_with_standby(self, lost: Iterable[Assignment], names: Collection[str]) -> int | None:
        """Return how many lost egress IPs have a standby that is not lost, None without failover."""
        if self.orders is None:
            return None
        standbys = [{*self.orders.get(each.egress_ip, ())} - {*names} for each in lost]
        return sum(bool(remaining) for remaining in standbys)

    def _all_fit(self, lost: Sequence[Assignment], names: Collection[str]) -> bool:
        """Return whether each lost egress IP fits on a node while all others stay. If not, the planner decides."""
        if any(each.name in self.invalid for each in lost):
            return False
        extra: dict[str, list[Assignment]] = {}
        for each in lost:
            nodes = (node for node in self.candidates.possible_nodes(each.egress_ip) if node.name not in names)
            node = next((node for node in nodes if self._has_capacity(node, each, extra.get(node.name, ()))), None)
            if node is None:
                return False
            extra.setdefault(node.name, []).append(each)
        return True

    def _has_capacity(self, node: Node, each: Assignment, extra: Sequence[Assignment]) -> bool:
        if self.candidates.sibling(node, each.name) or any(other.name == each.name for other in extra):
            return False
        version = parsed(each.egress_ip).version
        of_family = sum(parsed(other.egress_ip).version == version for other in extra)
        limits = zip(self.candidates.limits(node, version), (len(extra), of_family))
        return all(limit is None or load + more < limit for (limit, load), more in limits)

    def _unassigned(self, names: Collection[str]) -> tuple[tuple[Unassigned, ...] | None, bool]:
        """Return the egress IPs that the planner leaves unassigned without these nodes, and whether it is proven.

        None if the time is over.
        """
        if self.deadline():
            return None, False
        nodes = [{**each, "ready": False} if each["name"] in names else each for each in self.fleet_after.nodes]
        before = {(each.name, each.egress_ip) for each in self.plan.unassigned}
        plan = self._plan(nodes)
        proven = plan.gap is None or plan.gap.objective != "unassigned"
        return tuple(u for u in plan.unassigned if (u.name, u.egress_ip) not in before), proven
