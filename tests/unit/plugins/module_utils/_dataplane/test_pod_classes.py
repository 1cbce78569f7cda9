# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The class of a pod by compiled rules, and the lines for nftables and iproute2."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane import numbers
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.nft_table import INET, TABLE
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.pod_classes import (
    DELETE_POLICIES,
    add_lines,
    all_verdicts,
    classify,
    needs_labels,
    policy_lines,
    replace_lines,
)

RULES = {
    "unknown": "return",
    "mask": 0xFFF,
    "namespaces": {
        "labs": [["near", [["app", "In", ["web"]]]], ["wide", [["tier", "Exists", []]]]],
        "none": [],
        "shop": [["two", None], ["wide", None]],
    },
    "objects": {
        "near": {"chain": "object_near", "assigned": ["4"], "everywhere": False},
        "two": {"chain": "object_two", "assigned": ["6"], "everywhere": True},
        "wide": {"chain": "object_wide", "assigned": ["4"], "everywhere": True},
    },
    "choices": {"near wide": "choice_1"},
    "covered": ["10.88.0.9/32"],
}
BOTH = ["10.88.0.7", "fd00::7"]


def test_an_object_with_an_assigned_address_of_the_version_goes_first():
    assert classify(RULES, "shop", None, BOTH) == {"10.88.0.7": "goto object_wide", "fd00::7": "goto object_two"}


@pytest.mark.parametrize(
    ("labels", "verdict"),
    [
        (None, "drop"),
        ({}, "return"),
        ({"tier": ""}, "goto object_wide"),
        ({"app": "web", "tier": ""}, "goto choice_1"),
        # There is no chain for the destinations of this object alone.
        ({"app": "web"}, "drop"),
        ({"app": "db"}, "return"),
    ],
)
def test_labels_decide(labels, verdict):
    assert needs_labels(RULES, "labs")
    assert classify(RULES, "labs", labels, BOTH[:1]) == {BOTH[0]: verdict}


@pytest.mark.parametrize(("namespace", "verdict"), [("none", "return"), ("new", "drop"), ("", "drop")])
def test_unknown_namespaces_may_be_closed(namespace, verdict):
    assert not needs_labels(RULES, namespace)
    assert classify({**RULES, "unknown": "drop"}, namespace, None, BOTH[:1]) == {BOTH[0]: verdict}


def test_lines():
    verdicts = {"10.88.0.7": "goto object_wide", "10.88.0.8": "return", "fd00::7": "drop"}
    added = [
        "add element inet egress_ip followed4 { 10.88.0.7 : goto object_wide, 10.88.0.8 : return }",
        "add element inet egress_ip followed_selected4 { 10.88.0.7 }",
        "add element inet egress_ip followed6 { fd00::7 : drop }",
        "add element inet egress_ip followed_selected6 { fd00::7 }",
    ]
    assert add_lines(verdicts) == added
    assert replace_lines(verdicts) == [
        *(
            f"flush {kind}{v}"
            for v in "46"
            for kind in ("map inet egress_ip followed", "set inet egress_ip followed_selected")
        ),
        *added,
    ]
    assert [line.partition(" mark")[0] for line in policy_lines(RULES, verdicts)] == [
        "xfrm policy update src 10.88.0.7/32",
        "xfrm policy update src fd00::7/128",
    ]
    assert add_lines({}) == policy_lines(RULES, {}) == []


def test_a_line_has_no_more_elements_than_every_nft_accepts():
    verdicts = {f"10.88.{number // 256}.{number % 256}": "drop" for number in range(1001)}
    lines = add_lines(verdicts)
    assert [line.count(",") + 1 for line in lines] == [500, 500, 1] * 2
    assert sorted(address for line in lines[3:] for address in line.split("{")[1].strip(" }").split(", ")) == sorted(
        verdicts
    )


def test_of_two_pods_with_one_address_the_later_one_has_it():
    notes = [{"verdicts": {"10.88.0.7": "drop"}}, {"verdicts": {"10.88.0.7": "return", "10.88.0.8": "drop"}}]
    assert all_verdicts(notes) == {"10.88.0.7": "return", "10.88.0.8": "drop"}


def test_the_numbers_are_those_of_the_data_plane():
    assert replace_lines({})[0].startswith(f"flush map {INET} {TABLE} ")
    assert int(DELETE_POLICIES[-1]) == numbers.POLICY_PRIORITY + 1
