# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the settings of a run from variables, on the controller."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleError
from ansible.playbook.play import Play
from ansible.playbook.task import Task
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import Errors, InventoryError
from ansible_collections.netops.egress_ip.plugins.module_utils._common.messages import listed
from ansible_collections.netops.egress_ip.plugins.plugin_utils._controller_action import ControllerAction
from ansible_collections.netops.egress_ip.plugins.plugin_utils._output import show_stage
from ansible_collections.netops.egress_ip.plugins.plugin_utils._settings import (
    DEFAULTS,
    Source,
    read_settings,
    variables_of_fleet,
    variables_of_hosts,
)

# Strategies in which a host does not wait for the others.
_UNORDERED = ("free", "host_pinned")
_ROLES = Path(__file__).resolve().parents[2] / "roles"


class ActionModule(ControllerAction):
    """The action plugin of the module `settings`."""

    OPTIONS = {
        "hosts": {"type": "list", "elements": "str", "required": True},
        "entry_point": {"type": "str", "choices": ["main", "plan", "status", "remove"], "default": "main"},
        "needed": {"type": "list", "elements": "str", "default": []},
    }

    def result(self, options: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings."""
        _check_play(self._task.get_play(), variables)
        _check_hosts(options["hosts"], variables["ansible_play_hosts_all"])
        errors, entry_point = Errors(), options["entry_point"]
        of_hosts = variables_of_hosts(entry_point)
        names = dict.fromkeys((*variables_of_fleet(entry_point), *of_hosts))
        play = _values(names, variables, lambda name: self._templar.template(variables[name]), errors)
        inventory = {}
        for host in options["hosts"]:
            own = variables["hostvars"][host]
            inventory[host] = _values(of_hosts, own, own.__getitem__, errors)
        errors.raise_if_any()
        defaults = {**DEFAULTS, **_defaults()}
        source = Source(variables["inventory_hostname"], play, inventory, defaults, _set_by_play(self._task))
        settings = read_settings(source, entry_point, options["needed"])
        if settings["hosts"]:
            show_stage(f"Reading the manifests and the state of {len(settings['hosts'])} nodes")
        return {**settings, "absent": sorted({*options["hosts"]} - {*variables["ansible_play_hosts"]})}


def _check_play(play: Play, variables: Mapping[str, Any]) -> None:
    """Raise InventoryError for a play that does not run each task for all hosts at once."""
    if play.strategy.rpartition(".")[2] in _UNORDERED:
        raise InventoryError(f"strategy: must be linear, not '{play.strategy}'; the nodes of a fleet change together")
    if play.serial and len(variables["ansible_play_batch"]) < len(variables["ansible_play_hosts_all"]):
        raise InventoryError("serial: must be left out; each batch would be a fleet of its own")


def _set_by_play(task: Task) -> frozenset[str]:
    """Return the names of the variables in the play, in the task and what is around it, and in the role."""
    of_role = task._role.get_vars() if task._role else ()  # noqa: SLF001 - a task has no other way to its role
    return frozenset((*task.get_play().get_vars(), *task.get_vars(), *of_role))


def _check_hosts(hosts: list[str], playing: list[str]) -> None:
    """Raise InventoryError for a play with hosts that are not of the fleet; the run would plan without them."""
    others = sorted({*playing} - {*hosts})
    # A fleet without a host stops a run with a message of its own.
    if hosts and others:
        fix = "set it by -e or the vars of the play, since an inventory does not choose the hosts of a play"
        fault = f"must have all hosts of the play, not without {listed(others, 3)}"
        raise InventoryError(f"egress_ip_group: {fault}; {fix}")


def _values(
    names: Iterable[str], present: Mapping[str, Any], value_of: Callable[[str], object], errors: Errors
) -> dict[str, object]:
    """Return {variable: value} of the variables that are set; adds an error for one whose template fails."""
    found = {}
    for name in names:
        if name in present:
            try:
                found[name] = value_of(name)
            except AnsibleError as error:
                errors.add(name, f"cannot be evaluated: {_reason(error)}")
    return found


def _reason(error: AnsibleError) -> str:
    """Return the innermost reason on one line."""
    return " ".join(str([*_causes(error)][-1]).split())


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


@lru_cache(maxsize=1)
def _defaults() -> dict[str, Any]:
    """Return the defaults of all variables of the roles."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    texts = [path.read_bytes() for path in sorted(_ROLES.glob("*/defaults/main.yml"))]
    return {name: value for text in texts for name, value in yaml.load(text, Loader=loader).items()}  # noqa: S506 - both loaders are safe
