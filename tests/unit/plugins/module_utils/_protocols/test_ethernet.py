# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""MAC addresses as text and as bytes."""

from __future__ import annotations

from ansible_collections.netops.egress_ip.plugins.module_utils._protocols.ethernet import (
    BROADCAST,
    NeighbourMessage,
    mac_bytes,
    mac_text,
)
from hypothesis import given
from hypothesis import strategies as st


def test_the_text_of_a_mac_address_has_two_digits_per_byte():
    assert mac_text(b"\x02\xe1\x00\x0a\xff\x10") == "02:e1:00:0a:ff:10"
    assert mac_bytes(BROADCAST) == b"\xff" * 6


@given(st.binary(min_size=6, max_size=6))
def test_text_and_bytes_are_equivalent(data):
    assert mac_bytes(mac_text(data)) == data


def test_messages_with_equal_content_are_equal():
    assert NeighbourMessage(BROADCAST, "10.0.0.1", "") == NeighbourMessage(BROADCAST, "10.0.0.1", "")
    assert NeighbourMessage(BROADCAST, "10.0.0.1", "") != NeighbourMessage(BROADCAST, "", "10.0.0.1")
