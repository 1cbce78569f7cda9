# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure one node with many egress IPs, with real objects of the kernel in a namespace of its own.

Each size runs in a process with a network of its own, on whose wire no host answers, with its own files and a systemctl
that does nothing. Prints the seconds of each task, and fails if an egress IP costs more on a large node than on a small
one. `node_scale.py --sizes 100 500` measures other sizes.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import ipaddress
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / ".build"), str(ROOT / "tests/unit/helpers")]
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.node_state import NodeState  # noqa: E402
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import files, watch  # noqa: E402
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.host_io import HostIO  # noqa: E402
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.segment import Received  # noqa: E402
from ansible_collections.netops.egress_ip.plugins.module_utils._node import service, systemd_units  # noqa: E402
from ansible_collections.netops.egress_ip.plugins.module_utils._node.apply import apply  # noqa: E402
from ansible_collections.netops.egress_ip.plugins.module_utils._node.decide import Request  # noqa: E402
from ansible_collections.netops.egress_ip.plugins.module_utils._node.follow import Follower  # noqa: E402
from ansible_collections.netops.egress_ip.plugins.module_utils._node.record import Record  # noqa: E402
from ansible_collections.netops.egress_ip.plugins.module_utils._protocols.address_probe import PARSERS  # noqa: E402
from ansible_collections.netops.egress_ip.plugins.module_utils._protocols.ctnetlink import (  # noqa: E402
    Flow,
    create_request,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._protocols.ethernet import (  # noqa: E402
    NeighbourMessage,
)

SIZES = (100, 500, 2000)
# Connections of each egress IP, where they count.
CONNECTIONS = 10
# Of the seconds per egress IP, from one size to the next: large data is slower in the caches of a processor, and what
# grows with the square of the number has 4. Tasks shorter than `SHORT` vary more than that: they are repeated, or count
# as `SHORT`.
MOST_GROWTH, SHORT = 2.0, 0.1
REPEATED = ("metrics", "check of the watch", "a second of watching another node")
OWN, OTHER, ROUTER = "192.168.126.21", "192.168.126.22", "192.168.126.1"
OTHER_MAC, ROUTER_MAC = "02:00:c0:a8:7e:16", "02:00:c0:a8:7e:01"
SERVER, TCP = ("203.0.113.9", 443), (3, (7, 7), (11, 11))
FIRST_ADDRESS, FIRST_POD = ipaddress.IPv4Address("192.168.64.10"), ipaddress.IPv4Address("10.88.1.0")
# A size of 8,000 has more egress IPs than the default has room for.
MARK_MASK = 0x1FFF
METRICS, PROGRAMS = "/run/textfiles", files.PROGRAM_FILE.parent

SANDBOX = f"""
mount --make-rprivate / && mount -t sysfs none /sys && mount -t tmpfs none /run && mount -t tmpfs none /var/lib
mount -t tmpfs none /etc/systemd/system && mount -t tmpfs none /usr/local/sbin
mkdir -p {PROGRAMS} && mount -t tmpfs none {PROGRAMS} && mkdir -p /run/systemd/system {METRICS}
for name in systemctl systemd-run; do
  printf '#!/bin/sh\\nexit 0\\n' > /usr/local/sbin/$name; chmod 755 /usr/local/sbin/$name
done
ip netns add wire
ip link set lo up; ip link add eth0 type veth peer name eth0 netns wire; ip link set eth0 up
ip -n wire link set eth0 up
ip address add {OWN}/18 dev eth0; ip route add default via {ROUTER}
exec "$@"
"""
RESTARTED = """
nft delete table inet egress_ip; nft delete table netdev egress_ip
ip link delete egress0; ip rule flush protocol 225; ip xfrm policy flush
ip address flush dev eth0 label eth0:egress
"""


def state(number: int, held: int, holder: str = "node1") -> NodeState:
    """The state of a node whose fleet has so many objects of one egress IP and a pod, of which the node holds some.

    With the holder node2, this node is the standby of all.
    """
    ips = [str(FIRST_ADDRESS + index) for index in range(number)]
    nodes = [{"name": f"node{i}", "endpoints": [own], "addresses": [own]} for i, own in ((1, OWN), (2, OTHER))]
    hosts = [
        {"name": "node1", "address": OWN, "mac": "02:00:c0:a8:7e:15"},
        {"name": "node2", "address": OTHER, "mac": OTHER_MAC},
    ]
    order = hosts if holder == "node2" else hosts[::-1]
    return NodeState.from_dict(
        {
            "name": "node1",
            "generation": time.time_ns(),
            "interface": "eth0",
            "endpoints": [OWN],
            "options": {"metrics_dir": METRICS, "mark_mask": MARK_MASK},
            "nodes": nodes,
            "excluded": ["10.88.0.0/16"],
            "egressips": [{"name": f"o{i}", "egressIPs": [ip], "slots": [ip]} for i, ip in enumerate(ips)],
            "pods": [{"address": str(FIRST_POD + i), "egressips": [f"o{i}"]} for i in range(number)],
            "held": [{"egressIP": ip, "interface": "eth0"} for ip in ips[:held]],
            "failover": {"after": 0.2, "witnesses": [ROUTER]},
            "standbys": [{"egressIP": ip, "interface": "eth0", "order": order} for ip in ips],
        }
    )


class Wire:
    """A wire for the program that takes over: until `silent`, the holder answers at once; its clock is simulated."""

    def __init__(self, egress_ips: list[str]) -> None:
        self.now, self.silent, self.unread = 1000.0, False, []
        self.is_behind = False
        self.holders = {**dict.fromkeys([*egress_ips, OTHER], OTHER_MAC), ROUTER: ROUTER_MAC}

    def open(self, _interfaces: object, _awaited: object = ()) -> str:
        """Open nothing."""
        return ""

    def has_dropped(self) -> bool:
        """No frame is ever lost."""
        return False

    def clocks(self) -> tuple[float, float]:
        """The simulated time."""
        return self.now, self.now

    def wait(self, seconds: float, _pause: float) -> None:
        """Let time pass."""
        self.now += max(seconds, 0.001)

    def read(self) -> list[Received]:
        """What was answered."""
        unread, self.unread = self.unread, []
        return unread

    def send(self, interface: str, ethertype: int, frame: bytes) -> None:
        """Answer a question."""
        message = PARSERS[ethertype](frame)
        asked = message.probes or str(ipaddress.IPv4Address(frame[38:42]))
        mac = self.holders.get(asked)
        if mac and message.uses != asked and not (self.silent and mac == OTHER_MAC):
            self.unread.append(Received(interface, NeighbourMessage(mac, asked, ""), True, ""))


class Node(HostIO):
    """The node, whose program that takes over is on the simulated wire."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def segment(self) -> Wire:  # type: ignore[override]  # the base class has a plain function
        """The wire."""
        return self._wire

    def settle_memory(self) -> None:  # type: ignore[override]  # the base class has a plain function
        """The other tasks run in this process too."""

    def sleep(self, seconds: float) -> None:  # type: ignore[override]  # the base class has a plain function
        """Announce again at once."""


def processor_seconds() -> float:
    """The seconds that this process and its commands have used; waiting for the wire does not count."""
    return sum(os.times()[:4])


class Stopwatch:
    """The processor seconds of tasks, in the order in which they ran."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def task(self, name: str) -> Iterator[None]:
        """Measure one task; what it logs is not shown."""
        start = processor_seconds()
        with contextlib.redirect_stderr(io.StringIO()):
            yield
        self.seconds[name] = processor_seconds() - start

    def repeated(self, name: str, act: Callable[[], None]) -> None:
        """Measure a task that is repeated until it has taken `SHORT` seconds in all; notes the mean."""
        spent, count = 0.0, 0
        while spent < SHORT:
            with self.task(name):
                act()
            spent, count = spent + self.seconds[name], count + 1
        self.seconds[name] = spent / count


def command(node: Node, name: str) -> None:
    """Run a command of the node's units."""
    if service.main(node, [name]):
        raise RuntimeError(f"{name} has failed")


def check_watch() -> None:
    """Do what the watch does every few seconds. Raises RuntimeError if it finds something to do."""
    if not watch.renew():
        raise RuntimeError("the watch finds something to do")


def expect(node: Node, held: int) -> None:
    """Raise RuntimeError unless the node holds so many egress IPs."""
    record = Record.load(node)
    found = sum(watch.is_here((item.egress_ip, item.interface)) for item in record.state.held)
    if found != held or len(record.state.held) != held:
        raise RuntimeError(f"{held} egress IPs expected, on record {len(record.state.held)}, on the host {found}")


def connect(node: Node) -> None:
    """Let the kernel track connections of all held egress IPs."""
    record = Record.load(node)
    requests = []
    for index, item in enumerate(record.state.held):
        mark = record.state.options.mark(record.marks[item.egress_ip])
        for port in range(40000, 40000 + CONNECTIONS):
            pod, translated = (str(FIRST_POD + index), port), (item.egress_ip, port)
            requests.append(create_request(Flow(6, pod, SERVER, SERVER, translated, 300, True, TCP), mark))
    if any(node.change_connections(requests)):
        raise RuntimeError("the kernel does not track the connections")


def live(number: int) -> dict[str, float]:
    """Be a node with so many egress IPs; returns the seconds of each task."""
    wire = Wire([str(FIRST_ADDRESS + index) for index in range(number)])
    node, clock = Node(wire), Stopwatch()
    with clock.task("first apply"):
        apply(node, Request(state(number, number)))
    expect(node, number)
    # As systemd does when it enables units.
    for link, unit in systemd_units.links(systemd_units.Parts.of(state(number, number))).items():
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(unit)
    with clock.task("apply without change"):
        changed = apply(node, Request(state(number, number)))["changed"]
    if changed:
        raise RuntimeError("a second apply changes the node")
    with clock.task("one egress IP more"):
        apply(node, Request(state(number + 1, number + 1)))
    connect(node)
    clock.repeated("metrics", lambda: command(node, "metrics"))
    with clock.task("probe of the watch"):
        command(node, "watch")
    clock.repeated("check of the watch", check_watch)
    subprocess.run(["sh", "-c", RESTARTED], check=True, stderr=subprocess.DEVNULL)
    files.WATCH_FILE.unlink()
    with clock.task("boot: restore"):
        command(node, "restore")
    with clock.task("boot: claim"):
        command(node, "claim")
    expect(node, number + 1)
    connect(node)
    with clock.task("release of all"):
        apply(node, Request(state(number, 0, "node2")))
    expect(node, 0)
    fail_over(node, wire, clock)
    expect(node, number)
    return clock.seconds


def fail_over(node: Node, wire: Wire, clock: Stopwatch) -> None:
    """Watch the holder for some simulated seconds, then take over all that it had."""
    follower = Follower(node)

    def turns(until: Callable[[], bool]) -> None:
        while not until():
            if not follower.read_record():
                raise RuntimeError("the node has no failover")
            follower.turn()

    def second() -> None:
        end = wire.now + 1
        turns(lambda: wire.now > end)

    with contextlib.redirect_stderr(io.StringIO()):
        turns(lambda: wire.now > 1005)
    clock.repeated("a second of watching another node", second)
    wire.silent = True
    with clock.task("takeover of all"):
        turns(lambda: bool(follower.node.held))
    with clock.task("a second of holding all"):
        end = wire.now + 4
        turns(lambda: wire.now > end)
    clock.seconds["a second of holding all"] /= 4


def measured(number: int) -> dict[str, float]:
    """Measure a size in a process with a network of its own."""
    argv = ("unshare", "--net", "--mount", "sh", "-ec", SANDBOX, "sh", sys.executable, str(Path(__file__)))
    done = subprocess.run([*argv, "--live", str(number)], stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def grown(rows: dict[int, dict[str, float]]) -> list[str]:
    """Return a line for each task that costs more per egress IP on a larger node."""
    found = []
    sizes = list(rows)
    for small, large in zip(sizes, sizes[1:], strict=False):
        for name, seconds in rows[large].items():
            least = 0.0 if name in REPEATED else SHORT
            growth = (seconds / large) / (max(rows[small][name], least) / small)
            if growth > MOST_GROWTH:
                found.append(f"{name}, {small} to {large} egress IPs: {growth:.2f} times the seconds per egress IP")
    return found


def main() -> int:
    """Measure all sizes; 1 if a task grows faster than the number of egress IPs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of egress IPs")
    parser.add_argument("--live", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.live:
        print(json.dumps(live(options.live)))
        return 0
    rows = {number: measured(number) for number in options.sizes}
    print(f"A node that holds many egress IPs, {CONNECTIONS} connections each, {os.cpu_count()} processors: seconds\n")
    print(f"| Task | {' | '.join(f'{number:,}' for number in rows)} |\n|{'---|' * (len(rows) + 1)}")
    for name in rows[options.sizes[0]]:
        print(f"| {name} | {' | '.join(f'{row[name]:.3f}' for row in rows.values())} |")
    faults = grown(rows)
    for line in faults:
        print(f"missed: {line}")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
