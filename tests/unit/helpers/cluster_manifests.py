# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of docs/kubernetes/, which a user applies to a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]
MANIFESTS = ROOT / "docs/kubernetes"


def documents_of(name: str) -> list[dict[str, Any]]:
    """Return the documents of a file."""
    return list(yaml.safe_load_all((MANIFESTS / name).read_text(encoding="utf-8")))


def rules_of(*names: str) -> list[dict[str, Any]]:
    """Return the rules of all roles in these files."""
    return [rule for name in names for document in documents_of(name) for rule in document.get("rules", ())]
