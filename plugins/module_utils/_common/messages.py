# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of values in error messages. PRIVATE to the collection. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, Callable, Sequence, Tuple, Type, Union

# Characters that web pages and word processors insert where YAML and Kubernetes expect plain ASCII.
_PASTED = {
    "\u2018": "a curly quote",
    "\u2019": "a curly quote",
    "\u201a": "a curly quote",
    "\u201c": "a curly quote",
    "\u201d": "a curly quote",
    "\u201e": "a curly quote",
    "\u00ab": "an angle quote",
    "\u00bb": "an angle quote",
    "\u00a0": "a no-break space",
    "\u2007": "a no-break space",
    "\u202f": "a no-break space",
    "\u2009": "a thin space",
    "\u200b": "a zero-width space",
    "\u200c": "a zero-width character",
    "\u200d": "a zero-width character",
    "\u2060": "a zero-width character",
    "\ufeff": "a byte order mark",
    "\u00ad": "a soft hyphen",
    "\u2010": "a typographic hyphen",
    "\u2011": "a no-break hyphen",
    "\u2012": "a dash",
    "\u2013": "a dash",
    "\u2014": "a dash",
    "\u2024": "a one dot leader",
    "\u2026": "an ellipsis",
    "\uff0e": "a full-width dot",
    "\uff1a": "a full-width colon",
}


_Types = Union[Type[Any], Tuple[Type[Any], ...]]
# The first match counts: a bool is an int as well.
_WORDS: tuple[tuple[_Types, Callable[[Any], str]], ...] = (
    (type(None), lambda value: "null"),
    (bool, lambda value: f"the boolean {str(value).lower()}"),
    (str, lambda value: f"the string {quote(value)}"),
    (Mapping, lambda value: "a mapping"),
    ((list, tuple), lambda value: "a list"),
    (int, lambda value: f"the integer {value}" if abs(value) < _HUGE else "a huge integer"),
    (float, lambda value: f"the number {value}"),
    (datetime.date, lambda value: f"the date {value.isoformat()}"),
)
_MAX_SHOWN = 80
# Python refuses to convert much larger integers to text.
_HUGE = 10**20


def pasted_hint(text: str) -> str | None:
    """Return a phrase that names the first typographic character of ``text``, or None if it has none."""
    if text.isascii():
        return None
    for character in text:
        if character in _PASTED:
            return f"contains {_PASTED[character]} (U+{ord(character):04X}), probably pasted from a web page"
    return None


def type_name(value: object) -> str:
    """Return the type and, if short, the value in YAML's terms: ``a list``, ``the integer 5``, ``null``."""
    for types, words in _WORDS:
        if isinstance(value, types):
            return words(value)
    return f"a value of type {type(value).__name__}"


def on_one_line(text: str) -> str:
    """Return ``text`` with each non-printable character escaped, so that it adds no line and controls no terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def listed(names: Sequence[str], most: int) -> str:
    """Return names as text; of more than ``most``, the first ones and the number of the others."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def first_lines(lines: Sequence[str], most: int, what: str, where: str = "") -> Sequence[str]:
    """Return lines; of more than ``most``, the first ones and a line with the number of the others.

    ``what`` the lines are about ends that line, and ``where`` begins it.
    """
    more = len(lines) - most
    return lines if more <= 0 else [*lines[:most], f"{where}{more} more {what}"]


def quote(text: str) -> str:
    """Return ``text`` in single quotes on one line, at most 80 characters, with non-printable ones escaped."""
    shown = text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 3] + "..."
    return f"'{on_one_line(shown)}'"


def expected_string(value: object) -> str:
    """Return the message for a ``value`` that must be a string; scalars get the hint to quote them."""
    hint = "" if value is None or isinstance(value, (Mapping, list, tuple)) else "; put it in quotes"
    return f"must be a string, not {type_name(value)}{hint}"
