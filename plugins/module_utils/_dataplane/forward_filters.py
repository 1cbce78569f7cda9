# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of others that drop what they do not accept of the forwarded packets. PRIVATE to the collection. No I/O.

The input is the text of `nft list`, which contains the rules of iptables-nft too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from .nft_table import TABLE

_TABLE = re.compile(r"table (ip|ip6|inet) (\S+) \{")
_CHAIN = re.compile(r"\tchain (\S+) \{\n(.*?)^\t\}", re.MULTILINE | re.DOTALL)
_HOOK = re.compile(r"type filter hook forward .*?policy (\w+);")
# A rule without a condition.
_REFUSES_ALL = re.compile(r"(counter( packets \d+ bytes \d+)? )?(drop|reject( with .+)?)")
_NAMES = re.compile(r'"([^"\n]+)"')


class ForwardFilter(NamedTuple):
    """A chain that drops forwarded packets, by default or by its last rule, in a table without our tunnel device."""

    family: str
    table: str
    chain: str


def forward_tables(chains: str) -> list[tuple[str, str]]:
    """Return the (family, name) of the tables with a filter at the hook forward; `chains` is that of `list chains`."""
    return [(family, name) for family, name, text in _tables(chains) if any(True for _chain in _filters(text))]


def missing_exceptions(tables: Mapping[tuple[str, str], str], device: str) -> list[ForwardFilter]:
    """Return the filters of {(family, name): text} that drop forwarded packets, and have no rule for `device`."""
    found = []
    for (family, name), text in sorted(tables.items()):
        if not any(_matches(pattern, device) for pattern in _NAMES.findall(text)):
            found += [ForwardFilter(family, name, chain) for chain, drops in _filters(text) if drops]
    return found


def _tables(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield the (family, name, text) of the tables of others."""
    starts = list(_TABLE.finditer(text))
    ends = [match.start() for match in starts[1:]] + [len(text)]
    for match, end in zip(starts, ends):  # noqa: B905
        if match[2] != TABLE:
            yield match[1], match[2], text[match.start() : end]


def _filters(text: str) -> Iterator[tuple[str, bool]]:
    """Yield (name, whether it drops what no rule accepts) of the chains at the hook forward."""
    for name, body in _CHAIN.findall(text):
        hook = _HOOK.search(body)
        if hook:
            rules = [line.strip() for line in body.splitlines() if line.strip()]
            yield name, hook[1] == "drop" or _REFUSES_ALL.fullmatch(rules[-1]) is not None


def _matches(pattern: str, device: str) -> bool:
    return pattern == device or (pattern.endswith("*") and device.startswith(pattern[:-1]))
