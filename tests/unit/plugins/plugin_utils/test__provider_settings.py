# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of a provider are the variables of its role."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import Errors
from ansible_collections.netops.egress_ip.plugins.module_utils._provider import contract
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.providers import PROVIDERS
from ansible_collections.netops.egress_ip.plugins.plugin_utils._provider_settings import fleet_settings, host_settings

ROLES = Path(__file__).resolve().parents[4] / "roles"
all_providers = pytest.mark.parametrize("provider", PROVIDERS.values(), ids=PROVIDERS)


@all_providers
def test_the_settings_are_the_variables_of_the_role(provider):
    names = [f"egress_ip_{name}" for name in (*fleet_settings([provider]), *host_settings([provider]))]
    assert sorted(names) == sorted(yaml.safe_load((ROLES / provider.name / "defaults/main.yml").read_text()))


@all_providers
def test_the_query_uses_settings_of_hosts(provider):
    assert {f"egress_ip_{name}" for name in host_settings([provider])} >= {*provider.variables}


@pytest.mark.parametrize(
    ("kind", "value", "read"),
    [
        (contract.TEXT, " a ", "a"),
        (contract.SECRET, " a ", " a "),
        (contract.BOOLEAN, "yes", True),
        (contract.POSITIVE, "443", 443),
        (contract.STRUCTURE, "{name: a}", {"name": "a"}),
        (("one", "two"), "two", "two"),
    ],
)
def test_a_type_of_a_setting_reads_a_text(kind, value, read):
    errors, (provider, *_others) = Errors(), PROVIDERS.values()
    of_host = contract.Provider(**{**vars(provider), "host_settings": {"new": kind}})
    ((name, setting),) = host_settings([of_host]).items()
    assert (name, setting.read(value, name, errors), errors.found) == (f"{provider.name}_new", read, ())
