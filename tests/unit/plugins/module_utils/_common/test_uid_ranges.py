# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ranges of users: their form, and one clear error for each wrong one."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import EgressIPError
from ansible_collections.netops.egress_ip.plugins.module_utils._common.uid_ranges import (
    LAST_UID,
    UidRange,
    parse_uid_range,
)
from hypothesis import given
from hypothesis import strategies as st

UIDS = st.integers(1, LAST_UID)


@given(st.tuples(UIDS, UIDS).map(sorted))
def test_the_text_of_a_range_reads_as_the_range(limits):
    users = UidRange(*limits)
    assert parse_uid_range(users.text, "path") == users


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ("deploy", "must be the number of a user or a range of them, such as 1001-1002, not 'deploy'"),
        ("01", "must be the number of a user or a range of them, such as 1001-1002, not '01'"),
        (1001, "must be the number of a user or a range of them, such as 1001-1002, not the integer 1001"),
        ("0", "must be within 1-4294967294, the lower number first, not '0'"),
        ("0-1000", "must be within 1-4294967294, the lower number first, not '0-1000'"),
        ("1002-1001", "must be within 1-4294967294, the lower number first, not '1002-1001'"),
        ("1-4294967295", "must be within 1-4294967294, the lower number first, not '1-4294967295'"),
    ],
)
def test_a_wrong_range_is_one_error(value, error):
    with pytest.raises(EgressIPError) as raised:
        parse_uid_range(value, "path")
    assert str(raised.value) == f"path: {error}"
