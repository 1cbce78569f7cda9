# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action plugin of the module `node_info`."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import EgressIPError, Errors
from ansible_collections.netops.egress_ip.plugins.module_utils._common.text_fields import with_facts_as_text
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.files import PROGRAM_FILE
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.annotations import network_names
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.networks import names_of_host
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.node_answer import FACTS_OF_NODE
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.providers import SIGNS
from ansible_collections.netops.egress_ip.plugins.plugin_utils._node_action import (
    COMPILED_PROGRAM,
    LONGEST_ANSWER,
    NO_PROGRAM,
    NodeAction,
)
from ansible_collections.netops.egress_ip.plugins.plugin_utils._setting_types import number
from ansible_collections.netops.egress_ip.plugins.plugin_utils._variables import result_of

# Options of the action, which the module `node` does not have.
_OWN = ("answer_timeout", "options", "host_networks", "of_run")
# Tasks of the role read the others.
_AS_TEXT = FACTS_OF_NODE - {"packages", "digest"}
# What the program answers when it is called without the module.
_ANSWERED = FACTS_OF_NODE | {"failed", "msg", "program_missing"}
# The owner, and the type and mode in hexadecimal, of the folder with the compiled program, and those that it must have:
# a folder of root with the mode 0700.
_OWNER_AND_MODE = f"$(stat -c '%u %f' {COMPILED_PROGRAM} 2>/dev/null)"
_OF_ROOT_ALONE = "0 41c0"
# Characters of the errors of a node that are shown.
_LONGEST_REASON = 1 << 10


class ActionModule(NodeAction):
    """Runs the module `node` with the mode `observed`."""

    longest_output = LONGEST_ANSWER

    def arguments(self) -> dict[str, object]:
        """Return the options of the module `node`."""
        given = self._options()
        observe = {name: value for name, value in given.items() if name not in _OWN}
        own, errors = names_of_host(given.get("host_networks")), Errors()
        named = network_names(observe.get("networks") or (), "networks", errors)
        observe["networks"] = sorted({*named, *own})
        observe["platforms"] = SIGNS
        return {"mode": "observed", "options": given.get("options", {}), "observe": observe}

    def answer(self, done: Mapping[str, object]) -> dict[str, object]:
        """Return what the module returned; for a run, with the facts that no task needs as one text."""
        return with_facts_as_text(done, _AS_TEXT) if self._is_of_run() else super().answer(done)

    def answer_timeout(self) -> float:
        """Return the seconds after which the node counts as silent, 0 for no limit."""
        given, errors = self._options().get("answer_timeout") or 0, Errors()
        seconds = number(given, "answer_timeout", errors)
        if errors.found:
            raise AnsibleActionFail(errors.found[0])
        return seconds

    def _call(self, **program: str) -> dict[str, Any]:
        """Ask the compiled program, and run the module if it does not answer: that sends it, or says what is wrong."""
        # Options of the task itself may be texts, which the module converts.
        is_plain = self._is_of_run() and set(self._task.args) == {"of_run"}
        answer = self._ask_program() if "program_digest" in program and is_plain else None
        return super()._call(**program) if answer is None else answer

    def _ask_program(self) -> dict[str, Any] | None:
        """Return the answer of the program that is compiled on the node, None if it gives none.

        Ansible's code for modules would take up to a third of a call's processor time here, and imports on the node.
        """
        if not self._is_pipelining_enabled("new") or self._connection._shell.SHELL_FAMILY != "sh":
            return None
        self._may_lack_program = False
        asked = {name: value for name, value in self.arguments().items() if name != "mode"}
        done = self._low_level_execute_command(self._question(), in_data=json.dumps(asked).encode())
        answer = None
        with contextlib.suppress(ValueError, RecursionError):
            # The lines before it are the host's, such as a greeting.
            answer = json.loads(done["stdout"].strip().rpartition("\n")[2])
        if isinstance(answer, dict):
            return {name: value for name, value in answer.items() if name in _ANSWERED}
        self._display.vvv(f"no answer without a module: {done['stderr'][-_LONGEST_REASON:] or 'no program'}")
        self._restart_clock()
        return None

    def _question(self) -> str:
        """Return the command that calls the program, with the Python of the inventory if that names one."""
        chosen = self._variables.get("ansible_python_interpreter")
        if isinstance(chosen, str) and "{" in chosen:
            try:
                chosen = self._templar.template(chosen)
            except AnsibleError:
                chosen = None
        is_path = isinstance(chosen, str) and chosen.startswith("/")
        call = f"{chosen} -I {COMPILED_PROGRAM} observe" if is_path else f"sh {COMPILED_PROGRAM}/observe"
        call = f"{self._compute_environment_string()} {call} || cat >/dev/null"
        # The module compiles a program that is only installed.
        others = f"elif [ -e {PROGRAM_FILE} ]; then cat >/dev/null; else {NO_PROGRAM}; fi"
        return f'if [ "{_OWNER_AND_MODE}" = "{_OF_ROOT_ALONE}" ]; then {call}; {others}'

    def _options(self) -> Mapping[str, Any]:
        """Return the options of the task, and of the run if the task wants these."""
        args: Mapping[str, Any] = self._task.args
        if not self._is_of_run():
            return args
        try:
            return {**_of_run(self._variables), **args}
        except EgressIPError as error:
            raise AnsibleActionFail(str(error)) from error

    def _is_of_run(self) -> bool:
        return bool(boolean(self._task.args.get("of_run", False), strict=False))


def _of_run(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that follow from the registered results of a run. Raises InventoryError."""
    settings, manifests = result_of(variables, "settings"), result_of(variables, "manifests_info")
    host = settings["hosts"][variables["inventory_hostname"]]
    has_details = variables.get("__egress_ip_details") is True
    return {
        "interface": host["interface"],
        "platform": host["platform"],
        "host_networks": host["networks"],
        "options": settings["options"],
        "recall": [*manifests["broken"], *manifests["pooled"], *manifests["contested"]],
        "networks": manifests["network_names"],
        "engines": [each["engine"] for each in manifests.get("engines", ())],
        "follow": host["follow"],
        "answer_timeout": settings["common"]["answer_timeout"],
        "metrics": has_details,
        "probe": has_details,
    }
