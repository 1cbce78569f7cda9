# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The containers and VMs that run on this host, as their engines have them. PRIVATE to the collection.

Users of the host choose names and labels, so all is read with limits. An engine that cannot be read has a problem; it
never counts as one without containers.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Callable, NamedTuple

from .._common.addresses import canonical_address
from .._common.errors import CommandError, EgressIPError
from .._common.messages import on_one_line
from .._common.network_names import DOCKER, LIBVIRT, PODMAN
from .._common.pod_rules import labels_in
from . import commands
from .container_networks import LARGEST, ask_docker, has_docker, has_podman_data, parse_xml, read_limited

# Libvirt keeps a file for each domain that runs, and those of QEMU run on while its daemon does not.
DOMAIN_FOLDERS = (Path("/run/libvirt/qemu"), Path("/run/libvirt/lxc"))
LEASE_FOLDER = Path("/var/lib/libvirt/dnsmasq")
# The XML namespace of the labels in a domain's metadata.
LABELS_URI = "egress-ip.netops/labels"
_TIMEOUT, _ATTEMPTS, _MOST, _SHOWN = 5, 3, 2000, 200
_MAX_KEY, _MAX_VALUE, _MAX_NAME = 317, 63, 253
_LIST = ("podman", "ps", "--quiet", "--no-trunc", "--filter", "status=running", "--filter", "status=paused")
_FIELDS = {
    "name": ".Name",
    "labels": ".Config.Labels",
    "mode": ".HostConfig.NetworkMode",
    "networks": ".NetworkSettings.Networks",
}
_FORMAT = "{" + ", ".join(f'"{key}": {{{{json {field}}}}}' for key, field in _FIELDS.items()) + "}"
_INSPECT = ("podman", "container", "inspect", "--format", _FORMAT)
_ID = re.compile("[0-9a-f]{64}")
_ADDRESS_KEYS = ("IPAddress", "GlobalIPv6Address")


class Container(NamedTuple):
    """A container or VM: its name, those of its labels that Kubernetes could have, and its canonical addresses."""

    name: str
    labels: Mapping[str, str]
    addresses: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return ``{name, labels, addresses}``."""
        return {"name": self.name, "labels": dict(self.labels), "addresses": list(self.addresses)}


class Containers(NamedTuple):
    """The containers of an engine that run with an address, sorted by name; with a `problem`, they are not known."""

    found: tuple[Container, ...] = ()
    problem: str = ""


def find_containers(engine: str) -> Containers:
    """Return the Containers of an engine; none if it is not installed."""
    try:
        found = sorted((each for each in _FINDERS[engine]() if each.addresses), key=lambda each: (each.name, each[2]))
        _check_size(found)
    except (CommandError, OSError, ValueError, RecursionError) as error:
        return Containers(problem=on_one_line(getattr(error, "strerror", None) or str(error)))
    return Containers(tuple(found))


def _check_size(found: Sequence[Container]) -> None:
    if len(found) > _MOST:
        raise CommandError(f"it runs {len(found)} containers, more than {_MOST}")
    size = sum(len(key) + len(value) for each in found for key, value in each.labels.items())
    if size > LARGEST:
        raise CommandError(f"the labels of its containers have {size} characters, more than {LARGEST}")


def _podman() -> Iterator[Container]:
    if not shutil.which("podman", path=commands.PATH):
        if has_podman_data():
            raise CommandError("podman is not installed, but has data on this host; install it, or remove its data")
        return
    for document in _inspected():
        fields = _mapping(document)
        # It has the addresses of the container whose network it shares, such as that of its pod.
        if not str(fields.get("mode")).startswith("container:"):
            yield _container(fields.get("name"), fields.get("labels"), _addresses(fields.get("networks")))


def _inspected() -> list[Any]:
    """Return what Podman knows of all containers. One that ends between the two commands makes the second one fail."""
    deadline = time.monotonic() + _TIMEOUT
    for _attempt in range(_ATTEMPTS - 1):
        with contextlib.suppress(_FailedError):
            return _inspect_all(deadline)
    return _inspect_all(deadline)


def _inspect_all(deadline: float) -> list[Any]:
    ids = [line for line in _run(_LIST, deadline).split() if _ID.fullmatch(line)]
    lines = _run((*_INSPECT, *ids), deadline).splitlines() if ids else []
    return [json.loads(line) for line in lines if line.strip()]


class _FailedError(CommandError):
    """A command ended with an error."""


def _run(words: Sequence[str], deadline: float) -> str:
    """Return the standard output of a command. Raises _FailedError, or CommandError if it did not end."""
    try:
        status, stdout, stderr = commands.run(words, seconds=max(0.1, deadline - time.monotonic()))
    except CommandError:
        # The text would have the identifiers of all containers.
        raise CommandError(f"podman did not end within {_TIMEOUT} seconds; check the load of the host") from None
    if status:
        message = " ".join(stderr.split())[:_SHOWN] or "no message"
        raise _FailedError(f"podman ends with status {status}: {message}")
    return stdout


def _docker() -> Iterator[Container]:
    if not has_docker():
        return
    answer = ask_docker("/containers/json")
    if not isinstance(answer, list):
        raise CommandError("the answer is not a list of containers")
    for document in answer:
        fields = _mapping(document)
        names = fields.get("Names")
        name = names[0] if isinstance(names, list) and names else fields.get("Id")
        networks = _mapping(fields.get("NetworkSettings")).get("Networks")
        yield _container(str(name).lstrip("/"), fields.get("Labels"), _addresses(networks))


def _libvirt() -> Iterator[Container]:
    leases = _leases()
    paths = [path for folder in DOMAIN_FOLDERS for path in sorted(folder.glob("*.xml"))]
    for path in paths[: _MOST + 1]:
        text = read_limited(path)
        # None if the domain has ended meanwhile.
        domain = None if text is None else parse_xml(text).find("domain")
        if domain is not None:
            macs = [(each.get("address") or "").lower() for each in domain.findall("devices/interface/mac")]
            labels = domain.findtext(f"metadata/{{{LABELS_URI}}}labels") or ""
            addresses = tuple(address for mac in macs for address in leases.get(mac, ()))
            yield _container(domain.findtext("name"), labels_in(labels), addresses)


def _leases() -> dict[str, list[str]]:
    """Return {MAC: addresses} of the leases in force."""
    found: dict[str, list[str]] = {}
    now = time.time()
    for path in sorted(LEASE_FOLDER.glob("*.status")):
        text = read_limited(path) or b""
        entries = json.loads(text) if text.strip() else []
        for entry in map(_mapping, entries if isinstance(entries, list) else ()):
            expiry, mac = entry.get("expiry-time", 0), entry.get("mac-address")
            is_in_force = isinstance(expiry, (int, float)) and (not expiry or expiry > now)
            if is_in_force and isinstance(mac, str):
                found.setdefault(mac.lower(), []).extend(_canonical(entry.get("ip-address")))
    return found


def _container(name: object, labels: object, addresses: Sequence[str]) -> Container:
    return Container(on_one_line(str(name))[:_MAX_NAME], _labels(labels), tuple(dict.fromkeys(addresses)))


def _labels(labels: object) -> dict[str, str]:
    """Return the labels that are short enough for one in Kubernetes; others select nothing."""
    found = labels.items() if isinstance(labels, dict) else ()
    return {
        key: value
        for key, value in found
        if isinstance(key, str) and isinstance(value, str) and len(key) <= _MAX_KEY and len(value) <= _MAX_VALUE
    }


def _addresses(networks: object) -> list[str]:
    """Return the addresses of a container in its networks, in the form of Docker that Podman has too."""
    entries = networks.values() if isinstance(networks, dict) else ()
    return [
        address for entry in map(_mapping, entries) for key in _ADDRESS_KEYS for address in _canonical(entry.get(key))
    ]


def _canonical(text: object) -> list[str]:
    """Return an address in its canonical form, in a list; without one, or with a malformed one, none."""
    try:
        return [canonical_address(text, "address")] if text else []
    except EgressIPError:
        return []


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


# An annotation is not evaluated: Python 3.8 could not.
_FINDERS: dict[str, Callable[[], Iterator[Container]]] = {PODMAN: _podman, DOCKER: _docker, LIBVIRT: _libvirt}
