# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rulebook under the real ansible-rulebook: new pods, many pods, pods of other namespaces. `make eda` runs it."""

from __future__ import annotations

import statistics

import pytest
from api_server import ADMIN
from followed_cluster import followed_cluster, pod

PODS = 5
MANY = 100


@pytest.fixture(scope="module")
def rulebook(tmp_path_factory):
    """The rulebook that follows a cluster, after its first run."""
    with followed_cluster(tmp_path_factory.mktemp("eda")) as made:
        yield made


def test_a_new_pod_is_covered_and_other_pods_cause_no_run(rulebook):
    before, seconds = rulebook.runs(), []
    for number in range(2, 2 + PODS):
        # No pod of a selected namespace.
        rulebook.store.add([pod(number, "other")])
        rulebook.store.add([pod(number)])
        seconds.append(rulebook.wait_for(f"10.128.9.{number}"))
    print(
        f"\nnew pod to the state of its node: median {statistics.median(seconds):.1f} s, {max(seconds):.1f} s at most"
    )
    assert rulebook.runs() - before == PODS


def test_many_pods_at_once_are_at_most_three_runs(rulebook):
    assert rulebook.runs_for(range(100, 100 + MANY)) <= 3


def test_no_token_is_logged(rulebook):
    assert ADMIN not in rulebook.log.read_text()
