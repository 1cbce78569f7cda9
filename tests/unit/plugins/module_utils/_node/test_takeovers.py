# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The note of what a node took over."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import files
from ansible_collections.netops.egress_ip.plugins.module_utils._node.record import Record
from ansible_collections.netops.egress_ip.plugins.module_utils._node.takeovers import Takeover, Takeovers
from states import node_state

RECORD = Record(node_state(), "", {}, {})


def test_takeovers_are_known_until_the_next_plan(kernel):
    first = Takeovers.load(kernel, RECORD)
    assert first == Takeovers(1)
    first.with_taken({"192.168.126.101": "node2"}, 5.0).save(kernel)
    known = Takeovers.load(kernel, RECORD)
    assert (known.taken, known.total) == ({"192.168.126.101": Takeover("node2", 5.0)}, 1)
    later = Takeovers.load(kernel, replace(RECORD, state=node_state(generation=2)))
    assert (later.taken, later.total) == ({}, 1)


def test_an_address_that_was_let_go_is_no_longer_taken(kernel):
    both = Takeovers(1).with_taken({"192.168.126.101": "", "192.168.126.102": ""}, 5.0)
    left = both.without(["192.168.126.101"])
    assert (list(left.taken), left.total) == (["192.168.126.102"], 2)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b"1",
        b"{}",
        b'{"generation": 1, "taken": [], "total": 0}',
        b'{"generation": 1, "taken": {"192.168.126.101": 5}, "total": 0}',
        b'{"generation": 1, "taken": {"192.168.126.101": ["node2"]}, "total": 0}',
        b'{"generation": 1, "taken": {"192.168.126.101": ["node2", "x"]}, "total": 0}',
        b'{"generation": 1, "taken": {}, "total": null}',
    ],
)
def test_a_damaged_file_is_an_empty_one(kernel, data):
    kernel.publish_file(files.TAKEOVERS_FILE, data)
    assert Takeovers.load(kernel, RECORD) == Takeovers(1)
