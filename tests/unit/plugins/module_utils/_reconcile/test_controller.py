# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.controller import controller_lines

MOVE = {"egressIP": "10.0.0.1", "from": "node1", "to": "node2"}


def host(number, observed):
    return {"name": f"node{number}", "observed": observed}


@pytest.mark.parametrize("observed", [None, {}, {"failed": True, "msg": "Timed out after 15 seconds"}])
def test_a_node_without_an_answer_is_no_slow_controller(observed):
    assert controller_lines([host(1, observed)], {}, 5) == []


def test_a_slow_controller_is_one_line():
    slow = [host(number, {"controller_seconds": 10.0 + number}) for number in range(1, 8)]
    (line,) = controller_lines([*slow, host(9, {})], {}, 50)
    assert line.startswith("the controller is slow: node1, node2, node3 and 4 more waited up to 17 s for it")
    assert "lower forks (50)" in line


@pytest.mark.parametrize(
    ("differing", "releasing", "forks", "said"),
    [(3, [MOVE], 2, True), (3, [MOVE], 3, False), (3, [], 2, False), (0, [], 5, False)],
)
def test_too_few_forks_for_a_move(differing, releasing, forks, said):
    rollout = {"differing": [f"node{number}" for number in range(differing)], "releasing": releasing}
    lines = controller_lines([], rollout, forks)
    assert bool(lines) is said
    if said:
        assert lines[0].startswith(
            "forks: 3 nodes change and Ansible changes 2 at once, so addresses are released before"
        )
