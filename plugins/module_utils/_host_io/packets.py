# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Raw frames and packets of a node. PRIVATE to the collection. Needs root."""

from __future__ import annotations

import contextlib
import ctypes
import math
import select
import socket
import struct
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Dict, Tuple

from .._common.errors import CommandError
from .._protocols import ndp
from .._protocols.address_probe import PARSERS, Probe
from .watch import has_link

# Absent from the socket module: linux/if_packet.h, asm-generic/socket.h.
_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, _PACKET_MR_ALLMULTI, _PACKET_STATISTICS = 263, 1, 2, 6
_SO_ATTACH_FILTER, _SO_RCVBUFFORCE = 26, 33
# Frames that are read at once, and bytes of unread frames that the kernel keeps.
_BURST, _RECEIVE_BUFFER = 256, 1 << 22
_FRAME_SIZE = 2048
# Seconds for which more frames than this host can read may put a verdict off.
_FLOOD = 30.0
# Kinds of frames up to this one are for this host, for all, or for a group; others are sent, or for another host.
_PACKET_MULTICAST = 2

# The addresses that are free, and {address: MAC of the host that uses it}.
Verdict = Tuple["set[str]", Dict[str, str]]
_Pending = Dict[socket.socket, Dict[str, Probe]]
# Of a frame: interface, EtherType, kind, type of hardware, address.
_Origin = Tuple[str, int, int, int, bytes]
# Of classic BPF: code, jump, other jump, value. Its loads of a frame's interface and kind, from linux/filter.h.
Instruction = Tuple[int, int, int, int]
_LOAD_INTERFACE, _LOAD_KIND = (0x20, 0, 0, 0xFFFFF008), (0x20, 0, 0, 0xFFFFF004)
# Next header (byte 20) is ICMPv6, its type (byte 54) is 135 or 136; accept or drop.
_NEIGHBOUR_DISCOVERY = (
    (0x30, 0, 0, 20),
    (0x15, 0, 4, 58),
    (0x30, 0, 0, 54),
    (0x15, 1, 0, ndp.SOLICITATION),
    (0x15, 0, 1, ndp.ADVERTISEMENT),
    (0x06, 0, 0, 0xFFFF),
    (0x06, 0, 0, 0),
)
# (EtherType, frames), (IP version, destination, packet).
Frames = Tuple[int, Tuple[bytes, ...]]
Packet = Tuple[int, str, bytes]


def run_probes(probes: Mapping[str, Sequence[Probe]]) -> Iterator[Verdict]:
    """Run probes to their end, {interface: probes}; yields each verdict as soon as it is known.

    Raises CommandError for an interface without a link, one that cannot send, and for frames that never end.
    """
    behind_since = math.inf
    for interface in probes:
        _require_carrier(interface)
    with contextlib.ExitStack() as stack:
        pending: _Pending = {
            stack.enter_context(packet_socket(interface, ethertype)): {
                probe.address: probe for probe in items if probe.ethertype == ethertype
            }
            for interface, items in probes.items()
            for ethertype in sorted({probe.ethertype for probe in items})
        }
        while any(pending.values()):
            now = time.monotonic()
            for sock, items in pending.items():
                for frame in filter(None, [probe.frame_due(now) for probe in items.values()]):
                    sock.send(frame)
            wake = min(probe.next_time() for items in pending.values() for probe in items.values())
            heard_until = _receive_answers(pending, max(0.0, wake - now))
            if heard_until is None:
                behind_since = min(behind_since, now)
                if now - behind_since > _FLOOD:
                    raise CommandError(
                        f"egress_ip_interface: {', '.join(sorted(probes))}: more ARP or ND frames arrive than this "
                        "host can read, so no address can be probed; look for a loop or a flood in the network"
                    )
                continue
            free, conflicts = take_verdicts(pending.values(), heard_until)
            if free or conflicts:
                yield free, conflicts


def _require_carrier(interface: str) -> None:
    """Refuse to probe on an interface without a link, where silence would mean nothing."""
    if not has_link(interface):
        raise no_link(interface)


def no_link(interface: str) -> CommandError:
    """Return the error of a probe on an interface without a link."""
    return CommandError(f"egress_ip_interface: {interface} has no link, so no address can be probed on it")


def _receive_answers(pending: _Pending, timeout: float) -> float | None:
    """Take in what has arrived; returns the time until which all is known, None while there may be more.

    The time is that before the first read. On a busy host, an answer may arrive between any two instructions. If the
    kernel has dropped frames, one may have been an answer: the probes begin again.
    """
    select.select(list(pending), [], [], timeout)
    now, is_behind = time.monotonic(), False
    for sock in pending:
        interface, found = str(sock.getsockname()[0]), _read_frames(sock)
        is_behind = is_behind or len(found) == _BURST
        for frame, origin in found:
            heard = PARSERS[origin[1]](frame) if is_received(origin, interface) else None
            if heard:
                for address in pending[sock].keys() & {heard.uses, heard.probes}:
                    pending[sock][address].receive(heard)
        if drops_since(sock):
            is_behind = True
            for probe in pending[sock].values():
                probe.begin_again()
    return None if is_behind else now


def _read_frames(sock: socket.socket) -> list[tuple[bytes, _Origin]]:
    """Return the unread frames and their origins, at most a burst, so that a busy network cannot delay the probes."""
    found: list[tuple[bytes, _Origin]] = []
    with contextlib.suppress(BlockingIOError):
        while len(found) < _BURST:
            found.append(sock.recvfrom(_FRAME_SIZE, socket.MSG_DONTWAIT))
    return found


def is_received(origin: _Origin, interface: str) -> bool:
    """Return whether an interface received a frame with this origin, untagged, and not another host or a VLAN of it."""
    name, _ethertype, kind, *_rest = origin
    return name == interface and kind <= _PACKET_MULTICAST


def of_received(index: int, program: Sequence[Instruction]) -> tuple[Instruction, ...]:
    """Return the filter that accepts what `program` does, of the frames that this interface received, as `is_received`.

    The last instruction of `program` drops a frame.
    """
    to_end = len(program) - 1
    is_of_interface, is_not_received = (0x15, 0, to_end + 2, index), (0x25, to_end, 0, _PACKET_MULTICAST)
    return (_LOAD_INTERFACE, is_of_interface, _LOAD_KIND, is_not_received, *program)


def take_verdicts(pending: Iterable[dict[str, Probe]], now: float) -> Verdict:
    """Return the verdicts that are known at the time `now`, and remove their probes from `pending`."""
    free: set[str] = set()
    conflicts: dict[str, str] = {}
    for items in pending:
        for address, probe in items.items():
            holder = probe.conflict(now)
            if holder:
                conflicts[address] = holder
            elif probe.is_free(now):
                free.add(address)
        for address in free.union(conflicts).intersection(items):
            del items[address]
    return free, conflicts


def send_frames(interface: str, announced: Sequence[Frames]) -> None:
    """Send raw frames on an interface. Raises CommandError if it cannot send."""
    for ethertype in sorted({kind for kind, _frames in announced}):
        with packet_socket(interface, ethertype) as sock:
            for frame in (frame for kind, frames in announced if kind == ethertype for frame in frames):
                sock.send(frame)


def send_packets(packets: Sequence[Packet]) -> None:
    """Send whole IP packets; those without a route are dropped."""
    with contextlib.ExitStack() as stack:
        sockets = {
            version: stack.enter_context(socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW))
            for version, family in ((4, socket.AF_INET), (6, socket.AF_INET6))
            if any(kind == version for kind, _destination, _packet in packets)
        }
        for version, destination, packet in packets:
            with contextlib.suppress(OSError):
                sockets[version].sendto(packet, (destination, 0))


@contextlib.contextmanager
def packet_socket(
    interface: str, ethertype: int, program: Sequence[Instruction] | None = None
) -> Iterator[socket.socket]:
    """Open a socket for the raw frames of one EtherType on an interface. Raises CommandError if that fails.

    `program` is a filter in classic BPF. Without one, of IPv6 only neighbour solicitations and advertisements arrive.
    """
    with _sending_on(interface):
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    with sock, _sending_on(interface):
        # Probes of a fleet that claims at once fill the default buffer, and an answer would be lost.
        with contextlib.suppress(PermissionError):
            sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
        if ethertype == ndp.ETHERTYPE:
            _receive_all_multicast(sock, interface)
            program = program or _NEIGHBOUR_DISCOVERY
        if program:
            _attach_filter(sock, program)
        sock.bind((interface, ethertype))
        yield sock


def drops_since(sock: socket.socket) -> int:
    """Return how many frames the kernel has dropped since the last call, because too many waited in this socket."""
    _arrived, dropped = struct.unpack("=II", sock.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))
    return int(dropped)


@contextlib.contextmanager
def _sending_on(interface: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CommandError(f"egress_ip_interface: cannot send on {interface}: {error.strerror}") from None


def _receive_all_multicast(sock: socket.socket, interface: str) -> None:
    membership = struct.pack("=iHH8s", socket.if_nametoindex(interface), _PACKET_MR_ALLMULTI, 0, b"")
    sock.setsockopt(_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, membership)


def _attach_filter(sock: socket.socket, program: Sequence[Instruction]) -> None:
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *instruction) for instruction in program))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", len(program), ctypes.addressof(code)))
