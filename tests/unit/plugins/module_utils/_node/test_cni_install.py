# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plugin in the list of network plugins of a node: installed, put back, and removed byte for byte."""

from __future__ import annotations

import copy

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import CommandError, VerificationError
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.conflist import TYPE, with_entry
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import files
from ansible_collections.netops.egress_ip.plugins.module_utils._node import service
from ansible_collections.netops.egress_ip.plugins.module_utils._node.cni_install import cni_changes
from node_runs import INET, apply, observe, remove, watch
from states import node_state

FLANNEL = '{\n "cniVersion": "0.3.1", "name": "cbr0",\n "plugins": [{"type": "flannel"}, {"type": "portmap"}]\n}\n'
OWN_LINE = "# Written by the Ansible collection netops.egress_ip."
LIST, PROGRAM = "/etc/cni/net.d/10-flannel.conflist", f"/opt/cni/bin/{TYPE}"
FOLLOW = {"engines": ["kubernetes"], "namespaces": [{"name": "shop", "rules": [{"egressip": "web"}]}]}


def state(**changes):
    return node_state(**{"follow": FOLLOW, **changes})


def lines(result):
    return [line for line in result["diff"]["after"].splitlines() if "cni" in line]


@pytest.fixture
def flannel(kernel):
    """A node with flannel."""
    kernel.files[LIST] = (FLANNEL.encode(), 0o644)
    kernel.files["/opt/cni/bin/flannel"] = (b"\x7fELF", 0o755)
    return kernel


def test_a_node_that_follows_no_pods_has_no_plugin(flannel):
    before = copy.deepcopy(flannel.files[LIST])
    apply(flannel, node_state())
    assert flannel.files[LIST] == before
    assert PROGRAM not in flannel.files
    assert not [kind for kind, _item in flannel.log if kind in ("admit", "dismiss", "list")]


def test_the_plugin_is_installed_once(flannel):
    shown = apply(flannel, state(), check=True)
    assert lines(shown) == [f"file {LIST}", f"file {PROGRAM}"]
    assert flannel.files[LIST][0].decode() == FLANNEL
    assert lines(apply(flannel, state())) == lines(shown)
    assert flannel.files[LIST][0].decode() == with_entry(FLANNEL, "")
    content, mode = flannel.files[PROGRAM]
    assert content.startswith(b"#!/usr/bin/python3 -IS\n")
    assert mode == 0o755
    # Without the rules, a pod could not start.
    kinds = [kind for kind, _item in flannel.log]
    assert kinds.index("admit") < kinds.index("list")
    flannel.log.clear()
    assert not apply(flannel, state(generation=2))["changed"]
    assert ("list", LIST) not in flannel.log
    assert observe(flannel, follow=["kubernetes"])["drift"] == []


def test_a_run_that_fails_to_remove_the_plugin_puts_it_back(flannel):
    """Pods that start on the node as it was before must get their class."""
    apply(flannel, state())
    before = flannel.snapshot()
    flannel.fail = ("delete element inet egress_ip pods4",)
    with pytest.raises(VerificationError, match="the node is as it was before$"):
        apply(flannel, node_state(generation=2, pods=[]))
    flannel.fail = ()
    assert [flannel.files[path] for path in (LIST, PROGRAM)] == [before["files"][path] for path in (LIST, PROGRAM)]


def test_a_removal_that_fails_puts_the_plugin_back(flannel):
    apply(flannel, state())
    before = flannel.snapshot()
    flannel.fail = ("delete table",)
    with pytest.raises(CommandError, match="delete table"):
        remove(flannel)
    assert flannel.files == before["files"]
    flannel.fail = ()
    remove(flannel)
    assert (flannel.files[LIST][0].decode(), PROGRAM in flannel.files) == (FLANNEL, False)


def test_a_look_reads_the_lists_once(flannel, monkeypatch):
    apply(flannel, state())
    looks, read = [], flannel.list_files
    monkeypatch.setattr(flannel, "list_files", lambda: looks.append("lists") or read())
    assert observe(flannel, follow=["kubernetes"])["follow_problem"] == ""
    assert observe(flannel)["drift"] == []
    assert looks == ["lists", "lists"]


def test_the_rules_of_an_object_with_errors_are_recalled(flannel):
    apply(flannel, state())
    (recalled,) = observe(flannel, recall=["web"])["recalled"]
    assert recalled["namespaces"] == [{"name": "shop", "podSelector": {}}]


def test_what_flannel_writes_again_gets_the_plugin_again(flannel, capsys):
    apply(flannel, state())
    flannel.away = False
    watch(flannel)
    theirs = FLANNEL.replace("cbr0", "cbr1")
    flannel.files[LIST] = (theirs.encode(), 0o600)
    assert observe(flannel)["drift"] == [f"missing file {LIST}"]
    watch(flannel)
    assert flannel.files[LIST] == (with_entry(theirs, "").encode(), 0o600)
    assert f"restored the plugin in {LIST}" in capsys.readouterr().err
    flannel.files[LIST] = (theirs.encode(), 0o600)
    assert lines(apply(flannel, state())) == [f"file {LIST}"]
    assert flannel.files[LIST][0].decode() == with_entry(theirs, "")


def noted(flannel):
    """Return the version of the networks with which the watch has nothing to do."""
    return flannel.files[str(files.NETWORKS_FILE)][0].decode()


def rewritten(flannel):
    """Let flannel write its list again; the watch is to notice only that."""
    apply(flannel, state())
    flannel.away = False
    watch(flannel)
    flannel.files[LIST] = (FLANNEL.encode(), 0o644)


def test_a_list_that_is_written_again_while_the_watch_runs(flannel, monkeypatch):
    """After the plugin was restored, and before the watch notes which version of the networks it has seen."""
    rewritten(flannel)
    theirs = FLANNEL.replace("cbr0", "cbr1")

    def write_again():
        flannel.files[LIST] = (theirs.encode(), 0o644)
        return False

    monkeypatch.setattr(flannel, "is_settling", write_again)
    watch(flannel)
    monkeypatch.undo()
    assert flannel.files[LIST][0].decode() == theirs
    assert noted(flannel) != flannel.networks_version()
    watch(flannel)
    assert flannel.files[LIST][0].decode() == with_entry(theirs, "")
    watch(flannel)
    assert noted(flannel) == flannel.networks_version()


def test_the_watch_names_no_program_that_is_missing(flannel, capsys):
    """It may not write the program, and no pod would start: as after a change of the state that failed half-way."""
    rewritten(flannel)
    del flannel.files[PROGRAM]
    watch(flannel)
    assert flannel.files[LIST][0].decode() == FLANNEL
    expected = f"the plugin is not restored: {PROGRAM} is missing; run the playbook reconcile"
    assert expected in capsys.readouterr().err
    apply(flannel, state())
    assert flannel.files[LIST][0].decode() == with_entry(FLANNEL, "")
    assert PROGRAM in flannel.files


def test_the_watch_restores_the_plugin_of_another_version(flannel):
    """A run that was stopped may have left the program of an older version, which starts the new one."""
    rewritten(flannel)
    flannel.files[PROGRAM] = (f"#!/usr/bin/python3\n{OWN_LINE}\n".encode(), 0o755)
    watch(flannel)
    assert flannel.files[LIST][0].decode() == with_entry(FLANNEL, "")


@pytest.mark.parametrize("error", [CommandError(f"{LIST}: cannot be written"), OSError(f"{LIST}: cannot be written")])
def test_a_list_that_cannot_be_written_does_not_stop_the_watch(flannel, monkeypatch, capsys, error):
    rewritten(flannel)
    flannel.tables.pop(INET)

    def refused(*_words):
        raise error

    monkeypatch.setattr(flannel, "replace_list", refused)
    watch(flannel)
    assert f"netops.egress_ip: {LIST}: cannot be written\n" in capsys.readouterr().err
    assert INET in flannel.tables


def test_the_plugin_comes_back_although_the_data_plane_fails(flannel, monkeypatch):
    """Pods that start without it leave with the address of the node; with it, they do not start without tables."""
    rewritten(flannel)

    def fail(*_words):
        raise CommandError("nft: fails")

    monkeypatch.setattr(service, "read_host", fail)
    assert service.main(flannel, ["watch"]) == 1
    assert flannel.files[LIST][0].decode() == with_entry(FLANNEL, "")


def test_the_watch_removes_the_plugin_from_a_list_that_is_not_used(flannel, capsys):
    rewritten(flannel)
    other = "/etc/cni/net.d/05-flannel.conflist"
    flannel.files[other] = flannel.files[LIST]
    flannel.files[LIST] = (with_entry(FLANNEL, "").encode(), 0o644)
    watch(flannel)
    err = capsys.readouterr().err
    assert f"restored the plugin in {other}\n" in err
    assert f"removed the plugin from {LIST}\n" in err


@pytest.mark.parametrize("leave", [lambda io: apply(io, node_state(generation=2)), remove])
def test_nothing_of_it_stays(flannel, leave):
    before = {path: data for path, (data, _mode) in flannel.files.items() if "cni" in path}
    apply(flannel, state())
    flannel.log.clear()
    leave(flannel)
    assert {path: data for path, (data, _mode) in flannel.files.items() if "cni" in path} == before
    kinds = [kind for kind, _item in flannel.log if kind in ("list", "dismiss")]
    assert kinds == ["list", "dismiss"]
    assert not cni_changes(flannel, False).removed


FOREIGN = [b"#!/bin/sh\n", b"\x7fELF\0" + OWN_LINE.encode(), b""]


@pytest.mark.parametrize("program", FOREIGN)
@pytest.mark.parametrize("installed", [False, True], ids=["at first", "later"])
def test_a_foreign_program_of_that_name_stays_and_no_list_names_it(flannel, program, installed):
    if installed:
        apply(flannel, state())
    flannel.files[PROGRAM] = (program, 0o700)
    apply(flannel, state())
    assert flannel.files[PROGRAM] == (program, 0o700)
    assert flannel.files[LIST] == (FLANNEL.encode(), 0o644)
    facts = observe(flannel, follow=["kubernetes"])
    assert facts["follow_problem"] == f"{PROGRAM}: is not the program of this collection; remove or rename it"
    assert facts["drift"] == []
    watch(flannel)
    assert flannel.files[LIST] == (FLANNEL.encode(), 0o644)
    remove(flannel)
    assert flannel.files[PROGRAM] == (program, 0o700)


def test_a_foreign_program_in_a_folder_that_is_not_used_does_no_harm(flannel):
    other = f"/usr/lib/cni/{TYPE}"
    flannel.files[other] = (b"#!/bin/sh\n", 0o755)
    apply(flannel, state())
    assert flannel.files[LIST][0].decode() == with_entry(FLANNEL, "")
    remove(flannel)
    assert flannel.files[other] == (b"#!/bin/sh\n", 0o755)
    assert PROGRAM not in flannel.files


def test_removal_without_a_record(flannel):
    apply(flannel, state())
    flannel.remove_record()
    remove(flannel)
    assert flannel.files[LIST][0].decode() == FLANNEL
    assert PROGRAM not in flannel.files


def test_the_runtime_uses_another_list_now(flannel):
    apply(flannel, state())
    other = "/etc/cni/net.d/05-calico.conflist"
    flannel.files[other] = (FLANNEL.replace('"flannel"', '"calico"').encode(), 0o644)
    flannel.files["/usr/lib/cni/calico"] = (b"", 0o755)
    apply(flannel, state())
    assert flannel.files[LIST][0].decode() == FLANNEL
    assert TYPE in flannel.files[other][0].decode()
    assert {path for path in flannel.files if path.endswith(TYPE)} == {f"/usr/lib/cni/{TYPE}"}


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({}, "/etc/cni/net.d: has no list of network plugins"),
        (
            {"/etc/cni/net.d/00-multus.conf": "{}"},
            "/etc/cni/net.d/00-multus.conf: is used by the runtime, and is not a list of plugins (.conflist)",
        ),
        ({LIST: "{"}, f"{LIST}: is not a list of network plugins"),
        ({LIST: FLANNEL}, f"{LIST}: the program of flannel is in none of /opt/cni/bin, /usr/lib/cni, /usr/libexec/cni"),
    ],
)
def test_a_node_whose_list_cannot_have_the_plugin(kernel, files, problem):
    """Its egress IPs work, and the run reports it."""
    kernel.files.update({path: (text.encode(), 0o644) for path, text in files.items()})
    before = {path: kernel.files[path] for path in files}
    assert apply(kernel, state())["changed"]
    assert {path: kernel.files[path] for path in files} == before
    facts = observe(kernel, follow=["kubernetes"])
    assert (facts["follow_problem"], facts["drift"]) == (problem, [])
    assert observe(kernel)["follow_problem"] == ""
