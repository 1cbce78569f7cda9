# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The assignment of egress IPs to nodes. PRIVATE to the collection.

``assign`` reads documents, decides for each address where it may be, leaves the choice to ``_solver.solve``, and says
what came of it. No I/O, no clock, no chance: the same input gives the same plan, whatever the order of its lists.
"""

from __future__ import annotations

from collections import Counter

from .._common.addresses import address_order, version_of
from .._common.errors import PlanError
from .._common.gc_pause import paused_collector
from .._common.messages import type_name
from .._solver.solve import BALANCED, POLICIES, Address, Node, solve
from .candidates import Board
from .nodes import read_nodes
from .plan import (
    CAPACITY_EXCEEDED,
    DUPLICATE_REQUEST,
    INVALID_OBJECT,
    MAKE_ROOM,
    REBALANCE,
    SAME_DOMAIN,
    SAME_OBJECT,
    Move,
    Plan,
    Unassigned,
    Weighted,
)
from .requests import claimants, read_current, read_requests

_NEEDS = (CAPACITY_EXCEEDED, SAME_OBJECT, SAME_DOMAIN, MAKE_ROOM)


@paused_collector()
def assign(egressips, nodes, current=(), policy=BALANCED, max_moves=None, owners=None):
    """Return the best Plan for EgressIP documents on nodes.

    ``nodes``: list of ``{name, labels, ready, networks, capacity}``; ``current``: list of ``{egressIP, node, name}``;
    ``policy``: ``balanced`` or ``sticky``; ``max_moves``: how many moves may be made only for balance, None for any.
    ``owners``: {address: name of the object whose own it is, whoever else asks for it}, as ``give_out`` returns it.
    Broken objects and nodes are listed in the plan. An EgressIPError says that an option itself is malformed.
    """
    current = [] if current is None else current
    _check_options(egressips, nodes, current, policy, max_moves)
    requests, board, claims = read_board(egressips, nodes, current, owners)
    refused = _keep_what_broken_objects_hold(board, claims)
    refused += _refuse_second_requests(board, claims)
    unplaced, placement = _place(board, claims, policy, max_moves)
    return _plan(requests, board, claims, refused + unplaced, placement)


def read_board(egressips, nodes, current, owners=None):
    """Return (requests, board, claims): who asks, what may be where, and whose each address is, {address: requests}."""
    requests = read_requests(egressips, owners)
    holders = read_current(current, requests)
    board, claims = Board(read_nodes(nodes), holders), claimants(requests, holders, owners)
    for address in claims:
        _heed_node_selector(board, claims, address)
    for request in requests:
        if request.spread is not None and not request.errors:
            board.spread(request.name, request.spread)
        board.weigh(request.name, request.weight)
    return requests, board, claims


def _heed_node_selector(board, claims, address):
    """Restrict an address to the nodes that its object selects. A broken object keeps what it has where it is."""
    owner = claims[address][0]
    if owner.node_selector is not None and not owner.errors:
        board.restrict(address, board.selected_by(owner.node_selector))


def read_problem(egressips, nodes, current, owners=None):
    """Return (board, wanted, items, rooms): what the core of the planner is asked when broken objects have kept theirs.

    ``wanted`` is (object name, address) of each item; the rooms are the board's sound nodes.
    """
    _requests, board, claims = read_board(egressips, nodes, current, owners)
    _keep_what_broken_objects_hold(board, claims)
    _refused, wanted = _wanted(board, claims)
    return (board, wanted, *_problem(board, wanted))


def current_assignments(egressips, current=()):
    """Return what ``assign`` takes for the present: a list of ``{egressIP, node}`` in order."""
    current = [] if current is None else current
    _check_lists(egressips=egressips, current=current)
    holders = read_current(current, read_requests(egressips))
    return _holdings({(address, node) for address, found in holders.items() for node, name in found})


def planned_assignments(plan):
    """Return what ``plan`` makes of that, in the same form."""
    return _holdings({(each.egress_ip, each.node) for each in plan.assignments})


def _holdings(pairs):
    ordered = sorted(pairs, key=lambda pair: (address_order(pair[0]), pair[1]))
    return [{"egressIP": address, "node": node} for address, node in ordered]


def _check_options(egressips, nodes, current, policy, max_moves):
    _check_lists(egressips=egressips, nodes=nodes, current=current)
    if policy not in POLICIES:
        raise PlanError(f"policy: must be {' or '.join(POLICIES)}, not {type_name(policy)}")
    check_max_moves(max_moves, "max_moves")


def check_max_moves(value, path):
    """Raise a PlanError that begins with ``path`` unless the value is a number of moves or None."""
    is_count = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    if value is not None and not is_count:
        raise PlanError(f"{path}: must be an integer of 0 or more, or none for no limit, not {type_name(value)}")


def _check_lists(**options):
    for name, value in options.items():
        if not isinstance(value, (list, tuple)):
            raise PlanError(f"{name}: must be a list, not {type_name(value)}")


def _keep_what_broken_objects_hold(board, claims):
    """Put the addresses of broken objects where they are, as far as the hard rules allow; return the Unassigned.

    An address that cannot stay goes to the first sound object that asks for it: ``claims`` is changed accordingly.
    One that an object owns stays its own, for it is to have it back when it is mended.
    """
    refused = []
    of_broken = [address for address, found in claims.items() if found[0].errors]
    for address in sorted(of_broken, key=lambda each: (claims[each][0].name, address_order(each))):
        owner = claims[address][0]
        names = [name for name in board.holding_nodes(address) if board.why_leave(name, address) is None]
        keepers = [board.node(name) for name in names]
        keeper = next((node for node in keepers if board.has_room(node, owner.name, address)), None)
        if keeper is not None:
            board.put(owner.name, address, keeper)
            continue
        sound = [request for request in claims[address] if not request.errors]
        claims[address] = [owner, *sound] if address in owner.owned else sound
        if sound and address not in owner.owned:
            _heed_node_selector(board, claims, address)
        else:
            refused.append(Unassigned(owner.name, address, INVALID_OBJECT, _why_not_kept(board, address)))
    return refused


def _why_not_kept(board, address):
    causes = [f"{name}: {board.why_leave(name, address) or CAPACITY_EXCEEDED}" for name in board.holding_nodes(address)]
    if not causes:
        return f"the object is invalid and gets nothing new; no node that answers holds {address}"
    return f"the object is invalid and gets nothing new; {address} cannot stay where it was ({', '.join(causes)})"


def _refuse_second_requests(board, claims):
    refused = []
    for address, (owner, *others) in ((address, found) for address, found in claims.items() if len(found) > 1):
        holders = {name for node, name in board.holders.get(address, ())}
        holds = address in board.holders and (owner.name in holders or address in dict(owner.status) or owner.errors)
        why = "had it before" if address in owner.owned else "holds it" if holds else "comes first by name"
        message = f"egressip/{owner.name} requests {address} too and {why}"
        refused += [Unassigned(other.name, address, DUPLICATE_REQUEST, message) for other in others if not other.errors]
    return refused


def _place(board, claims, policy, max_moves):
    """Put the addresses of sound objects on nodes; return the Unassigned and the Placement."""
    refused, wanted = _wanted(board, claims)
    placement = solve(*_problem(board, wanted), policy, max_moves)
    places = list(zip(wanted, placement.nodes))
    for (name, address), room in places:
        if room is not None:
            board.put(name, address, board.nodes.sound[room])
    refused += [Unassigned(*pair, *board.why_no_room(*pair)) for pair, room in places if room is None]
    return refused, placement


def _wanted(board, claims):
    """Return the Unassigned that no node may hold, and (object name, address) of the others in order."""
    refused, wanted = [], []
    for address, owner in ((address, found[0]) for address, found in claims.items() if found):
        if owner.errors:
            continue
        if board.possible_nodes(address):
            wanted.append((owner.name, address))
        else:
            refused.append(Unassigned(owner.name, address, *board.why_no_node(address)))
    wanted.sort(key=lambda pair: (pair[0], address_order(pair[1])))
    return refused, wanted


def _problem(board, wanted):
    """Return the Addresses and the Nodes of what is wanted."""
    return _items(board, wanted), [_room(board, node) for node in board.nodes.sound]


def _items(board, wanted):
    """Return an Address for each (object name, address). Addresses with the same possible nodes share their rooms."""
    numbers = {node.name: number for number, node in enumerate(board.nodes.sound)}
    groups = {name: group for group, name in enumerate(dict.fromkeys(name for name, address in wanted))}
    items, rooms_of, domains = [], {}, _domains(board, wanted)
    for name, address in wanted:
        possible, held = board.possible_nodes(address), board.holding_nodes(address)
        if id(possible) not in rooms_of:
            rooms = tuple(numbers[node.name] for node in possible)
            # The nodes are kept as well: the identity of a tuple that is gone may come again.
            rooms_of[id(possible)] = possible, rooms, frozenset(rooms), {}
        _nodes, rooms, allowed, holders_of = rooms_of[id(possible)]
        if held not in holders_of:
            # Few sets, not one for each address: less to make, less to keep.
            holders_of[held] = frozenset(numbers[node] for node in held if numbers.get(node) in allowed)
        holders = holders_of[held]
        items.append(
            Address(
                groups[name],
                version_of(address),
                rooms,
                holders,
                bool(held),
                domains.get(name, ()),
                weight=board.weight(name),
            )
        )
    return items


def _domains(board, wanted):
    """Return {object name: the failure domain of each room} of the objects that are spread; equal tuples are one."""
    found, shared = {}, {}
    for name, count in Counter(name for name, address in wanted).items():
        domains = board.domains(name) if count > 1 else {}
        if domains:
            found[name] = shared.setdefault(id(domains), tuple(domains.values()))
    return found


def _room(board, node):
    """Return what is left of a node once broken objects have kept theirs."""
    in_all, ipv4 = (_rest(*each) for each in board.limits(node, 4))
    ipv6 = _rest(*board.limits(node, 6)[1])
    return Node(board.weighted_load(node.name), in_all, (ipv4, ipv6))


def _rest(limit, load):
    return None if limit is None else max(0, limit - load)


def _plan(requests, board, claims, unassigned, placement):
    assignments = sorted(board.placed.values(), key=lambda each: (each.name, address_order(each.egress_ip)))
    of_object = {}
    for each in assignments:
        of_object.setdefault(each.name, []).append(each)
    broken = [{"name": each.name, "errors": list(each.errors)} for each in requests if each.errors]
    names = sorted([*(node.name for node in board.nodes.sound), *board.nodes.broken])
    return Plan(
        egressips=tuple(_with_status(request, of_object.get(request.name, ())) for request in requests),
        assignments=tuple(assignments),
        unassigned=tuple(sorted(unassigned, key=lambda each: (each.name, address_order(each.egress_ip)))),
        invalid=(*broken, *board.nodes.invalid),
        moves=tuple(_moves(board, claims, placement.for_balance)),
        load={name: board.load(name) for name in names},
        warnings=(*board.nodes.warnings(), *_several_holders(board, claims)),
        weighted=_weighted(board, names, placement) if board.is_weighted else None,
    )


def _weighted(board, names, placement):
    load = {name: board.weighted_load(name) for name in names}
    squares = sum(each * each for each in load.values())
    return Weighted(load, squares, squares if placement.at_least is None else placement.at_least, placement.proven)


def _with_status(request, assignments):
    """Return the document with what its object got. ``status.items`` gives way, or two lists could disagree."""
    document = request.document
    if not isinstance(document, dict):
        return document
    status = document.get("status") if isinstance(document.get("status"), dict) else {}
    status = {field: value for field, value in status.items() if field != "items"}
    entries = [{"node": each.node, "egressIP": each.egress_ip} for each in assignments]
    return {**document, "status": {**status, "assignments": entries}}


def _moves(board, claims, for_balance):
    """Return a Move for each address that goes to another node, in order of addresses.

    Of the moves that no node's state explains, all but ``for_balance`` were needed to place and spread most addresses.
    """
    moves, optional = [], []
    held = [(address, board.holding_nodes(address)) for address in board.placed]
    moved = [(address, nodes) for address, nodes in held if nodes and board.placed[address].node not in nodes]
    for address, nodes in sorted(moved, key=lambda pair: address_order(pair[0])):
        reasons = {name: board.why_leave(name, address) for name in nodes}
        origin = next((name for name in nodes if reasons[name] is None), nodes[0])
        move = Move(address, origin, board.placed[address].node, reasons[origin] or REBALANCE)
        (moves if reasons[origin] else optional).append(move)
    needed = max(0, len(optional) - for_balance)
    if needed:
        staying = _count_staying(board, claims)
        causes = {move: _why_move(board, staying, move, claims[move.egress_ip][0].name) for move in optional}
        optional.sort(key=lambda move: _NEEDS.index(causes[move]))
        optional[:needed] = [
            Move(move.egress_ip, move.from_node, move.to_node, causes[move]) for move in optional[:needed]
        ]
    return sorted(moves + optional, key=lambda move: address_order(move.egress_ip))


def _count_staying(board, claims):
    """Count what each node holds and could keep, in all, of an IP version, of an object, and of one in its domain.

    The keys are (node, None), (node, IP version), (node, object) and (failure domain, object).
    """
    counts = Counter()
    for address, found in claims.items():
        for node in board.holding_nodes(address) if found else ():
            if board.why_leave(node, address) is None:
                name = found[0].name
                domain = board.domains(name).get(node)
                counts.update([(node, None), (node, version_of(address)), (node, name), (domain, name)])
    return counts


def _why_move(board, staying, move, owner):
    """Return which rule the node that loses an address of ``owner`` would have broken, had everybody stayed."""
    node, version = move.from_node, version_of(move.egress_ip)
    capacity = board.node(node).capacity
    if _exceeds(staying[node, None], capacity.ip) or _exceeds(staying[node, version], capacity.of_family(version)):
        return CAPACITY_EXCEEDED
    if staying[node, owner] > 1:
        return SAME_OBJECT
    domain = board.domains(owner).get(node)
    return SAME_DOMAIN if domain is not None and staying[domain, owner] > 1 else MAKE_ROOM


def _exceeds(count, limit):
    return limit is not None and count > limit


def _several_holders(board, claims):
    """Return a line for each address that more than one node holds: a fault that the plan ends."""
    lines = []
    for address in sorted((each for each in claims if len(board.holding_nodes(each)) > 1), key=address_order):
        keeper = board.placed[address].node if address in board.placed else "none of them"
        lines.append(f"{address} is held by {' and by '.join(board.holding_nodes(address))}; {keeper} is to hold it")
    return lines
