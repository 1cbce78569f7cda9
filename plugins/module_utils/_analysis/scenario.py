# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The changes that a simulation assumes: nodes and objects that are lost, changed or new. PRIVATE to the collection.

Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from .._common.errors import Errors, InvalidError
from .._common.messages import quote
from .._common.validation import check_fields, check_list, check_mapping, check_string, did_you_mean, plain
from .._kubernetes.annotations import POOL, POOL_SIZE
from .._kubernetes.objects import API_VERSIONS, EgressIP, read_egressip
from .._planner.nodes import Node
from .._planner.requests import Requests, read_requests, requests_of

PATH = "egress_ip_what_if"
_FIELDS = ("down", "drain", "nodes", "egressips", "removed_egressips")
_NODE_FIELDS = ("labels", "remove_labels", "capacity", "networks")
_EGRESSIP_FIELDS = ("egressIPs", "annotations")


class FleetAfter(NamedTuple):
    """A fleet after a run: ``requests``, and ``nodes`` and ``current`` as ``make_plan`` takes them.

    ``answering`` are the names of the nodes that answer, of which ``needed`` are needed for a run.
    """

    requests: Requests
    nodes: tuple[Mapping[str, Any], ...]
    current: tuple[Mapping[str, Any], ...]
    answering: tuple[str, ...]
    needed: int

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> FleetAfter:
        """Return the fleet of the dict that ``to_dict`` returned."""
        requests = read_requests(value["egressips"], value["owners"])
        return cls(requests, tuple(value["nodes"]), tuple(value["current"]), tuple(value["answering"]), value["needed"])

    def to_dict(self) -> dict[str, Any]:
        """Return ``{egressips, owners, nodes, current, answering, needed}`` in plain dicts and lists."""
        return {
            "egressips": [egressip.document for egressip in self.requests.egressips],
            "owners": dict(self.requests.owners or {}),
            "nodes": list(self.nodes),
            "current": list(self.current),
            "answering": list(self.answering),
            "needed": self.needed,
        }


@dataclass(frozen=True)
class Scenario:
    """A changed fleet: ``requests``, and ``nodes`` as ``make_plan`` takes them; the next three name nodes.

    ``sentences`` describe the changes for a person.
    """

    requests: Requests
    nodes: tuple[Mapping[str, Any], ...]
    down: tuple[str, ...] = ()
    drained: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    sentences: tuple[str, ...] = ()


def read_scenario(changes: object, requests: Requests, nodes: Sequence[Mapping[str, Any]]) -> Scenario:
    """Return the Scenario: Requests and nodes after ``changes``. Raises InvalidError with every error.

    ``changes``: ``{down: [node], drain: [node], nodes: {node: {labels, remove_labels, capacity, networks}},
    egressips: {name: {egressIPs, annotations}}, removed_egressips: [name]}``. A node or an object of a new name is
    added. For an existing one the given fields are replaced, labels and annotations one by one; null removes an
    annotation.
    """
    errors = Errors()
    checked: Mapping[str, Any] = plain(check_mapping(changes, PATH, errors))
    check_fields(checked, f"{PATH}.", _FIELDS, errors)
    by_name = {entry["name"]: entry for entry in nodes}
    wanted = _named_changes(checked, "nodes", _NODE_FIELDS, errors)
    changed = {name: _node(name, change, by_name.get(name), errors) for name, change in wanted.items()}
    after = {**by_name, **changed}
    down, drain = (dict.fromkeys(_known_names(checked, field, after, "node", errors)) for field in ("down", "drain"))
    egressips, sentences = _egressips(checked, requests.egressips, errors)
    errors.raise_if_any()
    return Scenario(
        requests=requests_of(egressips, requests.owners),
        nodes=tuple({**n, "ready": False} if n["name"] in (*down, *drain) else n for n in after.values()),
        down=tuple(down),
        drained=tuple(drain),
        added=tuple(name for name in changed if name not in by_name),
        sentences=(
            *(f"{name} is down" for name in down),
            *(f"{name} is drained" for name in drain),
            *(f"{name} is {'changed' if name in by_name else 'added'}" for name in changed),
            *sentences,
        ),
    )


def _node(name: str, change: Mapping[str, Any], present: Mapping[str, Any] | None, errors: Errors) -> Mapping[str, Any]:
    """Return the node's entry with the change."""
    path = f"{PATH}.nodes.{name}"
    removed = _strings(change, "remove_labels", path, errors)
    fields = {field: value for field, value in change.items() if field != "remove_labels" and field in _NODE_FIELDS}
    try:
        read = Node.from_dict({"name": name, **fields}).to_dict()
    except InvalidError as error:
        for line in error.errors:
            errors.add(*_at(line, (f"node/{name}: ",), path))
        return present or {"name": name}
    if present is None:
        if "networks" not in fields:
            errors.add(f"{path}.networks", "is missing; there is no node of this name, and a new one needs them")
        return read
    has = present.get("labels") or {}
    for index, key in enumerate(removed):
        _check_known(key, has, f"label of {name}", f"{path}.remove_labels[{index}]", errors)
    labels = {**has, **{key: "" if v is None else v for key, v in read["labels"].items()}}
    labels = {key: value for key, value in labels.items() if key not in removed}
    return {**present, **{field: read[field] for field in fields}, "labels": labels}


def _egressips(
    changes: Mapping[str, Any], egressips: Iterable[EgressIP], errors: Errors
) -> tuple[list[EgressIP], list[str]]:
    """Return the changed objects, and sentences."""
    wanted = _named_changes(changes, "egressips", _EGRESSIP_FIELDS, errors)
    present = {egressip.name: egressip.document for egressip in egressips}
    removed = _known_names(changes, "removed_egressips", present, "EgressIP", errors)
    for name in removed:
        if name in wanted:
            errors.add(f"{PATH}.egressips.{name}", "is among removed_egressips too")
    objects = [egressip for egressip in egressips if egressip.name not in wanted and egressip.name not in removed]
    objects += [_egressip(name, change, present.get(name), errors) for name, change in wanted.items()]
    sentences = [f"egressip/{name} is {'changed' if name in present else 'added'}" for name in wanted]
    return objects, [*sentences, *(f"egressip/{name} is removed" for name in removed)]


def _egressip(name: str, change: Mapping[str, Any], present: object, errors: Errors) -> EgressIP:
    """Return the object with the change. A new object selects everything, which makes no difference to a plan."""
    path = f"{PATH}.egressips.{name}"
    document: dict[str, Any] = plain(present) if isinstance(present, dict) else {}
    metadata, spec = _part(document, "metadata"), _part(document, "spec")
    annotations = check_mapping(change.get("annotations", {}), f"{path}.annotations", errors)
    for key in annotations:
        if key in (POOL, POOL_SIZE):
            errors.add(f"{path}.annotations[{quote(key)}]", "cannot be simulated; write the addresses under egressIPs")
    annotations = {**_part(metadata, "annotations"), **annotations}
    made = {
        "apiVersion": API_VERSIONS["EgressIP"],
        "kind": "EgressIP",
        **document,
        "metadata": {**metadata, "name": name, "annotations": {k: v for k, v in annotations.items() if v is not None}},
        "spec": {"namespaceSelector": {}, **spec, **{k: v for k, v in change.items() if k == "egressIPs"}},
    }
    egressip = read_egressip(made)
    for line in egressip.errors:
        errors.add(*_at(line, (f"egressip/{name}: spec.", f"egressip/{name}: metadata."), path))
    return egressip


def _at(line: str, prefixes: Iterable[str], path: str) -> tuple[str, str]:
    """Return (path, text) of an error, with the path that the user wrote."""
    for prefix in prefixes:
        if line.startswith(prefix):
            where, _colon, text = line[len(prefix) :].partition(": ")
            return f"{path}.{where}", text
    return path, line


def _part(mapping: Mapping[str, Any], field: str) -> dict[str, Any]:
    value = mapping.get(field)
    return value if isinstance(value, dict) else {}


def _named_changes(
    changes: Mapping[str, Any], field: str, known: Sequence[str], errors: Errors
) -> dict[str, Mapping[str, Any]]:
    """Return ``{name: {field: value}}`` of a part of the changes."""
    path, found = f"{PATH}.{field}", {}
    for name, change in check_mapping(changes.get(field, {}), path, errors).items():
        if check_string(name, f"{path}: a name", errors) is not None:
            found[name] = check_mapping(change, f"{path}.{name}", errors)
            check_fields(found[name], f"{path}.{name}.", known, errors)
    return found


def _known_names(
    changes: Mapping[str, Any], field: str, known: Collection[str], kind: str, errors: Errors
) -> list[str]:
    """Return a list of names of which each must be known."""
    names = _strings(changes, field, PATH, errors)
    for index, name in enumerate(names):
        _check_known(name, known, kind, f"{PATH}.{field}[{index}]", errors)
    return names


def _check_known(name: str, known: Collection[str], kind: str, path: str, errors: Errors) -> None:
    if name not in known:
        near = did_you_mean(name, list(known))
        hint = f"; did you mean {near}?" if near else ""
        errors.add(path, f"there is no {kind} {quote(name)}{hint}")


def _strings(mapping: Mapping[str, Any], field: str, path: str, errors: Errors) -> list[str]:
    listed = check_list(mapping.get(field, []), f"{path}.{field}", errors)
    names = [check_string(name, f"{path}.{field}[{index}]", errors) for index, name in enumerate(listed)]
    return [name for name in names if name is not None]
