# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A home folder for ansible-test, so that it works wherever pip works.

ansible-test makes virtual environments of its own. It fetches get-pip.py from a site of its own and hides the caller's
environment from pip: in this home it finds our get_pip.py as if fetched before, and pip's settings in a file. Where it
names an archive of a site, pip gets the release of the package instead.
"""

from __future__ import annotations

import ast
import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path

# Where ansible-test keeps what it fetches, by the version of pip that it names in this file.
CACHED_GET_PIP = ".ansible/test/cache/get_pip_{version}.py"
PINS = "ansible_test/_internal/python_requirements.py"
REQUIREMENTS = "ansible_test/_data/requirements/*.txt"
# ansible-core 2.22.0rc1 names a commit of dill, for pylint.
ARCHIVE = re.compile(r"^(?P<package>[\w.-]+) @ https?://\S+$", re.MULTILINE)
PIP = re.compile(r"\bpip='([\d.]+)'")
GET_PIP = Path(__file__).with_name("get_pip.py")


def pip_settings() -> dict[str, str]:
    """The settings that pip has here, whether from files or from the environment."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    ).stdout
    pairs = [line.split("=", 1) for line in listed.splitlines() if "=" in line]
    settings: dict[str, str] = {}
    # The environment comes last, because it wins.
    for key, value in sorted(pairs, key=lambda pair: pair[0].startswith(":env:")):
        section, _dot, name = key.rpartition(".")
        if section in ("global", "install", ":env:"):
            settings[name] = ast.literal_eval(value)
    return settings


def pip_versions(venv: Path) -> list[str]:
    """The versions of pip that ansible-test of a virtual environment fetches. Raises LookupError if it names none."""
    files = venv.glob(f"lib/python*/site-packages/{PINS}")
    found = sorted({version for path in files for version in PIP.findall(path.read_text(encoding="utf-8"))})
    if not found:
        raise LookupError(f"{venv}: {PINS} names no version of pip; ansible-test has changed")
    return found


def use_releases(venv: Path) -> None:
    """Let ansible-test of a virtual environment install the release of a package instead of an archive of a site."""
    for path in venv.glob(f"lib/python*/site-packages/{REQUIREMENTS}"):
        text = path.read_text(encoding="utf-8")
        changed = ARCHIVE.sub(r"\g<package>", text)
        if changed != text:
            path.write_text(changed, encoding="utf-8")


def make_home(home: Path, venv: Path) -> Path:
    """Make or refresh the folder for ansible-test of a virtual environment; returns its absolute path."""
    # ansible-test runs in another folder.
    home = home.resolve()
    for version in pip_versions(venv):
        cached = home / CACHED_GET_PIP.format(version=version.replace(".", "_"))
        cached.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(GET_PIP, cached)
    use_releases(venv)
    parser = configparser.RawConfigParser()
    parser["global"] = {**pip_settings(), "quiet": "2"}
    configuration = home / ".config/pip/pip.conf"
    configuration.parent.mkdir(parents=True, exist_ok=True)
    configuration.touch(mode=0o600)
    with configuration.open("w", encoding="utf-8") as file:
        parser.write(file)
    return home
