# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The port and port group of a network adapter of a VM. PRIVATE to the collection. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Mapping, NamedTuple, Sequence

from .._common.messages import quote
from .change_note import Note
from .errors import VsphereError
from .traffic_filter import Rule

SECURITY = ("promiscuous", "mac_changes", "forged_transmits")
MAC_LEARNING = ("enabled", "allow_unicast_flooding", "limit", "limit_policy")
# Name of the rules of a traffic filter in `Level.own`.
RULES = "rules"
PORT, GROUP, HOST_GROUP = "port", "portgroup", "host portgroup"
STANDARD, DISTRIBUTED, NSX = "standard", "distributed", "nsx"
_NIC_KEYS = ("mac", "label", "network")
_PLACE_KEYS = ("datacenter", "folder")


@dataclass(frozen=True)
class Level:
    """The effective settings of a port, a port group or a switch.

    ``security``: {flag: bool} for SECURITY; ``mac_learning``: {key: value} for MAC_LEARNING, None if the switch has
    none; ``rules``: see `traffic_filter`; ``own``: names of the settings that this level overrides instead of
    inheriting them from the one above: flags, ``mac_learning``, ``rules``.
    """

    security: dict[str, bool]
    mac_learning: dict[str, Any] | None = None
    rules: tuple[Rule, ...] = ()
    own: frozenset[str] = frozenset()

    def to_dict(self) -> dict[str, Any]:
        """Return the settings in the form of the modules' options and return values."""
        return {
            "security": dict(self.security),
            "mac_learning": self.mac_learning and dict(self.mac_learning),
            "rules": [dict(rule) for rule in self.rules],
            "overridden": sorted(self.own),
        }


@dataclass(frozen=True)
class Target:
    """The object that one write changes: a port, a distributed port group, or a standard port group on one host.

    ``id``: unique in the vCenter; ``name``: for messages; ``kind``: PORT, GROUP or HOST_GROUP; ``group``: name of the
    port group; ``own`` and ``above``: its Level and the one that it inherits from; ``note``: its `change_note`, which
    VMs keep for a HOST_GROUP; ``handle``: for the client only; ``override_allowed``: what ports of the port group may
    override; of a PORT, if requested, ``in_use``: what other ports of the group override, and ``marked``: what the
    collection allowed them; ``affects``: names of the other VMs that a change affects.
    """

    id: str
    name: str
    kind: str
    group: str
    own: Level
    above: Level
    note: Note
    handle: dict[str, Any]
    override_allowed: tuple[str, ...] = ()
    in_use: frozenset[str] = frozenset()
    marked: frozenset[str] = frozenset()
    affects: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the settings of this level, which the modules compare."""
        return {**self.own.to_dict(), "override_allowed": list(self.override_allowed)}


class Unreachable(NamedTuple):
    """An ESXi host on which a standard port group cannot be changed now.

    ``has_vm``: whether one of the selected VMs is there.
    """

    host: str
    state: str
    group: str
    has_vm: bool

    def __str__(self) -> str:
        """Return the line for a user."""
        return f"{self.host}: is {self.state}; port group {quote(self.group)} is not changed there"


@dataclass(frozen=True)
class Port:
    """One network adapter and its port.

    ``vm``, ``nic``, ``switch``, ``port_group``, ``vlan`` are dicts with the keys that `vsphere_port_info` returns;
    ``level`` is None on NSX, whose settings vCenter does not know. ``shared_with``: names of the other VMs of the
    port group, in order, None if not requested. ``noted``: the port's `change_note`; ``fence``: the methods of
    `vsphere_fence` that the notes show; ``fenced``: whether the adapter is proven to be cut off.
    """

    vm: dict[str, Any]
    nic: dict[str, Any]
    host: str | None
    switch: dict[str, Any]
    port_group: dict[str, Any]
    port_key: str | None
    vlan: dict[str, Any] | None
    level: Level | None
    override_allowed: tuple[str, ...]
    shared_with: tuple[str, ...] | None
    noted: Note
    fence: tuple[str, ...]
    fenced: bool

    def to_dict(self) -> dict[str, Any]:
        """Return the port in the form of `vsphere_port_info`."""
        settings = self.level.to_dict() if self.level else dict.fromkeys(Level({}).to_dict())
        return {
            "vm": dict(self.vm),
            "nic": dict(self.nic),
            "host": self.host,
            "switch": dict(self.switch),
            "port_group": dict(self.port_group),
            "port_key": self.port_key,
            "vlan": self.vlan,
            **settings,
            "override_allowed": list(self.override_allowed),
            "shared_with": None if self.shared_with is None else list(self.shared_with),
            "noted": dict(self.noted),
            "fence": list(self.fence),
            "fenced": self.fenced,
        }


def choose_vm(
    selector: Mapping[str, Any],
    path: str,
    vms: Sequence[dict[str, Any]],
    is_there: Callable[[Mapping[str, Any], Mapping[str, Any]], bool],
) -> dict[str, Any]:
    """Return the one of ``vms`` that ``selector`` names; they are dicts with name, uuid, instance_uuid and moid.

    ``is_there(vm, selector)``: whether a VM is in the ``datacenter`` and ``folder`` of the selector. Of several, the
    one with the UUID ``guest_uuid`` is returned. Raises VsphereError, which begins with ``path``.
    """
    key = next(key for key in ("name", "uuid", "moid") if selector.get(key))
    wanted = selector[key]
    found = [vm for vm in vms if _is_vm(vm, key, wanted)]
    place = [f"{name} {quote(selector[name])}" for name in _PLACE_KEYS if selector.get(name)]
    if place:
        found = [vm for vm in found if is_there(vm, selector)]
    if len(found) > 1 and selector.get("guest_uuid"):
        found = [vm for vm in found if _is_vm(vm, "uuid", selector["guest_uuid"])] or found
    if not found:
        where = f" in {' and '.join(place)}" if place else ""
        raise VsphereError(f"{path}.{key}: must be a VM{where} that this user can see, not {quote(wanted)}")
    if len(found) > 1:
        moids = ", ".join(sorted(vm["moid"] for vm in found))
        raise VsphereError(
            f"{path}.{key}: must identify one VM; {len(found)} are named {quote(wanted)}; add folder, or use moid, one"
            f" of {moids}"
        )
    return found[0]


def _is_vm(vm: Mapping[str, Any], key: str, wanted: str) -> bool:
    if key == "uuid":
        return wanted.lower() in (vm["uuid"].lower(), vm["instance_uuid"].lower())
    return bool(vm[key] == wanted)


def choose_nic(selector: Mapping[str, Any], path: str, nics: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the one of ``nics``, dicts with mac, label and network, that ``selector`` names, or the only one.

    If it names none, the only one with one of its ``macs`` is returned. Raises VsphereError, which begins with
    ``path``.
    """
    key = next((key for key in _NIC_KEYS if selector.get(key)), None)
    wanted = plain_mac(selector[key]) if key == "mac" else key and selector[key]
    found = [nic for nic in nics if key is None or nic[key] == wanted]
    macs = {plain_mac(mac) for mac in selector.get("macs") or ()} if key is None else set()
    found = [nic for nic in found if nic["mac"] in macs] or found
    if len(found) == 1:
        return found[0]
    known = ", ".join(f"{nic['label']} ({nic['mac']}, {nic['network']})" for nic in nics) or "none"
    if key is None:
        problem = (
            "the VM has several network adapters; choose by mac, label or network" if nics else "no network adapter"
        )
        raise VsphereError(f"{path}: {problem}; adapters of the VM: {known}")
    count = "several network adapters" if found else "no network adapter"
    raise VsphereError(f"{path}.{key}: the VM has {count} with {quote(selector[key])}; adapters of the VM: {known}")


def plain_mac(text: str) -> str:
    """Return a MAC address in the form of `Chosen.nic`."""
    return text.lower().replace("-", ":")
