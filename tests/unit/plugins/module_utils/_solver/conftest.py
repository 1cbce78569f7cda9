# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of the solver share."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._solver import mixed_integer


@pytest.fixture
def own_search(monkeypatch):
    """The solver without scipy, as on a controller that does not have it."""
    monkeypatch.setattr(mixed_integer, "_library", lambda: None)
