# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host on the real kernel."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import (
    commands,
    files,
    plugin_sources,
    preflight,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.host_io import HostIO
from ansible_collections.netops.egress_ip.plugins.module_utils._node import systemd_units
from kernel_host import ip, nft
from network_namespace import network_namespace


def _systemctl(argv):
    """Make or remove the links, as `systemctl enable` and `disable` of both units."""
    for link, unit in systemd_units.links().items():
        if argv[1] in ("enable", "disable"):
            link.unlink(missing_ok=True)
            link.parent.mkdir(exist_ok=True)
            link.parent.rmdir()
        if argv[1] == "enable":
            link.parent.mkdir()
            link.symlink_to(unit)
    return 0, "", ""


@pytest.fixture
def host(monkeypatch, tmp_path):
    """A host in a namespace, with files in a temporary folder, without systemd, and with foreign things."""
    names = {
        "STATE_FILE": "state.json",
        "STATE_COPY": "state.copy.json",
        "CLOSED_RULES": "closed.nft",
        "CLOSED_POLICIES": "closed.ip",
        "TUNNEL_SECRETS": "secrets",
        "FAILOVER_KEY": "key",
        "NFTABLES_DROP_IN": "nftables.service.d/drop-in.conf",
        "LOCK_FILE": "lock",
        "WATCH_FILE": "watch",
        "NETWORKS_FILE": "networks",
        "YIELDED_FILE": "yielded",
        "LOST_FILE": "lost",
        "TAKEOVERS_FILE": "takeovers",
        "CONFLICTS_FILE": "conflicts",
        "PROGRAM_FILE": "node.pyz",
        "STATE_DIRECTORY": ".",
        "UNIT_DIRECTORY": ".",
    }
    # A file of this machine would be that of all tests that run at the same time.
    assert {*names} == {name for name, value in vars(files).items() if isinstance(value, Path) and name.isupper()}
    for name, file in names.items():
        monkeypatch.setattr(files, name, tmp_path / file)
    monkeypatch.setattr(plugin_sources, "WHOLE_PREFIX", str(tmp_path / "program."))
    real = commands.run
    monkeypatch.setattr(
        commands, "run", lambda argv, text="": _systemctl(argv) if argv[0] == "systemctl" else real(argv, text)
    )
    monkeypatch.setattr(HostIO, "run_later", lambda *_arguments: None)
    monkeypatch.setattr(HostIO, "missing_requirements", lambda _io: [])
    # The tests may run in a cloud.
    monkeypatch.setattr(preflight, "_DMI", tmp_path)
    monkeypatch.setattr(preflight, "_XEN_UUID", tmp_path / "uuid")
    with network_namespace("eth0"):
        ip(
            "link set eth0 address 02:00:c0:a8:7e:15",
            "address add 192.168.126.21/18 dev eth0",
            "address add 2001:db8:126::21/64 dev eth0 nodad",
            "route add default via 192.168.126.1",
        )
        ip(
            "rule add priority 100 fwmark 0x4000/0x4000 lookup 100",
            "neighbour add 192.168.126.1 lladdr 02:00:00:00:00:01 dev eth0",
        )
        nft("add table inet theirs", "add chain inet theirs x { type nat hook postrouting priority 100; }")
        nft("add rule inet theirs x masquerade")
        yield tmp_path
