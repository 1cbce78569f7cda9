# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removal, and what it leaves."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import EgressIPError
from ansible_collections.netops.egress_ip.plugins.module_utils._node.systemd_units import (
    CLOSED_UNIT,
    FOLLOW_UNIT,
    WATCH_TIMER,
)
from fake_node_io import address, ethernet
from node_runs import (
    A,
    apply,
    remove,
)
from states import node_state


def test_remove_leaves_nothing(kernel):
    before = kernel.snapshot()
    apply(kernel, node_state())
    result = remove(kernel)
    assert (result["changed"], result["held"], result["released"]) == (True, [], [A])
    assert result["diff"]["after"] == ""
    assert kernel.snapshot() == before


def test_a_removal_forgets_the_compiled_program_also_without_anything_else_to_remove(kernel):
    remove(kernel, check=True)
    assert kernel.logged("programs") == []
    remove(kernel)
    assert kernel.logged("programs") == [()]


def test_remove_gives_forwarding_back_as_it_was_before_us(kernel):
    kernel.sysctls["net.ipv4.ip_forward"] = "1"
    apply(kernel, node_state())
    apply(kernel, node_state(generation=2, held=[]))
    remove(kernel)
    assert kernel.sysctls["net.ipv4.ip_forward"] == "1"


def test_remove_forgets_the_connections(kernel):
    apply(kernel, node_state())
    kernel.log.clear()
    remove(kernel)
    assert kernel.logged("forget") == [(1, 0xFFF), (2, 0xFFF)]


def test_units_are_stopped_before_anything_is_removed(kernel):
    """A unit that runs or fails meanwhile would restore the data plane, or drop the traffic of pods."""
    apply(kernel, node_state())
    kernel.log.clear()
    remove(kernel)
    stopped = [index for index, (word, _detail) in enumerate(kernel.log) if word == "stop"]
    removed = [index for index, (word, _detail) in enumerate(kernel.log) if word in ("ip", "nft", "remove")]
    assert kernel.log[max(stopped)] == ("stop", CLOSED_UNIT)
    assert max(stopped) < min(removed)


def test_a_removal_that_fails_leaves_the_watch_running(kernel):
    apply(kernel, node_state())
    kernel.log.clear()
    kernel.fail = ["delete table"]
    with pytest.raises(EgressIPError):
        remove(kernel)
    assert f"systemctl start --quiet --no-block {WATCH_TIMER}" in kernel.logged("run")


def test_a_removal_that_fails_leaves_the_failover_running(kernel):
    apply(kernel, node_state(failover={"after": 0.2}))
    kernel.log.clear()
    kernel.fail = ["delete table"]
    with pytest.raises(EgressIPError):
        remove(kernel)
    assert f"systemctl start --quiet --no-block {WATCH_TIMER} {FOLLOW_UNIT}" in kernel.logged("run")


def test_remove_in_check_mode_writes_nothing(kernel):
    apply(kernel, node_state())
    before, kernel.log = kernel.snapshot(), []
    shown = remove(kernel, check=True)
    assert kernel.snapshot() == before
    assert kernel.log == []
    assert shown == remove(kernel)


def test_remove_twice_changes_nothing(kernel):
    apply(kernel, node_state())
    remove(kernel)
    before, kernel.log = kernel.snapshot(), []
    assert not remove(kernel)["changed"]
    assert kernel.snapshot() == before
    assert kernel.log == [("programs", ())]


def test_remove_without_a_record_takes_what_is_labelled_as_ours(kernel):
    apply(kernel, node_state())
    kernel.files.pop(str(kernel.STATE_FILE))
    remove(kernel)
    assert A not in kernel.addresses()
    assert "egress0" not in kernel.interfaces
    assert set(kernel.tables) == {("ip", "nat")}


def test_remove_uses_the_options_on_record(kernel):
    before = kernel.snapshot()
    apply(kernel, node_state(options={"tunnel_device": "tun7", "rule_priority": 9000, "mark_mask": 0xF0}))
    remove(kernel)
    assert kernel.snapshot() == before


def test_remove_on_a_host_that_was_never_a_node_leaves_foreign_things(kernel):
    kernel.interfaces["egress0"] = ethernet(address("10.1.0.1", 24, "egress0"))
    before = kernel.snapshot()
    assert not remove(kernel)["changed"]
    assert kernel.snapshot() == before
