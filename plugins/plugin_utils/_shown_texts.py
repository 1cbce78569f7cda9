# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts in a result of a node, which callbacks show. PRIVATE to the collection.

A terminal obeys control characters in them: a node could replace the lines of other nodes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ansible_collections.netops.egress_ip.plugins.module_utils._common.messages import on_one_line

# Controls of ASCII and Latin-1, those of the direction of writing, and halves of characters, which may become bytes.
# None of them is printable. Tabs and the ends of lines are not among them.
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_OF_DIFF = ("before", "after", "prepared")
# Texts or objects of ansible-core, which differ between its versions.
_DROPPED = ("exception", "warnings", "deprecations")


def without_control_characters(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return a result without characters that control a terminal: they are escaped, in all texts and keys.

    A warning or an exception with some is left out: the message of a failure says the same as its exception. A value
    that is nested too deeply to be escaped is left out too.
    """
    found: dict[str, Any] = {}
    for name, value in result.items():
        if name in _DROPPED:
            found.update({} if _has_some(value) else {name: value})
            continue
        with contextlib.suppress(RecursionError):
            found[_plain(name)] = _OF_FIELD.get(name, _plain)(value)
    return found


def _plain(value: Any) -> Any:
    """Return a value with each text in it escaped as in JSON: a text that is JSON keeps its values."""
    if isinstance(value, str):
        # Most are, and this is faster than a search.
        return value if value.isprintable() else escaped_output(value)
    if isinstance(value, Mapping):
        return {_plain(key): _plain(each) for key, each in value.items()}
    return [*map(_plain, value)] if isinstance(value, (list, tuple)) else value


def _plain_output(value: object) -> Any:
    """Return what a module printed, which callbacks show as it is, escaped line by line."""
    return _escaped(value) if isinstance(value, str) else _plain(value)


def _plain_message(value: object) -> Any:
    """Return a message with its further lines indented, so that none looks like one of another node."""
    return _escaped(value).replace("\n", "\n  ") if isinstance(value, str) else _plain(value)


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


_OF_FIELD: Mapping[str, Callable[[Any], Any]] = {
    "msg": _plain_message,
    "diff": _plain_diff,
    "module_stdout": _plain_output,
    "module_stderr": _plain_output,
}
