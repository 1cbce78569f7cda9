# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.text_fields import MOST, TEXTS
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.answer_limits import (
    RESERVE,
    SHARE,
    SHARE_PER_NODE,
    refused_answers,
)
from hypothesis import given, settings
from hypothesis import strategies as st


def text(letter, length):
    return letter * length


def refused(texts):
    return refused_answers({node: {each: len(each) for each in found} for node, found in texts.items()})


def test_a_node_with_the_longest_texts_is_read():
    assert refused({"node1": [text("a", MOST), text("b", MOST)]}) == {}
    assert len(TEXTS) * MOST <= RESERVE


def test_the_record_of_a_large_fleet_is_read_once():
    record = text("a", 2 * RESERVE)
    assert refused({f"node{number}": [record, f"{number}"] for number in range(2000)}) == {}


def test_each_node_has_its_share():
    share = SHARE + 300 * SHARE_PER_NODE
    assert refused({f"node{number:03}": [f"{number:03}" + text("a", share - 3)] for number in range(300)}) == {}


@pytest.mark.parametrize("count", [3, 20])
def test_of_nodes_that_need_too_much_only_these_are_set_aside(count):
    good = {"good": [text("g", SHARE)], "large": [text("l", 2 * SHARE)]}
    bad = {f"bad{number:02}": [text("b", MOST), f"{number:02}" + text("c", MOST - 2)] for number in range(count)}
    # What all of them have costs each a part of it.
    found = refused({**bad, **good})
    assert not {*found} & {*good}
    assert len(found) >= count - 2
    assert all(reason.startswith("gives too long an answer: must be at most ") for reason in found.values())


@settings(max_examples=20, deadline=None)
@given(st.dictionaries(st.text(max_size=3), st.lists(st.integers(0, 40), max_size=2), max_size=30))
def test_all_that_is_read_is_bounded(sizes):
    texts = {
        node: [f"{node}:{index}:" + text("x", size << 19) for index, size in enumerate(each)]
        for node, each in sizes.items()
    }
    out = refused(texts)
    read = sum(len(each) for node, found in texts.items() if node not in out for each in {*found})
    assert read <= len(texts) * (SHARE + SHARE_PER_NODE * len(texts)) + RESERVE
    smallest = [node for node, found in texts.items() if sum(map(len, found)) <= SHARE]
    assert not {*smallest} & {*out}
