# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An nftables table as a value, and the parser of `nft -j`. PRIVATE to the collection. No I/O.

A table has sets and maps with their elements, and chains with their rules. The comment of each rule is a fingerprint of
its text, so that a deleted, moved, replaced or added rule is visible when the table is read back.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
from dataclasses import dataclass, field
from typing import Any, Dict, Mapping, Optional

from .pod_classes import CLASSES, SELECTED

TABLE = "egress_ip"
INET, NETDEV = "inet", "netdev"
# The flags of a table that cannot be parsed: nft 1.0.6 prints broken JSON for a table with the flag dormant.
UNREADABLE = "unreadable"
COMMENT = "egress_ip:"
# In the definition of a set of networks.
INTERVALS = "flags interval;"
# In the definition of a set whose elements come and go; they are not part of a state.
TIMEOUTS = "flags timeout;"

# {key: value} of a set or map; the value is None in a set.
Elements = Mapping[str, Optional[str]]
# An object of `nft -j`.
Document = Dict[str, Any]


@dataclass(frozen=True)
class SetState:
    """A set or map: `kind` is "set" or "map", `definition` is in the words of nft."""

    kind: str
    definition: str
    elements: Elements

    @property
    def header(self) -> str:
        """Return the properties that nft cannot change in place."""
        return f"{self.kind} {self.definition}"


@dataclass(frozen=True)
class ChainState:
    """A chain: `header` is its hook in the words of nft, empty for the target of a jump.

    `rules` are the texts, unknown (empty) in a chain that was read; `fingerprints` identify them. `device` is the
    device of a netdev chain; `nft -j` does not print it, so comparisons ignore it.
    """

    header: str
    fingerprints: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    device: str = ""

    @property
    def definition(self) -> str:
        """Return the words that follow the chain's name in `add chain`."""
        if not self.device:
            return self.header
        return self.header.replace(" priority ", f' device "{self.device}" priority ', 1)


@dataclass(frozen=True)
class TableState:
    """One of our tables: {name: SetState}, {name: ChainState}, and the names of its counters, without their values."""

    family: str
    sets: Mapping[str, SetState] = field(default_factory=dict)
    chains: Mapping[str, ChainState] = field(default_factory=dict)
    flags: str = ""
    counters: frozenset[str] = frozenset()

    def lines(self) -> frozenset[str]:
        """Return the table as a set of one-line facts, rules as fingerprints (see `texts`)."""
        facts = [f"nft {self.family} {TABLE}{' ' + self.flags if self.flags else ''}"]
        facts += [f"nft {self.family} counter {name}" for name in self.counters]
        for name, item in self.sets.items():
            facts.append(f"nft {self.family} {item.kind} {name} {item.definition}")
            facts += [f"nft {self.family} {name} {element(key, value)}" for key, value in item.elements.items()]
        for name, chain in self.chains.items():
            facts.append(f"nft {self.family} chain {name} {chain.header}".rstrip())
            facts += [f"nft {self.family} chain {name} rule {i}: {key}" for i, key in enumerate(chain.fingerprints)]
        return frozenset(facts)

    def texts(self) -> dict[str, str]:
        """Return {fingerprint: text} of the rules whose text is known."""
        return {key: text for chain in self.chains.values() for key, text in zip(chain.fingerprints, chain.rules)}


def element(key: str, value: str | None) -> str:
    """Return an element of a set (value None) or map in the words of nft."""
    return key if value is None else f"{key} : {value}"


def fingerprint(rule: str) -> str:
    """Return the fingerprint of the text of a rule."""
    return hashlib.sha256(rule.encode()).hexdigest()[:12]


def chain_of(header: str, *rules: str) -> ChainState:
    """Return the chain with this header and these rules."""
    return ChainState(header, tuple(fingerprint(rule) for rule in rules), rules)


def extended(chain: ChainState, *rules: str) -> ChainState:
    """Return a chain with these rules at its end."""
    return chain_of(chain.header, *chain.rules, *rules)


def base_chain(kind: str, hook: str, priority: int, policy: str = "accept") -> str:
    """Return the header of a chain at a hook."""
    return f"{{ type {kind} hook {hook} priority {priority}; policy {policy}; }}"


def parse_table(text: str, family: str) -> TableState | None:
    """Return the table that `nft -j list table` printed, None without one, an UNREADABLE one for other output."""
    objects = _objects(text)
    if objects is None:
        return TableState(family, flags=UNREADABLE)
    tables = [item["table"] for item in objects if "table" in item]
    if not tables:
        return None
    flags = tables[0].get("flags", ())
    sets: list[Document] = [item.get("set") or item["map"] for item in objects if "set" in item or "map" in item]
    chains = [item["chain"] for item in objects if "chain" in item]
    rules: dict[str, list[str]] = {}
    for item in objects:
        if "rule" in item:
            rules.setdefault(item["rule"]["chain"], []).append(_read_fingerprint(item["rule"]))
    return TableState(
        family=tables[0]["family"],
        sets={item["name"]: _read_set(item) for item in sets},
        chains={item["name"]: ChainState(_chain_header(item), tuple(rules.get(item["name"], ()))) for item in chains},
        flags=flags if isinstance(flags, str) else " ".join(flags),
        counters=frozenset(item["counter"]["name"] for item in objects if "counter" in item),
    )


def _objects(text: str) -> list[Document] | None:
    """Return the objects of `nft -j`, None if the text is not such output."""
    try:
        document = json.loads(text)
    except ValueError:
        return None
    objects = document.get("nftables") if isinstance(document, dict) else None
    return objects if isinstance(objects, list) else None


def parse_counters(text: str) -> dict[str, tuple[int, int]]:
    """Return {name: (packets, bytes)} that `nft -j list counters` printed; empty for other output."""
    found = [item["counter"] for item in _objects(text) or () if "counter" in item]
    return {item["name"]: (item["packets"], item["bytes"]) for item in found}


def _read_set(item: Document) -> SetState:
    kind, definition = _set_header(item)
    lasting = item.get("elem", ()) if TIMEOUTS not in definition and not is_followed(item["name"]) else ()
    return SetState(kind, definition, dict(map(_read_element, lasting)))


def is_followed(name: str) -> bool:
    """Return whether the elements of a set or map come and go with pods, so that they are not part of a state."""
    return name.rstrip("46") in (CLASSES, SELECTED)


def _set_header(item: Document) -> tuple[str, str]:
    words = [f"type {_concatenated(item['type'])}" + (f" : {item['map']}" if "map" in item else "") + ";"]
    if item.get("flags"):
        words.append(f"flags {','.join(item['flags'])};")
    return "map" if "map" in item else "set", f"{{ {' '.join(words)} }}"


def _concatenated(kind: Any) -> str:
    return " . ".join(kind) if isinstance(kind, list) else str(kind)


def _chain_header(item: Document) -> str:
    if "hook" not in item:
        return ""
    return base_chain(item["type"], item["hook"], item["prio"], item.get("policy", "accept"))


def _read_element(item: Any) -> tuple[str, str | None]:
    if isinstance(item, list):
        return _read_key(item[0]), _read_value(item[1])
    return _read_key(item), None


def _read_key(key: Any) -> str:
    if isinstance(key, dict) and "elem" in key:
        key = key["elem"]["val"]
    if isinstance(key, dict) and "prefix" in key:
        return f"{key['prefix']['addr']}/{key['prefix']['len']}"
    if isinstance(key, dict) and "range" in key:
        return _read_range(*key["range"])
    return f"{key:#010x}" if isinstance(key, int) else str(key)


def _read_range(first: str, last: str) -> str:
    """Return a range in the words of nft, as a network if it is one: nft 0.9.8 prints the last network as a range."""
    networks = list(ipaddress.summarize_address_range(ipaddress.ip_address(first), ipaddress.ip_address(last)))
    return str(networks[0]) if len(networks) == 1 else f"{first}-{last}"


def _read_value(value: Any) -> str:
    if isinstance(value, dict):
        verb, detail = next(iter(value.items()))
        return f"{verb} {detail['target']}" if detail else verb
    return f"{value:#010x}" if isinstance(value, int) else str(value)


def _read_fingerprint(rule: Document) -> str:
    comment: str = rule.get("comment", "")
    return comment[len(COMMENT) :] if comment.startswith(COMMENT) else f"foreign rule, handle {rule['handle']}"
