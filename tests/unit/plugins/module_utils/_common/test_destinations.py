# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import ipaddress

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.destinations import (
    Destinations,
    in_force,
    objects_by_network,
)
from hypothesis import given
from hypothesis import strategies as st

ANY = Destinations()
STORIES = {
    "everywhere": ([("a", ANY)], {"0.0.0.0/0": "a"}),
    "one network": ([("a", Destinations(("10.0.0.0/8",)))], {"10.0.0.0/8": "a"}),
    "all but one": (
        [("a", Destinations((), ("128.0.0.0/2",)))],
        {"0.0.0.0/1": "a", "192.0.0.0/2": "a"},
    ),
    "the longest prefix wins": (
        [("a", Destinations(("10.0.0.0/8",))), ("b", Destinations(("10.128.0.0/9",)))],
        {"10.0.0.0/9": "a", "10.128.0.0/9": "b"},
    ),
    "of equal ones the first": (
        [("a", Destinations(("10.0.0.0/8",))), ("b", Destinations(("10.0.0.0/8", "11.0.0.0/8")))],
        {"10.0.0.0/8": "a", "11.0.0.0/8": "b"},
    ),
    "what one leaves alone is the other's": (
        [("a", Destinations(("10.0.0.0/8",), ("10.0.0.0/9",))), ("b", Destinations(("8.0.0.0/5",)))],
        {"8.0.0.0/7": "b", "10.0.0.0/9": "b", "10.128.0.0/9": "a", "11.0.0.0/8": "b", "12.0.0.0/6": "b"},
    ),
    "an exclusion says nothing about a longer prefix of another": (
        [("a", Destinations((), ("0.0.0.0/1",))), ("b", Destinations(("10.0.0.0/8",)))],
        {"10.0.0.0/8": "b", "128.0.0.0/1": "a"},
    ),
    "of another version": ([("a", Destinations(("2001:db8::/32",)))], {}),
}


@pytest.mark.parametrize("story", STORIES)
def test_choices(story):
    objects, expected = STORIES[story]
    assert objects_by_network(objects, 4) == expected


def test_ipv6():
    assert objects_by_network([("a", Destinations((), ("8000::/1",)))], 6) == {"::/1": "a"}
    assert objects_by_network([("a", Destinations(("10.0.0.0/8",)))], 6) == {}


@pytest.mark.parametrize(
    ("destinations", "is_empty"),
    [
        (ANY, False),
        (Destinations((), ("0.0.0.0/0",)), False),
        (Destinations((), ("0.0.0.0/0", "::/0")), True),
        (Destinations(("10.0.0.0/8",), ("10.0.0.0/9", "10.128.0.0/9")), True),
    ],
)
def test_nowhere(destinations, is_empty):
    assert destinations.is_empty is is_empty


def test_objects_that_never_have_a_say():
    some = Destinations(("10.0.0.0/8",))
    objects = [("a", some), ("b", ANY), ("c", ANY), ("d", some)]
    assert in_force(objects) == [("a", some), ("b", ANY), ("d", some)]
    assert objects_by_network(objects, 4) == objects_by_network(in_force(objects), 4)


@st.composite
def networks(draw):
    # Few bits, so that networks meet.
    length = draw(st.integers(0, 5))
    return f"{draw(st.integers(0, 2**length - 1)) << (8 - length)}.0.0.0/{length}" if length else "0.0.0.0/0"


def _lists():
    return st.lists(networks(), max_size=4, unique=True).map(tuple)


OBJECTS = st.lists(st.builds(Destinations, _lists(), _lists()), min_size=1, max_size=4).map(
    lambda found: [(f"o{n}", destinations) for n, destinations in enumerate(found)]
)


def _applies(destinations, address):
    """Return the length of the longest prefix by which the object applies, None when it does not."""
    if any(address in ipaddress.ip_network(text) for text in destinations.excluded):
        return None
    lengths = [
        network.prefixlen
        for network in map(ipaddress.ip_network, destinations.networks or ("0.0.0.0/0",))
        if address in network
    ]
    return max(lengths, default=None)


@given(objects=OBJECTS)
def test_every_address_follows_the_object_that_the_rules_name(objects):
    found = {ipaddress.ip_network(text): name for text, name in objects_by_network(objects, 4).items()}
    for value in range(0, 256, 8):
        address = ipaddress.IPv4Address(value << 24)
        lengths = [(-length, n) for n, (_name, d) in enumerate(objects) if (length := _applies(d, address)) is not None]
        expected = [objects[min(lengths)[1]][0]] if lengths else []
        assert [name for network, name in found.items() if address in network] == expected
    assert objects_by_network(in_force(objects), 4) == objects_by_network(objects, 4)
