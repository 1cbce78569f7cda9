# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cost of balance: the flattest load for each number of moves. PRIVATE to the collection. Pure.

The solver minimizes (a times the squares plus b times the moves); the result is the flattest placement for its number
of moves. The table has all placements that some a and b lead to, the lower hull of moves against squares: for each two
neighbours, the solver looks for a placement below the line between them.

Where egress IPs have weights, that solver does not apply. Then the flattest load is computed for some numbers of moves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .._common.tables import table
from .._planner.assign import read_problem
from .._planner.plan import REBALANCE
from .._planner.requests import Requests
from .._solver.deadline import Deadline, never
from .._solver.min_cost_flow import minimize_cost
from .._solver.model import Address, NodeLoad, count_moves, count_overlap, first_conflict, loads_of
from .._solver.packing import Packing
from .._solver.solve import BALANCED, STICKY, solve
from .evenness import Evenness, evenness_of, usable_names

_SHOWN = 12
# With weights, the flattest load is computed for so many numbers of moves, evenly spaced.
_CAPS = 8


@dataclass(frozen=True)
class Offer:
    """The ``evenness`` of the load after ``moves`` moves that are made only for balance."""

    moves: int
    evenness: Evenness

    def to_dict(self) -> dict[str, Any]:
        """Return ``{moves, squares, highest, lowest}``."""
        return {"moves": self.moves, **self.evenness.to_dict()}


@dataclass(frozen=True)
class Price:
    """``offers``: from no move to the flattest load; ``run``: the Offer of the plan, which is among them.

    If not ``proven``, the time limit ended the search: offers are missing, or the load can be flatter.
    """

    offers: tuple[Offer, ...]
    run: Offer
    proven: bool = True

    def to_dict(self) -> dict[str, Any]:
        """Return ``{offers, run, lines}``, the lines for a person; ``proven``, which is false, only if it is."""
        offers = [each.to_dict() for each in self.offers]
        unproven = {} if self.proven else {"proven": False}
        return {"offers": offers, "run": self.run.to_dict(), **unproven, "lines": self._lines()}

    def _lines(self) -> list[str]:
        note = "egress_ip_plan_seconds ended the search: rows may be missing, and the load may become more even."
        return [*self._table(), *([] if self.proven else ["", note])]

    def _table(self) -> list[str]:
        if len(self.offers) == 1 and self.proven:
            return ["The load is as even as it can be: no egress IP has to move for balance."]
        header = ("MOVES FOR BALANCE", "SUM OF SQUARES", "HIGHEST LOAD", "LOWEST LOAD", "")
        rows = []
        for offer in self._shown():
            numbers = (offer.moves, offer.evenness.squares, offer.evenness.highest, offer.evenness.lowest)
            rows.append((*map(str, numbers), "this run" if offer == self.run else ""))
        return table(header, rows)

    def _shown(self) -> list[Offer]:
        """Return the offers; of many, evenly spaced ones, the first, the last and that of the run."""
        step = -(-len(self.offers) // _SHOWN)
        ends = (self.offers[-1], self.run)
        return [offer for number, offer in enumerate(self.offers) if number % step == 0 or offer in ends]


def price_of(
    plan: Mapping[str, Any], requests: Requests, fleet: Mapping[str, Any], deadline: Deadline = never
) -> Price:
    """Return the Price of balance in a fleet, to which a run applies ``plan``.

    ``plan`` and ``fleet`` are dicts of a Plan and a Fleet, ``requests`` are the Requests of the plan. When ``deadline``
    returns true, no more offers are computed.
    """
    candidates, (_wanted, addresses, nodes) = read_problem(requests, fleet["nodes"], fleet["current"])
    solutions = _Solutions(addresses, nodes, deadline)
    fewest, flat = (solutions.solved(policy) for policy in (STICKY, BALANCED))
    names, usable = [node.name for node in candidates.nodes.valid], usable_names(candidates)
    offers = {
        Offer(point.moves - fewest.moves, evenness_of(dict(zip(names, point.loads)), usable))
        for point in (fewest, *solutions.between(fewest, flat), flat)
        if point.valid and point.overlap == fewest.overlap
    }
    load = plan.get("weighted", plan)["load"]
    run = Offer(sum(move["reason"] == REBALANCE for move in plan["moves"]), evenness_of(load, usable))
    shown = sorted({*offers, run}, key=lambda offer: (offer.moves, offer.evenness.squares))
    return Price(tuple(shown), run, solutions.proven)


@dataclass(frozen=True)
class _Point:
    """A placement: its moves, squares, and its overlap of addresses of one object in a failure domain.

    It is not ``valid`` if an object is twice on a node (see ``Packing``).
    """

    moves: int
    squares: int
    overlap: int
    loads: tuple[int, ...]
    valid: bool


class _Solutions:
    """The placements that the solver finds for one problem. ``proven``: whether the deadline ended no search."""

    def __init__(self, addresses: Sequence[Address], nodes: Sequence[NodeLoad], deadline: Deadline) -> None:
        self.addresses, self.nodes, self.deadline = addresses, nodes, deadline
        self.proven = True

    def solved(self, policy: str, max_moves: int | None = None) -> _Point:
        """Return the _Point of the best placement."""
        found = solve(self.addresses, self.nodes, policy, max_moves, self.deadline)
        self.proven = self.proven and found.gap is None
        return self.point(found.nodes)

    def _is_over(self) -> bool:
        over = self.deadline()
        self.proven = self.proven and not over
        return over

    def between(self, fewest: _Point, flat: _Point) -> list[_Point]:
        """Return the corners of the hull between two of its points, in order; with weights, points near it."""
        if any(address.weight != 1 for address in self.addresses):
            return self._capped(fewest, flat)
        moves, squares = flat.moves - fewest.moves, fewest.squares - flat.squares
        if moves <= 1 or squares <= 0 or self._is_over():
            return []
        packing = Packing(self.addresses, self.nodes, moves, squares)
        minimize_cost(packing)
        point = self.point(packing.placement())
        if moves * point.squares + squares * point.moves >= moves * fewest.squares + squares * fewest.moves:
            return []
        return [*self.between(fewest, point), point, *self.between(point, flat)]

    def _capped(self, fewest: _Point, flat: _Point) -> list[_Point]:
        """Return points with fewer moves than ``flat``, each flatter than the one before it, in order."""
        moves, found = flat.moves - fewest.moves, [fewest]
        for cap in sorted({moves * part // _CAPS for part in range(1, _CAPS)} - {0}):
            if self._is_over():
                break
            point = self.solved(BALANCED, cap)
            if flat.squares < point.squares < found[-1].squares:
                found.append(point)
        return found[1:]

    def point(self, placement: Sequence[int | None]) -> _Point:
        """Return the _Point of a placement: the number of a node, or None, for each address."""
        loads = loads_of(self.addresses, self.nodes, placement)
        valid = first_conflict(self.addresses, placement) is None
        squares, overlap = sum(load * load for load in loads), count_overlap(self.addresses, placement)
        return _Point(count_moves(self.addresses, placement), squares, overlap, tuple(loads), valid)
