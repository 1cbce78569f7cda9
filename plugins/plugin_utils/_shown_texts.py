# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts in a result of a node that callbacks show as they are. PRIVATE to the collection.

A terminal obeys control characters in them: a node could replace the lines of other nodes.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.netops.egress_ip.plugins.module_utils._common.messages import on_one_line

# Controls of ASCII and Latin-1, and those of the direction of writing.
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_ESCAPED = ("module_stdout", "module_stderr")
_OF_DIFF = ("before", "after", "prepared")
# Texts or objects of ansible-core, which differ between its versions.
_DROPPED = ("exception", "warnings", "deprecations")


def without_control_characters(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return a result in which these texts are escaped line by line; a warning or an exception with some is left out.

    The message of a failure says the same as its exception. Its further lines are indented, so that none looks like one
    of another node.
    """
    found = {name: value for name, value in result.items() if name not in _DROPPED or not _has_some(value)}
    found.update({name: _escaped(found[name]) for name in _ESCAPED if isinstance(found.get(name), str)})
    if isinstance(found.get("msg"), str):
        found["msg"] = _escaped(found["msg"]).replace("\n", "\n  ")
    if "diff" in found:
        found["diff"] = _plain_diff(found["diff"])
    return found


def _plain_diff(diff: object) -> dict[str, str]:
    """Return the texts of a difference, {before, after} of the module `node` or {prepared} of a package manager."""
    texts = diff.items() if isinstance(diff, Mapping) else ()
    return {name: _escaped(text) for name, text in texts if name in _OF_DIFF and isinstance(text, str)}


def escaped_output(text: str) -> str:
    """Return the output of a module in which what controls a terminal is escaped as in JSON.

    Terminals end lines with a carriage return, and JSON may have any letters: these stay.
    """
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _escaped(text: str) -> str:
    return "\n".join(map(on_one_line, text.split("\n")))


def _has_some(value: object) -> bool:
    return any(not line.isprintable() for text in _texts_in(value) for line in text.split("\n"))


def _texts_in(value: object) -> Iterator[str]:
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str):
            yield each
        elif isinstance(each, Mapping):
            waiting += [*each.keys(), *each.values()]
        elif isinstance(each, (list, tuple)):
            waiting += each
        elif dataclasses.is_dataclass(each):
            waiting += [getattr(each, field.name) for field in dataclasses.fields(each)]
