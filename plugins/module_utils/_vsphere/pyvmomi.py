# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pyvmomi, or what to say of its absence. PRIVATE to the collection. Only the `_vsphere` files of the client use it."""

from __future__ import annotations

import traceback

try:
    from pyVim.connect import Disconnect
    from pyVmomi import SoapStubAdapter, vim, vmodl
except ImportError:
    # The module says so in Ansible's own words, before anything here is used.
    PYVMOMI_ERROR = traceback.format_exc()
    Disconnect = SoapStubAdapter = vim = vmodl = None
else:
    PYVMOMI_ERROR = None

__all__ = ["PYVMOMI_ERROR", "Disconnect", "SoapStubAdapter", "vim", "vmodl"]
