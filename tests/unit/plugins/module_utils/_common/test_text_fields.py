# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fields of an answer that are JSON texts."""

from __future__ import annotations

import json

from ansible_collections.netops.egress_ip.plugins.module_utils._common.text_fields import TEXTS, with_texts


def test_lists_of_an_answer_become_texts():
    facts = {"generation": 3, "nodes": [{"name": "n\u00f61", "addresses": []}], "containers": []}
    sent = with_texts(facts)
    assert all(isinstance(sent[name], str) for name in TEXTS)
    assert {name: json.loads(value) if name in TEXTS else value for name, value in sent.items()} == facts


def test_fields_that_are_missing_stay_so():
    assert with_texts({"problems": []}) == {"problems": []}
