# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The price of balance: how flat the load can be for how many moves. PRIVATE to the collection. Pure.

Asked for the least of (a times the squares plus b times the moves), the core of the planner gives a placement that is
the flattest for its number of moves. The table holds all placements that some a and b lead to: the lower hull of moves
against squares, found by asking for each two neighbours whether anything lies below the line between them.

Where egress IPs have weights there is no such core. Then it is asked for the flattest load for some numbers of moves.
"""

from __future__ import annotations

from dataclasses import dataclass

from .._common.tables import table
from .._planner.assign import read_problem
from .._planner.plan import REBALANCE
from .._solver.min_cost_flow import minimize_cost
from .._solver.model import count_moves, count_overlap, first_conflict, loads_of
from .._solver.packing import Packing
from .._solver.solve import BALANCED, STICKY, solve
from .evenness import Spread, spread_of, usable_names

_SHOWN = 12
# At so many numbers of moves it is asked what they buy, as far apart as can be.
_CAPS = 8


@dataclass(frozen=True)
class Offer:
    """``spread`` can be had for ``moves`` moves that are made only for balance."""

    moves: int
    spread: Spread

    def to_dict(self):
        """Return ``{moves, squares, highest, lowest}``."""
        return {"moves": self.moves, **self.spread.to_dict()}


@dataclass(frozen=True)
class Price:
    """``offers``: from no move to the flattest load; ``run``: the Offer that the plan takes, which is among them."""

    offers: tuple
    run: Offer

    def to_dict(self):
        """Return ``{offers, run, lines}``, the lines for a person."""
        return {"offers": [each.to_dict() for each in self.offers], "run": self.run.to_dict(), "lines": self._lines()}

    def _lines(self):
        if len(self.offers) == 1:
            return ["The load is as even as it can be: no egress IP has to move for balance."]
        header = ("MOVES FOR BALANCE", "SUM OF SQUARES", "HIGHEST LOAD", "LOWEST LOAD", "")
        rows = []
        for offer in self._shown():
            numbers = (offer.moves, offer.spread.squares, offer.spread.highest, offer.spread.lowest)
            rows.append((*map(str, numbers), "this run" if offer == self.run else ""))
        return table(header, rows)

    def _shown(self):
        """Return the offers; of many, some that are as far from one another, the ends and the run's."""
        step = -(-len(self.offers) // _SHOWN)
        ends = (self.offers[-1], self.run)
        return [offer for number, offer in enumerate(self.offers) if number % step == 0 or offer in ends]


def price_of(plan, requests, fleet):
    """Return the Price of balance in a fleet; a run does what ``plan`` says.

    ``plan`` and ``fleet`` are dicts of a Plan and a Fleet, ``requests`` are the Requests of the plan.
    """
    candidates, (_wanted, items, rooms) = read_problem(requests, fleet["nodes"], fleet["current"])
    market = _Market(items, rooms)
    calm, flat = (market.point(solve(items, rooms, policy).nodes) for policy in (STICKY, BALANCED))
    names, usable = [node.name for node in candidates.nodes.valid], usable_names(candidates)
    offers = {
        Offer(point.moves - calm.moves, spread_of(dict(zip(names, point.loads)), usable))
        for point in (calm, *market.between(calm, flat), flat)
        if point.fair and point.crowding == calm.crowding
    }
    load = plan.get("weighted", plan)["load"]
    run = Offer(sum(move["reason"] == REBALANCE for move in plan["moves"]), spread_of(load, usable))
    return Price(tuple(sorted({*offers, run}, key=lambda offer: (offer.moves, offer.spread.squares))), run)


@dataclass(frozen=True)
class _Point:
    """A placement: its moves, squares, and addresses beyond the first of their object in a failure domain.

    It is not ``fair`` when an object is twice on a node (see ``Packing``).
    """

    moves: int
    squares: int
    crowding: int
    loads: tuple
    fair: bool


class _Market:
    """What the core of the planner offers for one problem."""

    def __init__(self, items, rooms):
        self.items, self.rooms = items, rooms

    def between(self, calm, flat):
        """Return the corners of the hull between two of its points, in order, or what is known of it."""
        if any(item.weight != 1 for item in self.items):
            return self._capped(calm, flat)
        moves, squares = flat.moves - calm.moves, calm.squares - flat.squares
        if moves <= 1 or squares <= 0:
            return []
        packing = Packing(self.items, self.rooms, moves, squares)
        minimize_cost(packing)
        point = self.point(packing.placement())
        if moves * point.squares + squares * point.moves >= moves * calm.squares + squares * calm.moves:
            return []
        return [*self.between(calm, point), point, *self.between(point, flat)]

    def _capped(self, calm, flat):
        """Return points of fewer moves than ``flat`` has, each flatter than those before it, in order."""
        moves, found = flat.moves - calm.moves, [calm]
        for cap in sorted({moves * part // _CAPS for part in range(1, _CAPS)} - {0}):
            point = self.point(solve(self.items, self.rooms, BALANCED, cap).nodes)
            if flat.squares < point.squares < found[-1].squares:
                found.append(point)
        return found[1:]

    def point(self, placement):
        """Return the _Point of a placement, a list of rooms and None."""
        loads = loads_of(self.items, self.rooms, placement)
        fair = first_conflict(self.items, placement) is None
        squares, crowding = sum(load * load for load in loads), count_overlap(self.items, placement)
        return _Point(count_moves(self.items, placement), squares, crowding, tuple(loads), fair)
