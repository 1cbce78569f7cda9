# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tracked connections as values, and the ctnetlink messages that list, create and delete them. PRIVATE. No I/O.

Numbers are those of linux/netfilter/nfnetlink_conntrack.h and nf_conntrack_common.h. Headers of messages and
attributes are in host byte order, payloads in network byte order.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Dict, NamedTuple, Tuple, Union

from .._common.addresses import parse_address, version_of
from .._common.errors import EgressIPError

# An end of a connection: (address, port).
End = Tuple[str, int]
# {attribute type: payload}
Attributes = Dict[int, bytes]
# State, window scales per direction, flags per direction; empty for UDP.
TcpDetails = Union[Tuple[()], Tuple[int, Tuple[int, int], Tuple[int, int]]]
# Message types: the subsystem ctnetlink (1) and the operation.
_NEW, _GET, _DELETE = 0x100, 0x101, 0x102
_REQUEST, _ACK, _EXCLUSIVE, _CREATE, _DUMP = 0x1, 0x4, 0x200, 0x400, 0x300
_ERROR, _DONE = 2, 3
_NESTED, _TYPE = 0x8000, 0x3FFF
# Attributes of a connection, and those nested in them.
_TUPLE_ORIG, _TUPLE_REPLY, _STATUS, _PROTOINFO, _NAT_SRC, _TIMEOUT, _MARK, _MARK_MASK = 1, 2, 3, 4, 6, 7, 8, 21
_ZONE = 18
_TUPLE_IP, _TUPLE_PROTO, _TUPLE_ZONE = 1, 2, 3
_PROTO_NUM, _SRC_PORT, _DST_PORT = 1, 2, 3
_TCP_INFO, _TCP_STATE, _TCP_SCALES, _TCP_FLAGS = 1, 1, (2, 3), (4, 5)
_NAT_PROTO, _PORT_MIN, _PORT_MAX = 3, 1, 2
# Attributes of the source and the destination address, and of the lowest and highest address of a translation.
_IP_PAIR = {4: (1, 2), 6: (3, 4)}
_NAT_PAIR = {4: (1, 2), 6: (4, 5)}
ADDRESS_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
_SEEN_REPLY, _ASSURED, _CONFIRMED = 0x2, 0x4, 0x8
# TCP states of conntrack: ESTABLISHED, FIN_WAIT and CLOSE_WAIT, in which one side may still send data; TIME_WAIT and
# CLOSE.
TCP_OPEN = (3, 4, 5)
_TCP_CLOSED = (7, 8)
# Accept a connection whose sequence numbers this host has never tracked.
_BE_LIBERAL = 0x8


@dataclass(frozen=True)
class Flow:
    """A TCP or UDP connection whose source address is translated.

    `source` and `destination` are the ends as the client sends, `translated` is the source that the server sees,
    `server` the end that answers. `timeout` is in seconds. `tcp` holds TCP's details, `assured` is the kernel's flag
    for a connection with traffic in both directions.
    """

    protocol: int
    source: End
    destination: End
    server: End
    translated: End
    timeout: int
    assured: bool
    tcp: TcpDetails = ()

    def to_list(self) -> list[object]:
        """Return the fields as a JSON-safe list, in their order."""
        return list(self.__dict__.values())

    @classmethod
    def from_list(cls, values: object) -> Flow:
        """Return the Flow of a list that `to_list` returned; raises ValueError for anything else."""
        protocol, source, destination, server, translated, timeout, assured, tcp = _list(values, 8, "flow")
        if protocol not in (socket.IPPROTO_TCP, socket.IPPROTO_UDP) or not isinstance(assured, bool):
            raise ValueError("flow: must be a TCP or UDP connection")
        return cls(
            int(_integer(protocol, 0xFF, "flow.protocol")),
            _end(source, "flow.source"),
            _end(destination, "flow.destination"),
            _end(server, "flow.server"),
            _end(translated, "flow.translated"),
            _integer(timeout, 0xFFFFFFFF, "flow.timeout"),
            assured,
            _tcp_details(tcp) if tcp else (),
        )


class Entry(NamedTuple):
    """A tracked connection of any protocol, answered or not: its mark, and the address to which replies go.

    `deletion` is the message that deletes it.
    """

    mark: int
    replies_to: str
    deletion: bytes


def _list(value: object, length: int, path: str) -> list[object]:
    if not isinstance(value, (list, tuple)) or len(value) != length:
        raise ValueError(f"{path}: must be a list of {length} values")
    return list(value)


def _integer(value: object, highest: int, path: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= highest:
        raise ValueError(f"{path}: must be an integer from 0 to {highest}")
    return value


def _end(value: object, path: str) -> End:
    address, port = _list(value, 2, path)
    try:
        return str(parse_address(address, path)), _integer(port, 0xFFFF, path)
    except EgressIPError as error:
        raise ValueError(str(error)) from None


def _tcp_details(value: object) -> TcpDetails:
    state, scales, flags = _list(value, 3, "flow.tcp")
    return _integer(state, 0xFF, "flow.tcp"), _byte_pair(scales), _byte_pair(flags)


def _byte_pair(value: object) -> tuple[int, int]:
    first, second = _list(value, 2, "flow.tcp")
    return _integer(first, 0xFF, "flow.tcp"), _integer(second, 0xFF, "flow.tcp")


def dump_request(mark: int, mask: int) -> bytes:
    """Return the message that lists the connections of both IP versions whose mark is `mark` under `mask`."""
    return _message(_GET, _DUMP, socket.AF_UNSPEC, _mark_filter(mark, mask))


def delete_marked_request(mark: int, mask: int) -> bytes:
    """Return the message that deletes every connection whose mark is `mark` under `mask`."""
    return _message(_DELETE, _ACK, 0, _mark_filter(mark, mask))


def delete_request(protocol: int, source: End, destination: End) -> bytes:
    """Return the message that deletes the connection with these ends, in the direction of its first packet."""
    return _message(_DELETE, _ACK, _family(source), _tuple(_TUPLE_ORIG, protocol, source, destination))


def create_request(flow: Flow, mark: int) -> bytes:
    """Return the message that creates this connection in the kernel, with this mark."""
    port = struct.pack("!H", flow.translated[1])
    address = _packed(flow.translated[0])
    lowest, highest = _NAT_PAIR[version_of(flow.translated[0])]
    ports = _attribute(_PORT_MIN, port) + _attribute(_PORT_MAX, port)
    body = _tuple(_TUPLE_ORIG, flow.protocol, flow.source, flow.destination)
    # The kernel itself puts the translated address into the tuple of the replies.
    body += _tuple(_TUPLE_REPLY, flow.protocol, flow.destination, flow.source)
    body += _nest(_NAT_SRC, _attribute(lowest, address) + _attribute(highest, address) + _nest(_NAT_PROTO, ports))
    status = _CONFIRMED | _SEEN_REPLY | (_ASSURED if flow.assured else 0)
    body += _attribute(_STATUS, struct.pack("!I", status))
    body += _attribute(_TIMEOUT, struct.pack("!I", flow.timeout)) + _attribute(_MARK, struct.pack("!I", mark))
    return _message(_NEW, _ACK | _CREATE | _EXCLUSIVE, _family(flow.source), body + _protocol_info(flow))


def parse_messages(data: bytes) -> tuple[list[tuple[int, Flow]], int | None]:
    """Return ([(mark, Flow)], end) of the bytes that a socket received.

    `end` is None while more messages follow, else the error number, 0 for success.
    """
    connections, end = _listed(data)
    found = [(_mark(each), _flow(each)) for _family, each in connections]
    return [(mark, flow) for mark, flow in found if flow], end


def parse_entries(data: bytes) -> tuple[list[Entry], int | None]:
    """Return ([Entry], end) of the bytes that a socket received, with the `end` of `parse_messages`."""
    connections, end = _listed(data)
    return [_entry(family, found) for family, found in connections], end


def _listed(data: bytes) -> tuple[list[tuple[int, Attributes]], int | None]:
    """Return ([(address family, attributes of a connection)], end)."""
    connections: list[tuple[int, Attributes]] = []
    end: int | None = None
    for kind, payload in _messages(data):
        if kind in (_ERROR, _DONE):
            end = -struct.unpack_from("=i", payload)[0]
        else:
            connections.append((payload[0], _attributes(payload[4:])))
    return connections, end


def _mark(found: Attributes) -> int:
    return int.from_bytes(found.get(_MARK, b""), "big")


def _entry(family: int, found: Attributes) -> Entry:
    """Return the Entry with these attributes. The listed tuple names it exactly, as with a type of ICMP."""
    _protocol, _server, (replies_to, _port) = _read_tuple(found[_TUPLE_REPLY])
    zone = _attribute(_ZONE, found[_ZONE]) if _ZONE in found else b""
    deletion = _message(_DELETE, _ACK, family, _nest(_TUPLE_ORIG, found[_TUPLE_ORIG]) + zone)
    return Entry(_mark(found), replies_to, deletion)


def _flow(found: Attributes) -> Flow | None:
    """Return the Flow with these attributes; None if it is neither TCP nor UDP, not yet answered, or closed.

    None too for one in a zone of its own, such as datagrams of a host user: it begins again on another node.
    """
    if _TUPLE_ZONE in _attributes(found[_TUPLE_ORIG]):
        return None
    protocol, source, destination = _read_tuple(found[_TUPLE_ORIG])
    _protocol, server, translated = _read_tuple(found[_TUPLE_REPLY])
    (status,) = struct.unpack("!I", found[_STATUS])
    if protocol not in (socket.IPPROTO_TCP, socket.IPPROTO_UDP) or not status & _SEEN_REPLY:
        return None
    (timeout,) = struct.unpack("!I", found.get(_TIMEOUT, bytes(4)))
    tcp = _attributes(_attributes(found.get(_PROTOINFO, b"")).get(_TCP_INFO, b""))
    details: TcpDetails = ()
    if tcp:
        if tcp[_TCP_STATE][0] in _TCP_CLOSED:
            return None
        details = tcp[_TCP_STATE][0], _both_directions(tcp, _TCP_SCALES), _both_directions(tcp, _TCP_FLAGS)
    return Flow(protocol, source, destination, server, translated, timeout, bool(status & _ASSURED), details)


def _both_directions(tcp: Attributes, kinds: tuple[int, int]) -> tuple[int, int]:
    original, reply = kinds
    return tcp[original][0], tcp[reply][0]


def _read_tuple(data: bytes) -> tuple[int, End, End]:
    """Return (protocol, source, destination) of a tuple attribute."""
    parts = _attributes(data)
    ip, proto = _attributes(parts[_TUPLE_IP]), _attributes(parts[_TUPLE_PROTO])
    version = 4 if _IP_PAIR[4][0] in ip else 6
    source, destination = (socket.inet_ntop(ADDRESS_FAMILIES[version], ip[kind]) for kind in _IP_PAIR[version])
    source_port, destination_port = (_port(proto, kind) for kind in (_SRC_PORT, _DST_PORT))
    return proto[_PROTO_NUM][0], (source, source_port), (destination, destination_port)


def _port(attributes: Attributes, kind: int) -> int:
    return int.from_bytes(attributes.get(kind, bytes(2)), "big")


def _protocol_info(flow: Flow) -> bytes:
    if not flow.tcp:
        return b""
    state, scales, flags = flow.tcp
    info = _attribute(_TCP_STATE, bytes([state]))
    for kind, value in zip(_TCP_SCALES, scales):
        info += _attribute(kind, bytes([value]))
    for kind, value in zip(_TCP_FLAGS, flags):
        info += _attribute(kind, bytes([value | _BE_LIBERAL, value | _BE_LIBERAL]))
    return _nest(_PROTOINFO, _nest(_TCP_INFO, info))


def _tuple(kind: int, protocol: int, source: End, destination: End) -> bytes:
    first, second = _IP_PAIR[version_of(source[0])]
    ip = _attribute(first, _packed(source[0])) + _attribute(second, _packed(destination[0]))
    proto = _attribute(_PROTO_NUM, bytes([protocol]))
    proto += _attribute(_SRC_PORT, struct.pack("!H", source[1]))
    proto += _attribute(_DST_PORT, struct.pack("!H", destination[1]))
    return _nest(kind, _nest(_TUPLE_IP, ip) + _nest(_TUPLE_PROTO, proto))


def _family(end: End) -> int:
    return ADDRESS_FAMILIES[version_of(end[0])]


def _packed(address: str) -> bytes:
    return socket.inet_pton(ADDRESS_FAMILIES[version_of(address)], address)


def _mark_filter(mark: int, mask: int) -> bytes:
    return _attribute(_MARK, struct.pack("!I", mark)) + _attribute(_MARK_MASK, struct.pack("!I", mask))


def _message(kind: int, flags: int, family: int, attributes: bytes) -> bytes:
    body = struct.pack("=BBH", family, 0, 0) + attributes
    return struct.pack("=IHHII", 16 + len(body), kind, _REQUEST | flags, 0, 0) + body


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (type, payload) of each netlink message."""
    while len(data) >= 16:
        length, kind = struct.unpack_from("=IH", data)
        yield kind, data[16:length]
        data = data[_aligned(length) :]


def _attributes(data: bytes) -> Attributes:
    """Return {type: payload} of netlink attributes."""
    found = {}
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        found[kind & _TYPE] = data[4:length]
        data = data[_aligned(length) :]
    return found


def _attribute(kind: int, payload: bytes) -> bytes:
    length = 4 + len(payload)
    return struct.pack("=HH", length, kind) + payload + bytes(_aligned(length) - length)


def _nest(kind: int, payload: bytes) -> bytes:
    return _attribute(kind | _NESTED, payload)


def _aligned(length: int) -> int:
    return (length + 3) & ~3
