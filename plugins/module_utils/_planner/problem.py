# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The optimization problem of a plan, in the solver's integers. PRIVATE to the collection. Pure."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple, Sequence

from .._common.addresses import version_of
from .._solver import solve as solver
from .candidates import Candidates
from .nodes import Node


class Problem(NamedTuple):
    """The input of the solver: an address for each wanted (object name, address), and all valid nodes."""

    wanted: list[tuple[str, str]]
    addresses: list[solver.Address]
    nodes: list[solver.NodeLoad]


def problem_of(candidates: Candidates, wanted: list[tuple[str, str]]) -> Problem:
    """Return the Problem of assigning ``wanted``, in this order, to the nodes with what is already placed on them."""
    return Problem(
        wanted, _addresses(candidates, wanted), [solver_node(candidates, node) for node in candidates.nodes.valid]
    )


def _addresses(candidates: Candidates, wanted: Sequence[tuple[str, str]]) -> list[solver.Address]:
    """Return the solver's addresses. Those with the same possible nodes share the tuple of node numbers."""
    numbers = {node.name: number for number, node in enumerate(candidates.nodes.valid)}
    owners = {name: number for number, name in enumerate(dict.fromkeys(name for name, _address in wanted))}
    shared = _NodeNumbers(candidates, numbers)
    domains = _domains(candidates, wanted)
    addresses = []
    for name, address in wanted:
        held = candidates.holding_nodes(address)
        possible, current = shared.of(candidates.node_set(address), held)
        addresses.append(
            solver.Address(
                owners[name],
                version_of(address),
                possible,
                current,
                bool(held),
                domains.get(name, ()),
                weight=candidates.annotations(name).weight,
            )
        )
    return addresses


class _NodeNumbers:
    """The numbers of the nodes of each set of possible nodes, each computed once: addresses share few sets."""

    def __init__(self, candidates: Candidates, numbers: dict[str, int]) -> None:
        """``numbers`` is {node name: its number}."""
        self._candidates = candidates
        self._numbers = numbers
        self._possible: dict[int, tuple[tuple[int, ...], frozenset[int]]] = {}
        self._current: dict[tuple[int, tuple[str, ...]], frozenset[int]] = {}

    def of(self, node_set: int, held: tuple[str, ...]) -> tuple[tuple[int, ...], frozenset[int]]:
        """Return the numbers of the possible nodes, and those of the holding nodes among them."""
        if node_set not in self._possible:
            numbers = tuple(self._numbers[node.name] for node in self._candidates.nodes_of(node_set))
            self._possible[node_set] = numbers, frozenset(numbers)
        numbers, allowed = self._possible[node_set]
        key = node_set, held
        if key not in self._current:
            self._current[key] = frozenset(self._numbers.get(name, -1) for name in held) & allowed
        return numbers, self._current[key]


def _domains(candidates: Candidates, wanted: Sequence[tuple[str, str]]) -> dict[str, tuple[int, ...]]:
    """Return {object name: the failure domain of each node} of the objects that are spread; equal tuples are shared."""
    found: dict[str, tuple[int, ...]] = {}
    shared: dict[str | None, tuple[int, ...]] = {}
    for name, count in Counter(name for name, _address in wanted).items():
        domains = candidates.domains(name) if count > 1 else {}
        if domains:
            found[name] = shared.setdefault(candidates.spread_label(name), tuple(domains.values()))
    return found


def solver_node(candidates: Candidates, node: Node) -> solver.NodeLoad:
    """Return the load and the remaining capacity of a node."""
    in_total, ipv4 = (_rest(*each) for each in candidates.limits(node, 4))
    ipv6 = _rest(*candidates.limits(node, 6)[1])
    return solver.NodeLoad(candidates.weighted_load(node.name), in_total, (ipv4, ipv6))


def _rest(limit: int | None, load: int) -> int | None:
    return None if limit is None else max(0, limit - load)
