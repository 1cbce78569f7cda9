# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Of all cheapest packings the first by name. PRIVATE to the collection.

The costs of the last search are a potential: a packing is cheapest too exactly when it comes from this one by steps
that are *tight*, that is, whose price is just the difference of potential. So the items, one after the other, take the
first room to which a cycle of tight steps brings them, and then stay there: no item gives way to a later one.
"""

from __future__ import annotations

from .exchange_cycle import BALANCE, ITEM, Way
from .strong_components import components

# A search that saw more points than this was dear enough to look whether it need ever be made again.
_FAR = 30
# How many points the searches for members of teams may see in all: some seconds.
_POINTS = 1_000_000


def first_by_name(packing, reach, umpire=None):
    """Bring the packing, which ``reach`` proves cheapest, to the first by name that is as cheap.

    Where a packing does not know all rules, an ``umpire`` has the placement to ``start`` from, as cheap too. It is
    asked with ``instead(item, before, after)`` about each change that brings ``item`` to another room, and returns the
    placement to go on with: ``after``, another one where ``item`` has that room, or ``before``.
    """
    ties = _Ties(packing, reach, umpire)
    if umpire is not None:
        ties.change_to(umpire.start)
    for item in range(len(packing.items)):
        ties.seat(item)


class _Ties:
    """The tight steps.

    ``hand[item]`` is the potential of an item whose slot has a lower one than its door; the others have it from their
    doors. ``component[room]``: no cycle of tight steps leaves a component, so no item ever does.
    """

    def __init__(self, packing, reach, umpire):
        self.packing = packing
        self.umpire = umpire
        self.cost = reach.cost
        self.pools = reach.pools
        self.hand = {}
        for item, cost in reach.hand.items():
            if item not in packing.team_of:
                self._note_hand(item, cost)
        self.points_left = _POINTS
        self._tight = {}
        # The rooms that no member of a team can have any more who has no seat yet.
        self._closed = {team.number: set() for team in packing.teams}
        self.component = components(self._room_graph())
        self._open_rooms = {}
        self._unbalanced = set()

    def potential(self, item):
        """Return the least cost at which the item can be had."""
        if item in self.hand:
            return self.hand[item]
        packing, room = self.packing, self.packing.where[item]
        return self.cost[packing.door(item, room)] - packing.price(item, room)

    def _note_hand(self, item, cost):
        packing, room = self.packing, self.packing.where[item]
        if cost + packing.price(item, room) < self.cost[packing.door(item, room)]:
            self.hand[item] = cost
        else:
            self.hand.pop(item, None)

    def _room_graph(self):
        """Return where tight steps lead from each room, with mates in no other's way and no limits on families."""
        packing = self.packing
        graph = {BALANCE: [room for room, bundles in enumerate(packing.bundles) if bundles and self.can_shrink(room)]}
        points = {}
        for room, bundles in enumerate(packing.bundles):
            graph[room] = {BALANCE} if self.can_grow(room) else set()
            for key, bundle in bundles.items():
                if key < 0:
                    graph[room].update(self.pool_of(item) for item in bundle if self.can_be_had(item))
                    continue
                kind, at_home = divmod(key, 2)
                away = kind, self.cost[packing.door_of[kind][room]] + packing.move * at_home
                graph[room].add(points.setdefault(away, ITEM - len(points)))
            for item in packing.strayed[room]:
                graph[room].update(self.homes(item))
        for item in self.hand:
            room = packing.where[item]
            away = packing.kind[item], self.hand[item] + packing.away[item]
            graph[room].update(self.homes(item), [points.setdefault(away, ITEM - len(points))])
            for mate_room in {packing.nowhere, *(packing.where[mate] for mate in packing.places[item].values())}:
                graph[mate_room].add(room)
        for (kind, cost), point in points.items():
            graph[point] = self._tight_rooms(kind, cost)
        for team in packing.teams:
            self._add_pools(graph, team)
        return graph

    def _add_pools(self, graph, team):
        """Add where tight steps lead from the pools of a team, be it instead of its mates in other teams."""
        group = self.packing.items[team.members[0]].group
        others = [each.number for each in self.packing.teams if self.packing.items[each.members[0]].group == group]
        for domain in [*team.count, None]:
            pools = [(number, domain) for number in others if (number, domain) in self.pools]
            rooms = (*self.rooms_from(team, domain)[1], *self.homes_from(team, domain))
            graph[team.number, domain] = {*rooms, *self.pools_from(team, domain), *pools}

    def pool_of(self, item):
        """Return the pool from which a member of a team has its room."""
        team = self.packing.team_of[item]
        return team.number, team.domain(self.packing.where[item])

    def pool(self, team, domain):
        """Return the potential of a pool; where nobody was, it is that of the members without a domain."""
        number = team.number
        return self.pools[number, domain] if (number, domain) in self.pools else self.pools[number, None]

    def can_be_had(self, item):
        """Tell whether a tight step brings a member of a team from its door to its pool."""
        packing, room = self.packing, self.packing.where[item]
        cost = self.cost[packing.door(item, room)] - packing.price(item, room)
        return cost == self.pool(packing.team_of[item], self.pool_of(item)[1])

    def rooms_from(self, team, domain):
        """Return (key, rooms): the rooms to which tight steps lead from a pool, the same for all pools of a key."""
        packing, first = self.packing, team.members[0]
        doors, cost = packing.door_of[packing.kind[first]], self.pool(team, domain) + packing.away[first]
        key = team.layout, domain, cost
        if key not in self._tight:
            rooms = [*team.parts.get(domain, ()), *([packing.nowhere] if domain is None else [])]
            self._tight[key] = [room for room in rooms if self.cost[doors[room]] == cost]
        return key, self._tight[key]

    def homes_from(self, team, domain):
        """Return the homes to which tight steps lead from a pool."""
        cost, doors = self.pool(team, domain), self.packing.door_of[self.packing.kind[team.members[0]]]
        homes = (room for room in team.homes if domain in (None, team.domain(room)))
        return [room for room in homes if self.cost[doors[room]] == cost]

    def has_pool(self, team, domain):
        """Tell whether members come into a domain at another price than into those that nobody was in."""
        return domain is not None and (team.is_in(domain) or (team.number, domain) in self.pools)

    def pools_from(self, team, domain):
        """Return the pools to which tight steps lead from a pool of the same team."""
        cost, crowd = self.pool(team, domain), self.packing.crowd
        if domain is not None:
            return [(team.number, None)] if cost - crowd * team.is_crowded(domain) == self.pool(team, None) else []
        return [
            (team.number, other) for other in team.count if cost + crowd * team.is_in(other) == self.pool(team, other)
        ]

    def _tight_rooms(self, kind, cost):
        packing, doors = self.packing, self.packing.door_of[kind]
        return [room for room in (*packing.choices[kind], packing.nowhere) if self.cost[doors[room]] == cost]

    def class_of(self, kind, cost, room):
        """Return what items have in common to which the same rooms are open: those of ``kind`` that are had at a cost,
        the price of not being at home included, in a component.
        """
        return kind, cost, self.component[room]

    def open_to(self, which):
        """Return the rooms, in order, to which tight steps bring items of a class away from their homes.

        Those are left out that none of them can have any more.
        """
        if which not in self._open_rooms:
            kind, cost, component = which
            self._open_rooms[which] = [r for r in self._tight_rooms(kind, cost) if self.component[r] == component]
        return self._open_rooms[which]

    def homes(self, item):
        """Return the homes to which a tight step brings the item."""
        homes = self.packing.homes[item]
        if not homes:
            return ()
        where, cost = self.packing.where[item], self.potential(item)
        return [home for home in homes if home != where and self.cost[self.packing.door(item, home)] == cost]

    def may_replace(self, item, mate):
        """Tell whether a tight step brings ``item`` to where a mate is, which has to leave."""
        packing, room = self.packing, self.packing.where[mate]
        if item == mate or room not in packing.allowed[packing.kind[item]]:
            return False
        if packing.tenant(item, packing.door(item, room)) != mate:
            return False
        prices = packing.price(item, room) - packing.price(mate, room)
        return self.potential(mate) == self.potential(item) + prices

    def can_grow(self, room):
        """Tell whether a room may bear one more, if another one bears one less."""
        packing = self.packing
        if room == packing.nowhere or packing.is_full(room):
            return False
        return self.cost[room] + packing.next_price(room) == 0

    def can_shrink(self, room):
        """Tell whether a room may bear one less, if another one bears one more."""
        return self.cost[room] == -self.packing.last_price(room)

    def seat(self, item):
        """Bring ``item`` to the first room that it can have, its homes before the others, and keep it there."""
        packing, before = self.packing, self.packing.where[item]
        if before in packing.homes[item] and len(packing.homes[item]) == 1:
            packing.retire(item)
            return
        if item in packing.team_of:
            self._seat_member(item)
            return
        which = self.class_of(packing.kind[item], self.potential(item) + packing.away[item], before)
        closed, out_of_reach = set(), set()
        for room in self._wanted_rooms(item, which):
            if room in out_of_reach:
                continue
            if not packing.bundles[room] and (which in self._unbalanced or not self.can_grow(room)):
                closed.add(room)
                continue
            mate = packing.tenant(item, packing.door(item, room))
            if mate is not None and mate < item:
                continue
            steps = self._change_of_places(item, room)
            if not steps:
                search = Way(self, item)
                if search.finds_way_from(room):
                    steps = search.way()
            if steps and self._try(item, room, steps):
                break
            if not steps:
                out_of_reach.update(self._out_of_reach(item, room, search))
        if packing.where[item] not in packing.homes[item] and item not in self.hand:
            # An item like this one, later, could have those rooms no more: the two could change places.
            closed |= out_of_reach
        self._close(which, closed)
        packing.retire(item)

    def _seat_member(self, item):
        """The same for a member of a team: which of them has which room is free but for their homes."""
        packing, team, before = self.packing, self.packing.team_of[item], self.packing.where[item]
        own = sorted(packing.items[item].holders & team.homes)
        for room in [*own, *(room for room in team.rooms if room not in team.homes)]:
            if room == before:
                break
            if room in self._closed[team.number]:
                continue
            steps = self._ways_in(item, room)
            if steps and self._try(item, room, steps):
                break
        packing.retire(item)

    def _ways_in(self, item, room):
        """Return steps that bring a member of the team of ``item`` into a room, which leave all as cheap; or None."""
        packing, team, before = self.packing, self.packing.team_of[item], self.packing.where[item]
        mate = packing.tenant(item, packing.door(item, room))
        if mate is not None and (mate < item or packing.team_of[mate] is team):
            return None if mate < item else [(item, room), (mate, before)]
        if mate is None and not packing.bundles[room] and not self.can_grow(room):
            return None
        steps = self._exchange(item, room)
        if steps or self.points_left <= 0 or (mate is None and not self._is_near(team, room)):
            return steps
        search = Way(self, item)
        found = search.finds_way_from(room)
        self.points_left -= len(search.came)
        if not found and self.umpire is None:
            self._close_for(team, room, search.rooms_seen())
        return search.way() if found else None

    def _close_for(self, team, room, seen):
        """Note that no way leads from the rooms of a domain that a search has seen, as they would be on it."""
        packing, first, domain = self.packing, team.members[0], team.domain(room)
        self._closed[team.number].update(
            one
            for one in seen
            if one >= 0 and team.domain(one) == domain and packing.tenant(first, packing.door(first, one)) is None
        )

    def _is_near(self, team, room):
        """Tell whether a cycle of tight steps may lead a member of a team into a room."""
        domain = team.domain(room)
        pool = (team.number, domain if (team.number, domain) in self.component else None)
        return self.component[room] == self.component[pool]

    def _exchange(self, item, room):
        """Return the steps by which ``item`` and another one change places, if that is possible for nothing."""
        packing, before = self.packing, self.packing.where[item]
        for one in sorted(one for bundle in packing.bundles[room].values() for one in bundle):
            if before != packing.nowhere and before not in packing.allowed[packing.kind[one]]:
                continue
            steps = [(item, room), (one, before)]
            if packing.shift([(item, before, room), (one, room, before)], 1):
                packing.make([(item, before), (one, room)])
                return steps
        return None

    def _wanted_rooms(self, item, which):
        """Yield the rooms that come before the one of ``item``, to which a tight step brings it, be it for a mate."""
        packing, before = self.packing, self.packing.where[item]
        own, rooms = packing.homes[item], self.open_to(which)
        special = set(self.homes(item))
        if self.hand and packing.places[item]:
            mates = packing.places[item].values()
            special.update(packing.where[mate] for mate in mates if mate in self.hand and self.may_replace(item, mate))
        if special:
            yield from (home for home in sorted(special & own) if before not in own or home < before)
            rooms = sorted(special.difference(own).union(rooms))
        if before not in own:
            for room in rooms:
                if room >= before:
                    break
                yield room

    def _change_of_places(self, item, room):
        """Return the steps by which ``item`` and one that is equal but for its mates change places, mostly possible."""
        packing, before = self.packing, self.packing.where[item]
        if before in packing.homes[item] or room in packing.homes[item] or self.hand:
            return None
        here, there = packing.door(item, before), packing.door(item, room)
        for one in packing.bundles[room].get(2 * packing.kind[item], ()):
            if packing.tenant(item, there) in (None, one) and packing.tenant(one, here) in (None, item):
                return [(item, room), (one, before)]
        return None

    def _out_of_reach(self, item, room, search):
        """Return the rooms from which a search has shown that no way leads to where ``item`` is.

        With mates in the way that is so for this item only. So the search is made once more without them.
        """
        if not search.hindered and not (self.hand and self.packing.places[item]):
            return search.rooms_seen()
        if len(search.came) > _FAR and not self.hand:
            search = Way(self, item, mind_mates=False)
            if not search.finds_way_from(room):
                return search.rooms_seen()
        return ()

    def _close(self, which, rooms):
        """Take rooms off those that items of a class can still have; BALANCE may be one of them."""
        if rooms:
            self._open_rooms[which] = [room for room in self.open_to(which) if room not in rooms]
        if BALANCE in rooms:
            self._unbalanced.add(which)

    def change_to(self, placement):
        """Bring every item where a placement has it that is as cheap."""
        packing = self.packing
        rooms = [packing.nowhere if room is None else room for room in placement]
        self._make([(item, room) for item, room in enumerate(rooms) if room != packing.where[item]])

    def _make(self, steps):
        packing = self.packing
        potentials = [self.potential(item) for item, _target in steps] if self.hand else ()
        packing.make(steps)
        for (item, _target), cost in zip(steps, potentials):
            if item not in packing.team_of:
                self._note_hand(item, cost)

    def _try(self, item, room, steps):
        """Make ``steps``, which bring ``item``, or one of its team, to a room; tell whether it is there in the end."""
        before = self.packing.placement() if self.umpire else None
        self._make(steps)
        self._name_members(item, room, steps)
        if self.umpire:
            self.change_to(self.umpire.instead(item, before, self.packing.placement()))
        return self.packing.where[item] == room

    def _name_members(self, item, room, steps):
        """Name those anew who have no seat yet, in the teams that ``steps`` touch: ``item`` has the room."""
        packing = self.packing
        teams = {packing.team_of[one].number for one, _target in steps if one in packing.team_of}
        for team in (packing.teams[number] for number in sorted(teams)):
            if packing.team_of.get(item) is team and packing.where[item] != room:
                other = packing.tenant(item, packing.door(item, room))
                packing.make([(item, room), (other, packing.where[item])])
            packing.make(packing.renamed([one for one in team.members if one > item]))
