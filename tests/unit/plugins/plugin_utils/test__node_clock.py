# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The time of a node counts, the time of the controller does not."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest
from ansible_collections.netops.egress_ip.plugins.plugin_utils._node_clock import (
    AnswerTimeoutError,
    NodeClock,
    _waited_for_processor,
)

FOREVER = 300


def nothing_waited():
    return 0.0


def without_processor(seconds):
    """Pass time as a process does that gets no processor: signals wait, and several of one kind are one."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
    time.sleep(seconds)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})


def test_a_silent_node_ends_the_wait():
    clock = NodeClock(0.4, nothing_waited)
    with pytest.raises(AnswerTimeoutError), clock.waiting():
        time.sleep(FOREVER)
    assert clock.node_seconds == pytest.approx(0.4)
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_several_waits_for_a_node_count_together():
    clock = NodeClock(0.4, nothing_waited)
    with pytest.raises(AnswerTimeoutError):
        for _wait in range(FOREVER):
            with clock.waiting():
                time.sleep(0.1)


def test_the_controller_has_all_the_time_it_needs_between_two_waits():
    def counts_nothing():
        clock = NodeClock(0.2, nothing_waited)
        with clock.waiting():
            pass
        time.sleep(0.6)
        with clock.waiting():
            pass
        return clock.node_seconds == 0 and not clock.is_starved

    # On a busy machine, a wait that ends at once may take longer than a tick.
    assert any(counts_nothing() for _try in range(5))


def test_a_process_without_a_processor_does_not_count():
    clock = NodeClock(0.4, nothing_waited)
    with clock.waiting():
        without_processor(1.6)
    assert clock.node_seconds <= 0.1
    assert clock.is_starved


def test_the_wait_of_the_own_processes_for_a_processor_does_not_count():
    seconds = iter([5.0, 5.0, 0.0])
    clock = NodeClock(0.4, lambda: next(seconds))
    with pytest.raises(AnswerTimeoutError), clock.waiting():
        time.sleep(FOREVER)
    assert list(seconds) == []


def test_the_kernel_counts_the_waits_of_processes(monkeypatch):
    """Two processes that never rest have one processor: each must wait for the other."""
    busy = "while :; do :; done"
    words = ["sh", "-c", f"read go; ({busy}) & {busy}"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, start_new_session=True) as process:
        try:
            # Processes that this one has started for other tests do not count here.
            monkeypatch.setattr(os, "getpid", lambda: process.pid)
            assert _waited_for_processor() == 0
            os.sched_setaffinity(process.pid, {min(os.sched_getaffinity(0))})
            process.stdin.close()
            end = time.monotonic() + FOREVER
            while not _waited_for_processor():
                assert time.monotonic() < end
                time.sleep(0.01)
            assert 0 < _waited_for_processor() < time.monotonic()
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def test_the_handler_of_others_is_restored():
    before = signal.signal(signal.SIGALRM, signal.SIG_IGN)
    try:
        with NodeClock(5).waiting():
            pass
        assert signal.getsignal(signal.SIGALRM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGALRM, before)


def test_without_a_limit_nothing_is_counted():
    clock = NodeClock(0)
    with clock.waiting():
        assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    assert not clock.is_starved
