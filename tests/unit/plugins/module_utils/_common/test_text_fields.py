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
    monkeypatch.setattr(text_fields, "_MOST", 1000)
    small, large = compressed(b"x" * 999), compressed(b"x" * 1_000_000)
    assert with_plain_texts({"nodes": small, "containers": large}) == {"nodes": "x" * 999, "containers": large}
