# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The end of a program: a request that wakes it up, and the reason of it."""

from __future__ import annotations

import os
import select
import signal
import time

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import termination
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.commands import Completed


@pytest.fixture
def end():
    before = signal.getsignal(signal.SIGTERM)
    yield termination.Termination()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGTERM, before)


def test_a_request_wakes_the_program_up(end):
    assert not end.requested
    assert select.select([end], [], [], 0) == ([], [], [])
    end.wait(0.01)
    os.kill(os.getpid(), signal.SIGTERM)
    assert select.select([end], [], [], 10)[0] == [end]
    began = time.monotonic()
    end.wait(30)
    assert time.monotonic() < began + 20
    assert end.requested


@pytest.mark.parametrize(("said", "expected"), [("stopping", True), ("running", False), ("degraded", False)])
def test_only_the_end_of_the_host_is_a_shutdown(monkeypatch, said, expected):
    monkeypatch.setattr(termination, "run", lambda _argv: Completed(1, f"{said}\n", ""))
    assert termination.is_shutting_down() is expected
