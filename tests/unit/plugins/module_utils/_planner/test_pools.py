# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pools of addresses: what they contain, exclude and refuse (overlaps and names: test_pool_allocation.py)."""

from __future__ import annotations

import ipaddress
from itertools import islice

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.addresses import parse_network
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import EgressIPError, InvalidError
from ansible_collections.netops.egress_ip.plugins.module_utils._planner import pools
from ansible_collections.netops.egress_ip.plugins.module_utils._planner.pools import read_pools
from hypothesis import given
from hypothesis import strategies as st

OUTSIDE = "is not within one of the pool's ranges; remove it, or correct it"


def networks(*texts):
    return [parse_network(text, "n") for text in texts]


def test_ranges_are_used_in_their_order():
    pool = read_pools({"p": ["10.0.0.20-10.0.0.21", "10.0.0.8/31", "10.0.0.1"]})["p"]
    assert list(pool.addresses(networks("10.0.0.0/24"))) == [f"10.0.0.{n}" for n in (20, 21, 8, 9, 1)]
    assert pool.size == 5


def test_only_addresses_of_the_networks_are_given():
    pool = read_pools({"p": ["10.0.0.250-10.0.1.5"]})["p"]
    assert list(pool.addresses(networks("10.0.1.0/30"))) == [f"10.0.1.{n}" for n in range(4)]
    assert pool.exceeds(networks("10.0.1.0/24"))
    assert not pool.exceeds(networks("10.0.0.0/24", "10.0.1.0/24", "fd00::/64"))


def test_excluded_addresses_are_left_out():
    described = {"ranges": ["10.0.0.0/29", "10.0.0.20-10.0.0.22"], "exclude": ["10.0.0.2-10.0.0.5", "10.0.0.21"]}
    pool = read_pools({"p": described})["p"]
    assert list(pool.addresses(networks("10.0.0.0/24"))) == [f"10.0.0.{n}" for n in (0, 1, 6, 7, 20, 22)]
    assert (pool.contains("10.0.0.6"), pool.contains("10.0.0.3"), pool.contains("10.0.0.21")) == (True, False, False)


def test_free_addresses_are_counted_however_many_there_are():
    pool = read_pools({"p": {"ranges": ["fd00::/64"], "exclude": ["fd00::/65"]}})["p"]
    assert pool.size == 2**63
    inside = networks("fd00::8000:0:0:0/120", "10.0.0.0/8")
    assert pool.free(inside, ["fd00::8000:0:0:1", "fd00::1", "10.0.0.1"]) == 255
    assert next(pool.addresses(inside)) == "fd00::8000:0:0:0"


@pytest.mark.parametrize(
    ("described", "message"),
    [
        ({"ranges": []}, "egress_ip_pools.p.ranges: is empty; a pool needs at least one range or network"),
        ({}, "egress_ip_pools.p.ranges: is empty; a pool needs at least one range or network"),
        ({"ranges": "10.0.0.1"}, "egress_ip_pools.p.ranges: must be a list, not the string '10.0.0.1'"),
        ({"ranges": ["10.0.0.1"], "exclude": ["10.0.0.2"]}, f"egress_ip_pools.p.exclude[0]: {OUTSIDE}"),
        ({"ranges": ["10.0.0.0/30"], "exclude": ["10.0.0.2-10.0.0.4"]}, f"egress_ip_pools.p.exclude[0]: {OUTSIDE}"),
        ({"ranges": ["10.0.0.1"], "exclude": ["fd00::1"]}, f"egress_ip_pools.p.exclude[0]: {OUTSIDE}"),
        (
            {"ranges": ["10.0.0.1"], "exclude": [5]},
            "egress_ip_pools.p.exclude[0]: must be a string, not the integer 5; put it in quotes",
        ),
        ({"ranges": ["10.0.0.1"], "excludes": []}, "egress_ip_pools.p.excludes: unknown field; did you mean exclude?"),
        ("10.0.0.1", "egress_ip_pools.p: must be a list, not the string '10.0.0.1'"),
    ],
)
def test_a_malformed_pool_is_refused(described, message):
    with pytest.raises(InvalidError) as caught:
        read_pools({"p": described})
    assert str(caught.value) == message


def test_without_netaddr_pools_are_refused_with_the_fix(monkeypatch):
    monkeypatch.setattr(pools, "IPSet", None)
    with pytest.raises(EgressIPError, match=r"^egress_ip_pools: needs the .*: python3 -m pip install netaddr$"):
        read_pools({"p": ["10.0.0.1"]})
    assert read_pools({}) == {}


@given(
    st.lists(st.tuples(st.integers(0, 63), st.integers(0, 15)), min_size=1, max_size=4),
    st.sets(st.integers(0, 79)),
    st.integers(26, 32),
)
def test_a_pool_is_the_set_that_its_entries_spell(spans, taken, length):
    base = int(ipaddress.ip_address("10.0.0.0"))
    members = [range(first, first + size + 1) for first, size in spans]
    disjoint = [each for n, each in enumerate(members) if not any(set(each) & set(other) for other in members[:n])]

    def text(value):
        return str(ipaddress.ip_address(base + value))

    pool = read_pools({"p": [f"{text(each[0])}-{text(each[-1])}" for each in disjoint]})["p"]
    network = ipaddress.ip_network(f"10.0.0.0/{length}")
    expected = [value for each in disjoint for value in each if value < network.num_addresses]
    assert list(islice(pool.addresses([network]), 100)) == [text(value) for value in expected]
    assert pool.free([network], map(text, taken)) == len(set(expected) - taken)
    assert pool.exceeds([network]) == (len(expected) < pool.size)
