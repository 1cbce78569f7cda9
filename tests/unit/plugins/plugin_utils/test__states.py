# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""States of many nodes: what is equal is there once, and every state comes back as it was."""

from __future__ import annotations

import json

from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.manifests import Manifests, read_manifests
from ansible_collections.netops.egress_ip.plugins.plugin_utils._states import (
    packed,
    unpacked,
    with_pods_as_text,
    without_records,
)
from hypothesis import given
from hypothesis import strategies as st
from playbook_fleet import egressip, pod

FIELDS = ("name", "generation", "pods", "egressips", "options", "failover")
STATES = st.dictionaries(
    st.sampled_from(["node1", "node2", "node3", "node4", "node5"]),
    st.dictionaries(st.sampled_from(FIELDS), st.lists(st.sampled_from(["a", {"b": 1}]), max_size=1)),
)


@given(STATES)
def test_every_state_comes_back(states):
    assert unpacked(json.loads(json.dumps(packed(states)))) == states


@given(STATES)
def test_a_field_that_most_states_share_is_there_once(states):
    made = packed(states)
    for field, value in made["shared"].items():
        sharing = [name for name, state in states.items() if state[field] == value]
        assert 2 * len(sharing) > len(states)
        assert all(field not in made["states"][name] for name in sharing)


def test_one_node_with_another_value_has_a_field_of_its_own():
    states = {f"node{n}": {"name": f"node{n}", "pods": [], "egressips": ["web"]} for n in range(1, 4)}
    states["node1"]["egressips"] = ["db"]
    made = packed(states)
    assert made["shared"] == {"egressips": ["web"]}
    assert made["states"] == {
        "node1": {"name": "node1", "pods": [], "egressips": ["db"]},
        "node2": {"name": "node2", "pods": []},
        "node3": {"name": "node3", "pods": []},
    }


def test_a_fleet_without_the_records_of_its_nodes():
    fleet = {"observed": {"node1": {"held": [], "nodes": [{"name": "node2"}]}}, "generation": 3}
    assert without_records(fleet) == {"observed": {"node1": {"held": []}}, "generation": 3}
    assert "nodes" in fleet["observed"]["node1"]


def test_without_states():
    assert packed({}) == {"shared": {}, "states": {}}
    assert unpacked(packed({})) == {}


def test_pods_travel_as_a_text():
    items = [pod("a", "10.88.0.2", "node1"), egressip("web", "10.0.99.1")]
    made = read_manifests([{"source": "x", "document": each} for each in items])
    sent = with_pods_as_text(made.to_dict(), made.pods)
    assert isinstance(sent["pods"], str)
    assert with_pods_as_text(sent, ()) == sent == made.to_short_dict()
    assert Manifests.from_dict(sent) == Manifests.from_dict(made.to_dict())
    assert [each.name for each in Manifests.from_dict(sent).pods] == ["a"]
