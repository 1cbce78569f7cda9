# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Claims and releases of a run: their order, their probes, conflicts, hand-overs."""

from __future__ import annotations

import itertools
import threading
from dataclasses import replace

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import (
    EgressIPError,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.handover import PlannedRelease
from ansible_collections.netops.egress_ip.plugins.module_utils._node import service
from fake_node_io import MAC, address, ethernet
from node_runs import (
    FAST,
    FLOW,
    FOREVER,
    INET,
    OTHER_MAC,
    OWN,
    RELEASED_A,
    A,
    B,
    C,
    apply,
    noted,
    observe,
    remove,
)
from states import egress_object, held, node_state


def test_an_address_is_released_before_another_is_claimed(kernel):
    apply(kernel, node_state())
    kernel.log.clear()
    result = apply(kernel, node_state(generation=2, held=held(B)))
    assert (result["released"], result["claimed"]) == ([A], [B])
    gone = kernel.log.index(("ip", f"address delete {A}/32 dev eth0"))
    asked = kernel.log.index(("probe", B))
    taken = kernel.log.index(("ip", f"address add {B}/32 dev eth0 label eth0:egress"))
    assert gone < taken
    assert asked < taken
    assert A not in kernel.addresses()


def test_a_claim_is_probed_before_and_announced_after(kernel):
    apply(kernel, node_state())
    probes = [i for i, event in enumerate(kernel.log) if event == ("probe", A)]
    taken = kernel.log.index(("ip", f"address add {A}/32 dev eth0 label eth0:egress"))
    announced = [i for i, event in enumerate(kernel.log) if event == ("announce", ("eth0", A))]
    assert len(probes) == FAST.count
    assert probes[-1] < taken < announced[0]
    assert len(announced) == 2
    # Nothing of a run waits for systemd to read its units, or for the second announcement.
    assert [words.split()[-1] for words in kernel.logged("later")] == ["daemon-reload", "announce"]


def test_an_address_is_on_record_before_it_is_on_the_interface(kernel):
    apply(kernel, node_state())
    taken = kernel.log.index(("ip", f"address add {A}/32 dev eth0 label eth0:egress"))
    assert ("file", str(kernel.STATE_FILE)) in kernel.log[:taken]


def test_the_way_out_is_there_before_anything_is_marked(kernel):
    apply(kernel, node_state())
    routes = [i for i, (kind, line) in enumerate(kernel.log) if kind == "ip" and line.startswith(("rule add", "route"))]
    marking = [i for i, (kind, line) in enumerate(kernel.log) if kind == "nft" and "pods4" in line]
    claims = [i for i in routes if "lookup 254" in kernel.log[i][1]]
    assert max(set(routes) - set(claims)) < min(marking)


def test_the_translation_is_there_before_the_address(kernel):
    apply(kernel, node_state())
    translated = next(
        i for i, (kind, line) in enumerate(kernel.log) if kind == "nft" and "element inet egress_ip held4" in line
    )
    assert translated < kernel.log.index(("ip", f"address add {A}/32 dev eth0 label eth0:egress"))


def test_a_conflict_leaves_the_address_and_does_the_rest(kernel):
    kernel.wire = {A: FOREVER}
    result = apply(kernel, node_state(held=held(A, B)))
    assert result["conflicts"] == [{"egressIP": A, "interface": "eth0", "mac": OTHER_MAC}]
    assert (result["claimed"], result["held"]) == ([B], held(B))
    assert A not in kernel.addresses()
    assert kernel.tables[INET]["sets"]["held4"]["elements"] == {"0x00000002": B}
    assert not [r for r in kernel.rules[4] if r.get("fwmark") == "0x1" and r["priority"] == 7004]
    seen = observe(kernel)
    assert (seen["held"], seen["drift"]) == (held(B), [])


def test_a_conflict_is_tried_again_by_the_same_plan(kernel):
    kernel.wire = {A: FOREVER}
    apply(kernel, node_state())
    kernel.wire = {}
    result = apply(kernel, node_state())
    assert (result["claimed"], result["conflicts"], result["changed"]) == ([A], [], True)


def test_a_conflict_that_stays_changes_nothing(kernel):
    kernel.wire = {A: FOREVER}
    apply(kernel, node_state())
    before = kernel.snapshot()
    result = apply(kernel, node_state(generation=2))
    assert not result["changed"]
    assert result["conflicts"]
    after = kernel.snapshot()
    for path in (kernel.STATE_FILE, kernel.STATE_COPY):
        before["files"].pop(str(path))
        after["files"].pop(str(path))
    assert after == before


def test_an_address_that_somebody_put_on_this_host_is_a_conflict(kernel):
    kernel.interfaces["eth0"]["addr_info"].append(address(A, 18, "eth0"))
    result = apply(kernel, node_state())
    assert result["conflicts"] == [{"egressIP": A, "interface": "eth0", "mac": MAC}]
    assert kernel.interfaces["eth0"]["addr_info"][-1] == address(A, 18, "eth0")
    assert kernel.logged("probe") == []


def test_a_hand_over_waits_for_silence(kernel):
    kernel.wire = {A: (OTHER_MAC, 1.0)}
    result = apply(kernel, node_state(), releases=RELEASED_A)
    assert (result["claimed"], result["conflicts"]) == ([A], [])


def test_without_a_hand_over_an_answer_is_a_conflict_at_once(kernel):
    kernel.wire = {A: (OTHER_MAC, 1.0)}
    assert apply(kernel, node_state())["conflicts"]
    assert len(kernel.logged("probe")) == 1


def test_a_hand_over_that_never_comes_is_a_conflict(kernel):
    kernel.wire = {A: FOREVER}
    result = apply(kernel, node_state(), releases=RELEASED_A)
    assert result["conflicts"] == [{"egressIP": A, "interface": "eth0", "mac": OTHER_MAC}]
    assert A not in kernel.addresses()


def test_an_address_free_at_once_does_not_wait_for_a_hand_over(kernel):
    kernel.wire = {A: (OTHER_MAC, 1.5)}
    apply(kernel, node_state(held=held(A, B)), releases=RELEASED_A)
    b_taken = kernel.log.index(("ip", f"address add {B}/32 dev eth0 label eth0:egress"))
    a_taken = kernel.log.index(("ip", f"address add {A}/32 dev eth0 label eth0:egress"))
    assert b_taken < a_taken


def test_without_claims_a_node_only_gives_up(kernel):
    apply(kernel, node_state())
    result = apply(kernel, node_state(generation=2, held=held(B)), claim_new=False)
    assert (result["released"], result["claimed"], result["held"]) == ([A], [], [])
    assert B not in kernel.addresses()
    result = apply(kernel, node_state(generation=2, held=held(B)))
    assert (result["claimed"], result["held"]) == ([B], held(B))


def test_an_address_moves_to_another_interface(kernel):
    kernel.interfaces["eth1"] = ethernet()
    apply(kernel, node_state())
    result = apply(kernel, node_state(generation=2, held=held(A, interface="eth1")))
    assert result["held"] == held(A, interface="eth1")
    assert kernel.addresses()[A] == "eth1"
    assert observe(kernel)["drift"] == []


def test_an_interface_whose_name_leaves_no_room_for_a_label(kernel):
    kernel.interfaces["enp0s31f6np0x"] = ethernet()
    apply(kernel, node_state(held=held(A, interface="enp0s31f6np0x")))
    assert not apply(kernel, node_state(held=held(A, interface="enp0s31f6np0x")))["changed"]
    assert observe(kernel)["held"] == held(A, interface="enp0s31f6np0x")
    apply(kernel, node_state(generation=2, held=[]))
    assert A not in kernel.addresses()


def test_an_address_that_others_wait_for_is_not_taken_back(kernel):
    apply(kernel, node_state())
    kernel.fail = (f"address add {B}",)
    with pytest.raises(EgressIPError):
        apply(kernel, node_state(generation=2, held=held(B)))
    assert {A, B} & set(kernel.addresses()) == set()
    assert kernel.load_record()["state"]["held"] == []
    kernel.fail = ()
    assert apply(kernel, node_state(generation=2, held=held(B)))["held"] == held(B)
    assert observe(kernel)["drift"] == []


@pytest.mark.parametrize("seconds", [0.4, 30])
def test_an_address_is_probed_again_if_the_run_had_to_wait_after_the_probe(kernel, monkeypatch, seconds):
    """A disk that hangs, or a new holder that does not connect, keeps a run for seconds."""
    now, real, probed = [100.0], kernel.write_file, threading.Event()

    def write(path, data, mode):
        real(path, data, mode)
        if path == kernel.STATE_COPY and not kernel.wire:
            # The probes run beside this write.
            assert probed.wait(60)
            now[0] += seconds
            kernel.wire = {A: FOREVER}

    def clock():
        at = now[0]
        probed.set()
        return at

    monkeypatch.setattr(kernel, "write_file", write)
    monkeypatch.setattr(kernel, "monotonic_clock", clock)
    result = apply(kernel, node_state())
    assert (result["claimed"], len(result["conflicts"])) == (([A], 0) if seconds < 1 else ([], 1))
    assert (A in kernel.addresses()) == (seconds < 1)


@pytest.mark.parametrize("check", [False, True])
def test_an_interface_without_a_link_fails_the_run_and_claims_on_others_are_made(kernel, check):
    kernel.interfaces["eth1"] = {**ethernet(), "flags": ["BROADCAST", "UP"]}
    with pytest.raises(EgressIPError, match="^egress_ip_interface: eth1 has no link, so no address can be probed on"):
        apply(kernel, node_state(held=held(A) + held(B, interface="eth1")), check=check)
    assert ({A, B} & set(kernel.addresses())) == (set() if check else {A})
    if not check:
        assert kernel.load_record()["state"]["held"] == held(A)


def test_a_lost_egress_ip_is_claimed_with_a_probe(kernel):
    apply(kernel, node_state())
    kernel.interfaces["eth0"]["addr_info"].pop()
    kernel.wire = {A: FOREVER}
    assert apply(kernel, node_state())["conflicts"]
    assert A not in kernel.addresses()


def test_released_addresses_forget_their_connections(kernel):
    apply(kernel, node_state())
    kernel.log.clear()
    apply(kernel, node_state(generation=2, held=[]))
    assert kernel.logged("forget") == [(1, 0xFFF)]


def test_clients_of_an_address_that_is_given_up_are_made_to_speak_later(kernel):
    apply(kernel, node_state())
    kernel.flows = {1: [FLOW]}
    kernel.log.clear()
    apply(kernel, node_state(generation=2, held=[]))
    assert [words.split()[-1] for words in kernel.logged("later")] == ["challenge"]
    assert kernel.logged("packet") == []
    assert service.main(kernel, ["challenge"]) == 0
    assert set(kernel.logged("packet")) == {"192.168.126.23"}


def test_a_challenge_is_repeated_over_minutes(kernel):
    """A client answers one in half a second, and the new holder may claim long after the release."""
    apply(kernel, node_state())
    kernel.flows = {1: [FLOW]}
    apply(kernel, node_state(generation=2, held=[]))
    kernel.log.clear()
    assert service.main(kernel, ["challenge"]) == 0
    pauses = kernel.logged("sleep")
    assert len(kernel.logged("packet")) == len(pauses)
    assert all(later - earlier > 0.5 for earlier, later in itertools.pairwise(pauses))
    assert sum(pauses) > 300
    # Those that were noted are challenged by this process alone.
    kernel.log.clear()
    assert service.main(kernel, ["challenge"]) == 0
    assert kernel.logged("packet") == kernel.logged("sleep") == []


def test_connections_of_two_runs_are_all_challenged(kernel):
    apply(kernel, node_state(held=held(A, B)))
    kernel.flows = {1: [FLOW]}
    apply(kernel, node_state(generation=2, held=held(B)))
    kernel.flows = {2: [replace(FLOW, source=("192.168.126.22", 40000), translated=(B, 40000))]}
    apply(kernel, node_state(generation=3, held=[]))
    assert service.main(kernel, ["challenge"]) == 0
    assert set(kernel.logged("packet")) == {"192.168.126.22", "192.168.126.23"}


def test_a_removed_node_challenges_no_client(kernel, monkeypatch):
    apply(kernel, node_state())
    kernel.flows = {1: [FLOW]}
    apply(kernel, node_state(generation=2, held=[]))
    noted_flows = kernel.files[str(kernel.LOST_FILE)]
    remove(kernel)
    assert str(kernel.LOST_FILE) not in kernel.files
    assert service.main(kernel, ["challenge"]) == 0
    # Also if the removal comes between two challenges.
    apply(kernel, node_state())
    kernel.files[str(kernel.LOST_FILE)] = noted_flows
    kernel.log.clear()
    monkeypatch.setattr(kernel, "sleep", lambda seconds: seconds and remove(kernel))
    assert service.main(kernel, ["challenge"]) == 0
    assert kernel.logged("packet") == ["192.168.126.23"]


def test_packets_that_cannot_be_sent_keep_no_address_from_moving(kernel, monkeypatch):
    def refuse(_packets):
        raise OSError("no such address family, for the test")

    monkeypatch.setattr(kernel, "send_packets", refuse)
    apply(kernel, node_state(held=[]))
    kernel.flows = {1: [replace(FLOW, source=("10.88.0.2", 40000), translated=("192.168.126.21", 40000))]}
    result = apply(kernel, node_state(generation=2))
    assert result["claimed"] == [A]
    assert kernel.load_record()["state"]["held"] == held(A)


def test_claimed_addresses_forget_the_connections_that_went_elsewhere(kernel):
    """Their clients are this node's own pods, and are made to speak at once, and again later."""
    apply(kernel, node_state(held=[]))
    kernel.flows = {1: [replace(FLOW, source=("10.88.0.2", 40000), translated=("192.168.126.21", 40000)), FLOW]}
    kernel.log.clear()
    apply(kernel, node_state(generation=2))
    assert kernel.logged("forget") == [(1, 0xFFF)]
    assert kernel.logged("packet") == ["10.88.0.2"]
    taken = kernel.log.index(("ip", f"address add {A}/32 dev eth0 label eth0:egress"))
    assert taken < kernel.log.index(("forget", (1, 0xFFF))) < kernel.log.index(("packet", "10.88.0.2"))
    # The old holder may have challenged them just before, and the answer to that was lost.
    assert [words.split()[-1] for words in kernel.logged("later")] == ["announce", "challenge"]
    kernel.log.clear()
    assert service.main(kernel, ["challenge"]) == 0
    assert set(kernel.logged("packet")) == {"10.88.0.2"}


def test_a_mark_that_is_given_up_forgets_its_connections_before_it_is_used_again(kernel):
    apply(kernel, node_state(held=[]))
    kernel.log.clear()
    apply(kernel, node_state(generation=2, held=[], egressips=[egress_object("web", [B])]))
    assert kernel.logged("forget") == [(1, 0xFFF)]
    apply(kernel, node_state(generation=3, held=[], egressips=[egress_object("web", [B, C])]))
    assert kernel.load_record()["marks"] == {B: 2, C: 1}


def test_marks_stay_when_objects_come_and_go(kernel):
    apply(kernel, node_state())
    more = [egress_object("db", ["192.168.126.100"]), egress_object("web", [A, B])]
    apply(kernel, node_state(generation=2, egressips=more))
    assert kernel.load_record()["marks"] == {A: 1, B: 2, "192.168.126.100": 3}


def test_another_mask_forgets_the_connections_with_the_marks_of_the_old_one(kernel):
    apply(kernel, node_state())
    kernel.log.clear()
    apply(kernel, node_state(generation=2, options={"mark_mask": 0xFF0000}))
    assert kernel.logged("forget") == [(1, 0xFFF), (2, 0xFFF)]


# Hand-overs with a key.

GIVEN = {"key": "secret", "releases": [PlannedRelease(A, "node1", "node2"), PlannedRelease(B, "node1", "node3")]}


def test_an_address_whose_new_holder_does_not_connect_stays(watched):
    watched.flows = {1: [FLOW], 2: [replace(FLOW, translated=(B, 40000))]}
    watched.takers = {B}
    watched.log.clear()
    result = apply(watched, node_state(generation=2, held=[]), **GIVEN)
    assert (result["released"], result["unreleased"], result["held"]) == ([B], [A], held(A))
    assert A in watched.addresses()
    assert B not in watched.addresses()
    assert watched.logged("forget") == [(2, 0xFFF)]
    assert observe(watched)["held"] == held(A)
    assert observe(watched)["drift"] == []
    assert noted(watched) == f"egress0 {A} {OWN}"


def test_an_address_that_stayed_is_released_by_the_next_run(watched):
    assert apply(watched, node_state(generation=2, held=[]), **GIVEN)["unreleased"] == [A, B]
    watched.takers = {A, B}
    result = apply(watched, node_state(generation=3, held=[]), **GIVEN)
    assert (result["released"], result["unreleased"], result["held"]) == ([A, B], [], [])
    assert not apply(watched, node_state(generation=3, held=[]), **GIVEN)["changed"]


def test_an_address_that_no_node_takes_is_released_at_once(watched):
    state = node_state(egressips=[egress_object("web", [A, B], [])], generation=2, held=[])
    result = apply(watched, state, key="secret", releases=[PlannedRelease(A, "node1")])
    assert (result["released"], result["unreleased"]) == ([A, B], [])


def test_a_hand_over_brings_the_connections_of_nodes_and_of_nothing_else(kernel, monkeypatch):
    known = []
    monkeypatch.setattr(kernel, "change_connections", lambda requests: [known.append(r) or 0 for r in requests], False)
    apply(kernel, node_state(held=[]))
    stranger = replace(FLOW, source=("10.9.9.9", 40000))
    kernel.received = {A: [FLOW, stranger]}
    result = apply(kernel, node_state(generation=2), key="secret", releases=[PlannedRelease(A, "node2", "node1")])
    assert result["connections"] == {A: 1}


@pytest.mark.parametrize("answers", [False, True], ids=["only reports it", "answers for it"])
def test_an_address_that_another_node_reports_to_hold_is_released_if_that_node_answers(watched, answers):
    """A node that lies about its addresses must not leave one without a holder."""
    watched.wire = {A: FOREVER} if answers else {}
    result = apply(watched, node_state(generation=2, held=held(B)), releases=[PlannedRelease(A, "node1")])
    kept = held(B) if answers else held(A, B)
    assert (result["released"], result["unreleased"]) == (([A], []) if answers else ([], [A]))
    assert (result["held"], observe(watched)["held"]) == (kept, kept)


def test_an_address_that_is_unassigned_is_released_without_a_probe(watched):
    state = node_state(egressips=[egress_object("web", [A, B], [B])], generation=2, held=held(B))
    watched.log.clear()
    assert apply(watched, state, releases=[PlannedRelease(A, "node1")])["released"] == [A]
    assert A not in watched.logged("probe")


def test_a_holder_without_a_link_releases_what_another_node_reports(watched):
    watched.interfaces["eth0"]["flags"] = ["UP"]
    assert apply(watched, node_state(generation=2, held=held(B)), releases=[PlannedRelease(A, "node1")])[
        "released"
    ] == [A]
