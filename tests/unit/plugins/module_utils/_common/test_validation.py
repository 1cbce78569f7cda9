# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Types and field names: what is noted, and what is returned so that the check can go on."""

from __future__ import annotations

import datetime

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import Errors, InvalidError
from ansible_collections.netops.egress_ip.plugins.module_utils._common.validation import (
    NO_MAPPING,
    check_fields,
    check_list,
    check_mapping,
    check_string,
    did_you_mean,
    is_mac_address,
    plain,
    required,
    required_mapping,
)


class Tagged(str):
    """A string as Ansible passes it to plugins."""


def noted(check, *arguments):
    """Return what ``check`` returns and what it notes."""
    errors = Errors()
    value = check(*arguments, errors)
    try:
        errors.raise_if_any()
    except InvalidError as error:
        return value, list(error.errors)
    return value, []


@pytest.mark.parametrize(
    ("check", "value", "result", "words"),
    [
        (check_mapping, {"a": 1}, {"a": 1}, []),
        (check_mapping, [1], NO_MAPPING, ["p: must be a mapping, not a list"]),
        (check_list, [1], [1], []),
        (check_list, (1,), (1,), []),
        (check_list, {"a": 1}, [], ["p: must be a list, not a mapping"]),
        (check_list, "a", [], ["p: must be a list, not the string 'a'"]),
        (check_string, "a", "a", []),
        (check_string, " \n", None, ["p: is empty"]),
        (check_string, None, None, ["p: must be a string, not null"]),
        (check_string, 1.5, None, ["p: must be a string, not the number 1.5; put it in quotes"]),
        (check_string, False, None, ["p: must be a string, not the boolean false; put it in quotes"]),
        (
            check_string,
            datetime.datetime(2026, 1, 1, 12),
            None,
            ["p: must be a string, not the date 2026-01-01T12:00:00; put it in quotes"],
        ),
        (
            check_string,
            "a\u200bb",
            None,
            ["p: 'a\\u200bb' contains a zero-width space (U+200B), probably pasted from a web page"],
        ),
    ],
)
def test_checks(check, value, result, words):
    assert noted(check, value, "p") == (result, words)


def test_long_strings_are_cut():
    assert noted(check_mapping, "x" * 200, "p")[1] == [f"p: must be a mapping, not the string '{'x' * 77}...'"]


def test_required_misses_fields_of_mappings_only():
    assert noted(required, {}, "a", "p.") == (None, ["p.a: is missing"])
    assert noted(required, {"a": None}, "a", "p.") == (None, [])
    assert noted(required, NO_MAPPING, "a", "p.") == (None, [])
    assert noted(required_mapping, {}, "a", "p.") == (NO_MAPPING, ["p.a: is missing"])
    assert noted(required_mapping, {"a": None}, "a", "p.") == (NO_MAPPING, ["p.a: must be a mapping, not null"])


def test_unknown_fields_are_named_with_a_suggestion():
    def check(value, errors):
        check_fields(value, "p.", ("egressIPs", "podSelector"), errors, below=("spec", ("nodes",)))

    value = {"podselector": 1, "zzz": 1, "nodes": 1, 5: 1, "a\nb": 1, "podSelector\u00a0": 1}
    assert noted(check, value)[1] == [
        "p.podselector: unknown field; did you mean podSelector?",
        "p.zzz: unknown field; expected one of egressIPs, podSelector",
        "p.nodes: unknown field; it belongs under spec",
        "p.the integer 5: unknown field; a field name must be a string, not the integer 5",
        "p.the string 'a\\nb': unknown field; expected one of egressIPs, podSelector",
        "p.the string 'podSelector\\xa0': unknown field; its name contains a no-break space (U+00A0), "
        "probably pasted from a web page",
    ]


@pytest.mark.parametrize(
    ("word", "meant"), [("egressip", "EgressIP"), ("EGRESSIPs", "EgressIP"), ("pods", "Pod"), ("Service", None)]
)
def test_did_you_mean(word, meant):
    assert did_you_mean(word, ("EgressIP", "Pod")) == meant


def test_plain_copies_and_leaves_no_tags():
    value = {Tagged("a"): [Tagged("b"), (1, None)]}
    copy = plain(value)
    assert copy == {"a": ["b", [1, None]]}
    assert [type(key) for key in copy] == [str]
    assert [type(entry) for entry in copy["a"][:1]] == [str]


MAC = "02:00:c0:a8:7e:15"


@pytest.mark.parametrize("text", [MAC, "ff:ff:ff:ff:ff:ff"])
def test_a_mac_address(text):
    assert is_mac_address(text)


@pytest.mark.parametrize("text", [None, 5, "", MAC.upper(), MAC.replace(":", "-"), MAC[:-3], "02:00:c0:a8:7e:15\n"])
def test_no_mac_address(text):
    assert not is_mac_address(text)
