# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The key of a fleet with failover in whole runs of a node."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import (
    ConflictError,
    VerificationError,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.esp import fingerprint
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import files
from ansible_collections.netops.egress_ip.plugins.module_utils._node.failover_key import load_key
from node_runs import apply, observe, remove
from states import node_state

OLD, NEW = "o" * 40, "n" * 40
FILE = str(files.FAILOVER_KEY)


def state(key, generation=1):
    return node_state(generation=generation, failover={"after": 0.2, "key": fingerprint(key) if key else ""})


@pytest.fixture
def node(kernel):
    apply(kernel, state(OLD), failover_key=OLD)
    return kernel


def test_a_run_saves_the_key_of_its_plan_for_root_only(node):
    assert node.files[FILE] == (OLD.encode(), 0o600)
    assert load_key(node, state(OLD)) == OLD
    assert observe(node)["failover_key"] == fingerprint(OLD)
    assert observe(node)["drift"] == []
    assert not [path for path, (data, _mode) in node.files.items() if OLD.encode() in data and path != FILE]


def test_a_run_with_the_known_key_ignores_the_new_one(node):
    before = node.snapshot()
    assert not apply(node, state(OLD), failover_key=NEW)["changed"]
    assert node.snapshot() == before


def test_another_key_replaces_it(node):
    apply(node, state(NEW, 2), failover_key=NEW)
    assert node.files[FILE] == (NEW.encode(), 0o600)


def test_a_plan_with_a_key_that_nobody_has_is_refused_before_anything_changes(node):
    before = node.snapshot()
    with pytest.raises(ConflictError, match="failover_key: this node has no key of the plan"):
        apply(node, state(NEW, 2))
    assert node.snapshot() == before


def test_a_run_that_fails_keeps_the_key_of_the_former_plan(node):
    node.fail = ("delete element inet egress_ip pods4",)
    failover = {"after": 0.2, "key": fingerprint(NEW)}
    with pytest.raises(VerificationError, match="the node is as it was before$"):
        apply(node, node_state(generation=2, failover=failover, pods=[]), failover_key=NEW)
    assert node.files[FILE] == (OLD.encode(), 0o600)
    assert observe(node)["failover_key"] == fingerprint(OLD)


@pytest.mark.parametrize("damage", [None, b"", b"\xff", b"other"])
def test_a_lost_key_is_drift_and_unknown(node, damage):
    node.files[FILE] = (damage, 0o600)
    if damage is None:
        del node.files[FILE]
    assert observe(node)["failover_key"] == ""
    assert f"missing file {FILE}" in observe(node)["drift"]


def test_without_failover_the_key_goes(node):
    apply(node, node_state(generation=2))
    assert FILE not in node.files
    assert "failover_key" not in observe(node)


def test_a_removed_node_has_no_key(node):
    remove(node)
    assert FILE not in node.files


def test_without_a_key_there_is_no_file(kernel):
    apply(kernel, state(""), failover_key=NEW)
    assert FILE not in kernel.files
    assert observe(kernel)["drift"] == []
