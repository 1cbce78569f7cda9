# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Apply a state to this network namespace as the module `node` does on a host with systemd: compare, apply, compare.

Each line of standard input: {state, secrets}. An empty state removes all that is on the host.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace

from netops_egress_ip._dataplane.esp import fingerprint
from netops_egress_ip._dataplane.node_state import NodeState, allocate_marks
from netops_egress_ip._dataplane.options import DataPlaneOptions
from netops_egress_ip._dataplane.state import (
    DataPlane,
    Transaction,
    current_data_plane,
    desired_data_plane,
    lines_between,
    sysctl_names,
    transaction,
)
from netops_egress_ip._host_io.host_io import HostIO


def way(state: NodeState | None, secrets: dict[str, str]) -> tuple[Transaction, list[list[str]]]:
    """The changes from the current to the desired data plane, and the lines that differ, which have no keys."""
    host = replace(HostIO.read_host(), esp=HostIO.read_esp(), tunnel_secrets=secrets)
    options = state.options if state else DataPlaneOptions()
    sysctls = HostIO.read_sysctls(sysctl_names(host, options.tunnel_device)) if state else {}
    claimed = {item.egress_ip for item in state.held} if state else set()
    now = current_data_plane(host, HostIO.read_tables(), sysctls, options, claimed)
    then = DataPlane()
    if state:
        then = desired_data_plane(state, allocate_marks(state.egress_ips, {}, options.max_index), host)
    return transaction(now, then), list(lines_between(now, then))


def main() -> None:
    """Apply each line; the answer is `done`, or what a second run would change."""
    print("ready", flush=True)
    for line in sys.stdin:
        given = json.loads(line)
        state = NodeState.from_dict(given["state"]) if given["state"] else None
        secrets = {fingerprint(secret): secret for secret in given["secrets"]}
        HostIO.execute(way(state, secrets)[0])
        left, lines = way(state, secrets)
        print(f"left over: {lines}" if left else "done", flush=True)


if __name__ == "__main__":
    main()
