# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all unit tests share: the hypothesis profiles and the golden folders."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest
import yaml

hypothesis.settings.register_profile("ci", derandomize=True, deadline=None, database=None)
hypothesis.settings.register_profile("explore", deadline=None, max_examples=2000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_configure(config):
    """Declare the marker ``golden(area)``."""
    config.addinivalue_line("markers", "golden(area): run once for each folder of golden/AREA, which `golden` reads")


def pytest_generate_tests(metafunc):
    """Give a test that is marked ``golden(area)`` one case for each folder of golden/AREA beside it."""
    marker = metafunc.definition.get_closest_marker("golden")
    if marker:
        area = Path(metafunc.module.__file__).parent / "golden" / marker.args[0]
        folders = sorted(folder for folder in area.iterdir() if folder.is_dir())
        metafunc.parametrize("golden", folders, ids=[folder.name for folder in folders], indirect=True)


@pytest.fixture
def golden(request):
    """Return the YAML files of one golden folder as {stem: list of documents}."""
    return {path.stem: list(yaml.safe_load_all(path.read_text())) for path in sorted(request.param.glob("*.yml"))}
