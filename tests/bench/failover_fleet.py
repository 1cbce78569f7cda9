# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet in network namespaces on one bridge, whose nodes run the program that takes egress IPs over, or keepalived.

Each node has the collection's data plane, its own /run and its own record; no run of a playbook takes part. A pod is on
a node that holds nothing. With keepalived, that daemon adds and deletes what a claim consists of: the address and its
rule.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / ".build"))
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.esp import fingerprint  # noqa: E402
from ansible_collections.netops.egress_ip.plugins.module_utils._node import zipapp  # noqa: E402

# Of all names on this machine, so that two fleets do not meet.
PREFIX = f"eip{os.getpid()}"
# The switches of each interface, and those that some hosts are moved to when the network splits.
SWITCH, OTHER_SWITCH = f"{PREFIX}-a", f"{PREFIX}-b"
RECORD = "/var/lib/netops-egress-ip/state.json"
# The distribution's interpreter, as on a node.
PYTHON = "/usr/bin/python3"
PROGRAM = Path("/tmp") / f"{PREFIX}.pyz"
POD_NETNS = f"{PREFIX}-pod"
EXCLUDED = ("10.88.0.0/16", "fd00:88::/64")
KEY, KEY_FILE = "k" * 40, "/var/lib/netops-egress-ip/failover.key"
# Exists while the host shuts down.
SHUTS_DOWN = "/run/shuts-down"
# Starts a process with its own /run and /var/lib, where the node keeps its files, and its own systemctl, and waits.
SANDBOX = f"""
mount -t tmpfs none /run && mkdir -p /run/systemd/system && mount -t tmpfs none /var/lib
mount -t tmpfs none /usr/local/sbin
printf '#!/bin/sh\n[ -e {SHUTS_DOWN} ] && echo stopping || echo running\n' > /usr/local/sbin/systemctl
chmod 755 /usr/local/sbin/systemctl
mkdir /var/lib/netops-egress-ip && printf {KEY} > {KEY_FILE} && echo ready && exec sleep infinity
"""
# Nodes that may take an address over, at most.
STANDBYS = 3
# Seconds until the programs have found each other, and until keepalived's first holder is settled.
SETTLING = 3.0
KEEPALIVED = """
global_defs {{
  router_id {name}
  vrrp_version 3
}}
vrrp_instance egress_ips {{
  state BACKUP
  nopreempt
  interface {interface}
  virtual_router_id 51
  priority {priority}
  advert_int 0.1
  virtual_ipaddress {{
    {first}
  }}
  {others}
  virtual_rules {{
    {rules}
  }}
}}
"""


@dataclass(frozen=True)
class Network:
    """A network in which nodes hold an egress IP: their interface, and the addresses of all hosts."""

    interface: str
    egress_ip: str
    more: str
    gateway: str
    server: str
    own: str
    length: int

    @property
    def version(self) -> int:
        """The IP version."""
        return 6 if ":" in self.egress_ip else 4

    def egress_ips(self, count: int) -> list[str]:
        """The first one, and others beside it."""
        return [self.egress_ip, *(self.more.format(i) for i in range(1, count))]


PRIMARY = Network(
    "eth0", "192.168.126.101", "192.168.127.{}", "192.168.126.1", "192.168.126.200", "192.168.126.2{}", 18
)
PRIMARY6 = Network("eth0", "fd00:126::101", "fd00:126::a:{}", "fd00:126::1", "fd00:126::200", "fd00:126::2{}", 64)
SECONDARY = Network("eth1", "172.30.0.101", "172.30.1.{}", "172.30.0.1", "172.30.0.200", "172.30.0.2{}", 16)
NETWORKS = (PRIMARY, PRIMARY6, SECONDARY)
INTERFACES = ("eth0", "eth1")
# {IP version: (address of the pod, of its node there, length)}
POD_NETWORKS = {4: ("10.88.0.2", "10.88.0.1", 16), 6: ("fd00:88::2", "fd00:88::1", 64)}


def run(*argv: str, text: str = "") -> str:
    """Run a command; its output."""
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr or done.stdout}")
    return done.stdout


class Namespace:
    """A host: a network namespace with a link to the switch of each network, and a process that keeps its mounts."""

    def __init__(self, name: str, addresses: Iterable[tuple[str, str]]) -> None:
        self.name, self.netns = name, f"{PREFIX}-{name}"
        self.ports = {interface: f"{PREFIX}-{name[:3]}{interface[-1]}" for interface in INTERFACES}
        run("ip", "netns", "add", self.netns)
        for interface, port in self.ports.items():
            run("ip", "link", "add", port, "type", "veth", "peer", "name", interface, "netns", self.netns)
        self.connect(SWITCH)
        argv = ["ip", "netns", "exec", self.netns, "unshare", "-m", "sh", "-ec", SANDBOX]
        self.keeper = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        assert self.keeper.stdout is not None
        self.keeper.stdout.readline()
        for interface in ("lo", *INTERFACES):
            self.do("ip", "link", "set", interface, "up")
        for interface, address in addresses:
            self.do("ip", "address", "add", address, "dev", interface, *(["nodad"] if ":" in address else []))

    def argv(self, *argv: str) -> list[str]:
        """The command in this host."""
        return ["nsenter", "-t", str(self.keeper.pid), "-m", "-n", *argv]

    def do(self, *argv: str, text: str = "") -> str:
        """Run a command in this host."""
        return run(*self.argv(*argv), text=text)

    def mac(self, interface: str) -> str:
        """The MAC address of an interface."""
        return json.loads(self.do("ip", "-j", "link", "show", "dev", interface))[0]["address"]

    def pull(self) -> None:
        """Pull the cables at the switches."""
        for port in self.ports.values():
            run("ip", "link", "set", port, "down")

    def connect(self, switch: str = "") -> None:
        """Connect the cables to switches; without any, the links stay and nothing passes."""
        for interface, port in self.ports.items():
            run("ip", "link", "set", port, *(["master", f"{switch}{interface[-1]}"] if switch else ["nomaster"]), "up")

    def close(self) -> None:
        """Remove the host."""
        self.keeper.kill()
        self.keeper.wait()
        for port in self.ports.values():
            subprocess.run(["ip", "link", "delete", port], check=False)
        subprocess.run(["ip", "netns", "delete", self.netns], check=False)


def addresses_of(field: str, *number: int) -> list[tuple[str, str]]:
    """(interface, ADDRESS/LENGTH) of a host in each network."""
    return [(net.interface, f"{getattr(net, field).format(*number)}/{net.length}") for net in NETWORKS]


class Node(Namespace):
    """A node with the program of the collection. `dark`: it has no power, or a hypervisor has stopped it."""

    def __init__(self, name: str, number: int) -> None:
        self.number, self.dark = number, False
        super().__init__(name, addresses_of("own", number))
        for net in (PRIMARY, PRIMARY6):
            self.do("ip", "route", "add", "default", "via", net.gateway)
        self.process: subprocess.Popen[str] | None = None

    def program(self, *words: str) -> str:
        """Run a command of the program."""
        return self.do(PYTHON, "-I", str(PROGRAM), *words)

    def write_record(self, state: dict) -> None:
        """Put a state on record."""
        marks = {ip: i for i, ip in enumerate(sorted({i for o in state["egressips"] for i in o["egressIPs"]}), 1)}
        record = {"state": state, "requested_digest": "", "marks": marks, "original_sysctls": {}}
        self.do("sh", "-c", f"cat > {RECORD}.new && mv {RECORD}.new {RECORD}", text=json.dumps(record))

    def command(self) -> list[str]:
        """The command line of the program under test."""
        return [PYTHON, "-I", str(PROGRAM), "follow"]

    def start(self, log: Path) -> None:
        """Start the program under test."""
        with log.open("a") as file:
            argv = self.argv("nice", "-n", "-10", *self.command())
            self.process = subprocess.Popen(argv, stderr=file, stdout=file, text=True)

    def send(self, number: int) -> None:
        """Send a signal to the program under test and its children."""
        if self.process:
            children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text("ascii").split()
            only_first = number == signal.SIGTERM
            for pid in [self.process.pid] if only_first else [*map(int, children), self.process.pid]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)

    def stop(self, number: int = signal.SIGKILL) -> None:
        """End the program under test."""
        if self.process:
            self.send(number)
            self.process.wait()
            self.process = None

    def processor_time(self) -> float:
        """Seconds of a processor that the program under test has used."""
        assert self.process
        fields = Path(f"/proc/{self.process.pid}/stat").read_text("ascii").rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> float:
        """Resident memory of the program under test, in MB."""
        assert self.process
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text("ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def shut_down(self) -> None:
        """Shut down in order: systemd ends the program, and some time later the network."""
        self.do("touch", SHUTS_DOWN)
        self.stop(signal.SIGTERM)
        time.sleep(0.5)
        self.lose_power()

    @property
    def ends(self) -> list[str]:
        """The own addresses on the primary interface, where its tunnels end."""
        return [net.own.format(self.number) for net in (PRIMARY, PRIMARY6)]

    def lose_power(self) -> None:
        """End without a word: the program ends, and the kernel does not answer any more."""
        self.dark = True
        self.connect()
        self.stop()

    def boot(self, log: Path) -> None:
        """Boot after a loss of power: no egress IP is there before the claim."""
        self._lose_addresses()
        self.do("rm", "-f", SHUTS_DOWN)
        self.dark = False
        self.connect(SWITCH)
        self.bring_back()
        self.start(log)

    def bring_back(self) -> None:
        """Do what the units of the collection do at boot."""
        self.program("restore")
        self.program("claim")

    def _lose_addresses(self) -> None:
        for interface, address in self.egress_addresses():
            self.do("ip", "address", "delete", address, "dev", interface)

    def egress_addresses(self) -> list[tuple[str, str]]:
        """(interface, ADDRESS/LENGTH) of each address that is not its own."""
        links = [json.loads(self.do("ip", "-j", "address", "show", "dev", name))[0] for name in INTERFACES]
        found = [
            (link["ifname"], f"{item['local']}/{item['prefixlen']}")
            for link in links
            for item in link["addr_info"]
            if item["scope"] == "global"
        ]
        return [each for each in found if each not in addresses_of("own", self.number)]

    def holds(self, egress_ip: str) -> bool:
        """Whether the node has the address."""
        return any(address.split("/")[0] == egress_ip for _interface, address in self.egress_addresses())

    def close(self) -> None:
        self.stop()
        super().close()


def _closed_by(stack: contextlib.ExitStack, host: Namespace) -> Namespace:
    """The host, which the stack removes."""
    stack.callback(host.close)
    return host


class Fleet:
    """The hosts. `count` nodes may hold the egress IPs; one more has the pod."""

    node = Node

    def __init__(self, count: int, net: Network, addresses: int, log: Path, strict: bool = False) -> None:
        PROGRAM.write_bytes(zipapp.make())
        self.net, self.log, self.strict = net, log, strict
        self.egress_ips, self.generation = self.net.egress_ips(addresses), 0
        self._stack = contextlib.ExitStack()
        with contextlib.ExitStack() as stack:
            self._make(count, stack)
            self._stack = stack.pop_all()

    def _make(self, count: int, stack: contextlib.ExitStack) -> None:
        stack.callback(PROGRAM.unlink, missing_ok=True)
        for switch in [f"{side}{interface[-1]}" for side in (SWITCH, OTHER_SWITCH) for interface in INTERFACES]:
            run("ip", "link", "add", switch, "type", "bridge", "mcast_snooping", "0")
            stack.callback(subprocess.run, ["ip", "link", "delete", switch], check=False)
            run("ip", "link", "set", switch, "up")
        self.gateway, self.server = (
            _closed_by(stack, Namespace(name, addresses_of(name))) for name in ("gateway", "server")
        )
        self.nodes = [_closed_by(stack, self.node(f"n{i}", i)) for i in range(1, count + 2)]
        self.holders, self.pod_node = self.nodes[:-1], self.nodes[-1]
        self._add_pod()

    def _add_pod(self) -> None:
        node = self.pod_node
        node.do("ip", "netns", "add", POD_NETNS)
        node.do("ip", *f"link add pod0 type veth peer name eth0 netns {POD_NETNS}".split())
        node.do("ip", "link", "set", "pod0", "up")
        node.do("ip", "-n", POD_NETNS, "link", "set", "eth0", "up")
        for version, (pod, gateway, length) in POD_NETWORKS.items():
            nodad = ["nodad"] if version == 6 else []
            node.do("ip", "address", "add", f"{gateway}/{length}", "dev", "pod0", *nodad)
            node.do("ip", "-n", POD_NETNS, "address", "add", f"{pod}/{length}", "dev", "eth0", *nodad)
            node.do("ip", "-n", POD_NETNS, "route", "add", "default", "via", gateway)
        node.do("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")

    def close(self) -> None:
        """Remove everything."""
        self._stack.close()

    def state(self, node: Node, holder: Node) -> dict:
        """The state of a node when `holder` has all addresses, and the others are its standbys in order."""
        pod = POD_NETWORKS[self.net.version][0]
        held = [ip for ip in self.egress_ips if self.holder_of(ip, holder) is node]
        far = self.egress_ips if self.net is SECONDARY else []
        return {
            "name": node.name,
            "generation": self.generation,
            "interface": "eth0",
            "endpoints": node.ends,
            "options": {},
            "nodes": [{"name": each.name, "endpoints": each.ends, "addresses": each.ends} for each in self.nodes],
            "excluded": [*EXCLUDED],
            "egressips": [
                {"name": f"web{i}", "egressIPs": [ip], "slots": [ip]} for i, ip in enumerate(self.egress_ips)
            ],
            "pods": [{"address": pod, "egressips": ["web0"]}] if node is self.pod_node else [],
            "held": [{"egressIP": ip, "interface": self.net.interface} for ip in held],
            "far_ends": [{"egressIP": ip, "endpoint": holder.ends[0]} for ip in far],
            "failover": {
                "after": 0.2,
                "strict": self.strict,
                "witnesses": [net.gateway for net in NETWORKS],
                "key": fingerprint(KEY),
                "ends": [{"egressIP": ip, "ends": {n.name: n.ends[0] for n in self.holders}} for ip in far],
            },
            "standbys": self._standbys(node, holder),
        }

    def holder_of(self, _egress_ip: str, holder: Node) -> Node:
        """The node that has an address when `holder` has the first one."""
        return holder

    def standbys_of(self, egress_ip: str, holder: Node) -> list[Node]:
        """The standbys of an address, the first one first."""
        has = self.holder_of(egress_ip, holder)
        return [each for each in self.holders if each is not has][:STANDBYS]

    def _standbys(self, node: Node, holder: Node) -> list[dict]:
        net = self.net
        peers = {
            each: {"name": each.name, "address": net.own.format(each.number), "mac": each.mac(net.interface)}
            for each in self.holders
        }
        orders = {ip: (*self.standbys_of(ip, holder), self.holder_of(ip, holder)) for ip in self.egress_ips}
        return [
            {"egressIP": ip, "interface": net.interface, "order": [peers[each] for each in order]}
            for ip, order in orders.items()
            if node in order
        ]

    def write_plan(self, holder: Node) -> None:
        """Put a plan with this holder on record on all nodes."""
        self.generation += 1
        for node in self.nodes:
            node.write_record(self.state(node, holder))

    def apply(self, holder: Node) -> None:
        """Make all nodes what a plan with this holder wants."""
        self.write_plan(holder)
        claimants = {self.holder_of(ip, holder).name for ip in self.egress_ips}
        for node in sorted(self.nodes, key=lambda each: each.name in claimants):
            node.program("claim" if node.name in claimants else "restore")

    def start(self) -> None:
        """Start the programs, and let them learn who is where."""
        for node in self.nodes:
            node.start(self.log)
        time.sleep(SETTLING)

    def holder(self) -> Node:
        """The one node with the first address; RuntimeError if that is not one."""
        found = [node for node in self.holders if node.holds(self.egress_ips[0])]
        if len(found) != 1:
            raise RuntimeError(f"{self.egress_ips[0]} is on {', '.join(node.name for node in found) or 'no node'}")
        return found[0]

    def begin_trial(self) -> None:
        """Begin the next trial as the next run would: with a plan that has the present holder."""
        self.write_plan(self.holder())
        time.sleep(SETTLING)


class CrowdedFleet(Fleet):
    """Each node has some addresses, whose standbys are all others: what the program costs."""

    def __init__(self, count: int, net: Network, log: Path) -> None:
        super().__init__(count, net, count * -(-(count - 1) // STANDBYS), log)

    def holder_of(self, egress_ip: str, _holder: Node) -> Node:
        """Address by address, the nodes in turn."""
        return self.holders[self.egress_ips.index(egress_ip) % len(self.holders)]

    def standbys_of(self, egress_ip: str, holder: Node) -> list[Node]:
        """For each further address of a node the next ones after it."""
        turn, place = divmod(self.egress_ips.index(egress_ip), len(self.holders))
        others = [*self.holders[place + 1 :], *self.holders[:place]]
        return others[turn * STANDBYS : (turn + 1) * STANDBYS]


class KeepalivedNode(Node):
    """A node with keepalived; `rules` are the words of the claims' rules, `priority` is that of VRRP."""

    rules: tuple[str, ...] = ()
    egress_ips: tuple[str, ...] = ()
    priority, interface = 100, "eth0"

    def prepare(self) -> None:
        """Claim as the collection does, learn the rules of the claim, and delete address and rules."""
        self.program("restore")
        before = self._rules()
        self.program("claim")
        self.rules = tuple(sorted(self._rules() - before))
        self.bring_back()

    def _rules(self) -> set[str]:
        family = "-6" if ":" in self.egress_ips[0] else "-4"
        lines = self.do("ip", "-N", family, "rule", "show").splitlines()
        # keepalived gives its rules a protocol of its own.
        found = (re.fullmatch(r"(\d+):\s+from all (.*?)( proto \d+)?\s*", line) for line in lines)
        return {f"priority {each[1]} {each[2]}" for each in found if each}

    def bring_back(self) -> None:
        """Be without address and rules, as after a boot."""
        self._lose_addresses()
        family = "-6" if ":" in self.egress_ips[0] else "-4"
        for rule in self.rules:
            subprocess.run(self.argv("ip", family, "rule", "delete", *rule.split()), check=False, capture_output=True)

    def command(self) -> list[str]:
        """The command line of keepalived, whose configuration is written before."""
        length = 128 if ":" in self.egress_ips[0] else 32
        # With IPv6, VRRP wants a link-local address first.
        first = [f"fe80::225/64 dev {self.interface}"] if length == 128 else []
        addresses = [*first, *(f"{ip}/{length} dev {self.interface}" for ip in self.egress_ips)]
        words = {"name": self.name, "interface": self.interface, "priority": self.priority, "first": addresses[0]}
        others = f"virtual_ipaddress_excluded {{\n{chr(10).join(addresses[1:])}\n}}" if addresses[1:] else ""
        family = "from ::/0 " if length == 128 else ""
        lists = {"others": others, "rules": "\n".join(f"{family}{rule}" for rule in self.rules)}
        self.do("sh", "-c", "cat > /run/keepalived.conf", text=KEEPALIVED.format(**words, **lists))
        return ["keepalived", "--dont-fork", "--log-console", "--vrrp", "--use-file", "/run/keepalived.conf"]


class KeepalivedFleet(Fleet):
    """The fleet with keepalived in place of the collection's program."""

    node = KeepalivedNode
    holders: list[KeepalivedNode]

    def apply(self, holder: Node) -> None:
        """Prepare all nodes; this holder gets the highest priority."""
        self.generation += 1
        for node in self.holders:
            node.interface = self.net.interface
            node.egress_ips, node.priority = tuple(self.egress_ips), 200 if node is holder else 100 - node.number
            node.write_record(self.state(node, node))
            node.prepare()
        self.pod_node.write_record(self.state(self.pod_node, holder))
        self.pod_node.program("restore")

    def start(self) -> None:
        """Start the holder first: no other one replaces it, since nobody preempts."""
        for node in sorted(self.holders, key=lambda each: -each.priority):
            node.start(self.log)
            time.sleep(1)
        time.sleep(SETTLING)

    def begin_trial(self) -> None:
        """Begin the next trial; it needs no plan."""
        self.holder()
        time.sleep(SETTLING)


@contextlib.contextmanager
def opened(fleet: Fleet) -> Iterator[Fleet]:
    """Start a fleet whose first node holds all addresses, and remove it at the end."""
    with contextlib.closing(fleet):
        fleet.apply(fleet.holders[0])
        fleet.start()
        yield fleet
