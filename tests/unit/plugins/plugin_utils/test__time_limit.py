# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Code that waits for a program ends after a time, and the program with it."""

from __future__ import annotations

import subprocess
from threading import Event

import pytest
from ansible_collections.netops.egress_ip.plugins.plugin_utils._time_limit import run_with_limit


def test_a_program_that_never_ends_is_killed():
    started, ended = [], Event()

    def wait():
        process = subprocess.Popen(["sleep", "infinity"])
        started.append(process)
        process.wait()
        ended.set()

    other = subprocess.Popen(["sleep", "infinity"])
    try:
        with pytest.raises(TimeoutError):
            # Enough for the start of the program on a busy machine.
            run_with_limit(wait, 5)
        assert ended.wait(60)
        assert started[0].returncode == -9
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_what_the_function_raises_is_raised():
    run_with_limit(lambda: None, 60)
    with pytest.raises(ZeroDivisionError):
        run_with_limit(lambda: 1 // 0, 60)
