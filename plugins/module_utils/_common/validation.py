# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of types and field names in documents. PRIVATE to the collection. Pure.

Each check adds its errors to an ``Errors`` and returns a value of the right type in any case, so that the caller
continues and finds the other errors too.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Collection, Iterable, Sequence

from .errors import Errors
from .messages import expected_string, pasted_hint, quote, type_name

# Stands for a value that is not a mapping: its error has been added, so its fields are not reported as missing.
NO_MAPPING: Mapping[str, Any] = MappingProxyType({})
# The similarity from which a known name is suggested for an unknown one.
SIMILAR = 0.6
_MAC_ADDRESS = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_PLAIN_TYPES = frozenset([str, int, bool, type(None)])


def check_mapping(value: object, path: str, errors: Errors) -> Mapping[str, Any]:
    """Return ``value`` if it is a mapping; else add an error and return NO_MAPPING."""
    if isinstance(value, (dict, Mapping)):
        return value
    errors.add(path, f"must be a mapping, not {type_name(value)}")
    return NO_MAPPING


def check_list(value: object, path: str, errors: Errors) -> Sequence[Any]:
    """Return ``value`` if it is a list; else add an error and return an empty list."""
    if isinstance(value, (list, tuple)):
        return value
    errors.add(path, f"must be a list, not {type_name(value)}")
    return []


def check_string(value: object, path: str, errors: Errors) -> str | None:
    """Return ``value`` as a plain str if it is a non-empty string; else add an error and return None."""
    if not isinstance(value, str):
        errors.add(path, expected_string(value))
    elif not value.strip():
        errors.add(path, "is empty")
    elif pasted_hint(value):
        errors.add(path, f"{quote(value)} {pasted_hint(value)}")
    else:
        return str(value)
    return None


def required(mapping: Mapping[str, Any], field: str, prefix: str, errors: Errors) -> Any:
    """Return ``mapping[field]``; if the field is missing, add an error and return None."""
    if field not in mapping and mapping is not NO_MAPPING:
        errors.add(f"{prefix}{field}", "is missing")
    return mapping.get(field)


def required_mapping(mapping: Mapping[str, Any], field: str, prefix: str, errors: Errors) -> Mapping[str, Any]:
    """Return the mapping at ``field``; if there is none, add an error and return NO_MAPPING."""
    value = required(mapping, field, prefix, errors)
    return check_mapping(value, f"{prefix}{field}", errors) if field in mapping else NO_MAPPING


def check_fields(
    mapping: Mapping[Any, Any],
    prefix: str,
    known: Collection[str],
    errors: Errors,
    below: tuple[str, Collection[str]] | None = None,
    cutoff: float = SIMILAR,
) -> None:
    """Add an error for each field of ``mapping`` that is not in ``known``; ``prefix`` precedes the field in its path.

    ``below`` is (parent, fields): fields that belong one level deeper, the usual result of a lost indentation.
    ``cutoff`` (0 to 1) is the similarity from which a known field is suggested.
    """
    for field in mapping:
        if field in known:
            continue
        if below and field in below[1]:
            errors.add(f"{prefix}{field}", f"unknown field; it belongs under {below[0]}")
        else:
            shown = field if isinstance(field, str) and field.isprintable() else type_name(field)
            errors.add(f"{prefix}{shown}", _unknown(field, known, cutoff))


def did_you_mean(word: str, known: Iterable[str], cutoff: float = SIMILAR) -> str | None:
    """Return the entry of ``known`` that is most similar to ``word``; None if none is similar enough."""
    by_lower_case = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), list(by_lower_case), n=1, cutoff=cutoff)
    return by_lower_case[near[0]] if near else None


def plain(value: Any) -> Any:
    """Return a copy of ``value`` that consists of plain dicts, lists and strings."""
    # A plan has some hundred thousand values: most need no call, and isinstance(…, Mapping) is slow.
    if isinstance(value, (list, tuple)):
        return [entry if type(entry) in _PLAIN_TYPES else plain(entry) for entry in value]
    if isinstance(value, str):
        return str(value)
    if isinstance(value, (dict, Mapping)):
        return {
            str(key) if isinstance(key, str) else key: entry if type(entry) in _PLAIN_TYPES else plain(entry)
            for key, entry in value.items()
        }
    return value


def is_mac_address(text: object) -> bool:
    """Return whether a value is a MAC address in lower case with colons."""
    return isinstance(text, str) and bool(_MAC_ADDRESS.fullmatch(text))


def is_device_name(name: object) -> bool:
    """Return whether the kernel accepts the name for a network device, and `ip -batch` reads it as one word."""
    return (
        isinstance(name, str) and 0 < len(name) < 16 and not set(name) & set("/ \t\n:\"'%") and name not in (".", "..")
    )


def _unknown(field: object, known: Collection[str], cutoff: float) -> str:
    if not isinstance(field, str):
        return f"unknown field; a field name must be a string, not {type_name(field)}"
    hint = pasted_hint(field)
    if hint:
        return f"unknown field; its name {hint}"
    near = did_you_mean(field, known, cutoff)
    return f"unknown field; did you mean {near}?" if near else f"unknown field; expected one of {', '.join(known)}"
