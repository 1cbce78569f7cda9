# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The contract between a provider, its role, and the tasks of a run; every provider of the list keeps it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from ansible_collections.netops.egress_ip.plugins.module_utils._provider.contract import ProviderHost
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.providers import FENCES, PROVIDERS

ROOT = Path(__file__).resolve().parents[5]
HOSTS = [ProviderHost("node1", "uuid-1", ["00:50:56:00:01:01"], {}), ProviderHost("node2", None, [], {})]
ACTION_GROUPS = yaml.safe_load((ROOT / "meta/runtime.yml").read_text(encoding="utf-8"))["action_groups"]
FLEET = {"nodes": [], "eligible": [], "observed": {}, "current": [], "unavailable": [], "recalled": {}}
# What the module of a provider may return when the platform does not answer, or was not asked.
NO_ANSWERS = [{"failed": True, "msg": "timed out"}, {"skipped": True}, {"unreachable": True, "msg": "lost"}]
all_providers = pytest.mark.parametrize("provider", PROVIDERS.values(), ids=PROVIDERS)


def role_of(provider, file):
    return yaml.safe_load((ROOT / "roles" / provider.name / file).read_text(encoding="utf-8"))


def defaults_of(provider):
    return role_of(provider, "defaults/main.yml")


def query_of(provider):
    hosts = [host._replace(variables=dict.fromkeys(provider.variables)) for host in HOSTS]
    return {**provider.query(hosts), "name": provider.name, "egress_ips": ["10.0.0.1"], "required": False}


def settings_in(provider):
    """Return the settings that the role gives to the module `audit`, with the defaults of the role."""
    (task,) = (each for each in role_of(provider, "tasks/audit.yml") if "netops.egress_ip.audit" in each)
    texts = task["netops.egress_ip.audit"]["settings"].items()
    names = {key: re.search(r"common\.(\w+)", text)[1] for key, text in texts}
    return {key: defaults_of(provider)[f"egress_ip_{name}"] for key, name in names.items()}


@all_providers
def test_a_provider_has_a_role_with_its_tasks(provider):
    role = ROOT / "roles" / provider.name
    entries = {"audit", "change"} | ({"fence", "unfence"} if provider.name in FENCES else set())
    assert entries <= {path.stem for path in (role / "tasks").glob("*.yml")}
    assert entries <= role_of(provider, "meta/argument_specs.yml")["argument_specs"].keys()
    assert (ROOT / f"plugins/modules/{provider.module}.py").is_file()


@all_providers
def test_its_modules_are_an_action_group_with_common_options(provider):
    modules = sorted((ROOT / "plugins/modules").glob(f"{provider.name}_*.py"))
    assert ACTION_GROUPS[provider.name] == [path.stem for path in modules]
    for path in modules:
        documentation = yaml.safe_load(path.read_text(encoding="utf-8").split('r"""', 1)[1].partition('"""')[0])
        assert f"netops.egress_ip.{provider.name}" in documentation["extends_documentation_fragment"], path


def test_an_action_group_has_a_provider():
    assert {*ACTION_GROUPS} == {*PROVIDERS}
    modules = (ROOT / "plugins/modules").glob("*.py")
    of_others = [path for path in modules if path.stem.partition("_")[0] not in PROVIDERS]
    fragments = [f"- netops.egress_ip.{name}\n" for name in PROVIDERS]
    assert [path for path in of_others if any(each in path.read_text(encoding="utf-8") for each in fragments)] == []


@all_providers
def test_its_variables_exist(provider):
    documented = (ROOT / "docs/variables.md").read_text(encoding="utf-8")
    assert {*provider.options.values()} <= defaults_of(provider).keys()
    assert [name for name in provider.variables if f"`{name}`" not in documented] == []


@all_providers
def test_a_query_has_a_node_for_each_host(provider):
    assert [node["name"] for node in query_of(provider)["nodes"]] == ["node1", "node2"]


@all_providers
@pytest.mark.parametrize("answer", NO_ANSWERS)
def test_a_platform_without_an_answer_neither_fences_nor_changes(provider, answer):
    audit = provider.audit(query_of(provider), answer, settings_in(provider))
    assert {"nodes", "fenced", "proven", "labels", "failures"} <= audit.keys()
    assert (audit["fenced"], audit["proven"], audit["labels"]) == ({}, [], {})
    assert provider.changes(audit, FLEET) == {"open": [], "close": [], "notes": []}


@all_providers
def test_the_role_registers_the_answer_under_the_name_of_the_module(provider):
    asking = [task for task in role_of(provider, "tasks/audit.yml") if f"netops.egress_ip.{provider.module}" in task]
    assert [task["register"] for task in asking] == [f"egress_ip_{provider.module}"]
    assert [task["ignore_errors"] for task in asking] == [True]


@all_providers
def test_failed_changes_are_kept_for_the_report(provider):
    entries = ["change", *(["unfence"] if provider.name in FENCES else [])]
    for entry in entries:
        *_tasks, last = role_of(provider, f"tasks/{entry}.yml")
        kept = last["ansible.builtin.set_fact"]["__egress_ip_platform_results"]
        assert f"'platform': '{provider.name}'" in kept
