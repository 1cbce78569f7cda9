# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs that change more nodes than Ansible does at once: addresses are released before others are claimed."""

from __future__ import annotations

import json

import pytest
from forked_ansible import FOR_PROGRAMS
from playbook_fleet import MANIFESTS, NODE, PlaybookFleet

# A node that has this state already is not changed, and those in the file `broken` release nothing.
STATEFUL = NODE.replace(
    """if not given["_ansible_check_mode"]:
""",
    """if params["claim"] is False and (folder / "broken").exists():
    if state["name"] in (folder / "broken").read_text().split():
        end(failed=True, msg="nft: fails")
if path.exists() and json.loads(path.read_text()) == state:
    end(changed=False)
if not given["_ansible_check_mode"]:
""",
)


@pytest.fixture
def fleet(tmp_path):
    """Return a fleet whose nodes hold two addresses that no manifest has any more."""
    fleet = PlaybookFleet(tmp_path)
    fleet.replace("plugins/modules/node.py", STATEFUL)
    fleet.good("reconcile")
    fleet.variables = {**fleet.variables, "egress_ip_manifests": MANIFESTS[1:]}
    return fleet


def report_of(ended):
    """Return the result of the module `report`."""
    results = [json.loads(line) for line in ended.output.splitlines() if '"ansible_stats"' in line]
    return next(each for each in results if "failures" in each)


def states(fleet):
    return {name: json.loads((fleet.folder / f"{name}.json").read_text()) for name in ("node1", "node2", "node3")}


def test_a_node_that_only_releases_is_a_changed_one(fleet):
    ended = fleet.good("reconcile", "--forks", "1", environment=FOR_PROGRAMS)
    assert report_of(ended)["stats"]["changed"] == ["node1", "node2", "node3"]
    assert [state["held"] for state in states(fleet).values()] == [[], [], []]


@pytest.mark.parametrize("broken", [["node2"], ["node1", "node2", "node3"]])
def test_a_node_that_cannot_release_is_called_no_more_and_reported(fleet, broken):
    before = states(fleet)
    (fleet.folder / "broken").write_text(" ".join(broken))
    ended = fleet.bad("reconcile", "--forks", "1", environment=FOR_PROGRAMS)
    report = report_of(ended)
    assert report["failures"] == [f"{name}: nft: fails" for name in broken]
    assert report["stats"]["changed"] == sorted({*before} - {*broken})
    after = states(fleet)
    assert [name for name in before if after[name] == before[name]] == broken
