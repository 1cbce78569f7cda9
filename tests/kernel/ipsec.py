# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The encrypted tunnel with real traffic; runs as root on a kernel that has ESP (`vm.py` boots one).

Two nodes, a server and an outsider are network namespaces on one LAN, a bridge where everything is captured. The pod is
on node2, with a user who is a pod too, and node1 holds the egress IPs.
"""

from __future__ import annotations

import ast
import ipaddress
import subprocess
import sys

from namespaces import apply, batch, check, connect, inside, lengths, run, start, status_of
from netops_egress_ip._dataplane.esp import desired_esp, fingerprint
from netops_egress_ip._dataplane.iproute import macs_of
from netops_egress_ip._dataplane.node_state import NodeState
from netops_egress_ip._host_io.esp import esp_problems

EGRESS_IPS = {4: "192.168.126.101", 6: "2001:db8:126::101"}
SERVERS = {4: "192.168.126.200", 6: "2001:db8:126::200"}
ENDPOINTS = {f"node{i}": [f"192.168.126.2{i}", f"2001:db8:126::2{i}"] for i in (1, 2)}
ON_LAN = {**ENDPOINTS, "server": [*SERVERS.values()], "outsider": ["192.168.126.66", "2001:db8:126::66"]}
POD = ["10.88.0.2", "fd00:88::2"]
# A user of node2 whose processes are pods too.
USER = 1001
OLD, NEW, WRONG = ("abcdefgh" * 4, "ijklmnop" * 4, "qrstuvwx" * 4)
FOREIGN = "src 192.168.126.21 dst 192.168.126.66 proto esp spi 0x1234 reqid 1 mode transport"
FOREIGN_KEYS = f"enc cbc(aes) 0x{'11' * 16} auth-trunc hmac(sha256) 0x{'22' * 32} 128"
FOREIGN_POLICY = "src 192.168.126.21/32 dst 192.168.126.66/32 proto 6 dport 9"
# Counts the frames on all ports of the bridge, as {ESP or VXLAN: number}, until its standard input ends.
CAPTURE = """
import collections, select, socket, sys
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
seen = collections.Counter()
print("ready", flush=True)
while True:
    ready, _w, _x = select.select([sock, sys.stdin], [], [])
    if sock in ready:
        frame, origin = sock.recvfrom(65536)
        kind, packet = frame[12:14], frame[14:]
        protocol, rest = (packet[6], packet[40:]) if kind == b"\\x86\\xdd" else (packet[9], packet[20:])
        if kind in (b"\\x86\\xdd", b"\\x08\\x00"):
            seen["esp"] += protocol == 50
            seen["vxlan"] += protocol == 17 and rest[2:4] == (4790).to_bytes(2, "big")
    elif sys.stdin in ready:
        break
print(dict(seen))
"""
# Counts different datagrams by source, until its standard input ends.
LISTENER = """
import collections, select, socket, sys
sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
sock.bind(("::", int(sys.argv[1])))
seen = collections.defaultdict(set)
print("ready", flush=True)
while True:
    ready, _w, _x = select.select([sock, sys.stdin], [], [])
    if sock in ready:
        data, peer = sock.recvfrom(2048)
        seen[peer[0].removeprefix("::ffff:")].add(data)
    elif sys.stdin in ready:
        break
print({source: len(data) for source, data in sorted(seen.items())})
"""
# Sends numbered datagrams every 20 ms until its standard input ends, and prints how many.
SENDER = """
import select, socket, sys
sock = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
number = 0
print("ready", flush=True)
while not select.select([sys.stdin], [], [], 0.02)[0]:
    sock.sendto(str(number).encode(), (sys.argv[1], int(sys.argv[2])))
    number += 1
print(number)
"""
# Sends packets, each "protocol source destination payload", with forged sources, and at last one to the server.
FORGER = """
import socket, sys
print("ready", flush=True)
for packet in sys.argv[1:]:
    protocol, source, destination, payload = packet.split()
    # IP_TRANSPARENT and IPV6_TRANSPARENT: any address may be the source.
    family, level, option = (10, 41, 75) if ":" in source else (2, 0, 19)
    sock = socket.socket(family, socket.SOCK_RAW, int(protocol))
    sock.setsockopt(level, option, 1)
    sock.bind((source, 0))
    sock.sendto(bytes.fromhex(payload), (destination, 0))
socket.socket(2, 2).sendto(b"end", ("192.168.126.200", 7002))
"""


def build() -> None:
    """Lay the cables."""
    for netns in ("lan", "pod", *ON_LAN):
        run("ip", "netns", "add", netns)
        batch(netns, "link set lo up")
    batch("lan", "link add lan0 type bridge mcast_snooping 0", "link set lan0 up")
    for netns, addresses in ON_LAN.items():
        run("ip", "link", "add", "eth0", "netns", netns, "type", "veth", "peer", "name", netns, "netns", "lan")
        batch("lan", f"link set {netns} master lan0 up")
        batch(netns, "link set eth0 up", *(f"address add {a} dev eth0" for a in lengths(addresses)))
        batch(netns, "route add default via 192.168.126.1")
    run("ip", "link", "add", "pods0", "netns", "node2", "type", "veth", "peer", "name", "eth0", "netns", "pod")
    batch("node2", "link set pods0 up", *(f"address add {a} dev pods0" for a in lengths(["10.88.0.1", "fd00:88::1"])))
    batch("pod", "link set eth0 up", *(f"address add {a} dev eth0" for a in lengths(POD)))
    batch("pod", "route add default via 10.88.0.1", "route add default via fd00:88::1")
    for node in ENDPOINTS:
        inside(node, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
    batch("node1", f"xfrm state add {FOREIGN} {FOREIGN_KEYS}")
    batch("node1", f"xfrm policy add {FOREIGN_POLICY} dir out tmpl proto esp reqid 1 mode transport level use")


def state(name: str, *secrets: str) -> dict:
    """The state of node `name`, with an encrypted tunnel if there are secrets."""
    egress_ips = [*EGRESS_IPS.values()]
    keys = {"tunnel_encryption": "ipsec", "tunnel_keys": [fingerprint(secret) for secret in secrets]}
    user = {"namespace": "web", "network": f"user:{USER}", "egressips": ["web"], "cidrs": [], "uids": [f"{USER}"]}
    return {
        "name": name,
        "generation": 1,
        "interface": "eth0",
        "endpoints": ENDPOINTS[name],
        "options": keys if secrets else {},
        "nodes": [{"name": node, "endpoints": ends, "addresses": ends} for node, ends in ENDPOINTS.items()],
        "excluded": ["10.88.0.0/16", "fd00:88::/64"],
        "egressips": [{"name": "web", "egressIPs": egress_ips, "slots": egress_ips}],
        "pods": [{"address": address, "egressips": ["web"]} for address in POD] if name == "node2" else [],
        "held": [{"egressIP": ip, "interface": "eth0"} for ip in egress_ips] if name == "node1" else [],
        "networks": [user] if name == "node2" else [],
    }


def change(name: str, *secrets: str) -> None:
    """Apply the state of a node with these secrets; it has all of them."""
    apply(name, state(name, *secrets), [OLD, NEW])


def ended(process: subprocess.Popen[str]) -> str:
    """End a program by the end of its standard input; returns what it printed."""
    return process.communicate(timeout=600)[0].strip()


def traffic_of_pod(what: str) -> list[bool]:
    """Connect from the pod by both IP versions, and compare the source that the server saw."""
    return [check(f"{what}, IPv{v}", connect("pod", SERVERS[v]), EGRESS_IPS[v]) for v in SERVERS]


def traffic(what: str) -> list[bool]:
    """Connect from the pod and from its node's user."""
    user = {v: connect("node2", SERVERS[v], uid=USER) for v in SERVERS}
    return [*traffic_of_pod(what), *(check(f"{what}, user, IPv{v}", user[v], EGRESS_IPS[v]) for v in SERVERS)]


def captured(what: str, wanted: set[str], action) -> list[bool]:
    """Capture what is on the LAN during an action, and compare the kinds of packets."""
    capture = start("lan", CAPTURE)
    good = action()
    seen = ast.literal_eval(ended(capture))
    return [*good, check(f"{what}: kinds on the wire", {kind for kind, number in seen.items() if number}, wanted)]


def checksum(data: bytes) -> int:
    """The Internet checksum."""
    total = sum(int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data) + len(data) % 2, 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def tunnel_packet(version: int) -> str:
    """A UDP packet to the tunnel's port as node2 sends it: a datagram from node2 to the server's port 7002."""
    packed = [address_bytes(address) for address in (ENDPOINTS["node2"][version == 6], SERVERS[version])]
    inner = bytes.fromhex("9c40 1b5a 000c 0000") + b"evil"
    if version == 6:
        pseudo = b"".join(packed) + len(inner).to_bytes(4, "big") + bytes([0, 0, 0, 17])
        inner = inner[:6] + checksum(pseudo + inner).to_bytes(2, "big") + inner[8:]
        packet = bytes.fromhex("60000000") + len(inner).to_bytes(2, "big") + bytes([17, 64]) + b"".join(packed) + inner
    else:
        head = bytes.fromhex("4500") + (20 + len(inner)).to_bytes(2, "big") + bytes.fromhex("0000000040110000")
        head += b"".join(packed)
        packet = head[:10] + checksum(head).to_bytes(2, "big") + head[12:] + inner
    mac = bytes.fromhex(macs_of(EGRESS_IPS.values())[EGRESS_IPS[version]].replace(":", ""))
    frame = mac + bytes.fromhex("0a0000000001") + (b"\x08\x00" if version == 4 else b"\x86\xdd") + packet
    payload = bytes.fromhex("080000000000e100") + frame
    udp = bytes.fromhex("c00012b6") + (8 + len(payload)).to_bytes(2, "big") + b"\0\0" + payload
    if version == 6:
        outer = [address_bytes(address) for address in (ENDPOINTS["node2"][1], EGRESS_IPS[6])]
        pseudo = b"".join(outer) + len(udp).to_bytes(4, "big") + bytes([0, 0, 0, 17])
        udp = udp[:6] + checksum(pseudo + udp).to_bytes(2, "big") + udp[8:]
    return udp.hex()


def address_bytes(address: str) -> bytes:
    """An address as it is in packets."""
    return ipaddress.ip_address(address).packed


def forged(what: str, payloads: dict[int, list[str]], wanted: dict[str, int]) -> bool:
    """Let the outsider send {protocol: [payload by IPv4, by IPv6]} as if node2 had; compare what reaches the server."""
    listener = start("server", LISTENER, "7002")
    pairs = [*zip(ENDPOINTS["node2"], EGRESS_IPS.values(), strict=True)]
    packets = [
        f"{protocol} {source} {destination} {payload}"
        for protocol, both in payloads.items()
        for (source, destination), payload in zip(pairs, both, strict=True)
    ]
    ended(start("outsider", FORGER, *packets))
    run("sleep", "1")
    seen = ast.literal_eval(ended(listener))
    return check(what, seen, {**wanted, "192.168.126.66": 1})


def attack(what: str, wanted: dict[str, int]) -> bool:
    """Send forged packets of the tunnel, and forged ESP packets with the right SPI."""
    node1 = NodeState.from_dict(state("node1", OLD))
    spis = {s.destination: s.spi for s in desired_esp(node1, {fingerprint(OLD): OLD}).states}
    esp = [f"{spis[ip]:08x}00000001{'5a' * 160}" for ip in EGRESS_IPS.values()]
    return forged(f"{what}: forged packets", {17: [tunnel_packet(4), tunnel_packet(6)], 50: esp}, wanted)


def rotation() -> list[bool]:
    """Replace the key in three steps, each of them node by node, while datagrams flow."""
    listeners = {v: start("server", LISTENER, f"700{v}") for v in SERVERS}
    senders = {v: start("pod", SENDER, SERVERS[v], f"700{v}") for v in SERVERS}
    for keys in ((OLD, NEW), (NEW, OLD), (NEW,)):
        for node in ENDPOINTS:
            change(node, *keys)
            run("sleep", "0.3")
    sent = {v: int(ended(sender)) for v, sender in senders.items()}
    run("sleep", "1")
    seen = {v: ast.literal_eval(ended(listener)) for v, listener in listeners.items()}
    return [check(f"rotation, IPv{v}: datagrams", seen[v], {EGRESS_IPS[v]: sent[v]}) for v in SERVERS]


def ours(node: str) -> str:
    """What a node has of the tunnel's encryption: numbers of states and policies."""
    states = run("ip", "-n", node, "-o", "xfrm", "state", "list", "reqid", "4294967225").splitlines()
    policies = [p for p in run("ip", "-n", node, "-o", "xfrm", "policy").splitlines() if "4294967225" in p]
    return f"{len(states)}+{len([p for p in policies if 'action block' not in p])}"


def foreign() -> str:
    """The state and policy of others on node1."""
    state_ = run("ip", "-n", "node1", "xfrm", "state", "list", "src", "192.168.126.21", "dst", "192.168.126.66")
    return state_ + run("ip", "-n", "node1", "-o", "xfrm", "policy", "list", "proto", "6")


def checks() -> list[bool]:
    """All checks in order."""
    good = [check("what prevents ESP", esp_problems(4790), [])]
    before = foreign()
    for node in ENDPOINTS:
        apply(node, state(node))
    good += captured("without encryption", {"vxlan"}, lambda: traffic("without encryption"))
    good += [attack("without encryption", dict.fromkeys(EGRESS_IPS.values(), 1))]
    for node in ENDPOINTS:
        change(node, OLD)
    good += captured("encrypted", {"esp"}, lambda: traffic("encrypted"))
    good += [attack("encrypted", {})]
    good += rotation()
    good += captured("with the new key", {"esp"}, lambda: traffic("with the new key"))
    good += [check("foreign state and policy", foreign() == before, True)]
    run("ip", "-n", "node2", "xfrm", "policy", "flush")
    good += captured(
        "policies flushed",
        set(),
        lambda: [check("policies flushed", connect("pod", SERVERS[4], 3), "TimeoutError: timed out")],
    )
    change("node2", NEW)
    run("ip", "-n", "node2", "xfrm", "state", "flush")
    good += captured(
        "states flushed",
        set(),
        lambda: [check("states flushed", connect("pod", SERVERS[4], 3), "TimeoutError: timed out")],
    )
    change("node2", NEW)
    good += captured("states restored", {"esp"}, lambda: traffic("states restored"))
    inside("node1", "nft", "flush", "ruleset")
    good += [attack("tables flushed", {})]
    for node in ENDPOINTS:
        apply(node, state(node))
    good += captured("without encryption again", {"vxlan"}, lambda: traffic("without encryption again"))
    good += [check(f"{node}: states and policies", ours(node), "0+0") for node in ENDPOINTS]
    for node in ENDPOINTS:
        change(node, OLD)
        apply(node, {})
    good += [check(f"{node} after removal", ours(node), "0+0") for node in ENDPOINTS]
    return [*good, check("foreign state and policy after removal", foreign() == before, True)]


def main() -> int:
    """Build and check; 1 if a check fails."""
    build()
    return status_of(checks)


if __name__ == "__main__":
    sys.exit(main())
