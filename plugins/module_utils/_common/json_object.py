# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A JSON object in a text that may be anything else. PRIVATE to the collection. Pure.

The program that starts with each pod uses it: it imports nothing else, since imports take most of the time of such a
start.
"""

from __future__ import annotations

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def json_object(text: str | bytes) -> dict[str, Any] | None:
    """Return the JSON object in a text, None if the text is something else."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
