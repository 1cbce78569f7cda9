# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands for tests on the real kernel."""

from __future__ import annotations

import json
import subprocess
import time

from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.kernel import sysctl_file


def ip(*lines):
    subprocess.run(["ip", "-batch", "-"], input="".join(f"{line}\n" for line in lines), text=True, check=True)


def nft(*lines):
    subprocess.run(["nft", "-f", "-"], input="".join(f"{line}\n" for line in lines), text=True, check=True)


def shown(*argv):
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def connect_wire():
    """Connect the bridge eth0 with `wire`, the other end of a cable."""
    ip("link add port0 type veth peer name wire", "link set port0 master eth0 up", "link set wire up")
    wait_for_wire()


def wait_for_wire():
    """Wait until frames pass between eth0 and the other end: the kernel opens the port a moment after the commands."""
    _wait(lambda: json.loads(shown("ip", "-j", "link", "show", "eth0"))[0]["operstate"] == "UP")


def wait_for_connections(count):
    """Wait until the kernel tracks so many connections: a packet on its way keeps one a little longer."""
    _wait(lambda: int(sysctl_file("net.netfilter.nf_conntrack_count").read_text()) == count)


def _wait(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def tagged(frame):
    """A frame with the tag of VLAN 5."""
    return frame[:12] + b"\x81\x00\x00\x05" + frame[12:]
