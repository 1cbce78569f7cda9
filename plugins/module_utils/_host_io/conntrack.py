# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's tracked connections. PRIVATE to the collection. Needs root."""

from __future__ import annotations

import contextlib
import os
import socket
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Tuple, TypeVar

from .._common.errors import CommandError
from .._protocols import ctnetlink
from .._protocols.conntrack_usage import mark_blocks, read_dump
from . import commands

# Absent from the socket module: linux/netlink.h.
_NETLINK_NETFILTER, _BUFFER = 12, 1 << 16
# (mark, mask) of the connections to list.
Filter = Tuple[int, int]
_Part = TypeVar("_Part")


def read_connections(filters: Iterable[Filter]) -> list[tuple[int, ctnetlink.Flow]]:
    """Return (mark, Flow) of the TCP and UDP connections that match a filter."""
    return [found for part in dump(filters, ctnetlink.parse_messages) for found in part]


def count_connections(filters: Iterable[Filter]) -> Counter[bytes]:
    """Return {piece: number} of the connections that match a filter, see `conntrack_usage.uses`."""
    counted: Counter[bytes] = Counter()
    for pieces in dump(filters, read_dump):
        counted.update(pieces)
    return counted


def dump(filters: Iterable[Filter], read: Callable[[bytes], tuple[_Part, int | None]]) -> Iterator[_Part]:
    """Yield what `read` returns for each message of the dumps, one dump for each filter."""
    with _ctnetlink() as sock:
        for mark, mask in filters:
            sock.send(ctnetlink.dump_request(mark, mask))
            error = None
            while error is None:
                found, error = read(sock.recv(_BUFFER))
                yield found
            if error:
                raise CommandError(f"conntrack: cannot list the entries with mark {mark:#x}: {os.strerror(error)}")


def change_connections(requests: Iterable[bytes]) -> list[int]:
    """Send messages of `_protocols.ctnetlink`; returns an error number for each, 0 for success."""
    errors = []
    with _ctnetlink() as sock:
        for request in requests:
            sock.send(request)
            errors.append(ctnetlink.parse_messages(sock.recv(_BUFFER))[1] or 0)
    return errors


def forget_connections(marks: Iterable[int], mask: int) -> None:
    """Delete the entries that carry one of these marks, so that their connections are routed again.

    Raises CommandError if the kernel refuses.
    """
    blocks = mark_blocks(marks, mask)
    requests = [ctnetlink.delete_marked_request(mark, under) for mark, under in blocks]
    for (mark, _under), error in zip(blocks, change_connections(requests) if blocks else ()):
        if error:
            raise CommandError(f"conntrack: cannot delete entries with mark {mark:#x}: {os.strerror(error)}")


def forget_elsewhere(filters: Iterable[Filter], kept: Mapping[int, str], mask: int) -> None:
    """Delete the entries with one of the marks of `kept`, {mark: address}, whose replies go to another address.

    `filters` lists them. They may have any protocol and zone, and no answer yet. Raises CommandError.
    """
    entries = [entry for part in dump(filters, ctnetlink.parse_entries) for entry in part]
    change_connections(
        [each.deletion for each in entries if kept.get(each.mark & mask, each.replies_to) != each.replies_to]
    )


@contextlib.contextmanager
def _ctnetlink() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER) as sock:
        sock.settimeout(commands.TIMEOUT)
        yield sock
