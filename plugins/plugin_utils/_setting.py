# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A setting: how its value is read. PRIVATE to the collection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import Errors
from ansible_collections.netops.egress_ip.plugins.plugin_utils import _setting_types as types
from ansible_collections.netops.egress_ip.plugins.plugin_utils._setting_types import Parser, is_unset


@dataclass(frozen=True)
class Setting:
    """A setting: its parser, and whether a text is YAML or JSON in any case, or only where it looks so."""

    parse: Parser
    is_yaml: bool = False
    may_be_yaml: bool = False

    def read(self, value: object, path: str, errors: Errors) -> Any:
        """Return the value with its type, None for a text that is null; adds errors."""
        before = len(errors.found)
        if isinstance(value, str) and (self.is_yaml or (self.may_be_yaml and types.is_structured(value))):
            documents = types.structure(value, path, errors)
            if len(documents) > 1:
                errors.add(path, f"must be one document of YAML or JSON, not {len(documents)}")
            value = next(iter(documents), None)
        return None if is_unset(value) or len(errors.found) > before else self.parse(value, path, errors)


TEXT, FILE, SECRET = Setting(types.text), Setting(types.file_name), Setting(types.secret)
BOOLEAN, NUMBER, COUNT = Setting(types.boolean), Setting(types.number), Setting(types.integer(0))
STRINGS = Setting(types.strings, may_be_yaml=True)
MAPPING = Setting(types.mapping, is_yaml=True)
