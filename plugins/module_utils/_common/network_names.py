# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of networks of containers and virtual machines, such as ``podman:web``. PRIVATE to the collection. Pure.

Each node finds the addresses of a network by its name. It is the name that an engine gave it, or that of an interface;
a network without a name is given as CIDR. The processes of a user of the host, ``user:deploy``, count as a network too.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from .addresses import canonical, covers_everything, parse_network
from .errors import EgressIPError
from .messages import quote
from .uid_ranges import LAST_UID, ROOT
from .validation import did_you_mean, is_device_name

PODMAN, DOCKER, LIBVIRT, INTERFACE, USER, CIDR = "podman", "docker", "libvirt", "interface", "user", "cidr"
ENGINES = (PODMAN, DOCKER, LIBVIRT)
KINDS = (*ENGINES, INTERFACE, USER)
_FORMS = "podman:NAME, docker:NAME, libvirt:NAME, interface:NAME, user:NAME or a network in CIDR form"
# What the engines accept as the name of a network; none has a slash, since names become parts of paths.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,99}")
# nft takes a star for any characters.
_INTERFACE = re.compile(r"[A-Za-z0-9_.@+-]+")
_ROOT = ("root", str(ROOT))
# The name of a user as useradd and directory services have it, or the number.
_USER_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.@-]{0,99}\$?|0|[1-9][0-9]{0,9}")
_ADDRESS = re.compile(r"[0-9A-Fa-f:.]+/.*")


class NetworkName(NamedTuple):
    """The name of a network: ``kind`` is an engine, INTERFACE, USER, or CIDR, ``value`` the name or the CIDR."""

    kind: str
    value: str

    @property
    def text(self) -> str:
        """The form in which users write it."""
        return self.value if self.kind == CIDR else f"{self.kind}:{self.value}"


def parse_network_name(text: str, path: str) -> NetworkName:
    """Return the NetworkName that a non-empty string spells. Raises EgressIPError with ``path``."""
    if _ADDRESS.fullmatch(text):
        return _parse_cidr(text, path)
    kind, colon, value = text.partition(":")
    if not colon or kind not in KINDS:
        near = did_you_mean(kind, KINDS) if colon else None
        hint = f"did you mean {near}:{value}?" if near else f"must be {_FORMS}"
        raise EgressIPError(f"{path}: {quote(text)} names no known engine; {hint}")
    if not _is_valid(kind, value):
        what = {INTERFACE: "an interface", USER: "a user"}.get(kind, "a network")
        raise EgressIPError(f"{path}: {quote(text)} has no valid name of {what} after the colon")
    if kind == USER and value in _ROOT:
        raise EgressIPError(f"{path}: {quote(text)} is the user of the host's own services; name another user")
    return NetworkName(kind, value)


def _is_valid(kind: str, value: str) -> bool:
    """Return whether a name is valid for its kind."""
    if kind == INTERFACE:
        return is_device_name(value) and _INTERFACE.fullmatch(value) is not None
    if kind == USER:
        return _USER_NAME.fullmatch(value) is not None and (not value.isdigit() or int(value) <= LAST_UID)
    return _NAME.fullmatch(value) is not None


def _parse_cidr(text: str, path: str) -> NetworkName:
    network = parse_network(text, path)
    if covers_everything([network]):
        raise EgressIPError(f"{path}: {quote(text)} covers every address; list the networks of containers or VMs")
    return NetworkName(CIDR, canonical(network))
