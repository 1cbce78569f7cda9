# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fields of an answer that are JSON texts. PRIVATE. Pure."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping

# Fields of a result of `node_info` that are JSON texts, and which no task after the plan needs.
TEXTS = ("nodes", "containers")
# No JSON text of a list begins with it.
_COMPRESSED = "zlib "
# Characters from which on a text is compressed.
_LONG = 4096
# The most characters of a text that are read. 2,000 nodes have 1 million, thousands of containers with labels some.
MOST = 1 << 23


def with_texts(facts: Mapping[str, object]) -> dict[str, object]:
    """Return facts in which the fields TEXTS are JSON texts, compressed if they are long.

    Ansible checks and copies an answer value by value. In a fleet of 300 nodes the records of other nodes have 90,000
    entries.
    """
    texts = {name: json.dumps(facts[name], separators=(",", ":")) for name in TEXTS if name in facts}
    return {**facts, **{name: text if len(text) < _LONG else _compressed(text) for name, text in texts.items()}}


def with_plain_texts(facts: Mapping[str, object]) -> dict[str, object]:
    """Return the result of `with_texts` without compression. A text that cannot be decompressed stays as it is."""
    texts = {name: facts[name] for name in TEXTS if name in facts}
    return {**facts, **{name: _plain(text) for name, text in texts.items()}}


def _compressed(text: str) -> str:
    return _COMPRESSED + base64.b64encode(zlib.compress(text.encode())).decode()


def _plain(text: object) -> object:
    if not isinstance(text, str) or not text.startswith(_COMPRESSED):
        return text
    decompressor = zlib.decompressobj()
    try:
        # A faulty node must not fill the memory of the controller.
        found = decompressor.decompress(base64.b64decode(text[len(_COMPRESSED) :], validate=True), MOST).decode()
    except (ValueError, zlib.error):
        return text
    return found if decompressor.eof else text
