# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether this node ran all the time, and whether everything that it holds is in place. PRIVATE to the collection.

The watch calls this every few seconds, and mostly nothing has changed. So this module does its own I/O, with netlink
instead of commands, and imports almost nothing. It checks what others remove as a whole: tables, rules, policies, the
device, egress IPs, and the node's own addresses, without which the egress IPs are of no use. A single wrong rule or
element is found by the next run.
"""

from __future__ import annotations

import binascii
import os
import socket
import struct
import time
from collections.abc import Iterable, Iterator

WATCH_FILE = "/run/netops-egress-ip.watch"
# Present on a node with networks of containers or VMs: the version of these when their addresses were found.
NETWORKS_FILE = "/run/netops-egress-ip.networks"
# The egress IPs that this node yielded, and may take back: while there are any, the watch runs each time.
YIELDED_FILE = "/run/netops-egress-ip.yielded"
# Seconds without a note after which the node counts as away: it hung or was suspended.
AWAY = 10
# Seconds between two probes of the egress IPs, and after an absence during which each run of the watch probes: a switch
# may forward frames 30 s after it has a link, and until then a claim meets silence.
PROBE_INTERVAL, SETTLE = 60, 60
# The share of a core that the probes after an absence may use, and the seconds after which one is due nevertheless.
PROBE_SHARE, LONGEST_PAUSE = 0.04, 20

_HARDWARE_CLOCK = "/sys/class/rtc/rtc0/since_epoch"
_NEVER = float("-inf")
# The values of `_dataplane.nft_table` and `_dataplane.host`, whose import would cost more than the whole check.
_TABLE, _PROTOCOL = b"egress_ip\0", 225
_NETLINK_ROUTE, _NETLINK_XFRM, _NETLINK_NETFILTER = 0, 6, 12
_REQUEST, _DUMP = 0x1, 0x300
_ERROR, _DONE = 2, 3
# NFT_MSG_GETTABLE of the subsystem nftables, the families inet and netdev; RTM_GETRULE and the attribute FRA_PROTOCOL.
_GET_TABLE, _FAMILIES, _TABLE_NAME = 0xA01, (1, 5), 1
_GET_RULE, _RULE_PROTOCOL = 34, 21
# RTM_GETADDR, its answer's scope of addresses beyond the link, and the attributes IFA_ADDRESS and IFA_LOCAL.
_GET_ADDRESS, _SCOPE_UNIVERSE, _ADDRESS_ATTRIBUTES = 22, 0, (1, 2)
# Where the engines keep the definitions of networks.
_NETWORK_FOLDERS = (
    "/etc/containers/networks",
    "/etc/cni/net.d",
    "/etc/libvirt/qemu/networks",
    "/run/libvirt/network",
)
# Where the accounts of users are, and the numbers that their containers may use.
_USER_FILES = ("/etc/passwd", "/etc/subuid")
# XFRM_MSG_GETSPDINFO, and the offset of the numbers of all inbound, outbound and forward policies in its answer;
# XFRM_MSG_GETSADINFO, and the offset of the number of all states.
_GET_POLICY_INFO, _POLICY_COUNTS, _GET_STATE_INFO, _STATE_COUNT = 0x25, 8, 0x23, 8


class _Note:
    """What a node noted: that it ran at a time, and what it held then. A new one is that of a node long away.

    Times are seconds since boot: `last` of the note, `due` of the next probe, `settled` of the end of the minute after
    an absence, _NEVER once the node has probed since. `wall` and `hardware` are what `_clocks` returned. `device` is
    that of the tunnel, empty without a note; `held` are (address, interface), as in `note`.
    """

    # A typed tuple would need the module typing, whose import takes longer than the whole check.
    def __init__(self) -> None:
        self.last, self.wall, self.hardware = _NEVER, -_NEVER, -_NEVER
        self.due = self.settled = _NEVER
        self.device = self.counts = ""
        self.held: list[tuple[str, str]] = []

    @property
    def interfaces(self) -> set[str]:
        """The interfaces with an egress IP: few, however many addresses they have."""
        return {interface for _ip, interface in self.held if interface}


def has_link(interface: str) -> bool:
    """Return whether the interface is up and has a carrier."""
    try:
        with open(f"/sys/class/net/{interface}/carrier", encoding="ascii") as file:  # noqa: PTH123
            return file.read().strip() == "1"
    except OSError:  # the kernel refuses to read the carrier of an interface that is down
        return False


def note(device: str, held: Iterable[tuple[str, str]], path: str = WATCH_FILE) -> None:
    """Note that the node runs now, with the tunnel `device` and `held`, (address, interface) each.

    The interface is "" for the node's own addresses, which may be on any interface.
    """
    _note(device, held, _counts(), path)


def _note(device: str, held: Iterable[tuple[str, str]], counts: str, path: str) -> None:
    noted, is_back = _read(path), was_away(path)
    noted.last, noted.wall, noted.hardware = _clocks()
    if is_back:
        noted.due, noted.settled = noted.last, noted.last + SETTLE
    elif noted.last >= noted.settled and not noted.held:
        # It had nothing to probe.
        noted.settled = _NEVER
    noted.device, noted.counts, noted.held = device, counts, [*held]
    _write(path, noted)


def note_probed(path: str = WATCH_FILE) -> None:
    """Note that the egress IPs were probed now.

    For a minute after an absence, the next one is due as soon as both together use no more than PROBE_SHARE of a core.
    """
    noted, now = _read(path), _clocks()[0]
    is_over = now >= noted.settled
    pause = PROBE_INTERVAL if is_over else min(LONGEST_PAUSE, _used() / PROBE_SHARE)
    if noted.device:
        noted.due, noted.settled = now + pause, _NEVER if is_over else noted.settled
        _write(path, noted)


def note_absence(path: str = WATCH_FILE) -> None:
    """Note that the node is away from now on, until the next `note`."""
    noted = _read(path)
    if noted.device:
        noted.last = _NEVER
        _write(path, noted)


def was_away(path: str = WATCH_FILE) -> bool:
    """Return whether the node was away: its last note is too old, or an interface with an egress IP has no link.

    The clock of a suspended host goes on. In a paused virtual machine, the hardware clock often does, and the wall
    clock is set when it resumes.
    """
    noted = _read(path)
    if any(now - then > AWAY for now, then in zip(_clocks(), (noted.last, noted.wall, noted.hardware))):  # noqa: B905
        return True
    return not all(map(has_link, noted.interfaces))


def is_settling(path: str = WATCH_FILE) -> bool:
    """Return whether the node has not probed since a minute after its absence: nothing may have been forwarded before.

    A slow node probes once after that minute too.
    """
    return was_away(path) or _read(path).settled > _NEVER


def is_probe_due(path: str = WATCH_FILE) -> bool:
    """Return whether it is time to probe the egress IPs."""
    noted = _read(path)
    return bool(noted.held) and _clocks()[0] >= noted.due


def has_nothing_to_do(command: str, path: str = WATCH_FILE) -> bool:
    """Return whether a command of the node's program has nothing to do now.

    If that cannot be found out, it has something to do, and reports the reason.
    """
    try:
        return command in ("restore", "watch") and (renew(path) or (command == "watch" and waits_for_link(path)))
    except OSError:
        return False


def waits_for_link(path: str = WATCH_FILE) -> bool:
    """Return whether an interface with an egress IP has no link; if so, note that the node is away."""
    waits = any(_is_interface(interface) and not has_link(interface) for interface in _read(path).interfaces)
    if waits:
        note_absence(path)
    return waits


def renew(path: str = WATCH_FILE) -> bool:
    """Return whether everything is in place and no probe is due; if so, renew the note.

    Everything: the tables, as many rules and policies as noted, the tunnel device, the addresses, and networks as they
    were when their addresses were found.
    """
    noted = _read(path)
    if was_away(path) or is_probe_due(path) or os.path.exists(YIELDED_FILE):  # noqa: PTH110
        return False
    if noted.counts != _counts() or not _are_networks_known():
        return False
    if not (_has_tables() and has_link(noted.device) and all(map(is_here, noted.held))):
        return False
    if _read(path).held != noted.held:
        # Another process, which holds the lock, has noted other addresses meanwhile: they must not get lost.
        return False
    # With the counts that were compared: what is removed at this moment must not count as right.
    _note(noted.device, noted.held, noted.counts, path)
    return True


def note_networks(version: str | None, path: str = NETWORKS_FILE) -> None:
    """Note the version of the networks of containers and VMs, None on a node without any.

    It must be older than the reading of the networks, so that no change is missed. An empty one is none that exists.
    """
    if version is not None:
        with open(path, "w", encoding="ascii") as file:  # noqa: PTH123
            file.write(version)
    elif os.path.exists(path):  # noqa: PTH110
        os.unlink(path)  # noqa: PTH108


def _are_networks_known(path: str = NETWORKS_FILE) -> bool:
    """Return whether networks of containers and VMs are as noted; a node without a note has none."""
    try:
        with open(path, encoding="ascii") as file:  # noqa: PTH123
            return file.read() == networks_version()
    except OSError:
        return True


def networks_version() -> str:
    """Return what differs when a network of an engine or an account is created or removed, or an address changes."""
    parts = [*map(_folder_version, _NETWORK_FOLDERS), *map(_file_version, _USER_FILES), *sorted(_addresses())]
    return f"{binascii.crc32(repr(parts).encode()):08x}"


def _folder_version(folder: str) -> list[tuple[str, int, int]]:
    try:
        with os.scandir(folder) as entries:
            found = [(entry.name, entry.stat()) for entry in entries if entry.is_file()]
    except OSError:
        return []
    return sorted((name, status.st_mtime_ns, status.st_ino) for name, status in found)


def _file_version(path: str) -> tuple[int, int]:
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_ino


def _addresses() -> Iterator[bytes]:
    """Yield the addresses of the host beyond its links, with prefix lengths; interfaces of pods have others."""
    for _kind, payload in _query(_NETLINK_ROUTE, _GET_ADDRESS, _REQUEST | _DUMP, bytes(8)):
        family, prefix_length, _flags, scope = payload[:4]
        if scope == _SCOPE_UNIVERSE:
            yield bytes((family, prefix_length)) + b"".join(_attributes(payload[8:], _ADDRESS_ATTRIBUTES))


def _attributes(data: bytes, kinds: tuple[int, ...]) -> Iterator[bytes]:
    """Yield the values of the netlink attributes of these kinds."""
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        if kind in kinds:
            yield data[4:length]
        data = data[max(4, length + 3 & ~3) :]


def _clocks() -> tuple[float, float, float]:
    """Return the seconds since boot, with those of a suspension, and what other clocks show minus these seconds.

    The other clocks are the wall clock and the hardware clock, 0 without one.
    """
    boot = time.clock_gettime(time.CLOCK_BOOTTIME)
    hardware = _hardware_clock()
    return boot, time.time() - boot, hardware and hardware - boot


def _hardware_clock() -> float:
    try:
        with open(_HARDWARE_CLOCK, encoding="ascii") as file:  # noqa: PTH123
            return float(file.read())
    except (OSError, ValueError):  # a damaged clock shows no valid date
        return 0.0


def _used() -> float:
    """Return the seconds of a core that this process and its commands have used."""
    return sum(os.times()[:4])


def _is_interface(name: str) -> bool:
    return os.path.exists(f"/sys/class/net/{name}")  # noqa: PTH110


def _write(path: str, noted: _Note) -> None:
    times = (noted.last, noted.wall, noted.hardware, noted.due, noted.settled)
    held = (f"{ip}%{interface}" for ip, interface in noted.held)
    with open(path, "w", encoding="ascii") as file:  # noqa: PTH123
        file.write(" ".join([*(f"{seconds:.1f}" for seconds in times), noted.device, noted.counts, *held]))


def _read(path: str) -> _Note:
    """Return what is noted. A missing or damaged note is that of a node long away."""
    noted = _Note()
    try:
        with open(path, encoding="ascii") as file:  # noqa: PTH123
            last, wall, hardware, due, settled, device, counts, *held = file.read().split()
        times = float(last), float(wall), float(hardware), float(due), float(settled)
    except (OSError, ValueError):
        return noted
    noted.last, noted.wall, noted.hardware, noted.due, noted.settled = times
    noted.device, noted.counts = device, counts
    pairs = [word.partition("%") for word in held]
    noted.held = [(ip, interface) for ip, _percent, interface in pairs]
    return noted


def is_here(item: tuple[str, str]) -> bool:
    """Return whether a socket can bind to an address: it is on the node, and in the VRF of its interface if any."""
    ip, interface = item
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
            sock.bind((ip, 0))
        except OSError:
            return False
    return True


def _has_tables() -> bool:
    name = struct.pack("=HH", 4 + len(_TABLE), _TABLE_NAME) + _TABLE.ljust(len(_TABLE) + 3 & ~3, b"\0")
    for family in _FAMILIES:
        for kind, _payload in _query(
            _NETLINK_NETFILTER, _GET_TABLE, _REQUEST, struct.pack("=BBH", family, 0, 0) + name
        ):
            if kind == _ERROR:
                return False
    return True


def _counts() -> str:
    """Return the numbers of rules, and of IPsec policies and states, as one word."""
    return f"{_count_rules()}+{_count_policies()}+{_count_states()}"


def _count_policies() -> int:
    """Return the number of IPsec policies."""
    ((_kind, payload),) = _query(_NETLINK_XFRM, _GET_POLICY_INFO, _REQUEST, bytes(4))
    return sum(struct.unpack_from("=3I", payload, _POLICY_COUNTS))


def _count_states() -> int:
    """Return the number of IPsec states."""
    ((_kind, payload),) = _query(_NETLINK_XFRM, _GET_STATE_INFO, _REQUEST, bytes(4))
    count: int = struct.unpack_from("=I", payload, _STATE_COUNT)[0]
    return count


def _count_rules() -> int:
    """Return the number of routing rules with the collection's protocol number."""
    count = 0
    for family in (socket.AF_INET, socket.AF_INET6):
        for _kind, payload in _query(_NETLINK_ROUTE, _GET_RULE, _REQUEST | _DUMP, bytes([family]) + bytes(11)):
            count += struct.pack("=HHB", 5, _RULE_PROTOCOL, _PROTOCOL) in payload
    return count


def _query(protocol: int, kind: int, flags: int, body: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (type, payload) of the answers to one netlink message."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol) as sock:
        sock.send(struct.pack("=IHHII", 16 + len(body), kind, flags, 0, 0) + body)
        while True:
            data = sock.recv(1 << 16)
            while data:
                length, kind = struct.unpack_from("=IH", data)
                if kind == _DONE:
                    return
                yield kind, data[16:length]
                if not flags & _DUMP or kind == _ERROR:
                    return
                data = data[length + 3 & ~3 :]
