# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fence that cannot work is an error in every run, not only when it is needed."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.action.steps import check_fence_files
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import InventoryError


def test_a_missing_file_of_a_fence(tmp_path):
    path = tmp_path / "redfish.yml"
    with pytest.raises(InventoryError, match=rf"^node3: egress_ip_fence: must be an existing file, not '{path}'$"):
        check_fence_files({"node3": str(path)})
    path.write_text("[]")
    check_fence_files({"node3": str(path)})


@pytest.mark.parametrize("fence", [None, "", "vsphere"])
def test_fences_without_a_file(fence):
    check_fence_files({"node3": fence})
