# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Large results stay out of events; failures and differences do not."""

from __future__ import annotations

import json

import pytest
from ansible_collections.netops.egress_ip.plugins.plugin_utils._events import MAX_CHARACTERS, is_large, with_small_event
from hypothesis import given
from hypothesis import strategies as st

LARGE = {"changed": False, "pods": ["10.88.0.1"] * 5000}
# Characters that JSON does not escape.
TEXT = st.text("ab.0-")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
)


def test_a_large_result_is_hidden_and_whole():
    assert with_small_event(LARGE) == {**LARGE, "_ansible_no_log": True}


@pytest.mark.parametrize("field", [{"failed": True}, {"diff": [{"before": "", "after": "x"}]}])
def test_failures_and_differences_are_shown(field):
    assert with_small_event({**LARGE, **field}) == {**LARGE, **field}


def test_a_small_result_is_shown():
    assert with_small_event({"changed": True}) == {"changed": True}


def test_the_limit_leaves_space_for_the_rest_of_an_event():
    assert MAX_CHARACTERS <= 0.75 * 64_000


@given(JSON)
def test_the_estimate_is_never_below_the_size_of_the_json_text(value):
    size = len(json.dumps(value))
    assert is_large(value, size - 1)
    assert not is_large(value, 6 * size)
