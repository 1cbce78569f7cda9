# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses and networks: parsing, order and canonical form. PRIVATE to the collection.

The only file that uses ``ipaddress``. It is stricter: spellings that two programs could interpret differently are
refused, and the results are the same with Python 3.8 to 3.14.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from functools import lru_cache
from typing import Iterable, Union

from .errors import EgressIPError
from .messages import expected_string, pasted_hint, quote

Address = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]
Interface = Union[ipaddress.IPv4Interface, ipaddress.IPv6Interface]
Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]

_POINT_TO_POINT_HOST_BITS = 1
_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_CANONICAL_IPV4 = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}")
_IPV4 = 4
_IPV6 = 6
VERSIONS = (_IPV4, _IPV6)
# The names of the IP versions in iproute2 and nftables.
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
# {version: [(first, last, name)]}: comparing integers takes a tenth of the time, and a plan has many addresses.
_NOT_UNICAST_RANGES: dict[int, list[tuple[int, int, str]]] = {version: [] for version in VERSIONS}
for _network, _name in ((ipaddress.ip_network(text), name) for text, name in _NOT_UNICAST.items()):
    _range = int(_network.network_address), int(_network.broadcast_address), _name
    _NOT_UNICAST_RANGES[_network.version].append(_range)


# RFC 1918, RFC 6598 (shared address space), RFC 4193 (unique local addresses).
PRIVATE_NETWORKS: list[Network] = [
    ipaddress.ip_network(_text)
    for _text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
]


def parse_address(text: object, path: str) -> Address:
    """Return the address that the string ``text`` spells. Raises EgressIPError with ``path``."""
    return parsed(canonical_address(text, path))


def canonical_address(text: object, path: str) -> str:
    """Return the canonical form of the address that ``text`` spells. Raises EgressIPError with ``path``."""
    if isinstance(text, str) and _CANONICAL_IPV4.fullmatch(text):
        # The usual case; it passes all checks below.
        return str(text)
    text = _checked_text(text, path, "an IP address")
    if "/" in text:
        raise EgressIPError(f"{path}: {quote(text)} has a prefix length; give the address alone")
    return canonical(_parse_plain_address(text, text, path))


def parse_packed_ipv6(data: bytes) -> ipaddress.IPv6Address:
    """Return the IPv6 address that 16 bytes of a packet encode."""
    return ipaddress.IPv6Address(data)


def parse_egress_ip(text: object, path: str) -> Address:
    """Return the unicast address that ``text`` spells. Raises EgressIPError for all that cannot be an egress IP."""
    return parsed(canonical_egress_ip(text, path))


def canonical_egress_ip(text: object, path: str) -> str:
    """Return the canonical form of the unicast address that ``text`` spells. Raises EgressIPError."""
    address = canonical_address(text, path)
    reason = _why_not_unicast(address)
    if reason:
        raise EgressIPError(f"{path}: {quote(str(text))} is {reason}, which cannot be an egress IP")
    return address


def refuse_not_unicast_between(first: Address, last: Address, text: str, path: str) -> None:
    """Raise EgressIPError if the range ``text`` at ``path`` has an address that cannot be an egress IP."""
    for low, high, name in sorted(_NOT_UNICAST_RANGES[first.version]):
        if int(first) <= high and low <= int(last):
            bad = address_at(max(int(first), low), first.version)
            raise EgressIPError(f"{path}: {quote(text)} contains {bad}, {name}, which cannot be an egress IP")


def parse_interface(text: object, path: str) -> Interface:
    """Return the interface that ``text`` ("address/prefix length") spells. Raises EgressIPError."""
    address, length = _parse_with_length(text, path, "an address with a prefix length")
    if address.version == _IPV4:
        return ipaddress.IPv4Interface((int(address), length))
    return ipaddress.IPv6Interface((int(address), length))


def parse_egress_ips(texts: Iterable[object], path: str) -> list[Address]:
    """Return the addresses that a list of strings spells. Raises EgressIPError with ``path`` and the index."""
    return [parse_egress_ip(text, f"{path}[{n}]") for n, text in enumerate(texts)]


def parse_network(text: object, path: str) -> Network:
    """Return the network that ``text`` (CIDR) spells. Raises EgressIPError; for set host bits it names the network."""
    address, length = _parse_with_length(text, path, "a network in CIDR form")
    network = ipaddress.ip_network(f"{address}/{length}", strict=False)
    if network.network_address != address:
        raise EgressIPError(f"{path}: {quote(str(text))} has host bits set; the network is {network}")
    return network


def address_at(value: int, version: int) -> Address:
    """Return the address with this integer value."""
    return ipaddress.IPv4Address(value) if version == _IPV4 else ipaddress.IPv6Address(value)


def version_of(text: str) -> int:
    """Return 4 or 6, the IP version of an address or network in canonical form."""
    return _IPV6 if ":" in text else _IPV4


def of_version(texts: Iterable[str], version: int) -> tuple[str, ...]:
    """Return the addresses or networks of one IP version; all are in canonical form."""
    return tuple(text for text in texts if version_of(text) == version)


@lru_cache(maxsize=1 << 18)
def parsed(text: str) -> Address:
    """Return the address that a string spells; cached, since a plan parses the same often. Raises ValueError."""
    version, packed = _packed(text)
    return ipaddress.IPv4Address(packed) if version == _IPV4 else ipaddress.IPv6Address(packed)


@lru_cache(maxsize=1 << 18)
def address_order(text: str) -> tuple[int, int]:
    """Return (IP version, integer value) of a canonical address: the sort key of addresses."""
    version, packed = _packed(text)
    return version, int.from_bytes(packed, "big")


def _packed(text: str) -> tuple[int, bytes]:
    """Return the IP version and the bytes of the address that a string spells. Raises ValueError."""
    try:
        # The system's parser takes a fifth of the time. What it rejects, ``ipaddress`` decides.
        if ":" in text:
            return _IPV6, socket.inet_pton(socket.AF_INET6, text)
        return _IPV4, socket.inet_pton(socket.AF_INET, text)
    except OSError:
        address = ipaddress.ip_address(text)
        return address.version, address.packed


def canonical(address: Address | Interface | Network) -> str:
    """Return the RFC 5952 form of an address, interface or network."""
    return str(address)


def collapse(networks: Iterable[Network]) -> list[Network]:
    """Return the fewest networks that cover the same addresses, IPv4 before IPv6, in order."""
    networks = list(networks)
    ipv4 = (network for network in networks if isinstance(network, ipaddress.IPv4Network))
    ipv6 = (network for network in networks if isinstance(network, ipaddress.IPv6Network))
    return [*ipaddress.collapse_addresses(ipv4), *ipaddress.collapse_addresses(ipv6)]


def outermost(networks: Iterable[Network]) -> list[Network]:
    """Return the networks that are not contained in another one, IPv4 before IPv6, in order.

    Unlike ``collapse`` it does not merge adjacent networks, so that one added network changes one entry.
    """
    found: list[Network] = []
    for network in sorted(set(networks), key=lambda n: (n.version, int(n.network_address), n.prefixlen)):
        if not found or found[-1].version != network.version or int(network[0]) > int(found[-1][-1]):
            found.append(network)
    return found


class NetworkSet:
    """Networks, of which one may contain an address; a lookup takes a step per prefix length."""

    def __init__(self, networks: Iterable[Network]) -> None:
        self._known = {(net.version, net.prefixlen, int(net.network_address)): net for net in networks}
        # The longest first.
        self._lengths = sorted({(version, length) for version, length, _first in self._known}, reverse=True)

    def __contains__(self, address: str) -> bool:
        """Return whether one of the networks contains the address."""
        return self.longest(address) is not None

    def longest(self, address: str) -> Network | None:
        """Return the network with the longest prefix that contains the address, None without one."""
        ip = parsed(address)
        value, bits = int(ip), ip.max_prefixlen
        for version, length in self._lengths:
            if version == ip.version:
                network = self._known.get((version, length, value >> bits - length << bits - length))
                if network is not None:
                    return network
        return None


def networks_between(first: int, last: int, version: int) -> list[Network]:
    """Return the fewest networks that cover the addresses between two integers, both included."""
    return list(ipaddress.summarize_address_range(address_at(first, version), address_at(last, version)))


def covers_everything(networks: Iterable[Network]) -> bool:
    """Return whether ``networks`` together cover all of IPv4 or all of IPv6."""
    return any(network.prefixlen == 0 for network in collapse(networks))


def is_private(network: Network) -> bool:
    """Return whether a network lies in one of PRIVATE_NETWORKS."""
    first, last = int(network[0]), int(network[-1])
    ranges = [(int(each[0]), int(each[-1])) for each in PRIVATE_NETWORKS if each.version == network.version]
    return any(low <= first and last <= high for low, high in ranges)


def is_reserved_in(address: Address, network: Network) -> bool:
    """Return whether no host of ``network`` may have ``address``.

    The reserved addresses are the network and the broadcast address, for IPv6 the subnet-router anycast address
    (RFC 4291). Point-to-point networks and single addresses (/31, /32, /127, /128) have none.
    """
    if address not in network or network.max_prefixlen - network.prefixlen <= _POINT_TO_POINT_HOST_BITS:
        return False
    if address == network.network_address:
        return True
    return address.version == _IPV4 and address == network.broadcast_address


def _checked_text(text: object, path: str, form: str) -> str:
    """Return ``text`` if it is a string without typographic characters and surrounding whitespace."""
    if not isinstance(text, str):
        raise EgressIPError(f"{path}: {expected_string(text)}")
    hint = pasted_hint(text)
    if hint:
        raise EgressIPError(f"{path}: {quote(text)} {hint}; write {form}")
    if not text.strip():
        raise EgressIPError(f"{path}: is empty; write {form}")
    if text != text.strip():
        raise EgressIPError(f"{path}: {quote(text)} has leading or trailing whitespace")
    return text


def _parse_plain_address(address: str, text: str, path: str) -> Address:
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
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        raise EgressIPError(
            f"{path}: {quote(text)} is an IPv4-mapped IPv6 address; write the IPv4 address {found.ipv4_mapped}"
        )
    return found


def _parse_with_length(text: object, path: str, form: str) -> tuple[Address, int]:
    """Return the address and the prefix length of ``text``."""
    text = _checked_text(text, path, form)
    host, slash, length = text.partition("/")
    if not slash:
        raise EgressIPError(f"{path}: {quote(text)} has no prefix length; write {form}")
    address = _parse_plain_address(host, text, path)
    if not (length.isascii() and length.isdigit()) or (len(length) > 1 and length.startswith("0")):
        raise EgressIPError(f"{path}: {quote(text)} has no decimal prefix length after the slash; write {form}")
    if len(length) > len("128") or int(length) > address.max_prefixlen:
        raise EgressIPError(f"{path}: {quote(text)} has a prefix length above {address.max_prefixlen}")
    return address, int(length)


def _why_not_unicast(address: str) -> str | None:
    """Return the kind of a canonical address that is not a unicast address of one host; None for all others."""
    version, value = address_order(address)
    for first, last, name in _NOT_UNICAST_RANGES[version]:
        if first <= value <= last:
            return name
    return None
