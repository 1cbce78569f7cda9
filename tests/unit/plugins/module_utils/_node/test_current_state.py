# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One reading of a host in memory."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import NodeStateError
from ansible_collections.netops.egress_ip.plugins.module_utils._node.current_state import (
    read_host,
    read_node,
    require_node,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._node.record import Record
from node_runs import A, B, apply
from states import held, node_state


def test_everything_that_a_host_lacks_is_named(kernel):
    require_node(kernel)
    kernel.missing = ["systemd: does not run", "nftables: is not installed"]
    with pytest.raises(NodeStateError, match="^systemd: does not run, nftables: is not installed$"):
        require_node(kernel)


def test_the_record_says_what_a_node_may_hold(kernel):
    apply(kernel, node_state(held=held(A, B)))
    assert set(read_node(kernel, Record.load(kernel)).claimed) == {A, B}
    # Without a record, the tables say it.
    assert set(read_node(kernel, None).claimed) == {A, B}


def test_an_interface_that_accepted_router_advertisements_still_does(kernel):
    kernel.sysctls["net.ipv6.conf.eth0.accept_ra"] = "2"
    record = Record(node_state(), "", {}, {"net.ipv6.conf.eth0.accept_ra": "1", "net.ipv4.ip_forward": "0"})
    assert read_host(kernel, None).listening == ()
    assert read_host(kernel, record).listening == ("eth0",)
