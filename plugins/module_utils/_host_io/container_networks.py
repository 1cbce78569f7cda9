# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The addresses of networks of containers and virtual machines, as their engines have them. PRIVATE to the collection.

Users of the host count as networks: they have numbers in place of addresses.
Podman and libvirt keep the definitions of networks in files, Docker returns them on its socket. They are read with
limits: a user of the host may be able to create networks.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Callable, NamedTuple

from .._common.addresses import canonical, outermost, parse_interface, parse_network
from .._common.errors import CommandError, EgressIPError, NoAnswerError
from .._common.messages import quote
from .._common.network_names import DOCKER, INTERFACE, LIBVIRT, PODMAN, USER, NetworkName
from .._dataplane.host import Document, Documents, is_global
from .read_now import read_now

TYPE_CHECKING = False
if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

PODMAN_FOLDER, CNI_FOLDER = Path("/etc/containers/networks"), Path("/etc/cni/net.d")
# Each of Podman's configuration files overrides those before it, the files of the folder in alphabetical order.
PODMAN_CONFIGURATIONS = (Path("/usr/share/containers/containers.conf"), Path("/etc/containers/containers.conf"))
PODMAN_CONFIGURATION_FOLDER = Path("/etc/containers/containers.conf.d")
# The networks that run, some of them without a definition, and the definitions.
LIBVIRT_FOLDERS = (Path("/run/libvirt/network"), Path("/etc/libvirt/qemu/networks"))
DOCKER_SOCKET, DOCKER_DATA = Path("/run/docker.sock"), Path("/var/lib/docker")
PODMAN_PROGRAM = Path("/usr/bin/podman")
# Exists if Podman was ever used on the host, also while its package is replaced.
PODMAN_DATA = (Path("/var/lib/containers/storage/libpod"), Path("/var/lib/containers/storage/db.sql"))
# Podman's own network, which has no file until it is changed, and its bridge with netavark and CNI.
_PODMAN_DEFAULT, _PODMAN_DEFAULT_NETWORK = "podman", "10.88.0.0/16"
_PODMAN_DEFAULT_BRIDGES = ("podman0", "cni-podman0")
# The line of TOML that replaces these addresses.
_PODMAN_DEFAULT_SUBNET = re.compile(rb"""^\s*default_subnet\s*=\s*["']([0-9A-Fa-f.:/]+)["']""", re.MULTILINE)
LARGEST, _MOST_FILES, _MOST_NETWORKS = 1 << 22, 1000, 64
_DOCKER_TIMEOUT = 2
_OK, _NOT_FOUND = 200, 404
# Modes of libvirt in which packets of the VMs do not pass the host, but its bridge or nothing of it.
_NOT_ROUTED = ("bridge", "private", "vepa", "passthrough", "hostdev")
ABSENT = "does not exist"


class FoundNetwork(NamedTuple):
    """The sorted CIDRs of a network, and why there are none. Unless `is_known`, the source could not be read; it
    `is_silent` if it gave no answer within the time limit.

    Of a user, `uids` are the texts of its UidRanges.
    """

    cidrs: tuple[str, ...] = ()
    problem: str = ""
    is_known: bool = True
    uids: tuple[str, ...] = ()
    is_silent: bool = False


def find_networks(names: Iterable[NetworkName], interfaces: Documents) -> dict[str, FoundNetwork]:
    """Return {NetworkName.text: FoundNetwork}; `interfaces` are those of the Host.

    An engine or a directory of users that gives no answer is not called again, so that one that hangs delays one call
    only.
    """
    found: dict[str, FoundNetwork] = {}
    silent: dict[str, FoundNetwork] = {}
    for name in names:
        found[name.text] = silent[name.kind] if name.kind in silent else _find(name, interfaces)
        if found[name.text].is_silent or (name.kind == DOCKER and not found[name.text].is_known):
            silent[name.kind] = found[name.text]
    return found


def idle_networks() -> tuple[str, ...]:
    """Return the sorted CIDRs of all networks of Podman: their bridges exist only while a container uses them."""
    names = [path.stem for path in sorted(PODMAN_FOLDER.glob("*.json"))[:_MOST_FILES]]
    named = [_find(NetworkName(PODMAN, name), ()) for name in (*names, _PODMAN_DEFAULT)]
    of_cni = [cidr for document in _cni_networks() for cidr in _subnets_of(document)]
    return tuple(sorted({*of_cni, *(cidr for each in named for cidr in each.cidrs)}))


def _subnets_of(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the CIDRs of a network of CNI, none of a malformed one."""
    with contextlib.suppress(CommandError):
        return _cni(document).cidrs
    return ()


def _find(name: NetworkName, interfaces: Documents) -> FoundNetwork:
    finder = _FINDERS.get(name.kind)
    if finder is None:
        return FoundNetwork((name.value,))
    try:
        return finder(name.value, interfaces)
    except (CommandError, OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        is_silent = isinstance(error, NoAnswerError)
        return FoundNetwork(problem=f"cannot be read: {reason}", is_known=False, is_silent=is_silent)


def _podman(name: str, interfaces: Documents) -> FoundNetwork:
    document = _json(PODMAN_FOLDER / f"{name}.json")
    if document is not None:
        return _of_driver(document.get("driver"), _texts(document.get("subnets"), "subnet"))
    is_default = name == _PODMAN_DEFAULT and (PODMAN_PROGRAM.exists() or has_podman_data())
    # Debian's package has a file for CNI, which netavark does not use.
    known = _podman_default(interfaces) if is_default else ()
    if known:
        return _with_networks(known)
    found = next((each for each in _cni_networks() if each.get("name") == name), None)
    if found is not None:
        return _cni(found)
    return FoundNetwork((_PODMAN_DEFAULT_NETWORK,)) if is_default else FoundNetwork(problem=ABSENT)


def has_podman_data() -> bool:
    """Return whether Podman was used on this host."""
    return any(path.exists() for path in PODMAN_DATA)


def _podman_default(interfaces: Documents) -> Sequence[str]:
    """Return the networks of the default network's bridge, else those in Podman's configuration, if any."""
    present = [_networks_of(item) for item in interfaces if item["ifname"] in _PODMAN_DEFAULT_BRIDGES]
    # The bridge exists only while a container uses it.
    return next((cidrs for cidrs in present if cidrs), None) or _podman_configured_subnet()


def _podman_configured_subnet() -> Sequence[str]:
    paths = (*PODMAN_CONFIGURATIONS, *sorted(PODMAN_CONFIGURATION_FOLDER.glob("*.conf"))[:_MOST_FILES])
    subnets = [subnet for path in paths for subnet in _PODMAN_DEFAULT_SUBNET.findall(read_limited(path) or b"")]
    return [subnet.decode("ascii") for subnet in subnets[-1:]]


def _cni_networks() -> Iterator[Mapping[str, Any]]:
    paths = sorted(CNI_FOLDER.glob("*.conflist"))[:_MOST_FILES]
    for path in paths:
        # A file of another program may have any content.
        with contextlib.suppress(CommandError, OSError, ValueError, RecursionError):
            document = _json(path)
            if document is not None:
                yield document


def _cni(document: Mapping[str, Any]) -> FoundNetwork:
    plugins = [plugin for plugin in _list(document.get("plugins")) if isinstance(plugin, dict)]
    main = next((plugin for plugin in plugins if isinstance(plugin.get("ipam"), dict)), {})
    ranges = [each for some in _list(main.get("ipam", {}).get("ranges")) for each in _list(some)]
    return _of_driver(main.get("type"), _texts([*ranges, main.get("ipam")], "subnet"))


def _docker(name: str, _interfaces: Documents) -> FoundNetwork:
    answer = ask_docker(f"/networks/{name}") if has_docker() else None
    if answer is None:
        return FoundNetwork(problem=ABSENT)
    document = _mapping(answer, str(DOCKER_SOCKET))
    # Docker accepts the beginning of an identifier in place of a name.
    if document.get("Name") != name:
        return FoundNetwork(problem=ABSENT)
    config = _mapping(document.get("IPAM") or {}, "IPAM").get("Config")
    return _of_driver(document.get("Driver"), _texts(config, "Subnet"))


def has_docker() -> bool:
    """Return whether Docker is installed, even if it does not run."""
    return DOCKER_SOCKET.exists() or DOCKER_DATA.exists()


def ask_docker(url: str) -> Any:
    """Return the JSON value with which Docker answers, None if there is none at this URL.

    Raises OSError, ValueError or CommandError.
    """
    # Most hosts have no Docker, and no networks of libvirt.
    from .docker_socket import get  # noqa: PLC0415

    status, text = get(DOCKER_SOCKET, url, _DOCKER_TIMEOUT, LARGEST + 1)
    if status == _NOT_FOUND:
        return None
    if status != _OK or len(text) > LARGEST:
        raise CommandError(f"{DOCKER_SOCKET}: gives no valid answer, status {status}")
    return json.loads(text)


def _libvirt(name: str, _interfaces: Documents) -> FoundNetwork:
    texts = (read_limited(folder / f"{name}.xml") for folder in LIBVIRT_FOLDERS)
    text = next((each for each in texts if each is not None), None)
    if text is None:
        return FoundNetwork(problem=ABSENT)
    root = parse_xml(text)
    network = root if root.tag == "network" else root.find("network")
    if network is None:
        raise CommandError("its definition has no element network")
    forward = network.find("forward")
    mode = "" if forward is None else forward.get("mode", "nat")
    if mode in _NOT_ROUTED:
        return _not_routed(f"with the mode {mode}")
    return _with_networks(_libvirt_network(each.attrib) for each in network.findall("ip"))


def parse_xml(text: bytes) -> Element:
    """Return the root of a definition that libvirt wrote. Raises CommandError."""
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        raise CommandError("its definition has XML entities, which libvirt does not write")
    from xml.etree import ElementTree  # noqa: PLC0415

    try:
        return ElementTree.fromstring(text)  # noqa: S314 - entities are refused above
    except ElementTree.ParseError as error:
        raise CommandError(f"its definition is not XML: {error}") from None


def _libvirt_network(attributes: Mapping[str, str]) -> str:
    address, prefix, mask = (attributes.get(key, "") for key in ("address", "prefix", "netmask"))
    length = prefix or (str(bin(int.from_bytes(socket.inet_aton(mask), "big")).count("1")) if mask else "")
    return canonical(parse_interface(f"{address}/{length}", "ip").network)


def _interface(name: str, interfaces: Documents) -> FoundNetwork:
    document = next((item for item in interfaces if item["ifname"] == name), None)
    # Without addresses, its packets are recognized by the interface.
    return FoundNetwork(problem=ABSENT) if document is None else FoundNetwork(_networks_of(document))


def _user(name: str, _interfaces: Documents) -> FoundNetwork:
    # Most hosts have none.
    from .host_users import find_user  # noqa: PLC0415

    ranges, problem = find_user(name)
    return FoundNetwork(problem=problem, uids=tuple(each.text for each in ranges))


def _networks_of(interface: Document) -> tuple[str, ...]:
    addresses = [each for each in interface.get("addr_info", ()) if is_global(each) and "local" in each]
    texts = [f"{each['local']}/{each['prefixlen']}" for each in addresses]
    return tuple(str(network) for network in outermost(parse_interface(text, "addr_info").network for text in texts))


# An annotation is not evaluated: Python 3.8 could not.
_FINDERS: dict[str, Callable[[str, Documents], FoundNetwork]] = {
    PODMAN: _podman,
    DOCKER: _docker,
    LIBVIRT: _libvirt,
    INTERFACE: _interface,
    USER: _user,
}


def _of_driver(driver: object, cidrs: Iterable[str]) -> FoundNetwork:
    if driver not in (None, "bridge"):
        return _not_routed(f"of the driver {quote(str(driver))}")
    return _with_networks(cidrs)


def _not_routed(kind: str) -> FoundNetwork:
    return FoundNetwork(problem=f"is a network {kind}, whose packets do not pass through the host's routing")


def _with_networks(cidrs: Iterable[str]) -> FoundNetwork:
    """Return the networks. Raises CommandError for a malformed one, or too many."""
    try:
        networks = outermost(parse_network(cidr, "subnet") for cidr in cidrs)
    except EgressIPError as error:
        raise CommandError(str(error)) from None
    if len(networks) > _MOST_NETWORKS:
        raise CommandError(f"it has {len(networks)} subnets, more than {_MOST_NETWORKS}")
    return FoundNetwork(tuple(map(str, networks)), "" if networks else "has no subnet")


def _texts(entries: object, key: str) -> list[str]:
    """Return the non-empty strings at a key in a list of mappings."""
    values = [entry.get(key) for entry in _list(entries) if isinstance(entry, dict)]
    return [value for value in values if isinstance(value, str) and value]


def _list(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else []


def _mapping(value: object, path: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise CommandError(f"{path}: is not a JSON object")
    return value


def _json(path: Path) -> Mapping[str, Any] | None:
    """Return the JSON object in a file, None without the file."""
    text = read_limited(path)
    return None if text is None else _mapping(json.loads(text), str(path))


def read_limited(path: Path) -> bytes | None:
    """Return the content of a file, None if it does not exist. Raises CommandError if it is too large."""
    try:
        text = read_now(path, LARGEST)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if len(text) > LARGEST:
        raise CommandError(f"{path}: is larger than {LARGEST} bytes")
    return text
