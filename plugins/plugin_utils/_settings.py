# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of a run: all variables of the roles and playbooks, with their types. PRIVATE to the collection.

A run reads its variables here and nowhere else, so what is checked is what is used. Exceptions are the secrets, which
are checked here and are in no result, and `egress_ip_manifests`, which may have a hundred thousand documents.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from ansible_collections.netops.egress_ip.plugins.module_utils._common.addresses import canonical_address
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import Errors
from ansible_collections.netops.egress_ip.plugins.module_utils._common.messages import listed, type_name
from ansible_collections.netops.egress_ip.plugins.module_utils._common.validation import NO_MAPPING
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.failover import (
    LONGEST_AFTER,
    MOST_WITNESSES,
    SHORTEST_AFTER,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.followed_pods import (
    read_engines,
    read_kubeconfig,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.options import DataPlaneOptions, parse_integer
from ansible_collections.netops.egress_ip.plugins.module_utils._node.platform_detection import (
    check_platform,
    platform_rows,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.failover import AUTO
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.providers import PROVIDERS, SIGNS
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.rollout import parse_excluded
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.tunnel_keys import key_of
from ansible_collections.netops.egress_ip.plugins.plugin_utils import _setting_types as types
from ansible_collections.netops.egress_ip.plugins.plugin_utils._provider_settings import fleet_settings, host_settings
from ansible_collections.netops.egress_ip.plugins.plugin_utils._setting import (
    BOOLEAN,
    COUNT,
    FILE,
    MAPPING,
    NUMBER,
    SECRET,
    STRINGS,
    TEXT,
    Setting,
)
from ansible_collections.netops.egress_ip.plugins.plugin_utils._setting_types import is_unset

PREFIX = "egress_ip_"
# A line of a manifest or of a cluster, which no list of paths has.
_DOCUMENT = re.compile(r"^(apiVersion|kind|kubernetes):", re.MULTILINE)
# The most hosts that an error names.
_HOSTS_SHOWN = 3
_PLATFORMS = platform_rows(SIGNS)


def _platform(value: object, path: str, errors: Errors) -> str:
    errors.attempt(check_platform, str(value).strip(), _PLATFORMS)
    return str(value).strip()


def _after(value: object, path: str, errors: Errors) -> object:
    """Return seconds or `auto`."""
    if isinstance(value, str) and value.strip() == AUTO:
        return AUTO
    seconds = types.number(value, path, Errors())
    if not SHORTEST_AFTER <= seconds <= LONGEST_AFTER:
        limits = f"{SHORTEST_AFTER} to {LONGEST_AFTER:g}"
        errors.add(path, f"must be {AUTO} or a number of seconds from {limits}, not {type_name(value)}")
    return seconds


def _witnesses(value: object, path: str, errors: Errors) -> list[str]:
    """Return addresses of a list, or of a text with commas or lines."""
    texts = types.strings(value, path, errors)
    if len(texts) > MOST_WITNESSES:
        errors.add(path, f"must be at most {MOST_WITNESSES} addresses, not {len(texts)}")
    found = [errors.attempt(canonical_address, text, f"{path}[{index}]") for index, text in enumerate(texts)]
    return [address for address in found if address]


def _engines(value: object, path: str, errors: Errors) -> list[str]:
    return list(read_engines(types.strings(value, path, errors), path, errors))


def _kubeconfig(value: object, path: str, errors: Errors) -> str:
    return read_kubeconfig(value.strip() if isinstance(value, str) else value, path, errors)


# {name without the prefix: Setting}; the same on all nodes.
OF_FLEET: Mapping[str, Setting] = {
    "group": TEXT,
    "excluded_cidrs": STRINGS,
    "pools": MAPPING,
    "unassigned": Setting(types.choice("node", "drop")),
    "unknown_pods": Setting(types.choice("node", "drop")),
    "inbound": Setting(types.choice("accept", "drop")),
    "policy": Setting(types.choice("balanced", "sticky")),
    "max_moves": COUNT,
    "plan_seconds": NUMBER,
    "min_available": Setting(types.count_or_percentage),
    "strict": BOOLEAN,
    "failover": BOOLEAN,
    "failover_after": Setting(_after),
    "failover_witnesses": Setting(_witnesses, may_be_yaml=True),
    "failover_strict": BOOLEAN,
    "failover_unfenced": BOOLEAN,
    "drain_nodes": STRINGS,
    "drain_force": BOOLEAN,
    "forget_nodes": STRINGS,
    "price": BOOLEAN,
    "explain": TEXT,
    "what_if": MAPPING,
    "headroom": BOOLEAN,
    "headroom_label": TEXT,
    "report_html": FILE,
    "status_documents": BOOLEAN,
    "plan_digest": TEXT,
    "fail_on_changes": BOOLEAN,
    "write_status": BOOLEAN,
    "claim_timeout": NUMBER,
    "probe_count": Setting(types.integer(1)),
    "probe_interval": NUMBER,
    "answer_timeout": Setting(types.integer(1)),
    "tunnel_device": TEXT,
    "tunnel_port": COUNT,
    "tunnel_vni": COUNT,
    "tunnel_encryption": Setting(types.choice("none", "ipsec")),
    "tunnel_secret": SECRET,
    "mark_mask": Setting(parse_integer),
    "rule_priority": COUNT,
    "table_base": COUNT,
    "metrics_dir": FILE,
    "connection_timeout": Setting(types.integer(1)),
    "pipelining": BOOLEAN,
    **fleet_settings(PROVIDERS.values()),
}
# Hosts may have different ones.
OF_HOST: Mapping[str, Setting] = {
    "interface": TEXT,
    "platform": Setting(_platform),
    "labels": MAPPING,
    "capacity": Setting(types.capacity, is_yaml=True),
    "networks": MAPPING,
    "follow": Setting(_engines, may_be_yaml=True),
    "follow_kubeconfig": Setting(_kubeconfig),
    "drain": BOOLEAN,
    "fence": FILE,
    **host_settings(PROVIDERS.values()),
}
_SECRETS = tuple(name for name, setting in {**OF_FLEET, **OF_HOST}.items() if setting is SECRET)
FAILOVER = tuple(name for name in OF_FLEET if name.startswith("failover"))
_OPTIONS = tuple(field.name for field in fields(DataPlaneOptions) if field.name in OF_FLEET)
# What the removal uses: a mistake in any other setting does not prevent it.
_OF_REMOVAL = (*_OPTIONS, "tunnel_secret", "what_if", "group", "connection_timeout", "pipelining")
# The entry points that make the states of nodes, for which the secret is needed.
_WITH_STATES = ("main", "plan")
# Which source sets a secret of a host, whose value is in no result; empty for none.
_PLAY, _HOST = "play", "host"
# {variable: its default} of the variables that are in no role.
DEFAULTS = {"egress_ip_connection_timeout": 5, "egress_ip_pipelining": True}


@dataclass(frozen=True)
class Source:
    """Values of variables by their full names.

    `play` are those of the host that runs the task, `here`, with everything that the play sets. `inventory` {host:
    values} are those of each host without what the play sets. `defaults` are those of the roles and playbooks.
    `set_by_play` has names that the play certainly sets; other values of the play differ from those of `here`.
    """

    here: str
    play: Mapping[str, object]
    inventory: Mapping[str, Mapping[str, object]]
    defaults: Mapping[str, object]
    set_by_play: Collection[str] = ()

    def is_of_play(self, variable: str) -> bool:
        """Return whether the play sets the variable, for every host."""
        if variable not in self.play:
            return False
        own = self.inventory.get(self.here, NO_MAPPING).get(variable, self.defaults.get(variable))
        return variable in self.set_by_play or self.play[variable] != own

    def of_host(self, host: str, variable: str) -> object:
        """Return the value of a host; what the play sets takes precedence over the inventory, for every host."""
        return self.play[variable] if self.is_of_play(variable) else self.inventory[host].get(variable)


def variables_of_fleet(entry_point: str) -> list[str]:
    """Return the variables of the whole fleet that an entry point of the role uses."""
    return [PREFIX + name for name in (_OF_REMOVAL if entry_point == "remove" else OF_FLEET)]


def variables_of_hosts(entry_point: str) -> list[str]:
    """Return the variables of a single host that an entry point of the role uses."""
    return [] if entry_point == "remove" else [PREFIX + name for name in (*OF_HOST, *FAILOVER)]


def read_settings(source: Source, entry_point: str, needed: Iterable[str]) -> dict[str, Any]:
    """Return {common: {setting: value}, options: those of the data plane, hosts: {host: {setting: value}}}.

    `needed` are names of settings that must not be empty. Secrets are checked and left out. Raises InvalidError with a
    line for each error.
    """
    errors = Errors()
    names = [variable[len(PREFIX) :] for variable in variables_of_fleet(entry_point)]
    values = {name: _common(name, source, errors) for name in names}
    for name in needed:
        if not values[name] and not errors.found:
            errors.add(f"{PREFIX}{name}", f"is empty; this playbook needs it, such as -e {PREFIX}{name}=node1,node2")
    if values["what_if"] and entry_point != "plan":
        errors.add(f"{PREFIX}what_if", "is supported by the playbook plan only; leave it out of all others")
    options = {name: values.pop(name) for name in _OPTIONS}
    hosts: dict[str, Any] = {} if entry_point == "remove" else _hosts(source, errors)
    if not errors.found:
        _check(options, values, entry_point in _WITH_STATES, errors)
    errors.raise_if_any()
    return {"common": _without_secrets(values), "options": options, "hosts": hosts}


def _common(name: str, source: Source, errors: Errors) -> Any:
    variable = PREFIX + name
    return _read(OF_FLEET[name], variable, source.play.get(variable), source.defaults.get(variable), errors)


def _read(setting: Setting, path: str, value: object, default: object, errors: Errors) -> Any:
    """Return the value, and the default of one that is unset."""
    before = len(errors.found)
    found = None if is_unset(value) else setting.read(value, path, errors)
    if found is not None or len(errors.found) > before:
        return found
    return default if is_unset(default) else setting.read(default, path, errors)


def _hosts(source: Source, errors: Errors) -> dict[str, Any]:
    """Return {host: {setting: value}}; one error for all hosts that have the same one."""
    found: dict[str, list[str]] = {}
    hosts = {}
    for host in source.inventory:
        own = Errors()
        hosts[host] = _host(host, source, own)
        for line in own.found:
            found.setdefault(line, []).append(host)
    for line, names in found.items():
        whose = "" if len(names) == len(hosts) > 1 else f"{listed(names, _HOSTS_SHOWN)}: "
        path, _colon, text = line.partition(": ")
        errors.add(f"{whose}{path}", text)
    return hosts


def _host(host: str, source: Source, errors: Errors) -> dict[str, Any]:
    values = {}
    for name, setting in OF_HOST.items():
        variable = PREFIX + name
        value, default = source.of_host(host, variable), source.defaults.get(variable)
        values[name] = _read(setting, variable, value, default, errors)
        if name in _SECRETS:
            values[f"{name}_from"] = "" if is_unset(value) else _PLAY if source.is_of_play(variable) else _HOST
    # Failover must be equal on all hosts, so the run compares what the inventory has for each.
    inventory = {name: source.inventory[host].get(PREFIX + name) for name in FAILOVER}
    return {**_without_secrets(values), "failover": read_failover_values(inventory, errors)}


def read_failover_values(values: Mapping[str, object], errors: Errors) -> dict[str, Any]:
    """Return {setting: value} of the settings of failover that are set; `values` has them by their names."""
    given = {name: values.get(name) for name in FAILOVER}
    return {
        name: OF_FLEET[name].read(value, PREFIX + name, errors) for name, value in given.items() if not is_unset(value)
    }


def _without_secrets(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in _SECRETS}


def _check(options: Mapping[str, Any], values: Mapping[str, Any], with_secret: bool, errors: Errors) -> None:
    """Add an error for each setting that no node must get; `with_secret` if the run uses the secret of the tunnel."""
    data_plane = errors.attempt(DataPlaneOptions.from_dict, {**options}, PREFIX)
    if data_plane and with_secret:
        errors.attempt(key_of, values["tunnel_secret"] or "", data_plane)
    if "excluded_cidrs" in values:
        errors.attempt(parse_excluded, values["excluded_cidrs"])


def read_sources(value: object) -> list[Any]:
    """Return the sources in a value of `egress_ip_manifests`: never an empty list for one that is unset.

    A text has paths with commas or lines, or documents or a list in YAML or JSON. Raises InvalidError.
    """
    errors, variable = Errors(), f"{PREFIX}manifests"
    if is_unset(value):
        errors.add(variable, "is missing; name the files with the EgressIP manifests, or [] to delete all egress IPs")
    elif isinstance(value, str) and (types.is_structured(value) or _DOCUMENT.search(value)):
        documents = types.structure(value, variable, errors)
        value = documents[0] if len(documents) == 1 else documents
    elif isinstance(value, str):
        value = types.strings(value, variable, errors)
    elif not isinstance(value, (Mapping, list, tuple)):
        errors.add(variable, f"must be a list of files, folders and documents, not {type_name(value)}")
    errors.raise_if_any()
    return list(value) if isinstance(value, (list, tuple)) else [value]
