# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A callback whose output a program reads: the result of each task that is ok, as JSON on a line."""

from __future__ import annotations

import json

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: program
type: stdout
short_description: Results as JSON, for the tests
description: A callback that is not for people.
"""


class CallbackModule(CallbackBase):
    """The callback plugin."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "program"

    def v2_runner_on_ok(self, result):
        """Print the result."""
        self._display.display(json.dumps(result.result, default=str))
