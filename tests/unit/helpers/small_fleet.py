# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two nodes with our real data plane, a pod on each, a server and an outsider on one network, in network namespaces.

    pod1 ── node1 (.21, holds .101) ──┐            ┌── server (.200, and 203.0.113.9 behind it)
    pod2 ── node2 (.22, holds .102) ──┴── network ─┴── outsider (.66)
    back (10.9.0.7) ── node1 (10.9.0.21)

Every host has addresses of both IP versions. Each pod interface has a selected and an unselected address; nodes
masquerade their pods, as container engines do. With `neighbours`, each node has a second pod, neighbour1 and
neighbour2, which nothing selects. Sockets are opened inside a namespace and used from everywhere.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import re
import socket
import struct
import subprocess
from dataclasses import replace
from pathlib import Path

from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.iproute import macs_of
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.node_state import NodeState, allocate_marks
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.state import (
    FORWARDING,
    current_data_plane,
    desired_data_plane,
    not_routing,
    sysctl_names,
    transaction,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.host_io import HostIO
from states import egress_object

_CLONE_NEWNET = 0x40000000
TUNNEL_PORT, VNI, SERVICE_PORT = 4790, 225, 9
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
NODE1, NODE2 = {4: "192.168.126.21", 6: "2001:db8:126::21"}, {4: "192.168.126.22", 6: "2001:db8:126::22"}
SERVER, OUTSIDER = {4: "192.168.126.200", 6: "2001:db8:126::200"}, {4: "192.168.126.66", 6: "2001:db8:126::66"}
FAR_SERVER = {4: "203.0.113.9", 6: "2001:db8:1::9"}
# Held by node1 and node2; pods follow the object of node1's address.
EGRESS1, EGRESS2 = {4: "192.168.126.101", 6: "2001:db8:126::101"}, {4: "192.168.126.102", 6: "2001:db8:126::102"}
SELECTED, OTHER = {4: "10.88.0.2", 6: "fd00:88::2"}, {4: "10.88.0.3", 6: "fd00:88::3"}
BACK, BACK_GATEWAY = {4: "10.9.0.7", 6: "2001:db8:9::7"}, {4: "10.9.0.21", 6: "2001:db8:9::21"}
GATEWAY = {4: "10.88.0.1", 6: "fd00:88::1"}
NEIGHBOUR, NEIGHBOUR_GATEWAY = {4: "10.88.1.2", 6: "fd00:88::1:0:0:2"}, {4: "10.88.1.1", 6: "fd00:88::1:0:0:1"}
# The ports from which `send` sends. The kernel knows the connection of one that an earlier test had, with its source.
_SOURCE_PORTS = itertools.count(10000)
BROADCAST = "ff:ff:ff:ff:ff:ff"
_HOSTS = ("network", "node1", "node2", "pod1", "pod2", "server", "outsider", "back")
_NEIGHBOURS = ("neighbour1", "neighbour2")
_LAN = {"node1": NODE1, "node2": NODE2, "server": SERVER, "outsider": OUTSIDER}
_PREFIX = {4: 24, 6: 64}
_SINGLE = {4: 32, 6: 128}
# Within the network of the other pods.
_NEIGHBOUR_PREFIX = {4: 24, 6: 80}


def _namespace(name):
    return f"egress-ip-{os.getpid()}-{name}"


def run(*argv, text=""):
    """Return the standard output of a command that must succeed."""
    return subprocess.run(argv, input=text, capture_output=True, text=True, check=True).stdout


@contextlib.contextmanager
def inside(name):
    """Move this thread into the namespace of a host, and back."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/thread-self/ns/net").open("rb") as home, Path("/run/netns", _namespace(name)).open("rb") as there:
        if libc.setns(there.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        try:
            yield
        finally:
            if libc.setns(home.fileno(), _CLONE_NEWNET):
                os._exit(70)  # Never go on with the other tests in there.


def ip(name, *lines):
    """Run `ip -batch` in the namespace of a host."""
    run("ip", "-n", _namespace(name), "-batch", "-", text="".join(f"{line}\n" for line in lines))


def nft(name, *lines):
    """Run `nft -f` in the namespace of a host."""
    with inside(name):
        run("nft", "-f", "-", text="".join(f"{line}\n" for line in lines))


def sysctl(name, **values):
    """Write sysctls in the namespace of a host; a name has _ for the dots."""
    with inside(name):
        for key, value in values.items():
            Path("/proc/sys/net", *key.split("__")).write_text(f"{value}\n", encoding="ascii")


@contextlib.contextmanager
def small_fleet(forwarding=1, bridged=(), failover=None, neighbours=False, **options):
    """Build the fleet with these options of the data plane; `forwarding` is that of the nodes before, `failover`
    that of their states.

    In `bridged`, names of hosts mean that their uplinks to the LAN are bridges, "back" that node1's other uplink is.
    """
    with contextlib.ExitStack() as stack:
        for name in (*_HOSTS, *(_NEIGHBOURS if neighbours else ())):
            run("ip", "netns", "add", _namespace(name))
            stack.callback(run, "ip", "netns", "delete", _namespace(name))
            ip(name, "link set lo up")
            # Without duplicate address detection, addresses are usable at once.
            sysctl(name, ipv6__conf__default__dad_transmits=0)
        _connect(forwarding, bridged)
        for pod in _NEIGHBOURS if neighbours else ():
            _connect_neighbour(f"node{pod[-1]}", pod)
        for name in ("node1", "node2"):
            _apply(name, options, failover)
        yield


def _connect(forwarding, bridged):
    ip("network", "link add lan type bridge", "link set lan up")
    for name, addresses in _LAN.items():
        _uplink(name, "eth0", "network", name, name in bridged)
        ip(name, *_addresses("eth0", addresses))
        ip("network", f"link set {name} master lan up")
    for number in (1, 2):
        node, pod = f"node{number}", f"pod{number}"
        ip(node, f"link add pods0 type veth peer name eth0 netns {_namespace(pod)}", "link set pods0 up")
        ip(node, *_addresses("pods0", GATEWAY))
        ip(pod, "link set eth0 up", *_addresses("eth0", OTHER), *_addresses("eth0", SELECTED))
        ip(pod, *(f"route add default via {gateway}" for gateway in GATEWAY.values()))
        ip(node, *(f"route add default via {server}" for server in SERVER.values()))
        masquerade = "ip saddr 10.88.0.0/16 oifname eth0 masquerade", "ip6 saddr fd00:88::/64 oifname eth0 masquerade"
        nft(
            node,
            "add table inet pods",
            "add chain inet pods srcnat { type nat hook postrouting priority 100; }",
            *(f"add rule inet pods srcnat {rule}" for rule in masquerade),
        )
        sysctl(node, ipv4__ip_forward=forwarding, ipv6__conf__all__forwarding=forwarding)
    _uplink("node1", "eth1", "back", "eth0", "back" in bridged)
    ip("node1", *_addresses("eth1", BACK_GATEWAY))
    ip("back", "link set eth0 up", *_addresses("eth0", BACK))
    ip("back", *(f"route add default via {gateway}" for gateway in BACK_GATEWAY.values()))
    ip("outsider", *(f"route add {address} via {NODE1[version]}" for version, address in BACK.items()))
    ip("server", *_addresses("lo", FAR_SERVER, _SINGLE))
    ip("outsider", *(f"route add {address} via {NODE2[version]}" for version, address in FAR_SERVER.items()))


def _connect_neighbour(node, pod):
    ip(node, f"link add pods1 type veth peer name eth0 netns {_namespace(pod)}", "link set pods1 up")
    ip(node, *_addresses("pods1", NEIGHBOUR_GATEWAY, _NEIGHBOUR_PREFIX))
    ip(pod, "link set eth0 up", *_addresses("eth0", NEIGHBOUR, _NEIGHBOUR_PREFIX))
    ip(pod, *(f"route add default via {gateway}" for gateway in NEIGHBOUR_GATEWAY.values()))


def _uplink(name, device, other, there, bridge=False):
    """Connect a host with another one. On real hosts a veth leads to pods, so the device is of another kind."""
    if bridge:
        with inside(name):
            for kind in ("iptables", "ip6tables"):
                with contextlib.suppress(FileNotFoundError):  # without br_netfilter
                    Path(f"/proc/sys/net/bridge/bridge-nf-call-{kind}").write_text("0\n", encoding="ascii")
    ip(
        name,
        f"link add wire-{device} type veth peer name {there} netns {_namespace(other)}",
        *(
            (
                # On real hosts the port is no veth, which would lead to a pod.
                f"link add link wire-{device} name port-{device} type macvlan mode passthru",
                f"link add {device} type bridge",
                f"link set port-{device} master {device} up",
                f"link set wire-{device} arp off up",
            )
            if bridge
            else (
                f"link add link wire-{device} name {device} type macvlan mode bridge",
                f"link set wire-{device} arp off up",
            )
        ),
        f"link set {device} up",
    )


def _addresses(device, addresses, lengths=None):
    lengths = lengths or _PREFIX
    extra = {4: "", 6: " nodad"}
    return [f"address add {a}/{lengths[v]} dev {device}{extra[v]}" for v, a in addresses.items()]


def state_of(name, options):
    """Return the NodeState of a node."""
    number = int(name[-1]) - 1
    objects = [egress_object("one", EGRESS1.values()), egress_object("two", EGRESS2.values())]
    nodes = [
        {"name": f"node{i}", "endpoints": list(own.values()), "addresses": [*own.values(), *GATEWAY.values()]}
        for i, own in ((1, NODE1), (2, NODE2))
    ]
    return NodeState.from_dict(
        {
            "name": name,
            "generation": 1,
            "interface": "eth0",
            "endpoints": nodes[number]["endpoints"],
            "options": options,
            "nodes": nodes,
            "excluded": ["10.88.0.0/16", "fd00:88::/64"],
            "egressips": objects,
            "pods": [{"address": address, "egressips": ["one"]} for address in SELECTED.values()],
            "held": [{"egressIP": a, "interface": "eth0"} for a in (EGRESS1, EGRESS2)[number].values()],
        }
    )


def _apply(name, options, failover):
    apply_state(name, replace(state_of(name, options), failover=failover))


def apply_state(name, state):
    """Bring a node from what it is to this state."""
    with inside(name):
        now, wanted = planes(state)
        HostIO.execute(transaction(now, wanted))


def planes(state):
    """Return the data plane of the present namespace, and the one that this state wants there."""
    host = HostIO.read_host()
    tables, forwarded = HostIO.read_tables(), HostIO.read_sysctls(FORWARDING.values())
    host = replace(host, not_routing=not_routing(forwarded, {}, tables))
    sysctls = HostIO.read_sysctls(sysctl_names(host, state.options.tunnel_device))
    marks = allocate_marks(state.egress_ips, {}, state.options.max_index)
    held = {item.egress_ip for item in state.held}
    return current_data_plane(host, tables, sysctls, state.options, held), desired_data_plane(state, marks, host)


@contextlib.contextmanager
def published(name, version, address, port, pod_port, protocol="udp", *, target=None, first=""):
    """Let a node translate a port of an address to one of its selected pod, or of `target`, as container engines do.

    `first` is a statement that the rule has before the translation.
    """
    target = target or SELECTED
    family, end = {4: ("ip", target[4]), 6: ("ip6", f"[{target[6]}]")}[version]
    rule = f"{family} daddr {address} {protocol} dport {port} {first} dnat {family} to {end}:{pod_port}"
    table = f"inet theirs_{port}"
    nft(
        name,
        f"add table {table}",
        f"add chain {table} dstnat {{ type nat hook prerouting priority -100; }}",
        f"add rule {table} dstnat {rule}",
    )
    try:
        yield
    finally:
        nft(name, f"delete table {table}")


def forge_source(name, address):
    """Give a host a foreign address as a source of its packets; it does not answer for it."""
    sysctl(name, ipv4__conf__all__arp_ignore=1)
    ip(name, f"address add {address} dev lo{' nodad' if ':' in address else ''}")


def device_mac(name):
    """Return the MAC address of a node's tunnel device."""
    with inside(name):
        return re.search(r"link/ether (\S+)", run("ip", "link", "show", "egress0"))[1]


def listener(name, version, port=SERVICE_PORT, kind=socket.SOCK_DGRAM, address=""):
    """Return a socket of a host that receives on this port of an address, all without one."""
    with inside(name):
        sock = socket.socket(FAMILIES[version], kind)
        if version == 6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_STREAM:
            # Connections of an earlier test may still be in the state TIME-WAIT.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, port))
        sock.settimeout(3)
        return sock


def sources(sock, expected=0):
    """Return the addresses from which datagrams arrive at a socket: in seconds what is expected, then in a moment."""
    found = []
    with contextlib.suppress(TimeoutError):
        while True:
            sock.settimeout(3 if len(found) < expected else 0.15)
            found.append(sock.recvfrom(100)[1][0])
    return found


def send(name, destination, data=b"x", source="", port=SERVICE_PORT, uid=0):
    """Send a datagram from a host, as a user."""
    version = 6 if ":" in destination else 4
    with inside(name):
        os.seteuid(uid)
        try:
            with socket.socket(FAMILIES[version], socket.SOCK_DGRAM) as sock:
                sock.bind((source, next(_SOURCE_PORTS)))
                with contextlib.suppress(PermissionError):  # what a rule drops on its way out
                    sock.sendto(data, (destination, port))
        finally:
            os.seteuid(0)


def answer_to_late_packet(version):
    """Send a TCP packet of an unknown connection from the server to the second egress IP; return the TCP answer."""
    with inside("server"), socket.socket(FAMILIES[version], socket.SOCK_RAW, socket.IPPROTO_TCP) as server:
        server.settimeout(3)
        ends = [socket.inet_pton(FAMILIES[version], address[version]) for address in (SERVER, EGRESS2)]
        segment = struct.pack("!HHIIBBHHH", 443, 40000, 7, 7, 5 << 4, 0x10, 100, 0, 0)
        if version == 6:
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_CHECKSUM, 16)
        else:
            total = checksum(b"".join(ends) + struct.pack("!HH", socket.IPPROTO_TCP, len(segment)) + segment)
            segment = segment[:16] + struct.pack("!H", total) + segment[18:]
        server.sendto(segment, (EGRESS2[version], 0))
        try:
            return server.recv(100)[20 if version == 4 else 0 :]
        except TimeoutError:
            return b""


def connects(name, destination, port, uid=0, timeout=3.0, source=""):
    """Return whether a TCP connection from a host, as a user, is accepted or refused within a time in seconds."""
    version = 6 if ":" in destination else 4
    with inside(name):
        os.seteuid(uid)
        try:
            with socket.socket(FAMILIES[version], socket.SOCK_STREAM) as sock:
                sock.settimeout(timeout)
                if source:
                    sock.bind((source, 0))
                sock.connect((destination, port))
                return True
        except ConnectionRefusedError:
            return True
        except (TimeoutError, PermissionError):
            return False
        finally:
            os.seteuid(0)


def tunnel_packet(source, destination, egress_ip="", mac=""):
    """Return the payload of a tunnel packet: VXLAN, and a datagram to the service port inside.

    The inner destination MAC is that of `egress_ip`, or `mac`.
    """
    version = 6 if ":" in source else 4
    mac = mac or macs_of([egress_ip])[egress_ip]
    ends = [socket.inet_pton(FAMILIES[version], address) for address in (source, destination)]
    datagram = struct.pack("!HHHH", 4444, SERVICE_PORT, 9, 0) + b"x"
    if version == 4:
        header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(datagram), 0, 0, 64, 17, 0) + b"".join(ends)
        header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
        ethertype = 0x0800
    else:
        header = struct.pack("!IHBB", 6 << 28, len(datagram), 17, 64) + b"".join(ends)
        total = checksum(b"".join(ends) + struct.pack("!II", len(datagram), 17) + datagram + b"\0")
        datagram = datagram[:6] + struct.pack("!H", total) + datagram[8:]
        ethertype = 0x86DD
    frame = bytes.fromhex(mac.replace(":", "")) + b"\x0e\0\0\0\0\1" + struct.pack("!H", ethertype) + header + datagram
    return struct.pack("!BxxxI", 0x08, VNI << 8) + frame


def checksum(data):
    """Return the internet checksum of an even number of bytes."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
