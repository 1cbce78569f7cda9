# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was there before us, noted in the description of a port or port group. PRIVATE to the collection. No I/O.

The note is put at the end of the description, together with the change itself, so that neither is there without the
other: ``[netops.egress_ip before: forged_transmits=false security=inherited]``. It counts wherever it stands, for
others add lines of their own. A standard port group has no description: its note is a part of those of VMs.
"""

from __future__ import annotations

import re
from urllib.parse import quote

TAG = "netops.egress_ip"
INHERITED = "inherited"
# Before the name of what a port group has let its ports override since.
OVERRIDE = "override."
_NOTE = re.compile(rf" ?\[{re.escape(TAG)} before: ([^]]*)\]")
_WORDS = {"true": True, "false": False, "none": None}


def read_note(description):
    """Return {name: former value} as noted in a description (None for no description)."""
    found = _NOTE.search(description or "")
    pairs = [pair.partition("=") for pair in found.group(1).split()] if found else []
    return {name: _value(text) for name, _equals, text in pairs}


def write_note(description, note):
    """Return the description with this note instead of the one it had."""
    pairs = " ".join(f"{name}={str(value).lower()}" for name, value in sorted(note.items()))
    plain = _NOTE.sub("", description or "")
    return " ".join(text for text in (plain, pairs and f"[{TAG} before: {pairs}]") if text)


def part_of_group(host, group):
    """Return how names begin in the part of a note that is about a standard port group on a host (its ID)."""
    return f"{host}/{quote(group, safe='')}/"


def part_of(note, beginning):
    """Return the part {name without the beginning: value} of a note."""
    return {name[len(beginning) :]: value for name, value in note.items() if name.startswith(beginning)}


def with_part(note, beginning, part):
    """Return a note with this part instead of the one it had."""
    kept = {name: value for name, value in note.items() if not name.startswith(beginning)}
    return {**kept, **{f"{beginning}{name}": value for name, value in part.items()}}


def noted_of_group(note, group):
    """Return the parts of a note that are about a standard port group, on whatever host, as one."""
    parts = [(name.partition("/")[0], value) for name, value in note.items() if "/" in name]
    return {name: value for host, _value in parts for name, value in part_of(note, part_of_group(host, group)).items()}


def _value(text):
    return int(text) if text.isdigit() else _WORDS.get(text, text)
