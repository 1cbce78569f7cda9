# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module vsphere_port_security against a simulated vCenter."""

from __future__ import annotations

import pytest
from pyVim.task import WaitForTask
from pyVmomi import vim
from spoof_guard import spoof_guard

dvs = vim.dvs.VmwareDistributedVirtualSwitch
pytestmark = pytest.mark.usefixtures("patient")
NAME = "vsphere_port_security"
NODE1 = {"vms": [{"name": "node1"}]}
STANDARD = {"vms": [{"name": "node3", "network": "VM Network"}], "scope": "portgroup"}
FORGED = {"security": {"forged_transmits": True}}
LEARNING = {"mac_learning": {"enabled": True, "limit": 8, "limit_policy": "allow"}}
ADDRESSES = {"allowed_addresses": ["192.168.126.10", "fd00::10"]}


def everything(vcenter):
    """Return all the settings of the inventory's switches, port groups and ports, and the VMs' notes, as text."""
    switch = vcenter.all(vim.DistributedVirtualSwitch)["DVS0"]
    ports = [(port.key, (str(port.config.setting), port.config.description or "")) for port in switch.FetchDVPorts()]
    groups = {
        name: (str(group.config.defaultPortConfig), str(group.config.policy), group.config.description or "")
        for name, group in vcenter.all(vim.dvs.DistributedVirtualPortgroup).items()
    }
    hosts = {
        name: str(host.configManager.networkSystem.networkInfo.portgroup)
        for name, host in vcenter.all(vim.HostSystem).items()
    }
    notes = {vm._moId: vm.config.annotation or "" for vm in vcenter.all(vim.VirtualMachine).values()}
    return dict(ports), groups, hosts, notes


def without_keys(text):
    """Leave out what a vCenter gives anew."""
    return "\n".join(line for line in text.splitlines() if " key = " not in line)


@pytest.mark.parametrize(
    "options",
    [
        {**NODE1, **FORGED},
        {**NODE1, **LEARNING},
        {**NODE1, **FORGED, **LEARNING},
        {**NODE1, **ADDRESSES},
        {**NODE1, **FORGED, **LEARNING, **ADDRESSES},
        {**NODE1, **FORGED, **ADDRESSES, "scope": "portgroup"},
        {**STANDARD, **FORGED},
        {**STANDARD, "security": {"promiscuous": True, "mac_changes": True, "forged_transmits": True}},
        {**NODE1, "security": {"promiscuous": True, "mac_changes": True}},
        {**NODE1, "mac_learning": {"allow_unicast_flooding": False}},
        {"vms": [{"name": "node3", "network": "strict"}], **FORGED, "allow_override": True},
        {"vms": [{"name": "node1"}, {"name": "node3", "network": "strict"}], **ADDRESSES, "allow_override": True},
    ],
    ids=[
        "flag",
        "learning",
        "both",
        "rules",
        "all",
        "group",
        "standard",
        "three",
        "two",
        "flooding",
        "override",
        "two groups",
    ],
)
def test_four_steps_there_and_back(four_steps, vcenter, options):
    for group in ("nodes", "strict"):
        vcenter.change_group(group, defaultPortConfig=spoof_guard("192.168.126.21", "fd00::21"))
    before = everything(vcenter)
    four_steps(NAME, **options)
    assert everything(vcenter) != before
    four_steps(NAME, **options, state="absent")
    assert everything(vcenter) == before


@pytest.mark.parametrize(
    "options",
    [
        {**NODE1, **FORGED},
        {**NODE1, **FORGED, **LEARNING, **ADDRESSES},
        {"vms": [{"name": "node1"}, {"name": "node2"}], **ADDRESSES},
        {**NODE1, **FORGED, **LEARNING, **ADDRESSES, "scope": "portgroup"},
    ],
    ids=["flag", "all", "two", "group"],
)
def test_levels_that_show_only_what_they_say_themselves(four_steps, vcenter, options):
    vcenter.change_group("nodes", defaultPortConfig=spoof_guard("192.168.126.21", "fd00::21"))
    vcenter.control("sparse")
    before = everything(vcenter)
    done = four_steps(NAME, **options)
    assert done["ports"][0]["before"]["security"] == dict.fromkeys(
        ("promiscuous", "mac_changes", "forged_transmits"), False
    )
    four_steps(NAME, **options, state="absent")
    assert everything(vcenter) == before


@pytest.mark.parametrize(
    "options",
    [
        {**NODE1, **FORGED, **LEARNING},
        {**NODE1, **FORGED, "scope": "portgroup"},
        {**STANDARD, **FORGED},
        {"vms": [{"name": "node3", "network": "strict"}], **FORGED, "allow_override": True},
    ],
    ids=["port", "group", "standard", "override"],
)
def test_a_vcenter_that_ignores_an_empty_note(four_steps, run, vcenter, options):
    vcenter.control("keeps")
    for _time in (1, 2):
        four_steps(NAME, **options)
        four_steps(NAME, **options, state="absent")
        (port,) = run("vsphere_port_info", vms=options["vms"])["ports"]
        assert (port["noted"], port["port_group"]["noted"]) == ({}, {})
        vcenter.journal()


def test_a_switch_that_learns_and_has_never_shown_it(four_steps, vcenter):
    vcenter.control("learning", supported=True, shown=False)
    vcenter.control("sparse")
    before = everything(vcenter)
    done = four_steps(NAME, **NODE1, **FORGED, **LEARNING)
    assert done["ports"][0]["after"]["mac_learning"]["limit"] == 8
    four_steps(NAME, **NODE1, **FORGED, **LEARNING, state="absent")
    assert everything(vcenter) == before


def test_a_switch_that_shows_mac_learning_and_does_not_support_it(run, four_steps, vcenter):
    vcenter.control("learning", supported=False, shown=True)
    before = everything(vcenter)
    four_steps(NAME, **NODE1, **FORGED)
    four_steps(NAME, **NODE1, **FORGED, state="absent")
    assert everything(vcenter) == before
    assert "is not supported by port 10 of nodes" in run(NAME, **NODE1, **LEARNING)["msg"]


def test_an_old_switch_that_shows_only_what_is_said(four_steps, vcenter):
    vcenter.control("legacy")
    vcenter.control("sparse")
    before = everything(vcenter)
    four_steps(NAME, **NODE1, **FORGED)
    four_steps(NAME, **NODE1, **FORGED, state="absent")
    assert everything(vcenter) == before


def test_a_port_says_all_that_its_port_group_has_opened(run, vcenter):
    learning = dvs.MacLearningPolicy(inherited=False, enabled=True, limit=8, limitPolicy="ALLOW")
    policy = dvs.MacManagementPolicy(
        inherited=False, allowPromiscuous=True, macChanges=True, macLearningPolicy=learning
    )
    vcenter.change_group("nodes", defaultPortConfig=dvs.VmwarePortConfigPolicy(macManagementPolicy=policy))
    vcenter.control("sparse")
    run(NAME, **NODE1, **FORGED, mac_learning={"allow_unicast_flooding": False})
    said = vcenter.port_setting("10").macManagementPolicy
    assert (said.allowPromiscuous, said.macChanges, said.forgedTransmits) == (True, True, True)
    learning = said.macLearningPolicy
    assert (learning.enabled, learning.limit, learning.limitPolicy) == (True, 8, "ALLOW")
    assert learning.allowUnicastFlooding is False


def test_another_filter_of_the_port_group_stays_in_force(four_steps, vcenter):
    guard = spoof_guard("192.168.126.21")
    kinds = vim.dvs.DistributedVirtualPort
    other = kinds.TrafficFilterConfigSpec(operation="add", inherited=False, agentName="dvfilter-other", slotNumber="4")
    guard.filterPolicy.filterConfig.insert(0, other)
    vcenter.change_group("nodes", defaultPortConfig=guard)
    before = everything(vcenter)
    options = {"vms": [{"name": "node1"}, {"name": "node2"}], "allowed_addresses": ["192.168.126.10"]}
    four_steps(NAME, **options)
    for key in ("10", "11"):
        filters = {each.agentName: each for each in vcenter.port_setting(key).filterPolicy.filterConfig}
        assert filters.keys() == {"dvfilter-other", "dvfilter-generic-vmware"}
        assert (filters["dvfilter-other"].slotNumber, filters["dvfilter-other"].inherited) == ("4", True)
        assert len(filters["dvfilter-generic-vmware"].trafficRuleset.rules) == 4
    four_steps(NAME, **options, state="absent")
    assert everything(vcenter) == before


def test_only_the_port_and_only_the_flag(run, vcenter):
    mine, group, others = vcenter.port_setting("10"), vcenter.port_setting("11"), everything(vcenter)
    done = run(NAME, **NODE1, **FORGED)
    assert done["ports"][0]["before"]["security"]["forged_transmits"] is False
    assert done["ports"][0]["after"]["overridden"] == ["forged_transmits", "mac_changes", "promiscuous"]
    now = vcenter.port_setting("10")
    assert (now.macManagementPolicy.forgedTransmits, now.macManagementPolicy.macChanges) == (True, False)
    for field in ("vlan", "uplinkTeamingPolicy", "inShapingPolicy", "blocked", "filterPolicy"):
        assert str(getattr(now, field)) == str(getattr(mine, field)), field
    assert str(vcenter.port_setting("11")) == str(group)
    assert everything(vcenter)[1:] == others[1:]


def test_what_somebody_overrides_on_the_port_stays(four_steps, vcenter):
    policy = dvs.MacManagementPolicy(inherited=False, macChanges=True)
    vlan = dvs.VlanIdSpec(inherited=False, vlanId=7)
    rights = vcenter.all(vim.dvs.DistributedVirtualPortgroup)["nodes"].config.policy
    rights.vlanOverrideAllowed = True
    vcenter.change_group("nodes", policy=rights)
    vcenter.change_port("10", dvs.VmwarePortConfigPolicy(macManagementPolicy=policy, vlan=vlan))
    before = vcenter.port_setting("10")
    four_steps(NAME, **NODE1, **FORGED)
    four_steps(NAME, **NODE1, **FORGED, state="absent")
    after = vcenter.port_setting("10")
    assert (after.macManagementPolicy.macChanges, after.macManagementPolicy.forgedTransmits) == (True, False)
    assert str(after.macManagementPolicy) == str(before.macManagementPolicy)
    assert str(after.vlan) == str(before.vlan)


def test_what_is_not_noted_is_not_ours(run, vcenter):
    policy = dvs.MacManagementPolicy(inherited=False, forgedTransmits=True)
    vcenter.change_port("10", dvs.VmwarePortConfigPolicy(macManagementPolicy=policy))
    assert run(NAME, **NODE1, **FORGED)["changed"] is False
    assert run(NAME, **NODE1, **FORGED, state="absent")["changed"] is False
    assert vcenter.port_setting("10").macManagementPolicy.forgedTransmits is True


def test_the_note_goes_with_the_change(run, vcenter):
    switch = vcenter.all(vim.DistributedVirtualSwitch)["DVS0"]
    spec = vim.dvs.DistributedVirtualPort.ConfigSpec(operation="edit", key="10", description="rack 3")
    switch.ReconfigureDVPort_Task([spec])

    def description():
        return switch.FetchDVPorts(vim.dvs.PortCriteria(portKey=["10"]))[0].config.description

    run(NAME, **NODE1, **FORGED)
    assert description() == "rack 3 [netops.egress_ip before: forged_transmits=false security=inherited]"
    run(NAME, **NODE1, mac_learning={"enabled": True})
    run(NAME, **NODE1, **FORGED, state="absent")
    assert description() == (
        "rack 3 [netops.egress_ip before: mac_learning=inherited mac_learning.enabled=false security=inherited]"
    )
    run(NAME, **NODE1, mac_learning={"enabled": True}, state="absent")
    assert description() == "rack 3"
    assert vcenter.port_setting("10").macManagementPolicy.inherited is True


def standard_groups(vcenter):
    """Return [(network system, its port group)] of all hosts."""
    systems = [host.configManager.networkSystem for host in vcenter.all(vim.HostSystem).values()]
    return [(system, system.networkInfo.portgroup[0]) for system in systems]


def set_flags(vcenter, **flags):
    """Let the standard port groups say flags themselves, as somebody else."""
    for system, group in standard_groups(vcenter):
        group.spec.policy.security = vim.host.NetworkPolicy.SecurityPolicy(**flags)
        system.UpdatePortGroup("VM Network", group.spec)
    vcenter.journal()


def test_what_somebody_says_on_a_standard_port_group_is_not_ours(run, vcenter):
    set_flags(vcenter, forgedTransmits=True)
    before = everything(vcenter)
    assert run(NAME, **STANDARD, **FORGED)["changed"] is False
    assert run(NAME, **STANDARD, **FORGED, state="absent")["changed"] is False
    assert everything(vcenter) == before


def test_what_nobody_notes_any_more_stays(run, vcenter):
    run(NAME, **STANDARD, **FORGED)
    vm = vcenter.all(vim.VirtualMachine)["node3"]
    WaitForTask(vm.ReconfigVM_Task(vim.vm.ConfigSpec(annotation="rebuilt")))
    before = everything(vcenter)
    assert run(NAME, **STANDARD, **FORGED, state="absent")["changed"] is False
    assert everything(vcenter) == before


def test_a_standard_port_group_gets_exactly_its_own_back(four_steps, vcenter):
    set_flags(vcenter, allowPromiscuous=False, macChanges=False, forgedTransmits=False)
    before = everything(vcenter)
    four_steps(NAME, **STANDARD, **FORGED)
    hosts = sorted(host._moId for host in vcenter.all(vim.HostSystem).values())
    noted = " ".join(f"{host}/VM%20Network/forged_transmits=false" for host in hosts)
    assert vcenter.all(vim.VirtualMachine)["node3"].config.annotation == f"[netops.egress_ip before: {noted}]"
    four_steps(NAME, **STANDARD, **FORGED, state="absent")
    assert everything(vcenter) == before


def test_what_somebody_has_changed_since_stays(run, vcenter):
    run(NAME, **NODE1, **FORGED)
    policy = dvs.MacManagementPolicy(inherited=False, macChanges=True)
    vcenter.change_port("10", dvs.VmwarePortConfigPolicy(macManagementPolicy=policy))
    run(NAME, **NODE1, **FORGED, state="absent")
    policy = vcenter.port_setting("10").macManagementPolicy
    assert (policy.inherited, policy.macChanges, policy.forgedTransmits) == (False, True, False)


@pytest.mark.parametrize("options", [{}, {"scope": "portgroup"}], ids=["port", "group"])
def test_a_flag_can_be_closed(run, four_steps, vcenter, options):
    policy = dvs.MacManagementPolicy(inherited=False, forgedTransmits=True, macChanges=True)
    vcenter.change_group("nodes", defaultPortConfig=dvs.VmwarePortConfigPolicy(macManagementPolicy=policy))
    before = everything(vcenter)
    closed = {"security": {"forged_transmits": False}}
    done = four_steps(NAME, **NODE1, **closed, **options)
    assert done["ports"][0]["after"]["security"] == {
        "promiscuous": False,
        "mac_changes": True,
        "forged_transmits": False,
    }
    four_steps(NAME, **NODE1, **closed, **options, state="absent")
    assert everything(vcenter) == before


@pytest.mark.parametrize("options", [{}, {"scope": "portgroup"}], ids=["port", "group"])
def test_a_switch_without_mac_management(run, four_steps, vcenter, options):
    vcenter.control("legacy")
    before = everything(vcenter)
    four_steps(NAME, **NODE1, **FORGED, **options)
    policy = vcenter.port_setting("10").securityPolicy
    assert (policy.forgedTransmits.value, policy.macChanges.inherited) == (True, True)
    four_steps(NAME, **NODE1, **FORGED, **options, state="absent")
    assert everything(vcenter) == before
    assert run(NAME, **NODE1, **LEARNING, **options)["msg"].endswith("use a distributed switch 6.6 or newer")


def test_foreign_rules_keep_their_bytes(run, vcenter):
    vcenter.change_group("nodes", defaultPortConfig=spoof_guard("192.168.126.21", further=vim.IntExpression(value=6)))
    foreign = [without_keys(str(rule)) for rule in rules_of(vcenter, "11")]
    run(NAME, **NODE1, allowed_addresses=["192.168.126.10"])
    rules = rules_of(vcenter, "10")
    ours = [rule for rule in rules if rule.description == "netops.egress_ip 192.168.126.10"]
    assert [(rule.sequence, rule.direction) for rule in ours] == [(898, "both"), (899, "both")]
    assert ours[0].qualifier[0].sourceAddress.address == ours[1].qualifier[0].destinationAddress.address
    assert [without_keys(str(rule)) for rule in rules if rule not in ours] == foreign
    run(NAME, **NODE1, allowed_addresses=["192.168.126.11"])
    assert len(rules_of(vcenter, "10")) == len(rules) + 2
    run(NAME, **NODE1, allowed_addresses=["192.168.126.10"], state="absent")
    left = [rule.description for rule in rules_of(vcenter, "10") if rule.description]
    assert left == ["netops.egress_ip 192.168.126.11"] * 2 + ["guard"]


def rules_of(vcenter, key):
    return vcenter.port_setting(key).filterPolicy.filterConfig[0].trafficRuleset.rules


def test_an_address_that_nothing_drops_needs_no_rule(run, vcenter):
    assert run(NAME, **NODE1, **ADDRESSES)["changed"] is False
    assert vcenter.writes() == []


@pytest.mark.parametrize("scope", ["port", "portgroup"])
def test_rules_without_room_between_them_get_higher_numbers_and_their_own_back(run, four_steps, vcenter, scope):
    def numbers():
        return [rule.sequence for rule in rules_of(vcenter, "10")]

    vcenter.change_group("nodes", defaultPortConfig=spoof_guard("192.168.126.21", last=11))
    addresses = [f"192.168.126.{n}" for n in range(100, 106)]
    done = four_steps(NAME, **NODE1, scope=scope, allowed_addresses=addresses)
    assert numbers() == [10, *range(11, 24)]
    (before, after) = (done["ports"][0][side]["rules"] for side in ("before", "after"))
    assert [
        (rule["action"], rule["description"]) for rule in after if not rule["description"].startswith("netops")
    ] == [(rule["action"], rule["description"]) for rule in before]
    run(NAME, **NODE1, scope=scope, allowed_addresses=addresses[1:], state="absent")
    assert len(numbers()) == 4
    run(NAME, **NODE1, scope=scope, allowed_addresses=addresses[:1], state="absent")
    assert numbers() == [10, 11]
    assert run("vsphere_port_info", **NODE1)["ports"][0]["noted"] == {}


def test_a_guard_with_a_rule_for_each_protocol(run, vcenter):
    guard = spoof_guard("192.168.126.21")
    drop = guard.filterPolicy.filterConfig[0].trafficRuleset.rules.pop()
    for number, protocol in enumerate((1, 6, 17)):
        qualifier = vim.dvs.TrafficRule.IpQualifier(protocol=vim.IntExpression(value=protocol))
        each = vim.dvs.TrafficRule(
            sequence=900 + number, direction="both", action=drop.action, description="guard", qualifier=[qualifier]
        )
        guard.filterPolicy.filterConfig[0].trafficRuleset.rules.append(each)
    vcenter.change_group("nodes", defaultPortConfig=guard)
    ask = {**NODE1, "egress_ips": ["192.168.126.10"]}
    answer = run("vsphere_port_info", **ask)["ports"][0]["egress_ips"][0]
    assert (answer["needed"], answer["change"]) == (True, {"allowed_addresses": ["192.168.126.10"]})
    assert run(NAME, **NODE1, **ADDRESSES)["changed"] is True
    assert run("vsphere_port_info", **ask)["ports"][0]["egress_ips"][0]["needed"] is False


def test_override_flags_are_not_set_unasked(run, vcenter):
    strict = {"vms": [{"name": "node3", "network": "strict"}], **FORGED}
    result = run(NAME, **strict)
    assert result["msg"] == (
        "port 12 of strict: port group strict does not let its ports override mac_management; "
        "set allow_override: true, or scope: portgroup"
    )
    assert vcenter.writes() == []
    before = vcenter.all(vim.dvs.DistributedVirtualPortgroup)["strict"].config.policy
    done = run(NAME, **strict, allow_override=True)
    assert done["warnings"] == ["port group strict lets its ports override mac_management, security from now on"]
    after = vcenter.all(vim.dvs.DistributedVirtualPortgroup)["strict"].config.policy
    before.macManagementOverrideAllowed = before.securityPolicyOverrideAllowed = True
    assert str(after) == str(before)
    run(NAME, **strict, state="absent")
    after = vcenter.all(vim.dvs.DistributedVirtualPortgroup)["strict"].config.policy
    assert (after.macManagementOverrideAllowed, after.securityPolicyOverrideAllowed) == (False, False)


def test_an_override_flag_stays_while_others_use_it(run, vcenter):
    rights = vcenter.all(vim.dvs.DistributedVirtualPortgroup)["nodes"].config.policy
    rights.macManagementOverrideAllowed = False
    vcenter.change_group("nodes", policy=rights, description="for nodes")
    node2 = {"vms": [{"name": "node2"}], **FORGED, "allow_override": True}
    run(NAME, **NODE1, **FORGED, allow_override=True)
    run(NAME, **node2)
    group = vcenter.all(vim.dvs.DistributedVirtualPortgroup)["nodes"]
    assert group.config.description == "for nodes [netops.egress_ip before: override.mac_management=false]"
    run(NAME, **NODE1, **FORGED, state="absent")
    assert group.config.policy.macManagementOverrideAllowed is True
    run(NAME, **{**node2, "allow_override": False}, state="absent")
    assert group.config.policy.macManagementOverrideAllowed is False
    assert group.config.description == "for nodes"


def test_a_port_group_on_every_host_with_those_it_meets(run, vcenter):
    done = run(NAME, **STANDARD, **FORGED)
    names = ["port group VM Network on DC0_C0_H0", "port group VM Network on DC0_C0_H1"]
    assert [port["name"] for port in done["ports"]] == names
    assert vcenter.writes() == ["ReconfigVM_Task", "UpdatePortGroup", "UpdatePortGroup"]
    done = run(NAME, **NODE1, **FORGED, scope="portgroup")
    assert done["ports"][0]["affects"] == ["node2", "node4", "twin", "twin"]
    assert done["warnings"] == ["port group nodes: the change affects other VMs too: node2, node4, twin, twin"]


def test_a_vm_of_the_same_name_is_another_vm(run, vcenter):
    content = vcenter.admin.content
    view = content.viewManager.CreateContainerView(content.rootFolder, [vim.VirtualMachine], True)
    moid = next(vm._GetMoId() for vm in view.view if vm.name == "twin")
    done = run(NAME, vms=[{"moid": moid}], **FORGED, scope="portgroup")
    assert done["ports"][0]["affects"] == ["node1", "node2", "node4", "twin"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vms": [{"name": "nsx1"}], **FORGED}, "vms[0]: nsx1: is on NSX; vCenter cannot change its ports"),
        ({"vms": [{"name": "nsx2"}], **FORGED}, "vms[0]: nsx2: is on NSX; vCenter cannot change its ports"),
        (
            {**STANDARD, "scope": "port", **FORGED},
            "vms[0]: node3: is on a standard switch, which has no ports of its own",
        ),
        (
            {**STANDARD, **LEARNING},
            "mac_learning: is not supported by port group VM Network on DC0_C0_H0; use a",
        ),
        ({**NODE1, "allowed_addresses": ["10.0.0.300"]}, "allowed_addresses[0]: '10.0.0.300' is not an IPv4 or IPv6"),
    ],
)
def test_what_cannot_be_done_is_refused_before_any_write(run, vcenter, options, message):
    assert run(NAME, **options)["msg"].startswith(message)
    assert vcenter.writes() == []


def test_a_host_that_shows_no_network_configuration(run, vcenter):
    vcenter.control("lose", name="node3", what="network")
    message = "DC0_C0_H0: does not show its network configuration now"
    assert run(NAME, **STANDARD, **FORGED)["msg"] == message
    assert run("vsphere_port_info", vms=STANDARD["vms"])["msg"] == message
    assert vcenter.writes() == []


def test_a_port_group_with_a_slash_in_its_name(four_steps, vcenter):
    systems = [host.configManager.networkSystem for host in vcenter.all(vim.HostSystem).values()]
    for system in systems:
        spec = system.networkInfo.portgroup[0].spec
        spec.name = "VM/Network"
        system.UpdatePortGroup("VM Network", spec)
    vcenter.change_group("nodes", name="nodes%2f126")
    vcenter.control("odd", name="node3", what="slash")
    before = everything(vcenter)
    node3 = {"vms": [{"name": "node3", "network": "VM/Network"}], "scope": "portgroup", **FORGED}
    done = four_steps(NAME, **node3)
    assert done["ports"][0]["name"] == "port group VM/Network on DC0_C0_H0"
    four_steps(NAME, **node3, state="absent")
    assert everything(vcenter) == before
    done = four_steps(NAME, vms=[{"name": "node1", "network": "nodes/126"}], **FORGED)
    assert done["ports"][0]["name"] == "port 10 of nodes/126"


def test_neighbours_that_the_user_may_not_see(run, vcenter):
    moid = vcenter.all(vim.VirtualMachine)["node2"]._moId
    vcenter.control("user", name="guest", password="secret", unread=["node2"])
    done = run(NAME, username="guest", **NODE1, **FORGED, scope="portgroup")
    assert done["ports"][0]["affects"] == ["node4", "twin", "twin", moid]


def test_a_host_that_does_not_respond_keeps_no_other_host_from_its_change(run, vcenter):
    vcenter.control("host", name="DC0_C0_H1", state="notResponding")
    line = "DC0_C0_H1: is notResponding; port group 'VM Network' is not changed there"
    vcenter.journal()
    assert line in run(NAME, check=True, **STANDARD, **FORGED)["warnings"]
    assert vcenter.writes() == []
    done = run(NAME, **STANDARD, **FORGED)
    assert line in done["warnings"]
    assert [port["name"] for port in done["ports"]] == ["port group VM Network on DC0_C0_H0"]
    assert vcenter.writes().count("UpdatePortGroup") == 1
    vcenter.control("host", name="DC0_C0_H1", state="connected")
    assert [port["changed"] for port in run(NAME, **STANDARD, **FORGED)["ports"]] == [False, True]


def test_no_host_is_changed_without_a_note(run, vcenter):
    vcenter.control("host", name="DC0_C0_H0", state="notResponding")
    vcenter.journal()
    message = "DC0_C0_H0: is notResponding; port group 'VM Network' is not changed there"
    assert run(NAME, **STANDARD, **FORGED)["msg"] == message
    assert vcenter.writes() == []


@pytest.mark.parametrize("vcenter", [("-fleet", "2", "-network", "VM Network")], indirect=True)
def test_the_host_of_a_vm_that_does_not_respond_is_a_failure_after_the_others(run, vcenter):
    vcenter.control("host", name="DC0_C0_H0", state="notResponding")
    vcenter.journal()
    options = {"vms": [{"name": "fleet1"}, {"name": "fleet2"}], "scope": "portgroup", **FORGED}
    message = "DC0_C0_H0: is notResponding; port group 'VM Network' is not changed there"
    assert run(NAME, **options)["msg"] == message
    assert vcenter.writes().count("UpdatePortGroup") == 1
    vcenter.control("host", name="DC0_C0_H0", state="connected")
    assert [port["changed"] for port in run(NAME, **options)["ports"]] == [True, False]
    assert run(NAME, **options, state="absent")["changed"] is True
    assert run(NAME, **options, check=True)["ports"][0]["before"]["security"]["forged_transmits"] is False


@pytest.mark.parametrize("vcenter", [("-clusters", "2")], indirect=True)
def test_hosts_of_other_clusters_stay_closed(run, vcenter):
    done = run(NAME, **STANDARD, **FORGED)
    assert [port["name"] for port in done["ports"]] == [f"port group VM Network on DC0_C0_H{n}" for n in (0, 1)]
    assert len(vcenter.all(vim.HostSystem)) == 4


@pytest.mark.parametrize(
    ("privilege", "options", "named"),
    [
        ("DVSwitch.PortSetting", NODE1, "DVS0"),
        ("DVSwitch.PortConfig", NODE1, "DVS0"),
        ("DVPortgroup.Modify", {**NODE1, "scope": "portgroup"}, "nodes"),
        ("DVPortgroup.PolicyOp", {"vms": [{"name": "node3", "network": "strict"}], "allow_override": True}, "strict"),
        ("Host.Config.Network", STANDARD, "DC0_C0_H0"),
        ("VirtualMachine.Config.Annotation", STANDARD, "node3"),
    ],
)
def test_a_missing_privilege_is_named_with_its_object(run, vcenter, privilege, options, named):
    vcenter.control("user", name="guest", password="secret", lacks=[privilege])
    result = run(NAME, username="guest", **options, **FORGED)
    assert result["msg"] == f"{named}: guest lacks the privilege {privilege}"


@pytest.mark.parametrize("kind", ["drop", "lose_answer", "lose_session"])
@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("ReconfigureDVPort_Task", NODE1),
        ("ReconfigureDVPortgroup_Task", {**NODE1, "scope": "portgroup"}),
        ("UpdatePortGroup", STANDARD),
    ],
)
def test_trouble_that_passes(run, vcenter, kind, method, options):
    before = everything(vcenter)
    for state in ("present", "absent"):
        vcenter.control("order", method=method, kind=kind)
        done = run(NAME, **options, **FORGED, state=state)
        assert done.get("changed") is True, done
        assert done["ports"][0]["before"]["security"]["forged_transmits"] is (state == "absent")
        assert run(NAME, **options, **FORGED, state=state)["changed"] is False
    assert everything(vcenter) == before


@pytest.mark.parametrize(
    ("method", "options"),
    [("ReconfigureDVPort_Task", NODE1), ("ReconfigureDVPortgroup_Task", {**NODE1, "scope": "portgroup"})],
)
@pytest.mark.parametrize("state", ["present", "absent"])
def test_somebody_changes_the_same_meanwhile(run, vcenter, method, options, state):
    if state == "absent":
        run(NAME, **options, **FORGED)
    vcenter.control("order", method=method, kind="race")
    vcenter.journal()
    assert run(NAME, **options, **FORGED, state=state)["changed"] is True
    assert vcenter.writes() == [method] * 2


def test_somebody_changes_a_standard_port_group_meanwhile(run, vcenter):
    # Each of the two is read once before, and once right before it is written.
    vcenter.control("order", method="RetrievePropertiesEx", of="HostNetworkSystem", kind="race", skip=2)
    assert run(NAME, **STANDARD, **FORGED)["changed"] is True
    networks = [host.configManager.networkSystem.networkInfo for host in vcenter.all(vim.HostSystem).values()]
    assert [each.portgroup[0].spec.vlanId for each in networks] == [1, 0], "what somebody else has set stays"
    assert [each.portgroup[0].computedPolicy.security.forgedTransmits for each in networks] == [True, True]


def test_a_race_without_end(run, vcenter):
    vcenter.control("order", method="ReconfigureDVPort_Task", kind="race", times=100)
    assert run(NAME, **NODE1, **FORGED)["msg"] == "ports 10: ConcurrentAccess"
    assert vcenter.writes() == ["ReconfigureDVPort_Task"] * 5


def test_a_task_that_fails_and_one_that_never_ends(run, vcenter):
    vcenter.control("order", method="ReconfigureDVPort_Task", kind="task", fault="DvsFault")
    assert run(NAME, **NODE1, **FORGED)["msg"] == "ports 10: DvsFault"
    vcenter.control("order", method="ReconfigureDVPort_Task", kind="task")
    assert run(NAME, **NODE1, **FORGED)["msg"].endswith(
        ": the task failed without an error message; check the task in vCenter"
    )
    vcenter.control("order", method="ReconfigureDVPort_Task", kind="stuck")
    message = run(NAME, **NODE1, **FORGED, timeout=1)["msg"]
    assert message.startswith("ports 10: task-")
    assert message.endswith(" has not ended within 1 seconds; check the task in vCenter")


def test_what_is_done_and_what_is_not_is_told(run, vcenter):
    before = everything(vcenter)
    vcenter.control("order", method="UpdatePortGroup", kind="fault", fault="HostConfigFault", skip=1)
    assert run(NAME, **STANDARD, **FORGED)["msg"] == (
        "port group VM Network on DC0_C0_H1: HostConfigFault; changed before that: port group VM Network on DC0_C0_H0"
    )
    run(NAME, **STANDARD, **FORGED, state="absent")
    assert everything(vcenter) == before


@pytest.mark.parametrize("what", ["off", "a template", "suspended"])
def test_a_port_of_a_vm_that_does_not_run(run, four_steps, vcenter, what):
    vms = vcenter.all(vim.VirtualMachine)
    if what == "a template":
        vms["node4"].MarkAsTemplate()
    elif what == "suspended":
        WaitForTask(vms["node1"].Suspend())
    before = everything(vcenter)
    options = {"vms": [{"name": "node1" if what == "suspended" else "node4"}], **FORGED}
    vcenter.journal()
    four_steps(NAME, **options)
    four_steps(NAME, **options, state="absent")
    assert everything(vcenter) == before


def test_a_port_that_is_there_only_while_its_vm_runs(run, four_steps, vcenter):
    node5 = {"vms": [{"name": "node5"}], **FORGED}
    four_steps(NAME, **node5)
    WaitForTask(vcenter.all(vim.VirtualMachine)["node5"].PowerOff())
    assert run(NAME, **node5)["msg"] == "vms[0]: node5: has no port now; power it on, or set scope: portgroup"


def test_a_vm_whose_hardware_cannot_be_seen(run, vcenter):
    vcenter.control("lose", name="node1", what="config")
    assert run(NAME, **NODE1, **FORGED)["msg"] == "vms[0]: node1 is inaccessible; its hardware cannot be read now"


GROUPS = {"portgroups": [{"name": "nodes"}]}


@pytest.mark.parametrize(
    "options",
    [
        {**GROUPS, **FORGED, **LEARNING, **ADDRESSES},
        {"portgroups": [{"name": "nodes", "switch": "DVS0", "datacenter": "DC0"}, {"name": "strict"}], **FORGED},
        {"portgroups": [{"name": "VM Network", "switch": "vSwitch0"}], **FORGED},
        {**GROUPS, "vms": [{"name": "node1"}], **FORGED, "scope": "portgroup"},
        {**GROUPS, "vms": [{"name": "node3", "network": "strict"}], **FORGED, "allow_override": True},
    ],
    ids=["distributed", "two", "standard", "and its VM", "and a port"],
)
def test_port_groups_by_their_names(four_steps, vcenter, options):
    vcenter.change_group("nodes", defaultPortConfig=spoof_guard("192.168.126.21"))
    before = everything(vcenter)
    done = four_steps(NAME, **options)
    assert {port["port_group"] for port in done["ports"]} >= {each["name"] for each in options["portgroups"]}
    four_steps(NAME, **options, state="absent")
    assert everything(vcenter) == before


def test_a_port_group_affects_all_its_vms(run):
    done = run(NAME, **GROUPS, **FORGED)
    assert [port["name"] for port in done["ports"]] == ["port group nodes"]
    assert done["ports"][0]["affects"] == ["node1", "node2", "node4", "twin", "twin"]


@pytest.mark.parametrize("vcenter", [("-fleet", "6", "-network", "VM Network")], indirect=True)
def test_a_standard_port_group_is_noted_in_a_few_vms(run, vcenter):
    options = {"portgroups": [{"name": "VM Network"}], **FORGED}
    run(NAME, **options)
    vms = vcenter.all(vim.VirtualMachine).values()
    noted = [vm for vm in vms if "netops.egress_ip" in (vm.config.annotation or "")]
    assert len(noted) == 3
    for vm in noted[:2]:
        WaitForTask(vm.ReconfigVM_Task(vim.vm.ConfigSpec(annotation="rebuilt")))
    assert run(NAME, **options, state="absent")["changed"] is True
    assert not any("netops.egress_ip" in (vm.config.annotation or "") for vm in vms)


@pytest.mark.parametrize("vcenter", [("-clusters", "2")], indirect=True)
def test_a_standard_port_group_that_is_named_is_changed_on_all_its_hosts(run, vcenter):
    vcenter.control("host", name="DC0_C1_H1", state="notResponding")
    done = run(NAME, portgroups=[{"name": "VM Network"}], **FORGED)
    assert [port["name"].rpartition(" ")[2] for port in done["ports"]] == ["DC0_C0_H0", "DC0_C0_H1", "DC0_C1_H0"]
    assert "DC0_C1_H1: is notResponding; port group 'VM Network' is not changed there" in done["warnings"]


def test_a_standard_port_group_whose_vms_cannot_keep_a_note(run, vcenter):
    vcenter.control("host", name="DC0_C0_H0", state="notResponding")
    options = {"portgroups": [{"name": "VM Network"}], **FORGED}
    message = "portgroups[0]: has no VM whose notes can keep the former settings; connect a VM to it"
    vcenter.journal()
    assert run(NAME, **options)["msg"] == message
    reversal = "DC0_C0_H0: is notResponding; port group 'VM Network' is not changed there"
    assert run(NAME, **options, state="absent")["msg"] == reversal
    assert vcenter.writes() == []


@pytest.mark.parametrize(
    ("group", "message"),
    [
        ({"name": "none"}, "portgroups[0].name: must be a port group that this user can see, not 'none'"),
        (
            {"name": "nodes", "datacenter": "DC1", "switch": "DVS0"},
            "portgroups[0].name: must be a port group in datacenter 'DC1' in switch 'DVS0' that this user can see, not"
            " 'nodes'",
        ),
        ({"name": "VM Network", "switch": "vSwitch1"}, "portgroups[0].name: must be a port group in switch 'vSwitch1'"),
        ({"name": "overlay"}, "portgroups[0]: is on NSX; vCenter cannot change its ports"),
        ({"name": "segment"}, "portgroups[0]: is on NSX; vCenter cannot change its ports"),
    ],
)
def test_a_port_group_that_cannot_be_changed(run, vcenter, group, message):
    assert run(NAME, portgroups=[group], **FORGED)["msg"].startswith(message)
    assert vcenter.writes() == []


def test_neither_a_vm_nor_a_port_group(run):
    assert run(NAME, **FORGED)["msg"] == "vms: must name a VM if portgroups names no port group"


def test_all_that_is_not_possible_is_named_at_once(run, vcenter):
    vms = [{"name": "node1"}, {"name": "node3", "network": "strict"}]
    rights = vcenter.all(vim.dvs.DistributedVirtualPortgroup)["nodes"].config.policy
    rights.macManagementOverrideAllowed = False
    vcenter.change_group("nodes", policy=rights)
    message = run(NAME, vms=vms, **FORGED)["msg"]
    for group in ("nodes", "strict"):
        assert f"port group {group} does not let its ports override mac_management" in message
    assert message.endswith("set allow_override: true, or scope: portgroup")
    assert vcenter.writes() == []


def test_aliases_of_vmware_vmware(run):
    connection = {"username": None, "password": None, "user": "admin", "pwd": "secret"}
    assert "ports" in run(NAME, check=True, **NODE1, **FORGED, **connection)


@pytest.mark.parametrize("folder", ["blue", "DC0/vm/blue", "/DC0/vm/blue/"])
def test_a_vm_by_its_folder(run, vcenter, folder):
    options = {"vms": [{"name": "twin", "datacenter": "DC0", "folder": folder}], **FORGED}
    (port,) = run(NAME, check=True, **options)["ports"]
    (twin,) = run("vsphere_guest_ip_info", vms=options["vms"])["guests"]
    assert (port["name"], twin["host"]) == ("port 15 of nodes", "DC0_C0_H0")


def test_a_vm_by_the_uuid_of_its_guest(run, vcenter):
    vms = [vm for vm in vcenter.all(vim.dvs.DistributedVirtualPortgroup)["nodes"].vm if vm.name == "twin"]
    vcenter.journal()
    for vm in vms:
        selector = {"name": "twin", "guest_uuid": vm.config.uuid.upper()}
        (port,) = run("vsphere_port_info", vms=[selector])["ports"]
        assert port["vm"]["moid"] == vm._GetMoId()
