# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures: the lab, in a known state for each test."""

from __future__ import annotations

import pytest
from fleet import NODE_NAMES, STOP_WATCH, WATCH_TIMER, Fleet, Lab
from lab_topology import HOSTS


def pytest_configure(config):
    """Register the marks."""
    config.addinivalue_line(
        "markers", "user_land: what differs between releases of Debian; the scenarios of others run it"
    )
    config.addinivalue_line("markers", "repeats: repeats less in `make test` than in `make long`")
    config.addinivalue_line("markers", "faults: faults and moves; the scenario `faults` runs it, not `default`")


def pytest_unconfigure():
    """End what the tests have started."""
    Fleet.end_runs()


def pytest_terminal_summary(terminalreporter):
    """Show how much of the time runs of playbooks took."""
    terminalreporter.write_line(f"{len(Fleet.run_seconds)} runs of playbooks in {sum(Fleet.run_seconds):.0f} s")


@pytest.fixture(scope="session")
def lab():
    """The lab, locked for these tests."""
    with Lab().hold() as held:
        held.up()
        yield held


@pytest.fixture(scope="session")
def _fleet(lab):
    fleet = Fleet(lab)
    # Also the first test may do something directly.
    fleet.install_program()
    return fleet


@pytest.fixture
def machines(_fleet):
    """Three running nodes in the state that the previous test left, for fixtures that apply their own."""
    _repair(_fleet.lab)
    yield _fleet
    _repair(_fleet.lab)


def _repair(lab):
    """Start the hosts that a test has stopped."""
    if len(lab.running()) < len(HOSTS):
        lab.up()


@pytest.fixture
def bare(machines):
    """Nodes without anything of the collection, also without what an earlier device of the tunnel had."""
    machines.clear()


@pytest.fixture
def fleet(machines):
    """Three running nodes with the lab's manifests applied, and a server."""
    machines.arrange()
    return machines


@pytest.fixture
def unwatched(fleet):
    """The fleet with the watch stopped on every node, so that only a run repairs anything."""
    for name in NODE_NAMES:
        fleet.lab.exec(name, "sh", "-ec", STOP_WATCH)
    yield fleet
    for name in fleet.running():
        fleet.lab.exec(name, "systemctl", "start", WATCH_TIMER)
