# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The class of a pod that starts between runs: what applies to its packets. PRIVATE to the collection. Pure.

The program that starts with each pod uses it: it imports almost nothing, since imports take most of the time of such a
start. `admission` compiles the rules, a JSON-safe dict, from the state of the node.

A note of a pod is a JSON-safe dict: `name` ("NAMESPACE/NAME", empty for one that is no pod of Kubernetes), `addresses`,
`labels` (None if they were not needed, or could not be read), and `verdicts` {address: verdict of nftables}.
"""

from __future__ import annotations

from .._common.pod_rules import meets, that_can_apply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any, Mapping

    Rules = Mapping[str, Any]
    Note = Mapping[str, Any]

KEEP, DROP = "return", "drop"
# The versions of the CNI specification that the program supports.
CNI_VERSIONS = ("0.3.1", "0.4.0", "1.0.0", "1.1.0")
# The elements of these sets and maps come and go with pods. They are not part of a state.
CLASSES, SELECTED = "followed", "followed_selected"
# Every nft version accepts a line with this many elements.
ELEMENTS_PER_LINE = 500
# The values of `nft_table` and `numbers`, whose import would cost more than the rest.
_TABLE = "inet egress_ip"
_POLICY = "dir fwd action block priority 4294967226"
DELETE_POLICIES = ("xfrm", "policy", "deleteall", *_POLICY.split())
_LENGTHS = {"4": 32, "6": 128}


def needs_labels(rules: Rules, namespace: str) -> bool:
    """Return whether the labels of a pod decide which objects select it."""
    return any(requirements is not None for _name, requirements in rules["namespaces"].get(namespace, ()))


def lacks_labels(rules: Rules, note: Note) -> bool:
    """Return whether a pod is closed because its labels decide and are not known."""
    closed = note["labels"] is None and DROP in note["verdicts"].values()
    return closed and needs_labels(rules, note["name"].partition("/")[0])


def classify(
    rules: Rules, namespace: str, labels: Mapping[str, str] | None, addresses: Sequence[str]
) -> dict[str, str]:
    """Return {address: verdict}. A pod whose `labels` are needed and not known (None) is closed."""
    return {address: _verdict(rules, namespace, labels, version_of(address)) for address in addresses}


def _verdict(rules: Rules, namespace: str, labels: Mapping[str, str] | None, version: str) -> str:
    own = rules["namespaces"].get(namespace)
    if own is None:
        return str(rules["unknown"])
    if labels is None and needs_labels(rules, namespace):
        return DROP
    names = [name for name, requirements in own if _selects(requirements or (), labels or {})]
    return verdict_of(rules, names, version)


def _selects(requirements: Sequence[Any], labels: Mapping[str, str]) -> bool:
    return all(meets(key, operator, values, labels) for key, operator, values in requirements)


def verdict_of(rules: Rules, names: Iterable[str], version: str) -> str:
    """Return the verdict for a pod that these objects select, in the order of their names.

    Those with an assigned egress IP of the version go first. A combination for which there is no chain yet is closed.
    """
    objects = rules["objects"]
    ordered = sorted(names, key=lambda name: version not in objects[name]["assigned"])
    applying = that_can_apply((name, objects[name]["everywhere"]) for name in ordered)
    if not applying:
        return KEEP
    if len(applying) == 1 and objects[applying[0]]["everywhere"]:
        return f"goto {objects[applying[0]]['chain']}"
    chain = rules["choices"].get(" ".join(applying))
    return f"goto {chain}" if chain else DROP


def version_of(address: str) -> str:
    """Return "4" or "6"."""
    return "6" if ":" in address else "4"


def all_verdicts(notes: Iterable[Note]) -> dict[str, str]:
    """Return {address: verdict} of all pods; of two with one address, the later one has it."""
    return {address: verdict for note in notes for address, verdict in note["verdicts"].items()}


def add_lines(verdicts: Mapping[str, str]) -> list[str]:
    """Return the lines for `nft -f` that add addresses which are not there yet."""
    lines = []
    for version in ("4", "6"):
        own = {address: verdict for address, verdict in verdicts.items() if version_of(address) == version}
        classes = [f"{address} : {verdict}" for address, verdict in sorted(own.items())]
        lines += _element_lines(f"{CLASSES}{version}", classes)
        lines += _element_lines(f"{SELECTED}{version}", sorted(item for item in own if own[item] != KEEP))
    return lines


def _element_lines(name: str, elements: Sequence[str]) -> list[str]:
    chunks = [elements[i : i + ELEMENTS_PER_LINE] for i in range(0, len(elements), ELEMENTS_PER_LINE)]
    return [f"add element {_TABLE} {name} {{ {', '.join(chunk)} }}" for chunk in chunks]


def replace_lines(verdicts: Mapping[str, str]) -> list[str]:
    """Return the lines for `nft -f` after which there are these addresses and no others."""
    flushed = [f"flush {kind} {_TABLE} {name}{v}" for v in "46" for kind, name in (("map", CLASSES), ("set", SELECTED))]
    return [*flushed, *add_lines(verdicts)]


def policy_lines(rules: Rules, verdicts: Mapping[str, str]) -> list[str]:
    """Return the lines for `ip -batch` that stop packets of selected pods while the tables are gone."""
    selected = [f"{address}/{_LENGTHS[version_of(address)]}" for address, v in sorted(verdicts.items()) if v != KEEP]
    covered = {*rules["covered"]}
    return [
        f"xfrm policy update src {source} mark 0x0 mask {rules['mask']:#x} {_POLICY}"
        for source in selected
        if source not in covered
    ]
