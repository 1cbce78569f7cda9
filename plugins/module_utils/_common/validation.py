# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The types and field names of documents. PRIVATE to the collection.

Each check notes in an ``Errors`` what is wrong and returns something of the right type, so that the caller
goes on and finds the other errors too.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from types import MappingProxyType

from .messages import expected_string, pasted_hint, quote, type_name

# Stands for what should have been a mapping: its fields are not missed, since the error is noted already.
NO_MAPPING = MappingProxyType({})
_PLAIN_TYPES = frozenset([str, int, bool, type(None)])


def check_mapping(value, path, errors):
    """Return ``value`` when it is a mapping; else note the error and return NO_MAPPING."""
    if isinstance(value, (dict, Mapping)):
        return value
    errors.add(path, f"must be a mapping, not {type_name(value)}")
    return NO_MAPPING


def check_list(value, path, errors):
    """Return ``value`` when it is a list; else note the error and return an empty one."""
    if isinstance(value, (list, tuple)):
        return value
    errors.add(path, f"must be a list, not {type_name(value)}")
    return []


def check_string(value, path, errors):
    """Return ``value`` as a plain str when it is a string that holds something; else note the error, return None."""
    if not isinstance(value, str):
        errors.add(path, expected_string(value))
    elif not value.strip():
        errors.add(path, "is empty")
    elif pasted_hint(value):
        errors.add(path, f"{quote(value)} {pasted_hint(value)}")
    else:
        return str(value)
    return None


def required(mapping, field, prefix, errors):
    """Return ``mapping[field]``; note that the field is missing and return None when it is."""
    if field not in mapping and mapping is not NO_MAPPING:
        errors.add(f"{prefix}{field}", "is missing")
    return mapping.get(field)


def required_mapping(mapping, field, prefix, errors):
    """Return the mapping at ``field``; note the error and return NO_MAPPING when there is none."""
    value = required(mapping, field, prefix, errors)
    return check_mapping(value, f"{prefix}{field}", errors) if field in mapping else NO_MAPPING


def check_fields(mapping, prefix, known, errors, below=()):
    """Note each field of ``mapping`` that is not in ``known``; ``prefix`` comes before the field in its path.

    ``below`` is (parent, fields): fields that belong one level deeper, where a lost indentation has put them.
    """
    for field in mapping:
        if field in known:
            continue
        if below and field in below[1]:
            errors.add(f"{prefix}{field}", f"unknown field; it belongs under {below[0]}")
        else:
            shown = field if isinstance(field, str) and field.isprintable() else type_name(field)
            errors.add(f"{prefix}{shown}", _unknown(field, known))


def did_you_mean(word, known, cutoff=0.6):
    """Return the one of ``known`` that ``word`` probably stands for; None when none is near."""
    by_lower_case = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), list(by_lower_case), n=1, cutoff=cutoff)
    return by_lower_case[near[0]] if near else None


def plain(value):
    """Return a copy of ``value`` that is made of plain dicts, lists and strings."""
    # A plan has some hundred thousand values: most need no call, and to ask for a Mapping is dear.
    if isinstance(value, (list, tuple)):
        return [entry if type(entry) in _PLAIN_TYPES else plain(entry) for entry in value]
    if isinstance(value, str):
        return str(value)
    if isinstance(value, (dict, Mapping)):
        return {
            key if type(key) in _PLAIN_TYPES else plain(key): entry if type(entry) in _PLAIN_TYPES else plain(entry)
            for key, entry in value.items()
        }
    return value


def _unknown(field, known):
    if not isinstance(field, str):
        return f"unknown field; its name is {type_name(field)}"
    hint = pasted_hint(field)
    if hint:
        return f"unknown field; its name {hint}"
    near = did_you_mean(field, known)
    return f"unknown field; did you mean {near}?" if near else f"unknown field; there are {', '.join(known)}"
