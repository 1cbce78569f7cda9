# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The only I/O on a node: commands, files, sockets. PRIVATE to the collection. No policy: `_node.module` decides.

Needs root, iproute2, nftables, and Python's standard library. Runs inside an Ansible module and, at boot, alone.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import select
import shutil
import socket
import struct
import subprocess
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

from .._common.errors import CommandError
from .._dataplane.host import READ_BATCH, parse_host
from .._dataplane.nft_table import INET, NETDEV, TABLE, parse_counters, parse_table
from .._dataplane.xfrm_policies import READ_ARGUMENTS, parse_policies
from .._protocols import ctnetlink, ndp
from .._protocols.address_probe import PARSERS
from .._protocols.conntrack_usage import read_dump
from . import watch
from .watch import has_link

STATE_DIRECTORY = Path("/var/lib/netops-egress-ip")
STATE_FILE = STATE_DIRECTORY / "state.json"
PROGRAM_FILE = Path("/usr/local/lib/netops-egress-ip/node.pyz")
UNIT_DIRECTORY = Path("/etc/systemd/system")
LOCK_FILE = Path("/run/netops-egress-ip.lock")
WATCH_FILE = Path(watch.WATCH_FILE)
# The connections of the egress IPs that this node has given up last.
GIVEN_UP_FILE = Path("/run/netops-egress-ip.given-up")

COMMAND_TIMEOUT = 60
_IPV6 = Path("/proc/sys/net/ipv6")
_IP = {4: ("ip",), 6: ("ip", "-6")}
_PACKAGES = {"ip": "iproute2", "nft": "nftables"}
_DMI = Path("/sys/class/dmi/id")
_XEN_UUID = Path("/sys/hypervisor/uuid")
_DMI_FIELDS = ("sys_vendor", "product_name", "product_serial", "bios_version", "chassis_asset_tag")
# What the socket module does not name: linux/netlink.h, linux/if_packet.h, asm-generic/socket.h.
_NETLINK_XFRM, _NETLINK_NETFILTER, _NETLINK_BUFFER = 6, 12, 1 << 16
_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, _PACKET_MR_ALLMULTI = 263, 1, 2
_SO_ATTACH_FILTER, _SO_RCVBUFFORCE = 26, 33
_LOOK_INTERVAL = 0.1
# Frames that are read at once, and bytes that the kernel keeps of those that are not read yet.
_BURST, _WIRE_BUFFER = 256, 1 << 22
_ENVIRONMENT = {"LC_ALL": "C", "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


def run(argv, text=""):
    """Run a command with `text` on its standard input; returns (exit status, stdout, stderr)."""
    try:
        done = subprocess.run(
            argv, input=text, capture_output=True, text=True, env=_ENVIRONMENT, timeout=COMMAND_TIMEOUT, check=False
        )
    except FileNotFoundError:
        raise CommandError(f"{argv[0]}: is not installed on this host") from None
    except subprocess.TimeoutExpired:
        raise CommandError(f"{' '.join(argv)}: did not end within {COMMAND_TIMEOUT} seconds") from None
    return done.returncode, done.stdout, done.stderr


def check(argv, text=""):
    """Run a command that must succeed; returns its stdout."""
    status, stdout, stderr = run(argv, text)
    if status:
        raise CommandError(f"{' '.join(argv)}: exit status {status}: {' '.join(stderr.split()) or 'no message'}")
    return stdout


def missing_packages():
    """Return the distribution's packages that this host needs and lacks."""
    return [package for command, package in _PACKAGES.items() if not shutil.which(command, path=_ENVIRONMENT["PATH"])]


def missing_requirements():
    """Return what this host lacks for the data plane, as sentences that name the fix."""
    problems = []
    if os.geteuid() != 0:
        problems.append("ansible_become: the module does not run as root; set become: true")
    if not Path("/run/systemd/system").is_dir():
        problems.append("systemd: does not run on this host; only hosts with systemd can be nodes")
    problems += [f"{package}: is not installed on this host; install the package" for package in missing_packages()]
    if not problems and not _knows_vxlan():
        problems.append("kernel: has no vxlan; load the module, or install the package that carries it")
    if not problems and not _knows_policies():
        problems.append("kernel: has no xfrm_user; load the module, or install the package that carries it")
    return problems


def platform_facts():
    """Return what `_node.platform_detection.find_platform` looks at, {fact: text}, as far as this host has it."""
    paths = {**{name: _DMI / name for name in _DMI_FIELDS}, "hypervisor_uuid": _XEN_UUID}
    facts = {}
    for name, path in paths.items():
        with contextlib.suppress(OSError):
            facts[name] = path.read_text(encoding="utf-8", errors="replace").strip()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        facts["cpu_flags"] = next((line for line in lines if line.startswith("flags")), "")
    return facts


def _knows_vxlan():
    """Ask for a device with an impossible MTU: a kernel that knows vxlan refuses the MTU, and nothing is ever made."""
    _status, _stdout, stderr = run(
        ["ip", "link", "add", "name", "egress-probe", "mtu", "10", "type", "vxlan", "external", "dstport", "4790"]
    )
    return "Unknown device type" not in stderr and "not supported" not in stderr


def _knows_policies():
    try:
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_XFRM).close()
    except OSError:
        return False
    return True


def read_host(advertised=()):
    """Return what `ip` says of this host, a `host.Host`, in one process for each IP version and one for policies.

    `advertised` are interfaces that are known to heed router advertisements, even if none has been heard yet.
    """
    words = {
        version: "\n".join(lines) + "\n" for version, lines in READ_BATCH.items() if version == 4 or _IPV6.is_dir()
    }
    host = parse_host(
        {v: check([*_IP[v], "-N", "-details", "-json", "-batch", "-"], lines) for v, lines in words.items()}
    )
    heeding = [name for name in sorted({*host.advertised(), *advertised}) if _accepts_advertisements(name)]
    policies = parse_policies(check(["ip", *READ_ARGUMENTS]))
    return replace(host, listening=tuple(heeding), policies=policies)


def _accepts_advertisements(interface):
    return read_sysctls([f"net.ipv6.conf.{interface}.accept_ra"]) not in (
        {},
        {f"net.ipv6.conf.{interface}.accept_ra": "0"},
    )


def read_tables():
    """Return our nftables tables, {family: TableState}, those that are there."""
    tables = {}
    for family in (INET, NETDEV):
        status, stdout, stderr = run(["nft", "-j", "list", "table", family, TABLE])
        if status == 0:
            tables[family] = parse_table(stdout, family)
        elif "No such file" not in stderr:
            raise CommandError(f"nft list table {family} {TABLE}: {' '.join(stderr.split())}")
    return tables


def read_counters():
    """Return {name: (packets, bytes)} of our counters; none when our table is not there."""
    status, stdout, stderr = run(["nft", "-j", "list", "counters", "table", INET, TABLE])
    if status and "No such file" not in stderr:
        raise CommandError(f"nft list counters table {INET} {TABLE}: {' '.join(stderr.split())}")
    return {} if status else parse_counters(stdout)


def read_sysctls(names):
    """Return {name: value} of the sysctls that exist."""
    values = {}
    for name in names:
        with contextlib.suppress(OSError):
            values[name] = _sysctl_file(name).read_text(encoding="ascii").strip()
    return values


def execute(transaction):
    """Bring a `state.Transaction` into the kernel: `ip -batch` for each IP version, sysctls, one `nft -f`."""
    for version, lines in ((4, transaction.ip), (6, transaction.ip6)):
        if lines:
            check([*_IP[version], "-batch", "-"], "\n".join(lines) + "\n")
    for name, value in transaction.sysctls:
        write_sysctl(name, value)
    if transaction.nft:
        check(["nft", "-f", "-"], "\n".join(transaction.nft) + "\n")
    if transaction.ip_after:
        check(["ip", "-batch", "-"], "\n".join(transaction.ip_after) + "\n")


def write_sysctl(name, value):
    """Set a sysctl."""
    try:
        _sysctl_file(name).write_text(value + "\n", encoding="ascii")
    except OSError as error:
        raise CommandError(f"sysctl {name}: cannot be set to {value}: {error.strerror}") from None


def _sysctl_file(name):
    # Only the dots before and after a device's name separate; the name may hold some of its own.
    _net, version, kind, *_rest = name.split(".", 3)
    if kind == "conf":
        device, key = name[len(f"net.{version}.conf.") :].rsplit(".", 1)
        return Path("/proc/sys/net", version, "conf", device, key)
    return Path("/proc/sys") / name.replace(".", "/")


@contextlib.contextmanager
def lock():
    """Let one run at a time change this node; raises CommandError when another one holds on for over a minute."""
    with LOCK_FILE.open("w", encoding="ascii") as handle:
        give_up = time.monotonic() + COMMAND_TIMEOUT
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > give_up:
                    raise CommandError(f"{LOCK_FILE}: another run has been changing this node for a minute") from None
                time.sleep(0.05)
        yield


def load():
    """Return the record of what was applied last as a dict, None when there is none."""
    try:
        return json.loads(STATE_FILE.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise CommandError(f"{STATE_FILE}: cannot be read: {error}; remove it to start anew") from None


def save(record):
    """Write the record, readable by root alone, whole or not at all."""
    write_file(STATE_FILE, json.dumps(record, sort_keys=True).encode(), 0o600)


def read_file(path):
    """Return the bytes of a file, None when it does not exist."""
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        return None


def write_file(path, data, mode):
    """Write a file of root's, whole or not at all."""
    path = Path(path)
    try:
        path.parent.mkdir(mode=0o700 if path.parent == STATE_DIRECTORY else 0o755, parents=True, exist_ok=True)
        _replace(path, data, mode, os.fsync)
    except OSError as error:
        raise CommandError(f"{path}: cannot be written: {error.strerror}") from None


def publish(path, data):
    """Write a file for others to read, whole or not at all; it need not outlive a crash, and its folder is there."""
    try:
        _replace(Path(path), data, 0o644, lambda _descriptor: None)
    except OSError as error:
        raise CommandError(f"{path}: cannot be written: {error.strerror}") from None


def _replace(path, data, mode, sync):
    temporary = path.with_name(f".{path.name}.new")
    # Others may write to the folder; root follows no link of theirs.
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "wb") as handle:
        os.fchmod(descriptor, mode)
        handle.write(data)
        handle.flush()
        sync(descriptor)
    temporary.replace(path)


def remove_file(path):
    """Remove a file and its directory if that is ours and empty; both may be gone already."""
    path = Path(path)
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    if path.parent in (STATE_DIRECTORY, PROGRAM_FILE.parent):
        with contextlib.suppress(OSError):
            path.parent.rmdir()


def remove_files(paths):
    """Remove files of ours, and what systemd knows of the units among them, also of one whose file is gone already."""
    units = [path.name for path in paths if path.parent == UNIT_DIRECTORY]
    # Timers go first, or they would start again what is stopped; and what runs goes before its file does.
    units.sort(key=lambda unit: not unit.endswith(".timer"))
    if units:
        run(["systemctl", "stop", "--quiet", *units])
        run(["systemctl", "disable", "--quiet", *units])
    for path in paths:
        remove_file(path)
    if units:
        check(["systemctl", "daemon-reload"])
        # What is stopped in the middle of its work counts as failed, and systemd keeps a unit in its list for that.
        run(["systemctl", "reset-failed", *units])


def note_presence(device, held, own):
    """Note that this node is here now, with this tunnel device, these `Held` addresses and these `own` ones."""
    addresses = [(item.egress_ip, item.interface) for item in held] + [(ip, "") for ip in own]
    watch.note(device, addresses, WATCH_FILE)


def was_away():
    """Tell whether this node was away since the last note."""
    return watch.was_away(WATCH_FILE)


def wait_until(condition, seconds):
    """Wait for a function to return true, at most so long."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(_LOOK_INTERVAL)


def mac_address(interface):
    """Return the MAC address of an interface."""
    try:
        return Path(f"/sys/class/net/{interface}/address").read_text(encoding="ascii").strip()
    except OSError:
        raise CommandError(f"egress_ip_interface: there is no interface {interface} on this host") from None


def run_probes(probes):
    """Run probes to their end, {interface: [Probe]}; yields (free, conflicts) as they come.

    `free` is a set of addresses, `conflicts` a dict {address: MAC of who has it}.
    """
    for interface in probes:
        _require_carrier(interface)
    with contextlib.ExitStack() as stack:
        pending = {
            stack.enter_context(_packet_socket(interface, ethertype)): {
                probe.address: probe for probe in items if probe.ethertype == ethertype
            }
            for interface, items in probes.items()
            for ethertype in sorted({probe.ethertype for probe in items})
        }
        while any(pending.values()):
            now = time.monotonic()
            for sock, items in pending.items():
                for frame in filter(None, (probe.frame_due(now) for probe in items.values())):
                    sock.send(frame)
            wake = min(probe.next_time() for items in pending.values() for probe in items.values())
            _listen(pending, max(0.0, wake - now))
            free, conflicts = _sort_out(pending, time.monotonic())
            if free or conflicts:
                yield free, conflicts


def _require_carrier(interface):
    """Refuse to ask a dead wire: its silence would say nothing."""
    if not has_link(interface):
        raise CommandError(f"egress_ip_interface: {interface} has no link, so nobody can be asked for an address")


def _listen(pending, timeout):
    readable, _writable, _failed = select.select(list(pending), [], [], timeout)
    for sock in readable:
        for frame, (_interface, ethertype, *_rest) in _frames(sock):
            heard = PARSERS[ethertype](frame)
            for address in (heard.uses, heard.probes) if heard else ():
                if address in pending[sock]:
                    pending[sock][address].receive(heard)


def _frames(sock):
    """Yield what there is to read; where a wire is never quiet, an end is made to look at the clock."""
    with contextlib.suppress(BlockingIOError):
        for _frame in range(_BURST):
            yield sock.recvfrom(2048, socket.MSG_DONTWAIT)


def _sort_out(pending, now):
    free, conflicts = set(), {}
    for items in pending.values():
        for address, probe in items.items():
            holder = probe.conflict(now)
            if holder:
                conflicts[address] = holder
            elif probe.is_free(now):
                free.add(address)
        for address in free.union(conflicts).intersection(items):
            del items[address]
    return free, conflicts


def send_frames(interface, announced):
    """Send raw frames out of an interface, [(EtherType, frames)]."""
    for ethertype in sorted({kind for kind, _frames in announced}):
        with _packet_socket(interface, ethertype) as sock:
            for frame in (frame for kind, frames in announced if kind == ethertype for frame in frames):
                sock.send(frame)


def send_packets(packets):
    """Send whole IP packets, [(IP version, destination, bytes)]. One that has no way is left out."""
    with contextlib.ExitStack() as stack:
        sockets = {
            version: stack.enter_context(socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW))
            for version, family in ((4, socket.AF_INET), (6, socket.AF_INET6))
            if any(kind == version for kind, _destination, _packet in packets)
        }
        for version, destination, packet in packets:
            with contextlib.suppress(OSError):
                sockets[version].sendto(packet, (destination, 0))


@contextlib.contextmanager
def _packet_socket(interface, ethertype):
    try:
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        # A fleet that claims at once fills the usual buffer with its probes, and an answer would be lost.
        with contextlib.suppress(PermissionError):
            sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _WIRE_BUFFER)
        if ethertype == ndp.ETHERTYPE:
            _hear_neighbour_discovery(sock, interface)
        sock.bind((interface, ethertype))
    except OSError as error:
        raise CommandError(f"egress_ip_interface: cannot send on {interface}: {error.strerror}") from None
    try:
        yield sock
    except OSError as error:
        raise CommandError(f"egress_ip_interface: cannot send on {interface}: {error.strerror}") from None
    finally:
        sock.close()


def _hear_neighbour_discovery(sock, interface):
    """Let a packet socket hear all multicast, and of IPv6 nothing but neighbour solicitations and advertisements."""
    membership = struct.pack("=iHH8s", socket.if_nametoindex(interface), _PACKET_MR_ALLMULTI, 0, b"")
    sock.setsockopt(_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, membership)
    # Classic BPF: next header (byte 20) is ICMPv6, its type (byte 54) is 135 or 136; accept or drop.
    program = (
        (0x30, 0, 0, 20),
        (0x15, 0, 4, 58),
        (0x30, 0, 0, 54),
        (0x15, 1, 0, ndp.SOLICITATION),
        (0x15, 0, 1, ndp.ADVERTISEMENT),
        (0x06, 0, 0, 0xFFFF),
        (0x06, 0, 0, 0),
    )
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *instruction) for instruction in program))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", len(program), ctypes.addressof(code)))


def read_connections(filters):
    """Return the TCP and UDP connections with one of these (mark, mask), a list of (mark, `ctnetlink.Flow`)."""
    return [found for pieces in _dump(filters, ctnetlink.parse_messages) for found in pieces]


def count_connections(filters):
    """Return {piece: number} of the connections with one of these (mark, mask), see `conntrack_usage.uses`."""
    counted = Counter()
    for pieces in _dump(filters, read_dump):
        counted.update(pieces)
    return counted


def _dump(filters, read):
    """Yield what `read` makes of each piece of the lists of connections, one list for each (mark, mask)."""
    with _ctnetlink() as sock:
        for mark, mask in filters:
            sock.send(ctnetlink.dump_request(mark, mask))
            error = None
            while error is None:
                found, error = read(sock.recv(_NETLINK_BUFFER))
                yield found
            if error:
                raise CommandError(f"conntrack: cannot list the entries with mark {mark:#x}: {os.strerror(error)}")


def change_connections(requests):
    """Send these messages of `_protocols.ctnetlink`; returns an error number for each, 0 for success."""
    errors = []
    with _ctnetlink() as sock:
        for request in requests:
            sock.send(request)
            errors.append(ctnetlink.parse_messages(sock.recv(_NETLINK_BUFFER))[1])
    return errors


def forget_connections(marks, mask):
    """Delete the conntrack entries that carry one of these marks, so that no connection goes on by an old way."""
    marks = sorted(marks)
    requests = [ctnetlink.delete_marked_request(mark, mask) for mark in marks]
    for mark, error in zip(marks, change_connections(requests) if marks else ()):
        if error:
            raise CommandError(f"conntrack: cannot delete entries with mark {mark:#x}: {os.strerror(error)}")


@contextlib.contextmanager
def _ctnetlink():
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER) as sock:
        sock.settimeout(COMMAND_TIMEOUT)
        yield sock


def later(seconds, argv):
    """Run a command in some seconds, after this process has ended."""
    when = [f"--on-active={seconds}", "--timer-property=AccuracySec=100ms"]
    run(["systemd-run", "--quiet", "--collect", *when, *argv])
