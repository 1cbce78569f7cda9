# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors that are collected and raised in one go."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import EgressIPError, Errors, InvalidError


def fail(error):
    """Raise ``error``."""
    raise error


def test_invalid_error_holds_each_message_and_shows_all():
    error = InvalidError(["a: is missing", EgressIPError("b: is empty")])
    assert error.errors == ("a: is missing", "b: is empty")
    assert str(error) == "a: is missing; b: is empty"


def test_nothing_noted_raises_nothing():
    Errors().raise_if_any()


def test_everything_noted_is_raised_in_order():
    errors = Errors()
    errors.add("a", "is missing")
    assert errors.attempt(fail, EgressIPError("b: is empty")) is None
    assert errors.attempt(fail, InvalidError(["c: is null", "d: is odd"])) is None
    assert errors.attempt(len, "four") == 4
    with pytest.raises(InvalidError) as caught:
        errors.raise_if_any()
    assert caught.value.errors == ("a: is missing", "b: is empty", "c: is null", "d: is odd")


def test_a_bug_is_not_noted_but_raised():
    with pytest.raises(ZeroDivisionError):
        Errors().attempt(divmod, 1, 0)
