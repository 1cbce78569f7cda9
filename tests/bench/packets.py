# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure what a packet pays on a node, in network namespaces of this machine's kernel: a pod, a node, a server.

Everything that forwarding does happens while the pod sends, so the time of `send` is the price of a packet. Besides, a
pod makes TCP connections and sends a stream. Each number is the best of some rounds. The node is: plain (one masquerade
rule), with our data plane, or with one iptables rule per pod.
"""

from __future__ import annotations

import contextlib
import ipaddress
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / ".build"), str(ROOT / "tests/unit/helpers")]
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.node_state import NodeState  # noqa: E402
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.state import (  # noqa: E402
    DataPlane,
    desired_data_plane,
    transaction,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.host_io import HostIO  # noqa: E402
from network_namespace import network_namespace  # noqa: E402

POD, SERVER = "egress-ip-bench-pod", "egress-ip-bench-server"
SELECTED, OTHER, TARGET = "10.88.0.2", "10.88.0.3", "192.168.126.200"
OWN, FIRST_ADDRESS = "192.168.126.21", ipaddress.IPv4Address("192.168.64.10")
PODS = 10_000
ROUNDS = 7
# Nanoseconds per packet of one flow, and per packet that begins a flow.
SENDER = """
import socket, sys, time
source, target, count, new = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] == "new"
def sock():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((source, 0))
    s.connect((target, 9))
    return s
socks = [sock() for _ in range(count)] if new else [sock()] * count
for s in socks[:1] if not new else ():
    s.send(b"x")
start = time.perf_counter_ns()
for s in socks:
    try:
        s.send(b"x")
    except OSError:
        pass
print((time.perf_counter_ns() - start) / count)
"""

PORT = 7000
# Reads what each connection sends until it ends, one after the other.
LISTENER = """
import contextlib, socket, sys
with socket.create_server((sys.argv[1], int(sys.argv[2])), backlog=1024) as server:
    print("ready", flush=True)
    while True:
        connection, _address = server.accept()
        with connection, contextlib.suppress(ConnectionResetError):
            while connection.recv(1 << 20):
                pass
"""
# Connections per second, and bytes per second of one connection.
TALKER = """
import socket, struct, sys, time
source, target, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
def connect():
    s = socket.create_connection((target, port), source_address=(source, 0), timeout=10)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return s
start = time.perf_counter()
for _ in range(1000):
    connect().close()
rate = 1000 / (time.perf_counter() - start)
data, sent = bytes(1 << 20), 0
with connect() as s:
    start = time.perf_counter()
    while time.perf_counter() - start < 0.5:
        sent += s.send(data)
    print(rate, sent / (time.perf_counter() - start))
"""


def run(*argv: str, text: str = "") -> str:
    """Standard output of a command that must succeed."""
    return subprocess.run(argv, input=text, capture_output=True, text=True, check=True).stdout


@contextlib.contextmanager
def node() -> Iterator[None]:
    """Be a node between a pod and a server."""
    with contextlib.ExitStack() as stack:
        for name in (POD, SERVER):
            run("ip", "netns", "add", name)
            stack.callback(run, "ip", "netns", "delete", name)
        with network_namespace():
            for ours, there in (("pods0", POD), ("eth0", SERVER)):
                run("ip", "link", "add", ours, "type", "veth", "peer", "name", "eth0", "netns", there)
                run("ip", "link", "set", ours, "up")
            run("ip", "address", "add", "10.88.0.1/16", "dev", "pods0")
            run("ip", "address", "add", f"{OWN}/18", "dev", "eth0")
            run("sysctl", "-qw", "net.ipv4.ip_forward=1")
            inside = {
                POD: ((f"{SELECTED}/16", f"{OTHER}/16"), "route add default via 10.88.0.1"),
                SERVER: ((f"{TARGET}/18",), "route add blackhole 203.0.113.0/24"),
            }
            for name, (addresses, route) in inside.items():
                lines = ["link set lo up", "link set eth0 up", *(f"address add {a} dev eth0" for a in addresses), route]
                run("ip", "-n", name, "-batch", "-", text="\n".join(lines))
            # A port without a listener must not be answered.
            refuse = "add table ip t; add chain ip t i { type filter hook input priority 0; }"
            run("ip", "netns", "exec", SERVER, "nft", f"{refuse}; add rule ip t i meta l4proto udp drop")
            masquerade = "add table ip pods; add chain ip pods p { type nat hook postrouting priority srcnat; }"
            run("nft", f"{masquerade}; add rule ip pods p ip saddr 10.88.0.0/16 oifname eth0 masquerade")
            yield


def price(source: str, new: bool = False) -> float:
    """Nanoseconds that a packet from this pod costs."""
    count = 4000 if new else 20000
    argv = ("ip", "netns", "exec", POD, sys.executable, "-c", SENDER, source, TARGET, str(count), "new" if new else "")
    return min(float(run(*argv)) for _round in range(ROUNDS))


def rates() -> tuple[float, float]:
    """TCP connections per second of the selected pod, and bytes per second of one of them."""
    listener = ("ip", "netns", "exec", SERVER, sys.executable, "-c", LISTENER, TARGET, str(PORT))
    talker = ("ip", "netns", "exec", POD, sys.executable, "-c", TALKER, SELECTED, TARGET, str(PORT))
    with subprocess.Popen(listener, stdout=subprocess.PIPE, text=True) as server:
        try:
            server.stdout.readline()
            found = [[float(word) for word in run(*talker).split()] for _round in range(ROUNDS)]
        finally:
            server.kill()
    connections, bandwidth = (max(values) for values in zip(*found, strict=True))
    return connections, bandwidth


def state(egress_ips: int, pods: int) -> NodeState:
    """The state of a node that holds the egress IPs of that many objects of one address, with that many pods."""
    ips = [str(FIRST_ADDRESS + index) for index in range(egress_ips)]
    first = ipaddress.IPv4Address("10.88.1.0")
    addresses = [SELECTED, *(str(first + index) for index in range(pods - 1))]
    return NodeState.from_dict(
        {
            "name": "node1",
            "generation": 1,
            "interface": "eth0",
            "endpoints": [OWN],
            "nodes": [{"name": "node1", "endpoints": [OWN], "addresses": [OWN]}],
            "excluded": ["10.88.0.0/16"],
            "egressips": [{"name": f"o{i}", "egressIPs": [ip], "slots": [ip]} for i, ip in enumerate(ips)],
            # The measured pod follows the last object.
            "pods": [
                {"address": a, "egressips": [f"o{egress_ips - 1 - i % egress_ips}"]} for i, a in enumerate(addresses)
            ],
            "held": [{"egressIP": ip, "interface": "eth0"} for ip in ips],
        }
    )


def ours(egress_ips: int, pods: int, before: DataPlane | None = None) -> tuple[DataPlane, float]:
    """Apply the data plane to the node's kernel; returns (current data plane, seconds)."""
    wanted = state(egress_ips, pods)
    marks = {ip: index for index, ip in enumerate(wanted.egress_ips, start=1)}
    plane = desired_data_plane(wanted, marks, HostIO.read_host())
    start = time.perf_counter()
    HostIO.execute(transaction(before or DataPlane(), plane))
    return plane, time.perf_counter() - start


def by_iptables(pods: int) -> None:
    """One rule per pod, the measured one last."""
    run("ip", "address", "add", f"{FIRST_ADDRESS}/32", "dev", "eth0")
    first = ipaddress.IPv4Address("10.88.1.0")
    lines = [f"-A POSTROUTING -s {first + i} -o eth0 -j SNAT --to-source {FIRST_ADDRESS}" for i in range(pods - 1)]
    lines.append(f"-A POSTROUTING -s {SELECTED} -o eth0 -j SNAT --to-source {FIRST_ADDRESS}")
    run("iptables-restore", "--noflush", text="\n".join(["*nat", *lines, "COMMIT", ""]))


def main() -> int:
    """Print the table."""
    rows: list[tuple[str, tuple[float, ...], tuple[float, ...]]] = []

    def measure(what: str) -> None:
        prices = price(OTHER), price(SELECTED), price(SELECTED, new=True)
        rows.append((what, prices, rates()))
        words = " ".join(f"{nanoseconds / 1000:.2f}" for nanoseconds in prices)
        connections, bandwidth = rows[-1][2]
        print(f"  {what}: {words} us, {connections:.0f} connections/s, {bandwidth / 1e9:.2f} GB/s", flush=True)

    with node():
        measure("without us")
    for egress_ips, pods in ((1, 10), (100, 1000), (1000, PODS)):
        with node():
            plane, seconds = ours(egress_ips, pods)
            measure(f"{egress_ips} egress IPs, {pods} pods")
            print(f"  made in {seconds:.2f} s", flush=True)
            if pods == PODS:
                added = ours(egress_ips, pods + 1, plane)[1]
                print(f"  one pod more: {added * 1000:.0f} ms", flush=True)
    with node():
        by_iptables(PODS)
        measure(f"{PODS} iptables rules")
    base = (*rows[0][1], *rows[0][2])
    titles = ("packet of another pod", "packet of a selected pod", "first packet of a flow", "connections/s", "bytes/s")
    print("\nTime of packets, and rates of TCP, each as a multiple of those without us\n")
    print(f"| On the node | {' | '.join(titles)} |\n|{'---|' * (len(titles) + 1)}")
    for what, prices, found in rows:
        print(f"| {what} | " + " | ".join(f"{v / b:.2f}" for v, b in zip((*prices, *found), base, strict=True)) + " |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
