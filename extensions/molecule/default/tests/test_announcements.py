# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Announcements of a move, and the neighbour tables after it."""

from __future__ import annotations

import re
import time

import pytest
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


@pytest.mark.user_land
@pytest.mark.parametrize("egress_ip", FORMS)
def test_neighbours_learn_the_new_holder_within_a_second(fleet, egress_ip):
    options = {"egress_ip_manifests": dual_stack(egressip("one", egress_ip))}
    fleet.arrange(hosts=assignable("node1"), **options)
    fleet.lab.exec("server", "ping", "-c", "2", "-i", "0.2", egress_ip)
    assert fleet.mac_of("node1") in believed(fleet, egress_ip)
    with fleet.lab.capture("arp or icmp6") as capture:
        fleet.good(hosts=assignable("node2"), **options)
        wait_for("the server's neighbour table", lambda: fleet.mac_of("node2") in believed(fleet, egress_ip), 1)
        # It is announced again for neighbours that missed it.
        time.sleep(3)
        heard = [line for line in capture.stop() if f" {fleet.mac_of('node2')} > " in line]
    for form in FORMS[egress_ip]:
        times = [line.split()[0] for line in heard if re.search(form.format(mac=fleet.mac_of("node2")), line)]
        assert len(times) >= 2, (form, heard)
        assert len({stamp.split(".")[0] for stamp in times}) >= 2, f"{form}: not repeated after a while"


@pytest.mark.parametrize("egress_ip", FORMS)
def test_a_released_address_is_not_defended(fleet, egress_ip):
    fleet.arrange(hosts=assignable("node1"), egress_ip_manifests=dual_stack(egressip("one", egress_ip)))
    fleet.lab.exec("server", "ping", "-c", "1", egress_ip)
    fleet.good(hosts=assignable("node1"), egress_ip_manifests=dual_stack())
    fleet.lab.exec("server", "ip", "neighbour", "flush", "all")
    fleet.lab.exec("server", "ping", "-c", "1", "-W", "1", egress_ip, check=False)
    wait_for("no answer", lambda: "FAILED" in believed(fleet, egress_ip), 5)
