# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The failover part of a node's state; its dict form and errors are in golden/node_state/failover*."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import EgressIPError, Errors
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.failover import (
    Ends,
    Failover,
    Limits,
    Peer,
    Standby,
    read_standbys,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.node_state import NodeState
from hypothesis import given
from hypothesis import strategies as st
from states import node_state

NODES = [Peer(f"node{i}", f"192.168.126.2{i}", f"02:00:00:00:00:0{i}") for i in (1, 2, 3)]
STANDBY = Standby("192.168.126.101", "eth0", (NODES[1], NODES[2], NODES[0]))
ENDS = (Ends("192.168.126.101", (("node1", ""), ("node2", "192.168.126.22"))),)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)


@pytest.mark.parametrize(
    ("limits", "allowed"),
    [
        (Limits(), True),
        (Limits(ip=3), True),
        (Limits(ip=2), False),
        (Limits(ipv4=2, ipv6=1), True),
        (Limits(ipv4=1), False),
        (Limits(ip=5, ipv6=0), False),
    ],
)
def test_limits(limits, allowed):
    assert limits.allow({4: 2, 6: 1}) is allowed


def test_a_state_without_failover_has_none_of_its_keys():
    assert not {"failover", "standbys"} & {*node_state().to_dict()}


def test_failover_is_part_of_the_digest():
    settings = Failover(0.2).to_dict()
    states = [node_state(failover=settings), node_state(failover=settings, standbys=[STANDBY.to_dict()])]
    assert len({node_state().digest(), *(state.digest() for state in states)}) == 3


def test_standbys_need_failover():
    with pytest.raises(EgressIPError, match="state.standbys: must be left out without failover"):
        node_state(standbys=[STANDBY.to_dict()])


@given(st.sampled_from(["after", "strict", "witnesses", "capacity", "key", "ends"]), JSON)
def test_a_wrong_setting_is_an_error_and_never_a_traceback(key, wrong):
    errors = Errors()
    found = Failover.from_dict({**Failover(0.2).to_dict(), key: wrong}, "failover", errors)
    assert errors.found or Failover.from_dict(found.to_dict(), "failover", errors) == found
    assert all(line.startswith(f"failover.{key}") for line in errors.found)


@given(st.sampled_from(["egressIP", "interface", "order"]), JSON)
def test_a_wrong_standby_is_an_error_and_never_a_traceback(key, wrong):
    errors = Errors()
    found = read_standbys([{**STANDBY.to_dict(), key: wrong}], "standbys", "node1", errors)
    assert errors.found or found == (STANDBY,)


@given(st.sampled_from(["name", "address", "mac"]), JSON)
def test_a_wrong_peer_is_an_error_and_never_a_traceback(key, wrong):
    errors = Errors()
    value = STANDBY.to_dict()
    value["order"][0][key] = wrong
    read_standbys([value], "standbys", "node1", errors)
    assert all(line.startswith("standbys[0].order") for line in errors.found)


def test_the_dict_form_comes_back():
    state = node_state(
        failover=Failover(2.0, True, ("192.168.126.1",), Limits(ip=3), "0123456789abcdef", ENDS).to_dict(),
        standbys=[STANDBY.to_dict()],
    )
    assert NodeState.from_dict(state.to_dict()) == state


@pytest.mark.parametrize(
    ("ends", "error"),
    [
        ([{"egressIP": "x", "ends": {}}], "failover.ends[0].egressIP"),
        ([{"egressIP": "192.168.126.101"}], "failover.ends[0].ends"),
        ([{"egressIP": "192.168.126.101", "ends": {"node1": 7}}], "failover.ends[0].ends.node1"),
        ([{"egressIP": "192.168.126.101", "ends": {"node1": "node1"}}], "failover.ends[0].ends.node1"),
        ([7], "failover.ends[0]"),
    ],
)
def test_a_wrong_end_is_an_error_with_its_path(ends, error):
    errors = Errors()
    Failover.from_dict({"after": 0.2, "ends": ends}, "failover", errors)
    assert [line.partition(": ")[0] for line in errors.found] == [error]
