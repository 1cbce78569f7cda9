# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fields of an answer that are JSON texts, and limits of texts. PRIVATE. Pure.

Ansible copies the result of a task five times, value by value, in the one process that starts all others.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Collection, Mapping
from typing import Any

# Fields of a result of `node_info` that are JSON texts, and which no task after the plan needs.
TEXTS = ("nodes", "containers")
# In the answer to a run, the field with the JSON text of all other facts.
FACTS = "facts"
# No JSON text of a list begins with it.
_COMPRESSED = "zlib "
# Characters from which on a text is compressed.
_LONG = 4096
# The most characters of a text that are read. 2,000 nodes have 1 million, thousands of containers with labels some.
MOST = 1 << 23
# For each value that is read, a text may have so many characters: each value takes some 80 bytes of memory.
_PER_VALUE = 16
# The most differences of a node from its record that its answer has, each as a line of text.
MOST_DIFFERENCES = 50


def with_texts(facts: Mapping[str, object]) -> dict[str, object]:
    """Return facts in which the fields TEXTS are JSON texts, compressed if they are long.

    In a fleet of 300 nodes the records of other nodes have 90,000 entries.
    """
    texts = {name: json.dumps(facts[name], separators=(",", ":")) for name in TEXTS if name in facts}
    return {**facts, **{name: text if len(text) < _LONG else _compressed(text) for name, text in texts.items()}}


def with_plain_texts(facts: Mapping[str, object]) -> dict[str, object]:
    """Return the result of `with_texts` without compression. A text that cannot be decompressed stays as it is."""
    texts = {name: text for name in TEXTS if isinstance(text := facts.get(name), str)}
    return {**facts, **{name: plain_text(text) for name, text in texts.items()}}


def with_facts_as_text(result: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """Return a result in which the fields of these names, if it has some, are one JSON text, the field FACTS."""
    facts = {name: value for name, value in result.items() if name in names}
    others = {name: value for name, value in result.items() if name not in names}
    return {**others, FACTS: json.dumps(facts, separators=(",", ":"))} if facts else others


def with_facts_as_values(result: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what `with_facts_as_text` was given; of facts that are nested too deeply to be read, nothing."""
    if FACTS not in result:
        return result
    others = {name: value for name, value in result.items() if name != FACTS}
    try:
        return {**others, **json.loads(result[FACTS])}
    except RecursionError:
        return others


def is_readable(text: str, most: int) -> bool:
    """Return whether a JSON text has at most `most` characters, and at most one value for each 16 of these.

    Without the second limit, a text of empty lists would take 25 times its size.
    """
    return len(text) <= most and sum(map(text.count, ",[{")) <= most // _PER_VALUE


def _compressed(text: str) -> str:
    return _COMPRESSED + base64.b64encode(zlib.compress(text.encode())).decode()


def plain_text(text: str) -> str:
    """Return a text of `with_texts` without compression; one that cannot be decompressed as it is."""
    if not text.startswith(_COMPRESSED):
        return text
    decompressor = zlib.decompressobj()
    try:
        # A faulty node must not fill the memory of the controller.
        found = decompressor.decompress(base64.b64decode(text[len(_COMPRESSED) :], validate=True), MOST).decode()
    except (ValueError, zlib.error):
        return text
    return found if decompressor.eof else text
