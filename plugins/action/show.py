# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Show lines as text, in colour on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from operator import itemgetter
from typing import Any

from ansible import constants
from ansible_collections.netops.egress_ip.plugins.module_utils._common.messages import on_one_line
from ansible_collections.netops.egress_ip.plugins.plugin_utils._controller_action import ControllerAction
from ansible_collections.netops.egress_ip.plugins.plugin_utils._output import is_for_people

# Colours of the lines below a title, and of lines that begin with a sign.
_SECTIONS = {
    "Failed:": constants.COLOR_ERROR,
    "Problems:": constants.COLOR_ERROR,
    "Errors:": constants.COLOR_WARN,
    "Differences from the applied state:": constants.COLOR_WARN,
    "Notes:": constants.COLOR_VERBOSE,
}
_SIGNS = {"+ ": constants.COLOR_DIFF_ADD, "- ": constants.COLOR_DIFF_REMOVE, "~ ": constants.COLOR_CHANGED}


class ActionModule(ControllerAction):
    """The action plugin of the module `show`."""

    OPTIONS = {"lines": {"type": "list", "elements": "str", "required": True}}
    # For programs the result is the only output. AWX drops results above 700,000 characters.
    MAX_EVENT = 600_000

    def result(self, options: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
        """Show the lines, and return them as `msg`, as the module debug does."""
        # Some texts are from nodes, which must not be able to add a line or to control the terminal.
        lines = [on_one_line(line) for line in options["lines"]]
        if not is_for_people():
            # A program gets the lines with the result.
            return {"msg": lines, "_ansible_verbose_always": True}
        # A process of a task passes each call on to the main process; a large fleet has ten thousand lines.
        for colour, group in groupby(coloured(lines), key=itemgetter(1)):
            self._display.display("".join(f"{line}\n" for line, _colour in group), color=colour)
        return {"msg": lines}


def coloured(lines: Iterable[str]) -> Iterator[tuple[str, str | None]]:
    """Yield each line with its colour, None for the terminal's own."""
    section: str | None = None
    for line in lines:
        if not line.startswith("  "):
            section = _SECTIONS.get(line)
        yield line, section or _SIGNS.get(line[:2])
