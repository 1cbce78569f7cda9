# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure what a pod sees of a takeover: the table of docs/failover.md.

Nodes are network namespaces on one bridge, each with the node's program, its own /run and its own record; no run of a
playbook takes part. A pod on a node that holds nothing sends UDP from new ports every 5 ms; the server notes when and
from which source they arrive, and sends ARP requests for the egress IP every 10 ms, to count who answers. Some TCP
connections of the pod go on meanwhile: in one half the pod asks and the server answers, in the other only the server
sends.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import itertools
import json
import os
import signal
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT.parents[2]))

from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.esp import fingerprint  # noqa: E402
from ansible_collections.netops.egress_ip.plugins.module_utils._node import zipapp  # noqa: E402

# Two of them can run side by side.
LAB = os.environ.get("EGRESS_IP_LAB_NAME", "")[:3]
PREFIX = f"egress-ip-fo{LAB}"
_CLONE_NEWNET = 0x40000000
POD = "10.88.0.2"
RECORD = "/var/lib/netops-egress-ip/state.json"
KEY, KEY_FILE = "k" * 40, "/var/lib/netops-egress-ip/failover.key"
PORT, TCP_PORT, CONNECTIONS = 7777, 7778, 5
# Starts a process with its own /run and /var/lib, where the node keeps its files, and waits. The host of a program that
# is asked to end shuts down.
SANDBOX = f"""
mount -t tmpfs none /run && mkdir -p /run/systemd/system && mount -t tmpfs none /var/lib
mount -t tmpfs none /usr/local/sbin
printf '#!/bin/sh\necho stopping\n' > /usr/local/sbin/systemctl && chmod 755 /usr/local/sbin/systemctl
mkdir /var/lib/netops-egress-ip && printf {KEY} > {KEY_FILE} && echo ready && exec sleep infinity
"""
# Sends a datagram from a new port every 5 ms.
SENDER = f"""
import socket, sys, time
due = time.monotonic()
while True:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.sendto(b"x", (sys.argv[1], {PORT}))
        except OSError:
            pass
    due += 0.005
    time.sleep(max(0.0, due - time.monotonic()))
"""
# Answers each byte, or sends one every 20 ms, as the first byte of the client wants it.
TCP_SERVER = f"""
import asyncio, sys

async def serve(reader, writer):
    kind = await reader.readexactly(1)
    try:
        while True:
            writer.write(await reader.readexactly(1) if kind == b"a" else b"x")
            await writer.drain()
            await asyncio.sleep(0 if kind == b"a" else 0.02)
    except (OSError, asyncio.IncompleteReadError):
        writer.close()

async def main():
    server = await asyncio.start_server(serve, sys.argv[1], {TCP_PORT})
    print("ready", flush=True)
    await server.serve_forever()

asyncio.run(main())
"""
# Prints {kind: [longest seconds without data of each connection, or null if it is dead]} when its input ends.
TCP_CLIENT = f"""
import asyncio, json, sys, time

found = {{"a": [], "p": []}}

async def talk(kind):
    times = [time.monotonic()]
    found[kind].append(times)
    try:
        reader, writer = await asyncio.open_connection(sys.argv[1], {TCP_PORT})
        writer.write(kind.encode())
        while True:
            if kind == "a":
                await asyncio.sleep(0.02)
                writer.write(b"x")
            if not await reader.read(1):
                return
            times.append(time.monotonic())
    except OSError:
        pass

async def main():
    tasks = [asyncio.create_task(talk(kind)) for kind in found for _ in range({CONNECTIONS})]
    await asyncio.sleep(0.3)
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    end = time.monotonic()
    gap = lambda times: max(b - a for a, b in zip(times, times[1:])) if end - times[-1] < 0.5 < len(times) - 9 else None
    print(json.dumps({{kind: [gap(each) for each in listed] for kind, listed in found.items()}}), flush=True)
    for task in tasks:
        task.cancel()

asyncio.run(main())
"""


class Wire(NamedTuple):
    """A network in which nodes hold an egress IP: their interface, and the addresses of all hosts."""

    interface: str
    egress_ip: str
    more: str
    gateway: str
    server: str
    own: str
    length: int


PRIMARY = Wire("eth0", "192.168.126.101", "192.168.127.{}", "192.168.126.1", "192.168.126.200", "192.168.126.2{}", 18)
SECONDARY = Wire("eth1", "172.30.0.101", "172.30.1.{}", "172.30.0.1", "172.30.0.200", "172.30.0.2{}", 16)
WIRES = (PRIMARY, SECONDARY)


def run(*argv: str, text: str = "") -> str:
    """Run a command; its output."""
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr or done.stdout}")
    return done.stdout


def bridge_of(interface: str) -> str:
    """The bridge that is the switch of a network."""
    return f"fo{LAB}-{interface}"


class Namespace:
    """A host: a network namespace with a link to the bridge of each network, and a process that keeps its mounts."""

    def __init__(self, name: str, addresses: Mapping[str, str]) -> None:
        self.name, self.netns = name, f"{PREFIX}-{name}"
        self.ports = {interface: f"fo{LAB}-{name}{interface[-1]}" for interface in addresses}
        run("ip", "netns", "add", self.netns)
        for interface, port in self.ports.items():
            run("ip", "link", "add", port, "type", "veth", "peer", "name", interface, "netns", self.netns)
        self.plug()
        argv = ["ip", "netns", "exec", self.netns, "unshare", "-m", "sh", "-ec", SANDBOX]
        self.keeper = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        assert self.keeper.stdout is not None
        self.keeper.stdout.readline()
        self.do("ip", "link", "set", "lo", "up")
        for interface, address in addresses.items():
            self.do("ip", "link", "set", interface, "up")
            self.do("ip", "address", "add", address, "dev", interface)

    def plug(self) -> None:
        """Connect the host with the switches."""
        for interface, port in self.ports.items():
            run("ip", "link", "set", port, "master", bridge_of(interface), "up")

    def unplug(self, *words: str) -> None:
        """Change its ports of the switches."""
        for port in self.ports.values():
            run("ip", "link", "set", port, *words)

    def argv(self, *argv: str) -> list[str]:
        """The command in this host."""
        return ["nsenter", "-t", str(self.keeper.pid), "-m", "-n", *argv]

    def do(self, *argv: str, text: str = "") -> str:
        """Run a command in this host."""
        return run(*self.argv(*argv), text=text)

    def mac(self, interface: str) -> str:
        """The MAC address of an interface."""
        return json.loads(self.do("ip", "-j", "link", "show", "dev", interface))[0]["address"]

    def close(self) -> None:
        """Remove the host."""
        self.keeper.kill()
        self.keeper.wait()
        for port in self.ports.values():
            subprocess.run(["ip", "link", "delete", port], check=False)
        subprocess.run(["ip", "netns", "delete", self.netns], check=False)


class Node(Namespace):
    """A node with the program of the collection."""

    def __init__(self, name: str, number: int) -> None:
        self.number, self.own = number, PRIMARY.own.format(number)
        super().__init__(name, {wire.interface: f"{wire.own.format(number)}/{wire.length}" for wire in WIRES})
        self.do("ip", "route", "add", "default", "via", PRIMARY.gateway)
        self.process: subprocess.Popen[str] | None = None

    def program(self, *words: str) -> str:
        """Run a command of the program."""
        return self.do("python3", "-I", str(PROGRAM), *words)

    def write_record(self, state: dict) -> None:
        """Put a state on record."""
        marks = {ip: i for i, ip in enumerate(sorted({i for o in state["egressips"] for i in o["egressIPs"]}), 1)}
        record = {"state": state, "requested_digest": "", "marks": marks, "original_sysctls": {}}
        self.do("sh", "-c", f"cat > {RECORD}.new && mv {RECORD}.new {RECORD}", text=json.dumps(record))

    def follow(self, log: Path) -> None:
        """Start the program that follows the egress IPs."""
        with log.open("a") as file:
            self.process = subprocess.Popen(
                self.argv("nice", "-n", "-10", "python3", "-I", str(PROGRAM), "follow"),
                stderr=file,
                stdout=file,
                text=True,
            )

    def stop(self, how: int = signal.SIGKILL) -> None:
        """End that program."""
        if self.process:
            self.process.send_signal(how)
            self.process.wait()
            self.process = None

    def addresses(self) -> set[str]:
        """The IPv4 addresses of the host."""
        links = json.loads(self.do("ip", "-j", "-4", "address", "show"))
        return {item["local"] for link in links for item in link["addr_info"]}

    def close(self) -> None:
        self.stop()
        super().close()


PROGRAM = Path("/tmp") / f"{PREFIX}.pyz"


class Fleet:
    """The hosts. `count` nodes may hold the egress IPs; one more has the pod."""

    def __init__(self, count: int, egress_ips: list[str], log: Path, after: float = 0.2, wire: Wire = PRIMARY) -> None:
        PROGRAM.write_bytes(zipapp.make())
        self.log, self.egress_ips, self.after, self.wire = log, egress_ips, after, wire
        self.generation = 0
        with contextlib.ExitStack() as stack:
            for each in WIRES:
                run("ip", "link", "add", bridge_of(each.interface), "type", "bridge", "mcast_snooping", "0")
                stack.callback(run, "ip", "link", "delete", bridge_of(each.interface))
                run("ip", "link", "set", bridge_of(each.interface), "up")
            gateway = Namespace("gate", {each.interface: f"{each.gateway}/{each.length}" for each in WIRES})
            stack.callback(gateway.close)
            self.server = Namespace("server", {each.interface: f"{each.server}/{each.length}" for each in WIRES})
            stack.callback(self.server.close)
            self.nodes: list[Node] = []
            for i in range(1, count + 2):
                self.nodes.append(Node(f"n{i}", i))
                stack.callback(self.nodes[-1].close)
            self.holders, self.pod_node = self.nodes[:-1], self.nodes[-1]
            self._add_pod()
            # What is not complete is removed at once.
            self._stack = stack.pop_all()

    def _add_pod(self) -> None:
        node = self.pod_node
        node.do("ip", "netns", "add", f"{PREFIX}-pod")
        for words in (
            f"link add pod0 type veth peer name eth0 netns {PREFIX}-pod",
            "link set pod0 up",
            "address add 10.88.0.1/16 dev pod0",
            f"-n {PREFIX}-pod link set eth0 up",
            f"-n {PREFIX}-pod address add {POD}/16 dev eth0",
            f"-n {PREFIX}-pod route add default via 10.88.0.1",
        ):
            node.do("ip", *words.split())
        node.do("sysctl", "-qw", "net.ipv4.ip_forward=1")

    def state(self, node: Node, holder: Node) -> dict:
        """The state of a node when `holder` has all addresses, and the others are its standbys in order."""
        order = [each for each in self.holders if each is not holder][:3]
        wire, ends = self.wire, []
        peers = [
            {"name": each.name, "address": wire.own.format(each.number), "mac": each.mac(wire.interface)}
            for each in (*order, holder)
        ]
        standbys = [{"egressIP": ip, "interface": wire.interface, "order": peers} for ip in self.egress_ips]
        if wire is SECONDARY:
            ends = [{"egressIP": ip, "ends": {n.name: n.own for n in self.holders}} for ip in self.egress_ips]
        return {
            "name": node.name,
            "generation": self.generation,
            "interface": "eth0",
            "endpoints": [node.own],
            "options": {},
            "nodes": [{"name": n.name, "endpoints": [n.own], "addresses": [n.own]} for n in self.nodes],
            "excluded": ["10.88.0.0/16"],
            "egressips": [
                {"name": f"web{i}", "egressIPs": [ip], "slots": [ip]} for i, ip in enumerate(self.egress_ips)
            ],
            "pods": [{"address": POD, "egressips": ["web0"]}] if node is self.pod_node else [],
            "held": [{"egressIP": ip, "interface": wire.interface} for ip in self.egress_ips] if node is holder else [],
            "far_ends": [{"egressIP": each["egressIP"], "endpoint": holder.own} for each in ends],
            "failover": {
                "after": self.after,
                "witnesses": [each.gateway for each in WIRES],
                "key": fingerprint(KEY),
                "ends": ends,
            },
            "standbys": standbys if node in self.holders else [],
        }

    def apply(self, holder: Node) -> None:
        """Make all nodes what a plan with this holder wants."""
        self.generation += 1
        for node in self.nodes:
            node.write_record(self.state(node, holder))
        for node in self.nodes:
            if node is not holder:
                node.program("restore")
        for node in [each for each in self.nodes if each is not holder] + [holder]:
            node.program("claim")

    def start(self) -> None:
        """Start the programs, and let them learn who is where."""
        for node in self.nodes:
            if not node.process:
                node.follow(self.log)
        time.sleep(3)

    def close(self) -> None:
        """Remove everything."""
        self._stack.close()
        PROGRAM.unlink(missing_ok=True)


class Client(threading.Thread):
    """What the server sees: the datagrams of the pod, and who answers for the egress IP."""

    def __init__(self, fleet: Fleet) -> None:
        super().__init__(daemon=True)
        self.fleet, self.ends = fleet, False
        self.arrived: list[tuple[float, str]] = []
        self.answers: list[tuple[float, str]] = []
        self.sender: subprocess.Popen[bytes] | None = None
        self.tcp: list[subprocess.Popen[str]] = []
        # {kind of connection: [longest gap of each, None if it is dead]}.
        self.streams: dict[str, list[float | None]] = {}
        self.ready = threading.Event()

    def run(self) -> None:
        with Path(f"/run/netns/{self.fleet.server.netns}").open("rb") as netns:
            ctypes.CDLL(None).setns(netns.fileno(), _CLONE_NEWNET)
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        wire = self.fleet.wire
        udp.bind((wire.server, PORT))
        udp.setblocking(False)
        arp = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))
        arp.bind((wire.interface, 0x0806))
        arp.setblocking(False)
        mac = arp.getsockname()[4]
        question = b"\xff" * 6 + mac + struct.pack("!HHHBBH", 0x0806, 1, 0x0800, 6, 4, 1)
        question += mac + socket.inet_aton(wire.server) + bytes(6) + socket.inet_aton(wire.egress_ip)
        sought = socket.inet_aton(wire.egress_ip)
        self.ready.set()
        due = time.monotonic()
        while not self.ends:
            time.sleep(0.001)
            now = time.monotonic()
            with contextlib.suppress(BlockingIOError):
                while True:
                    self.arrived.append((now, udp.recvfrom(100)[1][0]))
            with contextlib.suppress(BlockingIOError):
                while True:
                    frame = arp.recv(100)
                    if frame[:6] == mac and frame[20:22] == b"\0\2" and frame[28:32] == sought:
                        self.answers.append((now, frame[22:28].hex(":")))
            if now >= due:
                arp.send(question)
                due = now + 0.01

    def __enter__(self) -> Client:
        self.start()
        self.ready.wait()
        server = self.fleet.wire.server
        argv = self.fleet.pod_node.argv("ip", "netns", "exec", f"{PREFIX}-pod", "python3", "-c", SENDER, server)
        self.sender = subprocess.Popen(argv)
        end = time.monotonic() + 20
        while not self.arrived:
            if time.monotonic() > end:
                raise RuntimeError("no datagram of the pod arrives")
            time.sleep(0.05)
        for argv in (
            self.fleet.server.argv("python3", "-c", TCP_SERVER, server),
            self.fleet.pod_node.argv("ip", "netns", "exec", f"{PREFIX}-pod", "python3", "-c", TCP_CLIENT, server),
        ):
            process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            assert process.stdout is not None
            process.stdout.readline()
            self.tcp.append(process)
        return self

    def __exit__(self, *_error: object) -> None:
        server, client = self.tcp
        self.streams = json.loads(client.communicate()[0])
        server.kill()
        server.communicate()
        self.ends = True
        self.join()
        assert self.sender is not None
        self.sender.kill()
        self.sender.wait()

    def gap(self) -> float:
        """The longest time without a datagram from the egress IP."""
        times = [at for at, source in self.arrived if source == self.fleet.wire.egress_ip]
        return max((later - one for one, later in itertools.pairwise(times)), default=float("inf"))

    def alive(self, kind: str) -> int:
        """The connections of a kind that go on: `a`, the pod asks, or `p`, only the server sends."""
        return sum(gap is not None for gap in self.streams[kind])

    def stream_gap(self) -> float:
        """The longest time in which a connection that goes on had no data."""
        return max((gap for gaps in self.streams.values() for gap in gaps if gap is not None), default=float("inf"))

    def wrong(self) -> int:
        """Datagrams with another source."""
        return sum(source != self.fleet.wire.egress_ip for _at, source in self.arrived)

    def overlap(self) -> float:
        """The longest time in which two hosts answered in turn."""
        macs = sorted({mac for _at, mac in self.answers})
        spans = {mac: [at for at, each in self.answers if each == mac] for mac in macs}
        longest = 0.0
        for one in macs:
            for other in macs:
                if one < other:
                    begin = max(spans[one][0], spans[other][0])
                    end = min(spans[one][-1], spans[other][-1])
                    longest = max(longest, end - begin)
        return longest


def cut(fleet: Fleet, node: Node) -> None:
    """The cable of a node is pulled at the switch."""
    node.unplug("down")


def isolate(fleet: Fleet, node: Node) -> None:
    """The node keeps its link, and nothing passes the switch."""
    node.unplug("nomaster")


def kill(fleet: Fleet, node: Node) -> None:
    """The node loses its power: its program ends, and its kernel does not answer any more."""
    node.unplug("nomaster")
    node.stop()


def shut_down(fleet: Fleet, node: Node) -> None:
    """The host is shut down: systemd ends its program, and some time later the network."""
    node.stop(signal.SIGTERM)
    time.sleep(0.5)
    kill(fleet, node)


FAULTS: dict[str, Callable[[Fleet, Node], None]] = {
    "holder shuts down": shut_down,
    "holder loses power": kill,
    "holder loses its cable": cut,
    "holder is cut off behind its switch": isolate,
}


@contextlib.contextmanager
def fleet_of(count: int, egress_ips: list[str], log: Path, wire: Wire = PRIMARY) -> Iterator[Fleet]:
    """A fleet that is removed at the end."""
    fleet = Fleet(count, egress_ips, log, wire=wire)
    try:
        yield fleet
    finally:
        fleet.close()


class Trial(NamedTuple):
    """Seconds without the address, seconds with two answers, datagrams from a wrong source, connections that go on."""

    gap: float
    overlap: float
    wrong: int
    asking: int
    pushed: int
    stream_gap: float


def trial(fleet: Fleet, fault: Callable[[Fleet, Node], None]) -> Trial:
    """Let a fault happen, and return what the server saw."""
    holder = next(node for node in fleet.holders if fleet.wire.egress_ip in node.addresses())
    with Client(fleet) as client:
        time.sleep(0.7)
        fault(fleet, holder)
        time.sleep(2)
        if not holder.process:
            # A node that boots has no egress IP before its claim.
            for ip in fleet.egress_ips:
                subprocess.run(
                    holder.argv("ip", "address", "delete", f"{ip}/32", "dev", fleet.wire.interface),
                    check=False,
                    capture_output=True,
                )
        holder.plug()
        time.sleep(1.5)
    return Trial(
        client.gap(), client.overlap(), client.wrong(), client.alive("a"), client.alive("p"), client.stream_gap()
    )


def main() -> int:
    """Measure each fault several times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--addresses", type=int, default=1)
    parser.add_argument("--only", default="", help="a part of the names of the faults to measure")
    arguments = parser.parse_args()
    log = Path("/tmp") / f"{PREFIX}.log"
    log.unlink(missing_ok=True)
    print("| Fault | Median | Worst | Two answers | Wrong source | TCP alive: asking | pushed | its worst pause |")
    print("|---|---|---|---|---|---|---|---|")
    for (what, fault), wire in itertools.product(FAULTS.items(), WIRES):
        name = f"{what}, address on {wire.interface}"
        if arguments.only not in name:
            continue
        egress_ips = [wire.egress_ip, *(wire.more.format(i) for i in range(1, arguments.addresses))]
        found = []
        for _trial in range(arguments.trials):
            with fleet_of(3, egress_ips, log, wire) as fleet:
                fleet.apply(fleet.holders[0])
                fleet.start()
                found.append(trial(fleet, fault))
        each: Any = Trial(*zip(*found, strict=True))
        total = CONNECTIONS * arguments.trials
        print(
            f"| {name} | {statistics.median(each.gap):.3f} s | {max(each.gap):.3f} s | {max(each.overlap):.3f} s"
            f" | {sum(each.wrong)} | {sum(each.asking)} of {total} | {sum(each.pushed)} of {total}"
            f" | {max(each.stream_gap):.3f} s |",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
