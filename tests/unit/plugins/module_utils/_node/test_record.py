# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records that are damaged, or of another version."""

from __future__ import annotations

import re

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import (
    CommandError,
    EgressIPError,
    InvalidError,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._node import service
from ansible_collections.netops.egress_ip.plugins.module_utils._node.record import Record
from node_runs import A, apply, observe, reboot, remove
from states import held, node_state


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'"x"',
        b'{"state": {}, "requested_digest": "", "marks": {}, "original_sysctls": {}}',
        b'{"state": 5, "requested_digest": "", "marks": {}, "original_sysctls": {}}',
        b"\xff\xfe",
        b"[[[[",
    ],
)
def test_a_broken_record_is_a_clear_error(kernel, record):
    apply(kernel, node_state())
    kernel.write_record(record)
    for call in (observe, lambda io: apply(io, node_state(generation=2)), remove):
        with pytest.raises(EgressIPError, match=re.escape(str(kernel.STATE_FILE))):
            call(kernel)


BROKEN = [
    (key, value)
    for key in ("state", "requested_digest", "marks", "original_sysctls")
    for value in (None, 5, "x", [], {"a": "b"}, {"a": 5})
    if (key, value) not in [("requested_digest", "x"), ("original_sysctls", {"a": "b"})]
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


# Damage.


@pytest.mark.parametrize("cut", [0, 1, 100, -1])
def test_a_record_that_is_cut_short_is_replaced_by_its_copy(kernel, cut):
    apply(kernel, node_state())
    before = kernel.snapshot()
    path = str(kernel.STATE_FILE)
    data, mode = kernel.files[path]
    kernel.files[path] = (data[:cut], mode)
    assert observe(kernel)["held"] == held(A)
    assert observe(kernel)["drift"] == [f"missing file {path}"]
    reboot(kernel)
    assert (service.main(kernel, ["restore"]), service.main(kernel, ["claim"])) == (0, 0)
    apply(kernel, node_state())
    assert kernel.files == before["files"]
    assert observe(kernel)["drift"] == []


def test_a_record_that_the_disk_does_not_give_back_is_replaced_by_its_copy(kernel, monkeypatch):
    apply(kernel, node_state())
    real = kernel.read_file

    def read(path):
        if path == kernel.STATE_FILE:
            raise CommandError(f"{path}: cannot be read: Input/output error")
        return real(path)

    monkeypatch.setattr(kernel, "read_file", read)
    assert Record.load(kernel).state.held
    del kernel.files[str(kernel.STATE_COPY)]
    with pytest.raises(CommandError, match="state.json: cannot be read: Input/output error"):
        Record.load(kernel)


@pytest.mark.parametrize("name", ["state.copy.json", "closed.nft", "closed.ip"])
def test_what_belongs_to_the_record_is_written_again(kernel, name):
    apply(kernel, node_state())
    before = kernel.snapshot()
    path = str(kernel.STATE_FILE.with_name(name))
    del kernel.files[path]
    assert observe(kernel)["drift"]
    assert apply(kernel, node_state())["changed"]
    assert kernel.files == before["files"]


def test_without_the_record_its_copy_does_not_count(kernel):
    """The user removes the record to start without one."""
    apply(kernel, node_state())
    kernel.remove_record()
    assert observe(kernel)["generation"] == 0
