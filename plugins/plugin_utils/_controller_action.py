# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The common action plugin of the modules that run on the controller alone. PRIVATE to the collection."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from typing import Any, ClassVar

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import EgressIPError, InvalidError
from ansible_collections.netops.egress_ip.plugins.module_utils._common.gc_pause import paused_collector
from ansible_collections.netops.egress_ip.plugins.plugin_utils._events import MAX_CHARACTERS, with_small_event

# New objects after which Python looks for reference cycles; its default is 700.
_OBJECTS = 50_000


def collect_rarely() -> None:
    """Let this process look for reference cycles less often.

    Ansible loads actions into the process that starts one for each host and task. It copies results of hundreds of
    thousands of values, which have no cycles, and each collection reads all of them. In a process that was forked, that
    copies the memory which both share. It was a sixth of the processor time of a run.
    """
    if 0 < gc.get_threshold()[0] < _OBJECTS:
        gc.set_threshold(_OBJECTS)


collect_rarely()


class ControllerAction(ActionBase):
    """Checks the options of a task and returns its result; an EgressIPError fails the task with a line for each error.

    A subclass has the argument specification ``OPTIONS`` and the method ``result``.
    """

    TRANSFERS_FILES = False
    OPTIONS: ClassVar[Mapping[str, Any]] = {}
    # A callback gets no larger result.
    MAX_EVENT: ClassVar[int] = MAX_CHARACTERS
    _requires_connection = False

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Return the task's result, unchanged unless ``result`` returns otherwise."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _validation, options = self.validate_argument_spec(argument_spec=self.OPTIONS)
        try:
            # Each collection would also copy the memory that this process shares with the one that forked it.
            with paused_collector():
                own = self.result(options, task_vars)
            return with_small_event({**result, "changed": False, **own}, self.MAX_EVENT)
        except InvalidError as error:
            raise AnsibleActionFail("\n".join(error.errors)) from error
        except EgressIPError as error:
            raise AnsibleActionFail(str(error)) from error

    def result(self, options: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
        """Return the module's own values of the result for the checked options and the variables of the host."""
        raise NotImplementedError
