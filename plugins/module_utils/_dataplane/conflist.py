# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The entry of this collection's plugin in a list of network plugins (CNI). PRIVATE to the collection. Pure.

The text is edited and not written again, so that what others wrote stays as it is, byte for byte.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from .._common.errors import ConflictError
from .._common.json_object import json_object
from .._common.messages import quote
from .pod_classes import CNI_VERSIONS

TYPE = "netops-egress-ip"
_ENTRY = f'{{"type": "{TYPE}"}}'
# Their packets do not pass the host's routing.
_BYPASSING = ("macvlan", "ipvlan", "sriov", "host-device", "cilium-cni", "ovn-k8s-cni-overlay", "multus", "multus-shim")


class Chain(NamedTuple):
    """A list of plugins: the type of the first, and the places (start, end) of all in the text, with their types."""

    main: str
    types: tuple[str, ...]
    places: tuple[tuple[int, int], ...]


def with_entry(text: str, path: str) -> str:
    """Return the list with our plugin at its end. Raises ConflictError if it cannot have one."""
    chain = read_chain(text, path)
    if TYPE in chain.types:
        return text
    end = chain.places[-1][1]
    return f"{text[:end]}, {_ENTRY}{text[end:]}"


def without_entry(text: str, path: str) -> str:
    """Return the list without our plugin. Raises ConflictError if it cannot be read."""
    if TYPE not in text:
        return text
    chain = _parse(text, path)
    while TYPE in chain.types:
        place = chain.types.index(TYPE)
        start, end = chain.places[place]
        if place:
            start = chain.places[place - 1][1]
        elif len(chain.places) > 1:
            end = chain.places[1][0]
        text = text[:start] + text[end:]
        chain = _parse(text, path)
    return text


def has_entry(text: str) -> bool:
    """Return whether a list has our plugin."""
    try:
        return TYPE in text and TYPE in _parse(text, "").types
    except ConflictError:
        return False


def read_chain(text: str, path: str) -> Chain:
    """Return the plugins of a list that can have our plugin. Raises ConflictError."""
    chain = _parse(text, path)
    if not chain.places or chain.main == TYPE:
        raise ConflictError(f"{path}: has no plugin that connects pods")
    if chain.main in _BYPASSING:
        raise ConflictError(
            f"{path}: the plugin {quote(chain.main)} takes pods past the host's routing, so they cannot have egress IPs"
        )
    version = json.loads(text).get("cniVersion")
    if version not in CNI_VERSIONS:
        shown = quote(version) if isinstance(version, str) else "nothing"
        raise ConflictError(f"{path}: cniVersion must be one of {', '.join(CNI_VERSIONS)}, not {shown}")
    return chain


def _parse(text: str, path: str) -> Chain:
    plugins = (json_object(text) or {}).get("plugins")
    if not isinstance(plugins, list) or not all(isinstance(each, dict) for each in plugins):
        raise ConflictError(f"{path}: is not a list of network plugins")
    types = tuple(str(each.get("type", "")) for each in plugins)
    return Chain(types[0] if types else "", types, _places(text, len(plugins), path))


def _places(text: str, count: int, path: str) -> tuple[tuple[int, int], ...]:
    """Return the (start, end) of the plugins in the text of a list."""
    decoder = json.JSONDecoder()
    position = _skip(text, _skip(text, 0) + 1)
    found: list[tuple[int, int]] = []
    # A key may be there twice: the last one counts.
    while text[position] == '"':
        key, position = decoder.raw_decode(text, position)
        position = _skip(text, _skip(text, position) + 1)
        start, (value, position) = position, decoder.raw_decode(text, position)
        if key == "plugins" and isinstance(value, list):
            found = _elements(text, start, decoder)
        position = _skip(text, position)
        if text[position] == ",":
            position = _skip(text, position + 1)
    if len(found) != count:
        raise ConflictError(f"{path}: is not a list of network plugins")
    return tuple(found)


def _elements(text: str, position: int, decoder: json.JSONDecoder) -> list[tuple[int, int]]:
    """Return the (start, end) of the elements of an array that starts at a position."""
    found: list[tuple[int, int]] = []
    position = _skip(text, position + 1)
    while text[position] != "]":
        _value, end = decoder.raw_decode(text, position)
        found.append((position, end))
        position = _skip(text, end)
        if text[position] == ",":
            position = _skip(text, position + 1)
    return found


def _skip(text: str, position: int) -> int:
    """Return the position of the next character that is not white space."""
    while text[position : position + 1] in (" ", "\t", "\n", "\r"):
        position += 1
    return position
