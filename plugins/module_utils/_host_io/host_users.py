# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The numbers of a user of this host, with those that its rootless containers may use. PRIVATE to the collection."""

from __future__ import annotations

import functools
import pwd
from collections.abc import Iterator
from pathlib import Path

from .._common.errors import CommandError
from .._common.uid_ranges import LAST_UID, ROOT, UidRange
from . import commands
from .read_now import read_now

SUBUIDS = Path("/etc/subuid")
ABSENT = "does not exist"
_LARGEST, _MOST_RANGES = 1 << 22, 64
# Nothing is added: with `--check`, the kernel refuses the chain if it does not know it, and forgets it otherwise.
_PROBE = """
add table inet egress_ip_probe
add chain inet egress_ip_probe route { type route hook output priority -150; }
add chain inet egress_ip_probe raw { type filter hook output priority -300; }
add rule inet egress_ip_probe raw ct original zone set 1
"""


def find_user(name: str) -> tuple[tuple[UidRange, ...], str]:
    """Return the ranges of a user, given as name or number, and why there are none.

    Raises OSError if the subordinate numbers cannot be read, or CommandError.
    """
    number, names = _account(name)
    if number is None:
        return (), ABSENT
    if number == ROOT:
        return (), "is the user of the host's own services; name another user"
    if not _can_route_users():
        return (), "needs Linux 5.2 or newer, with conntrack zones, which the kernel does not have"
    ranges = (UidRange(number, number), *_subordinate({*names, str(number)}))
    if len(ranges) > _MOST_RANGES:
        raise CommandError(f"it has {len(ranges)} ranges in {SUBUIDS}, more than {_MOST_RANGES}")
    return ranges, ""


def _account(name: str) -> tuple[int | None, list[str]]:
    """Return (number, names) of a user, None without an account; a number needs no account."""
    try:
        account = pwd.getpwuid(int(name)) if name.isdigit() else pwd.getpwnam(name)
    except KeyError:
        return (int(name), []) if name.isdigit() else (None, [])
    return account.pw_uid, [account.pw_name]


def _subordinate(owners: set[str]) -> Iterator[UidRange]:
    """Yield the ranges of these owners: in a user namespace, any user can take the numbers that are listed for it."""
    try:
        text = read_now(SUBUIDS, _LARGEST)
    except FileNotFoundError:
        return
    if len(text) > _LARGEST:
        raise CommandError(f"{SUBUIDS}: is larger than {_LARGEST} bytes")
    for line in text.decode("utf-8", "replace").splitlines():
        owner, _colon, numbers = line.strip().partition(":")
        first, _colon, count = numbers.partition(":")
        if owner in owners and first.isdecimal() and count.isdecimal():
            found = UidRange(int(first), min(int(first) + int(count) - 1, LAST_UID))
            if ROOT < found.first <= found.last:
                yield found


@functools.lru_cache(maxsize=None)
def _can_route_users() -> bool:
    return commands.run(["nft", "--check", "--file", "-"], _PROBE).status == 0
