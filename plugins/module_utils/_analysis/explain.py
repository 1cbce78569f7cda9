# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which nodes could hold an egress IP, why the others cannot, and what a move costs. PRIVATE to the collection. Pure.

What a move costs is asked of the core of the planner: the placement with the fewest moves in which the address is on
that node, and all that have a place keep one, against the one in which it may be anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from .._common.addresses import canonical, canonical_egress_ip, parsed
from .._common.tables import table
from .._kubernetes.objects import ASSIGNABLE_LABEL, EgressIP
from .._planner.assign import make_plan, read_problem, read_situation
from .._planner.plan import (
    ADDRESS_CONFLICT,
    NETWORK_MISSING,
    NODE_INVALID,
    NODE_NOT_READY,
    NODE_NOT_SELECTED,
)
from .._planner.requests import requests_of
from .._solver.model import count_moves, loads_of
from .._solver.solve import STICKY, Node, solve
from .evenness import Spread, spread_of, usable_names

HOLDS, YES, NO, UNKNOWN = "holds", "yes", "no", "not tried"
# Each node is a placement of its own, so of a large fleet the first nodes must do.
_ADDRESSES_PLANNED = 500_000
_FEWEST_PLANS = 5
_NOBODY = "not-in-any-manifest"


@dataclass(frozen=True)
class Answer:
    """What is said of one node. ``can``: holds, yes, no, or not tried; ``why``: sentences.

    Of a node that can take the address: ``moves``, how many egress IPs go to another node for it, itself among them,
    and ``before`` and ``after``, a Spread each.
    """

    node: str
    can: str
    why: tuple = ()
    moves: int | None = None
    before: Spread | None = None
    after: Spread | None = None

    def to_dict(self):
        """Return ``{node, can, why, moves, before, after}``."""
        spreads = {key: spread and spread.to_dict() for key, spread in (("before", self.before), ("after", self.after))}
        return {"node": self.node, "can": self.can, "why": list(self.why), "moves": self.moves, **spreads}


@dataclass(frozen=True)
class Explanation:
    """``names``: the objects that ask for the address, of which the first has it; ``next_run``: a sentence.

    ``errors`` are those of these objects.
    """

    egress_ip: str
    names: tuple
    errors: tuple
    held_by: tuple
    next_run: str
    answers: tuple

    def to_dict(self):
        """Return ``{egressIP, names, errors, heldBy, nextRun, nodes, lines}``, the lines for a person."""
        return {
            "egressIP": self.egress_ip,
            "names": list(self.names),
            "errors": list(self.errors),
            "heldBy": list(self.held_by),
            "nextRun": self.next_run,
            "nodes": [answer.to_dict() for answer in self.answers],
            "lines": self._lines(),
        }

    def _lines(self):
        whose = f"{self.egress_ip} of egressip/{self.names[0]}" if self.names else f"{self.egress_ip}, in no manifest,"
        lines = [f"{whose} is held by {' and by '.join(self.held_by) or 'no node'}; {self.next_run}."]
        lines += [*(f"egressip/{name} asks for it too." for name in self.names[1:]), *self.errors]
        rows = [_row(answer) for answer in self.answers]
        return [*lines, "", *table(("NODE", "CAN", "MOVES", "SQUARES", "WHY"), rows)]


def explain(text, requests, fleet, policy="balanced", max_moves=None):
    """Return the Explanation of the egress IP that ``text`` spells.

    ``requests`` are the Requests of the plan, ``fleet`` is the dict of a Fleet; ``policy`` and ``max_moves`` are the
    next run's. An EgressIPError names ``egress_ip_explain`` when the text is no egress IP.
    """
    address = canonical_egress_ip(text, "egress_ip_explain")
    return _Question(address, requests, fleet, policy, max_moves).answer()


class _Question:
    """One address in one fleet. An address that nobody asks for is looked at as if an object did."""

    def __init__(self, address, requests, fleet, policy, max_moves):
        self.address, self.fleet = address, fleet
        now = fleet["nodes"], fleet["current"]
        self.plan = make_plan(requests, *now, policy, max_moves)
        claims = read_situation(requests, *now).claims
        self.claimants = claims.get(address, [])
        # A broken object may name an address without having it.
        self.claimants += [
            each for each in requests.egressips if address in each.egress_ips and each not in self.claimants
        ]
        if not self.claimants:
            asking = _object(address, {each.name for each in requests.egressips})
            requests = requests_of([*requests.egressips, asking], requests.owners)
        self.candidates, (self.wanted, self.items, self.rooms) = read_problem(requests, *now)
        # Who has it, or would have it; None if nobody gets it anew.
        self.name = next((name for name, wanted in self.wanted if wanted == address), None)
        self.held_by = tuple(self.candidates.holding_nodes(address))
        self.usual = solve(self.items, self.rooms, STICKY).nodes
        for (name, other), room in zip(self.wanted, self.usual):
            if room is not None and other != address:
                self.candidates.place(name, other, self.candidates.nodes.valid[room])

    def answer(self):
        """Return the Explanation."""
        names = tuple(request.name for request in self.claimants)
        errors = tuple(error for request in self.claimants for error in request.errors)
        nodes = sorted([*(node.name for node in self.candidates.nodes.valid), *self.candidates.nodes.broken])
        possible = {node.name for node in self.candidates.possible_nodes(self.address)}
        costs = self._costs(sorted(possible - set(self.held_by), key=self._eagerness))
        answers = tuple(costs.get(name) or self._holder_or_none(name, name in possible) for name in nodes)
        return Explanation(self.address, names, errors, self.held_by, self._next_run(), answers)

    def _eagerness(self, name):
        """Key of the order in which nodes are tried: free ones before taken ones, then the least loaded."""
        return bool(self._taken(name)), self.candidates.weighted_load(name), name

    def _costs(self, names):
        """Return {name: Answer} of the nodes whose own rules allow the address."""
        tried = max(_FEWEST_PLANS, _ADDRESSES_PLANNED // max(1, len(self.items)))
        if names and self.name is None:
            broken = f"egressip/{self.claimants[0].name} has errors and gets nothing new"
            return {name: Answer(name, NO, (broken,)) for name in names}
        answers = {name: self._cost(name) for name in names[:tried]}
        answers.update({name: Answer(name, UNKNOWN, self._taken(name)) for name in names[tried:]})
        return answers

    def _cost(self, name):
        sound = self.candidates.nodes.valid
        asked = self.wanted.index((self.name, self.address))
        placement = self._placement_with(asked, next(n for n, node in enumerate(sound) if node.name == name))
        if placement is None:
            return Answer(name, NO, self._taken(name))
        others = [
            (self.wanted[number][1], sound[room].name)
            for number, (item, room) in enumerate(zip(self.items, placement))
            if number != asked and item.held and room not in item.current and room != self.usual[number]
        ]
        why = (f"{other} would go from {self.candidates.holding_nodes(other)[0]} to {node}" for other, node in others)
        moves = count_moves(self.items, placement) - count_moves(self.items, self.usual)
        return Answer(name, YES, (*self._taken(name), *why), moves, self._spread(self.usual), self._spread(placement))

    def _placement_with(self, asked, room):
        """Return the best placement with the item ``asked`` in a room; None if one that has a place would lose it."""
        group, rooms = self.items[asked].owner, list(self.rooms)
        rooms[room] = _with_one_more(rooms[room], self.items[asked])
        numbers = [n for n, usual in enumerate(self.usual) if usual is not None and n != asked]
        others = [_kept_off(self.items[n], room) if self.items[n].owner == group else self.items[n] for n in numbers]
        if rooms[room] is None or not all(item.nodes for item in others):
            return None
        placement = list(self.usual)
        placement[asked] = room
        for number, found in zip(numbers, solve(others, rooms, STICKY).nodes):
            placement[number] = found
        return None if any(placement[n] is None for n in numbers) else placement

    def _spread(self, placement):
        nodes, loads = self.candidates.nodes.valid, loads_of(self.items, self.rooms, placement)
        return spread_of({node.name: load for node, load in zip(nodes, loads)}, usable_names(self.candidates))

    def _taken(self, name):
        """Return what is in the way on a node: another address of the object, a limit that is reached."""
        node = self.candidates.node(name)
        sibling = self.candidates.sibling(node, self.name)
        why = [f"{sibling} of the same object is there"] if sibling else []
        mate = self.candidates.sibling_in_domain(node, self.name)
        if mate:
            why.append(
                f"{mate[0]} of the same object is in {self.candidates.domain_text(node, self.name)} too, on {mate[1]}"
            )
        return (*why, *(f"at capacity: {each}" for each in self.candidates.reached_limits(node, self.address)))

    def _holder_or_none(self, name, possible):
        if possible:
            return Answer(name, HOLDS)
        obstacles = self.candidates.obstacles(name, self.address)
        # Of a node that gave no answer no network is known.
        silent = NODE_NOT_READY in obstacles and not self.candidates.node(name).networks
        why = tuple(self._text(each, name) for each in obstacles if not (silent and each == NETWORK_MISSING))
        owners = self.candidates.nodes.own_addresses.get(self.address, ())
        why += tuple(f"it is the own address of {owner} ({interface})" for owner, interface in owners)
        return Answer(name, NO, (*(["holds it, but may not"] if name in self.held_by else []), *why))

    def _text(self, obstacle, name):
        node = self.candidates.node(name)
        if obstacle == NODE_INVALID:
            errors = (e["errors"] for e in self.candidates.nodes.invalid if e["name"] == f"node/{name}")
            return "; ".join(line for lines in errors for line in lines)
        if obstacle == NETWORK_MISSING:
            own = [f"{canonical(each)} on {net.interface}" for net in node.networks for each in net.addresses]
            return f"none of its networks contains it: {', '.join(own)}" if own else "has no network"
        if obstacle == ADDRESS_CONFLICT:
            return f"it is the network or broadcast address of {node.network_for(parsed(self.address))[1]}"
        if obstacle == NODE_NOT_SELECTED:
            found = self.candidates.excluding_selectors(name, self.address)
            return "; ".join(f"not selected by {field}: {selector}" for field, selector in found)
        return self._why_not_ready(name) if obstacle == NODE_NOT_READY else f"without the label {ASSIGNABLE_LABEL}"

    def _why_not_ready(self, name):
        reasons = {entry["name"]: entry["reason"] for entry in self.fleet["unavailable"]}
        return reasons.get(name, "is drained" if name in self.fleet["observed"] else "has a problem that stops a run")

    def _next_run(self):
        """Say what the next run does with the address."""
        for each in self.plan.moves:
            if each.egress_ip == self.address:
                return f"the next run moves it from {each.from_node} to {each.to_node} ({each.reason})"
        for each in self.plan.assignments:
            if each.egress_ip == self.address:
                return f"the next run {self._keeps_or_gives(each.node)}"
        for each in self.plan.unassigned:
            if each.egress_ip == self.address:
                return f"the next run gives it no node ({each.reason}: {each.message})"
        return "the next run takes it off" if self.held_by else "the next run leaves it alone"

    def _keeps_or_gives(self, node):
        others = [name for name in self.held_by if name != node]
        if others:
            return f"leaves it on {node} and takes it off {' and '.join(others)}"
        return "leaves it there" if self.held_by else f"gives it to {node}"


def _with_one_more(room, item):
    """Return a Node with one address more; None if it is full."""
    limits = [room.free, *room.free_by_family]
    for index in (0, 1 if item.family == 4 else 2):
        if limits[index] is not None:
            limits[index] -= 1
    if any(limit is not None and limit < 0 for limit in limits):
        return None
    return Node(room.load + item.weight, limits[0], tuple(limits[1:]))


def _kept_off(item, room):
    """Return the Address without the room among its own, and with its failure domain taken."""
    taken = (*item.taken, *item.domains[room : room + 1])
    return item._replace(nodes=tuple(each for each in item.nodes if each != room), taken=taken)


def _object(address, names):
    """Return an object that requests only the address, with a name that no other has."""
    name = _NOBODY
    while name in names:
        name += "-either"
    return EgressIP(name, egress_ips=(address,))


def _row(answer):
    known = answer.moves is not None
    squares = f"{answer.before.squares} to {answer.after.squares}" if known else "-"
    return (answer.node, answer.can, str(answer.moves) if known else "-", squares, "; ".join(answer.why))
