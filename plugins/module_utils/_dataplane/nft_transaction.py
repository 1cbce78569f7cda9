# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way from one state of our nftables tables to another, as one transaction. PRIVATE to the collection. Pure."""

from __future__ import annotations

from dataclasses import replace

from .nft_table import COMMENT, INET, INTERVALS, NETDEV, TABLE, ChainState, SetState, TableState, element, fingerprint

# A line of elements stays within what every nft version reads at once.
_ELEMENTS_PER_LINE = 500


def script(current, desired, anew=()):
    """Return the lines for one `nft -f` transaction from {family: TableState} to {family: TableState}; [] when equal.

    A family that is missing in either one has no table there. Families in `anew` are built from nothing.
    """
    lines = []
    for family in (NETDEV, INET):
        lines += _table_script(family, current.get(family), desired.get(family), family in anew)
    return lines


def _table_script(family, current, desired, anew):
    target = f"{family} {TABLE}"
    if desired is None:
        return [] if current is None else [f"delete table {target}"]
    if current is None:
        return [f"add table {target}", *_additions(target, desired, TableState(family, {}, {}))]
    if not anew and _same_frame(current, desired):
        return _additions(target, desired, current)
    return [f"delete table {target}", f"add table {target}", *_additions(target, desired, TableState(family, {}, {}))]


def _same_frame(current, desired):
    """Tell whether the table can be changed in place: nothing that both have is defined in another way."""
    return current.flags == desired.flags and all(
        theirs[name].header == ours[name].header
        for theirs, ours in ((current.sets, desired.sets), (current.chains, desired.chains))
        for name in set(theirs) & set(ours)
    )


def _additions(target, desired, current):
    """Return the lines that make `current` the table `desired`, in an order in which each line finds what it names."""
    lines = [f"add chain {target} {name} {c.definition}".rstrip() for name, c in _new(desired.chains, current.chains)]
    lines += [f"add {item.kind} {target} {name} {item.definition}" for name, item in _new(desired.sets, current.sets)]
    lines += [f"add counter {target} {name}" for name in sorted(desired.counters - current.counters)]
    for name, chain in sorted(desired.chains.items()):
        have = current.chains.get(name, ChainState("", ())).fingerprints
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


def _new(desired, current):
    return [(name, item) for name, item in sorted(desired.items()) if name not in current]


def _element_lines(target, name, current, item):
    desired = item.elements
    gone = {key: value for key, value in current.items() if key not in desired or desired[key] != value}
    new = {key: value for key, value in desired.items() if key not in current or current[key] != value}
    flushed = gone and new and INTERVALS in item.definition
    if flushed:
        # nft 0.9.8 refuses a network that overlaps with one that the same transaction deletes by itself.
        gone, new = {}, desired
    return [f"flush {item.kind} {target} {name}"] * bool(flushed) + [
        f"{verb} element {target} {name} {{ {', '.join(element(*item) for item in chunk)} }}"
        for verb, elements in (("delete", gone), ("add", new))
        for chunk in _chunks(sorted(elements.items()))
    ]


def _chunks(items):
    return [items[i : i + _ELEMENTS_PER_LINE] for i in range(0, len(items), _ELEMENTS_PER_LINE)]


def rebuildable(current, known):
    """Return the {family: TableState} that was read with what reading does not tell: rules' texts and a hook's device.

    They come from the tables `known`; a table with a flag or an unknown rule becomes the known one.
    """
    return {family: _rebuildable_table(table, known[family]) for family, table in current.items()}


def _rebuildable_table(table, known):
    texts, nothing = known.texts(), ChainState("", ())
    if table.flags or any(mark not in texts for chain in table.chains.values() for mark in chain.fingerprints):
        return known
    chains = {
        name: replace(
            chain,
            rules=tuple(texts[mark] for mark in chain.fingerprints),
            device=known.chains.get(name, nothing).device,
        )
        for name, chain in table.chains.items()
    }
    return replace(table, chains=chains)
