# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Former values of settings, noted in the description of a port or port group. PRIVATE to the collection. No I/O.

The note is appended to the description in the same write as the change itself, so neither exists without the other:
``[netops.egress_ip before: forged_transmits=false security=inherited]``. It is read from any place in the description,
since users append lines. A standard port group has no description: its note is part of the notes of its VMs.

An empty note counts as missing. `NOTHING` is written in its place if the vCenter ignores an empty description.
"""

from __future__ import annotations

import re
from typing import Dict, Mapping, Union
from urllib.parse import quote

TAG = "netops.egress_ip"
INHERITED = "inherited"
# Prefix of an override that the collection allowed the ports of a port group.
OVERRIDE = "override."
_NOTE = re.compile(rf" ?\[{re.escape(TAG)} before: ([^]]*)\]")
NOTHING = f"[{TAG} before: nothing]"
_WORDS = {"true": True, "false": False, "none": None}

# {setting: its former value}
Note = Dict[str, Union[bool, int, str, None]]


def read_note(description: str | None) -> Note:
    """Return {setting: former value} as noted in a description; empty for None."""
    found = _NOTE.search(description or "")
    pairs = [pair.partition("=") for pair in found.group(1).split()] if found else []
    return {name: _value(text) for name, equals, text in pairs if equals}


def write_note(description: str | None, note: Mapping[str, object]) -> str:
    """Return the description with `note` in place of the note that it has; an empty note is removed."""
    pairs = " ".join(f"{name}={str(value).lower()}" for name, value in sorted(note.items()))
    plain = _NOTE.sub("", description or "")
    return " ".join(text for text in (plain, pairs and f"[{TAG} before: {pairs}]") if text)


def part_of_group(host: str, group: str) -> str:
    """Return the prefix of names that belong to the standard port group `group` on the host with the ID `host`."""
    return f"{host}/{quote(group, safe='')}/"


def part_of(note: Note, prefix: str) -> Note:
    """Return the entries of a note that begin with `prefix`, without it."""
    return {name[len(prefix) :]: value for name, value in note.items() if name.startswith(prefix)}


def with_part(note: Note, prefix: str, part: Note) -> Note:
    """Return the note with the entries of `part` in place of those that begin with `prefix`."""
    kept = {name: value for name, value in note.items() if not name.startswith(prefix)}
    return {**kept, **{f"{prefix}{name}": value for name, value in part.items()}}


def noted_of_group(note: Note, group: str) -> Note:
    """Return the entries of a note that belong to a standard port group, of all hosts together."""
    hosts = [name.partition("/")[0] for name in note if "/" in name]
    return {name: value for host in hosts for name, value in part_of(note, part_of_group(host, group)).items()}


def _value(text: str) -> bool | int | str | None:
    return int(text) if text.isdigit() else _WORDS.get(text, text)
