# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The policies that stop selected pods without our tables; the real `ip` prints them as they were added."""

from __future__ import annotations

from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.numbers import POLICY_PRIORITY
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.xfrm_policies import (
    READ_ARGUMENTS,
    desired_policies,
    parse_policies,
    policy_lines,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.host_io import HostIO
from network_namespace import network_namespace
from states import node_state

POLICY = "src 10.88.0.2/32 mark 0x0 mask 0xfff"
POLICY6 = "src fd00:88::2/128 mark 0x0 mask 0xfff"
OURS = f"dir fwd action block priority {POLICY_PRIORITY}"
PODS = [{"address": address, "egressips": ["web"]} for address in ("10.88.0.2", "fd00:88::2")]


def test_one_policy_per_selected_pod():
    assert desired_policies(node_state(pods=PODS)) == {POLICY, POLICY6}
    assert desired_policies(node_state(pods=[])) == frozenset()
    assert desired_policies(node_state(pods=PODS[:1], options={"mark_mask": 0xF0})) == {
        "src 10.88.0.2/32 mark 0x0 mask 0xf0"
    }


def test_policies_are_added_after_the_tables():
    assert policy_lines(frozenset(), frozenset([POLICY])) == ([], [f"xfrm policy update {POLICY} {OURS}"])
    assert policy_lines(frozenset([POLICY]), frozenset([POLICY])) == ([], [])


def test_a_surplus_policy_replaces_all():
    before, after = policy_lines(frozenset([POLICY, POLICY6]), frozenset([POLICY]))
    assert before == [f"xfrm policy deleteall {OURS}"]
    assert after == [f"xfrm policy update {POLICY} {OURS}"]
    assert policy_lines(frozenset([POLICY]), frozenset()) == ([f"xfrm policy deleteall {OURS}"], [])


def test_the_kernel_lists_what_was_added():
    desired = desired_policies(node_state(pods=PODS))
    with network_namespace():
        for line in policy_lines(frozenset(), desired)[1]:
            HostIO.check(["ip", *line.split()])
        assert parse_policies(HostIO.check(["ip", *READ_ARGUMENTS])) == desired


def test_a_policy_without_a_mark_is_not_one_that_we_want():
    assert parse_policies("src 10.88.0.2/32 dst 0.0.0.0/0 \\\tdir fwd action block priority 1\n\n") == {
        "src 10.88.0.2/32 mark 0x0 mask 0x0"
    }
