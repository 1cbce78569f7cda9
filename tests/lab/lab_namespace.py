# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab beside the machine's own one: EGRESS_IP_LAB_NAME names it.

It has the same addresses, so its bridges are in a network namespace of its own, in which all its commands run. The
namespace has no way to other networks: the image of the hosts must exist before.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from lab_topology import NAME, NETWORK

PATH = Path("/run/netns", NETWORK)


def enter() -> None:
    """Run this program again in the namespace of the named lab, unless it runs there; create it if needed."""
    if not NAME or _is_inside():
        return
    if not PATH.exists():
        subprocess.run(["ip", "netns", "add", NETWORK], check=True)
        subprocess.run(["ip", "-n", NETWORK, "link", "set", "lo", "up"], check=True)
    os.execvp("nsenter", ["nsenter", f"--net={PATH}", "--", sys.executable, *sys.argv])


def remove() -> None:
    """Remove the namespace of the named lab; processes in it keep it until they end."""
    if NAME and PATH.exists():
        subprocess.run(["ip", "netns", "delete", NETWORK], check=True)


def _is_inside() -> bool:
    return PATH.exists() and PATH.stat().st_ino == Path("/proc/self/ns/net").stat().st_ino
