# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A JSON object, or something else."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.json_object import json_object


@pytest.mark.parametrize("text", ['{"a": [1]}', b'{"a": [1]}'])
def test_an_object(text):
    assert json_object(text) == {"a": [1]}


@pytest.mark.parametrize(
    "text", ["", "x", "[]", "5", '"x"', "null", "{" * 100_000, b"\xff", "[" * 100_000, '{"a": 1'], ids=range(10)
)
def test_anything_else(text):
    assert json_object(text) is None
