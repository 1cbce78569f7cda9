# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the action plugins of the modules for nodes have in common. PRIVATE to the collection."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import time
import zlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ansible import constants
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import become_loader, connection_loader, shell_loader
from ansible_collections.netops.egress_ip.plugins.module_utils._common.text_fields import (
    FACTS,
    is_readable,
    with_plain_texts,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.files import PROGRAM_FILE
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.plugin_sources import WHOLE_PREFIX
from ansible_collections.netops.egress_ip.plugins.module_utils._node import zipapp
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.controller import SLOW
from ansible_collections.netops.egress_ip.plugins.plugin_utils._events import with_small_event
from ansible_collections.netops.egress_ip.plugins.plugin_utils._node_clock import AnswerTimeoutError, NodeClock
from ansible_collections.netops.egress_ip.plugins.plugin_utils._settings import DEFAULTS
from ansible_collections.netops.egress_ip.plugins.plugin_utils._shown_texts import (
    escaped_output,
    without_control_characters,
)

# Ansible loads an action once for a whole run, and then forks for each host and task.
_CONTENT = zipapp.make()
PROGRAM_DIGEST = hashlib.sha256(_CONTENT).hexdigest()
COMPILED_PROGRAM = f"{WHOLE_PREFIX}{PROGRAM_DIGEST}"
# The answer of a node that has no program at all, by its shell: it does not start Python for that. It reads the module,
# since a connection may fail if no one does. It does not exit: Ansible appends a command, without which ssh may drop
# the output.
NO_PROGRAM = f"cat >/dev/null; echo '{json.dumps({'program_missing': True})}'"

# {setting of the run: option of the connection plugin ssh}.
_OF_SSH = {"connection_timeout": "timeout", "pipelining": "pipelining"}

# A connection that fails while the controller is busy is no failure of the node.
_ATTEMPTS = 5
# Characters of the longest output of a module on a node that is read, and of a node's answer: long texts in it are
# compressed, while `--diff` shows the rules of thousands of pods twice.
_LONGEST_OUTPUT, LONGEST_ANSWER = 1 << 24, 1 << 23
# Of the message of a lost connection, which has what the node printed.
_LONGEST_MESSAGE = 1 << 14
# Fields of a result that change variables or the inventory on the controller, or that only the controller writes. A
# node is trusted only for itself.
_CONTROL = ("ansible_facts", "ansible_stats", "add_host", "add_group", FACTS, SLOW)


class TooLongError(Exception):
    """The output of a node is longer than the controller reads."""


def _load_plugins() -> None:
    """Load what a call of a module uses into the process that forks, or each process would load it for its node."""
    usual = (
        (connection_loader, constants.DEFAULT_TRANSPORT),
        (become_loader, constants.DEFAULT_BECOME_METHOD),
        (shell_loader, "sh"),
    )
    for loader, name in usual:
        # Whoever uses a plugin that cannot be loaded gets the error.
        with contextlib.suppress(AnsibleError, ImportError):
            loader.get(name, class_only=True)
    with contextlib.suppress(ImportError):
        from ansible.module_utils.common.json import (  # noqa: PLC0415
            Direction,
            get_module_decoder,
            get_module_encoder,
        )

        get_module_encoder("legacy", Direction.CONTROLLER_TO_MODULE)
        get_module_decoder("legacy", Direction.MODULE_TO_CONTROLLER)


_load_plugins()


def unlogged(arguments: Mapping[str, object]) -> dict[str, object]:
    """Return the options of the module `node` with the state in an option that Ansible does not log.

    A module writes its options to the syslog of the node. `state` keeps the name, the generation and a digest.
    """
    state = arguments.get("state")
    if not isinstance(state, dict):
        return dict(arguments)
    text = json.dumps(state, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    summary = {"name": state.get("name"), "generation": state.get("generation"), "digest": digest}
    return {**arguments, "state": summary, "state_json": text}


def without_control(result: Mapping[str, object]) -> dict[str, object]:
    """Return a result of a node without the fields that would change variables or the inventory."""
    return {name: value for name, value in result.items() if name not in _CONTROL}


def set_up_connection(connection: Any, variables: Mapping[str, Any]) -> None:
    """Apply the settings of the run for ssh connections that are not the defaults, which the playbooks have."""
    settings = variables.get("egress_ip_settings")
    common = settings["common"] if isinstance(settings, dict) else {}
    if getattr(connection, "transport", "") != "ssh":
        return
    for name, option in _OF_SSH.items():
        if common.get(name, DEFAULTS[f"egress_ip_{name}"]) != DEFAULTS[f"egress_ip_{name}"]:
            connection.set_option(option, common[name])


def program() -> str:
    """Return the program as the module `node` takes it. Few runs send it, so none makes it in advance."""
    return base64.b64encode(zlib.compress(_CONTENT, 1)).decode()


class NodeAction(ActionBase):
    """Runs the module `node` on a host, with the digest of the program of a node as an argument.

    The program stays on a node; one that does not have it yet gets it in a second call. If the module imported the
    program's files, Ansible would parse them in each run to find out what to send, which takes as long as a `ping`.
    """

    longest_output = _LONGEST_OUTPUT
    _supports_async = True
    _clock = NodeClock(0)
    # The seconds that the node took for calls before the last one.
    _earlier_seconds = 0.0
    # Whether the next call has the program's digest only.
    _may_lack_program = False
    # Those of the task.
    _variables: Mapping[str, Any] = MappingProxyType({})

    def run(self, tmp: str | None = None, task_vars: dict[str, object] | None = None) -> dict[str, object]:
        """Return the result of the module, with SLOW if the controller took longer than a node may take to answer."""
        result = super().run(tmp, task_vars)
        self._variables = task_vars or {}
        set_up_connection(self._connection, self._variables)
        limit, started = self.answer_timeout(), time.monotonic()
        try:
            done = self._run_module(limit)
        except AnswerTimeoutError:
            done = {"failed": True, "msg": f"Timed out after {limit:g} seconds", "timedout": {"period": limit}}
        except TooLongError as error:
            done = {"failed": True, "msg": str(error)}
        late = time.monotonic() - started - self._earlier_seconds - self._clock.node_seconds
        slow = {SLOW: round(late, 1)} if 0 < limit < late else {}
        # A text that was compressed is checked as well.
        shown = without_control_characters(self.answer(without_control(done)))
        return with_small_event({**result, **shown, **slow})

    def cleanup(self, force: bool = False) -> None:
        """Delete the temporary folder on the node; Ansible calls this after `run`.

        A node that is silent, or prints too much, keeps it: neither may replace the result.
        """
        self._restart_clock()
        with contextlib.suppress(AnswerTimeoutError, TooLongError):
            super().cleanup(force)

    def _restart_clock(self) -> None:
        """Give the node the whole time for the next call."""
        self._earlier_seconds += self._clock.node_seconds
        self._clock = NodeClock(self._clock.limit)

    def arguments(self) -> dict[str, object]:
        """Return the options of the module `node`."""
        arguments: dict[str, object] = self._task.args
        return arguments

    def answer(self, done: Mapping[str, object]) -> dict[str, object]:
        """Return what the module returned as the result of the task has it."""
        return with_plain_texts(done)

    def answer_timeout(self) -> float:
        """Return the seconds after which a node counts as silent, 0 for no limit."""
        return 0

    def _run_module(self, limit: float) -> dict[str, Any]:
        """Run the module, again if the connection failed while the controller had no processor for it."""
        for _attempt in range(_ATTEMPTS):
            self._clock = NodeClock(limit)
            try:
                # An asynchronous task has no second call.
                done = {"program_missing": True} if self._task.async_val else self._call(program_digest=PROGRAM_DIGEST)
                return self._call(program=program()) if done.get("program_missing") is True else done
            except AnsibleConnectionFailure as error:
                if not self._clock.is_starved:
                    raise AnsibleConnectionFailure(escaped_output(str(error)[:_LONGEST_MESSAGE])) from None
        raise AnsibleActionFail(
            f"the controller has no processor to connect with, in {_ATTEMPTS} attempts; lower `forks`"
        )

    def _call(self, **program: str) -> dict[str, Any]:
        self._may_lack_program = "program_digest" in program
        done: dict[str, Any] = self._execute_module(
            module_name="netops.egress_ip.node",
            module_args={**unlogged(self.arguments()), **program},
            task_vars=self._variables,
            wrap_async=self._task.async_val and not self._connection.has_native_async,
        )
        return done

    def _low_level_execute_command(self, cmd: str, *arguments: Any, **options: Any) -> dict[str, Any]:
        # With data, the command is Python, which reads the module.
        if self._may_lack_program and options.get("in_data") and self._connection._shell.SHELL_FAMILY == "sh":
            has_program = f"[ -e {COMPILED_PROGRAM} ] || [ -e {PROGRAM_FILE} ]"
            cmd = f"if {has_program}; then {cmd}; else {NO_PROGRAM}; fi"
        with self._clock.waiting():
            result: dict[str, Any] = super()._low_level_execute_command(cmd, *arguments, **options)
        # Before it becomes values, which the process of the run keeps; it keeps the errors as they are.
        is_short = len(result.get("stderr", "")) <= self.longest_output
        if not is_short or not is_readable(result.get("stdout", ""), self.longest_output):
            raise TooLongError(f"gives too long an answer: must be at most {self.longest_output} characters of JSON")
        # Ansible warns of lines beside the JSON text, and shows them.
        return {**result, **{name: escaped_output(result[name]) for name in ("stdout", "stderr") if name in result}}

    def _transfer_file(self, *arguments: Any, **options: Any) -> Any:
        with self._clock.waiting():
            return super()._transfer_file(*arguments, **options)
