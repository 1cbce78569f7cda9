# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a network adapter of a VM is connected to. PRIVATE to the collection. No I/O: `_vsphere.client` reads it."""

from __future__ import annotations

from dataclasses import dataclass

from .._common.errors import VsphereError
from .._common.messages import quote

SECURITY = ("promiscuous", "mac_changes", "forged_transmits")
MAC_LEARNING = ("enabled", "allow_unicast_flooding", "limit", "limit_policy")
# The name in `Level.own` of rules of a traffic filter.
RULES = "rules"
PORT, GROUP, HOST_GROUP = "port", "portgroup", "host portgroup"
STANDARD, DISTRIBUTED, NSX = "standard", "distributed", "nsx"


@dataclass(frozen=True)
class Level:
    """The settings of a port, a port group or a switch, as they take effect there.

    ``security``: {flag: bool} for SECURITY; ``mac_learning``: {key: value} for MAC_LEARNING, None where the switch
    has none; ``rules``: tuple of rules, dicts as in `_vsphere.traffic_filter`; ``own``: names of
    what this level says itself instead of following the one above: flags, ``mac_learning``, ``rules``.
    """

    security: dict
    mac_learning: object = None
    rules: tuple = ()
    own: frozenset = frozenset()

    def to_dict(self):
        """Return the settings in the form of the modules' options and return values."""
        return {
            "security": dict(self.security),
            "mac_learning": self.mac_learning and dict(self.mac_learning),
            "rules": [dict(rule) for rule in self.rules],
            "overridden": sorted(self.own),
        }


@dataclass(frozen=True)
class Target:
    """What one write changes: a port, a distributed port group, or a standard port group on one host.

    ``id`` is its own in the vCenter, ``name`` for people; ``kind``: PORT, GROUP or HOST_GROUP; ``group``: name of the
    port group; ``own`` and ``above``: its Level and the one that it follows; ``note``: its `change_note`, which VMs
    keep for a HOST_GROUP; ``handle``: for the client alone; ``override_allowed``: what the port group lets its ports
    override; of a PORT, where that was asked, ``in_use``: what other ports of the group override, and ``marked``: what
    we have let them; ``affects``: names of the VMs beside the chosen ones that a change meets too.
    """

    id: str
    name: str
    kind: str
    group: str
    own: Level
    above: Level
    note: dict
    handle: object
    override_allowed: tuple = ()
    in_use: frozenset = frozenset()
    marked: frozenset = frozenset()
    affects: tuple = ()

    def to_dict(self):
        """Return the settings that the modules compare, those of this level."""
        return {**self.own.to_dict(), "override_allowed": list(self.override_allowed)}


@dataclass(frozen=True)
class Port:
    """One network adapter and its port.

    ``vm``, ``nic``, ``switch``, ``port_group``, ``vlan`` are dicts with the keys that `vsphere_port_info` returns;
    ``level`` is None on NSX, whose settings vCenter does not know. ``shared_with``: names of the other VMs of the
    port group, in order. ``noted``: the port's `change_note`; ``fence``: which methods of `vsphere_fence` were used,
    as noted; ``fenced``: whether the adapter is cut off for sure.
    """

    vm: dict
    nic: dict
    host: object
    switch: dict
    port_group: dict
    port_key: object
    vlan: object
    level: object
    override_allowed: tuple
    shared_with: tuple
    noted: dict
    fence: tuple
    fenced: bool

    def to_dict(self):
        """Return the form that `vsphere_port_info` gives."""
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
            "shared_with": list(self.shared_with),
            "noted": dict(self.noted),
            "fence": list(self.fence),
            "fenced": self.fenced,
        }


def choose_vm(selector, path, vms):
    """Return the one of ``vms``, dicts with name, uuid, instance_uuid, moid and path, that ``selector`` names."""
    key = next(key for key in ("name", "uuid", "moid") if selector.get(key))
    wanted = selector[key]
    found = [vm for vm in vms if _is_vm(vm, key, wanted)]
    if not found:
        raise VsphereError(f"{path}.{key}: there is no VM {quote(wanted)} that this user can see")
    if len(found) > 1:
        moids = ", ".join(sorted(vm["moid"] for vm in found))
        raise VsphereError(f"{path}.{key}: {len(found)} VMs are called {quote(wanted)}; use moid, one of {moids}")
    return found[0]


def _is_vm(vm, key, wanted):
    if key == "uuid":
        return wanted.lower() in (vm["uuid"].lower(), vm["instance_uuid"].lower())
    return vm[key] == wanted


def choose_nic(selector, path, nics):
    """Return the one of ``nics``, dicts with mac, label and network, that ``selector`` names, or the only one."""
    key = next((key for key in ("mac", "label", "network") if selector.get(key)), None)
    wanted = selector[key].lower().replace("-", ":") if key == "mac" else selector.get(key)
    found = [nic for nic in nics if key is None or nic[key] == wanted]
    if len(found) == 1:
        return found[0]
    known = ", ".join(f"{nic['label']} ({nic['mac']}, {nic['network']})" for nic in nics) or "none"
    if key is None:
        problem = (
            "the VM has several network adapters; choose by mac, label or network" if nics else "no network adapter"
        )
        raise VsphereError(f"{path}: {problem}; there are: {known}")
    count = "several network adapters" if found else "no network adapter"
    raise VsphereError(f"{path}.{key}: the VM has {count} with {quote(selector[key])}; there are: {known}")
