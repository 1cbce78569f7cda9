# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of the systemd units: boot and watch."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import (
    CommandError,
    EgressIPError,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._node import execute, service
from fake_node_io import FOREIGN_TABLE, address, ethernet
from node_runs import (
    FLOW,
    FOREVER,
    INET,
    NETDEV,
    OTHER_MAC,
    OWN,
    A,
    B,
    apply,
    kernel_only,
    noted,
    observe,
    reboot,
    remove,
    watch,
)
from states import egress_object, held, node_state


def _interrupt(*_arguments):
    raise KeyboardInterrupt


def test_a_boot_restores_the_data_plane_without_any_address(kernel):
    apply(kernel, node_state())
    reboot(kernel)
    assert service.main(kernel, ["restore"]) == 0
    assert A not in kernel.addresses()
    assert kernel.tables[INET]["sets"]["held4"]["elements"] == {}
    assert {line.split(": ")[0] for line in observe(kernel)["drift"]} == {
        "missing ip addresses",
        "missing ip rules",
        "missing nft inet held4 0x00000001 ",
    } or all(A in line or "0x1/0xfff lookup 254" in line for line in observe(kernel)["drift"])


def test_what_a_firewall_flushes_comes_back_with_the_addresses_that_are_there(kernel):
    apply(kernel, node_state(held=held(A, B)))
    kernel.log.clear()
    before = kernel_only(kernel)
    for table in (INET, NETDEV):
        del kernel.tables[table]
    assert service.main(kernel, ["restore"]) == 0
    assert kernel_only(kernel) == before
    assert observe(kernel)["drift"] == []
    assert kernel.logged("probe") == kernel.logged("file") == []


def test_a_boot_claims_what_the_wire_says_is_free(kernel):
    apply(kernel, node_state(held=held(A, B)))
    reboot(kernel)
    kernel.wire = {B: FOREVER}
    assert service.main(kernel, ["restore"]) == 0
    assert service.main(kernel, ["claim"]) == 0
    assert observe(kernel)["held"] == held(A)
    assert observe(kernel)["drift"] == []


def test_a_boot_before_the_network_is_there(kernel):
    apply(kernel, node_state())
    reboot(kernel)
    eth0 = kernel.interfaces.pop("eth0")
    assert service.main(kernel, ["restore"]) == 0
    kernel.interfaces["eth0"] = eth0
    assert service.main(kernel, ["claim"]) == 0
    assert observe(kernel)["drift"] == []


@pytest.mark.parametrize("command", ["claim", "watch"])
def test_a_node_without_the_end_of_its_tunnel_holds_nothing_until_it_is_back(kernel, capsys, command):
    kernel.interfaces["eth1"] = ethernet(address("10.9.0.21", 24, "eth1"))
    apply(kernel, node_state(held=[*held(A), *held(B, interface="eth1")]))
    own = kernel.interfaces["eth0"]["addr_info"].pop(0)
    assert own["local"] == "192.168.126.21"
    assert service.main(kernel, [command]) == 0
    assert not {A, B} & set(kernel.addresses())
    assert "has lost the address at which its tunnel ends" in capsys.readouterr().err
    # The watch looks again every few seconds.
    assert service.main(kernel, ["watch"]) == 0
    assert capsys.readouterr().err == ""
    assert service.main(kernel, ["claim"]) == 0
    assert "has lost the address at which its tunnel ends" in capsys.readouterr().err
    kernel.interfaces["eth0"]["addr_info"].insert(0, own)
    assert service.main(kernel, [command]) == 0
    assert {A, B} <= set(kernel.addresses())
    assert observe(kernel)["drift"] == []


def test_a_boot_after_a_conflict_claims_the_others(kernel):
    kernel.wire = {B: FOREVER}
    apply(kernel, node_state(held=held(A, B)))
    reboot(kernel)
    assert (service.main(kernel, ["restore"]), service.main(kernel, ["claim"])) == (0, 0)
    assert observe(kernel)["held"] == held(A)


def test_a_boot_without_a_link_claims_when_the_link_is_there(kernel, capsys):
    """After a power failure, hosts are often up before their switch."""
    apply(kernel, node_state(held=held(A, B)))
    reboot(kernel)
    kernel.files.pop(str(kernel.WATCH_FILE))
    kernel.interfaces["eth0"]["flags"].remove("LOWER_UP")
    assert (service.main(kernel, ["restore"]), service.main(kernel, ["claim"])) == (0, 0)
    assert not {A, B} & set(kernel.addresses())
    assert f"{A} is not claimed yet: eth0 has no link" in capsys.readouterr().err
    assert kernel.load_record()["state"]["held"] == held(A, B)
    # The watch looks at the links of these only.
    assert {A, B} <= set(noted(kernel).split())
    kernel.interfaces["eth0"]["flags"].append("LOWER_UP")
    kernel.wire = {B: FOREVER}
    watch(kernel)
    assert observe(kernel)["held"] == kernel.load_record()["state"]["held"] == held(A)
    assert observe(kernel)["drift"] == []


def test_a_boot_with_a_dead_interface_claims_on_the_others(kernel):
    kernel.interfaces["eth1"] = ethernet()
    both = held(A) + held(B, interface="eth1")
    apply(kernel, node_state(held=both))
    reboot(kernel)
    kernel.interfaces["eth1"] = {**ethernet(), "flags": ["BROADCAST", "UP"]}
    assert (service.main(kernel, ["restore"]), service.main(kernel, ["claim"])) == (0, 0)
    assert observe(kernel)["held"] == held(A)
    kernel.interfaces["eth1"]["flags"].append("LOWER_UP")
    watch(kernel)
    assert observe(kernel)["held"] == both
    assert observe(kernel)["drift"] == []


def test_a_boot_that_cannot_claim_leaves_the_address_on_record(kernel):
    apply(kernel, node_state(held=held(A, B)))
    reboot(kernel)
    kernel.fail = (f"address add {B}",)
    assert (service.main(kernel, ["restore"]), service.main(kernel, ["claim"])) == (0, 1)
    assert kernel.load_record()["state"]["held"] == held(A, B)
    kernel.fail = ()
    watch(kernel)
    assert observe(kernel)["held"] == held(A, B)


def test_a_full_disk_does_not_prevent_the_restoration(watched, monkeypatch):
    before = watched.snapshot()["files"]
    del watched.tables[INET]
    watched.interfaces["eth0"]["addr_info"].pop()

    def refuse(path, _data, _mode):
        raise CommandError(f"{path}: cannot be written: No space left on device")

    monkeypatch.setattr(watched, "write_file", refuse)
    watch(watched)
    assert observe(watched)["held"] == held(A, B)
    assert observe(watched)["drift"] == []
    assert watched.files == before


def test_a_boot_after_a_run_without_claims(kernel):
    apply(kernel, node_state())
    apply(kernel, node_state(generation=2, held=held(A, B)), claim_new=False)
    reboot(kernel)
    assert (service.main(kernel, ["restore"]), service.main(kernel, ["claim"])) == (0, 0)
    assert observe(kernel)["held"] == held(A)
    assert apply(kernel, node_state(generation=2, held=held(A, B)))["held"] == held(A, B)


def test_a_boot_after_a_crash_in_the_middle_of_a_run(kernel):
    apply(kernel, node_state())
    kernel.fail = (f"address add {B}",)
    with pytest.raises(EgressIPError):
        apply(kernel, node_state(generation=2, held=held(A, B)))
    kernel.fail = ()
    reboot(kernel)
    assert (service.main(kernel, ["restore"]), service.main(kernel, ["claim"])) == (0, 0)
    assert A in kernel.addresses()


def test_a_boot_of_a_host_without_a_record(kernel):
    before = kernel.snapshot()
    assert [service.main(kernel, [word]) for word in ("restore", "claim", "announce")] == [0, 0, 0]
    assert kernel.snapshot() == before


def test_a_boot_that_fails_says_why(kernel, capsys):
    apply(kernel, node_state())
    reboot(kernel)
    kernel.fail = ("link add",)
    assert service.main(kernel, ["restore"]) == 1
    assert capsys.readouterr().err.startswith("netops.egress_ip: ")


def test_a_boot_with_a_broken_record_says_why(kernel, capsys):
    kernel.files[str(kernel.STATE_FILE)] = (json.dumps({"state": {}}).encode(), 0o600)
    assert service.main(kernel, ["restore"]) == 1
    assert "state.json" in capsys.readouterr().err


def test_the_announcement_names_what_is_held_now(kernel):
    apply(kernel, node_state(held=held(A, B)))
    kernel.interfaces["eth0"]["addr_info"].pop()
    kernel.log.clear()
    assert service.main(kernel, ["announce"]) == 0
    assert set(kernel.logged("announce")) == {("eth0", A)}


def test_a_boot_lets_the_kernel_heed_router_advertisements_that_it_has_not_heard_yet(kernel):
    accept = "net.ipv6.conf.eth0.accept_ra"
    kernel.sysctls[accept], kernel.listening = "1", ("eth0",)
    egress_ips = [A, "2001:db8:126::101"]
    apply(kernel, node_state(egressips=[egress_object("web", egress_ips)], held=held(*egress_ips)))
    assert kernel.sysctls[accept] == "2"
    reboot(kernel)
    kernel.sysctls.update({accept: "1", "net.ipv6.conf.all.forwarding": "0"})
    kernel.listening = ()
    assert (service.main(kernel, ["restore"]), service.main(kernel, ["claim"])) == (0, 0)
    assert (kernel.sysctls[accept], kernel.sysctls["net.ipv6.conf.all.forwarding"]) == ("2", "1")
    assert observe(kernel)["drift"] == []
    remove(kernel)
    assert (kernel.sysctls[accept], kernel.sysctls["net.ipv6.conf.all.forwarding"]) == ("1", "0")


def test_a_node_that_was_away_gives_up_what_another_has(watched, capsys):
    watched.wire = {A: FOREVER}
    watched.flows = {1: [FLOW], 2: [replace(FLOW, translated=(B, 40000))]}
    watch(watched)
    assert observe(watched)["held"] == held(B)
    assert observe(watched)["drift"] == []
    # The other one has it already, so its clients can be made to speak at once; an answer may be lost.
    assert watched.logged("packet") == ["192.168.126.23"] * 2
    assert watched.logged("announce") == [("eth0", A), ("eth0", A)]
    assert ("forget", (1, 0xFFF)) in watched.log
    assert f"{A} is released: {OTHER_MAC} took it" in capsys.readouterr().err
    assert apply(watched, node_state(generation=2, held=held(B)))["held"] == held(B)


def test_a_node_that_cannot_write_its_record_tells_the_neighbours_who_has_the_address(watched, monkeypatch):
    """As after an outage of its storage, for which it hung; from then on the disk is read-only."""
    watched.wire = {A: FOREVER}
    watched.flows = {1: [FLOW]}

    def refuse(path, *_content):
        raise CommandError(f"{path}: cannot be written: Read-only file system")

    monkeypatch.setattr(watched, "write_file", refuse)
    watched.log.clear()
    assert service.main(watched, ["watch"]) == 1
    assert A not in [each["local"] for each in watched.interfaces["eth0"]["addr_info"]]
    assert watched.logged("announce") == [("eth0", A), ("eth0", A)]
    assert watched.logged("packet") == ["192.168.126.23"]


@pytest.mark.parametrize(
    ("mac", "other_yields", "kept"),
    [("14", True, False), ("14", False, False), ("17", True, True), ("17", False, False)],
)
def test_of_two_nodes_that_were_away_one_keeps_the_address(watched, monkeypatch, mac, other_yields, kept):
    """Node2 (16) answers, and yields some seconds later or not. If both probed at the same time, both would yield."""
    monkeypatch.setitem(watched.interfaces["eth0"], "address", f"02:00:c0:a8:7e:{mac}")
    watched.wire = {A: FOREVER}
    monkeypatch.setattr(watched, "sleep", lambda _seconds: other_yields and watched.wire.clear())
    watch(watched)
    assert (A in [item["egressIP"] for item in observe(watched)["held"]]) is kept


def test_a_node_that_was_away_keeps_what_its_own_other_interface_answers_for(watched):
    second = "02:00:c0:a8:7f:15"
    watched.interfaces["eth1"] = {**ethernet(), "address": second}
    watched.wire = {A: (second, float("inf"))}
    watch(watched)
    assert observe(watched)["held"] == held(A, B)
    assert observe(watched, probe=True)["conflicts"] == []


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
    assert observe(watched)["drift"] == []


def test_an_address_that_is_gone_and_that_another_has_by_now_stays_there(watched, capsys):
    watched.away, watched.wire = False, {A: FOREVER}
    watched.interfaces["eth0"]["addr_info"] = [a for a in watched.interfaces["eth0"]["addr_info"] if a["local"] != A]
    watch(watched)
    assert observe(watched)["held"] == held(B)
    assert f"{A} is not claimed: {OTHER_MAC} answers for it" in capsys.readouterr().err
    assert noted(watched) == f"egress0 {B} {OWN}"


def test_a_node_that_has_just_claimed_is_here(kernel):
    apply(kernel, node_state(held=[]))
    assert noted(kernel) == "egress0"
    apply(kernel, node_state(generation=2, held=held(B)))
    assert noted(kernel) == f"egress0 {B} {OWN}"


def test_a_node_without_a_link_asks_when_it_has_one_again(watched):
    flags, watched.away = watched.interfaces["eth0"]["flags"], False
    watched.interfaces["eth0"]["flags"] = ["UP"]
    watch(watched)
    assert watched.logged("probe") == []
    assert watched.away
    watched.interfaces["eth0"]["flags"], watched.wire = flags, {B: FOREVER}
    watch(watched)
    assert observe(watched)["held"] == held(A)


def test_a_node_without_a_record_is_not_watched(kernel):
    before = kernel.snapshot()
    watch(kernel)
    assert kernel.snapshot() == before


@pytest.mark.parametrize("taken", [False, True], ids=["nobody has it", "another node has it"])
def test_a_run_that_stops_after_a_release_leaves_one_holder(watched, monkeypatch, taken):
    """The record still names the address; the watch asks the wire before it puts that back."""
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(execute, "claim", _interrupt)
        apply(watched, node_state(generation=2, held=held(B)))
    assert A not in watched.addresses()
    watched.away, watched.wire = False, {A: FOREVER} if taken else {}
    watch(watched)
    assert A in watched.logged("probe")
    assert observe(watched)["held"] == (held(B) if taken else held(A, B))


def test_a_run_that_stops_after_a_claim_has_noted_where_its_addresses_are(kernel, monkeypatch):
    monkeypatch.setattr(execute, "remove_leftovers", _interrupt)
    with pytest.raises(KeyboardInterrupt):
        apply(kernel, node_state())
    assert A in kernel.addresses()
    assert noted(kernel) == f"egress0 {A} {OWN}"


def test_an_address_with_our_label_that_is_in_no_object_does_not_disturb_the_watch(watched):
    watched.interfaces["eth0"]["addr_info"].append(address("192.168.126.250", 32, "eth0:egress"))
    watched.wire = {A: FOREVER, "192.168.126.250": FOREVER}
    watch(watched)
    assert [item["egressIP"] for item in observe(watched)["held"]] == [B]


# Probes while the node is here.


@pytest.fixture
def due(watched):
    """A node that has been here for long, and has to probe."""
    watched.away, watched.due = False, True
    return watched


def test_for_a_minute_after_an_absence_a_node_gives_up_what_another_has(due):
    """A switch that does not forward yet lets a claim meet silence."""
    due.settling, due.wire = True, {A: FOREVER}
    watch(due)
    assert observe(due)["held"] == held(B)
    assert due.logged("probed") == [""]


def test_a_node_that_was_here_reports_another_holder_once_and_keeps_the_address(due, capsys):
    due.wire = {A: FOREVER}
    for _look in range(3):
        watch(due)
    assert observe(due)["held"] == held(A, B)
    assert capsys.readouterr().err.count(f"{A} is in conflict: {OTHER_MAC} answers for it as well") == 1
    assert observe(due, metrics=True)["metrics"]["conflicts"] == [{"egressIP": A, "mac": OTHER_MAC}]
    due.wire = {}
    watch(due)
    assert capsys.readouterr().err.count(f"{A} is no longer in conflict") == 1
    assert observe(due, metrics=True)["metrics"]["conflicts"] == []
    assert str(due.CONFLICTS_FILE) not in due.files


def test_a_probe_that_finds_nothing_changes_nothing(due):
    before = kernel_only(due)
    watch(due)
    assert set(due.logged("probe")) == {A, B}
    assert kernel_only(due) == before
    assert due.logged("probed") == [""]


def test_removal_takes_the_conflicts_along(due):
    due.wire = {A: FOREVER}
    watch(due)
    remove(due)
    assert str(due.CONFLICTS_FILE) not in due.files


# Another run holds the lock first.


@pytest.mark.parametrize("command", ["restore", "claim", "watch", "announce"])
def test_a_removal_that_goes_first_wins(watched, command):
    watched.first = lambda: remove(watched)
    assert service.main(watched, [command]) == 0
    assert (A in watched.addresses(), INET in watched.tables, "egress0" in watched.interfaces) == (False, False, False)
    assert watched.files.keys() == {"/etc/hosts"}


@pytest.mark.parametrize("command", ["restore", "claim", "watch", "announce"])
def test_a_run_that_goes_first_wins(watched, command):
    watched.first = lambda: apply(watched, node_state(generation=2, held=held(B)))
    assert service.main(watched, [command]) == 0
    assert (observe(watched)["held"], observe(watched)["generation"]) == (held(B), 2)


def test_after_a_boot_the_addresses_are_announced_without_the_lock_in_between(watched, monkeypatch):
    reboot(watched)
    monkeypatch.setattr(watched, "sleep", lambda _seconds: remove(watched))
    assert service.main(watched, ["claim"]) == 0
    assert A not in watched.addresses()


@pytest.mark.parametrize("data", [b"{", b"\xff", b"{}", b"1", b"[1]", b"[[]]", b'[{"a": 1}]'])
def test_a_damaged_note_of_lost_connections_is_an_empty_one(watched, data):
    watched.write_file(watched.LOST_FILE, data, 0o600)
    assert service.main(watched, ["challenge"]) == 0
    assert watched.logged("packet") == []
