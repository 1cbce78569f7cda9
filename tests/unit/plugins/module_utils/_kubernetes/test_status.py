# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The status of EgressIP objects and the Events of moves."""

from __future__ import annotations

from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.status import (
    ClusterOutcome,
    StatusChange,
    move_event,
    outcome,
    status_changes,
)
from hypothesis import given
from hypothesis import strategies as st

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["metadata", "name", "status", "items", "node", "egressIP"]), inner)
    ),
    max_leaves=20,
)
MOVE = {"egressIP": "192.0.2.2", "from": "node1", "to": "node2", "reason": "drained"}


def stats(**more):
    """Return the data of a report: two addresses of web, one of api."""
    assignments = [
        {"egressIP": f"192.0.2.{n}", "name": name, "node": f"node{n}", "interface": "eth0"}
        for n, name in ((10, "web"), (2, "web"), (3, "api"))
    ]
    return {"assignments": assignments, "conflicts": [], "withheld": [], "moves": [], **more}


def item(number, node=None):
    """Return an item of a status."""
    return {"node": node or f"node{number}", "egressIP": f"192.0.2.{number}"}


def egressip(name, *items):
    """Return an object as a server lists it."""
    return {"metadata": {"name": name, "uid": "u1"}, **({"status": {"items": list(items)}} if items else {})}


def test_nodes_have_the_names_of_the_cluster():
    reached = outcome(stats(moves=[MOVE]), {"node2": "node2.example"})
    assert reached.items == {"web": [item(10), item(2, "node2.example")], "api": [item(3)]}
    assert reached.moves == {"web": [{**MOVE, "to": "node2.example"}]}


def test_an_address_that_was_not_claimed_is_not_in_the_status():
    missing = stats(conflicts=[{"egressIP": "192.0.2.2"}], withheld=[{"egressIP": "192.0.2.3"}], moves=[MOVE])
    assert outcome(missing, {}) == ClusterOutcome({"web": [item(10)]}, {})


def test_only_what_differs_is_written():
    reached = outcome(stats(), {})
    right = [egressip("web", item(10), item(2)), egressip("api", item(3)), egressip("none")]
    assert status_changes("", right, reached) == []
    wrong = [egressip("web", item(2)), egressip("api"), egressip("gone", item(9))]
    assert status_changes("", wrong, reached) == [
        StatusChange("web", "u1", [item(2)], [item(2), item(10)], []),
        StatusChange("api", "u1", [], [item(3)], []),
        StatusChange("gone", "u1", [item(9)], [], []),
    ]


def test_each_cluster_gets_its_own_objects():
    reached = ClusterOutcome({"prod.web": [item(1)], "test.web": [item(2)], "web": [item(3)]}, {})
    for cluster, number in (("prod", 1), ("test", 2), ("", 3)):
        (change,) = status_changes(cluster, [egressip("web")], reached)
        assert change.after == [item(number)]


def test_a_cluster_sees_the_names_of_its_own_nodes():
    moves = [{**MOVE, "from": "a.example.prod", "to": "b.test"}]
    reached = ClusterOutcome({"prod.web": [item(1, "a.example.prod"), item(2, "b.test")]}, {"prod.web": moves})
    (change,) = status_changes("prod", [egressip("web")], reached)
    assert change.after == [item(1, "a.example"), item(2, "b.test")]
    assert [(move["from"], move["to"]) for move in change.moves] == [("a.example", "b.test")]


@given(document=JSON)
def test_malformed_objects_are_written_or_left(document):
    for change in status_changes("", [document], outcome(stats(), {})):
        assert change.name


def test_event_of_a_move():
    event = move_event(StatusChange("web", "u1", [], [], ()), MOVE, "2026-11-29T12:00:00Z")
    assert event["message"] == "192.0.2.2 moved from node1 to node2 (drained)"
    assert event["metadata"] == {"generateName": "web.", "namespace": "default"}
    assert event["involvedObject"] == {
        "apiVersion": "k8s.ovn.org/v1",
        "kind": "EgressIP",
        "name": "web",
        "uid": "u1",
    }
