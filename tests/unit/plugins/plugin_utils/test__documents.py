# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read from the text of files, and the words for what cannot be read."""

from __future__ import annotations

import datetime
import json

import pytest
from ansible_collections.netops.egress_ip.plugins.plugin_utils._documents import Documents
from hypothesis import given
from hypothesis import strategies as st

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda v: st.lists(v) | st.dictionaries(st.text(), v)
)

GOOD = [
    ("one document", "web.yml", "kind: Pod\n", [{"kind": "Pod"}]),
    ("several documents", "web.yml", "kind: A\n---\nkind: B\n...\n", [{"kind": "A"}, {"kind": "B"}]),
    ("null documents between", "web.yml", "---\n---\nkind: A\n---\n# nothing\n---\n", [{"kind": "A"}]),
    ("Windows line ends", "web.yml", "kind: A\r\nname: x\r\n", [{"kind": "A", "name": "x"}]),
    ("anchors", "web.yml", "a: &x [1]\nb: *x\n", [{"a": [1], "b": [1]}]),
    (
        "merge keys",
        "web.yml",
        "a: &x {k: 1, l: 1}\nb:\n  <<: *x\n  l: 2\n",
        [{"a": {"k": 1, "l": 1}, "b": {"k": 1, "l": 2}}],
    ),
    (
        "two merge keys of one anchor",
        "web.yml",
        "a: &x {k: 1}\nb: {<<: *x}\nc: {<<: *x, k: 2}\nd: {<<: [*x, {l: 3}]}\n",
        [{"a": {"k": 1}, "b": {"k": 1}, "c": {"k": 2}, "d": {"k": 1, "l": 3}}],
    ),
    ("a date", "web.yml", "since: 2026-01-01\n", [{"since": datetime.date(2026, 1, 1)}]),
    (
        "templates are text",
        "web.yml",
        'name: \'{{ lookup("pipe", "id") }}\'\n',
        [{"name": '{{ lookup("pipe", "id") }}'}],
    ),
    ("JSON", "web.json", '{"kind": "A", "n": "\\u003c\\ud83d\\ude00"}', [{"kind": "A", "n": "<\U0001f600"}]),
    ("JSON with tabs", "web.json", '{\n\t"kind":\t"A"\n}\n', [{"kind": "A"}]),
    ("several JSON documents", "web.json", ' {"kind": "A"}\n{"kind": "B"} \n', [{"kind": "A"}, {"kind": "B"}]),
    ("JSON in a YAML file", "web.yml", '{"kind": "A", "list": ["b"]}\n', [{"kind": "A", "list": ["b"]}]),
]

BAD = [
    (
        "a tab",
        "a:\n\tb: 1\n",
        "web.yml: line 2, column 1: found character that cannot start any token (while scanning for the next token)"
        "; indent YAML with spaces, not with tabs",
    ),
    ("a colon too many", "a: b: c\n", "web.yml: line 1, column 5: mapping values are not allowed in this context"),
    (
        "an open list",
        "a: [b\n",
        "web.yml: line 2, column 1: did not find expected ',' or ']' (while parsing a flow sequence)",
    ),
    ("an unknown alias", "a: *b\n", "web.yml: line 1, column 4: found undefined alias"),
    ("a control character", "a: \x07\n", "control characters are not allowed"),
    ("a key twice", "a: 1\nb: 2\na: 3\n", "web.yml[0]: line 3, column 1: duplicate key 'a'"),
    ("a key twice, deeply", "a:\n  - b: {c: 1, c: 1}\n", "web.yml[0]: line 2, column 15: duplicate key 'c'"),
    ("a date that is none", "a: 2026-13-45\n", "web.yml[0]: line 1, column 4: month must be in 1..12"),
    (
        "an alias in its own anchor",
        "a: &x [*x]\n",
        "web.yml[0]: line 1, column 4: found unconstructable recursive node",
    ),
    ("a set", "a: !!set {b}\n", "could not determine a constructor for the tag 'tag:yaml.org,2002:set'"),
    ("binary", "a: !!binary aGk=\n", "could not determine a constructor for the tag 'tag:yaml.org,2002:binary'"),
    ("a Python object", "a: !!python/object/apply:os.getcwd []\n", "could not determine a constructor for the tag"),
    ("a list as key", "? [a]\n: b\n", "web.yml[0]: line 1, column 3: found unhashable key"),
]

BAD_JSON = [
    ("cut off", '{"a": 1,\n', "web.json: line 2, column 1: Expecting property name enclosed in double quotes"),
    ("YAML", "a: 1\n", "web.json: line 1, column 1: Expecting value"),
    ("a key twice", '{"a": 1, "a": 2}', "web.json: duplicate key 'a'"),
    ("not a number", '{"a": NaN}', "web.json: NaN is not valid JSON"),
    ("nested too deeply", "[" * 100000, "web.json: is nested too deeply"),
]


def read(text, name="web.yml"):
    """Read one file of this text or content."""
    documents = Documents()
    documents.read_bytes(text.encode() if isinstance(text, str) else text, name)
    return documents


def bomb(levels, width):
    """A document in which each level is a list of aliases of the level before."""
    lists = ["a0: &a0 [x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * width)}]" for n in range(1, levels + 1))]
    return "\n".join(lists)


MERGES = "a0: &a0 {k: v}\n" + "\n".join(f"a{n}: &a{n}\n  <<: [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9))


@pytest.mark.parametrize(
    "text", [bomb(8, 10), bomb(60, 10), bomb(30, 2), MERGES], ids=["wide", "deep", "binary", "merge"]
)
def test_aliases_that_expand_too_far_are_refused(text):
    documents = read(f"good: 1\n---\n{text}\n---\nalso: good\n")
    assert [entry["document"] for entry in documents.documents] == [{"good": 1}, {"also": "good"}]
    (refused,) = documents.unreadable
    assert refused["name"] == "web.yml[1]"
    assert refused["errors"][0].endswith("aliases add more than 100000 values; write fewer aliases")


def test_ordinary_aliases_are_read():
    documents = read(bomb(3, 10))
    assert (len(documents.documents), documents.unreadable) == (1, [])


@pytest.mark.parametrize(("name", "text", "wanted"), [case[1:] for case in GOOD], ids=[case[0] for case in GOOD])
def test_reads(name, text, wanted):
    documents = read(text, name)
    assert [entry["document"] for entry in documents.documents] == wanted
    assert (documents.unreadable, documents.ignored) == ([], [])


@pytest.mark.parametrize(("text", "words"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_names_file_line_and_the_parsers_words(text, words):
    documents = read(text)
    assert documents.documents == []
    ((error,),) = [entry["errors"] for entry in documents.unreadable]
    assert words in error
    assert error.startswith("web.yml")


@pytest.mark.parametrize(("text", "words"), [case[1:] for case in BAD_JSON], ids=[case[0] for case in BAD_JSON])
def test_names_file_and_what_is_wrong_with_json(text, words):
    documents = read(text, "web.json")
    assert documents.unreadable == [{"name": "web.json", "errors": [words]}]


def test_sources_count_all_documents():
    documents = read("kind: A\n---\n---\nkind: B\n")
    assert [entry["source"] for entry in documents.documents] == ["web.yml[0]", "web.yml[2]"]


def test_a_broken_document_does_not_stop_those_after_it():
    documents = read("kind: A\n---\na: 1\na: 2\n---\nkind: B\n")
    assert [entry["source"] for entry in documents.documents] == ["web.yml[0]", "web.yml[2]"]
    assert [entry["name"] for entry in documents.unreadable] == ["web.yml[1]"]


def test_broken_syntax_keeps_the_documents_before_it():
    documents = read("kind: A\n---\nkind: [B\n")
    assert [entry["source"] for entry in documents.documents] == ["web.yml[0]"]
    assert [entry["name"] for entry in documents.unreadable] == ["web.yml"]


@pytest.mark.parametrize("text", ["", "\n", "# only a comment\n", "---\n", "---\n...\n", "null\n"])
def test_an_empty_file_is_noted(text):
    documents = read(text)
    assert (documents.documents, documents.unreadable) == ([], [])
    assert documents.ignored == ["web.yml: holds no document"]


@pytest.mark.parametrize("name", ["web.yml", "web.json"])
def test_a_byte_order_mark_is_no_part_of_the_text(name):
    assert [entry["document"] for entry in read(b'\xef\xbb\xbf{"kind": "A"}', name).documents] == [{"kind": "A"}]


def test_other_encodings_are_refused():
    assert read("kind: A\n".encode("utf-16")).unreadable[0]["errors"] == [
        "web.yml: is not UTF-8 text (it is UTF-16): invalid start byte at byte 0"
    ]
    assert "is not UTF-8 text: " in read("name: grün\n".encode("latin-1")).unreadable[0]["errors"][0]


@given(st.binary() | st.text().map(str.encode), st.sampled_from(["web.yml", "web.json"]))
def test_no_content_makes_a_traceback(content, name):
    documents = read(content, name)
    assert documents.documents or documents.unreadable or documents.ignored


@given(JSON_VALUES)
def test_json_is_read_as_written(value):
    assert [entry["document"] for entry in read(json.dumps(value), "web.json").documents] == [value]
