# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What egress IPs carry: the value, Prometheus' file, the table, and all of it from the real kernel.

golden/metrics/CASE holds node.yml: changes to a state, what the counters show, and the use of source addresses; and
what they become, metrics.yml, egress_ip.prom and traffic.txt.
"""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import CommandError
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.nft_ruleset import desired_tables
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.nft_transaction import script
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.state import Transaction
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.host_io import HostIO
from ansible_collections.netops.egress_ip.plugins.module_utils._node import metrics_file
from ansible_collections.netops.egress_ip.plugins.module_utils._node.metrics import metrics, textfile
from ansible_collections.netops.egress_ip.plugins.module_utils._node.record import Record
from ansible_collections.netops.egress_ip.plugins.module_utils._protocols.conntrack_usage import Use
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.traffic import traffic
from network_namespace import network_namespace
from states import egress_object, held, node_state

A, B = "192.168.126.101", "192.168.126.102"
SAMPLE = re.compile(
    r'(egress_ip_[a-z_]+)\{((?:[a-z_]+="(?:[^"\\]|\\["\\n])*",?)+)\} ([0-9]+(?:\.[0-9]+)?(?:e-[0-9]+)?)'
)


@pytest.mark.golden("metrics")
def test_metrics(golden):
    node = golden["node"][0]
    used = {source: {name: Use(**use) for name, use in protocols.items()} for source, protocols in node["used"].items()}
    values = metrics(node_state(**node["state"]), node["counters"], used, node.get("conflicts", {}))
    golden.check("metrics.yml", values)
    golden.check("egress_ip.prom", textfile(values))
    held = {row["egressIP"] for row in values["egress_ips"]}
    lines = traffic({"observed": {"node1": {"metrics": values}, "node2": {}}}, held)
    golden.check("traffic.txt", "\n".join([*lines, ""]))


@pytest.mark.golden("metrics")
def test_the_file_is_what_prometheus_reads(golden):
    kinds, helped, seen = {}, set(), set()
    for line in golden["egress_ip.prom"].splitlines():
        if line.startswith("# HELP "):
            helped.add(line.split()[2])
        elif line.startswith("# TYPE "):
            name, kind = line.split()[2:]
            assert name not in kinds
            kinds[name] = kind
        else:
            name, labels, _value = SAMPLE.fullmatch(line).groups()
            # The samples of a family follow its TYPE.
            assert name == list(kinds)[-1]
            assert (name, labels) not in seen
            seen.add((name, labels))
    assert set(kinds) == helped
    assert {kind for name, kind in kinds.items() if name.endswith("_total")} == {"counter"}
    assert {kind for name, kind in kinds.items() if not name.endswith("_total")} == {"gauge"}


def nft_of(state, marks, before=None):
    return Transaction(nft=tuple(script(before or {}, desired_tables(state, marks, 1430))))


def test_counters_stay_when_something_else_changes():
    marks = {A: 1, B: 2}
    first, second = node_state(), node_state(held=held(A, B), pods=[], nodes=[])
    third = node_state(held=held(B))
    with network_namespace("egress0"):
        HostIO.execute(nft_of(first, marks))
        rule = f"add rule inet egress_ip output udp dport 9 counter name transmit_{A}"
        subprocess.run(["nft", "-f", "-"], input=f"{rule}\n", text=True, check=True)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(bytes(72), ("127.0.0.1", 9))
        counted = HostIO.read_counters()
        assert counted == {f"transmit_{A}": (1, 100), f"receive_{A}": (0, 0)}
        HostIO.execute(nft_of(second, marks, HostIO.read_tables()))
        assert HostIO.read_counters() == {**counted, f"transmit_{B}": (0, 0), f"receive_{B}": (0, 0)}
        # What was counted is no drift, and needs no change.
        assert script(HostIO.read_tables(), desired_tables(second, marks, 1430)) == []
        HostIO.execute(nft_of(third, marks, HostIO.read_tables()))
        assert set(HostIO.read_counters()) == {f"transmit_{B}", f"receive_{B}"}


def test_a_mark_that_another_address_gets_counts_anew():
    with network_namespace("egress0"):
        HostIO.execute(nft_of(node_state(), {A: 1, B: 2}))
        HostIO.execute(nft_of(node_state(held=held(B)), {A: 2, B: 1}, HostIO.read_tables()))
        table = desired_tables(node_state(held=held(B)), {A: 2, B: 1}, 1430)
        assert script(HostIO.read_tables(), table) == []


def test_without_our_table_nothing_is_counted():
    with network_namespace():
        assert HostIO.read_counters() == {}


class Host:
    """A host in a namespace of its own at the other end of a link; it runs commands."""

    def __init__(self, link, *lines):
        self.process = subprocess.Popen(["unshare", "-n", "sleep", "600"])
        home = subprocess.run(["readlink", "/proc/self/ns/net"], capture_output=True, check=True).stdout
        there = ["readlink", f"/proc/{self.process.pid}/ns/net"]
        while subprocess.run(there, capture_output=True, check=True).stdout == home:
            pass
        batch(f"link add {link} type veth peer name wire", f"link set {link} up")
        batch(f"link set wire netns {self.process.pid}")
        batch("link set lo up", "link set wire up", *lines, within=self.enter())

    def enter(self):
        return ["nsenter", f"--net=/proc/{self.process.pid}/ns/net"]

    def python(self, code):
        return subprocess.Popen([*self.enter(), "python3", "-c", code], stdout=subprocess.PIPE, text=True)


def batch(*lines, within=()):
    text = "".join(f"{line}\n" for line in lines)
    subprocess.run([*within, "ip", "-batch", "-"], input=text, text=True, check=True)


@contextlib.contextmanager
def holder():
    """A node that holds A, with a pod behind it and a server before it."""
    with network_namespace(), contextlib.ExitStack() as stack:
        hosts = []
        for arguments in (
            ("pods0", "address add 10.88.0.2/24 dev wire", "route add default via 10.88.0.1"),
            ("eth0", "address add 192.168.126.200/18 dev wire"),
        ):
            hosts.append(Host(*arguments))
            stack.callback(hosts[-1].process.wait)
            stack.callback(hosts[-1].process.kill)
        batch(
            "address add 10.88.0.1/24 dev pods0",
            "address add 192.168.126.21/18 dev eth0",
            f"address add {A}/32 dev eth0",
            "link add egress0 type bridge",
        )
        HostIO.write_sysctl("net.ipv4.ip_forward", "1")
        state = node_state(egressips=[egress_object("web", [A])])
        HostIO.execute(nft_of(state, {A: 1}))
        yield Record(state, "", {A: 1}, {}), hosts[0], hosts[1]


SERVER = """
import socket
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("192.168.126.200", 4000))
print("ready", flush=True)
for _ in range(4):
    data, client = sock.recvfrom(100)
    print(client[0], flush=True)
    if data == b"x" * 72:
        sock.sendto(b"y" * 172, client)
"""
CLIENT = """
import socket
for size in (72, 72, 72, 22):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(60)
    sock.sendto(b"x" * size, ("192.168.126.200", 4000))
    if size == 72:
        assert sock.recv(1000) == b"y" * 172
"""


def test_what_a_pod_sends_and_gets_is_counted(tmp_path):
    with holder() as (record, pod, server):
        with server.python(SERVER) as listening:
            assert listening.stdout.readline() == "ready\n"
            with pod.python(CLIENT) as sending:
                assert sending.wait(300) == 0
            assert listening.communicate(timeout=300)[0].split() == [A] * 4
        # The node's own traffic to the same server is none of a pod's.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(bytes(72), ("192.168.126.200", 4000))
        values = metrics_file.measure(HostIO(), record)
        row = values["egress_ips"][0]
        assert {key: row[key] for key in row if key.startswith(("transmit", "receive"))} == {
            "transmit_packets": 4,
            "transmit_bytes": 3 * 100 + 50,
            "receive_packets": 3,
            "receive_bytes": 3 * 200,
        }
        udp = {"protocol": "udp", "connections": 4, "busiest": "192.168.126.200:4000", "port_share": 0.000062}
        assert row["use"] == [{"protocol": "tcp", "connections": 0, "busiest": "", "port_share": 0.0}, udp]
        state = node_state(egressips=[egress_object("web", [A])], options={"metrics_dir": str(tmp_path)})
        metrics_file.write(HostIO(), Record(state, "", {A: 1}, {}))
    (path,) = tmp_path.iterdir()
    assert path.stat().st_mode & 0o777 == 0o644
    assert f'egress_ip_transmit_packets_total{{egress_ip="{A}",object="web"}} 4\n' in path.read_text()


def test_a_link_that_somebody_put_there_is_not_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("theirs")
    (tmp_path / ".egress_ip.prom.new").symlink_to(victim)
    with pytest.raises(CommandError, match="egress_ip.prom: cannot be written: Too many levels of symbolic links"):
        HostIO.publish_file(tmp_path / "egress_ip.prom", b"x")
    assert victim.read_text() == "theirs"
    (tmp_path / ".egress_ip.prom.new").unlink()
    (tmp_path / "egress_ip.prom").symlink_to(victim)
    HostIO.publish_file(tmp_path / "egress_ip.prom", b"x")
    assert (victim.read_text(), (tmp_path / "egress_ip.prom").read_text()) == ("theirs", "x")


def test_a_folder_that_is_not_there_is_not_made(tmp_path):
    state = node_state(options={"metrics_dir": str(tmp_path / "none")})
    with network_namespace(), pytest.raises(CommandError, match="none/egress_ip.prom: cannot be written: No such file"):
        metrics_file.write(HostIO(), Record(state, "", {A: 1, B: 2}, {}))
    assert list(tmp_path.iterdir()) == []
