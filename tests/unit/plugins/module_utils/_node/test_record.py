# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records that are damaged, or of another version."""

from __future__ import annotations

import re

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import (
    EgressIPError,
    InvalidError,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import files
from node_runs import (
    A,
    apply,
    observe,
    remove,
)
from states import held, node_state


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'"x"',
        b'{"state": {}, "asked": "", "marks": {}, "former": {}}',
        b'{"state": 5, "asked": "", "marks": {}, "former": {}}',
        b"\xff\xfe",
        b"[[[[",
    ],
)
def test_a_broken_record_is_a_clear_error(kernel, record, monkeypatch, tmp_path):
    apply(kernel, node_state())
    path = tmp_path / "state.json"
    path.write_bytes(record)
    monkeypatch.setattr(files, "STATE_FILE", path)
    monkeypatch.setattr(kernel, "load_record", files.load_record, raising=True)
    monkeypatch.setattr(kernel, "STATE_FILE", path, raising=True)
    for call in (lambda: observe(kernel), lambda: apply(kernel, node_state(generation=2)), lambda: remove(kernel)):
        with pytest.raises(EgressIPError, match=re.escape(str(path))):
            call()


BROKEN = [
    (key, value)
    for key in ("state", "asked", "marks", "former")
    for value in (None, 5, "x", [], {"a": "b"})
    if (key, value) not in [("asked", "x"), ("former", {"a": "b"})]
]


@pytest.mark.parametrize(("key", "value"), BROKEN)
def test_a_record_with_a_broken_part_is_a_clear_error(kernel, key, value):
    apply(kernel, node_state())
    record = kernel.load_record()
    record[key] = value
    kernel.save_record(record)
    with pytest.raises(EgressIPError, match=re.escape(str(kernel.STATE_FILE))):
        observe(kernel)


def test_a_record_of_a_newer_version_is_good_for_what_this_one_knows(kernel):
    apply(kernel, node_state())
    record = kernel.load_record()
    record["state"]["weather"] = record["state"]["options"]["weather"] = "sunny"
    kernel.save_record(record)
    assert observe(kernel)["held"] == held(A)
    assert not apply(kernel, node_state())["conflicts"]


def test_errors_of_a_state_on_record_are_all_there(kernel):
    apply(kernel, node_state())
    record = kernel.load_record()
    record["state"].update(endpoints=["x"], name=5)
    kernel.save_record(record)
    with pytest.raises(InvalidError) as caught:
        observe(kernel)
    assert len(caught.value.errors) == 2
