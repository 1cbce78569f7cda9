# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure what a packet pays on a node, in network namespaces of this machine's kernel: a pod, a node, a server.

Everything that forwarding does happens while the pod sends, so the time of `send` is the price of a packet. All nodes
that are compared exist at the same time and are measured in turn, a few packets each, many times; of each, the quick
measurements count, which nothing interrupted. A pod also makes TCP connections and sends a stream. The node is: plain
(one masquerade rule), with our data plane, or with one iptables rule per pod. With --parts: with one part of our data
plane taken away. With --alternatives: with another means in place of the IPsec policies, some of them less than a whole
protection. Fails if a packet pays more than docs/packet.md promises.
"""

from __future__ import annotations

import contextlib
import ipaddress
import multiprocessing
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
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

SELECTED, OTHER, TARGET = "10.88.0.2", "10.88.0.3", "192.168.126.200"
OWN, FIRST_ADDRESS = "192.168.126.21", ipaddress.IPv4Address("192.168.64.10")
PODS = 10_000
RATES = 7
# Each node is measured that often, with that many packets; the first packets of flows less often.
ROUNDS, PACKETS, FLOWS, NEW_EVERY = 200, 200, 100, 5
# Of the sorted measurements, the one at this part counts.
QUICK = 0.1
# Nodes of one kind differ by a hundredth, since their tables lie elsewhere in memory: --parts has some of each.
COPIES = 4

ANOTHER_POD, HOST, SELECTED_POD = "packet of another pod", "packet of the host", "packet of a selected pod"
# {kind of packet: (source, whether each begins a flow)}
KINDS = {
    ANOTHER_POD: (OTHER, False),
    HOST: (OWN, False),
    SELECTED_POD: (SELECTED, False),
    "first packet of another pod's flow": (OTHER, True),
    "first packet of a selected pod's flow": (SELECTED, True),
}
# docs/packet.md promises them, as multiples of the price without us.
PROMISED = {ANOTHER_POD: 1.35, HOST: 1.10, SELECTED_POD: 1.70}

# Nanoseconds per packet of established connections, or per packet that begins a flow.
SENDER = """
import contextlib, os, socket, sys, time
target, sources = sys.argv[1], sys.argv[2:]
os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
def sock(source):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((source, 0))
    s.connect((target, 9))
    return s
kept = {source: sock(source) for source in sources}
for s in kept.values():
    # Until the server has replied, a connection is new for conntrack.
    s.settimeout(1)
    s.send(b"hello")
    with contextlib.suppress(OSError):
        s.recv(10)
print("ready", flush=True)
for line in sys.stdin:
    source, count, new = line.split()
    socks = [sock(source) if new == "True" else kept[source] for _ in range(int(count))]
    start = time.perf_counter_ns()
    for s in socks:
        try:
            s.send(b"x")
        except OSError:
            pass
    print((time.perf_counter_ns() - start) / len(socks), flush=True)
    if new == "True":
        for s in socks:
            s.close()
"""
# Replies to what is longer than the packets that are measured.
ECHO = """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    s.bind(("", 9))
    print("ready", flush=True)
    while True:
        s.sendto(*s.recvfrom(10))
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
def node(pod: str, server: str) -> Iterator[None]:
    """Be a node between a pod and a server, the names of their namespaces."""
    with contextlib.ExitStack() as stack:
        for name in (pod, server):
            run("ip", "netns", "add", name)
            stack.callback(run, "ip", "netns", "delete", name)
        with network_namespace():
            for ours, there in (("pods0", pod), ("eth0", server)):
                run("ip", "link", "add", ours, "type", "veth", "peer", "name", "eth0", "netns", there)
                run("ip", "link", "set", ours, "up")
            run("ip", "address", "add", "10.88.0.1/16", "dev", "pods0")
            run("ip", "address", "add", f"{OWN}/18", "dev", "eth0")
            run("sysctl", "-qw", "net.ipv4.ip_forward=1")
            inside = {
                pod: ((f"{SELECTED}/16", f"{OTHER}/16"), "route add default via 10.88.0.1"),
                server: ((f"{TARGET}/18",), "route add blackhole 203.0.113.0/24"),
            }
            for name, (addresses, route) in inside.items():
                lines = ["link set lo up", "link set eth0 up", *(f"address add {a} dev eth0" for a in addresses), route]
                run("ip", "-n", name, "-batch", "-", text="\n".join(lines))
            # The packets that are measured, of one byte, are not answered.
            refuse = "add table ip t; add chain ip t i { type filter hook input priority 0; }"
            run("ip", "netns", "exec", server, "nft", f"{refuse}; add rule ip t i udp length 9 drop")
            masquerade = "add table ip pods; add chain ip pods p { type nat hook postrouting priority srcnat; }"
            run("nft", f"{masquerade}; add rule ip pods p ip saddr 10.88.0.0/16 oifname eth0 masquerade")
            yield


@contextlib.contextmanager
def script(text: str, *arguments: str, namespace: str = "") -> Iterator[subprocess.Popen[str]]:
    """Run a Python script that prints a line when it is ready."""
    enter = ("ip", "netns", "exec", namespace) if namespace else ()
    argv = (*enter, sys.executable, "-c", text, *arguments)
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            process.stdout.readline()
            yield process
        finally:
            process.kill()


def rates(pod: str, server: str) -> tuple[float, float]:
    """TCP connections per second of the selected pod, and bytes per second of one of them."""
    talker = ("ip", "netns", "exec", pod, sys.executable, "-c", TALKER, SELECTED, TARGET, str(PORT))
    with script(LISTENER, TARGET, str(PORT), namespace=server):
        connections, bandwidth = (float(word) for word in run(*talker).split())
    return connections, bandwidth


# Changes the node in whose namespace it runs.
Step = Callable[[], object]


def live(connection: Connection, number: int, steps: tuple[Step, ...]) -> None:
    """Be a node that these steps have changed, and measure on request."""
    pod, server = f"egress-ip-bench-{number}-pod", f"egress-ip-bench-{number}-srv"
    with node(pod, server), script(ECHO, namespace=server):
        for step in steps:
            step()
        with script(SENDER, TARGET, OTHER, SELECTED, namespace=pod) as pods, script(SENDER, TARGET, OWN) as host:
            connection.send("ready")
            while (request := connection.recv()) is not None:
                if request == "rates":
                    connection.send(rates(pod, server))
                    continue
                process = host if request.startswith(OWN) else pods
                process.stdin.write(f"{request}\n")
                process.stdin.flush()
                connection.send(float(process.stdout.readline()))


class World:
    """A node in a process of its own."""

    def __init__(self, number: int, steps: tuple[Step, ...]) -> None:
        self._connection, theirs = multiprocessing.Pipe()
        self._process = multiprocessing.Process(target=live, args=(theirs, number, steps))
        self._process.start()
        theirs.close()
        self._connection.recv()

    def ask(self, request: str) -> float | tuple[float, float]:
        """Return what the node has measured."""
        self._connection.send(request)
        return self._connection.recv()

    def end(self) -> None:
        """Remove the node."""
        with contextlib.suppress(OSError):
            self._connection.send(None)
        self._process.join()


@contextlib.contextmanager
def worlds(wanted: dict[str, tuple[Step, ...]]) -> Iterator[dict[str, World]]:
    """Yield {name: World} of nodes with these steps."""
    with contextlib.ExitStack() as stack:
        made = {}
        for number, (name, steps) in enumerate(wanted.items()):
            made[name] = World(number, steps)
            stack.callback(made[name].end)
        yield made


def prices(made: dict[str, World]) -> dict[tuple[str, str], float]:
    """Return {(name, kind): nanoseconds of a packet}."""
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    names = list(made)
    for number in range(ROUNDS):
        names.append(names.pop(0))
        for kind, (source, new) in KINDS.items():
            if not new or number % NEW_EVERY == 0:
                for name in names:
                    found[name, kind].append(made[name].ask(f"{source} {FLOWS if new else PACKETS} {new}"))
    return {key: sorted(values)[int(len(values) * QUICK)] for key, values in found.items()}


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


def ours_and_one_pod_more(egress_ips: int, pods: int) -> None:
    """Apply the data plane, and print how long it takes."""
    plane, seconds = ours(egress_ips, pods)
    added = ours(egress_ips, pods + 1, plane)[1]
    print(
        f"  {egress_ips} egress IPs, {pods} pods: in {seconds:.2f} s; one pod more: {added * 1000:.0f} ms", flush=True
    )


def by_iptables(pods: int) -> None:
    """One rule per pod, the measured one last."""
    run("ip", "address", "add", f"{FIRST_ADDRESS}/32", "dev", "eth0")
    first = ipaddress.IPv4Address("10.88.1.0")
    lines = [f"-A POSTROUTING -s {first + i} -o eth0 -j SNAT --to-source {FIRST_ADDRESS}" for i in range(pods - 1)]
    lines.append(f"-A POSTROUTING -s {SELECTED} -o eth0 -j SNAT --to-source {FIRST_ADDRESS}")
    run("iptables-restore", "--noflush", text="\n".join(["*nat", *lines, "COMMIT", ""]))


def shell(command: str) -> Step:
    """Return the step that runs a command."""
    return lambda: run("sh", "-ec", command)


WITHOUT = "without us"


def sizes() -> int:
    """Compare sizes of the data plane; returns the number of broken promises."""
    wanted: dict[str, tuple[Step, ...]] = {WITHOUT: ()}
    for egress_ips, pods in ((1, 10), (100, 1000), (1000, PODS)):
        name = f"{egress_ips} egress IP{'s' * (egress_ips > 1)}, {pods:,} pods"
        wanted[name] = (lambda egress_ips=egress_ips, pods=pods: ours_and_one_pod_more(egress_ips, pods),)
    iptables = f"{PODS:,} iptables rules, one for each pod"
    wanted[iptables] = (lambda: by_iptables(PODS),)
    with worlds(wanted) as made:
        found = prices(made)
        tcp = {name: [world.ask("rates") for _round in range(RATES)] for name, world in made.items()}
    best = {name: [max(values) for values in zip(*each, strict=True)] for name, each in tcp.items()}
    rows = {name: [*(found[name, kind] for kind in KINDS), *best[name]] for name in wanted}
    words = ", ".join(f"{kind} {found[WITHOUT, kind] / 1000:.2f} us" for kind in KINDS)
    print(f"  {WITHOUT}: {words}, {best[WITHOUT][0]:.0f} connections/s, {best[WITHOUT][1] / 1e9:.2f} GB/s")
    print("\nTime of packets, and rates of TCP, each as a multiple of those without us\n")
    table((*KINDS, "TCP connections per second", "TCP bytes per second"), rows)
    broken = 0
    for name in wanted:
        for kind, most in PROMISED.items():
            ratio = found[name, kind] / found[WITHOUT, kind]
            if ratio > most and name != iptables:
                print(f"{name}: {kind}: {ratio:.2f} times as much as without us, promised are {most:.2f}")
                broken += 1
    return broken


def parts() -> int:
    """Compare nodes without one part of the data plane each."""
    usual = (lambda: ours(1, 10),)
    no_policies, no_rules = "ip xfrm policy flush", "ip rule flush protocol 225"
    no_tables = "nft delete table inet egress_ip; nft delete table netdev egress_ip"
    chains = ("raw_prerouting", "prerouting", "forward", "guard")
    wanted: dict[str, tuple[Step, ...]] = {
        WITHOUT: (),
        "whole": usual,
        "without the IPsec policies": (*usual, shell(no_policies)),
        "without the routing rules": (*usual, shell(no_rules)),
        **{f"without the chain {name}": (*usual, shell(f"nft flush chain inet egress_ip {name}")) for name in chains},
        "without policies and tables": (*usual, shell(f"{no_policies}; {no_tables}")),
        "without policies, tables and rules": (*usual, shell(f"{no_policies}; {no_tables}; {no_rules}")),
    }
    return compare(wanted)


# Each stops the packets of the selected pod that our tables have not marked, or looks for them as that would.
INSTEAD = {
    "a filter of tc": """
tc qdisc add dev pods0 clsact
tc filter add dev pods0 ingress prio 1 handle 2: protocol ip u32 divisor 256
tc filter add dev pods0 ingress prio 1 protocol ip u32 ht 800:: match u32 0 0 hashkey mask 0xff at 12 link 2:
tc filter add dev pods0 ingress prio 1 protocol ip u32 ht 2:2: match ip src 10.88.0.2 flowid 1:1
""",
    "a route for the check of sources": """
ip route add broadcast 10.88.0.2/32 dev lo table 6999
ip rule add priority 6999 iif eth0 fwmark 0/0xfff lookup 6999
sysctl -qw net.ipv4.conf.pods0.src_valid_mark=1
""",
    "a rule for the pods' network": """
nft insert rule inet egress_ip prerouting meta mark set meta mark or 0xfff
ip rule add priority 6999 from 10.88.0.0/16 fwmark 0/0xfff unreachable
""",
}


def alternatives() -> int:
    """Compare nodes with another means in place of the IPsec policies, and other reasons of the kernel's long way."""
    usual = (lambda: ours(1, 10),)
    no_policies = shell("ip xfrm policy flush")
    reverse_path = shell("sysctl -qw net.ipv4.conf.all.rp_filter=2")
    return compare(
        {
            WITHOUT: (),
            "without us, one routing rule": (shell("ip rule add priority 7000 fwmark 1/1 lookup main"),),
            "without us, reverse path filter": (reverse_path,),
            "whole, reverse path filter": (*usual, reverse_path),
            "whole": usual,
            "without the IPsec policies": (*usual, no_policies),
            **{f"{name} instead": (*usual, no_policies, shell(text)) for name, text in INSTEAD.items()},
        }
    )


def compare(wanted: dict[str, tuple[Step, ...]]) -> int:
    """Print the medians of some equal nodes of each kind; returns 0."""
    with worlds({f"{name}, {i}": steps for name, steps in wanted.items() for i in range(COPIES)}) as made:
        found = prices(made)
    rows = {
        name: [statistics.median(found[f"{name}, {i}", kind] for i in range(COPIES)) for kind in KINDS]
        for name in wanted
    }
    table(tuple(KINDS), rows)
    return 0


def table(titles: tuple[str, ...], rows: dict[str, list[float]]) -> None:
    """Print the rows as multiples of the first one."""
    print(f"| On the node | {' | '.join(titles)} |\n|{'---|' * (len(titles) + 1)}")
    base = rows[WITHOUT]
    for what, values in rows.items():
        print(f"| {what} | " + " | ".join(f"{v / b:.2f}" for v, b in zip(values, base, strict=True)) + " |")


if __name__ == "__main__":
    sys.exit({"--parts": parts, "--alternatives": alternatives}.get("".join(sys.argv[1:]), lambda: min(1, sizes()))())
