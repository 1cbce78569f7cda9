# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An nftables table as a value, and the reading of one. PRIVATE to the collection. Pure.

Sets and maps with their elements, chains with their rules. Each rule carries a fingerprint of its own text as its
comment, so that a rule which somebody deleted, moved, replaced or added shows when the table is read back.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
from dataclasses import dataclass

TABLE = "egress_ip"
INET, NETDEV = "inet", "netdev"
# Stands for the flags of a table that cannot be read: nft 1.0.6 prints broken JSON for one that somebody made dormant.
UNREADABLE = "unreadable"
COMMENT = "egress_ip:"
# In the definition of a set of networks.
INTERVALS = "flags interval;"


@dataclass(frozen=True)
class SetState:
    """A set or map: `kind` says which, `definition` is nft's words, `elements` {key: value}, value None in a set."""

    kind: str
    definition: str
    elements: dict

    @property
    def header(self):
        """Return what cannot be changed in place."""
        return f"{self.kind} {self.definition}"


@dataclass(frozen=True)
class ChainState:
    """A chain: `header` is its hook in nft's words (empty for a chain that is jumped to).

    `rules` are texts in what is wanted; `fingerprints` stand for them in what is read back. `device` is what a netdev
    chain hangs on; `nft -j` does not tell it, so it takes no part in comparisons.
    """

    header: str
    fingerprints: tuple
    rules: tuple = ()
    device: str = ""

    @property
    def definition(self):
        """Return the words that follow the chain's name in `add chain`."""
        if not self.device:
            return self.header
        return self.header.replace(" priority ", f' device "{self.device}" priority ', 1)


@dataclass(frozen=True)
class TableState:
    """One table of ours. `counters` are the names of its counters; what they count is no part of the state."""

    family: str
    sets: dict
    chains: dict
    flags: str = ""
    counters: frozenset = frozenset()

    def lines(self):
        """Return the table as a set of one-line facts; rules stand there by their fingerprints (see `texts`)."""
        facts = [f"nft {self.family} {TABLE}{' ' + self.flags if self.flags else ''}"]
        facts += [f"nft {self.family} counter {name}" for name in self.counters]
        for name, item in self.sets.items():
            facts.append(f"nft {self.family} {item.kind} {name} {item.definition}")
            facts += [f"nft {self.family} {name} {element(key, value)}" for key, value in item.elements.items()]
        for name, item in self.chains.items():
            facts.append(f"nft {self.family} chain {name} {item.header}".rstrip())
            facts += [f"nft {self.family} chain {name} rule {i}: {text}" for i, text in enumerate(item.fingerprints)]
        return frozenset(facts)

    def texts(self):
        """Return {fingerprint: text} of the rules, for people."""
        return {mark: text for chain in self.chains.values() for mark, text in zip(chain.fingerprints, chain.rules)}


def element(key, value):
    return key if value is None else f"{key} : {value}"


def fingerprint(rule):
    """Return what stands for the text of a rule in its comment."""
    return hashlib.sha256(rule.encode()).hexdigest()[:12]


def chain_of(header, *rules):
    return ChainState(header, tuple(fingerprint(rule) for rule in rules), rules)


def base_chain(kind, hook, priority, policy="accept"):
    return f"{{ type {kind} hook {hook} priority {priority}; policy {policy}; }}"


def parse_table(text, family):
    """Read what `nft -j list table` printed; None when the text holds no table."""
    try:
        objects = json.loads(text)["nftables"]
    except (ValueError, KeyError, TypeError):
        return TableState(family, {}, {}, UNREADABLE)
    tables = [item["table"] for item in objects if "table" in item]
    if not tables:
        return None
    flags = tables[0].get("flags", ())
    sets = [item.get("set") or item.get("map") for item in objects if "set" in item or "map" in item]
    chains = [item["chain"] for item in objects if "chain" in item]
    rules = {}
    for item in objects:
        if "rule" in item:
            rules.setdefault(item["rule"]["chain"], []).append(_read_fingerprint(item["rule"]))
    return TableState(
        family=tables[0]["family"],
        sets={
            item["name"]: SetState(*_set_header(item), dict(map(_read_element, item.get("elem", ())))) for item in sets
        },
        chains={item["name"]: ChainState(_chain_header(item), tuple(rules.get(item["name"], ()))) for item in chains},
        flags=flags if isinstance(flags, str) else " ".join(flags),
        counters=frozenset(item["counter"]["name"] for item in objects if "counter" in item),
    )


def parse_counters(text):
    """Read what `nft -j list counters` printed: {name: (packets, bytes)}."""
    found = [item["counter"] for item in json.loads(text)["nftables"] if "counter" in item]
    return {item["name"]: (item["packets"], item["bytes"]) for item in found}


def _set_header(item):
    words = [f"type {_concatenated(item['type'])}" + (f" : {item['map']}" if "map" in item else "") + ";"]
    if item.get("flags"):
        words.append(f"flags {','.join(item['flags'])};")
    return "map" if "map" in item else "set", f"{{ {' '.join(words)} }}"


def _concatenated(kind):
    return " . ".join(kind) if isinstance(kind, list) else kind


def _chain_header(item):
    if "hook" not in item:
        return ""
    return base_chain(item["type"], item["hook"], item["prio"], item.get("policy", "accept"))


def _read_element(element):
    if isinstance(element, list):
        return _read_key(element[0]), _read_value(element[1])
    return _read_key(element), None


def _read_key(key):
    if isinstance(key, dict) and "elem" in key:
        key = key["elem"]["val"]
    if isinstance(key, dict) and "prefix" in key:
        return f"{key['prefix']['addr']}/{key['prefix']['len']}"
    if isinstance(key, dict) and "range" in key:
        return _read_range(*key["range"])
    return f"{key:#010x}" if isinstance(key, int) else str(key)


def _read_range(first, last):
    """Return a range in nft's words: a network where it is one, which nft 0.9.8 does not say of the last of all."""
    networks = list(ipaddress.summarize_address_range(ipaddress.ip_address(first), ipaddress.ip_address(last)))
    return str(networks[0]) if len(networks) == 1 else f"{first}-{last}"


def _read_value(value):
    if isinstance(value, dict):
        verb, detail = next(iter(value.items()))
        return f"{verb} {detail['target']}" if detail else verb
    return f"{value:#010x}" if isinstance(value, int) else str(value)


def _read_fingerprint(rule):
    comment = rule.get("comment", "")
    return comment[len(COMMENT) :] if comment.startswith(COMMENT) else f"foreign rule, handle {rule['handle']}"
