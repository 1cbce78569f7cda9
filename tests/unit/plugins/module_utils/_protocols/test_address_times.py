# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import struct

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._protocols.address_times import (
    age,
    dump_request,
    parse_answer,
)
from hypothesis import given
from hypothesis import strategies as st

DONE = struct.pack("=IHHIII", 20, 3, 2, 0, 0, 0)


def attribute(kind, data):
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def message(*attributes, kind=20):
    body = bytes(8) + b"".join(attributes)
    return struct.pack("=IHHII", 16 + len(body), kind, 2, 0, 0) + body


def added(hundredths):
    return attribute(6, struct.pack("=4I", 2**32 - 1, 2**32 - 1, hundredths, hundredths + 5))


def test_the_request_asks_for_all_addresses():
    assert dump_request() == struct.pack("=IHHII", 24, 22, 0x301, 0, 0) + bytes(8)


def test_addresses_of_both_versions():
    data = message(attribute(1, bytes([10, 0, 0, 9])), attribute(2, bytes([10, 0, 0, 1])), added(250))
    data += message(attribute(1, bytes(15) + b"\x01"), added(100))
    assert parse_answer(data) == ({"10.0.0.1": 2.5, "::1": 1.0}, False)
    assert parse_answer(data + DONE) == ({"10.0.0.1": 2.5, "::1": 1.0}, True)


@pytest.mark.parametrize("data", [DONE, struct.pack("=IHHIIi", 20, 2, 0, 0, 0, -1), bytes(16)])
def test_the_end(data):
    assert parse_answer(data) == ({}, True)


def test_messages_that_are_not_complete_are_left_out():
    data = message(attribute(2, bytes(4))) + message(added(1)) + message(attribute(2, bytes(3)), added(1))
    assert parse_answer(data + message(attribute(2, bytes([10, 0, 0, 1])), added(1), kind=21)) == ({}, False)


@given(st.binary(max_size=200))
def test_no_bytes_raise_an_error(data):
    parse_answer(data)


def test_an_age_after_the_counter_has_wrapped():
    assert age(100.0, 160.0) == 60.0
    assert age(2**32 / 100 - 40, 2**32 / 100 + 20) == 60.0
    assert age(2**32 / 100 - 40, 20) == 60.0
