# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole runs on the real kernel, in a network namespace of the test."""

from __future__ import annotations

import contextlib
import subprocess

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import (
    EgressIPError,
    VerificationError,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.options import DataPlaneOptions
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import (
    commands,
    files,
    kernel,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.host_io import HostIO
from ansible_collections.netops.egress_ip.plugins.module_utils._node import execute
from kernel_host import ip, nft, shown, wait_for_wire
from node_runs import A, B, C, apply, observe, remove
from states import egress_object, held, node_state

IO = HostIO()
A6, B6 = "2001:db8:126::101", "2001:db8:126::102"


DUAL = {
    "egressips": [egress_object("web", [A, B, A6, B6])],
    "pods": [{"address": "10.88.0.2", "egressips": ["web"]}, {"address": "fd00:88::2", "egressips": ["web"]}],
    "held": held(A, A6),
}


def drift():
    return observe(IO)["drift"]


def everything():
    return [
        shown("ip", "address", "show", "dev", "eth0", "scope", "global"),
        shown("ip", "rule"),
        shown("ip", "-6", "rule"),
        shown("ip", "route", "show", "table", "all", "type", "unicast"),
        shown("ip", "neighbour", "show", "nud", "permanent"),
        shown("nft", "list", "ruleset"),
        kernel.read_sysctls(["net.ipv4.ip_forward", "net.ipv4.conf.all.rp_filter", "net.ipv6.conf.all.forwarding"]),
    ]


def test_a_life_of_a_node(host):
    before = everything()
    assert apply(IO, node_state())["claimed"] == [A]
    assert drift() == []
    assert not apply(IO, node_state())["changed"]
    more = {"egressips": [egress_object("db", [C]), egress_object("web", [A, B], [B])], "held": held(B, C)}
    result = apply(IO, node_state(generation=2, **more))
    assert (result["released"], result["claimed"]) == ([A], [B, C])
    assert drift() == []
    assert apply(IO, node_state(generation=3, options={"tunnel_device": "tun7", "rule_priority": 9000}))["changed"]
    assert observe(IO, DataPlaneOptions(tunnel_device="tun7"))["drift"] == []
    assert remove(IO)["released"] == [A]
    assert everything() == before
    assert [path.name for path in host.iterdir() if path.name != "lock"] == []


def test_a_life_of_a_node_with_both_ip_versions(host):
    before = everything()
    assert apply(IO, node_state(**DUAL))["claimed"] == [A, A6]
    assert drift() == []
    assert not apply(IO, node_state(**DUAL))["changed"]
    [line] = [line for line in shown("ip", "-o", "-6", "address", "show", "dev", "eth0").splitlines() if A6 in line]
    assert "/128 " in line
    assert {"nodad", "deprecated"} <= set(line.split())
    assert "tentative" not in line
    result = apply(IO, node_state(generation=2, **{**DUAL, "held": held(B, B6)}))
    assert (result["released"], result["claimed"]) == ([A, A6], [B, B6])
    assert drift() == []
    assert remove(IO)["released"] == [B, B6]
    assert everything() == before


def test_ipv6_is_left_alone_while_no_egress_ip_is_of_it(host):
    before = shown("ip", "-6", "rule")
    apply(IO, node_state())
    assert kernel.read_sysctls(["net.ipv6.conf.all.forwarding"]) == {"net.ipv6.conf.all.forwarding": "0"}
    assert shown("ip", "-6", "rule") == before
    assert "225" not in shown("ip", "-6", "route", "show", "table", "all")


def test_a_node_that_lost_its_record_knows_its_addresses_of_both_ip_versions(host):
    apply(IO, node_state(**DUAL))
    before = everything()
    files.remove_file(files.STATE_FILE)
    assert [item["egressIP"] for item in observe(IO)["held"]] == [A, A6]
    result = apply(IO, node_state(**DUAL))
    assert (result["claimed"], result["released"], result["conflicts"]) == ([], [], [])
    assert everything() == before
    files.remove_file(files.STATE_FILE)
    assert remove(IO)["released"] == [A, A6]


DRIFT = {
    "rule": lambda: ip("rule delete priority 7004"),
    "route": lambda: ip("route flush table 7001"),
    "neighbour": lambda: ip("neighbour delete 169.254.0.1 dev egress0"),
    "device": lambda: ip("link delete egress0"),
    "device down": lambda: ip("link set egress0 down"),
    "address": lambda: ip(f"address delete {A}/32 dev eth0"),
    "nft rule": lambda: nft("flush chain inet egress_ip postrouting"),
    "nft element": lambda: nft("flush map inet egress_ip held4"),
    "nft chain": lambda: nft("flush chain netdev egress_ip tunnel_in", "delete chain netdev egress_ip tunnel_in"),
    "nft tables": lambda: nft("flush ruleset"),
    "foreign nft rule": lambda: nft("insert rule inet egress_ip forward accept"),
    "foreign nft chain": lambda: nft(
        "add chain inet egress_ip mine { type filter hook input priority 0; policy drop; }"
    ),
    "policy": lambda: nft("add chain inet egress_ip input { policy drop; }"),
    "dormant table": lambda: nft("add table inet egress_ip { flags dormant; }"),
    "dormant netdev table": lambda: nft("add table netdev egress_ip { flags dormant; }"),
    "sysctl": lambda: kernel.write_sysctl("net.ipv4.conf.egress0.rp_filter", "1"),
    "forwarding": lambda: kernel.write_sysctl("net.ipv4.ip_forward", "0"),
    "file": lambda: files.remove_file(files.PROGRAM_FILE),
}


@pytest.mark.parametrize("kind", DRIFT)
def test_drift_is_seen_and_put_right(host, kind):
    apply(IO, node_state())
    DRIFT[kind]()
    assert drift()
    assert apply(IO, node_state())["changed"]
    assert drift() == []


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("command", ["nft", "ip"])
def test_a_run_that_fails_leaves_the_node_as_it_was(host, monkeypatch, first, command):
    if not first:
        apply(IO, node_state())
    before = everything()
    files = {path.name: path.read_bytes() for path in host.rglob("*") if path.is_file()}
    real, failed = commands.check, []

    def check(argv, text=""):
        if argv[:2] in (["nft", "-f"], ["ip", "-batch"]) and argv[0] == command and not failed:
            failed.append(argv)
            text += "add rule inet no_such_table x accept\n" if command == "nft" else "link set no-such-device up\n"
        return real(argv, text)

    monkeypatch.setattr(commands, "check", check)
    with pytest.raises(EgressIPError, match="the node is as it was before$"):
        apply(IO, node_state(generation=2, egressips=[egress_object("web", [A, B, C])]))
    assert failed
    assert everything() == before
    found = [path for path in host.rglob("*") if path.is_file() and (first is False or path.name != "lock")]
    after = {path.name: path.read_bytes() for path in found}
    assert after == files


def test_a_rule_that_is_not_shown_is_taken_back_with_the_texts_of_the_others(host, monkeypatch):
    apply(IO, node_state())
    before = everything()
    verify = execute.verify

    def fail(*arguments):
        verify(*arguments)
        raise VerificationError("for the test")

    monkeypatch.setattr(execute, "verify", fail)
    with pytest.raises(EgressIPError, match="the node is as it was before$"):
        apply(IO, node_state(generation=2, egressips=[egress_object("web", [A, B, C])], pods=[]))
    assert everything() == before


@contextlib.contextmanager
def neighbour(address):
    """Another host on the wire that has the address: a veth with its end in a namespace of its own."""
    own = f"{address}/64 dev wire nodad" if ":" in address else f"{address}/18 dev wire"
    lines = f"link set lo up\nlink set wire up\naddress add {own}\n"
    with subprocess.Popen(["unshare", "-n", "sleep", "600"]) as other:
        try:
            while shown("readlink", f"/proc/{other.pid}/ns/net") == shown("readlink", "/proc/self/ns/net"):
                pass
            ip(
                "link add port0 type veth peer name wire",
                "link set port0 master eth0 up",
                f"link set wire netns {other.pid}",
            )
            command = ["nsenter", f"--net=/proc/{other.pid}/ns/net", "ip", "-batch", "-"]
            subprocess.run(command, input=lines, text=True, check=True)
            wait_for_wire()
            mac = shown(*command[:2], "ip", "-o", "link", "show", "wire")
            yield mac.partition("link/ether ")[2].split()[0]
        finally:
            other.kill()


@pytest.mark.parametrize(("taken", "free"), [(B, A), (B6, A6)])
def test_an_address_that_another_host_has_is_a_conflict(host, taken, free):
    state = node_state(**{**DUAL, "held": held(free, taken)})
    with neighbour(taken) as mac:
        result = apply(IO, state)
    assert result["conflicts"] == [{**held(taken)[0], "mac": mac}]
    assert result["claimed"] == [free]
    assert drift() == []
