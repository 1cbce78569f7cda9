# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom a node knows on its segment, and whether it is connected."""

from __future__ import annotations

from ansible_collections.netops.egress_ip.plugins.module_utils._failover.neighbours import Neighbours
from ansible_collections.netops.egress_ip.plugins.module_utils._failover.values import (
    FailoverSettings,
    Heard,
    Neighbour,
    Resolve,
)

ROUTER = Neighbour("eth0", "10.0.0.254")
NODE2 = Neighbour("eth0", "10.0.0.2")
SETTINGS = FailoverSettings("n1", peers={"n2": (NODE2,)}, witnesses=(ROUTER,))


def neighbours(**other):
    return Neighbours(FailoverSettings(**{**SETTINGS.__dict__, **other}), 0.0)


def test_a_node_is_known_by_the_mac_that_answers_for_its_own_address():
    known = neighbours()
    assert known.name_of("m2") == ""
    known.hear(1.0, Heard("eth0", "m2", "10.0.0.2"))
    assert known.name_of("m2") == "n2"


def test_a_node_is_known_by_the_mac_of_the_plan():
    assert neighbours(macs={"m2": "n2"}).name_of("m2") == "n2"


def test_the_same_address_on_another_interface_is_another_host():
    known = neighbours()
    known.hear(1.0, Heard("eth1", "m2", "10.0.0.2"))
    assert known.name_of("m2") == ""


def test_only_an_answer_to_this_node_shows_that_a_witness_hears_it():
    known = neighbours()
    known.hear(1.0, Heard("eth0", "mr", "10.0.0.254"))
    assert not known.witness_heard("eth0", 0.0, 4)
    known.hear(1.0, Heard("eth0", "mr", "10.0.0.254", direct=True))
    assert known.witness_heard("eth0", 1.0, 4)
    assert not known.witness_heard("eth0", 1.1, 4)
    assert not known.witness_heard("eth1", 0.0, 4)


def test_another_node_counts_as_a_connection_unless_strict():
    for strict in (False, True):
        known = neighbours(strict=strict)
        known.hear(1.0, Heard("eth0", "m2", "10.0.0.2"))
        known.hear(2.0, Heard("eth0", "m2", "", "10.0.0.101"))
        assert known.is_heard("eth0", 2.0) is not strict


def test_a_witness_is_asked_at_the_mac_that_answered_within_the_last_second():
    known = neighbours()
    assert list(known.resolve_witnesses(0.0, "eth0")) == [Resolve("eth0", "10.0.0.254")]
    known.hear(1.0, Heard("eth0", "mr", "10.0.0.254", direct=True))
    assert list(known.resolve_witnesses(1.5, "eth0")) == [Resolve("eth0", "10.0.0.254", "mr")]
    assert list(known.resolve_witnesses(1.5, "eth0", to_all=True)) == [Resolve("eth0", "10.0.0.254")]
    assert list(known.resolve_witnesses(2.5, "eth0")) == [Resolve("eth0", "10.0.0.254")]


def test_unknown_nodes_are_asked_every_second_and_known_ones_every_ten():
    known = neighbours()
    everyone = [Resolve("eth0", "10.0.0.2"), Resolve("eth0", "10.0.0.254")]
    assert list(known.learn(0.0)) == everyone
    assert known.next_time() == 1.0
    known.hear(0.5, Heard("eth0", "m2", "10.0.0.2"))
    assert list(known.learn(0.6)) == []
    assert list(known.learn(1.0)) == everyone
    assert known.next_time() == 11.0


def test_a_node_that_left_the_plan_is_forgotten():
    known = neighbours()
    known.hear(1.0, Heard("eth0", "m2", "10.0.0.2"))
    known.configure(FailoverSettings("n1"))
    assert known.name_of("m2") == ""


def test_watchers_are_the_nodes_that_probed_lately():
    known = neighbours()
    assert known.note_watcher(1.0, "n2") == float("inf")
    assert known.note_watcher(3.0, "n2") == 2.0
    assert known.watchers(3.0) == {"n2"}
    assert known.watchers(3.1) == set()


def test_a_neighbour_has_one_mac_address():
    """A host that sends with ever new MAC addresses neither fills the memory nor stays a node."""
    known = neighbours()
    for count in range(1000):
        known.hear(1.0, Heard("eth0", f"mx{count}", "10.0.0.2"))
    known.hear(2.0, Heard("eth0", "m2", "10.0.0.2"))
    assert known.name_of("m2") == "n2"
    assert known._names == {"m2": "n2"}


def test_a_witness_counts_for_its_ip_version_if_the_interface_has_one_of_each():
    router6 = Neighbour("eth0", "2001:db8::254")
    both, one = neighbours(witnesses=(ROUTER, router6)), neighbours()
    for known in (both, one):
        known.hear(1.0, Heard("eth0", "mr", "10.0.0.254", direct=True))
    assert [both.witness_heard("eth0", 1.0, version) for version in (4, 6)] == [True, False]
    assert [one.witness_heard("eth0", 1.0, version) for version in (4, 6)] == [True, True]
