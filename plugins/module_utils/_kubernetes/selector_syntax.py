# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Label selectors in the one-line form of ``kubectl get -l``. PRIVATE to the collection.

``zone in (a,b),disk=ssd,!gpu``; the grammar is that of labels.Parse in k8s.io/apimachinery, without ``<`` and ``>``.
"""

from __future__ import annotations

import re
from typing import Any

from .._common.errors import Errors, InvalidError
from .._common.messages import quote
from .._common.selectors import Requirement, Selector, parse_requirement
from .._common.validation import check_string

_KEY = r"(?P<key>[^\s!=,()<>]+)"
_FORMS: tuple[tuple[re.Pattern[str], dict[str | None, str]], ...] = (
    (re.compile(rf"!\s*{_KEY}"), {None: "DoesNotExist"}),
    (re.compile(_KEY), {None: "Exists"}),
    (re.compile(rf"{_KEY}\s*(?P<operator>==?|!=)\s*(?P<values>[^\s!=,()<>]*)"), {"=": "In", "==": "In", "!=": "NotIn"}),
    (re.compile(rf"{_KEY}\s+(?P<operator>in|notin)\s*\((?P<values>[^()]*)\)"), {"in": "In", "notin": "NotIn"}),
)
_USAGE = "write key, !key, key=value, key!=value, key in (a,b) or key notin (a,b)"


def parse_selector(value: object, path: str) -> Selector:
    """Return the Selector of a string in the one-line form; InvalidError has every error."""
    errors = Errors()
    text = check_string(value, path, errors) or ""
    errors.raise_if_any()
    pieces = _split(text)
    requirements = [errors.attempt(_requirement, piece, f"{path}[{n}]") for n, piece in enumerate(pieces)]
    errors.raise_if_any()
    return Selector(match_expressions=tuple(each for each in requirements if each is not None))


def selector_text(selector: Selector) -> str:
    """Return a Selector in the one-line form."""
    labels = [f"{key}={value}" for key, value in selector.match_labels]
    return ",".join([*labels, *map(_text, selector.match_expressions)])


def _split(text: str) -> list[str]:
    """Return the parts between commas; a comma in parentheses does not separate."""
    pieces, depth = [""], 0
    for character in text:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth <= 0:
            pieces.append("")
        else:
            pieces[-1] += character
    return [piece.strip() for piece in pieces]


def _requirement(piece: str, path: str) -> Requirement:
    matches = ((form.fullmatch(piece), operators) for form, operators in _FORMS)
    parts, operators = next(((found.groupdict(), operators) for found, operators in matches if found), ({}, {}))
    if not parts:
        raise InvalidError([f"{path}: {quote(piece)} is not a valid requirement; {_USAGE}"])
    requirement: dict[str, Any] = {"key": parts["key"], "operator": operators[parts.get("operator")]}
    if "values" in parts:
        requirement["values"] = [value.strip() for value in parts["values"].split(",")]
    return parse_requirement(requirement, path)


def _text(requirement: Requirement) -> str:
    if requirement.operator in ("Exists", "DoesNotExist"):
        return f"{'!' if requirement.operator == 'DoesNotExist' else ''}{requirement.key}"
    if len(requirement.values) == 1:
        return f"{requirement.key}{'=' if requirement.operator == 'In' else '!='}{requirement.values[0]}"
    return f"{requirement.key} {requirement.operator.lower()} ({','.join(requirement.values)})"
