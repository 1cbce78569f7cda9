# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All I/O of a node as one value, the parameter `io` of everything in `_node`. PRIVATE to the collection.

The unit tests pass a host in memory instead.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

from . import commands, files, kernel, preflight, watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import Counter
    from pathlib import Path

    from .._common.network_names import NetworkName
    from .._dataplane.esp import Esp
    from .._dataplane.handover import Partners
    from .._dataplane.host import Documents
    from .._protocols.address_probe import Probe
    from .._protocols.ctnetlink import Flow
    from .cni_files import ListFile
    from .conntrack import Filter
    from .container_networks import FoundNetwork
    from .containers import Containers
    from .file_changes import FileChanges
    from .fleet_calls import Call, CallListener, Notice
    from .hook_files import HookFolders
    from .node_messages import Flows
    from .packets import Frames, Packet, Verdict
    from .segment import Segment
    from .termination import Termination


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
    file_version = staticmethod(files.file_version)
    write_file = staticmethod(files.write_file)
    publish_file = staticmethod(files.publish_file)
    remove_file = staticmethod(files.remove_file)
    remove_files = staticmethod(files.remove_files)
    stop_units = staticmethod(files.stop_units)
    note_presence = staticmethod(files.note_presence)
    note_absence = staticmethod(files.note_absence)
    was_away = staticmethod(files.was_away)
    is_settling = staticmethod(files.is_settling)
    is_probe_due = staticmethod(files.is_probe_due)
    note_probed = staticmethod(files.note_probed)
    note_networks = staticmethod(files.note_networks)
    has_link = staticmethod(watch.has_link)
    is_here = staticmethod(watch.is_here)
    networks_version = staticmethod(watch.networks_version)
    wall_clock = staticmethod(time.time)
    monotonic_clock = staticmethod(time.monotonic)

    read_host = staticmethod(kernel.read_host)
    read_tables = staticmethod(kernel.read_tables)
    read_forward_filters = staticmethod(kernel.read_forward_filters)
    read_counters = staticmethod(kernel.read_counters)
    read_sysctls = staticmethod(kernel.read_sysctls)
    write_sysctl = staticmethod(kernel.write_sysctl)
    execute = staticmethod(kernel.execute)
    admit_pods = staticmethod(kernel.admit_pods)
    dismiss_pods = staticmethod(kernel.dismiss_pods)
    followed_containers = staticmethod(kernel.followed_containers)

    # Most runs need none of these, so they do not import their modules.

    @staticmethod
    def find_networks(names: Iterable[NetworkName], interfaces: Documents) -> dict[str, FoundNetwork]:
        """Call `container_networks.find_networks`."""
        from .container_networks import find_networks  # noqa: PLC0415

        return find_networks(names, interfaces)

    @staticmethod
    def find_containers(engine: str) -> Containers:
        """Call `containers.find_containers`."""
        from .containers import find_containers  # noqa: PLC0415

        return find_containers(engine)

    @staticmethod
    def idle_networks() -> tuple[str, ...]:
        """Call `container_networks.idle_networks`."""
        from .container_networks import idle_networks  # noqa: PLC0415

        return idle_networks()

    @staticmethod
    def list_files() -> list[ListFile]:
        """Call `cni_files.list_files`."""
        from .cni_files import list_files  # noqa: PLC0415

        return list_files()

    @staticmethod
    def program_folders(main: str) -> list[Path]:
        """Call `cni_files.program_folders`."""
        from .cni_files import program_folders  # noqa: PLC0415

        return program_folders(main)

    @staticmethod
    def replace_list(path: Path, before: str, after: str) -> None:
        """Call `cni_files.replace_list`."""
        from .cni_files import replace_list  # noqa: PLC0415

        replace_list(path, before, after)

    @staticmethod
    def remove_programs(kept: tuple[str, ...] = ()) -> None:
        """Call `plugin_sources.remove_programs`."""
        from .plugin_sources import remove_programs  # noqa: PLC0415

        remove_programs(kept)

    @staticmethod
    def hook_folders() -> HookFolders:
        """Call `hook_files.hook_folders`."""
        from .hook_files import hook_folders  # noqa: PLC0415

        return hook_folders()

    @staticmethod
    def read_ages() -> dict[str, float]:
        """Call `address_times.read_ages`."""
        from .address_times import read_ages  # noqa: PLC0415

        return read_ages()

    @staticmethod
    def read_esp() -> Esp:
        """Call `esp.read_esp`."""
        from .esp import read_esp  # noqa: PLC0415

        return read_esp()

    @staticmethod
    def esp_problems(port: int) -> list[str]:
        """Call `esp.esp_problems`."""
        from .esp import esp_problems  # noqa: PLC0415

        return esp_problems(port)

    @staticmethod
    def run_probes(probes: Mapping[str, Sequence[Probe]]) -> Iterator[Verdict]:
        """Call `packets.run_probes`."""
        from .packets import run_probes  # noqa: PLC0415

        return run_probes(probes)

    @staticmethod
    def send_frames(interface: str, announced: Sequence[Frames]) -> None:
        """Call `packets.send_frames`."""
        from .packets import send_frames  # noqa: PLC0415

        send_frames(interface, announced)

    @staticmethod
    def segment() -> Segment:
        """Return a new `segment.Segment`."""
        from .segment import Segment  # noqa: PLC0415

        return Segment()

    @staticmethod
    def file_changes(folder: Path) -> FileChanges:
        """Return new `file_changes.FileChanges`."""
        from .file_changes import FileChanges  # noqa: PLC0415

        return FileChanges(folder)

    @staticmethod
    def termination() -> Termination:
        """Return a new `termination.Termination`."""
        from .termination import Termination  # noqa: PLC0415

        return Termination()

    @staticmethod
    def settle_memory() -> None:
        """Call `memory.settle_memory`."""
        from .memory import settle_memory  # noqa: PLC0415

        settle_memory()

    @staticmethod
    def is_shutting_down() -> bool:
        """Call `termination.is_shutting_down`."""
        from .termination import is_shutting_down  # noqa: PLC0415

        return is_shutting_down()

    @staticmethod
    def call_listener(key: str, port: int, own: Collection[str]) -> CallListener:
        """Return a new `fleet_calls.CallListener` for the IP versions of the endpoints `own`."""
        from .fleet_calls import CallListener, versions_of  # noqa: PLC0415

        return CallListener(key, port, versions_of(own))

    @staticmethod
    def call(
        key: str, own: str, endpoint: str, port: int, request: Mapping[str, object]
    ) -> contextlib.AbstractContextManager[Call]:
        """Call `fleet_calls.call`."""
        from .fleet_calls import call  # noqa: PLC0415

        return call(key, own, endpoint, port, request)

    @staticmethod
    def notify(key: str, port: int, notices: Sequence[Notice], is_true: Callable[[], bool]) -> None:
        """Call `fleet_calls.notify`."""
        from .fleet_calls import notify  # noqa: PLC0415

        notify(key, port, notices, is_true)

    @staticmethod
    def send_packets(packets: Sequence[Packet]) -> None:
        """Call `packets.send_packets`."""
        from .packets import send_packets  # noqa: PLC0415

        send_packets(packets)

    @staticmethod
    def read_connections(filters: Iterable[Filter]) -> list[tuple[int, Flow]]:
        """Call `conntrack.read_connections`."""
        from .conntrack import read_connections  # noqa: PLC0415

        return read_connections(filters)

    @staticmethod
    def count_connections(filters: Iterable[Filter]) -> Counter[bytes]:
        """Call `conntrack.count_connections`."""
        from .conntrack import count_connections  # noqa: PLC0415

        return count_connections(filters)

    @staticmethod
    def change_connections(requests: Iterable[bytes]) -> list[int]:
        """Call `conntrack.change_connections`."""
        from .conntrack import change_connections  # noqa: PLC0415

        return change_connections(requests)

    @staticmethod
    def forget_connections(marks: Iterable[int], mask: int) -> None:
        """Call `conntrack.forget_connections`."""
        from .conntrack import forget_connections  # noqa: PLC0415

        forget_connections(marks, mask)

    @staticmethod
    def forget_elsewhere(filters: Iterable[Filter], kept: Mapping[int, str], mask: int) -> None:
        """Call `conntrack.forget_elsewhere`."""
        from .conntrack import forget_elsewhere  # noqa: PLC0415

        forget_elsewhere(filters, kept, mask)

    @staticmethod
    def hand_over(
        key: str, port: int, own: Iterable[str], partners: Partners, release: Callable[[Collection[str]], Flows]
    ) -> Flows:
        """Call `handover_session.hand_over`."""
        from .handover_session import hand_over  # noqa: PLC0415

        return hand_over(key, port, own, partners, release)
