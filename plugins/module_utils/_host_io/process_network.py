# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network namespace of a container's first process, as /proc shows it. PRIVATE to the collection.

The program that starts with each container uses it, so it imports almost nothing and enters no namespace.
"""

from __future__ import annotations

import os

from .._common.pod_rules import is_no_unicast
from .read_now import read_now

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_LARGEST = 4 << 20


def network_of(process: int | str) -> str:
    """Return what identifies the network namespace of a process, "self" for this one; empty if it has ended."""
    try:
        return os.readlink(f"/proc/{process}/ns/net")  # noqa: PTH115 - pathlib takes as long as all the rest
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return ""


def shares_network(pid: int) -> bool:
    """Return whether another process is in the network namespace of a process."""
    own = network_of(pid)
    others = (name for name in os.listdir("/proc") if name.isdigit() and name != str(pid))  # noqa: PTH208
    return any(network_of(name) == own for name in others)


def addresses_of(pid: int) -> list[str]:
    """Return the addresses in the network namespace of a process; none if it is that of the host.

    Those of the loopback and link are left out. Raises OSError if the process has ended.
    """
    if network_of(pid) == network_of("self"):
        return []
    return sorted({*_ipv4(pid), *_ipv6(pid)})


def _ipv4(pid: int) -> Iterator[str]:
    """Yield the local addresses in the routing tables of the kernel, which has no other list of them in /proc."""
    from _socket import AF_INET, inet_pton  # noqa: PLC0415

    address = ""
    for line in read_now(f"/proc/{pid}/net/fib_trie", _LARGEST).decode("ascii", "replace").splitlines():
        words = line.split()
        if words[:1] == ["|--"]:
            address = words[1]
        elif words == ["/32", "host", "LOCAL"] and not is_no_unicast(inet_pton(AF_INET, address)):
            yield address


def _ipv6(pid: int) -> Iterator[str]:
    from _socket import AF_INET6, inet_ntop  # noqa: PLC0415

    try:
        data = read_now(f"/proc/{pid}/net/if_inet6", _LARGEST)
    except FileNotFoundError:
        # The kernel has no IPv6.
        return
    for line in data.decode("ascii", "replace").splitlines():
        packed = bytes.fromhex(line.split()[0])
        if not is_no_unicast(packed):
            yield inet_ntop(AF_INET6, packed)
