# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a host can be a node: root, systemd, packages, kernel; and what its firmware shows. PRIVATE."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterable
from pathlib import Path

from . import commands

_PACKAGES = {"ip": "iproute2", "nft": "nftables"}
_DMI = Path("/sys/class/dmi/id")
_XEN_UUID = Path("/sys/hypervisor/uuid")
_HYPERVISOR_UUID, _CPU_FLAGS = "hypervisor_uuid", "cpu_flags"
_CPU_INFO = Path("/proc/cpuinfo")
_SYSTEMD = Path("/run/systemd/system")
# Absent from the socket module: linux/netlink.h.
_NETLINK_XFRM = 6


def missing_packages() -> list[str]:
    """Return the packages of the distribution that this host lacks."""
    # It loads modules that a long-running program does not need.
    from shutil import which  # noqa: PLC0415

    return [package for command, package in _PACKAGES.items() if not which(command, path=commands.PATH)]


def missing_requirements() -> list[str]:
    """Return what this host lacks for the data plane, one sentence with the fix for each."""
    problems = []
    if os.geteuid() != 0:
        problems.append("ansible_become: the module does not run as root; set become: true")
    if not _SYSTEMD.is_dir():
        problems.append("systemd: does not run on this host; only hosts with systemd can be nodes")
    problems += [f"{package}: is not installed on this host; install the package" for package in missing_packages()]
    if not problems and not _has_vxlan():
        problems.append("kernel: has no vxlan; load the module, or install the package that contains it")
    if not problems and not _has_xfrm():
        problems.append("kernel: has no xfrm_user; load the module, or install the package that contains it")
    return problems


def platform_facts(names: Iterable[str]) -> dict[str, str]:
    """Return {fact: text} of the named facts that this host has.

    A fact is `cpu_flags`, `hypervisor_uuid` (of Xen), or a file of /sys/class/dmi/id.
    """
    facts = {}
    for name in names:
        with contextlib.suppress(OSError):
            facts[name] = _cpu_flags() if name == _CPU_FLAGS else _platform_fact(name)
    return facts


def _platform_fact(name: str) -> str:
    path = _XEN_UUID if name == _HYPERVISOR_UUID else _DMI / name
    return path.read_text(encoding="utf-8", errors="replace").strip()


def _cpu_flags() -> str:
    lines = _CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
    return next((line for line in lines if line.startswith("flags")), "")


def _has_vxlan() -> bool:
    """Request a device with an impossible MTU: a kernel with vxlan refuses the MTU, so no device is ever made."""
    _status, _stdout, stderr = commands.run(
        ["ip", "link", "add", "name", "egress-probe", "mtu", "10", "type", "vxlan", "external", "dstport", "4790"]
    )
    return "Unknown device type" not in stderr and "not supported" not in stderr


def _has_xfrm() -> bool:
    try:
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_XFRM).close()
    except OSError:
        return False
    return True
