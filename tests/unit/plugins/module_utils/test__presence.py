# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a node was here all the time: notes in a file, seconds on a clock, links of interfaces."""

from __future__ import annotations

import subprocess
import sys

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils import _presence, _program


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until a test sets it, and interfaces of which eth1 has no link."""
    times = {"now": 100.0}
    monkeypatch.setattr(_presence.time, "monotonic", lambda: times["now"])
    monkeypatch.setattr(_presence, "has_link", lambda interface: interface != "eth1")
    return times


@pytest.mark.parametrize(("seconds", "here"), [(4, True), (10, True), (10.2, False), (86400, False)])
def test_a_long_silence_means_away(clock, tmp_path, seconds, here):
    _presence.note(["eth0"], tmp_path / "watch")
    clock["now"] += seconds
    assert _presence.renew(tmp_path / "watch") == here


def test_every_look_counts_anew(clock, tmp_path):
    _presence.note(["eth0"], tmp_path / "watch")
    for _look in range(5):
        clock["now"] += 8
        assert _presence.renew(tmp_path / "watch")


def test_an_interface_without_a_link_means_away(clock, tmp_path):
    _presence.note(["eth0", "eth1"], tmp_path / "watch")
    assert not _presence.renew(tmp_path / "watch")


def test_a_node_that_holds_nothing_needs_no_link(clock, tmp_path):
    _presence.note([], tmp_path / "watch")
    assert _presence.renew(tmp_path / "watch")


@pytest.mark.parametrize("content", [None, "", "x eth0", "\x00"])
def test_without_a_sound_note_nobody_knows(clock, tmp_path, content):
    if content is not None:
        (tmp_path / "watch").write_text(content)
    assert not _presence.renew(tmp_path / "watch")


def test_links():
    assert not _presence.has_link("no-such")


def test_the_program_looks_without_loading_the_rest():
    """What the watch does every few seconds must stay cheap."""
    code = "import sys; before = set(sys.modules); from {} import _presence; print(*set(sys.modules) - before)"
    package = _program.__name__.rpartition(".")[0]
    done = subprocess.run(
        [sys.executable, "-c", code.format(package)], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"json", "subprocess", "pathlib", "dataclasses", "ipaddress"} & set(done)
