# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How even a load is."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._analysis.evenness import Evenness, evenness_of


@pytest.mark.parametrize(
    ("load", "usable", "spread"),
    [
        ({}, [], Evenness(0, 0, 0)),
        ({"n1": 3, "n2": 1}, ["n1", "n2"], Evenness(10, 3, 1)),
        ({"n1": 3, "n2": 0, "n3": 2}, ["n1", "n3"], Evenness(13, 3, 2)),
        ({"n1": 3}, ["n9"], Evenness(9, 0, 0)),
    ],
)
def test_spread_of(load, usable, spread):
    """The sum counts all nodes; the highest and the lowest load are of those that may hold something."""
    assert evenness_of(load, usable) == spread
