# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host in memory that stands in for `HostIO`: it carries out the lines that the collection hands to `ip` and `nft`.

It refuses what the kernel refuses (adding what is there, deleting what is not, naming what does not exist), keeps a log
of everything that was done, and can be told to fail. Times are simulated: no test waits for the wire.
"""

from __future__ import annotations

import contextlib
import copy
import json
import re
import time
import types
from collections import Counter
from pathlib import Path

from ansible_collections.netops.egress_ip.plugins.module_utils._common.addresses import version_of
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import CommandError
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.esp import Esp, EspState
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.host import Host
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.nft_table import (
    TABLE,
    TIMEOUTS,
    ChainState,
    SetState,
    TableState,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.numbers import PROTOCOL
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import (
    cni_files,
    container_networks,
    containers,
    files,
    hook_files,
    packets,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.commands import Completed
from ansible_collections.netops.egress_ip.plugins.module_utils._protocols.address_probe import PARSERS
from ansible_collections.netops.egress_ip.plugins.module_utils._protocols.ethernet import NeighbourMessage

MAC = "02:00:c0:a8:7e:15"
# The random address of a new tunnel device.
NEW_MAC = "0a:5e:c2:e7:00:01"
OURS = str(PROTOCOL)
_NOT_THE_HOST = (
    *("log", "fail", "wire", "away", "settling", "due", "version", "the_segment"),
    *("writes", "on_call", "ends", "notified"),
)
FOREIGN_TABLE = {
    "sets": {},
    "counters": set(),
    "chains": {"srcnat": {"header": "{ nat }", "device": "", "rules": [("masquerade", "")]}},
}


def address(local, prefixlen, label, scope="0", **flags):
    """Return an addr_info document as `ip -N -json` prints it."""
    document = {"local": local, "prefixlen": prefixlen, "scope": scope, **flags}
    return {"family": "inet6", **document} if ":" in local else {"family": "inet", **document, "label": label}


def ethernet(*addresses, mtu=1500):
    """Return the document of an Ethernet interface without its name."""
    flags = ["BROADCAST", "UP", "LOWER_UP"]
    described = {"flags": flags, "mtu": mtu, "address": MAC, "linkinfo": {"info_kind": "veth"}}
    return {**described, "addr_info": list(addresses)}


def _of_device(name):
    return [
        f"net.ipv4.conf.{name}.rp_filter",
        f"net.ipv6.conf.{name}.disable_ipv6",
        *(f"net.ipv{version}.conf.{name}.drop_unicast_in_l2_multicast" for version in (4, 6)),
    ]


class FakeKernel:
    """The host, with the methods of `HostIO`."""

    STATE_FILE, PROGRAM_FILE, UNIT_DIRECTORY = files.STATE_FILE, files.PROGRAM_FILE, files.UNIT_DIRECTORY
    WATCH_FILE, LOST_FILE = files.WATCH_FILE, files.LOST_FILE
    STATE_COPY, CONFLICTS_FILE = files.STATE_COPY, files.CONFLICTS_FILE

    def __init__(self):
        self.interfaces = {
            "lo": ethernet(address("127.0.0.1", 8, "lo", scope="254"), mtu=65536),
            "eth0": ethernet(
                address("192.168.126.21", 18, "eth0"),
                address("2001:db8:126::21", 64, "eth0"),
                address("fe80::21", 64, "eth0", scope="253"),
            ),
            "pods0": {**ethernet(address("10.88.0.1", 16, "pods0")), "linkinfo": {"info_kind": "bridge"}},
        }
        self.rules = {
            version: [
                {"priority": 0, "src": "all", "table": "255", "protocol": "2"},
                {"priority": 100, "src": "all", "fwmark": "0x4000", "fwmask": "0x4000", "table": "100"},
                {"priority": 32766, "src": "all", "table": "254", "protocol": "2"},
            ]
            for version in (4, 6)
        }
        self.routes = []
        self.neighbours = [
            {"dst": "192.168.126.1", "dev": "eth0", "lladdr": "02:00:00:00:00:01", "state": ["PERMANENT"]}
        ]
        self.default_routes = [{"dst": "default", "gateway": "192.168.126.1", "dev": "eth0", "table": "254"}]
        self.listening = ()
        self.policies = frozenset()
        # The lines that added our ESP states, by their identity, and the words of our ESP policies.
        self.esp_states, self.esp_policies = {}, frozenset()
        # What prevents ESP.
        self.esp_missing = []
        self.tables = {("ip", "nat"): copy.deepcopy(FOREIGN_TABLE)}
        self.sysctls = {
            "net.ipv4.ip_forward": "0",
            "net.ipv4.conf.all.rp_filter": "1",
            "net.ipv6.conf.all.forwarding": "0",
        }
        self.forward_filters = {}
        self.hooks = hook_files.HookFolders((), ())
        # The notes of containers that the hook classified, and the keys of those that ended.
        self.followed = ([], [])
        self.files = {"/etc/hosts": (b"127.0.0.1 localhost\n", 0o644)}
        # Path -> how often it was written.
        self.writes = Counter()
        self.units = set()
        self.missing = []
        self.facts = {"sys_vendor": "Dell Inc.", "product_name": "PowerEdge R640"}
        self.wire = {}
        # The connections that are tracked, {mark: [Flow]}.
        self.flows = {}
        # The requests to create and delete connections.
        self.changed = []
        self.away = True
        # Whether that was less than a minute ago, and whether it is time to probe.
        self.settling = self.due = False
        # The egress IPs whose new holders connect, and {egress IP: flows} from old holders that answer.
        self.takers, self.received = set(), {}
        # Whether the timer of the watch runs.
        self.active = False
        # The units that are reported as inactive.
        self.stopped = set()
        self.fail = ()
        self.the_segment = None
        # How another node answers a call; whether the program is asked to end, and the host shuts down.
        self.notified = []
        self.on_call, self.ends, self.shuts_down = None, False, False
        # Another program has the TCP port of the tunnel.
        self.port_is_busy = False
        # What the engines have, {name: Found}.
        self.networks, self.idle, self.containers = {}, (), {}
        # What another run does while this one waits for the lock.
        self.first, self.locked = None, False
        self.log = []

    def snapshot(self):
        """Return everything there is, for comparisons."""
        return copy.deepcopy({key: value for key, value in self.__dict__.items() if key not in _NOT_THE_HOST})

    def logged(self, kind):
        """Return what was done of one kind, in order."""
        return [detail for word, detail in self.log if word == kind]

    def addresses(self):
        """Return {address: interface} of everything on the host."""
        return {a["local"]: name for name, item in self.interfaces.items() for a in item["addr_info"]}

    # The methods of `HostIO`.

    def missing_packages(self):
        return []

    def esp_problems(self, port):
        return list(self.esp_missing)

    def read_esp(self):
        found = frozenset(EspState(words[1], words[3], int(words[7], 0)) for words in map(str.split, self.esp_states))
        return Esp(found, self.esp_policies)

    def platform_facts(self, names):
        return {name: self.facts[name] for name in names if name in self.facts}

    def missing_requirements(self):
        return list(self.missing)

    def read_host(self, advertised=()):
        interfaces = tuple(
            {"ifname": name, "ifindex": index, **copy.deepcopy(item)}
            for index, (name, item) in enumerate(self.interfaces.items(), start=1)
        )
        plain = (tuple(copy.deepcopy(items)) for items in (self.routes, self.neighbours, self.default_routes))
        rules = {version: tuple(copy.deepcopy(items)) for version, items in self.rules.items()}
        known = [name for name in advertised if f"net.ipv6.conf.{name}.accept_ra" in self.sysctls]
        listening = tuple(sorted({*self.listening, *known}))
        return Host(interfaces, *plain, rules, listening, self.policies, NEW_MAC)

    def read_tables(self):
        return {family: _table_state(family, table) for (family, name), table in self.tables.items() if name == TABLE}

    def read_sysctls(self, names):
        return {name: self.sysctls.get(name, "0") for name in names if self._is_sysctl(name)}

    def _is_sysctl(self, name):
        """Every interface has these, 0 until they are set."""
        of_interface = re.fullmatch(r"net\.ipv.\.conf\.(.*)\.(?:rp_filter|drop_unicast_in_l2_multicast)", name)
        return name in self.sysctls or (of_interface is not None and of_interface[1] in self.interfaces)

    def execute(self, transaction):
        for line in transaction.ip:
            self._do("ip", line, self._ip)
        for line in transaction.ip6:
            self._do("ip", f"-6 {line}", self._ip)
        for name, value in transaction.sysctls:
            self.write_sysctl(name, value)
        before = copy.deepcopy(self.tables)
        try:
            for line in transaction.nft:
                self._do("nft", line, self._nft)
        except CommandError:
            self.tables = before
            raise
        for line in transaction.ip_after:
            self._do("ip", line, self._ip)

    def write_sysctl(self, name, value):
        if not self._is_sysctl(name):
            raise CommandError(f"sysctl {name}: cannot be set to {value}: No such file or directory")
        self.log.append(("sysctl", f"{name} = {value}"))
        self.sysctls[name] = value

    @contextlib.contextmanager
    def lock(self, _patience=None):
        """Let another run go first, if a test wants it. A second lock of one run would wait for itself."""
        assert not self.locked
        first, self.first = self.first, None
        if first:
            first()
        self.locked = True
        try:
            yield
        finally:
            self.locked = False

    def load_record(self):
        """Return the content of the record, for tests."""
        return json.loads(self.read_file(self.STATE_FILE))

    def save_record(self, record):
        """Write the record and its copy, for tests."""
        self.write_record(json.dumps(record, sort_keys=True).encode())

    def write_record(self, data):
        """Write the record and its copy, for tests."""
        self.files.update({str(path): (data, 0o600) for path in (self.STATE_FILE, self.STATE_COPY)})

    def remove_record(self):
        """Remove the record, for tests."""
        del self.files[str(self.STATE_FILE)]

    def interpreter(self):
        return "/usr/bin/python3"

    def sleep(self, seconds):
        """Note that a program sleeps, which it must not do while others wait for the lock."""
        assert not self.locked
        self.log.append(("sleep", seconds))

    def read_file(self, path):
        # The links that systemctl makes lead to the units themselves.
        if path.parent.suffix == ".wants":
            path = path.parents[1] / path.name if path.name in self.units else path
        return self.files.get(str(path), (None, 0))[0]

    def write_file(self, path, data, mode):
        self._do("file", str(path), lambda line: self.files.update({line: (data, mode)}))
        self.writes[str(path)] += 1

    def remove_file(self, path):
        self._do("remove", str(path), lambda line: self.files.pop(line, None))

    def file_version(self, path):
        # As the real one: new after each write, also of the same content.
        return (hash(self.files[str(path)]), self.writes[str(path)]) if str(path) in self.files else files.NO_FILE

    def is_here(self, item):
        return item[0] in self.addresses()

    def wall_clock(self):
        return 1_000_000_000.0

    def monotonic_clock(self):
        return 100.0

    def read_ages(self):
        return dict.fromkeys(self.addresses(), 60.0)

    def segment(self):
        return self.the_segment

    def file_changes(self, _folder):
        # The program looks at the record in each step.
        return types.SimpleNamespace(works=False, fileno=lambda: -1, watch=lambda: None, forget=lambda: None)

    def termination(self):
        return types.SimpleNamespace(requested=self.ends, fileno=lambda: 7, wait=self.sleep)

    def settle_memory(self):
        pass

    def is_shutting_down(self):
        return self.shuts_down

    def call_listener(self, key, port, own):
        if self.port_is_busy:
            raise CommandError(f"TCP port {port}: Address already in use")
        return types.SimpleNamespace(key=key, fileno=lambda: 8, read=list, close=lambda: None)

    def call(self, *arguments):
        return self.on_call(*arguments)

    def notify(self, key, port, notices, is_true):
        self.notified += notices

    def change_connections(self, requests):
        self.changed += requests
        return [0] * len(requests)

    def stop_units(self, units):
        self.log += [("stop", unit) for unit in units]

    def remove_files(self, paths):
        self.units -= {path.name for path in paths}
        failed = []
        for path in paths:
            try:
                self.remove_file(path)
            except CommandError as error:
                failed.append(error)
        if failed:
            raise failed[0]

    def remove_programs(self, kept=()):
        self.log.append(("programs", kept))

    def note_presence(self, device, held, own):
        words = [device, *(item.egress_ip for item in held), *own]
        self.files[str(self.WATCH_FILE)] = (" ".join(words).encode(), 0o644)

    def note_absence(self):
        self.away = True

    def was_away(self):
        return self.away

    def is_settling(self):
        return self.away or self.settling

    def is_probe_due(self):
        return self.due

    def note_probed(self):
        self.log.append(("probed", ""))

    def find_networks(self, names, interfaces):
        assert all(item["ifname"] in self.interfaces for item in interfaces)
        return {
            name.text: self.networks.get(name.text, container_networks.FoundNetwork(problem="does not exist"))
            for name in names
        }

    def find_containers(self, engine):
        return self.containers.get(engine, containers.Containers())

    def idle_networks(self):
        return self.idle

    def networks_version(self):
        return repr(sorted(self.networks.items()) + [item.text for item in self.list_files()])

    def list_files(self):
        found = sorted(path for path in self.files if path.startswith(f"{cni_files.LISTS}/"))
        return [cni_files.ListFile(Path(path), self.files[path][0].decode()) for path in found]

    def program_folders(self, main):
        return [folder for folder in cni_files.PROGRAM_FOLDERS if str(folder / main) in self.files]

    def hook_folders(self):
        return self.hooks

    def replace_list(self, path, before, after):
        data, mode = self.files[str(path)]
        assert data == before.encode()
        self.log.append(("list", str(path)))
        self.files[str(path)] = (after.encode(), mode)

    def admit_pods(self, admission):
        self.log.append(("admit", sorted(admission.rules["namespaces"])))

    def followed_containers(self):
        return self.followed

    def dismiss_pods(self):
        self.log.append(("dismiss", ""))

    def note_networks(self, version):
        if version is None:
            self.files.pop(str(files.NETWORKS_FILE), None)
        else:
            self.files[str(files.NETWORKS_FILE)] = (version.encode(), 0o644)

    def has_link(self, interface):
        return "LOWER_UP" in self.interfaces[interface]["flags"]

    def run_probes(self, probes):
        """Run the real probes against `wire`, {address: (MAC, seconds until it falls silent)}."""
        for interface in probes:
            if not self.has_link(interface):
                raise packets.no_link(interface)
        start = now = time.monotonic()
        pending = {interface: {probe.address: probe for probe in items} for interface, items in probes.items()}
        while any(pending.values()):
            for probe in [probe for items in pending.values() for probe in items.values()]:
                heard = PARSERS[probe.ethertype](probe.frame_due(now) or b"")
                if heard:
                    self.log.append(("probe", heard.probes))
                    mac, silent_after = self.wire.get(heard.probes, ("", 0))
                    if now - start < silent_after:
                        probe.receive(NeighbourMessage(mac, heard.probes, ""))
            free, conflicts = packets.take_verdicts(pending.values(), now)
            if free or conflicts:
                yield free, conflicts
            now += 0.01

    def send_frames(self, interface, announced):
        heard = [PARSERS[ethertype](frame) for ethertype, frames in announced for frame in frames]
        self.log += [("announce", (interface, item.uses)) for item in heard]

    def read_forward_filters(self):
        """Return the tables of others with a filter at the hook forward."""
        return self.forward_filters

    def read_counters(self):
        table = self.tables.get(("inet", TABLE), {"counters": ()})
        return dict.fromkeys(table["counters"], (2, 200))

    def count_connections(self, filters):
        return {}

    def publish_file(self, path, data):
        self._do("publish", str(path), lambda line: self.files.update({line: (data, 0o644)}))

    def read_connections(self, filters):
        looked = [(m, flows) for mark, mask in filters for m, flows in self.flows.items() if m & mask == mark]
        return [(m, flow) for m, flows in looked for flow in flows]

    def send_packets(self, packets):
        self.log += [("packet", destination) for _version, destination, _packet in packets]

    def forget_connections(self, marks, mask):
        self.log += [("forget", (mark, mask)) for mark in sorted(marks)]

    def forget_elsewhere(self, filters, kept, mask):
        self.log += [("forget elsewhere", (mark, address)) for mark, address in sorted(kept.items())]

    def hand_over(self, key, port, own, partners, release):
        promised = {ip for ips in partners.giving.values() for ip in ips}
        release(promised & self.takers)
        return {ip: self.received[ip] for ips in partners.taking.values() for ip in ips if ip in self.received}

    def run_later(self, seconds, argv):
        self.log.append(("later", " ".join(argv)))

    def run(self, argv, text=""):
        self._do("run", " ".join(argv), lambda line: None)
        if argv[:2] == ["systemctl", "enable"]:
            self.units |= {word for word in argv if word.endswith((".service", ".timer"))}
        if argv[:3] == ["ip", "-force", "-batch"]:
            for line in text.splitlines():
                with contextlib.suppress(CommandError):
                    self._do("ip", line, self._ip)
        elif argv[0] == "ip":
            self._ip(" ".join(argv[1:]))
        state = "inactive" if argv[-1] in self.stopped else ""
        return Completed(0 if argv[1:2] != ["is-active"] or self.active else 3, state, "")

    check = run

    def wait_until(self, condition, seconds):
        self.log.append(("wait", seconds))
        self.meanwhile()
        assert condition()

    def meanwhile(self):
        """Do what others do while somebody waits."""

    # What `ip` and `nft` do.

    def _do(self, kind, line, action):
        if any(words in line for words in self.fail):
            raise CommandError(f"{kind}: refused for the test: {line}")
        self.log.append((kind, line))
        action(line)

    def _ip(self, line):
        words = line.split()
        self.version = 6 if words[0] == "-6" else 4
        words = [word for word in words if word != "-6"]
        getattr(self, f"_{words[0]}_{words[1]}")(words[2:])

    def _link_add(self, words):
        name, options = words[0], _pairs([word for word in words[1:] if word != "external"])
        _must(name not in self.interfaces, "RTNETLINK answers: File exists")
        self.interfaces[name] = {
            "flags": [],
            "address": options["address"],
            "mtu": int(options["mtu"]),
            "linkinfo": {
                "info_kind": "vxlan",
                "info_data": {"external": True, "id": 0, "port": int(options["dstport"])},
            },
            "addr_info": [],
        }
        self.sysctls.update(dict.fromkeys(_of_device(name), "0"))

    def _link_set(self, words):
        name, _alias, alias, _up = words
        self.interfaces[name].update(ifalias=alias, flags=["UP"])

    def _link_delete(self, words):
        name = words[0]
        _must(name in self.interfaces, f'Cannot find device "{name}"')
        del self.interfaces[name]
        for sysctl in _of_device(name):
            self.sysctls.pop(sysctl, None)
        self.routes = [route for route in self.routes if route["dev"] != name]
        self.neighbours = [item for item in self.neighbours if item["dev"] != name]
        for table in self.tables.values():
            table["chains"] = {key: chain for key, chain in table["chains"].items() if chain["device"] != name}

    def _rule_add(self, words):
        rule = _rule(words)
        _must(rule not in self.rules[self.version], "RTNETLINK answers: File exists")
        self.rules[self.version].append(rule)

    def _rule_delete(self, words):
        rule = _rule(words)
        _must(rule in self.rules[self.version], "RTNETLINK answers: No such file or directory")
        self.rules[self.version].remove(rule)

    def _address_add(self, words):
        local, prefixlen, name = *words[0].split("/"), words[2]
        options = _pairs([word for word in words[1:] if word != "nodad"])
        _must(version_of(local) == self.version, "RTNETLINK answers: Invalid argument")
        _must(name in self.interfaces, f'Cannot find device "{name}"')
        _must(self._find_address(words) is None, "RTNETLINK answers: File exists")
        flags = {"nodad": True} if "nodad" in words else {}
        flags.update({"preferred_life_time": 0} if options.get("preferred_lft") == "0" else {})
        self.interfaces[name]["addr_info"].append(address(local, int(prefixlen), options.get("label", name), **flags))

    def _address_delete(self, words):
        found = self._find_address(words)
        _must(found is not None, "RTNETLINK answers: Cannot assign requested address")
        self.interfaces[words[2]]["addr_info"].remove(found)

    def _find_address(self, words):
        local, prefixlen = words[0].split("/")
        known = self.interfaces.get(words[2], {"addr_info": []})["addr_info"]
        return next((a for a in known if (a["local"], str(a["prefixlen"])) == (local, prefixlen)), None)

    def _neighbour_replace(self, words):
        dst, options = words[0], _pairs(words[1:])
        _must(options["dev"] in self.interfaces, f'Cannot find device "{options["dev"]}"')
        self.neighbours = [n for n in self.neighbours if (n["dst"], n["dev"]) != (dst, options["dev"])]
        document = {"dst": dst, "state": ["PERMANENT"], **{key: options[key] for key in ("dev", "lladdr", "protocol")}}
        self.neighbours.append(document)

    def _neighbour_delete(self, words):
        dst, device = words[0], _pairs(words[1:])["dev"]
        found = [n for n in self.neighbours if (n["dst"], n["dev"]) == (dst, device)]
        _must(found, "RTNETLINK answers: No such file or directory")
        self.neighbours.remove(found[0])

    def _route_replace(self, words):
        route = _route(words)
        _must(route["type"] != "1" or route["dev"] in self.interfaces, f'Cannot find device "{route.get("dev")}"')
        self.routes = [other for other in self.routes if self._route_key(other) != self._route_key(route)]
        self.routes.append(route)

    def _route_delete(self, words):
        route = _route([*words, "protocol", OURS])
        _must(route in self.routes, "RTNETLINK answers: No such process")
        self.routes.remove(route)

    @staticmethod
    def _route_key(route):
        if route["type"] != "1" and route["dst"] == "default":
            return route["table"], route["dst"], 6 if "dev" in route else 4, route["type"]
        address = route.get("gateway") or route.get("prefsrc") or route["dst"].split("/")[0]
        return route["table"], route["dst"], version_of(address), route["type"]

    def _route_flush(self, words):
        options = _pairs(words)
        wanted = (options["table"], options["protocol"], self.version)
        self.routes = [r for r in self.routes if (r["table"], r["protocol"], self._route_key(r)[2]) != wanted]

    def _xfrm_state(self, words):
        identity = " ".join(words[1:9])
        if words[0] == "add":
            # The kernel accepts one state per destination and SPI.
            known = {(each.split()[3], each.split()[7]) for each in self.esp_states}
            _must((words[4], words[8]) not in known, "RTNETLINK answers: File exists")
            self.esp_states[identity] = " ".join(words)
        else:
            _must(identity in self.esp_states, "RTNETLINK answers: No such process")
            del self.esp_states[identity]

    def _xfrm_policy(self, words):
        if words[1] == "dir" and words[2] in ("in", "out"):
            selector = {" ".join(words[1 : words.index("ptype")])}
            self.esp_policies = self.esp_policies - selector if words[0] == "delete" else self.esp_policies | selector
        elif words[0] == "deleteall":
            self.policies = frozenset()
        else:
            self.policies |= {" ".join(words[1 : words.index("dir")])}

    def _nft(self, line):
        verb, kind, family, table, *rest = line.split(None, 4)
        if kind == "table":
            return self._nft_table(verb, (family, table))
        _must((family, table) in self.tables, f"no table {family} {table}")
        name, _blank, words = rest[0].partition(" ")
        return getattr(self, f"_nft_{verb}_{kind}")(self.tables[family, table], name, words)

    def _nft_table(self, verb, key):
        if verb == "add":
            self.tables.setdefault(key, {"sets": {}, "chains": {}, "counters": set()})
        else:
            _must(key in self.tables, f"no table {key}")
            del self.tables[key]

    def _nft_add_chain(self, table, name, words):
        device = re.search(r' device "([^"]+)"', words)
        _must(not device or device[1] in self.interfaces, f"no device for {words}")
        header = words.replace(device[0], "") if device else words
        table["chains"].setdefault(name, {"header": header, "device": device[1] if device else "", "rules": []})

    def _nft_flush_chain(self, table, name, _words):
        _must(name in table["chains"], f"no chain {name}")
        table["chains"][name]["rules"] = []

    def _nft_delete_chain(self, table, name, _words):
        _must(name in table["chains"] and not table["chains"][name]["rules"], f"chain {name} is busy")
        _must(name not in _referenced(table), f"chain {name} is referred to")
        del table["chains"][name]

    def _nft_add_rule(self, table, name, words):
        text, comment = re.fullmatch(r'(.*) comment "([^"]*)"', words).groups()
        _must(set(re.findall(r"(?:goto|jump) (\S+?)(?=[ ,]|$)", text)) <= set(table["chains"]), f"no chain for {text}")
        _must(set(re.findall(r"@(\w+)", text)) <= set(table["sets"]), f"no set for {text}")
        table["chains"][name]["rules"].append((text, comment))

    def _nft_add_set(self, table, name, words, kind="set"):
        table["sets"].setdefault(name, {"kind": kind, "definition": words, "elements": {}})

    def _nft_add_map(self, table, name, words):
        self._nft_add_set(table, name, words, "map")

    def _nft_flush_set(self, table, name, _words, kind="set"):
        _must(name in table["sets"] and table["sets"][name]["kind"] == kind, f"no {kind} {name}")
        table["sets"][name]["elements"] = {}

    def _nft_flush_map(self, table, name, words):
        self._nft_flush_set(table, name, words, "map")

    def _nft_delete_set(self, table, name, _words):
        uses = [text for chain in table["chains"].values() for text, _c in chain["rules"] if f"@{name}" in text]
        _must(name in table["sets"] and not uses, f"set {name} is busy")
        del table["sets"][name]

    def _nft_add_counter(self, table, name, _words):
        table["counters"].add(name)

    def _nft_delete_counter(self, table, name, _words):
        uses = [key for item in table["sets"].values() for key, value in item["elements"].items() if value == name]
        _must(name in table["counters"] and not uses, f"counter {name} is busy")
        table["counters"].remove(name)

    def _nft_add_element(self, table, name, words):
        if TIMEOUTS in table["sets"][name]["definition"]:
            return
        for key, value in _elements(words):
            elements = table["sets"][name]["elements"]
            _must(elements.get(key, value) == value, f"{name}: {key} is there with another value")
            if value and value.startswith("goto "):
                _must(value.split()[1] in table["chains"], f"{name}: no chain for {value}")
            if table["sets"][name]["definition"].endswith(": counter; }"):
                _must(value in table["counters"], f"{name}: no counter {value}")
            elements[key] = value

    def _nft_delete_element(self, table, name, words):
        for key, _value in _elements(words):
            _must(key in table["sets"][name]["elements"], f"{name}: no element {key}")
            del table["sets"][name]["elements"][key]


def _table_state(family, table):
    return TableState(
        family,
        {n: SetState(item["kind"], item["definition"], dict(item["elements"])) for n, item in table["sets"].items()},
        {n: ChainState(item["header"], tuple(map(_fingerprint, item["rules"]))) for n, item in table["chains"].items()},
        counters=frozenset(table["counters"]),
    )


def _fingerprint(rule):
    text, comment = rule
    return comment.partition("egress_ip:")[2] or f"foreign rule: {text}"


def _referenced(table):
    words = [text for chain in table["chains"].values() for text, _comment in chain["rules"]]
    words += [value for item in table["sets"].values() for value in item["elements"].values() if value]
    return {name for text in words for name in re.findall(r"(?:goto|jump) (\S+?)(?=[ ,]|$)", text)}


def _elements(words):
    for element in re.fullmatch(r"\{ (.*) \}", words)[1].split(", "):
        key, _colon, value = element.partition(" : ")
        yield key, value or None


def _pairs(words):
    return dict(zip(words[::2], words[1::2], strict=False))


def _rule(words):
    """Return the document that `ip -N -json rule show` prints of these words."""
    flag = next((word for word in ("unreachable", "nop") if word in words), None)
    options = _pairs([word for word in words if word not in (flag, "not")])
    rule = {"priority": int(options["priority"]), "src": "all", "protocol": options["protocol"]}
    if "not" in words:
        rule["not"] = None
    if "fwmark" in options:
        rule["fwmark"], rule["fwmask"] = options["fwmark"].split("/")
    if "iif" in options:
        rule["iif"] = options["iif"]
    if "uidrange" in options:
        rule["uid_start"], rule["uid_end"] = map(int, options["uidrange"].split("-"))
    if "ipproto" in options:
        rule["ipproto"], rule["dport"] = f"ipproto-{options['ipproto']}", int(options["dport"])
    if "goto" in options:
        rule["goto"] = int(options["goto"])
    if "lookup" in options:
        rule["table"] = options["lookup"]
    return {**rule, **{"unreachable": {"action": "7"}, "nop": {"nop": None}, None: {}}[flag]}


# The types of routes that lead nowhere, as `ip -N` prints them.
_TYPES = {"unreachable": "7", "throw": "9"}


def _route(words):
    """Return the document that `ip -N -json route show` prints of these words."""
    if words[0] in _TYPES:
        return _typed_route(*words)
    flags = [word for word in ("onlink", "csum") if word in words]
    options = _pairs([word for word in words[1:] if word not in flags])
    route = {"type": "1", "dst": words[0], **{key: options[key] for key in ("dev", "table", "protocol")}}
    route["flags"] = ["onlink"] if "onlink" in flags else []
    if "via" in options:
        route["gateway"] = options["via"]
    if "encap" in options:
        encap = {"kind": options["encap"], "id": int(options["id"]), "csum": "csum" in flags}
        route["encap"] = {**encap, "src": options["src"], "dst": options["dst"]}
    elif "src" in options:
        route["prefsrc"] = options["src"]
    return route


def _typed_route(kind, destination, *words):
    options = _pairs(words)
    shown = "default" if destination.endswith("/0") else destination
    route = {"type": _TYPES[kind], "dst": shown, **{key: options[key] for key in ("table", "protocol")}, "flags": []}
    if "metric" in options:
        route["metric"] = int(options["metric"])
    return {**route, "dev": "lo"} if ":" in destination else route


def _must(condition, message):
    if not condition:
        raise CommandError(message)
