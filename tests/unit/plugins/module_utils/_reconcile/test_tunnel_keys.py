# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of a rotation: at no moment does a node send what another one refuses."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import InventoryError
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.esp import fingerprint
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.options import DataPlaneOptions
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.tunnel_keys import (
    TunnelKeys,
    key_of,
    next_keys,
)
from hypothesis import given
from hypothesis import strategies as st

A, B, C = "a" * 16, "b" * 16, "c" * 16
NAMES = ("node1", "node2", "node3")
ENCRYPTED = DataPlaneOptions(tunnel_encryption="ipsec")


def fleet(keys, silent=()):
    """Return a fleet of nodes with these keys, of which the silent ones do not answer."""
    observed = {name: {"tunnel_keys": list(own)} for name, own in keys.items() if name not in silent}
    return {"observed": observed, "members": [{"name": name} for name in keys]}


def everywhere(*keys):
    return dict.fromkeys(NAMES, keys)


def test_nothing_without_encryption():
    assert next_keys("", fleet(everywhere(A))) == TunnelKeys()
    assert key_of("short", DataPlaneOptions()) == ""


def test_a_secret_must_be_long_and_is_not_shown():
    with pytest.raises(InventoryError, match="^egress_ip_tunnel_secret: must be a text of at least 32") as caught:
        key_of("hunter2", ENCRYPTED)
    assert "hunter2" not in str(caught.value)
    assert key_of("x" * 32, ENCRYPTED) == fingerprint("x" * 32)


def test_the_first_key_is_used_at_once():
    assert next_keys(A, fleet(everywhere())) == TunnelKeys((A,))
    assert next_keys(A, fleet(everywhere(A))) == TunnelKeys((A,))
    # A node that joins changes nothing.
    assert next_keys(A, fleet({"node1": (A,), "node2": ()})) == TunnelKeys((A,))


def test_a_new_key_takes_three_steps():
    keys, seen = everywhere(A), []
    for _run in range(4):
        step = next_keys(B, fleet(keys))
        seen.append(step.keys)
        keys = everywhere(*step.keys)
    assert seen == [(A, B), (B, A), (B,), (B,)]
    assert "step 1 of 3" in next_keys(B, fleet(everywhere(A))).notes[0]
    assert "step 2 of 3" in next_keys(B, fleet(everywhere(A, B))).notes[0]
    assert next_keys(B, fleet(everywhere(B, A))) == TunnelKeys((B,))


def test_no_step_leaves_a_silent_node_behind():
    for own in ((A,), (A, B)):
        step = next_keys(B, fleet({**everywhere(*own), "node3": (A,)}, silent=("node3",)))
        assert step.keys == (A, B)
        assert "node3" in step.notes[-1]
    step = next_keys(B, fleet(everywhere(B, A), silent=("node3",)))
    assert step.keys == (B, A)
    assert "node3" in step.notes[0]
    # Nothing is replaced: there is nothing to wait for.
    assert next_keys(A, fleet(everywhere(A), silent=("node3",))) == TunnelKeys((A,))


def test_a_silent_node_that_may_not_encrypt_yet_is_named():
    step = next_keys(A, fleet(everywhere(), silent=("node2",)))
    assert step.keys == (A,)
    assert step.notes[0].startswith("egress_ip_tunnel_encryption: node2 cannot be used in this run")


@given(
    st.lists(st.tuples(st.sampled_from((A, B, C)), st.sets(st.sampled_from(NAMES)), st.sets(st.sampled_from(NAMES))))
)
def test_what_a_node_sends_is_accepted_whatever_happens(runs):
    """Runs that reach some nodes, fail on some, and change their mind about the key."""
    keys = everywhere(A)
    for new, silent, failing in runs:
        if len(silent) == len(NAMES):
            continue
        step = next_keys(new, fleet(keys, silent)).keys
        for name in NAMES:
            if name not in silent | failing:
                keys[name] = step
            for sender in NAMES:
                assert all(keys[sender][0] in keys[receiver] for receiver in NAMES), (new, keys)


def test_rotations_end():
    for start in (everywhere(A, B), everywhere(B, A), {"node1": (B, A), "node2": (A, B), "node3": (A, B)}):
        keys = start
        for _run in range(3):
            keys = everywhere(*next_keys(C, fleet(keys)).keys)
        assert keys == everywhere(C)


def test_a_node_that_lists_many_keys_does_not_make_the_lists_of_others_long():
    false = [f"{number:016x}" for number in range(32)]
    nodes = {"node1": (A,), "node2": (A,), "node3": tuple(false)}
    for _run in range(3):
        keys = next_keys(B, fleet(nodes)).keys
        assert len(keys) <= 9
        assert (keys[0], keys[-1]) == (A, B)
        nodes.update(node1=keys, node2=keys)
