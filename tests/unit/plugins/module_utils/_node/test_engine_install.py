# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engines of a node together."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.hook_files import DEFAULT_FOLDER, HookFolders
from ansible_collections.netops.egress_ip.plugins.module_utils._node.engine_install import engine_changes

LIST = Path("/etc/cni/net.d/10-pods.conflist")
TEXT = b'{"cniVersion": "1.0.0", "name": "pods", "plugins": [{"type": "bridge"}]}'


def test_each_engine_has_its_own_files(kernel):
    kernel.hooks = HookFolders((DEFAULT_FOLDER,), (DEFAULT_FOLDER,))
    kernel.files.update({str(LIST): (TEXT, 0o644), "/opt/cni/bin/bridge": (b"", 0o755)})
    plugin, hook = Path("/opt/cni/bin/netops-egress-ip"), DEFAULT_FOLDER / "netops-egress-ip.json"
    assert engine_changes(kernel, ()).added == []
    assert engine_changes(kernel, ["kubernetes"]).added == [LIST, plugin]
    assert engine_changes(kernel, ["podman"]).added == [hook]
    both = engine_changes(kernel, ["kubernetes", "podman"])
    assert (both.added, both.missing, both.problem) == ([LIST, plugin, hook], [plugin, hook], "")


def test_the_problems_of_both(kernel):
    kernel.hooks = HookFolders((), (), "no folder")
    assert engine_changes(kernel, ["kubernetes", "podman"]).problem == (
        "/etc/cni/net.d: has no list of network plugins; no folder"
    )
