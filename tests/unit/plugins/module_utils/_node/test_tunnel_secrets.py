# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The encrypted tunnel in whole runs of a node: its secrets are kept in one file and shown nowhere."""

from __future__ import annotations

import json

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import (
    ConflictError,
    NodeStateError,
    VerificationError,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.esp import fingerprint
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.options import DataPlaneOptions
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import files
from ansible_collections.netops.egress_ip.plugins.module_utils._node import service
from ansible_collections.netops.egress_ip.plugins.module_utils._node.tunnel_secrets import load_secrets
from node_runs import A, B, apply, observe, reboot, remove, watch
from states import held, node_state

OLD, NEW = "o" * 40, "n" * 40
FILE = str(files.TUNNEL_SECRETS)


def encrypted(*secrets, generation=1, **changes):
    options = {"tunnel_encryption": "ipsec", "tunnel_keys": [fingerprint(secret) for secret in secrets]}
    return node_state(options=options, generation=generation, **changes)


@pytest.fixture
def node(kernel):
    """A node that encrypts with the old secret and holds A."""
    apply(kernel, encrypted(OLD), tunnel_secret=OLD)
    return kernel


def keys_on(kernel):
    """Return the keys of all ESP states of the host."""
    return {word for line in kernel.esp_states.values() for word in line.split() if len(word) > 64}


def test_an_encrypted_node_is_as_desired_after_one_run(node):
    assert len(node.esp_states) == 8
    assert len(node.esp_policies) == 8
    assert node.interfaces["egress0"]["mtu"] == 1500 - 70 - 57
    assert observe(node)["drift"] == []
    assert observe(node)["tunnel_keys"] == [fingerprint(OLD)]
    before = node.snapshot()
    # A run without a change needs no secret.
    assert not apply(node, encrypted(OLD))["changed"]
    assert node.snapshot() == before


def test_only_root_can_read_the_secret_and_no_other_file_has_it(node):
    data, mode = node.files[FILE]
    assert (json.loads(data), mode) == ({fingerprint(OLD): OLD}, 0o600)
    hidden = {OLD, *(key[2:] for key in keys_on(node))}
    others = [content for path, (content, _mode) in node.files.items() if path != FILE]
    assert not [text for text in hidden for content in others if text.encode() in content]


def test_no_result_has_a_key(kernel):
    shown = [apply(kernel, encrypted(OLD), check=True, tunnel_secret=OLD)]
    shown += [
        apply(kernel, encrypted(OLD), tunnel_secret=OLD),
        apply(kernel, encrypted(OLD, NEW, generation=2), tunnel_secret=NEW),
    ]
    keys = keys_on(kernel)
    kernel.esp_states.clear()
    shown += [
        observe(kernel),
        apply(kernel, encrypted(NEW, generation=3), check=True),
        remove(kernel, check=True),
        remove(kernel),
    ]
    text = json.dumps(shown)
    assert "ip xfrm state: src 192.168.126.22 dst 192.168.126.101 proto esp spi 0x" in text
    assert f"file {FILE}" in text
    assert not [secret for secret in (OLD, NEW, *(key[2:] for key in keys)) if secret in text]


def test_check_mode_changes_nothing(kernel):
    before = kernel.snapshot()
    assert apply(kernel, encrypted(OLD), check=True, tunnel_secret=OLD)["changed"]
    assert kernel.snapshot() == before


@pytest.mark.parametrize("repair", ["watch", "boot", "run"])
def test_flushed_states_and_policies_come_back(node, repair):
    before = (dict(node.esp_states), node.esp_policies)
    node.esp_states, node.esp_policies = {}, frozenset()
    drift = observe(node)["drift"]
    assert {" ".join(line.split()[:4]) for line in drift if "xfrm" in line} == {
        "missing ip xfrm state:",
        "missing ip xfrm policy:",
    }
    if repair == "run":
        assert apply(node, encrypted(OLD))["changed"]
    elif repair == "watch":
        watch(node)
    else:
        reboot(node)
        assert service.main(node, ["restore"]) == 0
        assert not [state for state in node.esp_states if f"dst {A} " in state and "src 192.168.126.21" not in state]
        assert service.main(node, ["claim"]) == 0
    assert (node.esp_states, node.esp_policies) == before
    assert observe(node)["drift"] == []


def test_a_claim_brings_the_states_of_the_address(node):
    inbound = {state for state in node.esp_states if f"dst {B} " in state and "src 192.168.126.21" not in state}
    assert not inbound
    apply(node, encrypted(OLD, generation=2, held=held(A, B)))
    assert len([state for state in node.esp_states if f"dst {B} " in state]) == 3


def test_a_rotation_keeps_what_each_step_needs(node):
    first = set(node.esp_states)
    apply(node, encrypted(OLD, NEW, generation=2), tunnel_secret=NEW)
    assert first < set(node.esp_states)
    assert set(load_secrets(node)) == {fingerprint(OLD), fingerprint(NEW)}
    apply(node, encrypted(NEW, OLD, generation=3), tunnel_secret=NEW)
    apply(node, encrypted(NEW, generation=4), tunnel_secret=NEW)
    assert not first & set(node.esp_states)
    assert len(node.esp_states) == len(first)
    assert load_secrets(node) == {fingerprint(NEW): NEW}
    assert observe(node)["drift"] == []


def test_a_run_without_the_secret_is_refused_before_a_change(kernel):
    before = kernel.snapshot()
    with pytest.raises(
        ConflictError, match="^tunnel_secret: this node has no secret of the plan's tunnel keys; pass the"
    ):
        apply(kernel, encrypted(OLD), tunnel_secret=NEW)
    assert kernel.snapshot() == before


def test_a_kernel_without_esp_is_refused_before_a_change(kernel):
    kernel.esp_missing = ["egress_ip_tunnel_encryption: ipsec needs Linux 5.9"]
    before = kernel.snapshot()
    with pytest.raises(NodeStateError, match="^egress_ip_tunnel_encryption: ipsec needs Linux 5.9$"):
        apply(kernel, encrypted(OLD), tunnel_secret=OLD)
    assert kernel.snapshot() == before
    assert observe(kernel, DataPlaneOptions(tunnel_encryption="ipsec"))["problems"] == kernel.esp_missing
    assert observe(kernel)["problems"] == []
    assert apply(kernel, node_state())["changed"]


def test_a_failed_change_goes_back_to_the_old_states(node):
    states, policies = dict(node.esp_states), node.esp_policies
    node.fail = ("flush chain inet egress_ip tunnel_port_input",)
    with pytest.raises(VerificationError, match="the node is as it was before"):
        apply(node, node_state(generation=2))
    node.fail = ()
    assert (node.esp_states, node.esp_policies) == (states, policies)
    assert observe(node)["drift"] == []


def test_without_encryption_nothing_of_it_stays(node):
    apply(node, node_state(generation=2))
    assert (node.esp_states, node.esp_policies) == ({}, frozenset())
    assert FILE not in node.files
    assert node.interfaces["egress0"]["mtu"] == 1500 - 70
    assert observe(node)["drift"] == []


def test_a_removal_leaves_nothing(kernel):
    before = kernel.snapshot()
    apply(kernel, encrypted(OLD), tunnel_secret=OLD)
    remove(kernel)
    after = kernel.snapshot()
    assert {key for key in before if before[key] != after[key]} <= {"units", "sysctls"}


@pytest.mark.parametrize("damaged", [b"", b"[]", b"{", b'"text"', b"[" * 100000])
def test_a_damaged_file_closes_the_tunnel_until_the_next_run(node, damaged):
    node.files[FILE] = (damaged, 0o600)
    node.esp_states = {}
    watch(node)
    assert node.esp_states == {}
    assert len(node.esp_policies) == 8
    with pytest.raises(ConflictError, match="^tunnel_secret"):
        apply(node, encrypted(OLD))
    assert apply(node, encrypted(OLD), tunnel_secret=OLD)["changed"]
    assert len(node.esp_states) == 8
    assert load_secrets(node) == {fingerprint(OLD): OLD}


def test_a_lost_file_is_written_again(node):
    del node.files[FILE]
    assert observe(node)["drift"]
    assert apply(node, encrypted(OLD), tunnel_secret=OLD)["changed"]
    assert load_secrets(node) == {fingerprint(OLD): OLD}


@pytest.mark.parametrize("options", [{"tunnel_encryption": "ipsec"}, {}], ids=["encrypted", "plain"])
def test_states_that_are_left_without_a_record_and_secrets_do_not_stop_a_run(node, options):
    """As after somebody deleted the folder of the collection."""
    before = dict(node.esp_states)
    node.files.clear()
    if options:
        apply(node, encrypted(OLD), tunnel_secret=OLD)
        assert node.esp_states == before
    else:
        apply(node, node_state())
        assert (node.esp_states, node.esp_policies) == ({}, frozenset())


def test_a_node_without_encryption_does_not_read_states(kernel, monkeypatch):
    apply(kernel, node_state())
    monkeypatch.setattr(kernel, "read_esp", None)
    assert observe(kernel)["drift"] == []
    assert not apply(kernel, node_state())["changed"]
