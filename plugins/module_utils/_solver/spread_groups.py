# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Items that a packing keeps apart over failure domains. PRIVATE to the collection.

A team is the items of one group that have ``domains`` and the same rooms. Which of them is where makes no difference
but for homes; and if each has one home at most, as many as there are teammates' homes in use can be at home. So to a
packing they are alike, at home where any of them is, and ``named`` says in the end who is who. That makes them a flow:
from the team into a domain, at a price for each but the first, and from there into the domain's rooms.
"""

from __future__ import annotations


class Team:
    """``members``: items in order; ``rooms``: where they may be, in order; ``homes``: rooms where any of them is now.

    ``domains``: the domain of each room; ``parts[domain]``: its rooms in order, those under None are all, equal for all
    teams of one ``layout``. ``count[domain]``: how many of the group the team finds there, itself included.
    """

    def __init__(self, number, layout, parts, item):
        self.number = number
        self.layout = layout
        self.parts = parts
        self.rooms = parts[None]
        self.domains = item.domains
        self.members = []
        self.homes = frozenset()
        self.taken = item.taken
        self.count = dict.fromkeys(item.taken, 1)

    def domain(self, room):
        """Return the domain of a room, None for nowhere."""
        return self.domains[room] if room < len(self.domains) else None

    def is_in(self, domain):
        """Tell whether one of the group is in a domain, so that one more would be beyond the first."""
        return self.count.get(domain, 0) > 0

    def is_crowded(self, domain):
        """Tell whether more than one of the group is in a domain."""
        return self.count.get(domain, 0) > 1

    def occupied(self):
        """Return the domains where one of the group is."""
        return [domain for domain, count in self.count.items() if count]

    def add(self, room, change):
        """Count a member that enters a room (1) or leaves it (-1)."""
        domain = self.domain(room)
        if domain is not None:
            self.count[domain] = self.count.get(domain, 0) + change


def read_teams(packing):
    """Return the Teams of a packing, whose kinds, doors and homes are known.

    Families that have doors of their own in one of the rooms are no team, nor is an item with several homes one with
    others: which of them are at home could then not be left open.
    """
    items, teams, layouts, same = packing.items, {}, {}, _interchangeable(packing)
    for number, item in enumerate(items):
        if item.domains:
            kind = packing.kind[number]
            alone = number if len(packing.homes[number]) > 1 else None
            key = item.group, same[kind], alone
            if key not in teams:
                layout = kind, id(item.domains)
                if layout not in layouts:
                    layouts[layout] = len(layouts), _parts(packing.choices[kind], item.domains)
                teams[key] = Team(len(teams), *layouts[layout], item)
            teams[key].members.append(number)
    for team in teams.values():
        team.homes = frozenset().union(*(packing.homes[one] for one in team.members))
    return list(teams.values())


def _interchangeable(packing):
    """Return for each kind what kinds have in common whose items may take each other's places."""
    numbers = {}
    keys = (
        (rooms, family if any(room in packing.family_doors for room in rooms) else None)
        for rooms, family in zip(packing.choices, packing.families)
    )
    return [numbers.setdefault(key, len(numbers)) for key in keys]


def _parts(rooms, domains):
    parts = {None: rooms}
    for room in rooms:
        parts.setdefault(domains[room], []).append(room)
    return parts


def meetings(packing, placement):
    """Return {(group, domain): its teams} where teams meet in a domain, which a packing does not see, in order."""
    found = {}
    for team in packing.teams:
        for domain in {team.domains[placement[one]] for one in team.members if placement[one] is not None}:
            if domain not in team.taken:
                found.setdefault((packing.items[team.members[0]].group, domain), []).append(team)
    return {key: found[key] for key in sorted(found) if len(found[key]) > 1}


def named(items, team, rooms):
    """Return [(member, room)] of a team whose members are in ``rooms``: each at home if that is free, else in order."""
    left, found, others = sorted(rooms), [], []
    for member in team:
        homes = items[member].holders.intersection(left)
        if homes:
            home = min(homes)
            left.remove(home)
            found.append((member, home))
        else:
            others.append(member)
    return [*found, *zip(others, left)]
