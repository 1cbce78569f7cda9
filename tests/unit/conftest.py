# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all unit tests share: the hypothesis profiles and the golden folders."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

import hypothesis
import pytest
import yaml

# On a busy machine, values are made slowly.
SLOW = hypothesis.HealthCheck.too_slow
hypothesis.settings.register_profile("ci", derandomize=True, deadline=None, database=None, suppress_health_check=[SLOW])
hypothesis.settings.register_profile("explore", deadline=None, max_examples=2000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_configure(config):
    """Declare the marker ``golden(area)``."""
    config.addinivalue_line("markers", "golden(area): run once for each folder of golden/AREA, which `golden` reads")


def pytest_unconfigure():
    """End the processes that fork for runs of playbooks; a worker of xdist may leave none behind."""
    if "forked_ansible" in sys.modules:
        sys.modules["forked_ansible"].stop()


def pytest_addoption(parser):
    """Declare the option that writes what tests compute into the golden folders, to be read before it is committed."""
    parser.addoption("--update-golden", action="store_true", help="write golden files instead of comparing with them")


class Golden(dict):
    """The files of one golden folder: {stem of a .yml: list of documents, name of any other: text}."""

    def __init__(self, folder, update):
        super().__init__({p.name: p.read_text() for p in sorted(folder.iterdir()) if p.suffix != ".yml"})
        self.update({p.stem: list(yaml.safe_load_all(p.read_text())) for p in sorted(folder.glob("*.yml"))})
        self._folder, self._writes = folder, update

    def check(self, name, value):
        """Compare `value` with the file, or write it there with --update-golden: a document to a .yml, else a text."""
        path = self._folder / name
        if self._writes:
            path.write_text(_dump(value) if path.suffix == ".yml" else value)
            return
        assert value == (self[path.stem][0] if path.suffix == ".yml" else self[name])


def _dump(document):
    dumper = type("Dumper", (yaml.SafeDumper,), {"ignore_aliases": lambda *_arguments: True})
    return yaml.dump(document, Dumper=dumper, sort_keys=False, width=120)


@pytest.fixture(autouse=True)
def no_deprecation(monkeypatch):
    """Fail a test in which ansible-core warns that a feature will be removed."""
    # A test that has not imported Ansible by now does without it, and need not wait for it.
    if "ansible" not in sys.modules:
        yield
        return
    display = importlib.import_module("ansible.utils.display")
    shown, original = [], display.Display.display

    def note(self, msg, *arguments, **options):
        if "DEPRECATION WARNING" in str(msg):
            shown.append(str(msg))
        return original(self, msg, *arguments, **options)

    monkeypatch.setattr(display.Display, "display", note)
    yield
    assert not shown


def pytest_generate_tests(metafunc):
    """Give a test that is marked ``golden(area)`` one case for each folder of golden/AREA."""
    marker = metafunc.definition.get_closest_marker("golden")
    if marker:
        area = Path(__file__).parent / "golden" / marker.args[0]
        folders = sorted(folder for folder in area.iterdir() if folder.is_dir())
        metafunc.parametrize("golden", folders, ids=[folder.name for folder in folders], indirect=True)


@pytest.fixture
def golden(request):
    """Return the `Golden` of one golden folder."""
    return Golden(request.param, request.config.getoption("--update-golden"))
