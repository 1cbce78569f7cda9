# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a pod, a server and an onlooker see of a fault: gaps, sources, answers, and nodes that have the egress IP."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import json
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from failover_fleet import POD_NETNS, ROOT, Fleet

sys.path.insert(0, str(ROOT / ".build"))
from ansible_collections.netops.egress_ip.plugins.module_utils._protocols.address_probe import (  # noqa: E402
    PARSERS,
    question,
)

_CLONE_NEWNET = 0x40000000
_FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
PORT = 7777
# Seconds between two datagrams of the pod, two questions who has the address, and two looks at the nodes.
_SEND, _ASK, _LOOK = 0.005, 0.01, 0.01
# Seconds between two bytes of a TCP connection, and after which one without a byte is dead.
_STREAM, _DEAD = 0.02, 1.5
# Seconds without an answer after which a host has begun to answer again.
_SILENT = 0.2
# Sends a datagram from a new port every 5 ms.
SENDER = f"""
import socket, sys, time
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
due = time.monotonic()
while True:
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        try:
            sock.sendto(b"x", (sys.argv[1], {PORT}))
        except OSError:
            pass
    due += {_SEND}
    time.sleep(max(0.0, due - time.monotonic()))
"""


# Keeps five TCP connections on which only the server speaks, and five on which it answers each byte, one at a time. At
# the end of its input it prints for each: the seconds since the last byte, and the longest time without one.
STREAMS = f"""
import json, select, socket, sys, time
streams = {{}}
for kind in 5 * (b"push", b"echo"):
    sock = socket.create_connection((sys.argv[1], {PORT}))
    sock.sendall(kind + b"x" * (kind == b"echo"))
    sock.recv(1)
    if kind == b"echo":
        sock.sendall(b"x")
    sock.setblocking(False)
    streams[sock] = [kind, time.monotonic(), 0.0]
print("ready", flush=True)
while not select.select([sys.stdin], [], [], {_STREAM})[0]:
    for sock, stream in streams.items():
        try:
            data = sock.recv(4096)
        except BlockingIOError:
            continue
        except OSError:
            data = b""
        if data:
            now = time.monotonic()
            stream[1:] = [now, max(stream[2], now - stream[1])]
            if stream[0] == b"echo":
                try:
                    sock.sendall(b"x")
                except OSError:
                    pass
print(json.dumps([[time.monotonic() - last, longest] for kind, last, longest in streams.values()]))
"""


def _enter(netns: str) -> None:
    """Bring this thread into a network namespace."""
    with Path(f"/run/netns/{netns}").open("rb") as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"cannot enter {netns}")


class _Observer(threading.Thread):
    """A thread that observes until the end of its `with` block."""

    def __init__(self, fleet: Fleet) -> None:
        super().__init__(daemon=True)
        self.fleet, self.ends = fleet, threading.Event()
        self.ready = threading.Event()

    def __enter__(self):
        self.start()
        self.ready.wait()
        return self

    def __exit__(self, *_error: object) -> None:
        self.ends.set()
        self.join()


class Holders(_Observer):
    """Which nodes have the egress IP, every 10 ms; those without power do not count."""

    def __init__(self, fleet: Fleet) -> None:
        super().__init__(fleet)
        self.seen: list[tuple[float, tuple[str, ...]]] = []

    def run(self) -> None:
        """Look until the end."""
        while not self.ends.wait(_LOOK):
            found = [node.name for node in self.fleet.holders if not node.dark and self._is_on(node.netns)]
            self.seen.append((time.monotonic(), tuple(found)))
            self.ready.set()

    def _is_on(self, netns: str) -> bool:
        _enter(netns)
        with socket.socket(_FAMILY[self.fleet.net.version], socket.SOCK_DGRAM) as sock:
            try:
                sock.bind((self.fleet.egress_ips[0], 0))
            except OSError:
                return False
        return True

    def together(self, since: float = 0.0) -> float:
        """The longest time in which two nodes had it."""
        longest = begin = 0.0
        for at, names in self.seen:
            begin = 0.0 if len(names) < 2 or at < since else begin or at
            longest = max(longest, at - begin + _LOOK) if begin else longest
        return longest

    def moves(self) -> int:
        """How often it came to another node."""
        single = [names[0] for _at, names in self.seen if len(names) == 1]
        return len(list(itertools.groupby(single))) - 1


class Client(_Observer):
    """What the server sees: the datagrams of the pod, and who answers for the egress IP."""

    def __init__(self, fleet: Fleet) -> None:
        super().__init__(fleet)
        self.arrived: list[tuple[float, str]] = []
        self.answers: list[tuple[float, str]] = []
        self.sender: subprocess.Popen[bytes] | None = None

    def run(self) -> None:
        """Receive and ask until the end."""
        net = self.fleet.net
        _enter(self.fleet.server.netns)
        mac = self.fleet.server.mac(net.interface)
        ethertype, frame = question(mac, net.server, net.egress_ip)
        family = _FAMILY[self.fleet.net.version]
        with socket.socket(family, socket.SOCK_DGRAM) as udp, _packet_socket(net.interface, ethertype) as wire:
            udp.bind((net.server, PORT))
            udp.setblocking(False)
            self.ready.set()
            self._observe(udp, wire, frame)

    def _observe(self, udp: socket.socket, wire: socket.socket, question_frame: bytes) -> None:
        _interface, ethertype, _kind, _hardware, own = wire.getsockname()
        due = time.monotonic()
        while not self.ends.wait(0.001):
            now = time.monotonic()
            self.arrived += [(now, origin[0]) for _data, origin in _drain(udp)]
            for frame, _origin in _drain(wire):
                message = PARSERS[ethertype](frame)
                if message and frame[:6] == own and message.uses == self.fleet.net.egress_ip:
                    self.answers.append((now, message.mac))
            if now >= due:
                wire.send(question_frame)
                due = now + _ASK

    def __enter__(self) -> Client:
        super().__enter__()
        sender = ("ip", "netns", "exec", POD_NETNS, "python3", "-c", SENDER, self.fleet.net.server)
        self.sender = subprocess.Popen(self.fleet.pod_node.argv(*sender))
        end = time.monotonic() + 20
        while not self.arrived and time.monotonic() < end:
            time.sleep(0.05)
        if not self.arrived:
            self.__exit__()
            raise RuntimeError("no datagram of the pod arrives")
        return self

    def __exit__(self, *_error: object) -> None:
        super().__exit__()
        if self.sender:
            self.sender.kill()
            self.sender.wait()

    def gap(self) -> float:
        """The longest time without a datagram from the egress IP."""
        times = [at for at, source in self.arrived if source == self.fleet.net.egress_ip]
        return max((later - one for one, later in itertools.pairwise(times)), default=float("inf"))

    def wrong(self) -> int:
        """Datagrams with another source."""
        return sum(source != self.fleet.net.egress_ip for _at, source in self.arrived)

    def overlap(self) -> float:
        """The longest time in which two hosts answered in turn; a host that was silent begins again."""
        spans: list[tuple[str, float, float]] = []
        last: dict[str, int] = {}
        for at, mac in self.answers:
            index = last.get(mac)
            if index is not None and at - spans[index][2] < _SILENT:
                spans[index] = (mac, spans[index][1], at)
            else:
                last[mac] = len(spans)
                spans.append((mac, at, at))
        pairs = itertools.combinations(spans, 2)
        both = (min(one[2], other[2]) - max(one[1], other[1]) for one, other in pairs if one[0] != other[0])
        return max(0.0, *both, 0.0)


class Streams(_Observer):
    """TCP connections of the pod: (seconds without a byte at the end, longest time without one) for each."""

    def __init__(self, fleet: Fleet) -> None:
        super().__init__(fleet)
        self.ended: list[tuple[float, float]] = []

    def run(self) -> None:
        """Serve the connections until the end."""
        _enter(self.fleet.server.netns)
        with socket.socket(_FAMILY[self.fleet.net.version], socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((self.fleet.net.server, PORT))
            listener.listen()
            listener.settimeout(0.1)
            self.ready.set()
            while not self.ends.is_set():
                with contextlib.suppress(TimeoutError):
                    threading.Thread(target=self._serve, args=listener.accept()[:1], daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(None)
            kind = connection.recv(4)
            while not self.ends.wait(_STREAM if kind == b"push" else 0.0):
                if kind == b"echo" and not connection.recv(4096):
                    break
                connection.sendall(b"x")

    def __enter__(self) -> Streams:
        super().__enter__()
        argv = ("ip", "netns", "exec", POD_NETNS, "python3", "-c", STREAMS, self.fleet.net.server)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self._client = subprocess.Popen(self.fleet.pod_node.argv(*argv), text=True, **pipes)
        # All connections are open.
        self._client.stdout.readline()
        return self

    def __exit__(self, *error: object) -> None:
        # At the end of its input the client prints what it saw.
        output, _errors = self._client.communicate()
        self.ended = [tuple(times) for times in json.loads(output or "[]")]
        super().__exit__(*error)

    def alive(self) -> int:
        """The number of connections that go on."""
        return sum(since < _DEAD for since, _longest in self.ended)

    def gap(self) -> float:
        """The longest time without a byte of those."""
        return max((longest for since, longest in self.ended if since < _DEAD), default=0.0)


def _packet_socket(interface: str, ethertype: int) -> socket.socket:
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ethertype))
    sock.bind((interface, ethertype))
    sock.setblocking(False)
    return sock


def _drain(sock: socket.socket) -> list[tuple[bytes, tuple]]:
    """The packets that have arrived."""
    found: list[tuple[bytes, tuple]] = []
    with contextlib.suppress(BlockingIOError):
        while True:
            found.append(sock.recvfrom(2048))
    return found
