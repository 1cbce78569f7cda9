# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parsers of settings; test__settings.py has them with the variables."""

from __future__ import annotations

import math

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import Errors
from ansible_collections.netops.egress_ip.plugins.plugin_utils import _setting_types as types
from hypothesis import given
from hypothesis import strategies as st


def parse(parser, value):
    """Return (value, errors)."""
    errors = Errors()
    found = parser(value, "x", errors)
    return found, list(errors.found)


@pytest.mark.parametrize("value", [None, "", " ", "\t\n"])
def test_what_is_unset(value):
    assert types.is_unset(value)


@pytest.mark.parametrize("value", [0, False, [], {}, "0", "null", "[]"])
def test_what_is_set(value):
    assert not types.is_unset(value)


@given(st.integers(0, 10**17))
def test_an_integer_and_its_texts(value):
    for given_value in (value, str(value), f" +{value} "):
        assert parse(types.integer(0), given_value) == (value, [])


@pytest.mark.parametrize("value", ["1_0", "٣", "1e3", "0x10", 1.5, math.nan, math.inf, True, -1, [1], "9" * 19])
def test_no_integer(value):
    assert parse(types.integer(0), value)[1][0].startswith("x: must be an integer of 0 or more, not ")


@given(st.floats(0, 10**9))
def test_a_number_and_its_text(value):
    assert parse(types.number, value) == (value, [])
    assert parse(types.number, f"{value:.6f}") == (float(f"{value:.6f}"), [])


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "1,5", math.inf, -0.1, True, 10**400, "1e999"])
def test_no_number(value):
    assert parse(types.number, value)[1] != []


@pytest.mark.parametrize("value", [2, "maybe", 1.0, [], "yes no"])
def test_no_boolean(value):
    assert parse(types.boolean, value)[1][0].startswith("x: must be true or false, not ")


def test_a_pasted_character_is_named():
    assert "curly quote" in parse(types.text, "\u201cweb\u201d")[1][0]
