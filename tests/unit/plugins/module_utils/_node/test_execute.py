# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on a host in memory that fail, and restore the node as it was."""

from __future__ import annotations

import copy

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import (
    CommandError,
    EgressIPError,
    VerificationError,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._node import execute
from fake_node_io import FakeKernel
from node_runs import (
    A,
    B,
    C,
    apply,
    observe,
)
from states import egress_object, held, node_state

BREAK = {
    "the first of ip": "link add",
    "an address of ip": "192.0.0.8",
    "a route of ip": "route replace",
    "a sysctl": None,
    "a table of nft": "add table inet",
    "an element of nft": "add element inet egress_ip pods4",
}


def break_(kernel, kind, monkeypatch):
    if BREAK[kind]:
        kernel.fail = (BREAK[kind],)
        return
    real = kernel.write_sysctl

    def refuse(name, value):
        if value in ("1", "2"):
            raise CommandError(f"sysctl {name}: refused")
        real(name, value)

    monkeypatch.setattr(kernel, "write_sysctl", refuse, raising=True)


@pytest.mark.parametrize("kind", BREAK)
def test_a_first_run_that_fails_leaves_nothing(kernel, kind, monkeypatch):
    before = {key: value for key, value in kernel.snapshot().items() if key != "write_sysctl"}
    break_(kernel, kind, monkeypatch)
    with pytest.raises(VerificationError, match="the node is as it was before$"):
        apply(kernel, node_state())
    after = {key: value for key, value in kernel.snapshot().items() if key != "write_sysctl"}
    assert after == before


RECORD_FILES = ("closed.nft", "closed.ip", "state.json", "state.copy.json")


def refuse_once(kernel, name, monkeypatch):
    """Let the first write of a file of the record fail, as on a full disk."""
    real, refused = kernel.write_file, []

    def write(path, data, mode):
        if path.name == name and not refused:
            refused.append(path)
            raise CommandError(f"{path}: cannot be written: No space left on device")
        real(path, data, mode)

    monkeypatch.setattr(kernel, "write_file", write, raising=True)
    return refused


@pytest.mark.parametrize("name", RECORD_FILES)
def test_a_first_run_that_cannot_write_its_record_leaves_nothing(kernel, name, monkeypatch):
    before = kernel.snapshot()
    refused = refuse_once(kernel, name, monkeypatch)
    with pytest.raises(VerificationError, match=f"{name}: cannot be written: .*; the node is as it was before$"):
        apply(kernel, node_state())
    assert refused
    after = {key: value for key, value in kernel.snapshot().items() if key != "write_file"}
    assert after == before


@pytest.mark.parametrize("name", [name for name in RECORD_FILES if name != "closed.ip"])
def test_a_later_run_that_cannot_write_its_record_keeps_the_former_one(kernel, name, monkeypatch):
    apply(kernel, node_state())
    before = kernel.snapshot()
    refused = refuse_once(kernel, name, monkeypatch)
    objects = [egress_object("web", [A, B, C])]
    with pytest.raises(VerificationError, match=f"{name}: cannot be written: .*; the node is as it was before$"):
        apply(kernel, node_state(generation=2, egressips=objects, held=held(A, B)))
    assert refused
    after = {key: value for key, value in kernel.snapshot().items() if key != "write_file"}
    assert after == before


def test_a_full_disk_does_not_prevent_the_rollback(kernel, monkeypatch):
    """What the former record has already is not written again."""
    apply(kernel, node_state(held=held(A, B)))
    before = kernel.snapshot()

    def refuse(path, _data, _mode):
        raise CommandError(f"{path}: cannot be written: No space left on device")

    monkeypatch.setattr(kernel, "write_file", refuse, raising=True)
    with pytest.raises(VerificationError, match="state.json: cannot be written: .*; the node is as it was before$"):
        apply(kernel, node_state(generation=2, held=held(A)))
    after = {key: value for key, value in kernel.snapshot().items() if key != "write_file"}
    assert after == before


def test_a_first_run_that_cannot_note_its_presence_leaves_nothing(kernel, monkeypatch):
    before = kernel.snapshot()

    def refuse(*_arguments):
        raise CommandError("/run/netops-egress-ip.watch: cannot be written: No space left on device")

    monkeypatch.setattr(kernel, "note_presence", refuse)
    with pytest.raises(VerificationError, match="watch: cannot be written: .*; the node is as it was before$"):
        apply(kernel, node_state())
    assert {key: value for key, value in kernel.snapshot().items() if key != "note_presence"} == before


CHANGES = {
    "a rule": ({"egressips": [egress_object("web", [A, B, C])]}, "rule add"),
    "a route": ({"options": {"tunnel_vni": 7}}, "route replace"),
    "a device": (
        {"options": {"tunnel_port": 4791}},
        "link add egress0 address 0a:5e:c2:e7:00:01 mtu 1430 type vxlan external dstport 4791",
    ),
    "nft": ({"pods": []}, "delete element inet egress_ip pods4"),
    "nft, while an address of an object goes": (
        {"egressips": [egress_object("web", [B])], "held": []},
        "flush chain inet egress_ip object_web",
    ),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_a_later_run_that_fails_leaves_the_node_as_it_was(kernel, kind):
    apply(kernel, node_state())
    before = copy.deepcopy(kernel.snapshot())
    change, line = CHANGES[kind]
    kernel.fail = (line,)
    with pytest.raises(VerificationError, match="the node is as it was before$"):
        apply(kernel, node_state(**{"generation": 2, **change}))
    after = kernel.snapshot()
    for key in ("routes", "neighbours"):
        before[key], after[key] = (sorted(map(str, side[key])) for side in (before, after))
    before["rules"], after["rules"] = (
        {version: sorted(map(str, rules)) for version, rules in side["rules"].items()} for side in (before, after)
    )
    assert after == before
    kernel.fail = ()
    assert not apply(kernel, node_state())["changed"]
    assert apply(kernel, node_state(**{"generation": 2, **change}))["changed"]


def test_what_the_node_does_not_show_is_not_believed(kernel, monkeypatch):
    before = kernel.snapshot()
    monkeypatch.setattr(FakeKernel, "_rule_add", lambda *_arguments: None)
    with pytest.raises(
        VerificationError, match=r"node/node1: differs from the applied state: missing ip rules: priority"
    ):
        apply(kernel, node_state())
    assert kernel.snapshot() == before


WITHHELD = {
    "a neighbour": ("_neighbour_replace", {"egressips": [egress_object("web", [A, B, C])]}),
    "a route": ("_route_replace", {"egressips": [egress_object("web", [A, B, C])], "pods": []}),
    "the rule of a table": ("_rule_add", {"egressips": [egress_object("db", [C]), egress_object("web", [A, B])]}),
    "another tunnel device": ("_neighbour_replace", {"options": {"tunnel_device": "tun7", "unassigned": "drop"}}),
}


@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize("kind", WITHHELD)
def test_a_later_run_that_the_node_does_not_show_is_taken_back(kernel, kind, lost, monkeypatch):
    apply(kernel, node_state())
    if lost:
        kernel.files.pop(str(kernel.STATE_FILE))
    before = copy.deepcopy(kernel.snapshot())
    method, change = WITHHELD[kind]
    if lost and "options" in change:
        return  # Without its record, a node does not know that the other device is its own.
    real, calls = getattr(FakeKernel, method), []

    def withhold(self, words):
        """Forget the calls of this run, and do those of the way back."""
        calls.append(words)
        if kernel.verifying:
            real(self, words)

    kernel.verifying = False
    monkeypatch.setattr(FakeKernel, method, withhold)
    roll_back = execute.roll_back

    def go_back(*arguments):
        kernel.verifying = True
        roll_back(*arguments)

    monkeypatch.setattr(execute, "roll_back", go_back)
    try:
        apply(kernel, node_state(**{"generation": 2, **change}))
    except VerificationError as error:
        assert str(error).endswith("the node is as it was before")
    else:
        pytest.fail("nobody noticed")
    after = {key: value for key, value in kernel.snapshot().items() if key != "verifying"}
    for key in ("routes", "neighbours"):
        before[key], after[key] = (sorted(map(str, side[key])) for side in (before, after))
    before["rules"], after["rules"] = (
        {version: sorted(map(str, rules)) for version, rules in side["rules"].items()} for side in (before, after)
    )
    if lost:
        assert filled_chains(after) >= filled_chains(before)
    else:
        assert after == before


def filled_chains(snapshot):
    return {(key, n) for key, table in snapshot["tables"].items() for n, c in table["chains"].items() if c["rules"]}


def test_a_failed_way_back_is_said(kernel):
    kernel.fail = ("add table inet", "link delete")
    with pytest.raises(VerificationError, match="rollback failed too"):
        apply(kernel, node_state())


@pytest.mark.parametrize("kind", BREAK)
def test_a_run_after_a_failure_succeeds(kernel, kind, monkeypatch):
    with monkeypatch.context() as patch:
        break_(kernel, kind, patch)
        with pytest.raises(EgressIPError):
            apply(kernel, node_state())
    kernel.fail = ()
    kernel.__dict__.pop("write_sysctl", None)
    assert apply(kernel, node_state())["held"] == held(A)
    assert observe(kernel)["drift"] == []
