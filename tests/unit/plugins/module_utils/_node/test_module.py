# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stories of one node: runs on a host in memory, one after the other, and what they leave there."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import replace

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import (
    CommandError,
    ConflictError,
    EgressIPError,
    InvalidError,
    NodeStateError,
    PlanError,
    VerificationError,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.handover import Release
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.options import DataPlaneOptions
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import node_io
from ansible_collections.netops.egress_ip.plugins.module_utils._node import (
    address_conflicts,
    connections,
    metrics_file,
    service,
    systemd_units,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._node import apply as apply_module
from ansible_collections.netops.egress_ip.plugins.module_utils._node import observe as observe_module
from ansible_collections.netops.egress_ip.plugins.module_utils._node import record as record_module
from ansible_collections.netops.egress_ip.plugins.module_utils._node import remove as remove_module
from ansible_collections.netops.egress_ip.plugins.module_utils._protocols.ctnetlink import Flow
from fake_node_io import FOREIGN_TABLE, MAC, FakeKernel, address, ethernet
from states import egress_object, held, node_state

A, B, C = "192.168.126.101", "192.168.126.102", "192.168.126.103"
OWN = "192.168.126.21"
SERVER = "203.0.113.9", 443
OTHER_MAC = "02:00:c0:a8:7e:16"
FOREVER = (OTHER_MAC, float("inf"))
FAST = apply_module.Pace(count=3, interval=0.1, timeout=2.0)
RELEASED_A = [Release(A, "node2")]
INET, NETDEV = ("inet", "egress_ip"), ("netdev", "egress_ip")


@pytest.fixture
def kernel(monkeypatch):
    kernel = FakeKernel()
    for module in (
        apply_module,
        connections,
        observe_module,
        record_module,
        remove_module,
        service,
        metrics_file,
        address_conflicts,
    ):
        monkeypatch.setattr(module, "node_io", kernel)
    return kernel


def apply(state, **options):
    return apply_module.apply(state, pace=FAST, **options)


def observe(**options):
    return observe_module.observe(DataPlaneOptions(), **options)


def kernel_only(kernel):
    """Return what the host shows, without files."""
    return {key: value for key, value in kernel.snapshot().items() if key not in ("files", "units")}


def lines_of(text):
    return text.splitlines()


# The first run, and the ones after it.


def test_the_first_run_makes_the_node_what_the_state_says(kernel):
    result = apply(node_state())
    assert result["changed"]
    assert result["held"] == held(A)
    assert (result["claimed"], result["released"], result["conflicts"]) == ([A], [], [])
    assert kernel.addresses()[A] == "eth0"
    assert kernel.sysctls["net.ipv4.ip_forward"] == "1"
    assert kernel.sysctls["net.ipv4.conf.egress0.rp_filter"] == "2"
    assert kernel.units == {path.name for path in systemd_units.links()}
    assert kernel.files[str(kernel.STATE_FILE)][1] == 0o600
    assert observe()["drift"] == []


def test_the_second_run_changes_nothing(kernel):
    apply(node_state())
    kernel.log.clear()
    before = kernel.snapshot()
    result = apply(node_state())
    assert not result["changed"]
    assert result["diff"] == {"before": "", "after": ""}
    assert result["held"] == held(A)
    assert result["claimed"] == []
    assert kernel.log == []
    assert kernel.snapshot() == before


def lose_address(kernel):
    kernel.interfaces["eth0"]["addr_info"] = []


def lose_interface(kernel):
    del kernel.interfaces["eth0"]
    kernel.default_routes = []


@pytest.mark.parametrize("lose", [lose_address, lose_interface])
@pytest.mark.parametrize("interface", ["", "eth0"])
def test_a_node_that_has_lost_its_network_says_so(kernel, lose, interface):
    apply(node_state())
    lose(kernel)
    assert observe(interface=interface)["lost"].startswith("eth0 is not there")


def test_a_node_that_has_lost_its_default_route_goes_on(kernel):
    apply(node_state())
    kernel.default_routes = []
    assert observe()["interface"] == "eth0"


def test_a_wrong_interface_is_a_problem_after_the_first_run_too(kernel):
    apply(node_state())
    assert observe(interface="eth9")["problems"][0].startswith("egress_ip_interface: there is no interface eth9")


def test_a_newer_plan_that_says_the_same_changes_nothing(kernel):
    apply(node_state())
    kernel.log.clear()
    assert not apply(node_state(generation=2))["changed"]
    assert kernel.log == []


def test_foreign_things_are_as_they_were(kernel):
    kernel.interfaces["eth1"] = ethernet(address("10.1.0.1", 24, "eth1"))
    before = kernel.snapshot()
    apply(node_state())
    apply(node_state(generation=2, held=held(B)))
    after = kernel.snapshot()
    assert all(rule in after["rules"] for rule in before["rules"])
    assert all(item in after["neighbours"] for item in before["neighbours"])
    assert after["tables"]["ip", "nat"] == FOREIGN_TABLE
    assert after["interfaces"]["eth1"] == before["interfaces"]["eth1"]
    assert all(kernel.files[path] == content for path, content in before["files"].items())
    assert after["sysctls"]["net.ipv4.conf.all.rp_filter"] == "1"


# Check mode.


@pytest.mark.parametrize("first", [False, True])
def test_check_mode_shows_everything_and_writes_nothing(kernel, first):
    if first:
        apply(node_state())
    before, kernel.log = kernel.snapshot(), []
    state = node_state(generation=2, held=held(B))
    shown = apply(state, check=True)
    assert kernel.snapshot() == before
    assert {word for word, _detail in kernel.log} <= {"probe"}
    assert shown == apply(state)


def test_check_mode_asks_the_wire_about_what_nobody_releases(kernel):
    kernel.wire = {A: FOREVER, B: FOREVER}
    state = node_state(held=held(A, B))
    shown = apply(state, releases=[Release(B, "node2")], check=True)
    assert shown["conflicts"] == [{**held(A)[0], "mac": OTHER_MAC}]
    assert shown["claimed"] == [B]
    assert set(kernel.logged("probe")) == {A}


def test_the_diff_shows_rules_by_their_text(kernel):
    apply(node_state())
    egressips = [egress_object("web", [A, B], [A])]
    diff = apply(node_state(generation=2, egressips=egressips))["diff"]
    [old] = [line for line in lines_of(diff["before"]) if "chain object_web rule" in line]
    [new] = [line for line in lines_of(diff["after"]) if "chain object_web rule" in line]
    assert f"1 : goto mark_{B}" in old
    assert f"1 : goto mark_{A}" in new
    assert not re.search(r"rule \d+: [0-9a-f]{12}$", diff["before"] + diff["after"], re.MULTILINE)


# Claim and release.


def test_an_address_is_released_before_another_is_claimed(kernel):
    apply(node_state())
    kernel.log.clear()
    result = apply(node_state(generation=2, held=held(B)))
    assert (result["released"], result["claimed"]) == ([A], [B])
    gone = kernel.log.index(("ip", f"address delete {A}/32 dev eth0"))
    asked = kernel.log.index(("probe", B))
    taken = kernel.log.index(("ip", f"address add {B}/32 dev eth0 label eth0:egress"))
    assert gone < taken
    assert asked < taken
    assert A not in kernel.addresses()


def test_a_claim_is_probed_before_and_announced_after(kernel):
    apply(node_state())
    probes = [i for i, event in enumerate(kernel.log) if event == ("probe", A)]
    taken = kernel.log.index(("ip", f"address add {A}/32 dev eth0 label eth0:egress"))
    announced = [i for i, event in enumerate(kernel.log) if event == ("announce", ("eth0", A))]
    assert len(probes) == FAST.count
    assert probes[-1] < taken < announced[0]
    assert len(announced) == 2
    # Nothing of a run waits for systemd to read its units, or for the second announcement.
    assert [words.split()[-1] for words in kernel.logged("later")] == ["daemon-reload", "announce"]


def test_an_address_is_on_record_before_it_is_on_the_interface(kernel):
    apply(node_state())
    taken = kernel.log.index(("ip", f"address add {A}/32 dev eth0 label eth0:egress"))
    assert ("file", str(kernel.STATE_FILE)) in kernel.log[:taken]


def test_the_way_out_is_there_before_anything_is_marked(kernel):
    apply(node_state())
    routes = [i for i, (kind, line) in enumerate(kernel.log) if kind == "ip" and line.startswith(("rule add", "route"))]
    marking = [i for i, (kind, line) in enumerate(kernel.log) if kind == "nft" and "pods4" in line]
    claims = [i for i in routes if "lookup 254" in kernel.log[i][1]]
    assert max(set(routes) - set(claims)) < min(marking)


def test_the_translation_is_there_before_the_address(kernel):
    apply(node_state())
    translated = next(
        i for i, (kind, line) in enumerate(kernel.log) if kind == "nft" and "element inet egress_ip held4" in line
    )
    assert translated < kernel.log.index(("ip", f"address add {A}/32 dev eth0 label eth0:egress"))


def test_a_conflict_leaves_the_address_and_does_the_rest(kernel):
    kernel.wire = {A: FOREVER}
    result = apply(node_state(held=held(A, B)))
    assert result["conflicts"] == [{"egressIP": A, "interface": "eth0", "mac": OTHER_MAC}]
    assert (result["claimed"], result["held"]) == ([B], held(B))
    assert A not in kernel.addresses()
    assert kernel.tables[INET]["sets"]["held4"]["elements"] == {"0x00000002": B}
    assert not [r for r in kernel.rules[4] if r.get("fwmark") == "0x1" and r["priority"] == 7004]
    seen = observe()
    assert (seen["held"], seen["drift"]) == (held(B), [])


def test_a_conflict_is_tried_again_by_the_same_plan(kernel):
    kernel.wire = {A: FOREVER}
    apply(node_state())
    kernel.wire = {}
    result = apply(node_state())
    assert (result["claimed"], result["conflicts"], result["changed"]) == ([A], [], True)


def test_a_conflict_that_stays_changes_nothing(kernel):
    kernel.wire = {A: FOREVER}
    apply(node_state())
    before = kernel.snapshot()
    result = apply(node_state(generation=2))
    assert not result["changed"]
    assert result["conflicts"]
    before["files"].pop(str(kernel.STATE_FILE))
    after = kernel.snapshot()
    after["files"].pop(str(kernel.STATE_FILE))
    assert after == before


def test_an_address_that_somebody_put_on_this_host_is_a_conflict(kernel):
    kernel.interfaces["eth0"]["addr_info"].append(address(A, 18, "eth0"))
    result = apply(node_state())
    assert result["conflicts"] == [{"egressIP": A, "interface": "eth0", "mac": MAC}]
    assert kernel.interfaces["eth0"]["addr_info"][-1] == address(A, 18, "eth0")
    assert kernel.logged("probe") == []


def test_a_hand_over_waits_for_silence(kernel):
    kernel.wire = {A: (OTHER_MAC, 1.0)}
    result = apply(node_state(), releases=RELEASED_A)
    assert (result["claimed"], result["conflicts"]) == ([A], [])


def test_without_a_hand_over_an_answer_is_a_conflict_at_once(kernel):
    kernel.wire = {A: (OTHER_MAC, 1.0)}
    assert apply(node_state())["conflicts"]
    assert len(kernel.logged("probe")) == 1


def test_a_hand_over_that_never_comes_is_a_conflict(kernel):
    kernel.wire = {A: FOREVER}
    result = apply(node_state(), releases=RELEASED_A)
    assert result["conflicts"] == [{"egressIP": A, "interface": "eth0", "mac": OTHER_MAC}]
    assert A not in kernel.addresses()


def test_an_address_free_at_once_does_not_wait_for_a_hand_over(kernel):
    kernel.wire = {A: (OTHER_MAC, 1.5)}
    apply(node_state(held=held(A, B)), releases=RELEASED_A)
    b_taken = kernel.log.index(("ip", f"address add {B}/32 dev eth0 label eth0:egress"))
    a_taken = kernel.log.index(("ip", f"address add {A}/32 dev eth0 label eth0:egress"))
    assert b_taken < a_taken


def test_without_claims_a_node_only_gives_up(kernel):
    apply(node_state())
    result = apply(node_state(generation=2, held=held(B)), claim_new=False)
    assert (result["released"], result["claimed"], result["held"]) == ([A], [], [])
    assert B not in kernel.addresses()
    result = apply(node_state(generation=2, held=held(B)))
    assert (result["claimed"], result["held"]) == ([B], held(B))


def test_an_address_moves_to_another_interface(kernel):
    kernel.interfaces["eth1"] = ethernet()
    apply(node_state())
    result = apply(node_state(generation=2, held=held(A, interface="eth1")))
    assert result["held"] == held(A, interface="eth1")
    assert kernel.addresses()[A] == "eth1"
    assert observe()["drift"] == []


def test_an_interface_whose_name_leaves_no_room_for_a_label(kernel):
    kernel.interfaces["enp0s31f6np0x"] = ethernet()
    apply(node_state(held=held(A, interface="enp0s31f6np0x")))
    assert not apply(node_state(held=held(A, interface="enp0s31f6np0x")))["changed"]
    assert observe()["held"] == held(A, interface="enp0s31f6np0x")
    apply(node_state(generation=2, held=[]))
    assert A not in kernel.addresses()


# Marks.


def test_released_addresses_forget_their_connections(kernel):
    apply(node_state())
    kernel.log.clear()
    apply(node_state(generation=2, held=[]))
    assert kernel.logged("forget") == [(1, 0x1FFF)]


FLOW = Flow(6, ("192.168.126.23", 40000), SERVER, SERVER, (A, 40000), 300, True, (3, (7, 7), (11, 11)))


def test_clients_of_an_address_that_is_given_up_are_made_to_speak_later(kernel):
    apply(node_state())
    kernel.flows = {1: [FLOW]}
    kernel.log.clear()
    apply(node_state(generation=2, held=[]))
    assert [words.split()[-1] for words in kernel.logged("later")] == ["challenge", "challenge"]
    assert kernel.logged("packet") == []
    assert service.main(["challenge"]) == 0
    assert kernel.logged("packet") == ["192.168.126.23"]
    remove_module.remove(DataPlaneOptions())
    assert str(kernel.GIVEN_UP_FILE) not in kernel.files
    assert service.main(["challenge"]) == 0
    assert kernel.logged("packet") == ["192.168.126.23"]


def test_packets_that_cannot_be_sent_keep_no_address_from_moving(kernel, monkeypatch):
    def refuse(_packets):
        raise OSError("no such address family, for the test")

    monkeypatch.setattr(kernel, "send_packets", refuse)
    apply(node_state(held=[]))
    kernel.flows = {1: [replace(FLOW, source=("10.88.0.2", 40000), translated=("192.168.126.21", 40000))]}
    result = apply(node_state(generation=2))
    assert result["claimed"] == [A]
    assert kernel.load()["state"]["held"] == held(A)


def test_claimed_addresses_forget_the_connections_that_went_elsewhere(kernel):
    """Their clients are this node's own pods, and are made to speak at once."""
    apply(node_state(held=[]))
    kernel.flows = {1: [replace(FLOW, source=("10.88.0.2", 40000), translated=("192.168.126.21", 40000)), FLOW]}
    kernel.log.clear()
    apply(node_state(generation=2))
    assert kernel.logged("forget") == [(1, 0x1FFF)]
    assert kernel.logged("packet") == ["10.88.0.2"]
    taken = kernel.log.index(("ip", f"address add {A}/32 dev eth0 label eth0:egress"))
    assert taken < kernel.log.index(("forget", (1, 0x1FFF))) < kernel.log.index(("packet", "10.88.0.2"))


def test_a_mark_that_is_given_up_forgets_its_connections_before_it_is_used_again(kernel):
    apply(node_state(held=[]))
    kernel.log.clear()
    apply(node_state(generation=2, held=[], egressips=[egress_object("web", [B])]))
    assert kernel.logged("forget") == [(1, 0x1FFF)]
    apply(node_state(generation=3, held=[], egressips=[egress_object("web", [B, C])]))
    assert kernel.load()["marks"] == {B: 2, C: 1}


def test_marks_stay_when_objects_come_and_go(kernel):
    apply(node_state())
    more = [egress_object("db", ["192.168.126.100"]), egress_object("web", [A, B])]
    apply(node_state(generation=2, egressips=more))
    assert kernel.load()["marks"] == {A: 1, B: 2, "192.168.126.100": 3}


# Plans that a node refuses.


def test_an_older_plan_is_refused(kernel):
    apply(node_state(generation=5))
    before = kernel.snapshot()
    with pytest.raises(PlanError, match=r"^state.generation: 4 is not newer than 5"):
        apply(node_state(generation=4, held=[]))
    assert kernel.snapshot() == before


def test_another_plan_of_the_same_generation_is_refused(kernel):
    apply(node_state())
    before = kernel.snapshot()
    with pytest.raises(PlanError, match=r"^state.generation: 1 is not newer than 1"):
        apply(node_state(held=[]))
    assert kernel.snapshot() == before


def test_a_host_that_cannot_be_a_node_is_refused(kernel):
    kernel.missing = ["systemd: does not run on this host"]
    before = kernel.snapshot()
    with pytest.raises(NodeStateError, match="systemd"):
        apply(node_state())
    with pytest.raises(NodeStateError, match="systemd"):
        remove_module.remove(DataPlaneOptions())
    assert observe() == {"problems": kernel.missing, "packages": []}
    assert kernel.snapshot() == before


def test_a_host_in_a_cloud_is_refused_before_packages_are_asked_for(kernel, monkeypatch):
    kernel.facts = {"sys_vendor": "Amazon EC2", "product_name": "m6i.large"}
    monkeypatch.setattr(kernel, "missing_packages", lambda: ["nftables"])
    (problem,) = observe()["problems"]
    assert problem.startswith("egress_ip_platform: this host is on AWS, which carries only addresses that")
    assert observe()["packages"] == []


def test_a_platform_set_by_hand_counts(kernel):
    kernel.facts = {"sys_vendor": "OpenStack Foundation", "product_name": "OpenStack Nova"}
    seen = observe(platform="openstack")
    assert (seen["problems"], seen["platform"]) == ([], {"name": "openstack", "uuid": None})


FOREIGN = {
    "mark": (
        lambda k: k.rules[4].append({"priority": 50, "src": "all", "fwmark": "0x1", "table": "100"}),
        r"egress_ip_mark_mask: 0x1fff overlaps with the mark 0x1/0xffffffff",
    ),
    "priority": (
        lambda k: k.rules[4].append({"priority": 7003, "src": "all", "table": "254"}),
        r"egress_ip_rule_priority: a foreign rule has priority 7003, .* 7000 to 7388",
    ),
    "table": (
        lambda k: k.rules[4].append({"priority": 50, "src": "all", "table": "7001"}),
        r"egress_ip_table_base: the foreign rule with priority 50 looks up table 7001",
    ),
    "device": (
        lambda k: k.interfaces.update(egress0=ethernet()),
        r"egress_ip_tunnel_device: there is a foreign interface egress0",
    ),
    "port": (
        lambda k: k.interfaces.update(
            vxlan7={**ethernet(), "linkinfo": {"info_kind": "vxlan", "info_data": {"port": 4790}}}
        ),
        r"egress_ip_tunnel_port: the foreign interface vxlan7 uses UDP port 4790",
    ),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_what_others_use_is_refused_before_anything_is_done(kernel, kind):
    change, message = FOREIGN[kind]
    change(kernel)
    before = kernel.snapshot()
    with pytest.raises(ConflictError, match=message):
        apply(node_state())
    assert re.match(message, observe()["problems"][0])
    assert kernel.snapshot() == before


def test_an_unknown_interface_is_refused(kernel):
    with pytest.raises(ConflictError, match=r"state.held\[0\].interface: there is no interface eth7"):
        apply(node_state(held=held(A, interface="eth7")))


# The way back.


BREAK = {
    "the first of ip": "link add",
    "an address of ip": "192.0.0.8",
    "a route of ip": "route replace",
    "a sysctl": None,
    "a table of nft": "add table inet",
    "an element of nft": "add element inet egress_ip pods4",
}


def break_(kernel, kind, monkeypatch):
    if BREAK[kind]:
        kernel.fail = (BREAK[kind],)
        return
    real = kernel.write_sysctl

    def refuse(name, value):
        if value in ("1", "2"):
            raise CommandError(f"sysctl {name}: refused")
        real(name, value)

    monkeypatch.setattr(kernel, "write_sysctl", refuse, raising=True)


@pytest.mark.parametrize("kind", BREAK)
def test_a_first_run_that_fails_leaves_nothing(kernel, kind, monkeypatch):
    before = {key: value for key, value in kernel.snapshot().items() if key != "write_sysctl"}
    break_(kernel, kind, monkeypatch)
    with pytest.raises(VerificationError, match="the node is as it was before$"):
        apply(node_state())
    after = {key: value for key, value in kernel.snapshot().items() if key != "write_sysctl"}
    assert after == before


CHANGES = {
    "a rule": ({"egressips": [egress_object("web", [A, B, C])]}, "rule add"),
    "a route": ({"options": {"tunnel_vni": 7}}, "route replace"),
    "a device": (
        {"options": {"tunnel_port": 4791}},
        "link add egress0 address 02:e1:c0:a8:7e:15 mtu 1430 type vxlan external dstport 4791",
    ),
    "nft": ({"pods": []}, "delete element inet egress_ip pods4"),
    "nft, while an address of an object goes": (
        {"egressips": [egress_object("web", [B])], "held": []},
        "flush chain inet egress_ip object_web",
    ),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_a_later_run_that_fails_leaves_the_node_as_it_was(kernel, kind):
    apply(node_state())
    before = copy.deepcopy(kernel.snapshot())
    change, line = CHANGES[kind]
    kernel.fail = (line,)
    with pytest.raises(VerificationError, match="the node is as it was before$"):
        apply(node_state(**{"generation": 2, **change}))
    after = kernel.snapshot()
    for key in ("routes", "neighbours"):
        before[key], after[key] = (sorted(map(str, side[key])) for side in (before, after))
    before["rules"], after["rules"] = (
        {version: sorted(map(str, rules)) for version, rules in side["rules"].items()} for side in (before, after)
    )
    assert after == before
    kernel.fail = ()
    assert not apply(node_state())["changed"]
    assert apply(node_state(**{"generation": 2, **change}))["changed"]


def test_what_the_node_does_not_show_is_not_believed(kernel, monkeypatch):
    before = kernel.snapshot()
    monkeypatch.setattr(FakeKernel, "_rule_add", lambda *_arguments: None)
    with pytest.raises(
        VerificationError, match=r"node/node1: does not show what was applied: missing ip rules: priority"
    ):
        apply(node_state())
    assert kernel.snapshot() == before


WITHHELD = {
    "a neighbour": ("_neighbour_replace", {"egressips": [egress_object("web", [A, B, C])]}),
    "a route": ("_route_replace", {"egressips": [egress_object("web", [A, B, C])], "pods": []}),
    "the rule of a table": ("_rule_add", {"egressips": [egress_object("db", [C]), egress_object("web", [A, B])]}),
    "another tunnel device": ("_neighbour_replace", {"options": {"tunnel_device": "tun7", "unassigned": "drop"}}),
}


@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize("kind", WITHHELD)
def test_a_later_run_that_the_node_does_not_show_is_taken_back(kernel, kind, lost, monkeypatch):
    apply(node_state())
    if lost:
        kernel.files.pop(str(kernel.STATE_FILE))
    before = copy.deepcopy(kernel.snapshot())
    method, change = WITHHELD[kind]
    if lost and "options" in change:
        return  # Without its record, a node does not know that the other device is its own.
    real, calls = getattr(FakeKernel, method), []

    def withhold(self, words):
        """Forget the calls of this run, and do those of the way back."""
        calls.append(words)
        if kernel.verifying:
            real(self, words)

    kernel.verifying = False
    monkeypatch.setattr(FakeKernel, method, withhold)
    roll_back = apply_module.Run._roll_back

    def go_back(run, error):
        kernel.verifying = True
        roll_back(run, error)

    monkeypatch.setattr(apply_module.Run, "_roll_back", go_back)
    try:
        apply(node_state(**{"generation": 2, **change}))
    except VerificationError as error:
        assert str(error).endswith("the node is as it was before")
    else:
        pytest.fail("nobody noticed")
    after = {key: value for key, value in kernel.snapshot().items() if key != "verifying"}
    for key in ("routes", "neighbours"):
        before[key], after[key] = (sorted(map(str, side[key])) for side in (before, after))
    before["rules"], after["rules"] = (
        {version: sorted(map(str, rules)) for version, rules in side["rules"].items()} for side in (before, after)
    )
    if lost:
        assert filled_chains(after) >= filled_chains(before)
    else:
        assert after == before


def filled_chains(snapshot):
    return {(key, n) for key, table in snapshot["tables"].items() for n, c in table["chains"].items() if c["rules"]}


def test_an_address_that_others_wait_for_is_not_taken_back(kernel):
    apply(node_state())
    kernel.fail = (f"address add {B}",)
    with pytest.raises(EgressIPError):
        apply(node_state(generation=2, held=held(B)))
    assert {A, B} & set(kernel.addresses()) == set()
    assert kernel.load()["state"]["held"] == []
    kernel.fail = ()
    assert apply(node_state(generation=2, held=held(B)))["held"] == held(B)
    assert observe()["drift"] == []


def test_a_failed_way_back_is_said(kernel):
    kernel.fail = ("add table inet", "link delete")
    with pytest.raises(VerificationError, match="and the way back failed too"):
        apply(node_state())


@pytest.mark.parametrize("kind", BREAK)
def test_a_run_after_a_failure_succeeds(kernel, kind, monkeypatch):
    with monkeypatch.context() as patch:
        break_(kernel, kind, patch)
        with pytest.raises(EgressIPError):
            apply(node_state())
    kernel.fail = ()
    kernel.__dict__.pop("write_sysctl", None)
    assert apply(node_state())["held"] == held(A)
    assert observe()["drift"] == []


# Drift.


def without_key(mapping, key):
    mapping.pop(key)


DRIFT = {
    "a deleted rule": lambda k: k.rules[4].remove(next(r for r in k.rules[4] if r["priority"] == 7004)),
    "a rule of ours too many": lambda k: k.rules[4].append(
        {"priority": 7004, "src": "all", "iif": "x", "table": "254", "protocol": "225"}
    ),
    "a deleted route": lambda k: k.routes.pop(),
    "a changed route": lambda k: k.routes[0]["encap"].update(dst="192.168.126.9"),
    "a deleted neighbour": lambda k: k.neighbours.pop(),
    "a changed neighbour": lambda k: k.neighbours[-1].update(lladdr="02:e1:00:00:00:00"),
    "a deleted device": lambda k: k._link_delete(["egress0"]),
    "a device that is down": lambda k: k.interfaces["egress0"].update(flags=[]),
    "a device with another MTU": lambda k: k.interfaces["egress0"].update(mtu=1400),
    "a device without an address": lambda k: k.interfaces["egress0"]["addr_info"].clear(),
    "a deleted egress IP": lambda k: k.interfaces["eth0"]["addr_info"].pop(),
    "an egress IP without its label": lambda k: k.interfaces["eth0"]["addr_info"][-1].update(label="eth0"),
    "a foreign address with our label": lambda k: k.interfaces["eth0"]["addr_info"].append(
        address(C, 32, "eth0:egress")
    ),
    "a deleted nft rule": lambda k: k.tables[INET]["chains"]["postrouting"]["rules"].pop(),
    "nft rules in another order": lambda k: k.tables[INET]["chains"]["prerouting"]["rules"].reverse(),
    "a foreign rule in our chain": lambda k: k.tables[INET]["chains"]["forward"]["rules"].append(("accept", "")),
    "a deleted element": lambda k: k.tables[INET]["sets"]["held4"]["elements"].clear(),
    "a foreign element": lambda k: k.tables[INET]["sets"]["nodes4"]["elements"].update({"10.0.0.1": None}),
    "an element with another value": lambda k: k.tables[INET]["sets"]["held4"]["elements"].update({"0x00000001": B}),
    "a deleted set": lambda k: without_key(k.tables[INET]["sets"], "egress_ips4"),
    "a deleted chain": lambda k: without_key(k.tables[INET]["chains"], "postrouting"),
    "a chain with another policy": lambda k: k.tables[NETDEV]["chains"]["tunnel_in"].update(
        header="{ type filter hook ingress priority 0; policy accept; }"
    ),
    "a foreign chain in our table": lambda k: k.tables[INET]["chains"].update(
        x={"header": "", "device": "", "rules": []}
    ),
    "a deleted inet table": lambda k: without_key(k.tables, INET),
    "a deleted netdev table": lambda k: without_key(k.tables, NETDEV),
    "forwarding switched off": lambda k: k.sysctls.update({"net.ipv4.ip_forward": "0"}),
    "a strict reverse path": lambda k: k.sysctls.update({"net.ipv4.conf.egress0.rp_filter": "1"}),
    "a disabled unit": lambda k: k.units.discard(systemd_units.CLAIM_UNIT),
    "a deleted unit": lambda k: without_key(k.files, str(k.UNIT_DIRECTORY / systemd_units.CLAIM_UNIT)),
    "a changed program": lambda k: k.files.update({str(k.PROGRAM_FILE): (b"", 0o644)}),
}


@pytest.mark.parametrize("kind", DRIFT)
def test_drift_is_seen_and_put_right(kernel, kind):
    apply(node_state())
    DRIFT[kind](kernel)
    assert observe()["drift"], "nobody would see this"
    shown = apply(node_state(), check=True)
    result = apply(node_state())
    assert result["changed"]
    assert {k: shown[k] for k in ("changed", "diff", "held")} == {k: result[k] for k in ("changed", "diff", "held")}
    assert observe()["drift"] == []
    assert observe()["held"] == held(A)


def test_a_lost_egress_ip_is_claimed_with_a_probe(kernel):
    apply(node_state())
    kernel.interfaces["eth0"]["addr_info"].pop()
    kernel.wire = {A: FOREVER}
    assert apply(node_state())["conflicts"]
    assert A not in kernel.addresses()


def test_a_device_that_is_made_anew_keeps_the_egress_ips(kernel):
    apply(node_state())
    kernel._link_delete(["egress0"])
    kernel.log.clear()
    result = apply(node_state())
    assert result["claimed"] == []
    assert not [line for line in kernel.logged("ip") if A in line and line.startswith("address")]


# Observe.


def test_a_plain_host_is_seen_as_it_is(kernel):
    assert observe() == {
        "problems": [],
        "packages": [],
        "platform": {"name": "baremetal", "uuid": None},
        "interface": "eth0",
        "endpoints": ["192.168.126.21", "2001:db8:126::21"],
        "networks": [{"interface": "eth0", "addresses": ["192.168.126.21/18", "2001:db8:126::21/64"]}],
        "macs": {"eth0": MAC},
        "addresses": ["10.88.0.1", "192.168.126.21", "2001:db8:126::21"],
        "gateways": ["192.168.126.1"],
        "held": [],
        "generation": 0,
        "digest": "",
        "drift": [],
        "nodes": [],
        "farEnds": [],
        "recalled": [],
    }
    assert kernel.log == []


def test_a_node_tells_its_record(kernel):
    state = node_state(generation=7)
    apply(state)
    kernel.away = False
    kernel.log.clear()
    seen = observe(recall=["web", "unknown"])
    assert seen["held"] == held(A)
    assert (seen["generation"], seen["digest"], seen["drift"]) == (7, state.digest(), [])
    assert seen["networks"] == [{"interface": "eth0", "addresses": ["192.168.126.21/18", "2001:db8:126::21/64"]}]
    assert seen["addresses"] == ["10.88.0.1", "192.168.126.21", "2001:db8:126::21"]
    assert seen["nodes"] == state.to_dict()["nodes"]
    assert seen["recalled"] == [{"name": "web", "egressIPs": [A, B], "pods": ["10.88.0.2"]}]
    assert kernel.log == []


def test_an_interface_without_an_address_cannot_be_the_egress_interface(kernel):
    kernel.interfaces["eth1"] = ethernet()
    assert observe(interface="eth1")["problems"] == ["egress_ip_interface: eth1 has no address of its own"]


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'"x"',
        b'{"state": {}, "asked": "", "marks": {}, "former": {}}',
        b'{"state": 5, "asked": "", "marks": {}, "former": {}}',
        b"\xff\xfe",
        b"[[[[",
    ],
)
def test_a_broken_record_is_a_clear_error(kernel, record, monkeypatch, tmp_path):
    apply(node_state())
    path = tmp_path / "state.json"
    path.write_bytes(record)
    monkeypatch.setattr(node_io, "STATE_FILE", path)
    monkeypatch.setattr(kernel, "load", node_io.load, raising=True)
    monkeypatch.setattr(kernel, "STATE_FILE", path, raising=True)
    for call in (observe, lambda: apply(node_state(generation=2)), lambda: remove_module.remove(DataPlaneOptions())):
        with pytest.raises(EgressIPError, match=re.escape(str(path))):
            call()


BROKEN = [
    (key, value)
    for key in ("state", "asked", "marks", "former")
    for value in (None, 5, "x", [], {"a": "b"})
    if (key, value) not in [("asked", "x"), ("former", {"a": "b"})]
]


@pytest.mark.parametrize(("key", "value"), BROKEN)
def test_a_record_with_a_broken_part_is_a_clear_error(kernel, key, value):
    apply(node_state())
    record = kernel.load()
    record[key] = value
    kernel.save(record)
    with pytest.raises(EgressIPError, match=re.escape(str(kernel.STATE_FILE))):
        observe()


# Remove.


def test_a_record_of_a_newer_version_is_good_for_what_this_one_knows(kernel):
    apply(node_state())
    record = kernel.load()
    record["state"]["weather"] = record["state"]["options"]["weather"] = "sunny"
    kernel.save(record)
    assert observe()["held"] == held(A)
    assert not apply(node_state())["conflicts"]


def test_remove_leaves_nothing(kernel):
    before = kernel.snapshot()
    apply(node_state())
    result = remove_module.remove(DataPlaneOptions())
    assert (result["changed"], result["held"], result["released"]) == (True, [], [A])
    assert result["diff"]["after"] == ""
    assert kernel.snapshot() == before


def test_remove_gives_forwarding_back_as_it_was_before_us(kernel):
    kernel.sysctls["net.ipv4.ip_forward"] = "1"
    apply(node_state())
    apply(node_state(generation=2, held=[]))
    remove_module.remove(DataPlaneOptions())
    assert kernel.sysctls["net.ipv4.ip_forward"] == "1"


def test_another_mask_forgets_the_connections_with_the_marks_of_the_old_one(kernel):
    apply(node_state())
    kernel.log.clear()
    apply(node_state(generation=2, options={"mark_mask": 0xFF0000}))
    assert kernel.logged("forget") == [(1, 0x1FFF), (2, 0x1FFF)]


def test_remove_forgets_the_connections(kernel):
    apply(node_state())
    kernel.log.clear()
    remove_module.remove(DataPlaneOptions())
    assert kernel.logged("forget") == [(1, 0x1FFF), (2, 0x1FFF)]


def test_remove_in_check_mode_writes_nothing(kernel):
    apply(node_state())
    before, kernel.log = kernel.snapshot(), []
    shown = remove_module.remove(DataPlaneOptions(), check=True)
    assert kernel.snapshot() == before
    assert kernel.log == []
    assert shown == remove_module.remove(DataPlaneOptions())


def test_remove_twice_changes_nothing(kernel):
    apply(node_state())
    remove_module.remove(DataPlaneOptions())
    before, kernel.log = kernel.snapshot(), []
    assert not remove_module.remove(DataPlaneOptions())["changed"]
    assert kernel.snapshot() == before
    assert kernel.log == []


def test_remove_without_a_record_takes_what_is_labelled_as_ours(kernel):
    apply(node_state())
    kernel.files.pop(str(kernel.STATE_FILE))
    remove_module.remove(DataPlaneOptions())
    assert A not in kernel.addresses()
    assert "egress0" not in kernel.interfaces
    assert set(kernel.tables) == {("ip", "nat")}


def test_remove_uses_the_options_on_record(kernel):
    before = kernel.snapshot()
    apply(node_state(options={"tunnel_device": "tun7", "rule_priority": 9000, "mark_mask": 0xF0}))
    remove_module.remove(DataPlaneOptions())
    assert kernel.snapshot() == before


def test_remove_on_a_host_that_was_never_a_node_leaves_foreign_things(kernel):
    kernel.interfaces["egress0"] = ethernet(address("10.1.0.1", 24, "egress0"))
    before = kernel.snapshot()
    assert not remove_module.remove(DataPlaneOptions())["changed"]
    assert kernel.snapshot() == before


def test_another_tunnel_device_replaces_the_old_one(kernel):
    before = kernel.snapshot()
    apply(node_state())
    apply(node_state(generation=2, options={"tunnel_device": "tun7"}))
    assert "egress0" not in kernel.interfaces
    assert observe()["drift"] == []
    remove_module.remove(DataPlaneOptions())
    assert kernel.snapshot() == before


# The boot.


def reboot(kernel):
    """Take away what a reboot takes away."""
    kernel.interfaces["eth0"] = FakeKernel().interfaces["eth0"]
    if "egress0" in kernel.interfaces:
        kernel._link_delete(["egress0"])
    kernel.rules = FakeKernel().rules
    kernel.tables = {("ip", "nat"): copy.deepcopy(FOREIGN_TABLE)}
    kernel.sysctls["net.ipv4.ip_forward"] = "0"
    kernel.log.clear()


def test_a_boot_restores_the_data_plane_without_any_address(kernel):
    apply(node_state())
    reboot(kernel)
    assert service.main(["restore"]) == 0
    assert A not in kernel.addresses()
    assert kernel.tables[INET]["sets"]["held4"]["elements"] == {}
    assert {line.split(": ")[0] for line in observe()["drift"]} == {
        "missing ip addresses",
        "missing ip rules",
        "missing nft inet held4 0x00000001 ",
    } or all(A in line or "0x1/0x1fff lookup 254" in line for line in observe()["drift"])


def test_what_a_firewall_flushes_comes_back_with_the_addresses_that_are_there(kernel):
    apply(node_state(held=held(A, B)))
    kernel.log.clear()
    before = kernel_only(kernel)
    for table in (INET, NETDEV):
        del kernel.tables[table]
    assert service.main(["restore"]) == 0
    assert kernel_only(kernel) == before
    assert observe()["drift"] == []
    assert kernel.logged("probe") == kernel.logged("file") == []


def test_a_boot_claims_what_the_wire_says_is_free(kernel):
    apply(node_state(held=held(A, B)))
    reboot(kernel)
    kernel.wire = {B: FOREVER}
    assert service.main(["restore"]) == 0
    assert service.main(["claim"]) == 0
    assert observe()["held"] == held(A)
    assert observe()["drift"] == []


def test_a_boot_before_the_network_is_there(kernel):
    apply(node_state())
    reboot(kernel)
    eth0 = kernel.interfaces.pop("eth0")
    assert service.main(["restore"]) == 0
    kernel.interfaces["eth0"] = eth0
    assert service.main(["claim"]) == 0
    assert observe()["drift"] == []


@pytest.mark.parametrize("command", ["claim", "watch"])
def test_a_node_without_the_end_of_its_tunnel_holds_nothing_until_it_is_back(kernel, capsys, command):
    kernel.interfaces["eth1"] = ethernet(address("10.9.0.21", 24, "eth1"))
    apply(node_state(held=[*held(A), *held(B, interface="eth1")]))
    own = kernel.interfaces["eth0"]["addr_info"].pop(0)
    assert own["local"] == "192.168.126.21"
    assert service.main([command]) == 0
    assert not {A, B} & set(kernel.addresses())
    assert "has lost the address at which its tunnel ends" in capsys.readouterr().err
    # The watch looks again every few seconds.
    assert service.main(["watch"]) == 0
    assert capsys.readouterr().err == ""
    assert service.main(["claim"]) == 0
    assert "has lost the address at which its tunnel ends" in capsys.readouterr().err
    kernel.interfaces["eth0"]["addr_info"].insert(0, own)
    assert service.main([command]) == 0
    assert {A, B} <= set(kernel.addresses())
    assert observe()["drift"] == []


def test_a_boot_after_a_conflict_claims_the_others(kernel):
    kernel.wire = {B: FOREVER}
    apply(node_state(held=held(A, B)))
    reboot(kernel)
    assert (service.main(["restore"]), service.main(["claim"])) == (0, 0)
    assert observe()["held"] == held(A)


def test_a_boot_after_a_run_without_claims(kernel):
    apply(node_state())
    apply(node_state(generation=2, held=held(A, B)), claim_new=False)
    reboot(kernel)
    assert (service.main(["restore"]), service.main(["claim"])) == (0, 0)
    assert observe()["held"] == held(A)
    assert apply(node_state(generation=2, held=held(A, B)))["held"] == held(A, B)


def test_a_boot_after_a_crash_in_the_middle_of_a_run(kernel):
    apply(node_state())
    kernel.fail = (f"address add {B}",)
    with pytest.raises(EgressIPError):
        apply(node_state(generation=2, held=held(A, B)))
    kernel.fail = ()
    reboot(kernel)
    assert (service.main(["restore"]), service.main(["claim"])) == (0, 0)
    assert A in kernel.addresses()


def test_a_boot_of_a_host_without_a_record(kernel):
    before = kernel.snapshot()
    assert [service.main([word]) for word in ("restore", "claim", "announce")] == [0, 0, 0]
    assert kernel.snapshot() == before


def test_a_boot_that_fails_says_why(kernel, capsys):
    apply(node_state())
    reboot(kernel)
    kernel.fail = ("link add",)
    assert service.main(["restore"]) == 1
    assert capsys.readouterr().err.startswith("netops.egress_ip: ")


def test_a_boot_with_a_broken_record_says_why(kernel, capsys):
    kernel.files[str(kernel.STATE_FILE)] = (json.dumps({"state": {}}).encode(), 0o600)
    assert service.main(["restore"]) == 1
    assert "state.json" in capsys.readouterr().err


def test_the_announcement_names_what_is_held_now(kernel):
    apply(node_state(held=held(A, B)))
    kernel.interfaces["eth0"]["addr_info"].pop()
    kernel.log.clear()
    assert service.main(["announce"]) == 0
    assert set(kernel.logged("announce")) == {("eth0", A)}


def test_errors_of_a_state_on_record_are_all_there(kernel):
    apply(node_state())
    record = kernel.load()
    record["state"].update(endpoints=["x"], name=5)
    kernel.save(record)
    with pytest.raises(InvalidError) as caught:
        observe()
    assert len(caught.value.errors) == 2


def test_a_boot_lets_the_kernel_heed_router_advertisements_that_it_has_not_heard_yet(kernel):
    accept = "net.ipv6.conf.eth0.accept_ra"
    kernel.sysctls[accept], kernel.listening = "1", ("eth0",)
    egress_ips = [A, "2001:db8:126::101"]
    apply(node_state(egressips=[egress_object("web", egress_ips)], held=held(*egress_ips)))
    assert kernel.sysctls[accept] == "2"
    reboot(kernel)
    kernel.sysctls.update({accept: "1", "net.ipv6.conf.all.forwarding": "0"})
    kernel.listening = ()
    assert (service.main(["restore"]), service.main(["claim"])) == (0, 0)
    assert (kernel.sysctls[accept], kernel.sysctls["net.ipv6.conf.all.forwarding"]) == ("2", "1")
    assert observe()["drift"] == []
    remove_module.remove(DataPlaneOptions())
    assert (kernel.sysctls[accept], kernel.sysctls["net.ipv6.conf.all.forwarding"]) == ("1", "0")


# The watch.


def watch(kernel):
    """Let the watch look after the node was away."""
    kernel.log.clear()
    assert service.main(["watch"]) == 0


def noted(kernel):
    """What the watch will look for."""
    return kernel.files[str(kernel.WATCH_FILE)][0].decode()


@pytest.fixture
def watched(kernel):
    """A node that holds A and B."""
    apply(node_state(held=held(A, B)))
    return kernel


def test_a_node_that_was_away_gives_up_what_another_has(watched, capsys):
    watched.wire = {A: FOREVER}
    watched.flows = {1: [FLOW], 2: [replace(FLOW, translated=(B, 40000))]}
    watch(watched)
    assert observe()["held"] == held(B)
    assert observe()["drift"] == []
    # The other one has it already, so its clients can be made to speak at once.
    assert watched.logged("packet") == ["192.168.126.23"]
    assert watched.logged("announce") == [("eth0", A), ("eth0", A)]
    assert ("forget", (1, 0x1FFF)) in watched.log
    assert f"{A} is given up: {OTHER_MAC} has had it" in capsys.readouterr().err
    assert apply(node_state(generation=2, held=held(B)))["held"] == held(B)


def test_a_node_that_was_away_keeps_what_its_own_other_interface_answers_for(watched):
    second = "02:00:c0:a8:7f:15"
    watched.interfaces["eth1"] = {**ethernet(), "address": second}
    watched.wire = {A: (second, float("inf"))}
    watch(watched)
    assert observe()["held"] == held(A, B)
    assert observe(probe=True)["conflicts"] == []


def test_who_else_answers_for_what_a_node_holds_is_told_when_asked_for(watched):
    watched.wire = {B: FOREVER}
    before = watched.snapshot()
    assert observe(probe=True)["conflicts"] == [{"egressIP": B, "interface": "eth0", "mac": OTHER_MAC}]
    assert "conflicts" not in observe()
    assert observe()["held"] == held(A, B)
    assert watched.snapshot() == before


def test_a_wire_without_a_link_is_not_asked(watched):
    watched.wire = {B: FOREVER}
    watched.interfaces["eth0"]["flags"].remove("LOWER_UP")
    assert observe(probe=True)["conflicts"] == []


def test_nobody_plans_with_a_node_that_was_away_until_its_watch_has_looked(watched):
    def looks():
        watch(watched)
        watched.away = False

    watched.wire, watched.active, watched.meanwhile = {A: FOREVER}, True, looks
    assert observe()["held"] == held(B)
    # The log begins anew when the watch looks: nobody waits a second time.
    assert observe()["held"] == held(B)
    assert watched.logged("wait") == []


@pytest.mark.parametrize("change", [{"away": False}, {"active": False}, {"link": False}])
def test_nobody_waits_for_a_watch_that_has_nothing_to_find_out(watched, change):
    watched.active = True
    if "link" in change:
        watched.interfaces["eth0"]["flags"].remove("LOWER_UP")
    vars(watched).update({key: value for key, value in change.items() if key != "link"})
    watched.log.clear()
    observe()
    assert "wait" not in dict(watched.log)


def test_a_node_that_was_away_and_is_not_replaced_goes_on(watched):
    before = kernel_only(watched)
    watch(watched)
    assert set(watched.logged("probe")) == {A, B}
    assert kernel_only(watched) == before
    assert noted(watched) == f"egress0 {A} {B} {OWN}"


def test_a_node_that_was_here_gives_up_nothing(watched):
    watched.away, watched.wire = False, {A: FOREVER}
    before = kernel_only(watched)
    watch(watched)
    assert watched.logged("probe") == []
    assert kernel_only(watched) == before


def test_what_others_threw_away_comes_back(watched):
    watched.away = False
    watched.tables = {("ip", "nat"): FOREIGN_TABLE}
    watched.rules[4] = [rule for rule in watched.rules[4] if rule["priority"] < 7000]
    watched.interfaces["eth0"]["addr_info"] = [a for a in watched.interfaces["eth0"]["addr_info"] if a["local"] != A]
    watch(watched)
    assert set(watched.logged("probe")) == {A}
    assert watched.addresses().keys() >= {A, B}
    assert observe()["drift"] == []


def test_an_address_that_is_gone_and_that_another_has_by_now_stays_there(watched, capsys):
    watched.away, watched.wire = False, {A: FOREVER}
    watched.interfaces["eth0"]["addr_info"] = [a for a in watched.interfaces["eth0"]["addr_info"] if a["local"] != A]
    watch(watched)
    assert observe()["held"] == held(B)
    assert f"{A} is not claimed: {OTHER_MAC} answers for it" in capsys.readouterr().err
    assert noted(watched) == f"egress0 {B} {OWN}"


def test_a_node_that_has_just_claimed_is_here(kernel):
    apply(node_state(held=[]))
    assert noted(kernel) == "egress0"
    apply(node_state(generation=2, held=held(B)))
    assert noted(kernel) == f"egress0 {B} {OWN}"


def test_a_node_without_a_link_asks_when_it_has_one_again(watched):
    flags = watched.interfaces["eth0"]["flags"]
    watched.interfaces["eth0"]["flags"] = ["UP"]
    watch(watched)
    assert watched.logged("probe") == []
    assert str(watched.WATCH_FILE) not in watched.files
    watched.interfaces["eth0"]["flags"], watched.wire = flags, {B: FOREVER}
    watch(watched)
    assert observe()["held"] == held(A)


def test_a_node_without_a_record_is_not_watched(kernel):
    before = kernel.snapshot()
    watch(kernel)
    assert kernel.snapshot() == before


def _interrupt(*_arguments):
    raise KeyboardInterrupt


@pytest.mark.parametrize("taken", [False, True], ids=["nobody has it", "another node has it"])
def test_a_run_that_stops_after_a_release_leaves_one_holder(watched, monkeypatch, taken):
    """The record still names the address; the watch asks the wire before it puts that back."""
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(apply_module.Run, "_claim", _interrupt)
        apply(node_state(generation=2, held=held(B)))
    assert A not in watched.addresses()
    watched.away, watched.wire = False, {A: FOREVER} if taken else {}
    watch(watched)
    assert A in watched.logged("probe")
    assert observe()["held"] == (held(B) if taken else held(A, B))


def test_a_run_that_stops_after_a_claim_has_noted_where_its_addresses_are(kernel, monkeypatch):
    monkeypatch.setattr(apply_module.Run, "_settle", _interrupt)
    with pytest.raises(KeyboardInterrupt):
        apply(node_state())
    assert A in kernel.addresses()
    assert noted(kernel) == f"egress0 {A} {OWN}"


def test_an_address_with_our_label_that_is_in_no_object_does_not_disturb_the_watch(watched):
    watched.interfaces["eth0"]["addr_info"].append(address("192.168.126.250", 32, "eth0:egress"))
    watched.wire = {A: FOREVER, "192.168.126.250": FOREVER}
    watch(watched)
    assert [item["egressIP"] for item in observe()["held"]] == [B]


# The metrics.


def with_metrics(folder="/var/lib/node_exporter", **changes):
    return node_state(options={"metrics_dir": folder} if folder else {}, **changes)


def metrics_of(kernel):
    """Return the names of what is there for the metrics alone."""
    files = {path.rpartition("/")[2] for path in kernel.files if "metrics" in path or path.endswith(".prom")}
    return files | {f"{unit} enabled" for unit in kernel.units if "metrics" in unit}


METRICS = {
    "netops-egress-ip-metrics.service",
    "netops-egress-ip-metrics.timer",
    "netops-egress-ip-metrics.timer enabled",
}


def test_without_a_folder_there_are_no_metrics(kernel):
    apply(node_state())
    assert metrics_of(kernel) == set()
    assert service.main(["metrics"]) == 0
    assert metrics_of(kernel) == set()
    assert "metrics" not in observe()


def test_metrics_are_written_while_there_is_a_folder(kernel):
    apply(with_metrics())
    assert metrics_of(kernel) == METRICS
    assert "netops-egress-ip-metrics.timer" in kernel.logged("run")[-1]
    assert service.main(["metrics"]) == 0
    content, _mode = kernel.files["/var/lib/node_exporter/egress_ip.prom"]
    assert f'egress_ip_transmit_packets_total{{egress_ip="{A}",object="web"}} 2\n' in content.decode()
    assert observe()["drift"] == []
    kernel.log.clear()
    assert not apply(with_metrics())["changed"]
    assert kernel.log == []
    # A record that is gone is no reason to fail.
    kernel.remove_file(kernel.STATE_FILE)
    assert service.main(["metrics"]) == 0


def test_metrics_move_and_go(kernel):
    apply(with_metrics())
    service.main(["metrics"])
    result = apply(with_metrics("/srv/metrics", generation=2))
    assert result["diff"] == {"before": "file /var/lib/node_exporter/egress_ip.prom\n", "after": ""}
    assert metrics_of(kernel) == METRICS
    service.main(["metrics"])
    assert [path for path in kernel.files if path.endswith(".prom")] == ["/srv/metrics/egress_ip.prom"]
    before = kernel.snapshot()
    shown = apply(with_metrics("", generation=3), check=True)
    assert kernel.snapshot() == before
    assert lines_of(shown["diff"]["before"]) == [
        "file /etc/systemd/system/netops-egress-ip-metrics.service",
        "file /etc/systemd/system/netops-egress-ip-metrics.timer",
        "file /srv/metrics/egress_ip.prom",
    ]
    apply(with_metrics("", generation=3))
    assert metrics_of(kernel) == set()
    assert observe()["drift"] == []


def test_metrics_that_a_run_left_behind_are_drift(kernel):
    apply(with_metrics())
    units = {path: content for path, content in kernel.files.items() if "metrics" in path}
    apply(node_state(generation=2))
    kernel.files.update(units)
    assert set(observe()["drift"]) == {f"left over file {path}" for path in units}
    assert apply(node_state(generation=2))["changed"]
    assert observe()["drift"] == []


@pytest.mark.parametrize("recorded", [True, False])
def test_removal_takes_the_metrics_along(kernel, recorded):
    before = kernel.snapshot()
    state = with_metrics()
    apply(state)
    service.main(["metrics"])
    if not recorded:
        kernel.remove_file(kernel.STATE_FILE)
    remove_module.remove(state.options)
    assert kernel.files == before["files"]
    assert metrics_of(kernel) == set()


def test_metrics_that_cannot_be_written_say_why(kernel, capsys):
    apply(with_metrics("/missing"))
    kernel.fail = ["/missing"]
    assert service.main(["metrics"]) == 1
    assert "/missing/egress_ip.prom" in capsys.readouterr().err


def test_what_the_egress_ips_carry_is_told_when_asked_for(kernel):
    assert "metrics" not in observe(metrics=True)
    apply(node_state())
    metrics = observe(metrics=True)["metrics"]
    assert [row["egressIP"] for row in metrics["egress_ips"]] == [A]
