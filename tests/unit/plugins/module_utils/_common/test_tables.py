# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables and lists as lines."""

from __future__ import annotations

from ansible_collections.netops.egress_ip.plugins.module_utils._common.tables import section, table


def test_columns_are_as_wide_as_their_longest_cell():
    assert table(("A", "LONG", "C"), [("aaa", "b", "c"), ("a", "b", "")]) == ["A    LONG  C", "aaa  b     c", "a    b"]


def test_a_table_without_rows_is_its_header():
    assert table(("A", "B"), []) == ["A  B"]


def test_section():
    assert section("Notes", ["a", "b"]) == ["", "Notes:", "  a", "  b"]
    assert section("Notes", []) == []
