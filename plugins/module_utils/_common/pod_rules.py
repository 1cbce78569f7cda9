# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The addresses and labels of a pod, when a label meets a requirement, which objects can apply. PRIVATE. Pure.

The program that starts with each pod uses it: it imports nothing, since imports take most of the time of such a start.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from typing import TypeVar

    Item = TypeVar("Item")


def labels_in(text: str) -> dict[str, str]:
    """Return the labels in a text as ``app=shop,tier=web``; a word without ``=`` is none."""
    words = (word.partition("=") for word in text.split(","))
    return {key.strip(): value.strip() for key, equals, value in words if equals}


def meets(key: str, operator: str, values: Collection[str], labels: Mapping[str, str]) -> bool:
    """Return whether labels meet a requirement of matchExpressions. A missing key meets NotIn."""
    present = key in labels
    if operator == "In":
        return present and labels[key] in values
    if operator == "NotIn":
        return not present or labels[key] not in values
    return present == (operator == "Exists")


def that_can_apply(objects: Iterable[tuple[Item, bool]]) -> list[Item]:
    """Return the objects (object, whether it applies everywhere) that can apply: of those for everywhere, the first."""
    found: list[Item] = []
    general = False
    for item, everywhere in objects:
        if not (general and everywhere):
            found.append(item)
        general = general or everywhere
    return found


def is_no_unicast(packed: bytes) -> bool:
    """Return whether an address is unspecified, of the loopback or link, or multicast."""
    if len(packed) == 4:
        return packed[0] in (0, 127) or packed[0] >= 224 or packed[:2] == b"\xa9\xfe"
    return packed[0] in (0, 0xFF) or packed[:2] == b"\xfe\x80"
