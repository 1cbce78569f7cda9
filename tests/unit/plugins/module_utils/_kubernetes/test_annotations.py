# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Annotations: values, defaults, errors with paths, and the text form that reads back as the same values."""

from __future__ import annotations

import string

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import Errors
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.annotations import (
    NO_ANNOTATIONS,
    PREFIX,
    Annotations,
    annotation_path,
    has_pool,
    read_annotations,
)
from hypothesis import given
from hypothesis import strategies as st

PATH = "egressip/web: metadata.annotations"
KEYS = ("node-selector", "spread", "weight", "pool", "pool-size", "destinations", "excluded-destinations")
NAMES = st.text(string.ascii_lowercase, min_size=1, max_size=4)
LISTS = st.lists(NAMES, min_size=1, max_size=3, unique=True)
NETWORKS = st.lists(
    st.sampled_from(["10.0.0.0/8", "192.168.0.0/16", "203.0.113.7/32", "2001:db8::/32", "fd00::1/128"]),
    unique=True,
    max_size=3,
).map(tuple)


def read(annotations):
    """Return the Annotations and the errors of {key without prefix: value}."""
    errors = Errors()
    metadata = {"annotations": {f"{PREFIX}{key}": value for key, value in annotations.items()}}
    return read_annotations(metadata, "egressip/web", errors), errors.found


@st.composite
def annotations(draw):
    pools = tuple(draw(st.just([]) | LISTS))
    return Annotations(
        spread=draw(st.none() | NAMES),
        weight=draw(st.integers(1, 100)),
        pools=pools,
        pool_size=draw(st.integers(1, 16382)) if pools else 1,
        destinations=draw(NETWORKS),
        excluded_destinations=draw(st.sampled_from([(), ("198.51.100.0/24",)])),
    )


@given(annotations())
def test_the_text_form_reads_back_as_the_same_values(value):
    errors = Errors()
    assert read_annotations({"annotations": value.to_dict()}, "egressip/web", errors) == value
    assert errors.found == ()


@given(annotations())
def test_defaults_are_not_written(value):
    written = value.to_dict()
    assert len(written) == sum(vars(value)[name] != default for name, default in vars(NO_ANNOTATIONS).items())
    assert all(key.startswith(PREFIX) for key in written)


@pytest.mark.parametrize("metadata", [{}, {"annotations": None}, {"annotations": {}}])
def test_without_annotations_all_have_defaults(metadata):
    errors = Errors()
    assert read_annotations(metadata, "egressip/web", errors) == NO_ANNOTATIONS
    assert NO_ANNOTATIONS.to_dict() == {}
    assert errors.found == ()


def test_annotations_of_others_are_ignored():
    errors = Errors()
    others = {"kubectl.kubernetes.io/last-applied-configuration": "{}", "example.com/weight": "x", 5: "y"}
    assert read_annotations({"annotations": others}, "egressip/web", errors) == NO_ANNOTATIONS
    assert errors.found == ()


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("weight", "0", "must be an integer from 1 to 100, not '0'"),
        ("weight", "101", "must be an integer from 1 to 100, not '101'"),
        ("weight", "1.5", "must be an integer from 1 to 100, not '1.5'"),
        ("weight", "٣", "must be an integer from 1 to 100, not '٣'"),
        ("weight", "9" * 5000, "must be an integer from 1 to 100, not "),
        ("weight", 5, "must be a string, not the integer 5; put it in quotes"),
        ("pool-size", "16383", "must be an integer from 1 to 16382, not '16383'"),
        ("pool", "prod,,dev", "'prod,,dev' has an empty entry between commas; remove one comma"),
        ("pool", "prod, prod", "'prod, prod' has a duplicate entry; list each one once"),
        ("spread", "a b", ""),
        ("destinations", "10.0.0.1/8", ""),
        ("excluded-destinations", "0.0.0.0/0, ::/0", "covers every destination"),
    ],
)
def test_a_malformed_value_is_an_error_that_begins_with_its_path(key, value, text):
    more = {"pool": "prod"} if key == "pool-size" else {}
    found, errors = read({key: value, **more})
    assert len(errors) == 1
    assert errors[0].startswith(f"{PATH}['{PREFIX}{key}']")
    assert text in errors[0]
    assert len(errors[0]) < 300
    assert found.weight == 1


def test_every_error_is_listed():
    _found, errors = read({"weight": "0", "pool-size": "x", "destinations": "a,b"})
    assert [line.partition("]")[0].rpartition("/")[2].rstrip("'") for line in errors] == [
        "weight",
        "pool-size",
        "pool-size",
        "destinations",
        "destinations",
    ]


@pytest.mark.parametrize("key", KEYS)
def test_a_mistyped_annotation_names_the_right_one(key):
    found, (error,) = read({f"{key}s": "1"})
    assert error == f"{PATH}['{PREFIX}{key}s']: unknown annotation; did you mean {PREFIX}{key}?"
    assert found == NO_ANNOTATIONS


def test_an_unknown_annotation_lists_the_known_ones():
    _found, (error,) = read({"xyzzy": "1"})
    assert all(f"{PREFIX}{key}" in error for key in KEYS)


def test_a_pool_size_without_a_pool_has_no_effect():
    _found, (error,) = read({"pool-size": "2"})
    assert error == (
        f"{PATH}['{PREFIX}pool-size']: has no effect without {PREFIX}pool; add that annotation or remove this one"
    )


@pytest.mark.parametrize(
    ("metadata", "pooled"),
    [
        ({"annotations": {f"{PREFIX}pool": "prod"}}, True),
        ({"annotations": {f"{PREFIX}pool": 5}}, True),
        ({"annotations": {f"{PREFIX}pool-size": "2"}}, False),
        ({"annotations": ["pool"]}, False),
        ({"annotations": None}, False),
        (None, False),
        ("text", False),
    ],
)
def test_has_pool(metadata, pooled):
    assert has_pool(metadata) is pooled


def test_annotation_path():
    assert annotation_path("egressip/web", f"{PREFIX}weight") == f"{PATH}['{PREFIX}weight']"
