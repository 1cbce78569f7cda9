# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture of a fleet: golden/picture/CASE holds run.yml (of a RunPlan) and picture.yml, planned or as observed."""

from __future__ import annotations

import copy

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.picture import picture


@pytest.mark.golden("picture")
def test_picture(golden, request):
    (run,) = golden["run"]
    before = copy.deepcopy(run)
    made = picture(run, planned="planned" in request.node.callspec.id)
    assert run == before
    golden.check("picture.yml", made)
