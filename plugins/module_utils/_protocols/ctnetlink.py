# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tracked connections as values, and the messages of ctnetlink that read, make and delete them. PRIVATE. Pure.

Numbers are those of linux/netfilter/nfnetlink_conntrack.h and nf_conntrack_common.h. Headers of messages and
attributes are in host order, what they carry is in network order.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass, replace

from .._common.addresses import parse_address, version_of

# Message types: the subsystem ctnetlink and what is to be done.
_NEW, _GET, _DELETE = 0x100, 0x101, 0x102
_REQUEST, _ACK, _EXCLUSIVE, _CREATE, _DUMP = 0x1, 0x4, 0x200, 0x400, 0x300
_ERROR, _DONE = 2, 3
_NESTED, _TYPE = 0x8000, 0x3FFF
_TUPLE_ORIG, _TUPLE_REPLY, _STATUS, _PROTOINFO, _NAT_SRC, _TIMEOUT, _MARK, _MARK_MASK = 1, 2, 3, 4, 6, 7, 8, 21
_TUPLE_IP, _TUPLE_PROTO = 1, 2
_PROTO_NUM, _SRC_PORT, _DST_PORT = 1, 2, 3
_TCP_INFO, _TCP_STATE, _TCP_SCALES, _TCP_FLAGS = 1, 1, (2, 3), (4, 5)
_NAT_PROTO, _PORT_MIN, _PORT_MAX = 3, 1, 2
# The attributes for source and destination, and for the least and greatest address of a translation.
_IP_PAIR = {4: (1, 2), 6: (3, 4)}
_NAT_PAIR = {4: (1, 2), 6: (4, 5)}
_FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
_SEEN_REPLY, _ASSURED, _CONFIRMED = 0x2, 0x4, 0x8
# TIME_WAIT and CLOSE.
_OVER = (7, 8)
# Lets a connection go on whose sequence numbers were never seen here.
_BE_LIBERAL = 0x8


@dataclass(frozen=True)
class Flow:
    """A TCP or UDP connection whose source is translated.

    `source` and `destination` are (address, port) as the client sends, `translated` is the source that the server
    sees, `server` who answers. `timeout` is in seconds. `tcp` is (state, window scales, flags), each of the two per
    direction; empty for UDP. `assured` is the kernel's word for a connection that was used in both directions.
    """

    protocol: int
    source: tuple
    destination: tuple
    server: tuple
    translated: tuple
    timeout: int
    assured: bool
    tcp: tuple = ()

    def to_list(self):
        """Return the flow as a JSON-safe list."""
        return list(self.__dict__.values())

    @classmethod
    def from_list(cls, values):
        """Return the Flow of what `to_list` gave; raises TypeError or ValueError for anything else."""
        flow = cls(*values)
        ends = {name: _end(getattr(flow, name)) for name in ("source", "destination", "server", "translated")}
        state, scales, flags = flow.tcp or (0, (0, 0), (0, 0))
        tcp = (int(state), tuple(map(int, scales)), tuple(map(int, flags))) if flow.tcp else ()
        return replace(flow, **ends, protocol=int(flow.protocol), timeout=int(flow.timeout), tcp=tcp)


def _end(value):
    address, port = value
    parse_address(address, "flow")
    return str(address), int(port)


def dump_request(mark, mask):
    """Return the message that asks for the connections of both IP versions whose mark is `mark` under `mask`."""
    return _message(_GET, _DUMP, socket.AF_UNSPEC, _mark_filter(mark, mask))


def delete_marked_request(mark, mask):
    """Return the message that deletes every connection whose mark is `mark` under `mask`."""
    return _message(_DELETE, _ACK, 0, _mark_filter(mark, mask))


def delete_request(protocol, source, destination):
    """Return the message that deletes the connection with these ends, as the one who opened it sees them."""
    return _message(_DELETE, _ACK, _family(source), _tuple(_TUPLE_ORIG, protocol, source, destination))


def create_request(flow, mark):
    """Return the message that makes this connection known, with this mark."""
    port = struct.pack("!H", flow.translated[1])
    address = _packed(flow.translated[0])
    least, greatest = _NAT_PAIR[version_of(flow.translated[0])]
    ports = _attribute(_PORT_MIN, port) + _attribute(_PORT_MAX, port)
    body = _tuple(_TUPLE_ORIG, flow.protocol, flow.source, flow.destination)
    # The kernel turns the translation into the tuple of the replies itself.
    body += _tuple(_TUPLE_REPLY, flow.protocol, flow.destination, flow.source)
    body += _nest(_NAT_SRC, _attribute(least, address) + _attribute(greatest, address) + _nest(_NAT_PROTO, ports))
    status = _CONFIRMED | _SEEN_REPLY | (_ASSURED if flow.assured else 0)
    body += _attribute(_STATUS, struct.pack("!I", status))
    body += _attribute(_TIMEOUT, struct.pack("!I", flow.timeout)) + _attribute(_MARK, struct.pack("!I", mark))
    return _message(_NEW, _ACK | _CREATE | _EXCLUSIVE, _family(flow.source), body + _protocol_info(flow))


def parse_messages(data):
    """Return (found, end) of what a socket received: `found` is a list of (mark, Flow), `end` is None while more is to
    come, else the error number.
    """
    flows, end = [], None
    for kind, payload in _messages(data):
        if kind in (_ERROR, _DONE):
            end = -struct.unpack_from("=i", payload)[0]
        else:
            found = _attributes(payload[4:])
            flow = _flow(found)
            flows += [(struct.unpack("!I", found.get(_MARK, bytes(4)))[0], flow)] if flow else []
    return flows, end


def _flow(found):
    """Return the Flow of a connection's attributes, None for what is not TCP or UDP, not answered yet, or over."""
    protocol, source, destination = _read_tuple(found[_TUPLE_ORIG])
    _protocol, server, translated = _read_tuple(found[_TUPLE_REPLY])
    (status,) = struct.unpack("!I", found[_STATUS])
    if protocol not in (socket.IPPROTO_TCP, socket.IPPROTO_UDP) or not status & _SEEN_REPLY:
        return None
    (timeout,) = struct.unpack("!I", found.get(_TIMEOUT, bytes(4)))
    tcp = _attributes(_attributes(found.get(_PROTOINFO, b"")).get(_TCP_INFO, b""))
    details = ()
    if tcp:
        if tcp[_TCP_STATE][0] in _OVER:
            return None
        details = (tcp[_TCP_STATE][0], tuple(tcp[k][0] for k in _TCP_SCALES), tuple(tcp[k][0] for k in _TCP_FLAGS))
    return Flow(protocol, source, destination, server, translated, timeout, bool(status & _ASSURED), details)


def _read_tuple(data):
    parts = _attributes(data)
    ip, proto = _attributes(parts[_TUPLE_IP]), _attributes(parts[_TUPLE_PROTO])
    version = 4 if _IP_PAIR[4][0] in ip else 6
    source, destination = (socket.inet_ntop(_FAMILY[version], ip[kind]) for kind in _IP_PAIR[version])
    ports = (struct.unpack("!H", proto.get(kind, bytes(2)))[0] for kind in (_SRC_PORT, _DST_PORT))
    return (proto[_PROTO_NUM][0], *zip((source, destination), ports))


def _protocol_info(flow):
    if not flow.tcp:
        return b""
    state, scales, flags = flow.tcp
    info = _attribute(_TCP_STATE, bytes([state]))
    for kind, value in zip(_TCP_SCALES, scales):
        info += _attribute(kind, bytes([value]))
    for kind, value in zip(_TCP_FLAGS, flags):
        info += _attribute(kind, bytes([value | _BE_LIBERAL, value | _BE_LIBERAL]))
    return _nest(_PROTOINFO, _nest(_TCP_INFO, info))


def _tuple(kind, protocol, source, destination):
    first, second = _IP_PAIR[version_of(source[0])]
    ip = _attribute(first, _packed(source[0])) + _attribute(second, _packed(destination[0]))
    proto = _attribute(_PROTO_NUM, bytes([protocol]))
    proto += _attribute(_SRC_PORT, struct.pack("!H", source[1]))
    proto += _attribute(_DST_PORT, struct.pack("!H", destination[1]))
    return _nest(kind, _nest(_TUPLE_IP, ip) + _nest(_TUPLE_PROTO, proto))


def _family(end):
    return _FAMILY[version_of(end[0])]


def _packed(address):
    return socket.inet_pton(_FAMILY[version_of(address)], address)


def _mark_filter(mark, mask):
    return _attribute(_MARK, struct.pack("!I", mark)) + _attribute(_MARK_MASK, struct.pack("!I", mask))


def _message(kind, flags, family, attributes):
    body = struct.pack("=BBH", family, 0, 0) + attributes
    return struct.pack("=IHHII", 16 + len(body), kind, _REQUEST | flags, 0, 0) + body


def _messages(data):
    """Yield (type, payload) of each netlink message."""
    while len(data) >= 16:
        length, kind = struct.unpack_from("=IH", data)
        yield kind, data[16:length]
        data = data[_aligned(length) :]


def _attributes(data):
    """Return {type: payload} of netlink attributes."""
    found = {}
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        found[kind & _TYPE] = data[4:length]
        data = data[_aligned(length) :]
    return found


def _attribute(kind, payload):
    length = 4 + len(payload)
    return struct.pack("=HH", length, kind) + payload + bytes(_aligned(length) - length)


def _nest(kind, payload):
    return _attribute(kind | _NESTED, payload)


def _aligned(length):
    return (length + 3) & ~3
