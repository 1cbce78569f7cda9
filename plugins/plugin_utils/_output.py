# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text on standard output, in addition to that of Ansible's callback. PRIVATE to the collection."""

from __future__ import annotations

from ansible import constants
from ansible.errors import AnsibleError
from ansible.utils.display import Display

# The callback of this collection, which shows no banner where nothing changes.
_BRIEF = "netops.egress_ip.brief"
# Output of other callbacks, such as JSON, is read by programs.
_TEXT_CALLBACKS = ("default", "ansible.builtin.default", "minimal", "ansible.builtin.minimal", _BRIEF)


def is_for_people() -> bool:
    """Return whether a person reads standard output."""
    return constants.DEFAULT_STDOUT_CALLBACK in _TEXT_CALLBACKS


def show_stage(line: str) -> None:
    """Show the stage of a run, unless the banners of tasks show it already."""
    if is_for_people() and not _has_banners():
        Display().display(line)


def _has_banners() -> bool:
    if constants.DEFAULT_STDOUT_CALLBACK == _BRIEF:
        return False
    name = constants.DEFAULT_STDOUT_CALLBACK.rpartition(".")[2]
    try:
        found = constants.config.get_config_value("display_ok_hosts", plugin_type="callback", plugin_name=name)
    except AnsibleError:
        # The callback has no such option, or is not loaded.
        return True
    return bool(found)
