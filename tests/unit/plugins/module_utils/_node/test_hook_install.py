# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The OCI hook in the folders of engines: installed, and removed byte for byte."""

from __future__ import annotations

import json

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.hook_files import (
    DEFAULT_FOLDER,
    NAME,
    HookFolders,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._node.hook_install import hook_changes
from node_runs import apply, observe, remove
from states import node_state

HOOK = f"{DEFAULT_FOLDER}/{NAME}"
FOLLOW = {"engines": ["podman"], "namespaces": [{"name": "shop", "rules": [{"egressip": "web"}]}]}
# Of another program, in the same folder.
OTHER = f"{DEFAULT_FOLDER}/oci-nvidia-hook.json"


def state(**changes):
    return node_state(**{"follow": FOLLOW, **changes})


def lines(result):
    return [line for line in result["diff"]["after"].splitlines() if "hooks.d" in line]


@pytest.fixture
def podman(kernel):
    """A node with a folder for hooks."""
    kernel.hooks = HookFolders((DEFAULT_FOLDER,), (DEFAULT_FOLDER,))
    kernel.files[OTHER] = (b"{}", 0o644)
    return kernel


def test_a_node_that_follows_no_containers_has_no_hook(podman):
    apply(podman, node_state())
    assert HOOK not in podman.files


def test_the_hook_is_installed_once(podman):
    shown = apply(podman, state(), check=True)
    assert lines(shown) == [f"file {HOOK}"]
    assert HOOK not in podman.files
    assert lines(apply(podman, state())) == lines(shown)
    content, mode = podman.files[HOOK]
    hook = json.loads(content)
    assert (hook["version"], hook["stages"], mode) == ("1.0.0", ["createRuntime", "poststop"], 0o644)
    assert hook["hook"]["args"][:3] == [hook["hook"]["path"], "-IS", "-c"]
    compile(hook["hook"]["args"][3], "hook", "exec")
    # Without the rules, a container could not start.
    kinds = [item if kind == "file" else kind for kind, item in podman.log]
    assert kinds.index("admit") < kinds.index(HOOK)
    assert not apply(podman, state(generation=2))["changed"]
    assert observe(podman, follow=["podman"])["drift"] == []


def test_a_hook_that_another_program_removed_or_changed(podman):
    apply(podman, state())
    good = podman.files[HOOK]
    older = (good[0].replace(b"1.0.0", b"0.1.0"), 0o644)
    for damage in (lambda: podman.files.pop(HOOK), lambda: podman.files.update({HOOK: older})):
        damage()
        assert observe(podman, follow=["podman"])["drift"] == [f"missing file {HOOK}"]
        apply(podman, state())
        assert podman.files[HOOK] == good


@pytest.mark.parametrize("leave", [lambda io: apply(io, node_state(generation=2)), remove])
def test_nothing_of_it_stays(podman, leave):
    before = {path: data for path, data in podman.files.items() if "hooks.d" in path}
    apply(podman, state())
    assert HOOK in podman.files
    podman.log.clear()
    leave(podman)
    assert {path: data for path, data in podman.files.items() if "hooks.d" in path} == before
    kinds = [item if kind == "remove" else kind for kind, item in podman.log]
    assert kinds.index(HOOK) < kinds.index("dismiss")


def test_removal_without_a_record(podman):
    apply(podman, state())
    podman.remove_record()
    remove(podman)
    assert HOOK not in podman.files


def test_a_folder_that_is_no_longer_used_keeps_no_hook(podman):
    apply(podman, state())
    other = DEFAULT_FOLDER.with_name("other")
    podman.hooks = HookFolders((other,), (DEFAULT_FOLDER, other))
    apply(podman, state())
    assert [path for path in podman.files if path.endswith(NAME)] == [f"{other}/{NAME}"]


def test_a_foreign_file_of_this_name_stays(podman):
    podman.files[HOOK] = (b"{}", 0o644)
    problem = f"{HOOK}: is not the program of this collection; remove or rename it"
    assert apply(podman, state())["changed"]
    assert observe(podman, follow=["podman"])["follow_problem"] == problem
    remove(podman)
    assert podman.files[HOOK] == (b"{}", 0o644)


def test_a_node_without_a_folder(kernel):
    """Its egress IPs work, and the run reports it."""
    kernel.hooks = HookFolders((), (DEFAULT_FOLDER,), f"{DEFAULT_FOLDER}: does not exist; create this folder")
    assert apply(kernel, state())["changed"]
    facts = observe(kernel, follow=["podman"])
    assert (facts["follow_problem"], facts["drift"]) == (kernel.hooks.problem, [])
    assert observe(kernel)["follow_problem"] == ""
    assert hook_changes(kernel, False).problem == ""


def test_containers_that_started_with_the_hook(podman):
    """What is gone without a call of its engine is drift, and the next run forgets it."""
    apply(podman, state())
    note = {"name": "shop/0123456789ab", "addresses": ["10.88.0.7"], "labels": {"app": "a"}, "verdicts": {}}
    podman.followed = ([note], ["c2"])
    facts = observe(podman)
    assert facts["followed_pods"] == [
        {"name": "0123456789ab", "namespace": "shop", "labels": {"app": "a"}, "addresses": ["10.88.0.7"]}
    ]
    assert facts["drift"] == ["left over class of the container c2, which has ended"]
    podman.log.clear()
    assert not apply(podman, state())["changed"]
    assert [kind for kind, _item in podman.log if kind == "admit"] == ["admit"]
