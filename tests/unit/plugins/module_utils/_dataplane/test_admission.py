# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules that are compiled from a state, and the classes of pods by them."""

from __future__ import annotations

import json
from dataclasses import replace

from ansible_collections.netops.egress_ip.plugins.module_utils._common.selectors import Requirement, Selector
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.followed_pods import (
    Follow,
    FollowedNamespace,
    PodRule,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.nft_ruleset import (
    desired_admission,
    desired_tables,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.node_state import allocate_marks
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.pod_classes import policy_lines
from hypothesis import given, settings
from hypothesis import strategies as st
from states import egress_object, node_state

WEB = Selector((("app", "web"),), (Requirement("tier", "NotIn", ("db",)),))
RULES = (PodRule("near", WEB), PodRule("web"))


def admission(*namespaces, **changes):
    return desired_admission(followed(*namespaces, **changes))


def followed(*namespaces, **changes):
    objects = [
        {**egress_object("near", ["192.168.126.103"]), "destinations": ["203.0.113.0/24"]},
        egress_object("web", ["192.168.126.101", "192.168.126.102"]),
    ]
    state = node_state(**{"egressips": objects, **changes})
    return replace(state, follow=Follow(("kubernetes",), tuple(namespaces)))


def note(name, labels=None, address="10.88.0.7"):
    return {"name": name, "addresses": [address], "labels": labels, "verdicts": {}}


def test_the_rules_of_a_state():
    rules = admission(FollowedNamespace("empty"), FollowedNamespace("shop", RULES)).rules
    assert json.loads(json.dumps(rules)) == rules
    assert rules["namespaces"] == {
        "shop": [["near", [["app", "In", ["web"]], ["tier", "NotIn", ["db"]]]], ["web", None]]
    }
    assert rules["objects"]["web"] == {"chain": "object_web", "assigned": ["4"], "everywhere": True}
    assert {"192.168.126.21", "192.168.126.101", "10.88.0.1", "2001:db8:126::21"} <= {*rules["reserved"]}
    assert rules["unknown"] == "return"


def test_what_nobody_selects_is_listed_where_unknown_namespaces_are_closed():
    rules = admission(FollowedNamespace("empty"), options={"unknown_pods": "drop"}).rules
    assert (rules["namespaces"], rules["unknown"]) == ({"empty": []}, "drop")


def test_a_node_that_does_not_follow_pods():
    state = node_state()
    assert desired_admission(state) is None
    marks = allocate_marks(state.egress_ips, {}, state.options.max_index)
    assert not [name for name in desired_tables(state, marks, 1400)["inet"].sets if "followed" in name]


def test_a_source_has_one_policy():
    """The kernel does not compare priorities: a second policy for the same source would replace the first one."""
    pods = [
        {"address": "10.88.0.7", "egressips": ["web"], "pod": "shop/a"},
        {"address": "10.88.0.8", "egressips": [], "pod": "shop/b"},
    ]
    rules = admission(FollowedNamespace("shop", (PodRule("web"),)), pods=pods).rules
    (line,) = policy_lines(rules, dict.fromkeys(("10.88.0.7", "10.88.0.8"), "goto object_web"))
    assert line.startswith("xfrm policy update src 10.88.0.8/32 ")


def test_every_class_leads_to_a_chain_of_the_tables():
    """For each combination of labels."""
    state = followed(FollowedNamespace("shop", RULES))
    tables = desired_tables(state, allocate_marks(state.egress_ips, {}, state.options.max_index), 1400)
    found = set()
    for labels in ({}, {"app": "web"}, {"app": "web", "tier": "db"}):
        (verdict,) = desired_admission(state).note_after(note("shop/a", labels))["verdicts"].values()
        found.add(verdict)
        assert verdict.partition(" ")[2] in tables["inet"].chains
    assert len(found) == 2


@settings(max_examples=30)
@given(st.dictionaries(st.sampled_from(["app", "tier", "x"]), st.sampled_from(["web", "db"])))
def test_flat_requirements_select_as_the_selector(labels):
    state = followed(FollowedNamespace("shop", (PodRule("web", WEB),)))
    (verdict,) = desired_admission(state).note_after(note("shop/a", labels))["verdicts"].values()
    assert (verdict == "goto object_web") == WEB.matches(labels)


def test_a_pod_of_the_state_has_its_class():
    pods = [{"address": "10.88.0.7", "egressips": [], "pod": "shop/a"}]
    given_ = admission(FollowedNamespace("shop", (PodRule("web"),)), pods=pods)
    assert given_.note_after(note("shop/a"))["verdicts"] == {"10.88.0.7": "return"}
    assert given_.note_after(note("shop/b"))["verdicts"] == {"10.88.0.7": "goto object_web"}
    assert given_.note_after(note("shop/a", address="10.88.0.8"))["verdicts"] == {"10.88.0.8": "goto object_web"}
