# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The numbers of a user of this host, with those that its rootless containers may use. PRIVATE to the collection."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from pathlib import Path

from .._common.errors import CommandError
from .._common.uid_ranges import LAST_UID, ROOT, UidRange
from . import commands
from .read_now import read_now

SUBUIDS, PASSWD, NSSWITCH = Path("/etc/subuid"), Path("/etc/passwd"), Path("/etc/nsswitch.conf")
ABSENT = "does not exist"
_LARGEST, _MOST_RANGES = 1 << 22, 64
# A directory service may hang for minutes.
_LOOKUP_SECONDS = 2
_NOT_FOUND = 2
_MOST_MESSAGE = 300
# The fields of a line of passwd(5).
_FIELDS = 7
_SUBID = re.compile(r"^[ \t]*subid[ \t]*:([^#\n]*)", re.MULTILINE)
# The answer of a kernel that lacks a feature.
_LACKS = ("not supported", "No such file")
# Nothing is added: with `--check`, the kernel refuses the chain if it does not know it, and forgets it otherwise.
_PROBE = """
add table inet egress_ip_probe
add chain inet egress_ip_probe route { type route hook output priority -150; }
add chain inet egress_ip_probe raw { type filter hook output priority -300; }
add rule inet egress_ip_probe raw ct original zone set 1
"""


def find_user(name: str) -> tuple[tuple[UidRange, ...], str]:
    """Return the ranges of a user, given as name or number, and why there are none, or may be more.

    Raises OSError if the subordinate numbers cannot be read, or CommandError, also if a directory service hangs.
    """
    number, names = _account(name)
    if number is None:
        return (), ABSENT
    if number == ROOT:
        return (), "is the user of the host's own services; name another user"
    if not _can_route_users():
        return (), "needs Linux 5.2 or newer, with conntrack zones, which the kernel does not have"
    ranges = (UidRange(number, number), *_subordinate({*names, *_local_names(number), str(number)}))
    if len(ranges) > _MOST_RANGES:
        raise CommandError(f"it has {len(ranges)} ranges in {SUBUIDS}, more than {_MOST_RANGES}")
    source = _subid_source()
    return ranges, f"may have more numbers than those in {SUBUIDS}: {NSSWITCH} has 'subid: {source}'" if source else ""


def _account(name: str) -> tuple[int | None, list[str]]:
    """Return (number, names) of a user, None without an account; a number needs no account. Raises CommandError."""
    done = commands.run(["getent", "passwd", name], seconds=_LOOKUP_SECONDS)
    if done.status == _NOT_FOUND:
        return (int(name), []) if name.isdigit() else (None, [])
    fields = done.stdout.rstrip("\n").split(":")
    if done.status or len(fields) != _FIELDS or not fields[2].isdecimal():
        raise CommandError(f"getent passwd {name}: gives no account, with exit status {done.status}")
    return int(fields[2]), [fields[0]]


def _local_names(number: int) -> Iterator[str]:
    """Yield all names of this number in PASSWD: each of them may own subordinate numbers."""
    for line in _lines(PASSWD):
        fields = line.split(":")
        if len(fields) == _FIELDS and fields[2] == str(number):
            yield fields[0]


def _subid_source() -> str:
    """Return where subordinate numbers come from, empty if only from SUBUIDS."""
    values = _SUBID.findall("\n".join(_lines(NSSWITCH)))
    words = values[-1].split() if values else []
    return " ".join(words) if {*words} - {"files"} else ""


def _lines(path: Path) -> list[str]:
    """Return the lines of a file, none without it. Raises CommandError if it is too large, or OSError."""
    try:
        text = read_now(path, _LARGEST)
    except FileNotFoundError:
        return []
    if len(text) > _LARGEST:
        raise CommandError(f"{path}: is larger than {_LARGEST} bytes")
    return text.decode("utf-8", "replace").splitlines()


def _subordinate(owners: set[str]) -> Iterator[UidRange]:
    """Yield the ranges of these owners: in a user namespace, any user can take the numbers that are listed for it."""
    for line in _lines(SUBUIDS):
        owner, _colon, numbers = line.strip().partition(":")
        first, _colon, count = numbers.partition(":")
        if owner in owners and first.isdecimal() and count.isdecimal():
            found = UidRange(int(first), min(int(first) + int(count) - 1, LAST_UID))
            if ROOT < found.first <= found.last:
                yield found


@functools.lru_cache(maxsize=None)
def _can_route_users() -> bool:
    """Return whether the kernel has the chains. Raises CommandError if that cannot be found out now."""
    done = commands.run(["nft", "--check", "--file", "-"], _PROBE)
    if done.status and not any(words in done.stderr for words in _LACKS):
        message = " ".join(done.stderr.split())[:_MOST_MESSAGE]
        raise CommandError(f"nft --check: exit status {done.status}: {message or 'no message'}")
    return done.status == 0
