# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fences of silent nodes in playbooks: a plan shows them, a run calls them."""

from __future__ import annotations

import pytest
from playbook_fleet import PlaybookFleet

# Nothing listens on this port.
SILENT = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}
FENCE = """
- name: Cut the node off
  ansible.builtin.copy:
    content: "{{ egress_ip_fence_node }}"
    dest: "{{ egress_ip_fence_record }}"
    mode: "0600"
"""


@pytest.fixture
def fleet(tmp_path):
    """Return a fleet in which each node holds what a run gave it."""
    (tmp_path / "fence.yml").write_text(FENCE)
    fleet = PlaybookFleet(tmp_path)
    paths = {"egress_ip_fence": str(tmp_path / "fence.yml"), "egress_ip_fence_record": str(tmp_path / "fenced")}
    fleet.variables = {**fleet.variables, **paths, "egress_ip_min_available": 1}
    fleet.good("reconcile")
    return fleet


@pytest.mark.parametrize(
    ("words", "shown", "fenced"),
    [
        (["plan"], "node node2 would be fenced first", False),
        (["reconcile", "--check"], "node node2 would be fenced first", False),
        (["reconcile"], "node node2 is fenced", True),
    ],
)
def test_a_silent_node_is_shown_before_a_run_cuts_it_off(fleet, words, shown, fenced):
    ended = fleet.good(*words, hosts={"node2": SILENT})
    assert f"  {shown}" in ended.lines
    assert (fleet.folder / "fenced").exists() == fenced
