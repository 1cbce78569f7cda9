# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the watch of a node checks."""

from __future__ import annotations

from ansible_collections.netops.egress_ip.plugins.module_utils._node.presence import note_presence
from node_runs import A, noted
from states import held, node_state


def test_the_addresses_and_the_endpoints_that_they_need_are_noted(kernel):
    state = node_state(held=held(A))
    note_presence(kernel, state, state.held)
    assert A in noted(kernel)
    assert "192.168.126.21" in noted(kernel)
    assert "2001:db8:126::21" not in noted(kernel)
    note_presence(kernel, state, ())
    assert A not in noted(kernel)
