# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes of the files of engines: their order, and what a caller learns of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._node.engine_changes import (
    OWN_LINE,
    EngineChanges,
    FileChange,
    change_engines,
    file_change,
    launcher,
)

LIST, OLD, NEW = Path("/etc/cni/net.d/10-a.conflist"), Path("/opt/cni/bin/old"), Path("/opt/cni/bin/new")


def test_no_list_ever_names_a_program_that_is_missing(kernel):
    kernel.files.update({str(LIST): (b"old", 0o644), str(OLD): (f"#!\n{OWN_LINE}\n".encode(), 0o755)})
    lists = (FileChange(LIST, "old", "new", True),)
    changes = EngineChanges(lists, (*file_change(kernel, OLD, None, 0o755), *file_change(kernel, NEW, "y", 0o755)))
    assert (changes.added, changes.missing, changes.removed) == ([LIST, NEW], [NEW], [OLD])
    kernel.log.clear()
    change_engines(kernel, changes)
    assert kernel.log == [("file", str(NEW)), ("list", str(LIST)), ("remove", str(OLD))]
    assert kernel.files[str(NEW)] == (b"y", 0o755)


@pytest.mark.parametrize(("present", "wanted"), [(None, None), (b"x", "x"), (b"x", "y"), (b"x", None)])
def test_a_file_that_is_as_it_should_be_or_belongs_to_another(kernel, present, wanted):
    if present:
        kernel.files[str(NEW)] = (present, 0o755)
    assert file_change(kernel, NEW, wanted, 0o755) == []


def test_the_launcher_is_python():
    compile(launcher("cni", "os.environ"), "launcher", "exec")
