# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings as the module `settings` reads them, without Ansible."""

from __future__ import annotations

from ansible_collections.netops.egress_ip.plugins.action.settings import _defaults
from ansible_collections.netops.egress_ip.plugins.plugin_utils._settings import DEFAULTS, Source, read_settings

ALL_DEFAULTS = {**DEFAULTS, **_defaults()}


def read(play, entry_point="plan", hosts=("node1",), needed=(), inventory=None, set_by_play=()):
    """Return the settings: `play` are the values of the play, `inventory` {host: values} those of hosts.

    `set_by_play` are names of variables that the play certainly sets.
    """
    of_hosts = {name: (inventory or {}).get(name, {}) for name in hosts}
    return read_settings(Source(hosts[0], play, of_hosts, ALL_DEFAULTS, set_by_play), entry_point, needed)


def task_variables(**hosts):
    """Return the variables of a task after the settings of hosts are read: {host: its variables}."""
    return {"hostvars": hosts, "egress_ip_settings": read({}, hosts=tuple(hosts), inventory=hosts)}
