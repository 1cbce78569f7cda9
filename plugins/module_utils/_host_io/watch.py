# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Was this node here all the time, and is what it holds still there? PRIVATE to the collection.

The watch asks every few seconds, and mostly the answer is yes: so this file does its own I/O, with netlink in place of
commands, and imports next to nothing. It looks at what others throw away as a whole: tables, rules, policies, the
device, addresses, ours and those of the node without which ours are of no use. A single rule or element that is wrong
is found by the next run.
"""

from __future__ import annotations

import socket
import struct
import time

WATCH_FILE = "/run/netops-egress-ip.watch"
# Seconds of silence of the watch that mean that the node was away: hung, or suspended.
AWAY = 10

# What `_dataplane.nft_ruleset` and `_dataplane.host` say in words; to import them would cost more than the look.
_TABLE, _PROTOCOL = b"egress_ip\0", 225
_NETLINK_ROUTE, _NETLINK_XFRM, _NETLINK_NETFILTER = 0, 6, 12
_REQUEST, _DUMP = 0x1, 0x300
_ERROR, _DONE = 2, 3
# NFT_MSG_GETTABLE of the subsystem nftables, the families inet and netdev; RTM_GETRULE and the attribute FRA_PROTOCOL.
_GET_TABLE, _FAMILIES, _TABLE_NAME = 0xA01, (1, 5), 1
_GET_RULE, _RULE_PROTOCOL = 34, 21
# XFRM_MSG_GETSPDINFO; where its answer has how many policies there are for what is forwarded, ours and others'.
_GET_POLICY_INFO, _FORWARD_COUNT = 0x25, 16


def has_link(interface):
    """Tell whether the interface is up and has a carrier."""
    try:
        with open(f"/sys/class/net/{interface}/carrier", encoding="ascii") as file:  # noqa: PTH123
            return file.read().strip() == "1"
    except OSError:  # the kernel gives no answer for an interface that is down
        return False


def note(device, held, path=WATCH_FILE):
    """Note that the node is here now, with the tunnel `device` and the addresses `held`, (address, interface).

    These are egress IPs, and with "" for the interface the node's own ones, which may be on any.
    """
    words = [f"{time.monotonic():.1f}", device, _counts(), *(f"{ip}%{interface}" for ip, interface in held)]
    with open(path, "w", encoding="ascii") as file:  # noqa: PTH123
        file.write(" ".join(words))


def was_away(path=WATCH_FILE):
    """Tell whether the node was away since the last note: it did not look for a while, or an interface has no link."""
    last, _device, _noted, held = _read(path)
    return time.monotonic() - last > AWAY or not all(has_link(interface) for _ip, interface in held if interface)


def renew(path=WATCH_FILE):
    """Return whether the node was here since the last note and all is there; if so, note it again."""
    _last, device, noted, held = _read(path)
    if was_away(path) or noted != _counts() or not (_has_tables() and has_link(device) and all(map(_is_here, held))):
        return False
    note(device, held, path)
    return True


def _read(path):
    """Return what was noted: (time, device, counts, held); without a sound note, at the beginning of time."""
    try:
        with open(path, encoding="ascii") as file:  # noqa: PTH123
            last, device, counts, *held = file.read().split()
        return float(last), device, counts, [tuple(word.split("%", 1)) for word in held]
    except (OSError, ValueError):
        return float("-inf"), "", "", []


def _is_here(item):
    """Tell whether an address is on the node, and where its interface is in a VRF, in this: one can bind to it."""
    ip, interface = item
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
            sock.bind((ip, 0))
        except OSError:
            return False
    return True


def _has_tables():
    name = struct.pack("=HH", 4 + len(_TABLE), _TABLE_NAME) + _TABLE.ljust(len(_TABLE) + 3 & ~3, b"\0")
    for family in _FAMILIES:
        for kind, _payload in _ask(_NETLINK_NETFILTER, _GET_TABLE, _REQUEST, struct.pack("=BBH", family, 0, 0) + name):
            if kind == _ERROR:
                return False
    return True


def _counts():
    """Return the numbers of rules and policies as one word."""
    return f"{_count_rules()}+{_count_policies()}"


def _count_policies():
    """Return how many IPsec policies there are for what is forwarded."""
    ((_kind, payload),) = _ask(_NETLINK_XFRM, _GET_POLICY_INFO, _REQUEST, bytes(4))
    return struct.unpack_from("=I", payload, _FORWARD_COUNT)[0]


def _count_rules():
    """Return how many routing rules bear our protocol number."""
    count = 0
    for family in (socket.AF_INET, socket.AF_INET6):
        for _kind, payload in _ask(_NETLINK_ROUTE, _GET_RULE, _REQUEST | _DUMP, bytes([family]) + bytes(11)):
            count += struct.pack("=HHB", 5, _RULE_PROTOCOL, _PROTOCOL) in payload
    return count


def _ask(protocol, kind, flags, body):
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
