# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The transaction between two states of our nftables tables. PRIVATE to the collection. No I/O."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Mapping, TypeVar

from .nft_table import (
    COMMENT,
    INET,
    INTERVALS,
    NETDEV,
    TABLE,
    ChainState,
    Elements,
    SetState,
    TableState,
    element,
    fingerprint,
    is_followed,
)
from .pod_classes import ELEMENTS_PER_LINE

# {family: TableState}
Tables = Mapping[str, TableState]
Item = TypeVar("Item")


def script(current: Tables, desired: Tables, rebuilt: Collection[str] = ()) -> list[str]:
    """Return the lines for `nft -f` that lead from `current` to `desired`, in one transaction; none when equal.

    A family without an entry has no table. The tables of the families in `rebuilt` are deleted and created.
    """
    lines: list[str] = []
    for family in (NETDEV, INET):
        lines += _table_script(family, current.get(family), desired.get(family), family in rebuilt)
    return lines


def _table_script(family: str, current: TableState | None, desired: TableState | None, rebuilt: bool) -> list[str]:
    target = f"{family} {TABLE}"
    if desired is None:
        return [] if current is None else [f"delete table {target}"]
    creation = [f"add table {target}", *_additions(target, desired, TableState(family))]
    if current is None:
        return creation
    if not rebuilt and _same_frame(current, desired):
        lines = _additions(target, desired, current)
        # `state.Transaction` adds the pods' addresses again: a chain to which one of them leads cannot be deleted.
        return [*_flushes(target, desired, current), *lines] if lines else []
    return [f"delete table {target}", *creation]


def _same_frame(current: TableState, desired: TableState) -> bool:
    """Return whether the table can be changed in place: all common sets and chains have equal headers."""
    return (
        current.flags == desired.flags
        and all(item.header == current.sets[name].header for name, item in desired.sets.items() if name in current.sets)
        and all(
            item.header == current.chains[name].header
            for name, item in desired.chains.items()
            if name in current.chains
        )
    )


def _additions(target: str, desired: TableState, current: TableState) -> list[str]:
    """Return the lines that turn `current` into `desired`, ordered so that each line refers to existing items."""
    lines = [f"add chain {target} {name} {c.definition}".rstrip() for name, c in _new(desired.chains, current.chains)]
    lines += [f"add {item.kind} {target} {name} {item.definition}" for name, item in _new(desired.sets, current.sets)]
    lines += [f"add counter {target} {name}" for name in sorted(desired.counters - current.counters)]
    for name, chain in sorted(desired.chains.items()):
        have = current.chains.get(name, ChainState("")).fingerprints
        if have != chain.fingerprints:
            lines += [f"flush chain {target} {name}"] if have else []
            lines += [f'add rule {target} {name} {rule} comment "{COMMENT}{fingerprint(rule)}"' for rule in chain.rules]
    for name, item in sorted(desired.sets.items()):
        lines += _element_lines(target, name, current.sets.get(name, SetState("", "", {})).elements, item)
    gone = sorted(set(current.chains) - set(desired.chains))
    lines += [f"flush chain {target} {name}" for name in gone]
    lines += [f"delete set {target} {name}" for name in sorted(set(current.sets) - set(desired.sets))]
    lines += [f"delete counter {target} {name}" for name in sorted(current.counters - desired.counters)]
    return lines + [f"delete chain {target} {name}" for name in gone]


def _flushes(target: str, desired: TableState, current: TableState) -> list[str]:
    followed = [name for name in sorted(current.sets) if is_followed(name) and name in desired.sets]
    return [f"flush {current.sets[name].kind} {target} {name}" for name in followed]


def _new(desired: Mapping[str, Item], current: Mapping[str, Item]) -> list[tuple[str, Item]]:
    return [(name, item) for name, item in sorted(desired.items()) if name not in current]


def _element_lines(target: str, name: str, current: Elements, item: SetState) -> list[str]:
    desired = item.elements
    gone = {key: value for key, value in current.items() if key not in desired or desired[key] != value}
    new = {key: value for key, value in desired.items() if key not in current or current[key] != value}
    if gone and new and INTERVALS in item.definition:
        # nft 0.9.8 refuses a network that overlaps with one that the same transaction deletes.
        return [f"flush {item.kind} {target} {name}", *_changed_elements("add", target, name, desired)]
    return [*_changed_elements("delete", target, name, gone), *_changed_elements("add", target, name, new)]


def _changed_elements(verb: str, target: str, name: str, elements: Elements) -> list[str]:
    words = [element(key, value) for key, value in sorted(elements.items())]
    chunks = [words[i : i + ELEMENTS_PER_LINE] for i in range(0, len(words), ELEMENTS_PER_LINE)]
    return [f"{verb} element {target} {name} {{ {', '.join(chunk)} }}" for chunk in chunks]


def rebuildable(current: Tables, known: Tables) -> dict[str, TableState]:
    """Return the tables `current`, which were read, completed with the texts of rules and the device of `known`.

    A table with a flag or a rule of unknown text is replaced by the known one.
    """
    return {family: _rebuildable_table(table, known[family]) for family, table in current.items()}


def _rebuildable_table(table: TableState, known: TableState) -> TableState:
    texts = known.texts()
    if table.flags or any(key not in texts for chain in table.chains.values() for key in chain.fingerprints):
        return known
    chains = {
        name: replace(
            chain,
            rules=tuple(texts[key] for key in chain.fingerprints),
            device=known.chains.get(name, ChainState("")).device,
        )
        for name, chain in table.chains.items()
    }
    return replace(table, chains=chains)
