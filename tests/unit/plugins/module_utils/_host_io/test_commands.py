# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands that fail, are missing, or hang."""

from __future__ import annotations

import sys

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import (
    CommandError,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import (
    commands,
)


def test_a_command_that_fails_says_what_it_said():
    with pytest.raises(CommandError, match=r"^ip link show no-such: exit status 1: Device \"no-such\" does not exist"):
        commands.check(["ip", "link", "show", "no-such"])
    with pytest.raises(CommandError, match=r"^no-such-command: is not installed on this host$"):
        commands.check(["no-such-command"])


def test_a_command_that_cannot_be_started_is_an_error_of_the_host(monkeypatch):
    def refuse(*_arguments, **_options):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(commands.subprocess, "run", refuse)
    with pytest.raises(CommandError, match=r"^nft: cannot be started: Resource temporarily unavailable$"):
        commands.run(["nft", "-f", "-"])


@pytest.mark.parametrize("stream", [1, 2])
def test_a_text_in_another_encoding_is_no_error(stream):
    done = commands.run(["sh", "-c", f"printf 'a\\377b' >&{stream}"])
    assert "".join(done[1:]) == "a\ufffdb"


def test_a_command_that_hangs_is_stopped(monkeypatch):
    monkeypatch.setattr(commands, "TIMEOUT", 0.1)
    with pytest.raises(CommandError, match="did not end within"):
        commands.check(["sleep", "600"])


@pytest.mark.parametrize(
    ("target", "chosen"),
    [("python3.11", True), ("python3.8", True), ("python3.7", False), ("platform-python3.6", False), (None, False)],
)
def test_the_units_use_the_link_of_the_distribution_if_it_is_new_enough(monkeypatch, tmp_path, target, chosen):
    link = tmp_path / "python3"
    if target:
        (tmp_path / target).touch()
        link.symlink_to(tmp_path / target)
    monkeypatch.setattr(commands, "_PYTHON", link)
    assert commands.interpreter() == (str(link) if chosen else sys.executable)


def test_a_key_does_not_get_into_a_message():
    key, shell = "0x" + "a1" * 32, 'read key; echo "argument $key is wrong" >&2; exit 1'
    with pytest.raises(CommandError, match="argument KEY is wrong"):
        commands.check(["sh", "-c", shell], key + "\n")
