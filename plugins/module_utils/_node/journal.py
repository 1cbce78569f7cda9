# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lines of the units in the journal of a node. PRIVATE to the collection."""

from __future__ import annotations

import sys


def log(text: str) -> None:
    """Write a line, which systemd puts into the journal."""
    sys.stderr.write(f"netops.egress_ip: {text}\n")
