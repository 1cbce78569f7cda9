# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Label selectors against a reference written from the text of the Kubernetes documentation."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import InvalidError
from ansible_collections.netops.egress_ip.plugins.module_utils._common.selectors import (
    LabelIndex,
    Selector,
    parse_labels,
)
from hypothesis import given
from hypothesis import strategies as st

KEYS = st.sampled_from(["app", "env", "tier", "example.com/app"])
VALUES = st.sampled_from(["", "web", "db", "prod", "1"])
LABELS = st.dictionaries(KEYS, VALUES)
EXPRESSIONS = st.one_of(
    st.fixed_dictionaries(
        {"key": KEYS, "operator": st.sampled_from(["In", "NotIn"]), "values": st.lists(VALUES, min_size=1)}
    ),
    st.fixed_dictionaries({"key": KEYS, "operator": st.sampled_from(["Exists", "DoesNotExist"])}),
)
SELECTORS = st.fixed_dictionaries({}, optional={"matchLabels": LABELS, "matchExpressions": st.lists(EXPRESSIONS)})
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers() | KEYS, inner),
)

ERRORS = [
    (None, ["s: must be a mapping, not null"]),
    ("app=web", ["s: must be a mapping, not the string 'app=web'"]),
    ([{"app": "web"}], ["s: must be a mapping, not a list"]),
    ({"app": "web"}, ["s.app: unknown field; expected one of matchLabels, matchExpressions"]),
    ({"matchlabels": {}}, ["s.matchlabels: unknown field; did you mean matchLabels?"]),
    ({"matchExpression": []}, ["s.matchExpression: unknown field; did you mean matchExpressions?"]),
    (
        {"\u201cmatchLabels\u201d": {}},
        [
            "s.\u201cmatchLabels\u201d: unknown field; its name contains a curly quote (U+201C), "
            "probably pasted from a web page"
        ],
    ),
    ({"matchLabels": None}, ["s.matchLabels: must be a mapping, not null"]),
    ({"matchLabels": ["app"]}, ["s.matchLabels: must be a mapping, not a list"]),
    (
        {"matchLabels": {"app": 5, "env": True, "tier": None}},
        [
            "s.matchLabels['app']: must be a string, not the integer 5; put it in quotes",
            "s.matchLabels['env']: must be a string, not the boolean true; put it in quotes",
            "s.matchLabels['tier']: must be a string, not null; write \"\" for the empty value",
        ],
    ),
    (
        {"matchLabels": {5: "web"}},
        ["s.matchLabels[the integer 5]: the key must be a string, not the integer 5; put it in quotes"],
    ),
    (
        {"matchLabels": {"app": "\u201cweb\u201d"}},
        ["s.matchLabels['app']: '\u201cweb\u201d' contains a curly quote (U+201C), probably pasted from a web page"],
    ),
    (
        {"matchLabels": {"app": "my web"}},
        [
            "s.matchLabels['app']: 'my web' is not a valid label value; use at most 63 letters, digits, '-', '_' and "
            "'.', beginning and ending with a letter or digit"
        ],
    ),
    ({"matchExpressions": None}, ["s.matchExpressions: must be a list, not null"]),
    ({"matchExpressions": {"key": "app"}}, ["s.matchExpressions: must be a list, not a mapping"]),
    ({"matchExpressions": ["app"]}, ["s.matchExpressions[0]: must be a mapping, not the string 'app'"]),
    (
        {"matchExpressions": [{}]},
        ["s.matchExpressions[0].key: is missing", "s.matchExpressions[0].operator: is missing"],
    ),
    (
        {"matchExpressions": [{"key": "app", "operator": "exists"}]},
        [
            "s.matchExpressions[0].operator: must be one of In, NotIn, Exists, DoesNotExist, not 'exists'; "
            "did you mean Exists?"
        ],
    ),
    (
        {"matchExpressions": [{"key": "app", "operator": "="}]},
        ["s.matchExpressions[0].operator: must be one of In, NotIn, Exists, DoesNotExist, not '='"],
    ),
    (
        {"matchExpressions": [{"key": "app", "operator": "In"}, {"key": "app", "operator": "NotIn", "values": []}]},
        [
            "s.matchExpressions[0].values: is missing; In needs at least one value",
            "s.matchExpressions[1].values: is empty; NotIn needs at least one value",
        ],
    ),
    (
        {"matchExpressions": [{"key": "app", "operator": "Exists", "values": ["web"]}]},
        ["s.matchExpressions[0].values: must be left out with Exists"],
    ),
    (
        {"matchExpressions": [{"key": "app", "operator": "In", "values": "web"}]},
        ["s.matchExpressions[0].values: must be a list, not the string 'web'"],
    ),
    (
        {"matchExpressions": [{"key": "app", "operator": "In", "value": ["web"], "values": ["a", 1]}]},
        [
            "s.matchExpressions[0].value: unknown field; did you mean values?",
            "s.matchExpressions[0].values[1]: must be a string, not the integer 1; put it in quotes",
        ],
    ),
]

GOOD_KEYS = ["a", "A", "0", "a-b", "a_b.c", "a" * 63, "example.com/a", f"{'a' * 63}.{'b' * 63}/c"]
BAD_KEYS = ["", "-a", "a-", ".a", "a b", "a" * 64, "/a", "a/", "a/b/c", "Example.com/a", "ex_ample.com/a", "é", "a\n"]


def meets(expression, labels):
    """The reference for one expression."""
    value = labels.get(expression["key"])
    return {
        "In": lambda: value is not None and value in expression["values"],
        "NotIn": lambda: value is None or value not in expression["values"],
        "Exists": lambda: value is not None,
        "DoesNotExist": lambda: value is None,
    }[expression["operator"]]()


@given(st.dictionaries(st.sampled_from("abcdef"), LABELS), SELECTORS)
def test_the_index_finds_what_a_look_at_everything_finds(things, document):
    selector = Selector.from_dict(document, "s")
    expected = [name for name, labels in things.items() if selector.matches(labels)]
    assert LabelIndex(things).selected_by(selector) == expected


@given(SELECTORS, LABELS)
def test_matches_as_kubernetes_documents_it(selector, labels):
    equal = all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
    met = all(meets(expression, labels) for expression in selector.get("matchExpressions", []))
    assert Selector.from_dict(selector, "s").matches(labels) is (equal and met)


@given(LABELS)
def test_empty_selector_selects_everything(labels):
    assert Selector.from_dict({}, "s").matches(labels)
    assert Selector.from_dict({"matchLabels": {}, "matchExpressions": []}, "s").matches(labels)


@given(KEYS, st.lists(VALUES, min_size=1), LABELS)
def test_not_in_is_the_opposite_of_in(key, values, labels):
    selectors = [
        Selector.from_dict({"matchExpressions": [{"key": key, "operator": operator, "values": values}]}, "s")
        for operator in ("In", "NotIn")
    ]
    assert selectors[0].matches(labels) is not selectors[1].matches(labels)


@given(SELECTORS)
def test_dict_form_is_read_back(selector):
    parsed = Selector.from_dict(selector, "s")
    assert Selector.from_dict(parsed.to_dict(), "s") == parsed


@given(ANYTHING)
def test_nothing_makes_a_traceback(value):
    for parse in (Selector.from_dict, parse_labels):
        try:
            parse(value, "s")
        except InvalidError as error:
            assert error.errors
            assert all(text.startswith("s") for text in error.errors)


@pytest.mark.parametrize(("selector", "errors"), ERRORS)
def test_every_error_at_once(selector, errors):
    with pytest.raises(InvalidError) as caught:
        Selector.from_dict(selector, "s")
    assert list(caught.value.errors) == errors


@pytest.mark.parametrize("key", GOOD_KEYS)
def test_label_key_syntax_accepts(key):
    assert parse_labels({key: ""}, "labels") == {key: ""}


@pytest.mark.parametrize("key", BAD_KEYS)
def test_label_key_syntax_refuses(key):
    with pytest.raises(InvalidError):
        parse_labels({key: ""}, "labels")


@pytest.mark.parametrize("value", ["", "a", "0", "A.b-c_d", "a" * 63, "1.0"])
def test_label_value_syntax_accepts(value):
    assert parse_labels({"app": value}, "labels") == {"app": value}


@pytest.mark.parametrize("value", [" ", "-", "a-", "a/b", "a b", "a" * 64, "a\n", "grün", "a:b", "a,b"])
def test_label_value_syntax_refuses(value):
    with pytest.raises(InvalidError):
        parse_labels({"app": value}, "labels")


def test_null_label_is_the_empty_one():
    assert parse_labels({"k8s.ovn.org/egress-assignable": None}, "labels") == {"k8s.ovn.org/egress-assignable": ""}
