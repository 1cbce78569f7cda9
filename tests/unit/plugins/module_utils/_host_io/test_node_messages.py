# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages between nodes: each is for one receiver and one conversation. Whole conversations: `test_fleet_calls`."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import node_messages
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.node_messages import RefusedError
from hypothesis import given
from hypothesis import strategies as st

KEY, ONE, TWO = b"secret", b"1" * 16, b"2" * 16


def read(data, key=KEY, number=ONE, limit=1000):
    """Feed a reading with these bytes; returns the message."""
    reading = node_messages.read_message(key, number, limit)
    wanted = next(reading)
    while True:
        part, data = data[:wanted], data[wanted:]
        try:
            wanted = reading.send(part)
        except StopIteration as done:
            return done.value


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.lists(st.text())))
def test_a_message_comes_back(content):
    assert read(node_messages.message(KEY, ONE, content), limit=1 << 20) == content


@pytest.mark.parametrize("changes", [{"key": b"guessed"}, {"number": TWO}, {"limit": 5}])
def test_a_message_for_others_is_refused(changes):
    with pytest.raises(RefusedError):
        read(node_messages.message(KEY, ONE, {"kind": "leaving"}), **changes)


@given(st.integers(0, 60), st.integers(1, 255))
def test_a_changed_message_is_refused(place, change):
    data = bytearray(node_messages.message(KEY, ONE, {"kind": "leaving", "to": "node2"}))
    data[place] ^= change
    with pytest.raises(RefusedError):
        # A length that grew is as good as a message that does not end.
        read(bytes(data) + bytes(1000))
