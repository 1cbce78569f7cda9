# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether this node ran all the time, and whether everything that it holds is in place. PRIVATE to the collection.

The watch calls this every few seconds, and mostly nothing has changed. So this module does its own I/O, with netlink
instead of commands, and imports almost nothing. It checks what others remove as a whole: tables, rules, policies, the
device, egress IPs, and the node's own addresses, without which the egress IPs are of no use. The next run finds a
single wrong rule or element.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterable, Iterator

WATCH_FILE = "/run/netops-egress-ip.watch"
# Seconds without a note after which the node counts as away: it hung or was suspended.
AWAY = 10
# Seconds between two probes of the egress IPs, and after an absence during which each run of the watch probes: a switch
# may forward frames 30 s after it has a link, and until then a claim meets silence.
PROBE_INTERVAL, SETTLE = 60, 60

# The values of `_dataplane.nft_table` and `_dataplane.host`, whose import would cost more than the whole check.
_TABLE, _PROTOCOL = b"egress_ip\0", 225
_NETLINK_ROUTE, _NETLINK_XFRM, _NETLINK_NETFILTER = 0, 6, 12
_REQUEST, _DUMP = 0x1, 0x300
_ERROR, _DONE = 2, 3
# NFT_MSG_GETTABLE of the subsystem nftables, the families inet and netdev; RTM_GETRULE and the attribute FRA_PROTOCOL.
_GET_TABLE, _FAMILIES, _TABLE_NAME = 0xA01, (1, 5), 1
_GET_RULE, _RULE_PROTOCOL = 34, 21
# XFRM_MSG_GETSPDINFO, and the offset of the number of all forward policies in its answer.
_GET_POLICY_INFO, _FORWARD_COUNT = 0x25, 16


def has_link(interface: str) -> bool:
    """Return whether the interface is up and has a carrier."""
    try:
        with open(f"/sys/class/net/{interface}/carrier", encoding="ascii") as file:  # noqa: PTH123
            return file.read().strip() == "1"
    except OSError:  # the kernel refuses to read the carrier of an interface that is down
        return False


def note(device: str, held: Iterable[tuple[str, str]], path: str = WATCH_FILE) -> None:
    """Note that the node runs now, with the tunnel `device` and `held`, (address, interface) each.

    The interface is "" for the node's own addresses, which may be on any interface.
    """
    (_last, _offset, due, settled), *_rest = _read(path)
    now, offset = _clocks()
    if was_away(path):
        due, settled = now, now + SETTLE
    _write(path, (now, offset, due, settled), device, _counts(), held)


def note_probed(path: str = WATCH_FILE) -> None:
    """Note that the egress IPs were probed now; for a minute after an absence, the next probe is due at once."""
    (last, offset, _due, settled), device, counts, held = _read(path)
    now = _clocks()[0]
    if device:
        _write(path, (last, offset, now if now < settled else now + PROBE_INTERVAL, settled), device, counts, held)


def was_away(path: str = WATCH_FILE) -> bool:
    """Return whether the node was away: its last note is too old, or an interface with an egress IP has no link.

    The clock of a suspended host goes on, and the wall clock of a paused virtual machine is set when it resumes.
    """
    (last, noted_offset, _due, _settled), _device, _noted, held = _read(path)
    now, offset = _clocks()
    if now - last > AWAY or offset - noted_offset > AWAY:
        return True
    return not all(has_link(interface) for _ip, interface in held if interface)


def is_settling(path: str = WATCH_FILE) -> bool:
    """Return whether the node was away less than a minute ago: its network may not have forwarded frames yet."""
    (_last, _offset, _due, settled), *_rest = _read(path)
    return was_away(path) or _clocks()[0] < settled


def is_probe_due(path: str = WATCH_FILE) -> bool:
    """Return whether it is time to probe the egress IPs."""
    (_last, _offset, due, _settled), _device, _noted, held = _read(path)
    return bool(held) and _clocks()[0] >= due


def renew(path: str = WATCH_FILE) -> bool:
    """Return whether nothing is to be done; if so, renew the note.

    That is if the node ran since its last note, everything is in place, and no probe is due.
    """
    _times, device, noted, held = _read(path)
    if was_away(path) or is_probe_due(path) or noted != _counts():
        return False
    if not (_has_tables() and has_link(device) and all(map(_is_here, held))):
        return False
    note(device, held, path)
    return True


def _clocks() -> tuple[float, float]:
    """Return the seconds since boot, with those of a suspension, and the wall clock's lead over them."""
    boot = time.clock_gettime(time.CLOCK_BOOTTIME)
    return boot, time.time() - boot


def _write(
    path: str, times: tuple[float, float, float, float], device: str, counts: str, held: Iterable[tuple[str, str]]
) -> None:
    words = [*(f"{seconds:.1f}" for seconds in times), device, counts, *(f"{ip}%{interface}" for ip, interface in held)]
    with open(path, "w", encoding="ascii") as file:  # noqa: PTH123
        file.write(" ".join(words))


def _read(path: str) -> tuple[tuple[float, float, float, float], str, str, list[tuple[str, str]]]:
    """Return the note, ((last, offset, due, settled), device, counts, held); a missing or damaged one is very old.

    The times are seconds since boot: of the note, of the next probe, of the end of the minute after an absence; and
    `offset` is the wall clock's lead over them.
    """
    try:
        with open(path, encoding="ascii") as file:  # noqa: PTH123
            last, offset, due, settled, device, counts, *held = file.read().split()
        pairs = [word.partition("%") for word in held]
        times = float(last), float(offset), float(due), float(settled)
        return times, device, counts, [(ip, interface) for ip, _percent, interface in pairs]
    except (OSError, ValueError):
        never = float("-inf")
        return (never, -never, never, never), "", "", []


def _is_here(item: tuple[str, str]) -> bool:
    """Return whether a socket can bind to an address: it is on the node, and in the VRF of its interface if any."""
    ip, interface = item
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
            sock.bind((ip, 0))
        except OSError:
            return False
    return True


def _has_tables() -> bool:
    name = struct.pack("=HH", 4 + len(_TABLE), _TABLE_NAME) + _TABLE.ljust(len(_TABLE) + 3 & ~3, b"\0")
    for family in _FAMILIES:
        for kind, _payload in _query(
            _NETLINK_NETFILTER, _GET_TABLE, _REQUEST, struct.pack("=BBH", family, 0, 0) + name
        ):
            if kind == _ERROR:
                return False
    return True


def _counts() -> str:
    """Return the numbers of rules and policies as one word."""
    return f"{_count_rules()}+{_count_policies()}"


def _count_policies() -> int:
    """Return the number of IPsec policies for forwarded packets."""
    ((_kind, payload),) = _query(_NETLINK_XFRM, _GET_POLICY_INFO, _REQUEST, bytes(4))
    count: int = struct.unpack_from("=I", payload, _FORWARD_COUNT)[0]
    return count


def _count_rules() -> int:
    """Return the number of routing rules with the collection's protocol number."""
    count = 0
    for family in (socket.AF_INET, socket.AF_INET6):
        for _kind, payload in _query(_NETLINK_ROUTE, _GET_RULE, _REQUEST | _DUMP, bytes([family]) + bytes(11)):
            count += struct.pack("=HHB", 5, _RULE_PROTOCOL, _PROTOCOL) in payload
    return count


def _query(protocol: int, kind: int, flags: int, body: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (type, payload) of the answers to one netlink message."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol) as sock:
        sock.send(struct.pack("=IHHII", 16 + len(body), kind, flags, 0, 0) + body)
        while True:
            data = sock.recv(1 << 16)
            while data:
                length, kind = struct.unpack_from("=IH", data)
                if kind == _DONE:
                    return
                yield kind, data[16:length]
                if not flags & _DUMP or kind == _ERROR:
                    return
                data = data[length + 3 & ~3 :]
