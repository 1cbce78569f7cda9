# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Was this node here all the time? PRIVATE to the collection.

The watch asks every few seconds, and mostly the answer is yes: so this file does its own I/O and imports next to
nothing.
"""

from __future__ import annotations

import time

WATCH_FILE = "/run/netops-egress-ip.watch"
# Seconds of silence of the watch that mean that the node was away: hung, or suspended.
AWAY = 10


def has_link(interface):
    """Tell whether the interface is up and has a carrier."""
    try:
        with open(f"/sys/class/net/{interface}/carrier", encoding="ascii") as file:  # noqa: PTH123
            return file.read().strip() == "1"
    except OSError:  # the kernel gives no answer for an interface that is down
        return False


def note(interfaces, path=WATCH_FILE):
    """Note that the node is here now, with its egress IPs on these interfaces."""
    with open(path, "w", encoding="ascii") as file:  # noqa: PTH123
        file.write(" ".join([f"{time.monotonic():.1f}", *interfaces]))


def renew(path=WATCH_FILE):
    """Return whether the node was here since the last note, with a link on all its interfaces; if so, note it again."""
    try:
        with open(path, encoding="ascii") as file:  # noqa: PTH123
            last, *interfaces = file.read().split()
        here = time.monotonic() - float(last) <= AWAY and all(map(has_link, interfaces))
    except (OSError, ValueError):
        return False
    if here:
        note(interfaces, path)
    return here
