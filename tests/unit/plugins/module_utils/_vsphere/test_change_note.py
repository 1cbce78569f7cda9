# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The note in a description."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.change_note import (
    INHERITED,
    NOTHING,
    read_note,
    write_note,
)


@pytest.mark.parametrize("description", [None, "", "rack 3", "rack [3]", "two\nlines"])
def test_a_note_comes_and_goes(description):
    note = {
        "forged_transmits": False,
        "security": INHERITED,
        "mac_learning.limit": 4096,
        "mac_learning.limit_policy": "drop",
    }
    noted = write_note(description, note)
    assert read_note(noted) == note
    assert read_note(description) == {}
    assert write_note(noted, {}) == (description or "")
    assert write_note(noted, note) == noted


def test_a_note_of_nothing_is_no_note():
    assert read_note(NOTHING) == read_note(f"rack 3 {NOTHING}") == {}
    assert write_note(NOTHING, {}) == ""
    assert write_note(NOTHING, {"blocked": False}) == "[netops.egress_ip before: blocked=false]"


def test_what_it_looks_like():
    text = "rack 3 [netops.egress_ip before: mac_changes=true rules=inherited]"
    assert write_note("rack 3", {"rules": INHERITED, "mac_changes": True}) == text


@pytest.mark.parametrize("more", ["\nLast backup: today", " and more", "]"])
def test_others_may_write_after_it(more):
    text = write_note("rack 3", {"blocked": INHERITED}) + more
    assert read_note(text) == {"blocked": INHERITED}
    assert write_note(text, {}) == f"rack 3{more}"
    assert read_note(write_note(text, {"blocked": False})) == {"blocked": False}
