# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans and hosts that a run refuses before it changes anything."""

from __future__ import annotations

import re

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import (
    ConflictError,
    NodeStateError,
    PlanError,
)
from fake_node_io import ethernet
from node_runs import (
    A,
    apply,
    observe,
    remove,
)
from states import held, node_state


def test_an_older_plan_is_refused(kernel):
    apply(kernel, node_state(generation=5))
    before = kernel.snapshot()
    with pytest.raises(PlanError, match=r"^state.generation: 4 is not newer than 5"):
        apply(kernel, node_state(generation=4, held=[]))
    assert kernel.snapshot() == before


def test_another_plan_of_the_same_generation_is_refused(kernel):
    apply(kernel, node_state())
    before = kernel.snapshot()
    with pytest.raises(PlanError, match=r"^state.generation: 1 is not newer than 1"):
        apply(kernel, node_state(held=[]))
    assert kernel.snapshot() == before


def test_a_host_that_cannot_be_a_node_is_refused(kernel):
    kernel.missing = ["systemd: does not run on this host"]
    before = kernel.snapshot()
    with pytest.raises(NodeStateError, match="systemd"):
        apply(kernel, node_state())
    with pytest.raises(NodeStateError, match="systemd"):
        remove(kernel)
    seen = observe(kernel)
    assert (seen["problems"], seen["packages"]) == (kernel.missing, [])
    assert not any(value for key, value in seen.items() if key not in ("problems", "platform"))
    assert kernel.snapshot() == before


FOREIGN = {
    "mark": (
        lambda k: k.rules[4].append({"priority": 50, "src": "all", "fwmark": "0x1", "table": "100"}),
        r"egress_ip_mark_mask: 0xfff overlaps with the mark 0x1/0xffffffff",
    ),
    "priority": (
        lambda k: k.rules[4].append({"priority": 7003, "src": "all", "table": "254"}),
        r"egress_ip_rule_priority: a foreign rule has priority 7003, .* 7000 to 7389",
    ),
    "table": (
        lambda k: k.rules[4].append({"priority": 50, "src": "all", "table": "7001"}),
        r"egress_ip_table_base: the foreign rule with priority 50 looks up table 7001",
    ),
    "device": (
        lambda k: k.interfaces.update(egress0=ethernet()),
        r"egress_ip_tunnel_device: egress0 is the name of a foreign interface",
    ),
    "port": (
        lambda k: k.interfaces.update(
            vxlan7={**ethernet(), "linkinfo": {"info_kind": "vxlan", "info_data": {"port": 4790}}}
        ),
        r"egress_ip_tunnel_port: the foreign interface vxlan7 uses UDP port 4790",
    ),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_what_others_use_is_refused_before_anything_is_done(kernel, kind):
    change, message = FOREIGN[kind]
    change(kernel)
    before = kernel.snapshot()
    with pytest.raises(ConflictError, match=message):
        apply(kernel, node_state())
    assert re.match(message, observe(kernel)["problems"][0])
    assert kernel.snapshot() == before


def test_an_unknown_interface_is_refused(kernel):
    with pytest.raises(ConflictError, match=r"state.held\[0\].interface: must be an interface of this host"):
        apply(kernel, node_state(held=held(A, interface="eth7")))
