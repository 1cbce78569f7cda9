# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All I/O of a node as one value, the parameter `io` of everything in `_node`. PRIVATE to the collection.

The unit tests pass a host in memory instead.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable

from .._dataplane.handover import Partners
from . import commands, conntrack, files, kernel, packets, preflight, watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .handover_session import Flows


class HostIO:
    """The functions of this folder that `_node` calls."""

    run = staticmethod(commands.run)
    check = staticmethod(commands.check)
    run_later = staticmethod(commands.run_later)
    interpreter = staticmethod(commands.interpreter)
    sleep = staticmethod(time.sleep)
    wait_until = staticmethod(commands.wait_until)

    missing_packages = staticmethod(preflight.missing_packages)
    missing_requirements = staticmethod(preflight.missing_requirements)
    platform_facts = staticmethod(preflight.platform_facts)

    lock = staticmethod(files.lock)
    read_file = staticmethod(files.read_file)
    write_file = staticmethod(files.write_file)
    publish_file = staticmethod(files.publish_file)
    remove_file = staticmethod(files.remove_file)
    remove_files = staticmethod(files.remove_files)
    note_presence = staticmethod(files.note_presence)
    was_away = staticmethod(files.was_away)
    is_settling = staticmethod(files.is_settling)
    is_probe_due = staticmethod(files.is_probe_due)
    note_probed = staticmethod(files.note_probed)
    has_link = staticmethod(watch.has_link)

    read_host = staticmethod(kernel.read_host)
    read_tables = staticmethod(kernel.read_tables)
    read_counters = staticmethod(kernel.read_counters)
    read_sysctls = staticmethod(kernel.read_sysctls)
    write_sysctl = staticmethod(kernel.write_sysctl)
    execute = staticmethod(kernel.execute)

    run_probes = staticmethod(packets.run_probes)
    send_frames = staticmethod(packets.send_frames)
    send_packets = staticmethod(packets.send_packets)

    read_connections = staticmethod(conntrack.read_connections)
    count_connections = staticmethod(conntrack.count_connections)
    change_connections = staticmethod(conntrack.change_connections)
    forget_connections = staticmethod(conntrack.forget_connections)

    @staticmethod
    def hand_over(
        key: str, port: int, own: Iterable[str], partners: Partners, release: Callable[[Collection[str]], Flows]
    ) -> Flows:
        """Call `handover_session.hand_over`, which only a run that moves addresses imports."""
        from .handover_session import hand_over  # noqa: PLC0415

        return hand_over(key, port, own, partners, release)
