# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cut a VM off its network, prove that, and reconnect it. PRIVATE to the collection. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Collection, Mapping, Sequence

from .change_note import INHERITED, Note
from .errors import VsphereError
from .port import plain_mac

if TYPE_CHECKING:
    from .client import Client
    from .guest_ips import Guest

PORT_BLOCK, VNIC_DISCONNECT, POWER_OFF, AUTO = "port_block", "vnic_disconnect", "power_off", "auto"
_BLOCKED, _POWER = "blocked", "power"
ON, OFF, SUSPENDED = "poweredOn", "poweredOff", "suspended"
CONNECTED = "connected"


@dataclass(frozen=True)
class Adapter:
    """One network adapter, as a fence needs it.

    ``id``: unique in the vCenter, VM/KEY; ``vm``, ``label``, ``mac``, ``host`` (None for none): names; ``responds``:
    whether the vCenter reaches the host; ``state``: CONNECTED, or the reason why the vCenter does not know the VM's
    state; ``power``: ON, OFF or SUSPENDED; ``restarts``: whether vSphere HA would start the VM again; ``connection``:
    {connected, start_connected}, for a VM that is off as it will be after its start; ``direct``: whether its frames
    bypass the hypervisor (SR-IOV); ``port``: None if no port can be blocked, or {blocked (as configured: True, False
    or INHERITED), own (set at the port itself), runtime (state reported by the host), allowed (by the port group),
    lasting (it remains when the VM stops)}; ``port_note`` and ``vm_note``: see `change_note`; ``key``: of the adapter
    in its VM; ``handle``: for the client only; ``others``: (label, MAC address) of the other adapters of the VM.
    """

    id: str
    vm: str
    label: str
    mac: str
    host: str | None
    responds: bool
    state: str
    power: str
    restarts: bool
    connection: dict[str, bool]
    direct: bool
    port: dict[str, Any] | None
    port_note: Note
    vm_note: Note
    key: int
    handle: dict[str, Any]
    others: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """Name in messages."""
        return f"{self.vm}, {self.label}"

    @property
    def vm_id(self) -> str:
        """ID of its VM, unique where names are not."""
        return self.id.partition("/")[0]

    @property
    def connected(self) -> bool:
        """Whether it is connected now; never while the VM does not run."""
        return self.power == ON and self.connection["connected"]

    @property
    def fenced(self) -> bool:
        """Whether it is proven to be cut off, by any method."""
        return any(is_proven(self, method) for method in (PORT_BLOCK, VNIC_DISCONNECT, POWER_OFF))

    def to_dict(self) -> dict[str, Any]:
        """Return the values that a fence changes."""
        return {
            "power_state": self.power,
            "blocked": self.port and self.port["blocked"] is True,
            "connected": self.connected,
            "start_connected": self.connection["start_connected"],
        }


@dataclass(frozen=True)
class Step:
    """The write for an adapter: every value in which ``after`` differs from ``before``, with the notes.

    ``power`` and ``vm_note`` of ``after`` are the same for all adapters of a VM.
    """

    before: Adapter
    after: Adapter

    @property
    def key(self) -> str:
        """Equal for steps with the same result."""
        return repr((self.after.id, self.after.to_dict(), self.after.port_note, self.after.vm_note))


def choose(adapter: Adapter, method: str) -> str:
    """Return the method for an adapter, for AUTO the best one; VsphereError if ``method`` is not possible."""
    if adapter.direct and method != POWER_OFF:
        raise VsphereError(f"{adapter.name}: its frames bypass the hypervisor (SR-IOV); use method: {POWER_OFF}")
    hindrance = _hindrance(adapter.port)
    if method == AUTO:
        return VNIC_DISCONNECT if hindrance else PORT_BLOCK
    if method == PORT_BLOCK and hindrance:
        raise VsphereError(f"{adapter.name}: {hindrance}; use method: {VNIC_DISCONNECT}")
    return method


def _hindrance(port: Mapping[str, Any] | None) -> str | None:
    """Return why a port cannot be blocked permanently; None if it can."""
    if port is None:
        return "has no port that vCenter can block"
    if not port["allowed"]:
        return "the port group does not allow to block its ports"
    return None if port["lasting"] else "its port ends when the VM stops, and the block with it"


def is_proven(adapter: Adapter, method: str) -> bool:
    """Return whether an adapter is cut off by a method, now and after a start of its VM.

    A host that does not respond proves nothing. A host reports no state of a port that is not in use; the
    configuration is a proof then, since it takes effect with the first use.
    """
    port = adapter.port
    done = {
        PORT_BLOCK: port is not None
        and not adapter.direct
        and port["blocked"] is True
        and port["lasting"]
        and bool(port["runtime"] or not adapter.connected),
        # A suspended VM resumes with the connections that it had.
        VNIC_DISCONNECT: adapter.power != SUSPENDED and not adapter.direct and not any(adapter.connection.values()),
        POWER_OFF: adapter.power == OFF and not adapter.restarts,
    }
    return adapter.responds and adapter.state == CONNECTED and done[method]


def fence(adapter: Adapter, method: str) -> Adapter:
    """Return an adapter as a method cuts it off, unchanged if that is proven; VsphereError if it is not possible."""
    method = choose(adapter, method)
    _check_host(adapter)
    if is_proven(adapter, method):
        return adapter
    if method == PORT_BLOCK:
        # `choose` has checked that there is one.
        port = adapter.port or {}
        former = False if port["own"] else INHERITED
        return replace(adapter, port={**port, "blocked": True}, port_note={_BLOCKED: former, **adapter.port_note})
    if adapter.power == SUSPENDED:
        lost = "its memory would be lost" if method == POWER_OFF else "it would resume as it was"
        raise VsphereError(f"{adapter.name}: the VM is suspended, and {lost}; use another method")
    if method == VNIC_DISCONNECT:
        noted = {_of_nic(adapter, name): value for name, value in adapter.connection.items()}
        return replace(
            adapter, connection=dict.fromkeys(adapter.connection, False), vm_note={**noted, **adapter.vm_note}
        )
    return replace(adapter, power=OFF, vm_note={_POWER: "on", **adapter.vm_note})


def unfence(adapter: Adapter, method: str) -> Adapter:
    """Return an adapter with the values that `fence` noted, for one method or, with AUTO, for all of them."""
    _check_host(adapter)
    port_note, vm_note = dict(adapter.port_note), dict(adapter.vm_note)
    port, connection, power = adapter.port, dict(adapter.connection), adapter.power
    if method in (AUTO, PORT_BLOCK) and port is not None and _BLOCKED in port_note:
        port = {**port, "blocked": port_note.pop(_BLOCKED)}
    if method in (AUTO, VNIC_DISCONNECT):
        connection = {name: bool(vm_note.pop(_of_nic(adapter, name), value)) for name, value in connection.items()}
    if method in (AUTO, POWER_OFF) and _POWER in vm_note:
        if power == OFF:
            # The note is removed when the VM is on, so that a failed start is retried.
            power = ON
        else:
            del vm_note[_POWER]
    return replace(adapter, port=port, connection=connection, power=power, port_note=port_note, vm_note=vm_note)


def plan(adapters: Sequence[Adapter], method: str, fenced: bool) -> tuple[list[Step], list[Adapter]]:
    """Return (the remaining Steps, the adapters after them); without a Step all is proven."""
    decide = fence if fenced else unfence
    notes: dict[str, Note] = {}
    after: list[Adapter] = []
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


def check_links(adapters: Sequence[Adapter], macs: Collection[str], method: str) -> None:
    """Raise VsphereError if an adapter that is not one of ``adapters`` may be one of the ``macs`` of the guest.

    While such an adapter is connected, a fence by any method but POWER_OFF proves nothing about the guest's addresses.
    It may be any adapter of the VM if the ``macs`` are not known, or if one of them belongs to no adapter.
    """
    selected = {(adapter.vm_id, adapter.mac) for adapter in adapters}
    known = {mac for adapter in adapters for mac in (adapter.mac, *(mac for _label, mac in adapter.others))}
    unknown = [f"{mac} of the guest belongs to no adapter" for mac in macs if mac not in known]
    unproven = unknown or ([] if macs else ["no interface is on record"])
    left = [(adapter, *other) for adapter in adapters for other in adapter.others]
    for adapter, label, mac in left if method != POWER_OFF else ():
        if (adapter.vm_id, mac) in selected:
            continue
        fix = f"add it to vms, or use method: {POWER_OFF}"
        if mac in macs:
            reason = f"is not the only adapter that may have egress IPs: {label} ({mac}) is one too"
            raise VsphereError(f"{adapter.name}: {reason}; {fix}")
        if unproven:
            reason = f"may not be the only adapter that has egress IPs: {unproven[0]}, and {label} ({mac})"
            raise VsphereError(f"{adapter.name}: {reason} stays connected; {fix}")


def noted_methods(port_note: Note, vm_note: Note, key: int) -> tuple[str, ...]:
    """Return the methods that the notes show for the adapter with this ``key`` in its VM."""
    noted = {
        PORT_BLOCK: _BLOCKED in port_note,
        VNIC_DISCONNECT: any(name.startswith(f"nic.{key}.") for name in vm_note),
        POWER_OFF: _POWER in vm_note,
    }
    return tuple(method for method, found in noted.items() if found)


def _check_host(adapter: Adapter) -> None:
    problem = why_unknown(adapter)
    if problem:
        raise VsphereError(f"{adapter.name}: {problem}, so that nothing can be proven")


def why_unknown(machine: Adapter | Guest) -> str | None:
    """Return why the vCenter does not know the present state of a VM; None if it does."""
    if machine.host is None:
        return "the VM is on no host"
    if not machine.responds:
        return f"its host {machine.host} does not respond"
    return None if machine.state == CONNECTED else f"the VM is {machine.state}"


def _of_nic(adapter: Adapter, name: str) -> str:
    return f"nic.{adapter.key}.{name}"


class FenceRun:
    """One run of `vsphere_fence`. Call it with a client, and again after each VsphereInterruptedError."""

    def __init__(self, options: Mapping[str, Any], check_mode: bool) -> None:
        self._vms = options["vms"]
        self._method = options["method"]
        self._fenced = options["state"] == "fenced"
        self._macs = None if options["macs"] is None else [plain_mac(mac) for mac in options["macs"]]
        self._check_mode = check_mode
        self._before: dict[str, dict[str, Any]] = {}

    def __call__(self, client: Client) -> dict[str, Any]:
        """Read, decide, write, and wait for the proof; return {changed, vms, diff}."""
        adapters, steps, after = self._observe(client)
        if not self._check_mode:
            adapters = after = self._write_until_done(client, adapters, steps)
        vms = [self._compare(adapter, then.to_dict()) for adapter, then in zip(adapters, after)]
        diff = {side: {f"{vm['vm']}, {vm['label']}": vm[side] for vm in vms} for side in ("before", "after")}
        return {"changed": any(vm["changed"] for vm in vms), "vms": vms, "diff": diff}

    def _observe(self, client: Client) -> tuple[list[Adapter], list[Step], list[Adapter]]:
        adapters = client.read_adapters(self._vms)
        for adapter in adapters:
            # In each read: an adapter may have been replaced since the first one.
            self._before.setdefault(adapter.id, adapter.to_dict())
        if self._fenced and self._macs is not None:
            check_links(adapters, self._macs, self._method)
        return (adapters, *plan(adapters, self._method, self._fenced))

    def _write_until_done(self, client: Client, adapters: list[Adapter], steps: list[Step]) -> list[Adapter]:
        """Write steps, each one once, until none remains; return the adapters then."""
        written: set[str] = set()
        while steps:
            client.write_steps([step for step in steps if step.key not in written])
            written.update(step.key for step in steps)
            adapters, steps = client.wait_for(lambda: self._observe_again(client, written))
        return adapters

    def _observe_again(self, client: Client, written: set[str]) -> tuple[str | None, tuple[list[Adapter], list[Step]]]:
        """Return (name of an adapter if every remaining step is written, else None; (adapters, steps))."""
        adapters, steps, _after = self._observe(client)
        waits = bool(steps) and all(step.key in written for step in steps)
        return steps[0].before.name if waits else None, (adapters, steps)

    def _compare(self, adapter: Adapter, after: dict[str, Any]) -> dict[str, Any]:
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
