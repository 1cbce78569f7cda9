# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses and networks: parsing, order and canonical form. PRIVATE to the collection.

The only file that uses ``ipaddress``. Stricter than it: what two programs could read in two ways is refused,
and Python 3.8 to 3.14 give the same answers.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from functools import lru_cache

from .errors import EgressIPError
from .messages import expected_string, pasted_hint, quote

_POINT_TO_POINT_HOST_BITS = 1
_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_CANONICAL_IPV4 = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}")
_IPV4 = 4
_IPV6 = 6
VERSIONS = (_IPV4, _IPV6)
# What iproute2 and nftables call them.
WORDS = {_IPV4: "ip", _IPV6: "ip6"}
_NOT_UNICAST = {
    "255.255.255.255/32": "the limited broadcast address",
    "0.0.0.0/32": "the unspecified address",
    "::/128": "the unspecified address",
    "127.0.0.0/8": "a loopback address",
    "::1/128": "a loopback address",
    "169.254.0.0/16": "a link-local address",
    "fe80::/10": "a link-local address",
    "224.0.0.0/4": "a multicast address",
    "ff00::/8": "a multicast address",
}
# {version: [(first, last, name)]}: to compare integers takes a tenth of the time, and a plan has many addresses.
_NOT_UNICAST_RANGES = {version: [] for version in VERSIONS}
for _network, _name in ((ipaddress.ip_network(text), name) for text, name in _NOT_UNICAST.items()):
    _range = int(_network.network_address), int(_network.broadcast_address), _name
    _NOT_UNICAST_RANGES[_network.version].append(_range)


def parse_address(text, path):
    """Return the IPv4Address or IPv6Address that the string ``text`` spells; EgressIPError names ``path``."""
    return parsed(canonical_address(text, path))


def canonical_address(text, path):
    """Return the canonical form of the address that ``text`` spells; EgressIPError names ``path``."""
    if isinstance(text, str) and _CANONICAL_IPV4.fullmatch(text):
        # Most are so, and nothing below would find fault with them.
        return str(text)
    _refuse_what_no_form_allows(text, path, "an IP address")
    if "/" in text:
        raise EgressIPError(f"{path}: {quote(text)} has a prefix length; give the address alone")
    return canonical(_parse_plain_address(text, text, path))


def parse_packed_ipv6(data):
    """Return the IPv6Address in 16 bytes from the wire."""
    return ipaddress.IPv6Address(data)


def parse_egress_ip(text, path):
    """Return the unicast address that ``text`` spells; refuses those that no node can hold for others."""
    return parsed(canonical_egress_ip(text, path))


def canonical_egress_ip(text, path):
    """Return the canonical form of the unicast address that ``text`` spells."""
    address = canonical_address(text, path)
    reason = _why_not_unicast(address)
    if reason:
        raise EgressIPError(f"{path}: {quote(text)} is {reason}, which cannot be an egress IP")
    return address


def refuse_not_unicast_between(first, last, text, path):
    """Raise the EgressIPError that ``text`` at ``path`` deserves if an address between two cannot be an egress IP."""
    for low, high, name in sorted(_NOT_UNICAST_RANGES[first.version]):
        if int(first) <= high and low <= int(last):
            bad = address_at(max(int(first), low), first.version)
            raise EgressIPError(f"{path}: {quote(text)} contains {bad}, {name}, which cannot be an egress IP")


def parse_interface(text, path):
    """Return the IPv4Interface or IPv6Interface that ``text`` ("address/prefix length") spells."""
    address, length = _parse_with_length(text, path, "an address with a prefix length")
    kind = ipaddress.IPv4Interface if address.version == _IPV4 else ipaddress.IPv6Interface
    return kind((int(address), length))


def parse_egress_ips(texts, path):
    """Return the addresses that a list of strings spells; EgressIPError names ``path`` and the place in it."""
    return [parse_egress_ip(text, f"{path}[{n}]") for n, text in enumerate(texts)]


def parse_network(text, path):
    """Return the network that ``text`` (CIDR) spells; set host bits are an error that names the right network."""
    address, length = _parse_with_length(text, path, "a network in CIDR form")
    network = ipaddress.ip_network(f"{address}/{length}", strict=False)
    if network.network_address != address:
        raise EgressIPError(f"{path}: {quote(text)} has host bits set; the network is {network}")
    return network


def address_at(value, version):
    """Return the address with this integer value."""
    return ipaddress.IPv4Address(value) if version == _IPV4 else ipaddress.IPv6Address(value)


def version_of(text):
    """Return 4 or 6, the IP version of an address or network in canonical form."""
    return _IPV6 if ":" in text else _IPV4


def of_version(texts, version):
    """Return those of the addresses or networks, in canonical form, that are of this IP version."""
    return tuple(text for text in texts if version_of(text) == version)


@lru_cache(maxsize=1 << 18)
def parsed(text):
    """Return the address that a string spells, or raise ValueError. A plan asks often for the same, so it remembers."""
    version, packed = _packed(text)
    return ipaddress.IPv4Address(packed) if version == _IPV4 else ipaddress.IPv6Address(packed)


@lru_cache(maxsize=1 << 18)
def address_order(text):
    """Return (IP version, value as integer) of a canonical address: the key of the order of addresses."""
    version, packed = _packed(text)
    return version, int.from_bytes(packed, "big")


def _packed(text):
    """Return the IP version and the bytes of the address that a string spells, or raise ValueError."""
    try:
        # The system's parser takes a fifth of the time. What it does not know is for the other one to refuse.
        if ":" in text:
            return _IPV6, socket.inet_pton(socket.AF_INET6, text)
        return _IPV4, socket.inet_pton(socket.AF_INET, text)
    except OSError:
        address = ipaddress.ip_address(text)
        return address.version, address.packed


def canonical(address):
    """Return the RFC 5952 form of an address, interface or network."""
    return str(address)


def collapse(networks):
    """Return the fewest networks that cover the same addresses, IPv4 before IPv6, in order."""
    networks = list(networks)
    return [
        network
        for version in VERSIONS
        for network in ipaddress.collapse_addresses(n for n in networks if n.version == version)
    ]


def outermost(networks):
    """Return the networks that lie in no other one, IPv4 before IPv6, in order.

    Unlike ``collapse`` it leaves neighbours apart, so that one network more is one more here.
    """
    found = []
    for network in sorted(set(networks), key=lambda n: (n.version, int(n.network_address), n.prefixlen)):
        if not found or found[-1].version != network.version or network[0] > found[-1][-1]:
            found.append(network)
    return found


def networks_between(first, last, version):
    """Return the fewest networks that cover the addresses between two integers, both included."""
    return list(ipaddress.summarize_address_range(address_at(first, version), address_at(last, version)))


def covers_everything(networks):
    """Tell whether ``networks`` together leave nothing of IPv4 or nothing of IPv6."""
    return any(network.prefixlen == 0 for network in collapse(networks))


def is_reserved_in(address, network):
    """Tell whether ``address`` is one that no host of ``network`` may have.

    These are the network and the broadcast address, for IPv6 the subnet-router anycast address (RFC 4291).
    Point-to-point networks and single addresses (/31, /32, /127, /128) have none.
    """
    if address not in network or network.max_prefixlen - network.prefixlen <= _POINT_TO_POINT_HOST_BITS:
        return False
    if address == network.network_address:
        return True
    return address.version == _IPV4 and address == network.broadcast_address


def _refuse_what_no_form_allows(text, path, form):
    if not isinstance(text, str):
        raise EgressIPError(f"{path}: {expected_string(text)}")
    hint = pasted_hint(text)
    if hint:
        raise EgressIPError(f"{path}: {quote(text)} {hint}; write {form}")
    if not text.strip():
        raise EgressIPError(f"{path}: is empty; write {form}")
    if text != text.strip():
        raise EgressIPError(f"{path}: {quote(text)} has blanks around it")


def _parse_plain_address(address, text, path):
    """Parse ``address``, a part of ``text`` or all of it."""
    if "%" in address:
        raise EgressIPError(f"{path}: {quote(text)} has a zone id ('%'); give the address alone")
    octets = address.rpartition(":")[2].split(".")
    padded = [octet for octet in octets if octet[:1] == "0" and len(octet) > 1 and len(octets) > 1]
    if padded:
        raise EgressIPError(
            f"{path}: {quote(text)} has a leading zero in {quote(padded[0])}, which some programs read as octal"
        )
    try:
        found = parsed(str(address))
    except ValueError:
        raise EgressIPError(f"{path}: {quote(text)} is not an IPv4 or IPv6 address") from None
    if found.version == _IPV6 and found.ipv4_mapped is not None:
        raise EgressIPError(
            f"{path}: {quote(text)} is an IPv4-mapped IPv6 address; write the IPv4 address {found.ipv4_mapped}"
        )
    return found


def _parse_with_length(text, path, form):
    """Return the address and the prefix length of ``text``."""
    _refuse_what_no_form_allows(text, path, form)
    host, slash, length = text.partition("/")
    if not slash:
        raise EgressIPError(f"{path}: {quote(text)} has no prefix length; write {form}")
    address = _parse_plain_address(host, text, path)
    if not (length.isascii() and length.isdigit()) or (len(length) > 1 and length.startswith("0")):
        raise EgressIPError(f"{path}: {quote(text)} has no decimal prefix length after the slash; write {form}")
    if len(length) > len("128") or int(length) > address.max_prefixlen:
        raise EgressIPError(f"{path}: {quote(text)} has a prefix length above {address.max_prefixlen}")
    return address, int(length)


def _why_not_unicast(address):
    """Name the kind of a canonical address that is no unicast address of one host; None for all others."""
    version, value = address_order(address)
    for first, last, name in _NOT_UNICAST_RANGES[version]:
        if first <= value <= last:
            return name
    return None
