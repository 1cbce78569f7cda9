# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which nodes can hold an egress IP, why the others cannot, and the cost of a move. PRIVATE to the collection. Pure.

The cost is the difference of two placements with the fewest moves, in which no address becomes unassigned: in one the
address is on that node, in the other it may be on any node.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .._common.addresses import canonical, canonical_egress_ip, parsed
from .._common.tables import table
from .._kubernetes.objects import ASSIGNABLE_LABEL, EgressIP
from .._planner.assign import make_plan, read_plan_input, read_problem
from .._planner.nodes import Node
from .._planner.plan import (
    ADDRESS_CONFLICT,
    NETWORK_MISSING,
    NODE_INVALID,
    NODE_NOT_READY,
    NODE_NOT_SELECTED,
)
from .._planner.requests import Requests, requests_of
from .._reconcile.failover import has_failover, last_orders
from .._solver.deadline import Deadline, never
from .._solver.model import Address, NodeLoad, count_moves, loads_of
from .._solver.solve import STICKY, solve
from .evenness import Evenness, evenness_of, usable_names

HOLDS, YES, NO, UNKNOWN = "holds", "yes", "no", "not tried"
# Each node needs a placement, so in a large fleet only the first nodes are tried.
_ADDRESSES_PLANNED = 500_000
_FEWEST_PLANS = 5
_NOBODY = "not-in-any-manifest"
_UNPROVEN = "egress_ip_plan_seconds ended the search: more nodes may be able to take it, and with fewer moves."


@dataclass(frozen=True)
class Eligibility:
    """Whether one node can hold the address. ``can``: holds, yes, no, or not tried; ``why``: sentences.

    For a node that can take the address: ``moves`` is the number of egress IPs that move for it, including itself, and
    ``before`` and ``after`` are the Evenness. If not ``proven``, the time limit ended the search, and fewer moves or a
    flatter load may be possible.
    """

    node: str
    can: str
    why: tuple[str, ...] = ()
    moves: int | None = None
    before: Evenness | None = None
    after: Evenness | None = None
    proven: bool = True

    def to_dict(self) -> dict[str, Any]:
        """Return ``{node, can, why, moves, before, after}``; ``proven``, which is false, only if it is."""
        spreads = {key: spread and spread.to_dict() for key, spread in (("before", self.before), ("after", self.after))}
        unproven = {} if self.proven else {"proven": False}
        return {"node": self.node, "can": self.can, "why": list(self.why), "moves": self.moves, **spreads, **unproven}


@dataclass(frozen=True)
class Explanation:
    """``names``: the objects that request the address, of which the first has it; ``next_run``: a sentence.

    ``errors`` are those of these objects; ``order`` are the nodes that may hold it with failover, the holder last, as
    the last run planned it; None without failover.
    """

    egress_ip: str
    names: tuple[str, ...]
    errors: tuple[str, ...]
    held_by: tuple[str, ...]
    next_run: str
    answers: tuple[Eligibility, ...]
    order: tuple[str, ...] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return ``{egressIP, names, errors, held_by, next_run, nodes, lines}``, the lines for a person.

        With failover, ``standbys`` is added, the order.
        """
        return {
            "egressIP": self.egress_ip,
            "names": list(self.names),
            "errors": list(self.errors),
            "held_by": list(self.held_by),
            "next_run": self.next_run,
            "nodes": [answer.to_dict() for answer in self.answers],
            **({} if self.order is None else {"standbys": list(self.order)}),
            "lines": self._lines(),
        }

    def _lines(self) -> list[str]:
        whose = f"{self.egress_ip} of egressip/{self.names[0]}" if self.names else f"{self.egress_ip}, in no manifest,"
        lines = [f"{whose} is held by {' and by '.join(self.held_by) or 'no node'}; {self.next_run}."]
        lines += [*(f"egressip/{name} requests it too." for name in self.names[1:]), *self.errors]
        rows = [_row(answer) for answer in self.answers]
        notes = [] if all(answer.proven for answer in self.answers) else ["", _UNPROVEN]
        header: tuple[str, ...] = ("NODE", "CAN", "MOVES", "SQUARES", "WHY")
        if self.order is not None:
            header = (header[0], "STANDBY", *header[1:])
            rows = [(row[0], self._rank(row[0]), *row[1:]) for row in rows]
        return [*lines, "", *table(header, rows), *notes]

    def _rank(self, node: str) -> str:
        """Return which of the standbys a node is, from 1, or a dash."""
        standbys = (self.order or ())[:-1]
        return str(standbys.index(node) + 1) if node in standbys else "-"


def explain(
    text: object,
    requests: Requests,
    fleet: Mapping[str, Any],
    policy: str = "balanced",
    max_moves: int | None = None,
    deadline: Deadline = never,
) -> Explanation:
    """Return the Explanation of the egress IP that ``text`` spells.

    ``requests`` are the Requests of the plan, ``fleet`` is the dict of a Fleet; ``policy`` and ``max_moves`` are
    those of the next run. When ``deadline`` returns true, the answers that are left are not proven. Raises
    EgressIPError with ``egress_ip_explain`` if the text is not an egress IP.
    """
    address = canonical_egress_ip(text, "egress_ip_explain")
    return _Question(address, requests, fleet, (policy, max_moves), deadline).answer()


class _Question:
    """One address in one fleet. For an address that no object requests, a new object with it is assumed."""

    def __init__(
        self,
        address: str,
        requests: Requests,
        fleet: Mapping[str, Any],
        options: tuple[str, int | None],
        deadline: Deadline,
    ) -> None:
        self.address, self.fleet, self.deadline = address, fleet, deadline
        now = fleet["nodes"], fleet["current"]
        self.plan = make_plan(requests, *now, *options, deadline)
        claims = read_plan_input(requests, *now).claims
        self.claimants = claims.get(address, [])
        # An object with errors may request an address without having it.
        self.claimants += [
            each for each in requests.egressips if address in each.egress_ips and each not in self.claimants
        ]
        if not self.claimants:
            asking = _object(address, {each.name for each in requests.egressips})
            requests = requests_of([*requests.egressips, asking], requests.owners)
        self.candidates, (self.wanted, self.addresses, self.nodes) = read_problem(requests, *now)
        # The object that has it or would have it; None if it is not part of the problem.
        self.name = next((name for name, wanted in self.wanted if wanted == address), None)
        self.held_by = tuple(self.candidates.holding_nodes(address))
        usual = solve(self.addresses, self.nodes, STICKY, None, deadline)
        self.usual, self.is_exact = usual.nodes, usual.gap is None
        for (name, other), node in zip(self.wanted, self.usual):
            if node is not None and other != address:
                self.candidates.place(name, other, self.candidates.nodes.valid[node])

    def answer(self) -> Explanation:
        """Return the Explanation."""
        names = tuple(request.name for request in self.claimants)
        errors = tuple(error for request in self.claimants for error in request.errors)
        nodes = sorted([*(node.name for node in self.candidates.nodes.valid), *self.candidates.nodes.broken])
        possible = {node.name for node in self.candidates.possible_nodes(self.address)}
        costs = self._costs(sorted(possible - set(self.held_by), key=self._preference))
        answers = tuple(costs.get(name) or self._holder_or_none(name, name in possible) for name in nodes)
        order = tuple(last_orders(self.fleet).get(self.address, ())) if has_failover(self.fleet) else None
        return Explanation(self.address, names, errors, self.held_by, self._next_run(), answers, order)

    def _preference(self, name: str) -> tuple[bool, int, str]:
        """Return the sort key in which nodes are tried: without a conflict first, then the least loaded."""
        return bool(self._taken(name)), self.candidates.weighted_load(name), name

    def _costs(self, names: Sequence[str]) -> dict[str, Eligibility]:
        """Return {name: Eligibility} of the nodes whose own rules allow the address."""
        tried = max(_FEWEST_PLANS, _ADDRESSES_PLANNED // max(1, len(self.addresses)))
        if names and self.name is None:
            broken = f"egressip/{self.claimants[0].name} has errors and gets nothing new"
            return {name: Eligibility(name, NO, (broken,)) for name in names}
        answers = {name: self._cost(name) for name in names[:tried] if not self.deadline()}
        late = [name for name in names[:tried] if name not in answers]
        answers.update({name: Eligibility(name, UNKNOWN, self._taken(name), proven=False) for name in late})
        answers.update({name: Eligibility(name, UNKNOWN, self._taken(name)) for name in names[tried:]})
        return answers

    def _cost(self, name: str) -> Eligibility:
        valid = self.candidates.nodes.valid
        asked = self.wanted.index((self._object_name, self.address))
        placement, exact = self._placement_with(asked, next(n for n, node in enumerate(valid) if node.name == name))
        if placement is None:
            return Eligibility(name, NO if exact else UNKNOWN, self._taken(name), proven=exact)
        others = [
            (self.wanted[number][1], valid[node].name)
            for number, (address, node) in enumerate(zip(self.addresses, placement))
            if node is not None
            and number != asked
            and address.held
            and node not in address.current
            and node != self.usual[number]
        ]
        why = (f"{other} would go from {self.candidates.holding_nodes(other)[0]} to {node}" for other, node in others)
        moves = count_moves(self.addresses, placement) - count_moves(self.addresses, self.usual)
        spreads = self._spread(self.usual), self._spread(placement)
        return Eligibility(name, YES, (*self._taken(name), *why), moves, *spreads, proven=exact and self.is_exact)

    def _placement_with(self, asked: int, node: int) -> tuple[list[int | None] | None, bool]:
        """Return the best placement with the address ``asked`` on a node, and whether that is proven.

        It is None if it leaves another address unassigned.
        """
        owner, nodes = self.addresses[asked].owner, list(self.nodes)
        fuller = _with_one_more(nodes[node], self.addresses[asked])
        numbers = [n for n, usual in enumerate(self.usual) if usual is not None and n != asked]
        others = [
            _without(self.addresses[n], node) if self.addresses[n].owner == owner else self.addresses[n]
            for n in numbers
        ]
        if fuller is None or not all(address.nodes for address in others):
            return None, True
        nodes[node] = fuller
        placement = list(self.usual)
        placement[asked] = node
        found = solve(others, nodes, STICKY, None, self.deadline)
        for number, used in zip(numbers, found.nodes):
            placement[number] = used
        return None if any(placement[n] is None for n in numbers) else placement, found.gap is None

    def _spread(self, placement: Sequence[int | None]) -> Evenness:
        nodes, loads = self.candidates.nodes.valid, loads_of(self.addresses, self.nodes, placement)
        return evenness_of({node.name: load for node, load in zip(nodes, loads)}, usable_names(self.candidates))

    def _taken(self, name: str) -> tuple[str, ...]:
        """Return the conflicts on a node: another address of the object, a limit that is reached."""
        node = self._node(name)
        sibling = self.candidates.sibling(node, self._object_name)
        why = [f"{sibling} of the same object is there"] if sibling else []
        other = self.candidates.sibling_in_domain(node, self._object_name)
        if other:
            domain = self.candidates.domain_text(node, self._object_name)
            why.append(f"{other[0]} of the same object is in {domain} too, on {other[1]}")
        return (*why, *(f"at capacity: {each}" for each in self.candidates.reached_limits(node, self.address)))

    def _holder_or_none(self, name: str, possible: bool) -> Eligibility:
        if possible:
            return Eligibility(name, HOLDS)
        obstacles = self.candidates.obstacles(name, self.address)
        why = tuple(self._text(each, name) for each in obstacles)
        owners = self.candidates.nodes.own_addresses.get(self.address, ())
        why += tuple(f"it is the own address of {owner} ({interface})" for owner, interface in owners)
        why += tuple(f"it is the gateway of {owner}" for owner in self.candidates.nodes.gateways.get(self.address, ()))
        return Eligibility(name, NO, (*(["holds it, but may not"] if name in self.held_by else []), *why))

    def _text(self, obstacle: str, name: str) -> str:
        if obstacle == NODE_INVALID:
            errors = (e["errors"] for e in self.candidates.nodes.invalid if e["name"] == f"node/{name}")
            return "; ".join(line for lines in errors for line in lines)
        if obstacle == NETWORK_MISSING:
            own = [
                f"{canonical(each)} on {net.interface}" for net in self._node(name).networks for each in net.addresses
            ]
            return f"none of its networks contains it: {', '.join(own)}" if own else "has no network"
        if obstacle == ADDRESS_CONFLICT:
            found = self._node(name).network_for(parsed(self.address))
            return f"it is the network or broadcast address of {found and found[1]}"
        if obstacle == NODE_NOT_SELECTED:
            selectors = self.candidates.excluding_selectors(name, self.address)
            return "; ".join(f"not selected by {field}: {selector}" for field, selector in selectors)
        return self._why_not_ready(name) if obstacle == NODE_NOT_READY else f"without the label {ASSIGNABLE_LABEL}"

    def _why_not_ready(self, name: str) -> str:
        entries = [*self.fleet["unavailable"], *self.fleet.get("faulty", ())]
        reasons: dict[str, str] = {entry["name"]: entry["reason"] for entry in entries}
        return reasons.get(name, "is drained" if name in self.fleet["observed"] else "has a problem that stops a run")

    @property
    def _object_name(self) -> str:
        return self.name or ""

    def _node(self, name: str) -> Node:
        """Return a node without errors."""
        return next(node for node in self.candidates.nodes.valid if node.name == name)

    def _next_run(self) -> str:
        """Return the effect of the next run on the address."""
        for move in self.plan.moves:
            if move.egress_ip == self.address:
                return f"the next run moves it from {move.from_node} to {move.to_node} ({move.reason})"
        for assignment in self.plan.assignments:
            if assignment.egress_ip == self.address:
                return f"the next run {self._keeps_or_gives(assignment.node)}"
        for lost in self.plan.unassigned:
            if lost.egress_ip == self.address:
                return f"the next run gives it no node ({lost.reason}: {lost.message})"
        return "the next run takes it off" if self.held_by else "the next run leaves it alone"

    def _keeps_or_gives(self, node: str) -> str:
        others = [name for name in self.held_by if name != node]
        if others:
            return f"leaves it on {node} and takes it off {' and '.join(others)}"
        return "leaves it there" if self.held_by else f"gives it to {node}"


def _with_one_more(node: NodeLoad, address: Address) -> NodeLoad | None:
    """Return the node with one more address; None if it is full."""
    counts = (1, int(address.family == 4), int(address.family == 6))
    free = [None if limit is None else limit - n for limit, n in zip((node.free, *node.free_by_family), counts)]
    if any(limit is not None and limit < 0 for limit in free):
        return None
    return NodeLoad(node.load + address.weight, free[0], (free[1], free[2]))


def _without(address: Address, node: int) -> Address:
    """Return the address without a possible node, whose failure domain is taken."""
    taken = (*address.taken, *address.domains[node : node + 1])
    nodes = tuple(each for each in address.nodes if each != node)
    return address._replace(nodes=nodes, current=address.current - {node}, taken=taken)


def _object(address: str, names: set[str]) -> EgressIP:
    """Return an object that requests only the address, with a unique name."""
    name = _NOBODY
    while name in names:
        name += "-either"
    return EgressIP(name, egress_ips=(address,))


def _row(answer: Eligibility) -> tuple[str, ...]:
    squares = f"{answer.before.squares} to {answer.after.squares}" if answer.before and answer.after else "-"
    moves = "-" if answer.moves is None else f"{'' if answer.proven else 'at most '}{answer.moves}"
    return (answer.node, answer.can, moves, squares, "; ".join(answer.why))
