# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The import of netaddr, a requirement of the controller and never of a node. PRIVATE to the collection."""

from __future__ import annotations

from typing import Any

# Any: the collection's other parts load these names without netaddr too.
_library: Any = None
try:
    import netaddr
except ImportError:
    pass  # The first use reports it.
else:
    _library = netaddr

MISSING = "needs the Python package netaddr on the controller; install it: python3 -m pip install netaddr"

AddrFormatError: Any = getattr(_library, "AddrFormatError", None)
EUI: Any = getattr(_library, "EUI", None)
IPRange: Any = getattr(_library, "IPRange", None)
IPSet: Any = getattr(_library, "IPSet", None)
NotRegisteredError: Any = getattr(_library, "NotRegisteredError", None)

__all__ = ["EUI", "MISSING", "AddrFormatError", "IPRange", "IPSet", "NotRegisteredError"]
