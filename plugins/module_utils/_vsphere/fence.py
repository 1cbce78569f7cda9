# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a VM is cut off its network, how that is proven, and given back. PRIVATE to the collection. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .._common.errors import VsphereError
from .change_note import INHERITED

PORT_BLOCK, VNIC_DISCONNECT, POWER_OFF, AUTO = "port_block", "vnic_disconnect", "power_off", "auto"
_BLOCKED, _POWER = "blocked", "power"
ON, OFF, SUSPENDED = "poweredOn", "poweredOff", "suspended"
CONNECTED = "connected"


@dataclass(frozen=True)
class Adapter:
    """One network adapter as a fence sees it.

    ``id``: its own in the vCenter, VM/KEY; ``vm``, ``label``, ``mac``, ``host`` (None for none): names; ``responds``:
    whether the vCenter reaches the host; ``state``: CONNECTED, or why the vCenter does not know the VM there;
    ``power``: ON, OFF or SUSPENDED; ``restarts``: whether vSphere HA would start the VM again; ``connection``:
    {connected, start_connected}, where a VM that is off is connected as it will be when it starts; ``direct``: whether
    the VM has it to itself, past all that the hypervisor could cut (SR-IOV); ``port``: None where it has none that can
    be blocked, or {blocked (as configured, True, False or INHERITED), own (the port says so itself), runtime (what the
    host says of a port that runs), allowed (by the port group), lasting (it stays when the VM stops)}; ``port_note``
    and ``vm_note``: the notes of `change_note`; ``key``: of the adapter in its VM; ``handle``: for the client alone.
    """

    id: str
    vm: str
    label: str
    mac: str
    host: object
    responds: bool
    state: str
    power: str
    restarts: bool
    connection: dict
    direct: bool
    port: object
    port_note: dict
    vm_note: dict
    key: int
    handle: object

    @property
    def name(self):
        """What messages call it."""
        return f"{self.vm}, {self.label}"

    @property
    def vm_id(self):
        """What its VM is told by from others of the same name."""
        return self.id.partition("/")[0]

    @property
    def connected(self):
        """Whether it is connected now, which an adapter of a VM that does not run is not."""
        return self.power == ON and self.connection["connected"]

    @property
    def fenced(self):
        """Whether it is cut off for sure, by whichever method."""
        return any(is_proven(self, method) for method in (PORT_BLOCK, VNIC_DISCONNECT, POWER_OFF))

    def to_dict(self):
        """Return what a fence changes."""
        return {
            "power_state": self.power,
            "blocked": self.port and self.port["blocked"] is True,
            "connected": self.connected,
            "start_connected": self.connection["start_connected"],
        }


@dataclass(frozen=True)
class Step:
    """What to write for an adapter: all in which ``after`` is not as ``before``, the notes together with it.

    ``power`` and ``vm_note`` of ``after`` are the same for all adapters of a VM.
    """

    before: Adapter
    after: Adapter

    @property
    def key(self):
        """What tells a step from one that is written already."""
        return repr((self.after.id, self.after.to_dict(), self.after.port_note, self.after.vm_note))


def choose(adapter, method):
    """Return the method that ``method`` stands for; VsphereError says why it is not possible here."""
    if adapter.direct and method != POWER_OFF:
        raise VsphereError(f"{adapter.name}: its frames pass the hypervisor by (SR-IOV); use method: {POWER_OFF}")
    hindrance = _hindrance(adapter.port)
    if method == AUTO:
        return VNIC_DISCONNECT if hindrance else PORT_BLOCK
    if method == PORT_BLOCK and hindrance:
        raise VsphereError(f"{adapter.name}: {hindrance}; use method: {VNIC_DISCONNECT}")
    return method


def _hindrance(port):
    """Return why a port cannot be blocked for good, None when it can."""
    if port is None:
        return "has no port that vCenter can block"
    if not port["allowed"]:
        return "the port group lets no port be blocked"
    return None if port["lasting"] else "its port ends when the VM stops, and the block with it"


def is_proven(adapter, method):
    """Tell whether an adapter is cut off by a method, now and when the VM starts. A host that is silent proves nothing.

    Of a port where nothing runs the host has nothing to say: then the block holds as soon as something does.
    """
    port = adapter.port
    done = {
        PORT_BLOCK: port is not None
        and not adapter.direct
        and port["blocked"] is True
        and port["lasting"]
        and (port["runtime"] or not adapter.connected),
        # What a suspended VM is connected to comes back with its memory.
        VNIC_DISCONNECT: adapter.power != SUSPENDED and not adapter.direct and not any(adapter.connection.values()),
        POWER_OFF: adapter.power == OFF and not adapter.restarts,
    }
    return adapter.responds and adapter.state == CONNECTED and done[method]


def fence(adapter, method):
    """Return an adapter as a method cuts it off, itself when that is proven; VsphereError says why it cannot be."""
    method = choose(adapter, method)
    _check_host(adapter)
    if is_proven(adapter, method):
        return adapter
    if method == PORT_BLOCK:
        former = False if adapter.port["own"] else INHERITED
        return replace(
            adapter, port={**adapter.port, "blocked": True}, port_note={_BLOCKED: former, **adapter.port_note}
        )
    if adapter.power == SUSPENDED:
        lost = "its memory would be lost" if method == POWER_OFF else "it would resume as it was"
        raise VsphereError(f"{adapter.name}: the VM is suspended, and {lost}; use another method")
    if method == VNIC_DISCONNECT:
        former = {_of_nic(adapter, name): value for name, value in adapter.connection.items()}
        return replace(
            adapter, connection=dict.fromkeys(adapter.connection, False), vm_note={**former, **adapter.vm_note}
        )
    return replace(adapter, power=OFF, vm_note={_POWER: "on", **adapter.vm_note})


def unfence(adapter, method):
    """Return an adapter with what `fence` noted given back, by one method or, with AUTO, by all of them."""
    _check_host(adapter)
    port_note, vm_note = dict(adapter.port_note), dict(adapter.vm_note)
    port, connection, power = adapter.port, dict(adapter.connection), adapter.power
    if method in (AUTO, PORT_BLOCK) and _BLOCKED in port_note:
        port = {**port, "blocked": port_note.pop(_BLOCKED)}
    if method in (AUTO, VNIC_DISCONNECT):
        connection = {name: vm_note.pop(_of_nic(adapter, name), value) for name, value in connection.items()}
    if method in (AUTO, POWER_OFF) and _POWER in vm_note:
        if power == OFF:
            # It stays noted until the VM is on: what is not given back is not forgotten.
            power = ON
        else:
            del vm_note[_POWER]
    return replace(adapter, port=port, connection=connection, power=power, port_note=port_note, vm_note=vm_note)


def plan(adapters, method, fenced):
    """Return (the Steps that are left, the adapters as they are after them); no Step means that all is proven."""
    decide = fence if fenced else unfence
    notes, after = {}, []
    for adapter in adapters:
        # The adapters of a VM share its note.
        after.append(decide(replace(adapter, vm_note=notes.get(adapter.vm_id, adapter.vm_note)), method))
        notes[adapter.vm_id] = after[-1].vm_note
    after = [replace(adapter, vm_note=notes[adapter.vm_id]) for adapter in after]
    steps = {
        then.id: Step(now, then)
        for now, then in zip(adapters, after)
        if now != then or (fenced and not is_proven(now, choose(now, method)))
    }
    return list(steps.values()), after


def noted_methods(port_note, vm_note, key):
    """Return the methods that were used on an adapter (with this key in its VM), as the two notes tell."""
    noted = {
        PORT_BLOCK: _BLOCKED in port_note,
        VNIC_DISCONNECT: any(name.startswith(f"nic.{key}.") for name in vm_note),
        POWER_OFF: _POWER in vm_note,
    }
    return tuple(method for method, found in noted.items() if found)


def _check_host(adapter):
    problem = doubt(adapter)
    if problem:
        raise VsphereError(f"{adapter.name}: {problem}, so that nothing can be proven")


def doubt(machine):
    """Return why the vCenter does not know what a VM does now, None when it does; of an Adapter or a Guest."""
    if machine.host is None:
        return "the VM is on no host"
    if not machine.responds:
        return f"its host {machine.host} does not respond"
    return None if machine.state == CONNECTED else f"the VM is {machine.state}"


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
        adapters, steps, after = self._look(client)
        for adapter in adapters:
            self._before.setdefault(adapter.id, adapter.to_dict())
        if not self._check_mode:
            adapters = after = self._settle(client, adapters, steps)
        vms = [self._compare(adapter, then.to_dict()) for adapter, then in zip(adapters, after)]
        diff = {side: {f"{vm['vm']}, {vm['label']}": vm[side] for vm in vms} for side in ("before", "after")}
        return {"changed": any(vm["changed"] for vm in vms), "vms": vms, "diff": diff}

    def _look(self, client):
        adapters = client.read_adapters(self._vms)
        return (adapters, *plan(adapters, self._method, self._fenced))

    def _settle(self, client, adapters, steps):
        """Write steps, each one once, until none is left; returns the adapters then."""
        written = set()
        while steps:
            client.write_steps([step for step in steps if step.key not in written])
            written.update(step.key for step in steps)
            adapters, steps = client.wait_for(lambda: self._look_on(client, written))
        return adapters

    def _look_on(self, client, written):
        """Return (what there is only to wait for, None for nothing; (adapters, steps)), as `wait_for` wants it."""
        adapters, steps, _after = self._look(client)
        waits = steps and all(step.key in written for step in steps)
        return steps[0].before.name if waits else None, (adapters, steps)

    def _compare(self, adapter, after):
        before = self._before[adapter.id]
        return {
            "vm": adapter.vm,
            "label": adapter.label,
            "mac": adapter.mac,
            "host": adapter.host,
            "changed": before != after,
            "fenced": adapter.fenced,
            "before": before,
            "after": after,
        }
