# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The versions of the matrix, and the home folder that ansible-test of each of them needs."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests/ci"))

import ansible_test_home  # noqa: E402
import matrix  # noqa: E402


def test_rows_have_a_version_of_ansible_core_and_its_pythons():
    (row,) = matrix.rows("# a comment\n2.20.10 3.12 3.13\n\n")
    assert (row.core, row.minor, row.pythons) == ("2.20.10", "2.20", ("3.12", "3.13"))


def test_the_oldest_row_is_the_version_of_all_other_checks():
    assert f"ansible-core=={matrix.rows()[0].core}" == matrix.pins()["ansible-core"]


def test_the_collection_requires_the_oldest_row():
    runtime = (ROOT / "meta/runtime.yml").read_text(encoding="utf-8")
    assert f"requires_ansible: '>={matrix.rows()[0].minor}.0'" in runtime


def test_the_readme_names_all_versions():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [row.core for row in matrix.rows() if row.core not in readme] == []


def test_the_guide_names_each_kind_of_session():
    (kinds,) = re.findall(
        r"^    for kind in \((.+)\):$", (ROOT / "noxfile.py").read_text(encoding="utf-8"), re.MULTILINE
    )
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)-2\.21-3\.13` \|", guide, re.MULTILINE)) == {*kinds.split(", ")}


def test_requirements_take_the_version_of_a_tool_from_its_one_place():
    assert matrix.requirements("2.20.10", ["pytest"]) == ["ansible-core==2.20.10", matrix.pins()["pytest"]]
    with pytest.raises(KeyError, match="unknown"):
        matrix.requirements("2.20.10", ["unknown"])


def test_the_tools_of_the_sessions_have_a_version():
    assert {*matrix.UNIT_TOOLS, *matrix.SANITY_TOOLS} - matrix.pins().keys() == set()


def test_the_quick_tests_exist():
    assert [name for name in matrix.QUICK_TESTS if not (ROOT / name).exists()] == []


def ansible_test(venv, text):
    """Make a virtual environment with a file of ansible-test; return it."""
    pins = venv / "lib/python3.13/site-packages" / ansible_test_home.PINS
    pins.parent.mkdir(parents=True)
    pins.write_text(text, encoding="utf-8")
    return venv


def test_the_home_has_pip_under_the_name_that_ansible_test_looks_for(tmp_path):
    venv = ansible_test(tmp_path / "venv", "default_packages = dict(\n    pip='25.2',\n)\n")
    home = ansible_test_home.make_home(tmp_path / "home", venv)
    cached = home / ".ansible/test/cache/get_pip_25_2.py"
    assert cached.read_bytes() == ansible_test_home.GET_PIP.read_bytes()


def test_the_release_of_a_package_stands_for_an_archive_of_a_site(tmp_path):
    venv = ansible_test(tmp_path / "venv", "pip='25.2'")
    file = venv / "lib/python3.13/site-packages/ansible_test/_data/requirements/sanity.pylint.txt"
    file.parent.mkdir(parents=True)
    file.write_text("# a\npylint==4.0.8\ndill @ https://forge.example/0123.zip#sha256=4567\n", encoding="utf-8")
    ansible_test_home.make_home(tmp_path / "home", venv)
    assert file.read_text(encoding="utf-8") == "# a\npylint==4.0.8\ndill\n"


def test_the_home_is_found_from_any_folder(tmp_path, monkeypatch):
    """nox gives a relative path, and ansible-test runs in the copy of the collection."""
    monkeypatch.chdir(tmp_path)
    venv = ansible_test(tmp_path / "venv", "pip='25.2'")
    assert ansible_test_home.make_home(Path("home"), venv) == tmp_path / "home"


def test_an_unknown_ansible_test_is_a_clear_error(tmp_path):
    with pytest.raises(LookupError, match="names no version of pip"):
        ansible_test_home.make_home(tmp_path / "home", ansible_test(tmp_path / "venv", "nothing"))
