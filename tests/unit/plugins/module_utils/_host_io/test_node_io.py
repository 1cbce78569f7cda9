# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The I/O of a node on the real kernel, in a network namespace of the test: whole runs, frames, connections, files."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import (
    CommandError,
    EgressIPError,
    VerificationError,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.options import DataPlaneOptions
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import node_io
from ansible_collections.netops.egress_ip.plugins.module_utils._node import apply as apply_module
from ansible_collections.netops.egress_ip.plugins.module_utils._node import observe, remove, systemd_units
from ansible_collections.netops.egress_ip.plugins.module_utils._protocols import arp
from ansible_collections.netops.egress_ip.plugins.module_utils._protocols.address_probe import PARSERS, Probe
from network_namespace import network_namespace
from states import egress_object, held, node_state

A, B, C = "192.168.126.101", "192.168.126.102", "192.168.126.103"
A6, B6 = "2001:db8:126::101", "2001:db8:126::102"
DUAL = {
    "egressips": [egress_object("web", [A, B, A6, B6])],
    "pods": [{"address": "10.88.0.2", "egressips": ["web"]}, {"address": "fd00:88::2", "egressips": ["web"]}],
    "held": held(A, A6),
}
FAST = apply_module.Pace(count=2, interval=0.02, timeout=1.0)


def ip(*lines):
    subprocess.run(["ip", "-batch", "-"], input="".join(f"{line}\n" for line in lines), text=True, check=True)


def nft(*lines):
    subprocess.run(["nft", "-f", "-"], input="".join(f"{line}\n" for line in lines), text=True, check=True)


def shown(*argv):
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


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
        "LOCK_FILE": "lock",
        "WATCH_FILE": "watch",
        "GIVEN_UP_FILE": "given-up",
        "PROGRAM_FILE": "node.pyz",
        "STATE_DIRECTORY": ".",
        "UNIT_DIRECTORY": ".",
    }
    for name, file in names.items():
        monkeypatch.setattr(node_io, name, tmp_path / file)
    monkeypatch.setattr(systemd_units, "PROGRAM_FILE", tmp_path / "node.pyz")
    monkeypatch.setattr(systemd_units, "UNIT_DIRECTORY", tmp_path)
    real = node_io.run
    monkeypatch.setattr(
        node_io, "run", lambda argv, text="": _systemctl(argv) if argv[0] == "systemctl" else real(argv, text)
    )
    monkeypatch.setattr(node_io, "later", lambda *_arguments: None)
    monkeypatch.setattr(node_io, "missing_requirements", lambda: [])
    # The tests may run in a cloud.
    monkeypatch.setattr(node_io, "_DMI", tmp_path)
    monkeypatch.setattr(node_io, "_XEN_UUID", tmp_path / "uuid")
    # /sys/class/net is of the namespace that mounted it.
    monkeypatch.setattr(node_io, "mac_address", lambda _interface: "02:00:c0:a8:7e:15")
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


def test_the_platform_is_read_as_far_as_it_is_shown(host, monkeypatch):
    assert set(node_io.platform_facts()) <= {"cpu_flags"}
    (host / "sys_vendor").write_bytes(b"VMware, Inc.\n")
    (host / "product_serial").write_bytes(b"VMware-\xff\n")
    (host / "uuid").write_text("ec2e1916\n")
    facts = node_io.platform_facts()
    facts.pop("cpu_flags", None)
    assert facts == {"sys_vendor": "VMware, Inc.", "product_serial": "VMware-\ufffd", "hypervisor_uuid": "ec2e1916"}
    assert "AWS" in observe.observe(DataPlaneOptions())["problems"][0]
    (host / "uuid").unlink()
    assert observe.observe(DataPlaneOptions())["problems"] == []


def apply(state, **options):
    return apply_module.apply(state, pace=FAST, **options)


def drift():
    return observe.observe(DataPlaneOptions())["drift"]


def everything():
    return [
        shown("ip", "address", "show", "dev", "eth0", "scope", "global"),
        shown("ip", "rule"),
        shown("ip", "-6", "rule"),
        shown("ip", "route", "show", "table", "all", "type", "unicast"),
        shown("ip", "neighbour", "show", "nud", "permanent"),
        shown("nft", "list", "ruleset"),
        node_io.read_sysctls(["net.ipv4.ip_forward", "net.ipv4.conf.all.rp_filter", "net.ipv6.conf.all.forwarding"]),
    ]


def test_a_life_of_a_node(host):
    before = everything()
    assert apply(node_state())["claimed"] == [A]
    assert drift() == []
    assert not apply(node_state())["changed"]
    more = {"egressips": [egress_object("db", [C]), egress_object("web", [A, B], [B])], "held": held(B, C)}
    result = apply(node_state(generation=2, **more))
    assert (result["released"], result["claimed"]) == ([A], [B, C])
    assert drift() == []
    assert apply(node_state(generation=3, options={"tunnel_device": "tun7", "rule_priority": 9000}))["changed"]
    assert observe.observe(DataPlaneOptions(tunnel_device="tun7"))["drift"] == []
    assert remove.remove(DataPlaneOptions())["released"] == [A]
    assert everything() == before
    assert [path.name for path in host.iterdir() if path.name != "lock"] == []


def test_a_life_of_a_node_with_both_ip_versions(host):
    before = everything()
    assert apply(node_state(**DUAL))["claimed"] == [A, A6]
    assert drift() == []
    assert not apply(node_state(**DUAL))["changed"]
    [line] = [line for line in shown("ip", "-o", "-6", "address", "show", "dev", "eth0").splitlines() if A6 in line]
    assert "/128 " in line
    assert {"nodad", "deprecated"} <= set(line.split())
    assert "tentative" not in line
    result = apply(node_state(generation=2, **{**DUAL, "held": held(B, B6)}))
    assert (result["released"], result["claimed"]) == ([A, A6], [B, B6])
    assert drift() == []
    assert remove.remove(DataPlaneOptions())["released"] == [B, B6]
    assert everything() == before


def test_ipv6_is_left_alone_while_no_egress_ip_is_of_it(host):
    before = shown("ip", "-6", "rule")
    apply(node_state())
    assert node_io.read_sysctls(["net.ipv6.conf.all.forwarding"]) == {"net.ipv6.conf.all.forwarding": "0"}
    assert shown("ip", "-6", "rule") == before
    assert "225" not in shown("ip", "-6", "route", "show", "table", "all")


def test_a_node_that_lost_its_record_knows_its_addresses_of_both_ip_versions(host):
    apply(node_state(**DUAL))
    before = everything()
    node_io.remove_file(node_io.STATE_FILE)
    assert [item["egressIP"] for item in observe.observe(DataPlaneOptions())["held"]] == [A, A6]
    result = apply(node_state(**DUAL))
    assert (result["claimed"], result["released"], result["conflicts"]) == ([], [], [])
    assert everything() == before
    node_io.remove_file(node_io.STATE_FILE)
    assert remove.remove(DataPlaneOptions())["released"] == [A, A6]


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
    "sysctl": lambda: node_io.write_sysctl("net.ipv4.conf.egress0.rp_filter", "1"),
    "forwarding": lambda: node_io.write_sysctl("net.ipv4.ip_forward", "0"),
    "file": lambda: node_io.remove_file(node_io.PROGRAM_FILE),
}


@pytest.mark.parametrize("kind", DRIFT)
def test_drift_is_seen_and_put_right(host, kind):
    apply(node_state())
    DRIFT[kind]()
    assert drift()
    assert apply(node_state())["changed"]
    assert drift() == []


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("command", ["nft", "ip"])
def test_a_run_that_fails_leaves_the_node_as_it_was(host, monkeypatch, first, command):
    if not first:
        apply(node_state())
    before = everything()
    files = {path.name: path.read_bytes() for path in host.rglob("*") if path.is_file()}
    real, failed = node_io.check, []

    def check(argv, text=""):
        if argv[:2] in (["nft", "-f"], ["ip", "-batch"]) and argv[0] == command and not failed:
            failed.append(argv)
            text += "add rule inet no_such_table x accept\n" if command == "nft" else "link set no-such-device up\n"
        return real(argv, text)

    monkeypatch.setattr(node_io, "check", check)
    with pytest.raises(EgressIPError, match="the node is as it was before$"):
        apply(node_state(generation=2, egressips=[egress_object("web", [A, B, C])]))
    assert failed
    assert everything() == before
    found = [path for path in host.rglob("*") if path.is_file() and (first is False or path.name != "lock")]
    after = {path.name: path.read_bytes() for path in found}
    assert after == files


def test_a_rule_that_is_not_shown_is_taken_back_with_the_texts_of_the_others(host, monkeypatch):
    apply(node_state())
    before = everything()
    verify = apply_module.Run._verify

    def fail(run, *arguments):
        verify(run, *arguments)
        raise VerificationError("for the test")

    monkeypatch.setattr(apply_module.Run, "_verify", fail)
    with pytest.raises(EgressIPError, match="the node is as it was before$"):
        apply(node_state(generation=2, egressips=[egress_object("web", [A, B, C])], pods=[]))
    assert everything() == before


@contextlib.contextmanager
def neighbour(address):
    """Another host on the wire that has the address: a veth with its end in a namespace of its own."""
    own = f"{address}/64 dev wire nodad" if ":" in address else f"{address}/18 dev wire"
    lines = f"link set lo up\nlink set wire up\naddress add {own}\n"
    with subprocess.Popen(["unshare", "-n", "sleep", "60"]) as other:
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
            mac = shown(*command[:2], "ip", "-o", "link", "show", "wire")
            yield mac.partition("link/ether ")[2].split()[0]
        finally:
            other.kill()


@pytest.mark.parametrize(("taken", "free"), [(B, A), (B6, A6)])
def test_an_address_that_another_host_has_is_a_conflict(host, taken, free):
    state = node_state(**{**DUAL, "held": held(free, taken)})
    with neighbour(taken) as mac:
        result = apply(state)
    assert result["conflicts"] == [{**held(taken)[0], "mac": mac}]
    assert result["claimed"] == [free]
    assert drift() == []


@pytest.mark.parametrize("address", [A, A6])
def test_frames_go_over_the_wire(host, address):
    ip("link add port0 type veth peer name wire", "link set port0 master eth0 up", "link set wire up")
    probe = Probe(address, "02:00:c0:a8:7e:15", 1, 0.01, 10**12)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(probe.ethertype)) as sock:
        sock.bind(("wire", probe.ethertype))
        sock.settimeout(5)
        assert list(node_io.run_probes({"eth0": [probe]})) == [({address}, {})]
        heard = None
        while heard is None or heard.mac != probe.mac:
            heard = PARSERS[probe.ethertype](sock.recv(2048))
        assert heard.probes == address


def test_no_answer_is_lost_among_the_frames_of_others(host):
    """Two thousand probes for other addresses, and one host that says that it has ours."""
    other = "02:00:c0:a8:7e:16"
    ip("link add port0 type veth peer name wire", "link set port0 master eth0 up", "link set wire up")
    frames = [arp.probe_frame(other, f"192.168.{64 + n // 250}.{n % 250}") for n in range(2000)]
    frames.append(arp.announcements(other, B, other)[1])
    probes = [Probe(address, "02:00:c0:a8:7e:15", 3, 0.1, 10**12) for address in (A, B, C)]
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
        sock.bind(("wire", arp.ETHERTYPE))
        sending = threading.Timer(0.05, lambda: [sock.send(frame) for frame in frames])
        sending.start()
        found = list(node_io.run_probes({"eth0": probes}))
        sending.join()
    assert {address: mac for _free, conflicts in found for address, mac in conflicts.items()} == {B: other}
    assert set().union(*(free for free, _conflicts in found)) == {A, C}


def test_no_interface_is_a_clear_error(host):
    with pytest.raises(CommandError, match="cannot send on eth7"):
        node_io.send_frames("eth7", [(0x0806, [])])


def connections():
    return int(node_io._sysctl_file("net.netfilter.nf_conntrack_count").read_text())


def test_connections_are_forgotten_by_their_mark():
    with network_namespace():
        nft("add table inet theirs", "add chain inet theirs marking { type filter hook output priority 0; }")
        nft("add rule inet theirs marking ct mark set 5")
        with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
            node_io.forget_connections([4], 0x1FFF)
            assert connections() == 1
            node_io.forget_connections([4, 5], 0x1FFF)
            assert connections() == 0


def test_a_command_that_fails_says_what_it_said():
    with pytest.raises(CommandError, match=r"^ip link show no-such: exit status 1: Device \"no-such\" does not exist"):
        node_io.check(["ip", "link", "show", "no-such"])
    with pytest.raises(CommandError, match=r"^no-such-command: is not installed on this host$"):
        node_io.check(["no-such-command"])


def test_a_command_that_hangs_is_stopped(monkeypatch):
    monkeypatch.setattr(node_io, "COMMAND_TIMEOUT", 0.1)
    with pytest.raises(CommandError, match="did not end within"):
        node_io.check(["sleep", "5"])


def test_a_second_run_waits_for_the_first(monkeypatch, tmp_path):
    monkeypatch.setattr(node_io, "LOCK_FILE", tmp_path / "lock")
    order = []

    def second():
        with node_io.lock():
            order.append("second")

    with node_io.lock():
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.2)
        order.append("first")
    thread.join(5)
    assert order == ["first", "second"]


def test_a_run_that_never_ends_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(node_io, "LOCK_FILE", tmp_path / "lock")
    monkeypatch.setattr(node_io, "COMMAND_TIMEOUT", 0.1)
    with node_io.lock(), pytest.raises(CommandError, match="another run has been changing this node"), node_io.lock():
        pass


def test_files_are_whole_or_not_there(monkeypatch, tmp_path):
    path = tmp_path / "folder" / "file"
    node_io.write_file(path, b"one", 0o600)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"one", 0o600)

    def no_space(_descriptor):
        raise OSError(28, "No space left")

    monkeypatch.setattr(node_io.os, "fsync", no_space)
    with pytest.raises(CommandError, match=r"file: cannot be written: No space left$"):
        node_io.write_file(path, b"two", 0o600)
    assert path.read_bytes() == b"one"
    node_io.remove_file(path)
    node_io.remove_file(path)
    assert node_io.read_file(path) is None


def test_units_are_stopped_before_their_files_go_and_timers_before_what_they_start(monkeypatch, tmp_path):
    service, timer, missing = (tmp_path / "units" / name for name in ("a.service", "a.timer", "b.service"))
    service.parent.mkdir()
    other = tmp_path / "file"
    for path in (service, timer, other):
        path.touch()
    said = []
    monkeypatch.setattr(node_io, "UNIT_DIRECTORY", service.parent)
    monkeypatch.setattr(
        node_io, "run", lambda argv, text="": (said.append((*argv[1:], service.exists())), (0, "", ""))[1]
    )
    node_io.remove_files([service, timer, missing, other])
    assert said == [
        ("stop", "--quiet", "a.timer", "a.service", "b.service", True),
        ("disable", "--quiet", "a.timer", "a.service", "b.service", True),
        ("daemon-reload", False),
        ("reset-failed", "a.timer", "a.service", "b.service", False),
    ]
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    said.clear()
    node_io.remove_files([other])
    assert said == []


def test_a_device_with_dots_in_its_name():
    path = str(node_io._sysctl_file("net.ipv4.conf.eth0.10.rp_filter"))
    assert path == "/proc/sys/net/ipv4/conf/eth0.10/rp_filter"
