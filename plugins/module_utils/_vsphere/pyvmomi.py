# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The import of pyVmomi. PRIVATE to the collection."""

from __future__ import annotations

import traceback
from typing import Any

PYVMOMI_ERROR: str | None = None
# Any: pyVmomi makes its classes at run time, and its stubs are incomplete.
_connect: Any = None
_types: Any = None
try:
    import pyVim.connect
    import pyVmomi
except ImportError:
    # `module.finish` reports it, before anything here is used.
    PYVMOMI_ERROR = traceback.format_exc()
else:
    _connect, _types = pyVim.connect, pyVmomi

Disconnect: Any = getattr(_connect, "Disconnect", None)
SoapStubAdapter: Any = getattr(_types, "SoapStubAdapter", None)
vim: Any = getattr(_types, "vim", None)
vmodl: Any = getattr(_types, "vmodl", None)

__all__ = ["PYVMOMI_ERROR", "Disconnect", "SoapStubAdapter", "vim", "vmodl"]
