# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two fleets in the inventory of one controller, with hosts that do not exist."""

from __future__ import annotations

import json

from playbook_fleet import PlaybookFleet, egressip

ADDRESSES = {"east": "10.0.99.1", "west": "10.0.99.2"}
NODES = {"east": ("node1", "node2"), "west": ("node3", "node4")}


class TwoFleets(PlaybookFleet):
    """The hosts in two groups, each with its own manifests."""

    def inventory(self, hosts=None):
        """Return the inventory."""
        everything = super().inventory(hosts)["egress_ip_nodes"]
        return {
            fleet: {
                "hosts": {name: everything["hosts"][name] for name in names},
                "vars": {**everything["vars"], "egress_ip_manifests": [egressip(fleet, ADDRESSES[fleet])]},
            }
            for fleet, names in NODES.items()
        }

    def states(self):
        """Return {node: the egress IPs that it holds} of the nodes with a state."""
        states = [json.loads(path.read_text()) for path in self.folder.glob("node*.json")]
        return {state["name"]: [item["egressIP"] for item in state["held"]] for state in states}


def test_a_run_changes_the_nodes_of_its_own_fleet(tmp_path):
    fleets = TwoFleets(tmp_path, count=4)
    fleets.good("reconcile", "-e", "egress_ip_group=east")
    east = fleets.states()
    assert {*east} == {*NODES["east"]}
    fleets.good("reconcile", "-e", "egress_ip_group=west")
    both = fleets.states()
    assert {name: both.pop(name) for name in NODES["east"]} == east
    for fleet, states in (("east", east), ("west", both)):
        assert [address for held in states.values() for address in held] == [ADDRESSES[fleet]]
