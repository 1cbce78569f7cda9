# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses and networks: what is accepted, what is refused in which words, and the order."""

from __future__ import annotations

import ipaddress

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.addresses import (
    NetworkSet,
    address_order,
    canonical,
    canonical_address,
    collapse,
    covers_everything,
    is_reserved_in,
    parse_address,
    parse_egress_ip,
    parse_interface,
    parse_network,
    parsed,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import EgressIPError
from hypothesis import given
from hypothesis import strategies as st

ADDRESSES = st.ip_addresses().filter(lambda address: address.version == 4 or address.ipv4_mapped is None)
NETWORKS = st.builds(
    lambda address, bits: ipaddress.ip_network((address, bits % (address.max_prefixlen + 1)), strict=False),
    ADDRESSES,
    st.integers(0, 128),
)

SPELLINGS = [
    ("192.168.126.10", "192.168.126.10"),
    ("0.0.0.0", "0.0.0.0"),
    ("2001:DB8:0:0:0:0:0:A", "2001:db8::a"),
    ("2001:0db8::000a", "2001:db8::a"),
    ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
    ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
    ("64:ff9b::192.0.2.1", "64:ff9b::c000:201"),
    ("::", "::"),
]

NO_ADDRESSES = [
    ("192.168.126.010", "has a leading zero in '010', which some programs read as octal"),
    ("64:ff9b::192.0.2.01", "has a leading zero in '01'"),
    ("192.168.126.10/18", "has a prefix length; give the address alone"),
    ("fe80::1%eth0", "has a zone id ('%'); give the address alone"),
    ("::ffff:192.0.2.1", "is an IPv4-mapped IPv6 address; write the IPv4 address 192.0.2.1"),
    ("::FFFF:c000:201", "is an IPv4-mapped IPv6 address; write the IPv4 address 192.0.2.1"),
    (" 192.168.126.10", "has leading or trailing whitespace"),
    ("192.168.126.10\t", "'192.168.126.10\\t' has leading or trailing whitespace"),
    ("192.168.126.10\n", "has leading or trailing whitespace"),
    ("\u201c192.168.126.10\u201d", "contains a curly quote (U+201C), probably pasted from a web page"),
    ("192.168.126.10\u00a0", "contains a no-break space (U+00A0), probably pasted from a web page"),
    ("192.168.126.1\u200b0", "contains a zero-width space (U+200B)"),
    ("192.168.126.256", "is not an IPv4 or IPv6 address"),
    ("192.168.126", "is not an IPv4 or IPv6 address"),
    ("192.168.126.10.1", "is not an IPv4 or IPv6 address"),
    ("192.168.126.x", "is not an IPv4 or IPv6 address"),
    ("٣.1.1.1", "is not an IPv4 or IPv6 address"),
    ("3232267786", "is not an IPv4 or IPv6 address"),
    ("1::2::3", "is not an IPv4 or IPv6 address"),
    ("db.example.com", "is not an IPv4 or IPv6 address"),
    ("", "is empty; write an IP address"),
    (" \t", "is empty"),
    (None, "must be a string, not null"),
    (3232267786, "must be a string, not the integer 3232267786; put it in quotes"),
    (10.5, "must be a string, not the number 10.5; put it in quotes"),
    (True, "must be a string, not the boolean true"),
    (["192.168.126.10"], "must be a string, not a list"),
    ({"ip": "192.168.126.10"}, "must be a string, not a mapping"),
]

NO_EGRESS_IPS = [
    ("0.0.0.0", "the unspecified address"),
    ("::", "the unspecified address"),
    ("127.0.0.1", "a loopback address"),
    ("127.255.255.255", "a loopback address"),
    ("::1", "a loopback address"),
    ("169.254.1.1", "a link-local address"),
    ("fe80::1", "a link-local address"),
    ("224.0.0.1", "a multicast address"),
    ("ff02::1", "a multicast address"),
    ("255.255.255.255", "the limited broadcast address"),
]

NO_INTERFACES = [
    ("192.168.126.21", "has no prefix length; write an address with a prefix length"),
    ("192.168.126.21/", "has no decimal prefix length after the slash"),
    ("192.168.126.21/018", "has no decimal prefix length after the slash"),
    ("192.168.126.21/255.255.192.0", "has no decimal prefix length after the slash"),
    ("192.168.126.21/-1", "has no decimal prefix length after the slash"),
    ("192.168.126.21/18/18", "has no decimal prefix length after the slash"),
    ("192.168.126.21/33", "has a prefix length above 32"),
    ("2001:db8::1/129", "has a prefix length above 128"),
    ("2001:db8::1/99999999999999999999", "has a prefix length above 128"),
    ("192.168.126.021/18", "has a leading zero in '021'"),
    ("\u201c192.168.126.21/18\u201d", "contains a curly quote"),
    ("fe80::1%eth0/64", "has a zone id"),
    (None, "must be a string, not null"),
]

NO_NETWORKS = [
    ("10.0.0.5/8", "'10.0.0.5/8' has host bits set; the network is 10.0.0.0/8"),
    ("2001:DB8::1/32", "has host bits set; the network is 2001:db8::/32"),
    ("10.0.0.0", "has no prefix length; write a network in CIDR form"),
    ("10/8", "is not an IPv4 or IPv6 address"),
    ("cluster.local/8", "is not an IPv4 or IPv6 address"),
]


@pytest.mark.parametrize(("text", "wanted"), SPELLINGS)
def test_parse_address_accepts_every_spelling(text, wanted):
    assert canonical(parse_address(text, "p")) == wanted


@pytest.mark.parametrize(("text", "words"), NO_ADDRESSES)
@pytest.mark.parametrize("parse", [parse_address, parse_egress_ip])
def test_parse_address_names_path_and_constraint(parse, text, words):
    with pytest.raises(EgressIPError) as caught:
        parse(text, "egressip/web: spec.egressIPs[1]")
    assert str(caught.value).startswith("egressip/web: spec.egressIPs[1]: ")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("text", "kind"), NO_EGRESS_IPS)
def test_parse_egress_ip_refuses_what_is_not_unicast(text, kind):
    with pytest.raises(EgressIPError) as caught:
        parse_egress_ip(text, "p")
    assert str(caught.value) == f"p: '{text}' is {kind}, which cannot be an egress IP"
    assert str(parse_address(text, "p")) == text


@pytest.mark.parametrize("text", ["10.0.0.1", "100.64.0.1", "203.0.113.9", "198.18.0.1", "fd00::1", "2001:db8::1"])
def test_parse_egress_ip_accepts_any_unicast_address(text):
    assert canonical(parse_egress_ip(text, "p")) == text


@pytest.mark.parametrize(("text", "words"), NO_INTERFACES)
def test_parse_interface_names_path_and_constraint(text, words):
    with pytest.raises(EgressIPError) as caught:
        parse_interface(text, "node/n1: networks[0].addresses[0]")
    assert str(caught.value).startswith("node/n1: networks[0].addresses[0]: ")
    assert words in str(caught.value)


def test_parse_interface_keeps_address_and_network():
    interface = parse_interface("192.168.126.21/18", "p")
    assert (str(interface.ip), str(interface.network)) == ("192.168.126.21", "192.168.64.0/18")


@pytest.mark.parametrize(("text", "words"), NO_NETWORKS)
def test_parse_network_names_path_and_constraint(text, words):
    with pytest.raises(EgressIPError) as caught:
        parse_network(text, "egress_ip_excluded_cidrs[0]")
    assert str(caught.value).startswith("egress_ip_excluded_cidrs[0]: ")
    assert words in str(caught.value)


@given(ADDRESSES)
def test_canonical_form_is_read_back(address):
    assert parse_address(canonical(address), "p") == address


@given(ADDRESSES)
def test_every_spelling_has_one_canonical_form(address):
    assert canonical(parse_address(address.exploded.upper(), "p")) == canonical(address)


@given(NETWORKS)
def test_networks_and_interfaces_are_read_back(network):
    if network.version == 6 and network.network_address.ipv4_mapped is not None:
        return
    assert parse_network(str(network), "p") == network
    assert parse_interface(str(network), "p").network == network


@given(st.text())
def test_no_text_makes_a_traceback(text):
    for parse in (parse_address, parse_egress_ip, parse_interface, parse_network):
        try:
            parse(text, "p")
        except EgressIPError as error:
            assert str(error).startswith("p: ")


@given(st.lists(ADDRESSES))
def test_addresses_are_ordered_by_version_and_value(addresses):
    texts = sorted(map(canonical, addresses), key=address_order)
    assert texts == [str(each) for each in sorted(addresses, key=lambda each: (each.version, int(each)))]


@given(ADDRESSES)
def test_the_canonical_form_of_every_spelling_is_that_of_the_address(address):
    for text in (str(address), address.exploded, str(address).upper()):
        assert canonical_address(text, "p") == canonical(parse_address(text, "p")) == str(address)


@given(st.lists(NETWORKS), ADDRESSES)
def test_collapse_keeps_what_is_covered(networks, address):
    collapsed = collapse(networks)
    assert any(address in network for network in networks) == any(address in network for network in collapsed)
    assert collapse(reversed(collapsed)) == collapsed


@pytest.mark.parametrize(
    ("networks", "everything"),
    [
        ([], False),
        (["10.0.0.0/8"], False),
        (["0.0.0.0/0"], True),
        (["::/0"], True),
        (["0.0.0.0/1", "128.0.0.0/1"], True),
        (["0.0.0.0/1", "8000::/1"], False),
        (["0.0.0.0/1", "128.0.0.0/2", "192.0.0.0/2", "10.0.0.0/8"], True),
    ],
)
def test_covers_everything(networks, everything):
    assert covers_everything([parse_network(text, "p") for text in networks]) is everything


@pytest.mark.parametrize(
    ("address", "network", "reserved"),
    [
        ("192.168.64.0", "192.168.64.0/18", True),
        ("192.168.127.255", "192.168.64.0/18", True),
        ("192.168.126.255", "192.168.64.0/18", False),
        ("192.168.126.10", "192.168.64.0/18", False),
        ("10.0.0.0", "192.168.64.0/18", False),
        ("10.0.0.0", "10.0.0.0/31", False),
        ("10.0.0.1", "10.0.0.1/32", False),
        ("10.0.0.3", "10.0.0.0/30", True),
        ("2001:db8::", "2001:db8::/64", True),
        ("2001:db8::ffff:ffff:ffff:ffff", "2001:db8::/64", False),
        ("2001:db8::", "2001:db8::/127", False),
        ("2001:db8::", "2001:db8::/128", False),
        ("2001:db8::", "10.0.0.0/8", False),
    ],
)
def test_is_reserved_in(address, network, reserved):
    assert is_reserved_in(parse_address(address, "p"), parse_network(network, "p")) is reserved


@given(st.text("0123456789af:.", max_size=20) | st.ip_addresses().map(str))
def test_parsed_is_what_ipaddress_says(text):
    def outcome(parse):
        try:
            return parse(text)
        except ValueError:
            return None

    assert outcome(parsed) == outcome(ipaddress.ip_address)


@given(st.ip_addresses() | st.ip_addresses(network="224.0.0.0/3") | st.ip_addresses(network="fe00::/7"))
def test_egress_ips_are_unicast_as_ipaddress_sees_it(address):
    other = address.is_unspecified or address.is_loopback or address.is_link_local or address.is_multicast
    refused = other or str(address) == "255.255.255.255" or getattr(address, "ipv4_mapped", None) is not None
    if refused:
        with pytest.raises(EgressIPError):
            parse_egress_ip(str(address), "path")
    else:
        assert parse_egress_ip(str(address), "path") == address


@given(st.lists(NETWORKS, max_size=5), st.data())
def test_a_set_of_networks_contains_their_addresses(networks, data):
    inside = [address for network in networks for address in (network[0], network[-1])]
    address = data.draw(st.one_of(ADDRESSES, *([st.sampled_from(inside)] if inside else ())))
    containing = [network for network in networks if address in network]
    known = NetworkSet(networks)
    assert (canonical(address) in known) == bool(containing)
    assert known.longest(canonical(address)) == max(containing, key=lambda net: net.prefixlen, default=None)
