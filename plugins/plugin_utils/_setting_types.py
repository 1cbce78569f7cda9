# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Types of settings: an inventory gives values, `-e key=value` and surveys give texts. PRIVATE to the collection.

A parser takes a value that is set, its path, and an Errors. It returns the value with the right type; for a malformed
value it adds an error, and the value that it returns is not used.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import Errors
from ansible_collections.netops.egress_ip.plugins.module_utils._common.messages import quote, type_name
from ansible_collections.netops.egress_ip.plugins.module_utils._common.validation import (
    check_mapping,
    check_string,
    plain,
)
from ansible_collections.netops.egress_ip.plugins.plugin_utils._documents import read_values

Parser = Callable[[Any, str, Errors], Any]
# The words that Ansible accepts.
_BOOLEANS = {
    **dict.fromkeys(("true", "yes", "on", "1", "y", "t"), True),
    **dict.fromkeys(("false", "no", "off", "0", "n", "f"), False),
}
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER = re.compile(r"[+-]?([0-9]{1,18}(\.[0-9]*)?|\.[0-9]+)(e[+-]?[0-9]{1,2})?", re.IGNORECASE)


def is_unset(value: object) -> bool:
    """Return whether a setting has no value: null, or a text without a word, as of a survey field left empty."""
    return value is None or (isinstance(value, str) and not value.strip())


def boolean(value: object, path: str, errors: Errors) -> bool:
    """Return a boolean, also of the words and numbers that Ansible accepts for one."""
    known = isinstance(value, (bool, int, str)) and str(value).strip().lower()
    if known not in _BOOLEANS:
        errors.add(path, f"must be true or false, not {type_name(value)}")
    return _BOOLEANS.get(str(known), False)


def integer(low: int) -> Parser:
    """Return the parser of an integer of at least `low`."""

    def parse(value: object, path: str, errors: Errors) -> int:
        found = _integer(value)
        if found is None or found < low:
            errors.add(path, f"must be an integer of {low} or more, not {type_name(value)}")
        return found or 0

    return parse


def number(value: object, path: str, errors: Errors) -> float:
    """Return a number of 0 or more."""
    found = _number(value)
    if not 0 <= found < math.inf:
        errors.add(path, f"must be a number of 0 or more, not {type_name(value)}")
    return found


def choice(*words: str) -> Parser:
    """Return the parser of one of these words."""

    def parse(value: object, path: str, errors: Errors) -> str:
        if not isinstance(value, str) or value.strip() not in words:
            errors.add(path, f"must be {' or '.join(words)}, not {type_name(value)}")
        return str(value).strip()

    return parse


def text(value: object, path: str, errors: Errors) -> str:
    """Return a text without white space around it."""
    return (check_string(value, path, errors) or "").strip()


def file_name(value: object, path: str, errors: Errors) -> str:
    """Return the name of a file, which may have any characters."""
    if not isinstance(value, str):
        errors.add(path, f"must be a path, not {type_name(value)}")
    return str(value).strip()


def secret(value: object, path: str, errors: Errors) -> str:
    """Return a text; no error shows it."""
    if not isinstance(value, str):
        errors.add(path, "must be a text; put it in quotes")
    return str(value)


def strings(value: object, path: str, errors: Errors) -> list[str]:
    """Return a list of strings, also of a text with commas or lines."""
    if isinstance(value, str):
        value = [word.strip() for word in re.split(r"[,\n]", value.strip())]
    if not isinstance(value, (list, tuple)):
        errors.add(path, f"must be a list of strings, not {type_name(value)}")
        return []
    words = [check_string(word, f"{path}[{index}]", errors) for index, word in enumerate(value)]
    return [word.strip() for word in words if word is not None]


def mapping(value: object, path: str, errors: Errors) -> dict[str, Any]:
    """Return a dictionary."""
    return dict(plain(check_mapping(value, path, errors)))


def mapping_or_list(value: object, path: str, errors: Errors) -> Any:
    """Return a dictionary or a list."""
    if not isinstance(value, (Mapping, list, tuple)):
        errors.add(path, f"must be a mapping or a list, not {type_name(value)}")
    return plain(value)


def capacity(value: object, path: str, errors: Errors) -> Any:
    """Return a value in which texts of digits are integers; the plan checks it."""
    if isinstance(value, Mapping):
        return {key: None if is_unset(limit) else capacity(limit, path, errors) for key, limit in value.items()}
    found = _integer(value) if isinstance(value, str) else None
    return plain(value) if found is None else found


def count_or_percentage(value: object, path: str, errors: Errors) -> str:
    """Return a number, or a percentage such as 50%, as a text."""
    found = str(value).strip()
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,9}|([0-9]{1,2}|100)%", found):
        errors.add(path, f"must be a number or a percentage like 50%, not {type_name(value)}")
    return found


def structure(text_: str, path: str, errors: Errors) -> list[Any]:
    """Return the documents in a text of YAML or JSON."""
    try:
        # The parser in C refuses subclasses of str, such as Ansible's.
        return read_values(str(text_))
    except ValueError as error:
        errors.add(path, f"{quote(text_)} is not valid YAML or JSON: {error}")
        return []


def is_structured(value: object) -> bool:
    """Return whether a text is a list or a dictionary in YAML or JSON rather than words with commas."""
    return isinstance(value, str) and value.lstrip().startswith(("[", "{", "- "))


def _integer(value: object) -> int | None:
    if isinstance(value, str):
        return int(value) if _INTEGER.fullmatch(value.strip()) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return int(value) if value == int(value) else None


def _number(value: object) -> float:
    if isinstance(value, str):
        return float(value) if _NUMBER.fullmatch(value.strip()) else math.nan
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.nan
