# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The order of the writes, and what they contain; the tests with the simulator check their effects."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.change_note import NOTHING
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.errors import (
    VsphereError,
    VsphereInterruptedError,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.fence import OFF, ON, Adapter, Step
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.port import HOST_GROUP, PORT, Level, Target
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.port_security import PortChange
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.write import write_changes, write_steps
from pyVmomi import vim

CLOSED = Level({"promiscuous": False, "mac_changes": False, "forged_transmits": False})
OPEN = Level({**CLOSED.security, "forged_transmits": True}, own=frozenset({"forged_transmits"}))


class FakeSession:
    """A vCenter whose tasks are recorded as [(name of the object, method, spec)]; ``kept``: texts it does not clear."""

    def __init__(self, kept=None):
        self.tasks = []
        self.kept = kept

    def run(self, what, start, *arguments):
        """Record a task."""
        self.tasks.append((what, start.__name__, arguments[0] if arguments else None))

    @contextlib.contextmanager
    def translated(self, _what=None):
        """Translate nothing."""
        yield

    def properties(self, objects, _paths):
        """Return the present configuration of port groups and VMs."""
        config = SimpleNamespace(
            name="nodes",
            configVersion="7",
            description=self.kept,
            policy=vim.dvs.VmwareDistributedVirtualSwitch.VMwarePortgroupPolicy(),
        )
        found = {"config": config, "name": "node1", "config.annotation": self.kept, "config.changeVersion": "9"}
        return dict.fromkeys(objects, found)

    @property
    def methods(self):
        """The tasks without their specs."""
        return [(what, method) for what, method, _spec in self.tasks]


class Thing:
    """A managed object whose methods are recorded by their names."""

    def __init__(self, **methods):
        vars(self).update(methods)

    def ReconfigureDVPort_Task(self): ...

    def ReconfigureDVPortgroup_Task(self): ...

    def ReconfigVM_Task(self): ...

    def PowerOnVM_Task(self): ...

    def PowerOffVM_Task(self): ...


def port(key, description=None):
    return SimpleNamespace(key=key, config=SimpleNamespace(configVersion="3", description=description))


def change(key="10", note=None, before=None, **overrides):
    """Return the change of a port of `nodes` that opens it."""
    handle = {"port": port(key, None), "switch": SWITCH, "group": GROUP, "settings": ()}
    target = Target(key, f"port {key} of nodes", PORT, "nodes", CLOSED, CLOSED, before or {}, handle)
    return PortChange(target, OPEN, {"forged_transmits": True}, {}, frozenset(), False, note or {}, **overrides)


SWITCH = Thing(FetchDVPorts=lambda _criteria: [])
GROUP = Thing()


def test_ports_of_a_switch_are_one_task_between_the_overrides():
    session = FakeSession()
    opened = change("10", {"a": 1}, allow=frozenset({"security"}))
    closed = change("11", {"a": 1}, forbid=frozenset({"rules"}))
    write_changes(session, [opened, closed])
    assert session.methods == [
        ("port group nodes", "ReconfigureDVPortgroup_Task"),
        ("ports 10, 11", "ReconfigureDVPort_Task"),
        ("port group nodes", "ReconfigureDVPortgroup_Task"),
    ]
    allowed, ports, forbidden = (spec for _what, _method, spec in session.tasks)
    assert (allowed.policy.securityPolicyOverrideAllowed, allowed.configVersion) == (True, "7")
    assert allowed.description == "[netops.egress_ip before: override.security=false]"
    assert [(spec.key, spec.configVersion, spec.operation) for spec in ports] == [
        ("10", "3", "edit"),
        ("11", "3", "edit"),
    ]
    assert forbidden.policy.trafficFilterOverrideAllowed is False


@pytest.mark.parametrize(("left", "tasks"), [(None, 1), ("", 1), ("[netops.egress_ip before: a=1]", 2)])
def test_an_empty_description_of_a_port_that_is_ignored(left, tasks):
    session, asked = FakeSession(), []

    def fetch(criteria):
        asked.extend(criteria.portKey)
        return [port("10", left)]

    emptied = change("10", {}, {"a": 1})
    emptied.target.handle["switch"] = Thing(FetchDVPorts=fetch)
    noted = change("11", {"b": 1})
    noted.target.handle["switch"] = emptied.target.handle["switch"]
    write_changes(session, [emptied, noted])
    assert (len(session.tasks), asked) == (tasks, ["10"])
    assert [spec.description for spec in session.tasks[-1][2]] in ([NOTHING], ["", "[netops.egress_ip before: b=1]"])


def step(key=4000, connected=True, power=ON, note=None, then=None, handle=None):
    connection = {"connected": connected, "start_connected": connected}
    before = Adapter(
        id=f"vm-1/{key}",
        vm="node1",
        label=f"Network adapter {key - 3999}",
        mac="m",
        host="esx1",
        responds=True,
        state="connected",
        power=power,
        restarts=False,
        connection=connection,
        direct=False,
        port=None,
        port_note={},
        vm_note=note or {},
        key=key,
        handle=handle,
    )
    return Step(before, Adapter(**{**vars(before), **then}))


def handle(vm):
    connect = vim.vm.device.VirtualDevice.ConnectInfo(connected=True, startConnected=True, allowGuestControl=True)
    device = vim.vm.device.VirtualVmxnet3(key=4000, connectable=connect)
    return {"vm": vm, "device": device, "annotation": "rack 3", "version": "5", "switch": None, "port": None}


def test_all_adapters_of_a_vm_are_one_task_before_its_power_state():
    session, vm = FakeSession(), Thing()
    off = {"connected": False, "start_connected": False}
    then = {"connection": off, "power": OFF, "vm_note": {"power": "on"}}
    write_steps(session, [step(key, then=then, handle=handle(vm)) for key in (4000, 4001)])
    assert session.methods == [("node1", "ReconfigVM_Task"), ("node1", "PowerOffVM_Task")]
    spec = session.tasks[0][2]
    assert (spec.changeVersion, spec.annotation) == ("5", "rack 3 [netops.egress_ip before: power=on]")
    states = [(each.device.connectable.connected, each.device.connectable.startConnected) for each in spec.deviceChange]
    assert states == [(False, False)] * 2


@pytest.mark.parametrize(
    ("kept", "annotations"), [(None, [""]), ("[netops.egress_ip before: power=on]", ["", NOTHING])]
)
def test_an_empty_annotation_that_is_ignored(kept, annotations):
    session, vm = FakeSession(kept), Thing()
    own = {**handle(vm), "annotation": "[netops.egress_ip before: power=on]"}
    write_steps(session, [step(note={"power": "on"}, then={"vm_note": {}}, handle=own)])
    assert [spec.annotation for _what, _method, spec in session.tasks] == annotations
    assert session.tasks[-1][2].changeVersion in ("5", "9")


def standard(number, system):
    target = Target(
        id=f"{number}",
        name=f"port group VM Network on esx{number}",
        kind=HOST_GROUP,
        group="VM Network",
        own=CLOSED,
        above=CLOSED,
        note={},
        handle={
            "host": f"esx{number}",
            "system": system,
            "spec": spec(),
            "part": f"host-{number}/VM/",
            "keepers": [VM],
        },
    )
    return PortChange(
        target, OPEN, {"forged_transmits": True}, {}, frozenset(), False, {"forged_transmits": "inherited"}
    )


VM = Thing()


def spec(vlan=0):
    policy = vim.host.NetworkPolicy()
    return vim.host.PortGroup.Specification(name="VM Network", vlanId=vlan, vswitchName="vSwitch0", policy=policy)


@pytest.fixture
def systems(monkeypatch):
    """Two network systems; `vlan` is that of their port groups, `fail` the number of the one that fails."""
    state = SimpleNamespace(vlan=0, fail=None, written=[])

    def update(number):
        def function(_name, written):
            if state.fail == number:
                raise VsphereError(f"esx{number}: HostConfigFault")
            state.written.append((number, written.policy.security.forgedTransmits))

        return function

    group = "ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.write.standard_group"
    monkeypatch.setattr(group, lambda *_arguments: (SimpleNamespace(spec=spec(state.vlan)), None))
    state.changes = [standard(number, SimpleNamespace(UpdatePortGroup=update(number))) for number in (1, 2)]
    return state


def test_standard_port_groups_are_written_after_their_note(systems):
    session = FakeSession()
    write_changes(session, systems.changes)
    assert session.methods == [("node1", "ReconfigVM_Task")] * 2, "before, and with what is left after"
    assert systems.written == [(1, True), (2, True)]
    noted = session.tasks[0][2].annotation
    assert (
        noted == "[netops.egress_ip before: host-1/VM/forged_transmits=inherited host-2/VM/forged_transmits=inherited]"
    )


def test_an_error_names_what_is_changed_before_it(systems):
    systems.fail = 2
    message = "^esx2: HostConfigFault; changed before that: port group VM Network on esx1$"
    with pytest.raises(VsphereError, match=message):
        write_changes(FakeSession(), systems.changes)


def test_a_standard_port_group_that_another_client_changed_is_not_written(systems):
    systems.vlan = 5
    with pytest.raises(VsphereInterruptedError, match="^port group VM Network on esx1: was changed by another client"):
        write_changes(FakeSession(), systems.changes)
    assert systems.written == []


def test_a_vm_whose_host_fails_does_not_stop_the_notes_of_the_others(systems):
    session, dead, alive = FakeSession(), Thing(), Thing()
    for each, vm in zip(systems.changes, (dead, alive), strict=True):
        each.target.handle["keepers"] = [vm]
    written, run = [], session.run

    def run_but_for_one(what, start, *arguments):
        if start.__self__ is dead and systems.written:
            raise VsphereError("node1: the host does not respond")
        written.append((start.__self__ is alive, bool(systems.written)))
        run(what, start, *arguments)

    session.run = run_but_for_one
    with pytest.raises(VsphereError, match=r"^node1: the host does not respond$"):
        write_changes(session, systems.changes)
    assert written[-1] == (True, True)
