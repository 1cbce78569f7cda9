# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Announcements of a move, and the neighbour tables after it."""

from __future__ import annotations

import re

from fleet import ASSIGNABLE, FIRST, NODE_NAMES, NOT_ASSIGNABLE, dual_stack, egressip, wait_for

FIRST6 = "fd00:126::10"
# Each form in a capture: a request and a reply, or an advertisement.
FORMS = {
    FIRST: (rf"Request who-has {FIRST}( \(.*\))? tell {FIRST}", rf"Reply {FIRST} is-at {{mac}}"),
    FIRST6: (rf"neighbor advertisement, tgt is {FIRST6}",),
}


def assignable(node):
    return {name: ASSIGNABLE if name == node else NOT_ASSIGNABLE for name in NODE_NAMES}


def believed(fleet, egress_ip):
    """The entry of the address in the server's neighbour table."""
    return fleet.lab.exec("server", "ip", "neighbour", "show", egress_ip)


def at(fleet, mac):
    """The addresses that the server's neighbour table has at this MAC address."""
    lines = fleet.lab.exec("server", "ip", "neighbour", "show").splitlines()
    return {line.split()[0] for line in lines if mac in line}


def seconds(lines, form, mac):
    """The times, in whole seconds, of the lines of a capture that show this form, sent by this MAC."""
    sent = [line for line in lines if f" {mac} > " in line and re.search(form, line)]
    return {line.split()[0].split(".")[0] for line in sent}


def holds_both(node):
    """Return the options of a run in which this node holds an address of each IP version."""
    documents = dual_stack(egressip("one", FIRST), egressip("six", FIRST6))
    return {"hosts": assignable(node), "egress_ip_manifests": documents}


def test_neighbours_learn_the_new_holder_within_a_second(fleet):
    fleet.arrange(**holds_both("node1"))
    for egress_ip in FORMS:
        fleet.lab.exec("server", "ping", "-c", "2", "-i", "0.2", egress_ip)
        assert fleet.mac_of("node1") in believed(fleet, egress_ip)
    mac = fleet.mac_of("node2")
    with fleet.lab.capture("arp or icmp6") as capture:
        fleet.good(**holds_both("node2"))
        wait_for("the server's neighbour table", lambda: at(fleet, mac) >= {*FORMS}, 1)
        # It is announced again for neighbours that missed it.
        for form in (form for forms in FORMS.values() for form in forms):
            wait_for(f"{form} again", lambda form=form: len(seconds(capture.lines, form.format(mac=mac), mac)) >= 2)


def test_a_released_address_is_not_defended(fleet):
    fleet.arrange(**holds_both("node1"))
    for egress_ip in FORMS:
        fleet.lab.exec("server", "ping", "-c", "1", egress_ip)
    fleet.good(hosts=assignable("node1"), egress_ip_manifests=dual_stack())
    fleet.lab.exec("server", "ip", "neighbour", "flush", "all")
    for egress_ip in FORMS:
        fleet.lab.exec("server", "ping", "-c", "1", "-W", "1", egress_ip, check=False)
        wait_for("no answer", lambda egress_ip=egress_ip: "FAILED" in believed(fleet, egress_ip))
