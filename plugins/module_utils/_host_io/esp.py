# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ESP states and policies of a node, and whether its kernel can have them. PRIVATE to the collection."""

from __future__ import annotations

import os
import re
from pathlib import Path

from .._dataplane.esp import (
    READ_POLICIES,
    READ_STATES,
    Esp,
    foreign_policies,
    parse_esp_policies,
    parse_states,
    probe_lines,
)
from . import commands

_IPV6 = Path("/proc/sys/net/ipv6")
# Older ones ignore `oseq-may-wrap`: a state sends nothing after 2^32 packets.
_OLDEST_KERNEL = (5, 9)


def read_esp() -> Esp:
    """Return our ESP states, without keys, and policies."""
    states = commands.check(["ip", *READ_STATES])
    return Esp(parse_states(states), parse_esp_policies(commands.check(["ip", *READ_POLICIES])))


def esp_problems(port: int) -> list[str]:
    """Return the reasons why this host cannot encrypt a tunnel with this port, one sentence with the fix for each.

    The kernel is tested in a network namespace that lasts as long as the command, so the host does not change.
    """
    if _kernel_release() < _OLDEST_KERNEL:
        return [f"egress_ip_tunnel_encryption: ipsec needs Linux 5.9 or newer, not {os.uname().release}; set none"]
    lines = probe_lines((4, 6) if _IPV6.is_dir() else (4,))
    status, _stdout, stderr = commands.run(["unshare", "--net", "ip", "-batch", "-"], "\n".join(lines) + "\n")
    if status:
        reason = stderr.strip().splitlines()[:1] or ["no message"]
        return [
            "egress_ip_tunnel_encryption: ipsec needs iproute2 5.9 or newer, and a kernel with ESP, AES-CBC and"
            f" HMAC-SHA-256, which this host lacks ({reason[0]}); load the modules esp4 and esp6, install the package"
            " that contains them, or set none"
        ]
    return foreign_policies(commands.check(["ip", *READ_POLICIES]), port)


def _kernel_release() -> tuple[int, int]:
    found = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return (int(found[1]), int(found[2])) if found else (0, 0)
