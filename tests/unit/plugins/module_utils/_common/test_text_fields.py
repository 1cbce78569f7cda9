# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fields of an answer that are JSON texts."""

from __future__ import annotations

import base64
import json
import zlib

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common import text_fields
from ansible_collections.netops.egress_ip.plugins.module_utils._common.text_fields import (
    TEXTS,
    with_facts_as_text,
    with_facts_as_values,
    with_plain_texts,
    with_texts,
)

FEW = [{"name": "n\u00f61", "addresses": []}]
MANY = [{"name": f"n\u00f6{number}", "addresses": [f"10.0.0.{number}"]} for number in range(200)]


def compressed(data):
    return "zlib " + base64.b64encode(zlib.compress(data)).decode()


@pytest.mark.parametrize("nodes", [[], FEW, MANY])
def test_lists_of_an_answer_become_texts(nodes):
    facts = {"generation": 3, "nodes": nodes, "containers": []}
    sent = with_texts(facts)
    assert all(isinstance(sent[name], str) for name in TEXTS)
    read = with_plain_texts(sent)
    assert {name: json.loads(value) if name in TEXTS else value for name, value in read.items()} == facts


def test_a_long_text_is_sent_in_few_bytes():
    assert len(with_texts({"nodes": MANY})["nodes"]) < len(json.dumps(MANY)) / 3


def test_fields_that_are_missing_stay_so():
    assert with_plain_texts(with_texts({"problems": []})) == {"problems": []}


@pytest.mark.parametrize("text", ["zlib ", "zlib !", "zlib AAAA", compressed(b"\xff"), compressed(b"[]")[:-8], 5, None])
def test_what_cannot_be_decompressed_stays_as_it_is(text):
    assert with_plain_texts({"nodes": text}) == {"nodes": text}


def test_a_text_that_would_fill_the_memory_is_not_decompressed(monkeypatch):
    monkeypatch.setattr(text_fields, "MOST", 1000)
    small, large = compressed(b"x" * 999), compressed(b"x" * 1_000_000)
    assert with_plain_texts({"nodes": small, "containers": large}) == {"nodes": "x" * 999, "containers": large}


def test_the_longest_texts_of_nodes_are_read():
    addresses = ["192.168.126.101", "2001:db8:1234:5678:9abc:def0:1234:5678"]
    links = [{"mac": "02:00:00:00:00:01", "addresses": [f"{address}/64" for address in addresses]}] * 2
    many = {"endpoints": addresses, "addresses": addresses * 4, "links": links}
    nodes = [{"name": f"node{number}.rack12.example.com", **many} for number in range(2000)]
    labels = {f"example.com/label-{number}": "x" * 63 for number in range(10)}
    found = [{"name": f"name-{number}", "labels": labels, "addresses": addresses} for number in range(2000)]
    containers = [{"engine": engine, "found": found, "problem": "", "kept": []} for engine in ("docker", "podman")]
    read = with_plain_texts(with_texts({"nodes": nodes, "containers": containers}))
    assert (json.loads(read["nodes"]), json.loads(read["containers"])) == (nodes, containers)
    assert all(text_fields.is_readable(read[name], text_fields.MOST) for name in TEXTS)


@pytest.mark.parametrize("facts", [{}, {"held": [{"egressIP": "10.0.0.1"}], "interface": "eth0", "nodes": "zlib AAAA"}])
def test_the_facts_of_an_answer_to_a_run_are_one_text(facts):
    result = {"changed": False, "digest": "1f6c", **facts}
    sent = with_facts_as_text(result, ("held", "interface", "nodes", "generation"))
    assert {name: value for name, value in sent.items() if name != "facts"} == {"changed": False, "digest": "1f6c"}
    assert isinstance(sent["facts"], str) if facts else "facts" not in sent
    assert with_facts_as_values(sent) == result


def test_facts_that_are_nested_too_deeply_are_missing():
    depth = 200_000
    sent = {"changed": False, "facts": f'{{"held": {"[" * depth}{"]" * depth}}}'}
    assert with_facts_as_values(sent) == {"changed": False}
