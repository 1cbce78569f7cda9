# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Invalid variables: one line that names the variable and the fix, and no node is changed. Hosts do not exist."""

from __future__ import annotations

import json

import pytest
from playbook_fleet import PlaybookFleet

MALFORMED = (
    ("plan", {"egress_ip_what_if": ["node1"]}, "egress_ip_what_if: must be a mapping, not a list"),
    (
        "plan",
        {"egress_ip_headroom": True, "egress_ip_headroom_label": ["zone"]},
        "egress_ip_headroom_label: must be",
    ),
    ("plan", {"egress_ip_max_moves": -1}, "egress_ip_max_moves: must be an integer of 0 or more"),
    ("plan", {"egress_ip_pools": "a"}, "egress_ip_pools: must be a mapping, not the string 'a'"),
    ("status", {"egress_ip_pools": []}, "egress_ip_pools: must be a mapping, not a list"),
    ("status", {"egress_ip_explain": "node1"}, "egress_ip_explain: 'node1' is not an IPv4 or IPv6 address"),
    (
        "status",
        {"egress_ip_what_if": {"down": ["node1"]}},
        "egress_ip_what_if: is supported by the playbook plan only",
    ),
    (
        "remove",
        {"egress_ip_what_if": {"down": ["node1"]}},
        "egress_ip_what_if: is supported by the playbook plan only",
    ),
    ("drain", {"egress_ip_drain_nodes": 5}, "egress_ip_drain_nodes: must be a list of strings, not the integer 5"),
    ("drain", {"egress_ip_drain_nodes": [{"a": "b"}]}, "egress_ip_drain_nodes[0]: must be a string, not a mapping"),
)
INPUT = {
    "excluded everything": (
        {"egress_ip_excluded_cidrs": ["0.0.0.0/0"]},
        ("egress_ip_excluded_cidrs", "every address"),
    ),
    "excluded everything in halves": (
        {"egress_ip_excluded_cidrs": ["0.0.0.0/1", "128.0.0.0/1"]},
        ("egress_ip_excluded_cidrs", "every address"),
    ),
    "excluded with host bits": (
        {"egress_ip_excluded_cidrs": ["10.88.0.1/16"]},
        ("egress_ip_excluded_cidrs[0]", "10.88.0.0/16"),
    ),
    "mask with holes": ({"egress_ip_mark_mask": "0x101"}, ("egress_ip_mark_mask", "contiguous bits")),
    "port": ({"egress_ip_tunnel_port": 70000}, ("tunnel_port", "65535")),
    "min_available": ({"egress_ip_min_available": "most"}, ("egress_ip_min_available", "percentage")),
    "policy": ({"egress_ip_policy": "random"}, ("egress_ip_policy", "balanced")),
    "unassigned": ({"egress_ip_unassigned": "other"}, ("egress_ip_unassigned", "drop")),
    "missing manifests": ({"egress_ip_manifests": ["/nowhere.yml"]}, ("/nowhere.yml",)),
}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    """Hosts that no test changes."""
    return PlaybookFleet(tmp_path_factory.mktemp("fleet"))


def refused(fleet, playbook, **variables):
    """Run what must be refused, and check that no node was changed; return the messages of the tasks that failed."""
    ended = fleet.bad(playbook, "--extra-vars", json.dumps(variables))
    assert "Traceback" not in ended.output
    assert [call for call in fleet.calls() if call["mode"] != "observed"] == []
    fatal = [line.partition(" => ")[2] for line in ended.lines if line.startswith("fatal: ")]
    return [json.loads(text)["msg"] for text in fatal]


@pytest.mark.parametrize(("playbook", "variables", "message"), MALFORMED)
def test_what_is_malformed_is_one_line_that_names_the_variable(fleet, playbook, variables, message):
    text = str(refused(fleet, playbook, **variables)[0])
    assert text.startswith(message)
    assert "\n" not in text


@pytest.mark.parametrize("case", INPUT)
def test_bad_variables(fleet, case):
    variables, words = INPUT[case]
    text = " ".join(map(str, refused(fleet, "reconcile", **variables)))
    assert all(word in text for word in words), text
