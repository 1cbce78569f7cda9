# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fields of an answer that are JSON texts. PRIVATE. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping

# Fields of a result of `node_info` that are JSON texts, and which no task after the plan needs.
TEXTS = ("nodes", "containers")


def with_texts(facts: Mapping[str, object]) -> dict[str, object]:
    """Return facts in which the fields TEXTS are JSON texts.

    Ansible checks and copies an answer value by value. In a fleet of 300 nodes the records of other nodes have 90,000
    entries.
    """
    texts = {name: json.dumps(facts[name], separators=(",", ":")) for name in TEXTS if name in facts}
    return {**facts, **texts}
