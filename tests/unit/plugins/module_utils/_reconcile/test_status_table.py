# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of `status`: golden/status_table/CASE holds run.yml (of a RunPlan), status.txt and failures.yml."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.picture import picture
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.status_table import status_table


@pytest.mark.golden("status_table")
def test_status_table(golden):
    (run,) = golden["run"]
    lines, failures = status_table(picture(run, planned=False), run["fleet"])
    golden.check("status.txt", "\n".join([*lines, ""]))
    golden.check("failures.yml", failures)
