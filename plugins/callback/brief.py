# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Short output: what changes or fails, the report, and a recap that does not grow with the fleet."""

from __future__ import annotations

DOCUMENTATION = r"""
name: brief
type: stdout
author:
  - The netops.egress_ip authors (@netops)
short_description: Show only what changes or fails, and the report
description:
  - Hides the banners of tasks and the lines of hosts where nothing changes and nothing fails. The recap has a line for
    each host with changes or failures, and one line for all others.
  - A run that changes nothing prints less than 20 lines and the report, with any number of nodes.
  - A failure that the play ignores is one line with its reason, for example of a node that cannot be reached. All of it
    is shown with C(-v).
  - Everything else is the output of Ansible's callback C(default). O(display_ok_hosts) and O(display_skipped_hosts)
    have no effect.
requirements:
  - Set C(stdout_callback) in C(ansible.cfg), or the environment variable C(ANSIBLE_STDOUT_CALLBACK), to
    C(netops.egress_ip.brief).
extends_documentation_fragment:
  - default_callback
  - result_format_callback
"""

import copy
from typing import Any

from ansible import constants
from ansible.playbook.task_include import TaskInclude
from ansible.plugins.callback.default import CallbackModule as Default
from ansible_collections.netops.egress_ip.plugins.module_utils._common.messages import on_one_line

_HIDDEN = ("display_ok_hosts", "display_skipped_hosts")
_NOTABLE = ("changed", "unreachable", "failures", "rescued", "ignored")


class CallbackModule(Default):
    """The callback plugin."""

    CALLBACK_NAME = "netops.egress_ip.brief"
    _always = False

    def get_option(self, k: str, hostvars: Any = None) -> Any:
        """Return the value of an option; no host is shown where nothing changes, unless the result is the purpose."""
        return self._always if k in _HIDDEN else super().get_option(k, hostvars)

    def v2_runner_on_ok(self, result: Any) -> None:
        """Show a change. Files of tasks that are included are no news."""
        if isinstance(result.task, TaskInclude):
            return
        if not result.result.get("changed", False):
            # The callback of Ansible hides these with the host.
            self._handle_warnings_and_exception(result)
        # Results of debug, which Ansible shows at any verbosity.
        self._always = bool(result.result.get("_ansible_verbose_always"))
        super().v2_runner_on_ok(result)
        self._always = False

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """Show a failure, as one line if the play ignores it."""
        if ignore_errors and self._display.verbosity == 0:
            self._show_ignored("failed", result)
        else:
            super().v2_runner_on_failed(result, ignore_errors)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Show a host that cannot be reached, as one line if the play ignores that."""
        if result.task.ignore_unreachable and self._display.verbosity == 0:
            self._show_ignored("unreachable", result)
        else:
            super().v2_runner_on_unreachable(result)

    def _show_ignored(self, kind: str, result: Any) -> None:
        """Show the host and the reason."""
        reason = " ".join(str(result.result.get("msg", "")).split()).removeprefix("Task failed: ")
        line = f"{kind}, ignored: [{self.host_label(result)}]: {on_one_line(reason)}"
        self._display.display(line, color=constants.COLOR_WARN)

    def v2_playbook_on_include(self, included_file: Any) -> None:
        """Show nothing."""

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """Show the recap of hosts with changes or failures, and the number of all others."""
        notable = {host for host in stats.processed if any(stats.summarize(host)[key] for key in _NOTABLE)}
        shown = copy.copy(stats)
        shown.processed = {host: stats.processed[host] for host in notable}
        super().v2_playbook_on_stats(shown)
        others = len(stats.processed) - len(notable)
        if others:
            self._display.display(f"{others} {'host' if others == 1 else 'hosts'} without changes and failures")
