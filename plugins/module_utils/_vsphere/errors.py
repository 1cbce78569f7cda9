# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The errors of requests to a vCenter. PRIVATE to the collection."""

from __future__ import annotations

from .._common.errors import EgressIPError


class VsphereError(EgressIPError):
    """A vCenter cannot be reached, or a request to it failed."""


class VsphereInterruptedError(VsphereError):
    """The response was lost or the object changed concurrently: read the state and decide again."""
