# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Apply a state to this network namespace as the module `node` does on a host with systemd: compare, apply, compare.

The state comes by standard input.
"""

from __future__ import annotations

import json
import sys

from netops_egress_ip._dataplane.node_state import NodeState, allocate_marks
from netops_egress_ip._dataplane.state import current_data_plane, desired_data_plane, sysctl_names, transaction
from netops_egress_ip._host_io.host_io import HostIO


def way(state: NodeState):
    """The changes from the current to the desired data plane."""
    host = HostIO.read_host()
    sysctls = HostIO.read_sysctls(sysctl_names(host, state.options.tunnel_device))
    claimed = {item.egress_ip for item in state.held}
    now = current_data_plane(host, HostIO.read_tables(), sysctls, state.options, claimed)
    marks = allocate_marks(state.egress_ips, {}, state.options.max_index)
    return transaction(now, desired_data_plane(state, marks, host))


def main() -> int:
    """Apply; 1 if a second run would change something."""
    state = NodeState.from_dict(json.load(sys.stdin))
    HostIO.execute(way(state))
    left = way(state)
    print(left, file=sys.stderr)
    return int(bool(left))


if __name__ == "__main__":
    sys.exit(main())
