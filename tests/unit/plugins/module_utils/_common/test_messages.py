# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of values in messages: YAML's terms, one line, nothing invisible."""

from __future__ import annotations

import datetime

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.messages import (
    expected_string,
    first_lines,
    pasted_hint,
    quote,
    type_name,
)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (None, "null"),
        (True, "the boolean true"),
        (5, "the integer 5"),
        (-(10**20), "a huge integer"),
        (0.5, "the number 0.5"),
        ("a", "the string 'a'"),
        ({"a": 1}, "a mapping"),
        ([1], "a list"),
        ((1,), "a list"),
        (datetime.date(2026, 1, 2), "the date 2026-01-02"),
        (b"a", "a value of type bytes"),
    ],
)
def test_type_name(value, name):
    assert type_name(value) == name


@pytest.mark.parametrize(
    ("text", "quoted"),
    [("a", "'a'"), ("a\nb", "'a\\nb'"), ("a\u200bb", "'a\\u200bb'"), ("a" * 81, f"'{'a' * 77}...'")],
)
def test_quote(text, quoted):
    assert quote(text) == quoted


def test_pasted_hint_names_the_first_typographic_character():
    assert pasted_hint("plain") is None
    assert pasted_hint("gr\u00fcn") is None
    assert pasted_hint("\u201ca\u2014") == "contains a curly quote (U+201C), probably pasted from a web page"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "must be a string, not null"),
        ([], "must be a string, not a list"),
        (5, "must be a string, not the integer 5; put it in quotes"),
        (True, "must be a string, not the boolean true; put it in quotes"),
    ],
)
def test_expected_string(value, message):
    assert expected_string(value) == message


@pytest.mark.parametrize(
    ("most", "shown"), [(3, ["a", "b", "c"]), (2, ["a", "b", "node1: 1 more lines"]), (0, ["node1: 3 more lines"])]
)
def test_first_lines(most, shown):
    assert first_lines(["a", "b", "c"], most, "lines", "node1: ") == shown
