# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The value that travels from the plan to a node: its dict form, its errors, the numbers of its egress IPs.

golden/node_state/CASE holds state.yml, what a module is given, and errors.yml, what is wrong with it, or normal.yml,
the form in which it comes back.
"""

from __future__ import annotations

import copy
import hashlib
import json
from dataclasses import replace

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.addresses import VERSIONS, of_version
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import (
    EgressIPError,
    InvalidError,
    NodeStateError,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.node_state import (
    Held,
    LocalPod,
    NodeState,
    allocate_marks,
    slots,
)
from hypothesis import given
from hypothesis import strategies as st
from states import EGRESS_IPS, egress_object, held, node_state, node_states

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)


@pytest.mark.golden("node_state")
def test_from_dict(golden):
    value = copy.deepcopy(golden["state"][0])
    if "errors" in golden:
        with pytest.raises(InvalidError) as caught:
            NodeState.from_dict(value)
        golden.check("errors.yml", list(caught.value.errors))
    else:
        golden.check("normal.yml", NodeState.from_dict(value).to_dict())
    assert value == golden["state"][0]


@given(node_states())
def test_the_dict_form_comes_back(state):
    value = json.loads(json.dumps(state.to_dict()))
    assert NodeState.from_dict(value) == state
    assert NodeState.from_dict(value).digest() == state.digest()


@given(node_states(), node_states())
def test_equal_digests_ask_for_equal_nodes(first, second):
    same = {**first.to_dict(), "generation": 0} == {**second.to_dict(), "generation": 0}
    assert (first.digest() == second.digest()) == same


@given(node_states())
def test_the_digest_covers_all_fields_but_the_generation(state):
    content = json.dumps({**state.to_dict(), "generation": 0}, sort_keys=True)
    assert state.digest() == hashlib.sha256(content.encode()).hexdigest()[:16]


def test_the_digest_of_long_lists_that_states_share():
    pods = tuple(LocalPod(f"10.88.{n // 250}.{n % 250}", ()) for n in range(300))
    state = replace(node_state(), pods=pods)
    for each in (state, replace(state, name="node2"), replace(state, pods=pods[1:]), replace(state, pods=pods)):
        content = json.dumps({**each.to_dict(), "generation": 0}, sort_keys=True)
        assert each.digest() == hashlib.sha256(content.encode()).hexdigest()[:16]


def test_states_share_the_dict_forms_of_their_entries():
    state = node_state()
    first, second = state.to_dict(), replace(state, name="node2").to_dict()
    for key in ("nodes", "egressips", "pods", "held"):
        assert first[key]
        assert all(one is other for one, other in zip(first[key], second[key], strict=True))


@given(st.sampled_from(sorted(NodeState.__dataclass_fields__)), JSON)
def test_a_wrong_value_is_an_error_and_never_a_traceback(key, wrong):
    value = {**node_state().to_dict(), key: wrong}
    try:
        state = NodeState.from_dict(value)
    except EgressIPError as error:
        assert str(error).startswith("state.")
    else:
        assert NodeState.from_dict(state.to_dict()) == state


@given(
    st.sampled_from(["nodes", "egressips", "pods", "held"]),
    st.sampled_from(["name", "address", "addresses", "egressIPs", "slots", "egressips", "egressIP", "interface"]),
    JSON,
)
def test_a_wrong_value_in_a_list_is_an_error_and_never_a_traceback(key, field, wrong):
    value = node_state().to_dict()
    value[key][0][field] = wrong
    try:
        NodeState.from_dict(value)
    except EgressIPError as error:
        assert str(error).startswith("state.")


@pytest.mark.parametrize("value", [None, 5, "x", []])
def test_a_state_that_is_no_mapping(value):
    with pytest.raises(NodeStateError, match=r"^state: must be a mapping, not "):
        NodeState.from_dict(value)


def test_holding():
    state = node_state().holding([Held("192.168.126.102", "eth1"), Held("192.168.126.101", "eth0")])
    assert [item.to_dict() for item in state.held] == [
        *held("192.168.126.101"),
        *held("192.168.126.102", interface="eth1"),
    ]


def test_egress_ips_are_sorted_by_value_and_named_once():
    objects = [egress_object("a", ["192.168.126.110", "192.168.126.9"]), egress_object("b", ["192.168.126.9"])]
    assert node_state(egressips=objects, pods=[], held=[]).egress_ips == ("192.168.126.9", "192.168.126.110")


NUMBERS = st.dictionaries(st.sampled_from(EGRESS_IPS), st.integers(1, 12))


@given(st.lists(st.sampled_from(EGRESS_IPS), unique=True), NUMBERS, st.integers(1, 12))
def test_marks_stay_and_never_collide(egress_ips, current, max_index):
    current = dict(zip(current, dict.fromkeys(current.values()), strict=False))
    if len(egress_ips) > max_index:
        with pytest.raises(NodeStateError, match=r"^egress_ip_mark_mask: has room for"):
            allocate_marks(egress_ips, current, max_index)
        return
    marks = allocate_marks(egress_ips, current, max_index)
    assert set(marks) == set(egress_ips)
    assert len(set(marks.values())) == len(marks)
    assert all(1 <= index <= max_index for index in marks.values())
    assert all(marks[ip] == current[ip] for ip in marks if ip in current and current[ip] <= max_index)
    given_up = {index for ip, index in current.items() if marks.get(ip) != index and index <= max_index}
    used_again = given_up & set(marks.values())
    untouched = set(range(1, max_index + 1)) - set(current.values()) - set(marks.values())
    assert not (used_again and untouched)


def test_many_marks_are_numbered_quickly():
    egress_ips = [f"10.{i >> 8}.{i & 255}.1" for i in range(8191)]
    assert sorted(allocate_marks(egress_ips, {}, 8191).values()) == list(range(1, 8192))


@given(st.lists(st.sampled_from(EGRESS_IPS), unique=True, min_size=1), st.data())
def test_losing_an_address_moves_only_its_share(egress_ips, data):
    assigned = data.draw(st.sets(st.sampled_from(egress_ips), min_size=1))
    lost = data.draw(st.sampled_from(sorted(assigned)))
    before, after = slots(egress_ips, assigned), slots(egress_ips, assigned - {lost})
    assert set(before) == assigned
    for version in VERSIONS:
        own, old, new = (of_version(items, version) for items in (egress_ips, before, after))
        assert all(b == a for ip, b, a in zip(own, old, new, strict=False) if ip in assigned and ip != lost)
    assert set(after) == assigned - {lost}


def test_slots_of_nothing_assigned():
    assert slots(("a", "b"), set()) == ()
