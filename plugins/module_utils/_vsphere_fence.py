# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a VM is cut off its network, how that is proven, and given back. PRIVATE to the collection. No I/O."""

from __future__ import annotations

from dataclasses import dataclass

from ._errors import VsphereError
from ._vsphere_note import INHERITED

PORT_BLOCK, VNIC_DISCONNECT, POWER_OFF, AUTO = "port_block", "vnic_disconnect", "power_off", "auto"
_BLOCKED, _POWER = "blocked", "power"
ON, OFF, SUSPENDED = "poweredOn", "poweredOff", "suspended"


@dataclass(frozen=True)
class Adapter:
    """One network adapter as a fence sees it.

    ``id``: its own in the vCenter; ``vm``, ``label``, ``mac``, ``host``: names; ``responds``: whether the vCenter
    reaches the host; ``power``: ON, OFF or SUSPENDED; ``connection``: {connected, start_connected}; ``port``: None
    where it has none that can be blocked, or {blocked (as configured), own (the port says so itself), runtime (what the
    host says), allowed (by the port group)}; ``port_note`` and ``vm_note``: the notes of `_vsphere_note`; ``key``: of
    the adapter in its VM; ``handle``: for the client alone.
    """

    id: str
    vm: str
    label: str
    mac: str
    host: str
    responds: bool
    power: str
    connection: dict
    port: object
    port_note: dict
    vm_note: dict
    key: int
    handle: object

    @property
    def name(self):
        """What messages call it."""
        return f"{self.vm}, {self.label}"

    def to_dict(self):
        """Return what a fence changes."""
        return {"power_state": self.power, "blocked": self.port and self.port["blocked"], **self.connection}


@dataclass(frozen=True)
class Step:
    """What to write for one adapter; None leaves a thing alone.

    ``blocked``: True, False or INHERITED; ``connection``: {connected, start_connected}; ``power``: ON or OFF; the notes
    are written with it.
    """

    adapter: Adapter
    blocked: object
    connection: object
    power: object
    port_note: dict
    vm_note: dict

    def to_dict(self):
        """Return what `Adapter.to_dict` will say after the step."""
        blocked = {} if self.blocked is None else {"blocked": self.blocked is True}
        power = {"power_state": self.power} if self.power else {}
        return {**self.adapter.to_dict(), **blocked, **(self.connection or {}), **power}


def choose(adapter, method):
    """Return the method that ``method`` stands for; VsphereError says why it is not possible here."""
    possible = adapter.port is not None and adapter.port["allowed"]
    if method == AUTO:
        return PORT_BLOCK if possible else VNIC_DISCONNECT
    if method == PORT_BLOCK and adapter.port is None:
        raise VsphereError(f"{adapter.name}: has no port that vCenter can block; use method: {VNIC_DISCONNECT}")
    if method == PORT_BLOCK and not possible:
        raise VsphereError(f"{adapter.name}: the port group lets no port be blocked; use method: {VNIC_DISCONNECT}")
    return method


def is_proven(adapter, method):
    """Tell whether the host says that an adapter is cut off by a method. A host that is silent proves nothing."""
    done = {
        PORT_BLOCK: adapter.port is not None and adapter.port["blocked"] and adapter.port["runtime"],
        VNIC_DISCONNECT: not any(adapter.connection.values()),
        POWER_OFF: adapter.power == OFF,
    }
    return adapter.responds and done[method]


def fence(adapter, method):
    """Return the Step that cuts an adapter off, None when that is done and proven."""
    method = choose(adapter, method)
    _check_host(adapter)
    if is_proven(adapter, method):
        return None
    port_note, vm_note = dict(adapter.port_note), dict(adapter.vm_note)
    if method == PORT_BLOCK:
        port_note.setdefault(_BLOCKED, False if adapter.port["own"] else INHERITED)
        return Step(adapter, True, None, None, port_note, vm_note)
    if method == VNIC_DISCONNECT:
        for name, value in adapter.connection.items():
            vm_note.setdefault(_of_nic(adapter, name), value)
        return Step(adapter, None, dict.fromkeys(adapter.connection, False), None, port_note, vm_note)
    if adapter.power == SUSPENDED:
        raise VsphereError(f"{adapter.name}: the VM is suspended, and its memory would be lost; use another method")
    vm_note.setdefault(_POWER, "on")
    return Step(adapter, None, None, OFF, port_note, vm_note)


def unfence(adapter, method):
    """Return the Step that gives back what `fence` noted, by one method or, with AUTO, by all; None for nothing."""
    _check_host(adapter)
    port_note, vm_note = dict(adapter.port_note), dict(adapter.vm_note)
    blocked = port_note.pop(_BLOCKED, None) if method in (AUTO, PORT_BLOCK) else None
    connection = {}
    if method in (AUTO, VNIC_DISCONNECT):
        names = [name for name in adapter.connection if _of_nic(adapter, name) in vm_note]
        connection = {name: vm_note.pop(_of_nic(adapter, name)) for name in names}
    power = ON if method in (AUTO, POWER_OFF) and vm_note.pop(_POWER, None) else None
    if (port_note, vm_note) == (adapter.port_note, adapter.vm_note):
        return None
    return Step(adapter, blocked, connection or None, power if adapter.power == OFF else None, port_note, vm_note)


def noted_methods(port_note, vm_note, key):
    """Return the methods by which an adapter (with this key in its VM) is cut off, as the two notes tell."""
    noted = {
        PORT_BLOCK: _BLOCKED in port_note,
        VNIC_DISCONNECT: any(name.startswith(f"nic.{key}.") for name in vm_note),
        POWER_OFF: _POWER in vm_note,
    }
    return tuple(method for method, found in noted.items() if found)


def _check_host(adapter):
    if not adapter.responds:
        raise VsphereError(f"{adapter.name}: its host {adapter.host} does not respond, so that nothing can be proven")


def _of_nic(adapter, name):
    return f"nic.{adapter.key}.{name}"


class Fencing:
    """One run of `vsphere_fence`: called with a client, again after each interruption, until all is proven."""

    def __init__(self, options, check_mode):
        self._vms = options["vms"]
        self._method = options["method"]
        self._fenced = options["state"] == "fenced"
        self._check_mode = check_mode
        self._before = {}

    def __call__(self, client):
        """Read, decide, write, and wait for the proof; returns {changed, vms, diff}."""
        adapters = client.read_adapters(self._vms)
        for adapter in adapters:
            self._before.setdefault(adapter.id, adapter.to_dict())
        steps = self._steps(adapters)
        planned = {}
        if self._check_mode:
            planned = {step.adapter.id: step.to_dict() for step in steps}
        elif steps:
            client.write_steps(steps)
            adapters = client.wait_for(lambda: self._proven(client), steps[0].adapter.name)
        vms = [self._compare(adapter, planned.get(adapter.id, adapter.to_dict())) for adapter in adapters]
        diff = {side: {f"{vm['vm']}, {vm['label']}": vm[side] for vm in vms} for side in ("before", "after")}
        return {"changed": any(vm["changed"] for vm in vms), "vms": vms, "diff": diff}

    def _steps(self, adapters):
        decide = fence if self._fenced else unfence
        return [step for step in (decide(adapter, self._method) for adapter in adapters) if step]

    def _proven(self, client):
        """Return the adapters when nothing is left to do, else None."""
        adapters = client.read_adapters(self._vms)
        return None if self._steps(adapters) else adapters

    def _compare(self, adapter, after):
        before = self._before[adapter.id]
        return {
            "vm": adapter.vm,
            "label": adapter.label,
            "mac": adapter.mac,
            "host": adapter.host,
            "changed": before != after,
            "fenced": any(is_proven(adapter, method) for method in (PORT_BLOCK, VNIC_DISCONNECT, POWER_OFF)),
            "before": before,
            "after": after,
        }
