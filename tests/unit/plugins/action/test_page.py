# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of the page: where they go, when they change, who can read them."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
import yaml
from ansible.errors import AnsibleActionFail
from controller_actions import run_action

RUN = yaml.safe_load((Path(__file__).parents[2] / "golden/picture/planned/run.yml").read_text())


def write(path, check_mode=False, **options):
    return run_action("page", {"egress_ip_plan": RUN}, check_mode, path=str(path), **options)


def test_check_apply_again_and_check(tmp_path):
    path, data = tmp_path / "fleet.html", tmp_path / "fleet.json"
    assert write(path, check_mode=True)["changed"]
    assert list(tmp_path.iterdir()) == []
    assert write(path) == {"changed": True, "files": [str(path), str(data)]}
    before = [each.stat().st_mtime_ns for each in (path, data)]
    assert not write(path)["changed"]
    assert not write(path, check_mode=True)["changed"]
    assert [each.stat().st_mtime_ns for each in (path, data)] == before
    assert write(path, planned=True)["changed"]
    assert json.loads(data.read_text())["planned"] is True
    assert path.read_text().startswith("<!DOCTYPE html>")
    assert {stat.S_IMODE(each.stat().st_mode) for each in tmp_path.iterdir()} == {0o600}
    assert sorted(tmp_path.iterdir()) == [path, data]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fleet.txt", "must be the name of a file that ends in .html, not '{}'"),
        ("none/fleet.html", "the folder '{}' does not exist; create it"),
        ("folder.html", "cannot be written: "),
    ],
)
def test_a_path_that_cannot_be_written(tmp_path, monkeypatch, name, message):
    # A message shows a long path in part only.
    monkeypatch.chdir(tmp_path)
    Path("folder.html").mkdir()
    path = Path(name)
    expected = message.format(path.parent if "folder" in message else path)
    with pytest.raises(AnsibleActionFail) as caught:
        write(path)
    assert str(caught.value).startswith(f"egress_ip_report_html: {expected}")
    assert [each.name for each in tmp_path.iterdir()] == ["folder.html"]
