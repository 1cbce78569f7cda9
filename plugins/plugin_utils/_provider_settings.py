# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of providers. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ansible_collections.netops.egress_ip.plugins.module_utils._provider import contract
from ansible_collections.netops.egress_ip.plugins.plugin_utils import _setting_types as types
from ansible_collections.netops.egress_ip.plugins.plugin_utils._setting import BOOLEAN, SECRET, TEXT, Setting

_TYPES = {
    contract.TEXT: TEXT,
    contract.SECRET: SECRET,
    contract.BOOLEAN: BOOLEAN,
    contract.POSITIVE: Setting(types.integer(1)),
    contract.STRUCTURE: Setting(types.mapping_or_list, is_yaml=True),
}


def fleet_settings(providers: Iterable[contract.Provider]) -> dict[str, Setting]:
    """Return {name without the prefix: Setting} of the settings that are the same on all nodes."""
    return {name: setting for each in providers for name, setting in _settings(each.name, each.fleet_settings)}


def host_settings(providers: Iterable[contract.Provider]) -> dict[str, Setting]:
    """Return {name without the prefix: Setting} of the settings that hosts may have different values of."""
    return {name: setting for each in providers for name, setting in _settings(each.name, each.host_settings)}


def _settings(provider: str, described: contract.Settings) -> Iterator[tuple[str, Setting]]:
    for name, kind in described.items():
        yield f"{provider}_{name}", _TYPES[kind] if isinstance(kind, str) else Setting(types.choice(*kind))
