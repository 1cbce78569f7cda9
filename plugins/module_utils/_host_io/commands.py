# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes on a node. PRIVATE to the collection. Needs iproute2, nftables and systemd."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from .._common.errors import CommandError, NoAnswerError

# Seconds after which a command, or another run that holds the lock, counts as stuck.
TIMEOUT = 60
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ENVIRONMENT = {"LC_ALL": "C", "PATH": PATH}
_POLL_INTERVAL = 0.1
# A key in an argument that `ip` refuses.
_KEY = re.compile(r"0x[0-9a-fA-F]{32,}")
# The link of the distribution, and the oldest Python 3 that the program runs on.
_PYTHON, _OLDEST_MINOR = Path("/usr/bin/python3"), 8


class Completed(NamedTuple):
    """The outcome of a command."""

    status: int
    stdout: str
    stderr: str


def run(argv: Sequence[str], text: str = "", seconds: float | None = None) -> Completed:
    """Run a command with `text` on its standard input. Raises CommandError if it is missing or cannot be started.

    `seconds` is its limit, None for `TIMEOUT`. Raises NoAnswerError if it does not end by then.
    """
    seconds = TIMEOUT if seconds is None else seconds
    try:
        # Users of the host choose some of the texts, such as their own full name.
        done = subprocess.run(  # pylint: disable=ansible-bad-function  # the units on a node have no AnsibleModule
            argv,
            input=text,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            env=_ENVIRONMENT,
            timeout=seconds,
            check=False,
        )
    except FileNotFoundError:
        raise CommandError(f"{argv[0]}: is not installed on this host") from None
    except subprocess.TimeoutExpired:
        raise NoAnswerError(
            f"{' '.join(argv)}: did not end within {seconds:.0f} seconds; check the load of the host"
        ) from None
    except OSError as error:
        raise CommandError(f"{argv[0]}: cannot be started: {error.strerror}") from None
    return Completed(done.returncode, done.stdout, done.stderr)


def check(argv: Sequence[str], text: str = "") -> str:
    """Run a command and return its stdout. Raises CommandError if it fails."""
    status, stdout, stderr = run(argv, text)
    if status:
        message = _KEY.sub("KEY", " ".join(stderr.split())) or "no message"
        raise CommandError(f"{' '.join(argv)}: exit status {status}: {message}")
    return stdout


def interpreter() -> str:
    """Return the path of the Python for the units.

    That is the distribution's link, which survives an upgrade, unless it leads to a version that is too old.
    """
    version = re.fullmatch(r"python3\.(\d+)", Path(os.path.realpath(_PYTHON)).name)
    return str(_PYTHON) if version and int(version[1]) >= _OLDEST_MINOR else sys.executable


def run_later(seconds: float, argv: Sequence[str]) -> None:
    """Let systemd run a command after some seconds, when this process has ended."""
    when = [f"--on-active={seconds}", "--timer-property=AccuracySec=100ms"]
    run(["systemd-run", "--quiet", "--collect", *when, *argv])


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    """Wait until `condition` returns true, for at most `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(_POLL_INTERVAL)
