# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The addresses in the network namespace of a process."""

from __future__ import annotations

import contextlib
import os
import subprocess

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.process_network import (
    addresses_of,
    network_of,
    shares_network,
)


@contextlib.contextmanager
def process(*words):
    """A process that has written a line, by its number."""
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as started:
        try:
            assert started.stdout.readline() == "ready\n"
            yield started.pid
        finally:
            started.kill()


def with_addresses(*lines):
    """A process in a network namespace with these addresses."""
    commands = "".join(f"ip address add {line}; " for line in lines)
    return process("unshare", "--net", "sh", "-c", f"ip link set lo up; {commands}echo ready; exec sleep 600")


def test_addresses_of_both_versions_and_all_interfaces():
    lines = ("10.88.0.7/16 dev lo", "192.0.2.1/32 dev lo", "fd00:88::7/64 dev lo", "fe80::7/64 dev lo")
    link = "169.254.7.7/16 dev lo"
    with with_addresses(*lines, link) as pid:
        assert addresses_of(pid) == ["10.88.0.7", "192.0.2.1", "fd00:88::7"]
        assert network_of(pid) != network_of("self") == network_of(os.getpid())
        assert not shares_network(pid)


def test_the_network_of_the_host_and_an_empty_one():
    with process("sh", "-c", "echo ready; exec sleep 600") as pid:
        assert addresses_of(pid) == []
        assert shares_network(pid)
    with process("unshare", "--net", "sh", "-c", "echo ready; exec sleep 600") as pid:
        assert addresses_of(pid) == []


def test_a_router_has_many_addresses():
    lines = [f"10.88.0.{number}/32 dev lo" for number in range(1, 18)]
    with with_addresses(*lines) as pid:
        assert len(addresses_of(pid)) == 17


def test_a_process_that_has_ended():
    with process("sh", "-c", "echo ready; exec sleep 600") as pid:
        pass
    assert network_of(pid) == ""
    with pytest.raises(OSError, match="No such file"):
        addresses_of(pid)
