# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The best placement by HiGHS, a solver of mixed-integer linear problems, where scipy is installed.

PRIVATE to the collection. ``branch_and_bound`` uses it for problems that its own search does not prove soon: mostly
spread owners whose addresses meet in a domain. A placement is a binary variable for each address and possible node. The
overlap and the squares are convex, so each is the cost of units: the first address on a node costs less than the
second. The terms of the objective are minimized one after the other, each with the values of those before as limits.
"""

from __future__ import annotations

from typing import Any, Dict, NamedTuple, Sequence

from .deadline import Deadline
from .model import STICKY, Address, NodeLoad

# The most pairs of an address and a possible node: some seconds of the library, some tens of MiB.
_MOST_PAIRS = 20_000
# The highest cost of a unit. HiGHS computes with floating-point numbers, whose errors stay far below one with it.
_MOST_COST = 10_000
# Seconds for each term. The library does not know the deadline.
_SECONDS = 2.0

# {number of the variable: factor}.
Linear = Dict[int, int]


class _Term(NamedTuple):
    """A term of the objective: the sum of a constant and of factors times variables."""

    constant: int
    factors: Linear


class _Model:
    """The linear model. ``terms`` {name: _Term}; ``rows`` [(factors, least value or None, highest value)]."""

    def __init__(self, addresses: Sequence[Address], nodes: Sequence[NodeLoad], most_moves: int | None) -> None:
        self.count = 0
        self.on: list[dict[int, int]] = [{node: self._variable() for node in address.nodes} for address in addresses]
        self.rows: list[tuple[Linear, int | None, int]] = [(dict.fromkeys(on.values(), 1), None, 1) for on in self.on]
        assigned = {variable: -1 for on in self.on for variable in on.values()}
        stays = {
            on[node]: -1 for address, on in zip(addresses, self.on) if address.held for node in sorted(address.current)
        }
        self.terms = {
            "unassigned": _Term(len(addresses), assigned),
            "overlap": self._overlap(addresses),
            "squares": self._squares(addresses, nodes),
            "moves": _Term(sum(address.held for address in addresses), stays),
        }
        self._add_limits(addresses, nodes)
        if most_moves is not None:
            self.limit("moves", most_moves)

    def limit(self, name: str, value: int) -> None:
        """Limit a term to a value."""
        term = self.terms[name]
        self.rows.append((term.factors, None, value - term.constant))

    def _variable(self) -> int:
        self.count += 1
        return self.count - 1

    def _units(self, variables: Sequence[int], first: int, step: int) -> Linear:
        """Return {unit: cost} of as many units as there are variables; as many units are one as variables are one.

        The costs rise from ``first`` by ``step``, so the least cost takes the first ones.
        """
        units = {self._variable(): first + step * number for number in range(len(variables))}
        self.rows.append(({**dict.fromkeys(variables, 1), **dict.fromkeys(units, -1)}, 0, 0))
        return units

    def _overlap(self, addresses: Sequence[Address]) -> _Term:
        found: dict[tuple[int, int], list[int]] = {}
        taken: dict[tuple[int, int], int] = {}
        for address, on in zip(addresses, self.on):
            for node, variable in on.items() if address.domains else ():
                domain = address.owner, address.domains[node]
                found.setdefault(domain, []).append(variable)
                taken[domain] = address.taken.count(domain[1])
        parts = [self._units(variables, taken[domain], 1) for domain, variables in found.items()]
        return _Term(0, {unit: cost for part in parts for unit, cost in part.items()})

    def _squares(self, addresses: Sequence[Address], nodes: Sequence[NodeLoad]) -> _Term:
        """Return the squares of the loads above the least one: as many assigned addresses differ by a constant."""
        least = min(node.load for node in nodes)
        parts = [
            self._units([on[number] for on in self.on if number in on], 2 * (node.load - least) + 1, 2)
            for number, node in enumerate(nodes)
        ]
        return _Term(0, {unit: cost for part in parts for unit, cost in part.items()})

    def _add_limits(self, addresses: Sequence[Address], nodes: Sequence[NodeLoad]) -> None:
        """Add the limits of the nodes, and at most one address of an owner on a node."""
        for number, node in enumerate(nodes):
            here = [(address, on[number]) for address, on in zip(addresses, self.on) if number in on]
            siblings: dict[int, Linear] = {}
            for address, variable in here:
                siblings.setdefault(address.owner, {})[variable] = 1
            self.rows += [(row, None, 1) for row in siblings.values() if len(row) > 1]
            for family, limit in ((0, node.free), (4, node.free_for(4)), (6, node.free_for(6))):
                row = {variable: 1 for address, variable in here if family in (0, address.family)}
                if limit is not None and len(row) > limit:
                    self.rows.append((row, None, limit))


def best_placement(
    addresses: Sequence[Address], nodes: Sequence[NodeLoad], policy: str, most_moves: int | None, deadline: Deadline
) -> tuple[int | None, ...] | None:
    """Return a placement with the least objective; None without the library, if the problem is too large or too hard.

    ``most_moves`` caps the moves, None for any number.
    """
    pairs = sum(len(address.nodes) for address in addresses)
    library = _library() if 0 < pairs <= _MOST_PAIRS else None
    if library is None:
        return None
    model = _Model(addresses, nodes, most_moves)
    if max((cost for term in model.terms.values() for cost in term.factors.values()), default=0) > _MOST_COST:
        return None
    values: list[int] | None = None
    for name in ("unassigned", "overlap", *(("moves", "squares") if policy == STICKY else ("squares", "moves"))):
        values = None if deadline() else _minimized(library, model, name)
        if values is None:
            return None
        term = model.terms[name]
        model.limit(name, term.constant + sum(factor * values[variable] for variable, factor in term.factors.items()))
    found = values or []
    return tuple(next((node for node, variable in on.items() if found[variable]), None) for on in model.on)


def _library() -> tuple[Any, Any] | None:
    """Return the modules scipy.optimize and scipy.sparse, None if they are missing. The import takes a while."""
    try:
        from scipy import optimize, sparse  # noqa: PLC0415 - most plans do not need it
    except (ImportError, AttributeError, ValueError):
        # One that was built for another numpy raises the others.
        return None
    return (optimize, sparse) if hasattr(optimize, "milp") else None


def _minimized(library: tuple[Any, Any], model: _Model, name: str) -> list[int] | None:
    """Return the values of all variables for the least value of a term, None if the library does not prove it."""
    optimize, sparse = library
    entries = [(number, column, factor) for number, row in enumerate(model.rows) for column, factor in row[0].items()]
    rows, columns, factors = zip(*entries)
    matrix = sparse.csr_matrix((factors, (rows, columns)), shape=(len(model.rows), model.count))
    least = [float("-inf") if low is None else low for _row, low, _high in model.rows]
    costs = model.terms[name].factors
    found = optimize.milp(
        [costs.get(variable, 0) for variable in range(model.count)],
        integrality=[1] * model.count,
        bounds=optimize.Bounds(0, 1),
        constraints=optimize.LinearConstraint(matrix, least, [high for _row, _low, high in model.rows]),
        options={"time_limit": _SECONDS, "mip_rel_gap": 0},
    )
    return [round(value) for value in found.x] if found.status == 0 else None
