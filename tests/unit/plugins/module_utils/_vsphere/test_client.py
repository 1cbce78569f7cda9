# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attempts, and the wait for a proof; what the client reads and writes is tested with the simulator."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere import client as tested
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.client import with_client
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.errors import (
    VsphereError,
    VsphereInterruptedError,
)


@pytest.fixture
def sessions(monkeypatch):
    """Replace the session, and the clock; return the sessions that were made."""
    made = []
    now = [0.0]

    class FakeSession:
        """A session of a vCenter that is never used."""

        timeout = 3

        def __init__(self, parameters):
            self.parameters = parameters
            self.closed = 0
            made.append(self)

        def close(self):
            """Count the ends."""
            self.closed += 1

    def sleep(seconds):
        now[0] += seconds

    monkeypatch.setattr(tested, "Session", FakeSession)
    monkeypatch.setattr(tested.time, "sleep", sleep)
    monkeypatch.setattr(tested.time, "monotonic", lambda: now[0])
    return made


@pytest.mark.parametrize("failures", [0, 1, 4])
def test_an_interruption_is_tried_again_with_one_session(sessions, failures):
    clients = []

    def work(client):
        clients.append(client)
        if len(clients) <= failures:
            raise VsphereInterruptedError("ports 10: ConcurrentAccess")
        return len(clients)

    assert with_client({"hostname": "vc"}, work) == failures + 1
    assert len({id(client) for client in clients}) == 1
    assert [(each.parameters, each.closed) for each in sessions] == [({"hostname": "vc"}, 1)]


@pytest.mark.parametrize(("error", "attempts"), [(VsphereInterruptedError, 5), (VsphereError, 1), (KeyError, 1)])
def test_an_error_ends_the_session(sessions, error, attempts):
    calls = []

    def work(client):
        calls.append(client)
        raise error("no")

    with pytest.raises(error):
        with_client({}, work)
    assert (len(calls), sessions[0].closed) == (attempts, 1)


def test_a_proof_is_awaited(sessions):
    seen = iter([("node1", "a"), ("node1", "b"), (None, "c")])
    assert with_client({}, lambda client: client.wait_for(lambda: next(seen))) == "c"


def test_a_proof_that_never_comes(sessions):
    with pytest.raises(VsphereError, match="^node1: is not proven within 3 seconds; do not rely on it$"):
        with_client({}, lambda client: client.wait_for(lambda: ("node1", None)))
