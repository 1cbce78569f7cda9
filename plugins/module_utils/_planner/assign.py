# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The assignment of egress IPs to nodes. PRIVATE to the collection. Pure.

``assign`` reads documents, ``make_plan`` takes what is already read: it determines the candidate nodes of each address,
lets ``_solver.solve`` choose, and explains the result. Deterministic: no I/O, clock or randomness; the order of lists
does not matter.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Iterable, NamedTuple, Sequence

from .._common.addresses import address_order
from .._common.errors import PlanError
from .._common.gc_pause import paused_collector
from .._common.messages import type_name
from .._kubernetes.manifests import read_egressips
from .._kubernetes.objects import EgressIP
from .._solver.deadline import Deadline, never
from .._solver.solve import BALANCED, POLICIES, Placement, solve
from .candidates import Candidates
from .moves import moves_of
from .nodes import read_nodes
from .plan import CAPACITY_EXCEEDED, DUPLICATE_REQUEST, INVALID_OBJECT, Gap, Plan, Unassigned, Weighted
from .problem import Problem, problem_of
from .requests import Claims, Requests, claimants, read_current, read_requests
from .standbys import StandbyRules, plan_standbys


class PlanInput(NamedTuple):
    """The candidate nodes of all addresses, and the objects that claim each of them."""

    candidates: Candidates
    claims: Claims


@paused_collector()
def assign(
    egressips: Sequence[Any],
    nodes: Sequence[Any],
    current: Sequence[Any] | None = (),
    policy: str = BALANCED,
    max_moves: int | None = None,
    deadline: Deadline = never,
    standby_rules: StandbyRules | None = None,
) -> Plan:
    """Return the best Plan for EgressIP documents; the other arguments are those of ``make_plan``.

    EgressIPError names a malformed option.
    """
    current = () if current is None else current
    _check_lists(egressips=egressips, nodes=nodes, current=current)
    return make_plan(read_requests(egressips), nodes, current, policy, max_moves, deadline, standby_rules)


@paused_collector()
def make_plan(
    requests: Requests,
    nodes: Sequence[Any],
    current: Sequence[Any] = (),
    policy: str = BALANCED,
    max_moves: int | None = None,
    deadline: Deadline = never,
    standby_rules: StandbyRules | None = None,
) -> Plan:
    """Return the best Plan, or the best one found when ``deadline`` returns true; that one has a ``gap``.

    ``nodes``: list of ``{name, labels, ready, networks, capacity}``; ``current``: list of ``{egressIP, node, name}``;
    ``policy``: ``balanced`` or ``sticky``; ``max_moves``: the most moves made only for balance, None for no limit;
    ``standby_rules``: those of failover, None without it. The plan lists broken objects and nodes. EgressIPError names
    a malformed option.
    """
    _check_options(nodes, current, policy, max_moves)
    plan_input = read_plan_input(requests, nodes, current)
    refused = _keep_addresses_of_broken_objects(plan_input, requests)
    refused += _refuse_second_requests(plan_input, requests)
    unplaced, placement = _place(plan_input, policy, max_moves, deadline)
    plan = _plan(requests, plan_input, refused + unplaced, placement)
    if standby_rules is None:
        return plan
    broken = {egressip.name for egressip in requests.egressips if egressip.errors}
    return replace(plan, standbys=plan_standbys(plan_input.candidates, broken, standby_rules))


def read_plan_input(requests: Requests, nodes: Sequence[Any], current: Sequence[Any]) -> PlanInput:
    """Return the PlanInput before anything is placed."""
    read = read_nodes(nodes)
    holders = read_current(current, requests.egressips, {*(node.name for node in read.valid), *read.broken})
    candidates = Candidates(read, holders, requests.egressips)
    claims = claimants(requests, holders)
    for address, claiming in claims.items():
        candidates.claim(address, claiming[0])
    return PlanInput(candidates, claims)


def read_problem(requests: Requests, nodes: Sequence[Any], current: Sequence[Any]) -> tuple[Candidates, Problem]:
    """Return the Candidates, with the addresses of broken objects placed, and the Problem that remains."""
    plan_input = read_plan_input(requests, nodes, current)
    _keep_addresses_of_broken_objects(plan_input, requests)
    return plan_input.candidates, problem_of(plan_input.candidates, _wanted(plan_input)[1])


def current_assignments(egressips: Sequence[Any], current: Sequence[Any] | None = ()) -> list[dict[str, str]]:
    """Return the present assignments of EgressIP documents, an ordered list of ``{egressIP, node}``."""
    current = () if current is None else current
    _check_lists(egressips=egressips, current=current)
    holders = read_current(current, read_egressips(egressips))
    return _entries((address, holder.node) for address, found in holders.items() for holder in found)


def planned_assignments(plan: Plan) -> list[dict[str, str]]:
    """Return the assignments of a plan in the same form."""
    return _entries((each.egress_ip, each.node) for each in plan.assignments)


def check_max_moves(value: object, path: str) -> None:
    """Raise a PlanError that begins with ``path`` unless the value is a number of moves or None."""
    is_count = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    if value is not None and not is_count:
        raise PlanError(f"{path}: must be an integer of 0 or more, or none for no limit, not {type_name(value)}")


def _entries(pairs: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    ordered = sorted(set(pairs), key=lambda pair: (address_order(pair[0]), pair[1]))
    return [{"egressIP": address, "node": node} for address, node in ordered]


def _check_options(nodes: object, current: object, policy: object, max_moves: object) -> None:
    _check_lists(nodes=nodes, current=current)
    if policy not in POLICIES:
        raise PlanError(f"policy: must be {' or '.join(POLICIES)}, not {type_name(policy)}")
    check_max_moves(max_moves, "max_moves")


def _check_lists(**options: object) -> None:
    for name, value in options.items():
        if not isinstance(value, (list, tuple)):
            raise PlanError(f"{name}: must be a list, not {type_name(value)}")


def _keep_addresses_of_broken_objects(plan_input: PlanInput, requests: Requests) -> list[Unassigned]:
    """Place the addresses of broken objects on their present nodes as far as the hard rules allow.

    Returns the others as Unassigned. An address that cannot stay goes to the first valid object that requests it:
    ``claims`` is changed accordingly. An address that the broken object owns remains its own for later.
    """
    candidates, claims = plan_input
    refused = []
    of_broken = [address for address, claiming in claims.items() if claiming[0].errors]
    for address in sorted(of_broken, key=lambda each: (claims[each][0].name, address_order(each))):
        owner = claims[address][0]
        if _keep(candidates, owner, address):
            continue
        others = [egressip for egressip in claims[address] if not egressip.errors]
        is_own = requests.owns(owner, address)
        claims[address] = [owner, *others] if is_own else others
        if others and not is_own:
            candidates.claim(address, others[0])
        else:
            refused.append(Unassigned(owner.name, address, INVALID_OBJECT, _why_not_kept(candidates, address)))
    return refused


def _keep(candidates: Candidates, owner: EgressIP, address: str) -> bool:
    """Place an address on the first of its present nodes that can keep it; return whether there is one."""
    for name in candidates.holding_nodes(address):
        node = candidates.node(name)
        if node is None or candidates.reason_to_leave(name, address) is not None:
            continue
        if candidates.can_take(node, owner.name, address):
            candidates.place(owner.name, address, node)
            return True
    return False


def _why_not_kept(candidates: Candidates, address: str) -> str:
    holding = candidates.holding_nodes(address)
    causes = [f"{name}: {candidates.reason_to_leave(name, address) or CAPACITY_EXCEEDED}" for name in holding]
    if not causes:
        return f"the object is invalid and gets nothing new; no node that answers holds {address}"
    return f"the object is invalid and gets nothing new; {address} cannot stay where it was ({', '.join(causes)})"


def _refuse_second_requests(plan_input: PlanInput, requests: Requests) -> list[Unassigned]:
    refused = []
    for address, claiming in plan_input.claims.items():
        if len(claiming) < 2:
            continue
        owner, *others = claiming
        if requests.owns(owner, address):
            why = "had it before"
        else:
            why = "holds it" if _holds(plan_input.candidates, owner, address) else "comes first by name"
        message = f"egressip/{owner.name} requests {address} too and {why}"
        refused += [Unassigned(other.name, address, DUPLICATE_REQUEST, message) for other in others if not other.errors]
    return refused


def _holds(candidates: Candidates, egressip: EgressIP, address: str) -> bool:
    """Return whether an object that claims an address is known to hold it."""
    holders = candidates.holders.get(address, ())
    is_named = egressip.name in {holder.name for holder in holders} or address in dict(egressip.assignments)
    return bool(holders) and (is_named or bool(egressip.errors))


def _place(
    plan_input: PlanInput, policy: str, max_moves: int | None, deadline: Deadline
) -> tuple[list[Unassigned], Placement]:
    """Place the addresses of valid objects on nodes; return the Unassigned and the Placement."""
    candidates = plan_input.candidates
    refused, wanted = _wanted(plan_input)
    problem = problem_of(candidates, wanted)
    placement = solve(problem.addresses, problem.nodes, policy, max_moves, deadline)
    for (name, address), number in zip(wanted, placement.nodes):
        if number is not None:
            candidates.place(name, address, candidates.nodes.valid[number])
    without = [pair for pair, number in zip(wanted, placement.nodes) if number is None]
    return [*refused, *(Unassigned(*pair, *candidates.why_exhausted(*pair)) for pair in without)], placement


def _wanted(plan_input: PlanInput) -> tuple[list[Unassigned], list[tuple[str, str]]]:
    """Return the Unassigned that no node may hold, and the ordered (object name, address) of the others."""
    candidates = plan_input.candidates
    refused: list[Unassigned] = []
    wanted: list[tuple[str, str]] = []
    for address, claiming in plan_input.claims.items():
        if not claiming or claiming[0].errors:
            continue
        name = claiming[0].name
        if candidates.possible_nodes(address):
            wanted.append((name, address))
        else:
            refused.append(Unassigned(name, address, *candidates.why_no_node(address)))
    wanted.sort(key=lambda pair: (pair[0], address_order(pair[1])))
    return refused, wanted


def _plan(requests: Requests, plan_input: PlanInput, unassigned: list[Unassigned], placement: Placement) -> Plan:
    candidates, claims = plan_input
    assignments = sorted(candidates.placed.values(), key=lambda each: (each.name, address_order(each.egress_ip)))
    of_object: dict[str, list[dict[str, str]]] = {}
    for each in assignments:
        of_object.setdefault(each.name, []).append({"node": each.node, "egressIP": each.egress_ip})
    broken = [{"name": each.name, "errors": list(each.errors)} for each in requests.egressips if each.errors]
    nodes = candidates.nodes
    names = sorted([*(node.name for node in nodes.valid), *nodes.broken])
    return Plan(
        egressips=tuple(_with_status(each.document, of_object.get(each.name, [])) for each in requests.egressips),
        assignments=tuple(assignments),
        unassigned=tuple(sorted(unassigned, key=lambda each: (each.name, address_order(each.egress_ip)))),
        invalid=(*broken, *nodes.invalid),
        moves=moves_of(candidates, claims, placement.for_balance),
        load={name: candidates.load(name) for name in names},
        warnings=(*nodes.warnings(), *_several_holders(plan_input), *_status_notes(requests)),
        weighted=_weighted(candidates, names, placement) if candidates.is_weighted else None,
        gap=Gap(*placement.gap) if placement.gap else None,
    )


def _weighted(candidates: Candidates, names: Sequence[str], placement: Placement) -> Weighted:
    load = {name: candidates.weighted_load(name) for name in names}
    squares = sum(each * each for each in load.values())
    return Weighted(load, squares, squares if placement.at_least is None else placement.at_least, placement.proven)


def _with_status(document: Any, entries: list[dict[str, str]]) -> Any:
    """Return the document with these assignments; without ``status.items``, or the two lists could contradict."""
    if not isinstance(document, dict):
        return document
    written = document.get("status")
    status = {key: value for key, value in written.items() if key != "items"} if isinstance(written, dict) else {}
    return {**document, "status": {**status, "assignments": entries}}


def _status_notes(requests: Requests) -> list[str]:
    """Return a line for each entry of a status that is ignored."""
    return [f"{note}; the entry is ignored" for egressip in requests.egressips for note in egressip.notes]


def _several_holders(plan_input: PlanInput) -> list[str]:
    """Return a line for each address that several nodes hold, a fault that the plan ends."""
    candidates, claims = plan_input
    lines = []
    for address in sorted((each for each in claims if len(candidates.holding_nodes(each)) > 1), key=address_order):
        keeper = candidates.placed[address].node if address in candidates.placed else "none of them"
        holding = " and by ".join(candidates.holding_nodes(address))
        lines.append(f"{address} is held by {holding}; {keeper} is to hold it")
    return lines
