# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The folders of OCI hooks, by what the configuration of engines has."""

from __future__ import annotations

import os

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import container_networks, hook_files
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.hook_files import hook_folders

REASON = "does not exist or is read-only; create this folder"


@pytest.fixture(autouse=True)
def root(monkeypatch, tmp_path):
    """A host in a temporary folder, where all paths begin."""
    monkeypatch.setattr(hook_files, "DEFAULT_FOLDER", tmp_path / "usr/hooks.d")
    monkeypatch.setattr(hook_files, "_OTHER_FOLDER", tmp_path / "etc/hooks.d")
    monkeypatch.setattr(
        hook_files,
        "PODMAN_FILES",
        (tmp_path / "usr/containers.conf", tmp_path / "containers.conf", tmp_path / "podman.d"),
    )
    monkeypatch.setattr(hook_files, "CRIO_FILES", (tmp_path / "crio.conf", tmp_path / "crio.d"))
    monkeypatch.setattr(hook_files, "PODMAN_PROGRAM", tmp_path / "podman")
    monkeypatch.setattr(container_networks, "PODMAN_DATA", (tmp_path / "libpod", tmp_path / "db.sql"))
    return tmp_path


def folders(root, *names):
    for name in names:
        (root / name).mkdir(parents=True)
    return tuple(root / name for name in names)


def test_the_folder_that_engines_read_without_a_setting(root):
    (usual,) = folders(root, "usr/hooks.d")
    assert hook_folders() == ((usual,), (usual, root / "etc/hooks.d"), "")


def test_no_folder(root):
    used, known, problem = hook_folders()
    assert used == ()
    assert known == (root / "usr/hooks.d", root / "etc/hooks.d")
    assert problem == f"{root}/usr/hooks.d: {REASON}, or name another one in hooks_dir of containers.conf"


def test_the_last_setting_counts_and_the_last_folder_of_it_that_exists(root):
    first, second, _third = folders(root, "a", "b", "c")
    (root / "containers.conf").write_text(f'[engine]\nhooks_dir = ["{root}/c"]\n')
    folders(root, "podman.d")
    folder_list = f'  "{first}", # the first\n  # "{root}/c",\n  \'{second}\',\n  "{root}/d",\n'
    (root / "podman.d/50-hooks.conf").write_text(f'#hooks_dir = ["/x"]\nhooks_dir = [\n{folder_list}]\n')
    (root / "podman.d/60-other.conf").write_text('[network]\nnetwork_backend = "netavark"\n')
    (root / "podman.d/ignored.txt").write_text('hooks_dir = ["/x"]\n')
    used, known, problem = hook_folders()
    assert (used, problem) == ((second,), "")
    assert known == (root / "usr/hooks.d", root / "etc/hooks.d", first, second, root / "d")


def test_cri_o_beside_podman(root):
    usual, own = folders(root, "usr/hooks.d", "crio")
    (root / "containers.conf").touch()
    (root / "crio.conf").write_text(f'[crio.runtime]\nhooks_dir = ["{own}"]\n')
    assert hook_folders().used == (usual, own)
    own.rmdir()
    used, _known, problem = hook_folders()
    assert used == (usual,)
    assert problem == f"{own}: {REASON}, or name another one in hooks_dir of crio.conf"
    (root / "crio.conf").write_text("[crio.runtime]\n")
    assert hook_folders() == ((usual,), (usual, root / "etc/hooks.d"), "")


def test_cri_o_without_podman(root):
    """Podman's folder does not matter."""
    (own,) = folders(root, "crio")
    (root / "crio.conf").write_text(f'hooks_dir = ["{own}"]\n')
    assert hook_folders() == ((own,), (root / "usr/hooks.d", root / "etc/hooks.d", own), "")


@pytest.mark.parametrize("name", ["podman", "libpod", "db.sql", "usr/containers.conf", "containers.conf", "podman.d"])
def test_podman_beside_cri_o_is_found(root, name):
    folders(root, "usr", "crio")
    (root / name).touch()
    (root / "crio.conf").write_text(f'hooks_dir = ["{root}/crio"]\n')
    assert "hooks_dir of containers.conf" in hook_folders().problem


@pytest.mark.parametrize(
    "text", ["", "hooks_dir = []", "hooks_dir = [", 'hooks_dir = "/x"', 'hooks_dir = ["x"]', "\0\xff"]
)
def test_a_setting_without_a_folder(root, text):
    (usual,) = folders(root, "usr/hooks.d")
    (root / "containers.conf").write_bytes(text.encode("latin1"))
    assert hook_folders().used == (usual,)


def test_something_else_than_a_file(root):
    (usual,) = folders(root, "usr/hooks.d")
    os.mkfifo(root / "containers.conf")
    assert hook_folders().used == (usual,)


def test_a_folder_of_a_read_only_file_system_is_not_used(root, monkeypatch):
    usual, own = folders(root, "usr/hooks.d", "own")
    (root / "containers.conf").write_text(f'hooks_dir = ["{own}", "{usual}"]\n')
    monkeypatch.setattr(os, "access", lambda path, _mode: path != usual)
    assert (hook_folders().used, hook_folders().problem) == ((own,), "")
