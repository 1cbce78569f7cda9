# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The errors of requests to a vCenter."""

from __future__ import annotations

from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import Errors
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.errors import (
    VsphereError,
    VsphereInterruptedError,
)


def fail(error):
    """Raise ``error``."""
    raise error


def test_the_failures_of_several_vms_are_shown_together():
    errors = Errors()
    for error in (VsphereError("vms[0]: is missing"), VsphereInterruptedError("vms[1]: was changed")):
        assert errors.attempt(fail, error) is None
    assert errors.found == ("vms[0]: is missing", "vms[1]: was changed")
