# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our nftables tables in tests: those of a state, as facts, and applied to a kernel."""

from __future__ import annotations

from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.nft_ruleset import desired_tables
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.nft_transaction import script
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.node_state import allocate_marks
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.state import Transaction


def tables_of(state, mtu=1450, current=None):
    """Return the {family: TableState} of a state."""
    return desired_tables(state, allocate_marks(state.egress_ips, current or {}, state.options.max_index), mtu)


def facts(tables):
    """Return {family: facts}, without the texts of rules."""
    return {family: table.lines() for family, table in tables.items()}


def change_tables(kernel, current, desired, rebuilt=()):
    """Change the tables of a kernel (a FakeKernel or HostIO); returns those read back."""
    kernel.execute(Transaction(nft=tuple(script(current, desired, rebuilt))))
    return kernel.read_tables()
