# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What closes a node when its program cannot run, in the real kernel: loaded by a shell, replaced by a restore."""

from __future__ import annotations

import re
import subprocess

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.closed import closed_policies, closed_ruleset
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.nft_ruleset import desired_tables
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.nft_transaction import script
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.node_state import allocate_marks
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.state import Transaction
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import files
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.host_io import HostIO
from ansible_collections.netops.egress_ip.plugins.module_utils._node import systemd_units
from kernel_host import ip, nft
from network_namespace import network_namespace
from states import node_state

PODS = ["10.88.0.2", "fd00:88::2"]
STATE = node_state(
    excluded=["10.88.0.0/16", "fd00:88::/64"], pods=[{"address": pod, "egressips": ["web"]} for pod in PODS]
)
MARKS = allocate_marks(STATE.egress_ips, {}, STATE.options.max_index)


def close(folder, monkeypatch):
    """Run the commands of the unit that closes a node."""
    for name, text in {"CLOSED_RULES": closed_ruleset(STATE, MARKS), "CLOSED_POLICIES": closed_policies(STATE)}.items():
        monkeypatch.setattr(files, name, folder / name)
        (folder / name).write_text(text)
    unit = systemd_units._units("/gone/python3", systemd_units.Parts())[systemd_units.CLOSED_UNIT]
    path = re.search(r"^Environment=PATH=(.*)$", unit, re.MULTILINE)[1]
    for command in re.findall(r"^ExecStart=-?/bin/sh -c '(.*)'$", unit, re.MULTILINE):
        subprocess.run(["/bin/sh", "-c", command], env={"PATH": path}, check=True)


def chains():
    """Return {family: names of the chains of our tables}."""
    return {family: set(table.chains) for family, table in HostIO.read_tables().items()}


def test_a_node_without_tables_is_closed(tmp_path, monkeypatch):
    with network_namespace():
        close(tmp_path, monkeypatch)
        assert chains() == {"inet": {"closed"}}
        assert len(HostIO.read_host().policies) == len(PODS)


def test_tables_that_are_in_place_stay(tmp_path, monkeypatch):
    with network_namespace("egress0"):
        HostIO.execute(Transaction(nft=tuple(script({}, desired_tables(STATE, MARKS, 1430)))))
        before = chains()
        close(tmp_path, monkeypatch)
        assert chains() == before


def test_the_next_restore_opens_the_node_in_one_transaction(tmp_path, monkeypatch):
    with network_namespace("egress0"):
        close(tmp_path, monkeypatch)
        desired = desired_tables(STATE, MARKS, 1430)
        HostIO.execute(Transaction(nft=tuple(script(HostIO.read_tables(), desired))))
        assert script(HostIO.read_tables(), desired) == []


@pytest.mark.parametrize("missing", ["nft", "ip"])
def test_one_of_both_commands_is_enough(tmp_path, monkeypatch, missing):
    text = {"nft": closed_policies(STATE), "ip": closed_ruleset(STATE, MARKS)}[missing]
    with network_namespace():
        (ip if missing == "nft" else nft)(text.rstrip())
        assert chains() if missing == "ip" else HostIO.read_host().policies
