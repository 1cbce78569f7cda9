# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where each egress IP goes if its node is lost before the next run. PRIVATE to the collection. Pure.

The first standby of an address is the best one if its node alone is lost and all other addresses stay;
``_solver.one_loss`` has the order of the objectives. The next two are spares, chosen in this order: the spares of the
last plan, the least loaded of the nodes that watch the lost node anyway, the least loaded of the others.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from .._common.addresses import address_order, canonical_address, parsed, version_of
from .._common.errors import PlanError
from .._common.messages import listed, type_name
from .._solver.one_loss import Lost, NodeRing, reassign
from .candidates import Candidates
from .nodes import Node
from .plan import Assignment, StandbyOrder, Standbys, WithoutStandby
from .problem import solver_node

# The most standbys of an address.
_RANKS = 3
# The most nodes that one node watches.
MOST_WATCHED = 32
_NAMES_SHOWN = 5


@dataclass(frozen=True)
class StandbyRules:
    """Which addresses and nodes take part, and what the last plan was.

    ``unwatched`` {node: reason}: its addresses have no standby. ``unable`` {node: reason}: it is no standby. With
    ``secondary``, addresses on other interfaces than the primary one have standbys too; that needs a way to inform all
    nodes where the tunnel of such an address ends after a takeover. ``blind`` {(node, interface): reason}: of these
    interfaces, those on which a node can neither watch nor be watched. ``last`` {egress IP: its nodes}: the last order.
    """

    unwatched: Mapping[str, str] = field(default_factory=dict)
    unable: Mapping[str, str] = field(default_factory=dict)
    secondary: bool = False
    blind: Mapping[tuple[str, str], str] = field(default_factory=dict)
    last: Mapping[str, Sequence[str]] = field(default_factory=dict)


def orders_of(standbys: object) -> dict[str, list[str]]:
    """Return {egress IP: order} of a list of ``{egressIP, order}``. Raises PlanError if it has another form."""
    if not isinstance(standbys, (list, tuple)):
        raise PlanError(f"standbys: must be a list, not {type_name(standbys)}")
    orders = {}
    for index, entry in enumerate(standbys):
        order = entry.get("order") if isinstance(entry, Mapping) else None
        if not isinstance(order, (list, tuple)) or not isinstance(entry.get("egressIP"), str):
            raise PlanError(f"standbys[{index}]: must be a mapping with egressIP and order, not {type_name(entry)}")
        orders[canonical_address(entry["egressIP"], f"standbys[{index}].egressIP")] = [str(name) for name in order]
    return orders


def plan_standbys(candidates: Candidates, broken: Collection[str], rules: StandbyRules) -> Standbys:
    """Return the Standbys of the addresses that are placed in ``candidates``; ``broken`` names objects with errors."""
    return _Planner(candidates, broken, rules).plan()


class _Address(NamedTuple):
    assignment: Assignment
    lost: Lost


class _Owner(NamedTuple):
    """An object: the nodes with one of its addresses, its weight, and, if it is spread, the domain of each node."""

    taken: frozenset[int]
    weight: int
    domains: tuple[int, ...]


class _Planner:
    """``addresses``: {number of a node: what it would lose}; ``watchers``: {number of a node: who would claim that}."""

    def __init__(self, candidates: Candidates, broken: Collection[str], rules: StandbyRules) -> None:
        self.candidates, self.broken, self.rules = candidates, broken, rules
        self.nodes = candidates.nodes.valid
        self.numbers = {node.name: number for number, node in enumerate(self.nodes)}
        self.primary = {node.name: node.networks[0].interface for node in self.nodes if node.networks}
        self.kinds = _Kinds(candidates, self.numbers, rules)
        self.without: dict[str, str] = {}
        self.orders: dict[str, list[int]] = {}
        self.placed = sorted(candidates.placed.values(), key=lambda each: address_order(each.egress_ip))
        self.addresses = self._addresses()
        self.fleet = NodeRing([solver_node(candidates, node) for node in self.nodes], self.kinds.nodes)
        self.watchers: dict[int, dict[int, None]] = {}
        self.watched: Counter[int] = Counter()

    def plan(self) -> Standbys:
        """Return the Standbys."""
        for number in sorted(self.addresses):
            self._find_first(number)
        for number in sorted(self.watchers):
            _Spares(self, number).find()
        name_of = [node.name for node in self.nodes].__getitem__
        found = [
            StandbyOrder(each.egress_ip, (*map(name_of, self.orders[each.egress_ip]), each.node))
            for each in self.placed
            if each.egress_ip in self.orders
        ]
        without = sorted(self.without.items(), key=lambda item: address_order(item[0]))
        return Standbys(tuple(found), tuple(WithoutStandby(*item) for item in without))

    def _addresses(self) -> dict[int, list[_Address]]:
        """Return what each node would lose, in the order of addresses; note the addresses without a standby."""
        owners = self._owners()
        found: dict[int, list[_Address]] = {}
        for each in self.placed:
            reason = self._why_not(each)
            if reason:
                self.without[each.egress_ip] = reason
            else:
                holder = self.numbers[each.node]
                found.setdefault(holder, []).append(_Address(each, self._lost(each, holder, owners[each.name])))
        return found

    def _owners(self) -> dict[str, _Owner]:
        """Return {name: _Owner} of the objects with placed addresses."""
        nodes: dict[str, list[int]] = {}
        for each in self.placed:
            nodes.setdefault(each.name, []).append(self.numbers[each.node])
        return {name: self._owner(name, frozenset(taken)) for name, taken in nodes.items()}

    def _owner(self, name: str, taken: frozenset[int]) -> _Owner:
        weight = self.candidates.annotations(name).weight if self.candidates.is_weighted else 1
        return _Owner(taken, weight, self.kinds.domains(name) if len(taken) > 1 else ())

    def _lost(self, each: Assignment, holder: int, owner: _Owner) -> Lost:
        last = self.rules.last.get(each.egress_ip)
        number = self.numbers.get(last[0]) if last else None
        lost = Lost(version_of(each.egress_ip), self.kinds.number_of(each.egress_ip), owner.taken, number, owner.weight)
        if not owner.domains:
            return lost
        overlap = Counter(owner.domains[other] for other in owner.taken if other != holder)
        return lost._replace(domains=owner.domains, overlap=overlap)

    def _why_not(self, each: Assignment) -> str:
        """Return why an address has no standby on any node, empty if it may have one."""
        if each.node in self.rules.unwatched:
            return self.rules.unwatched[each.node]
        if each.name in self.broken:
            return f"egressip/{each.name} has errors"
        if each.interface == self.primary[each.node]:
            return ""
        place = f"it is on {each.interface} of {each.node}"
        if not self.rules.secondary:
            return f"{place}, which is not the primary interface"
        reason = self.rules.blind.get((each.node, each.interface))
        return f"{place}, {reason}" if reason else ""

    def _find_first(self, number: int) -> None:
        """Find the first standby of each address of a node."""
        addresses = self.addresses[number]
        for (each, lost), node in zip(addresses, reassign(self.fleet, number, [lost for _each, lost in addresses])):
            if node is None:
                self.without[each.egress_ip] = self._why_none(number, each, lost)
            else:
                self.orders[each.egress_ip] = [node]
                self.watch(number, node)

    def watch(self, number: int, watcher: int) -> None:
        """Let a node watch another one; a node that watches enough others watches no more."""
        watchers = self.watchers.setdefault(number, {})
        if watcher not in watchers:
            watchers[watcher] = None
            self.watched[watcher] += 1
            if self.watched[watcher] == MOST_WATCHED:
                self.fleet.closed.add(watcher)

    def last_order(self, egress_ip: str) -> list[int]:
        """Return the nodes of the last order that exist."""
        names = self.rules.last.get(egress_ip)
        return [self.numbers[name] for name in names if name in self.numbers] if names else []

    def _why_none(self, number: int, each: Assignment, lost: Lost) -> str:
        """Return why no node can be the standby of an address."""
        found: dict[str, list[str]] = {}
        for node in sorted(self.kinds.nodes[lost.kind] - {number}):
            found.setdefault(self._obstacle(node, each, lost), []).append(self.nodes[node].name)
        for name, reason in self.kinds.unable(each.egress_ip):
            found.setdefault(reason, []).append(name)
        return (
            "; ".join(f"{reason}: {listed(names, _NAMES_SHOWN)}" for reason, names in found.items())
            or "no other node can hold it"
        )

    def _obstacle(self, node: int, each: Assignment, lost: Lost) -> str:
        if node in lost.taken:
            return f"with another address of egressip/{each.name}"
        if node in self.fleet.closed:
            return f"watching {MOST_WATCHED} nodes already"
        return "at capacity"


class _Spares:
    """The standbys after the first one of all addresses of one node.

    ``watchers``: the nodes that watch it; ``ranked``: those by their load, as distances in the ring.
    """

    def __init__(self, planner: _Planner, number: int) -> None:
        self.planner, self.number, self.fleet = planner, number, planner.fleet
        self.watchers = planner.watchers[number]
        orders = ((planner.orders.get(each.egress_ip), lost) for each, lost in planner.addresses[number])
        claims = [(order[0], lost.family) for order, lost in orders if order]
        # What the first standbys claim of this node.
        self.added = Counter(node for node, _family in claims)
        self.added_of_family = Counter(claims if self.fleet.limits_families else ())
        self.ranked = self._rank()

    def find(self) -> None:
        """Add spares to the order of each address of the node."""
        for each, lost in self.planner.addresses[self.number]:
            order = self.planner.orders.get(each.egress_ip)
            if order is None:
                continue
            last = self.planner.last_order(each.egress_ip)
            if last:
                self._add_others(order, lost, last)
            if len(order) < _RANKS:
                self._add(order, lost, self._watching(order[0], lost))
            if len(order) < _RANKS:
                self._add_others(order, lost, self._nearest(lost))

    def _add(self, order: list[int], lost: Lost, nodes: Iterable[int]) -> None:
        """Add those of the nodes that may claim an address, until the order is complete."""
        for node in nodes:
            if node not in order and self._allows(node, lost):
                order.append(node)
                if len(order) == _RANKS:
                    return

    def _rank(self) -> list[list[int]]:
        by_load: dict[int, list[int]] = {}
        for node in self.watchers:
            distance = self.fleet.distance(self.number, node)
            by_load.setdefault(self.fleet.loads[node] + self.added[node], []).append(distance)
        return [sorted(by_load[load]) for load in sorted(by_load)]

    def _watching(self, first: int, lost: Lost) -> Iterable[int]:
        """Return the nodes that watch this one, the best spare of the address first."""
        nodes = self._after(first)
        return sorted(nodes, key=lost.overlap_on) if lost.domains else nodes

    def _after(self, first: int) -> Iterator[int]:
        """Yield nodes of equal load from the first standby on, to spread its addresses if it is lost too."""
        start = self.fleet.distance(self.number, first)
        for distances in self.ranked:
            middle = bisect_right(distances, start)
            for index in range(middle - len(distances), middle):
                yield (self.number + distances[index]) % len(self.fleet.loads)

    def _allows(self, node: int, lost: Lost) -> bool:
        fleet = self.fleet
        return (
            node not in lost.taken
            and node in fleet.kinds[lost.kind]
            and fleet.free[node] > self.added[node]
            and fleet.free_by_family[lost.family][node] > self.added_of_family[node, lost.family]
        )

    def _nearest(self, lost: Lost) -> Iterable[int]:
        """Return the possible nodes of an address, the least loaded first."""
        return (node for node, _place in self.fleet.ranked((lost.kind,), self.number, 1, 1))

    def _add_others(self, order: list[int], lost: Lost, nodes: Iterable[int]) -> None:
        """Add those of the nodes that watch this one or can watch one more, and let them do so."""
        count, closed = len(order), self.fleet.closed
        self._add(order, lost, (node for node in nodes if node in self.watchers or node not in closed))
        added = [node for node in order[count:] if node not in self.watchers]
        for node in added:
            self.planner.watch(self.number, node)
        if added:
            self.ranked = self._rank()


class _Kinds:
    """The sets of possible nodes; addresses in the same networks with the same selectors share one."""

    def __init__(self, candidates: Candidates, numbers: Mapping[str, int], rules: StandbyRules) -> None:
        self.candidates, self.numbers, self.rules = candidates, numbers, rules
        self.nodes: list[frozenset[int]] = []
        self._found: dict[int, int] = {}
        self._domains: dict[str, tuple[int, ...]] = {}

    def number_of(self, egress_ip: str) -> int:
        """Return the number of an address's set in ``nodes``."""
        node_set = self.candidates.node_set(egress_ip)
        if node_set not in self._found:
            self._found[node_set] = len(self.nodes)
            possible = self.candidates.nodes_of(node_set)
            usable = [node for node in possible if not self._why_unable(node, egress_ip)]
            self.nodes.append(frozenset(self.numbers[node.name] for node in usable))
        return self._found[node_set]

    def unable(self, egress_ip: str) -> list[tuple[str, str]]:
        """Return (name, reason) of the nodes that may hold an address, but not as standbys."""
        possible = self.candidates.possible_nodes(egress_ip)
        reasons = [(node.name, self._why_unable(node, egress_ip)) for node in possible]
        return [(name, reason) for name, reason in reasons if reason]

    def _why_unable(self, node: Node, egress_ip: str) -> str:
        if node.name in self.rules.unable:
            return self.rules.unable[node.name]
        if self.rules.secondary and not self.rules.blind:
            return ""
        network = node.network_for(parsed(egress_ip))
        if network is None or network[0] == node.networks[0].interface:
            return ""
        if not self.rules.secondary:
            return "with it on another interface than the primary one"
        return self.rules.blind.get((node.name, network[0]), "")

    def domains(self, name: str) -> tuple[int, ...]:
        """Return the failure domain of each node by number for an object; objects with one label share the tuple."""
        label = self.candidates.spread_label(name)
        if label is None:
            return ()
        if label not in self._domains:
            by_name = self.candidates.domains(name)
            self._domains[label] = tuple(by_name[node] for node in self.numbers)
        return self._domains[label]
