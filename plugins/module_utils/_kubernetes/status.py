# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The status of EgressIP objects and the Events of moves, as a cluster stores them. PRIVATE to the collection. Pure."""

from __future__ import annotations

from typing import Any, Iterable, Mapping, NamedTuple, Sequence

from .._common.addresses import address_order
from .clusters import own_name, own_node_name
from .objects import API_VERSIONS

# Events of objects without a namespace are in this one.
EVENT_NAMESPACE = "default"
_COMPONENT = "netops.egress_ip"
_Items = Sequence[Mapping[str, str]]


class ClusterOutcome(NamedTuple):
    """What a run has reached: {name of an EgressIP: its ``status.items``} and {name: its moves}."""

    items: Mapping[str, _Items]
    moves: Mapping[str, Sequence[Mapping[str, Any]]]


class StatusChange(NamedTuple):
    """An object of a cluster whose status differs; ``name`` is that in the cluster, ``uid`` may be empty."""

    name: str
    uid: str
    before: list[Mapping[str, str]]
    after: list[Mapping[str, str]]
    moves: Sequence[Mapping[str, Any]]


def outcome(stats: Mapping[str, Any], nodes: Mapping[str, str]) -> ClusterOutcome:
    """Return the ClusterOutcome of the data of a report; ``nodes`` is {inventory host: name of its Node object}.

    An address that its node did not claim is not in the status.
    """
    missing = {entry["egressIP"] for key in ("conflicts", "withheld") for entry in stats[key]}
    owners = {entry["egressIP"]: entry["name"] for entry in stats["assignments"] if entry["egressIP"] not in missing}
    items: dict[str, list[Mapping[str, str]]] = {}
    for entry in stats["assignments"]:
        if entry["egressIP"] in owners:
            node = nodes.get(entry["node"], entry["node"])
            items.setdefault(entry["name"], []).append({"node": node, "egressIP": entry["egressIP"]})
    moves: dict[str, list[Mapping[str, Any]]] = {}
    for move in stats["moves"]:
        if move["egressIP"] in owners:
            ends = {key: nodes.get(move[key], move[key]) for key in ("from", "to")}
            moves.setdefault(owners[move["egressIP"]], []).append({**move, **ends})
    return ClusterOutcome(items, moves)


def status_changes(cluster: str, documents: Iterable[object], reached: ClusterOutcome) -> list[StatusChange]:
    """Return the objects of a cluster whose status is to be written; ``documents`` are as its API server lists them.

    ``cluster`` is the name that qualifies its objects, empty for none. An object without an address and without a
    status stays as it is.
    """
    qualified = {own_name(name, cluster): name for name in {*reached.items, *reached.moves}}
    found = []
    for document in documents:
        metadata = document.get("metadata") if isinstance(document, dict) else None
        name = metadata.get("name") if isinstance(metadata, dict) else None
        if isinstance(document, dict) and isinstance(metadata, dict) and isinstance(name, str):
            key = qualified.get(name, "")
            before, after = _items(document), _of_cluster(reached.items.get(key, ()), cluster)
            if before != after:
                uid = metadata.get("uid")
                shown = uid if isinstance(uid, str) else ""
                moves = [_with_own_nodes(move, cluster) for move in reached.moves.get(key, ())]
                found.append(StatusChange(name, shown, before, after, moves))
    return found


def move_event(change: StatusChange, move: Mapping[str, Any], moment: str) -> dict[str, Any]:
    """Return the Event of a move; ``moment`` is the time in RFC 3339 form."""
    text = f"{move['egressIP']} moved from {move['from']} to {move['to']}"
    involved = {"apiVersion": API_VERSIONS["EgressIP"], "kind": "EgressIP", "name": change.name}
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": f"{change.name}.", "namespace": EVENT_NAMESPACE},
        "involvedObject": {**involved, **({"uid": change.uid} if change.uid else {})},
        "type": "Normal",
        "reason": "EgressIPMoved",
        "message": f"{text} ({move['reason']})" if move.get("reason") else text,
        "source": {"component": _COMPONENT},
        "firstTimestamp": moment,
        "lastTimestamp": moment,
        "count": 1,
    }


def _of_cluster(items: _Items, cluster: str) -> list[Mapping[str, str]]:
    return sorted((_with_own_nodes(item, cluster) for item in items), key=_order)


def _with_own_nodes(value: Mapping[str, Any], cluster: str) -> dict[str, Any]:
    """Return an item or move with the names that nodes have in their cluster."""
    return {key: own_node_name(each, cluster) if key in ("node", "from", "to") else each for key, each in value.items()}


def _items(document: Mapping[str, Any]) -> list[Mapping[str, str]]:
    """Return the well-formed items of a status in the order of their addresses; a malformed one is to be replaced."""
    status = document.get("status")
    listed = status.get("items") if isinstance(status, dict) else None
    items = [item for item in (listed if isinstance(listed, list) else ()) if isinstance(item, dict)]
    items = [item for item in items if isinstance(item.get("egressIP"), str) and isinstance(item.get("node"), str)]
    return sorted(({"node": item["node"], "egressIP": item["egressIP"]} for item in items), key=_order)


def _order(item: Mapping[str, str]) -> tuple[Any, ...]:
    try:
        return (0, *address_order(item["egressIP"]), item["node"])
    except ValueError:
        return (1, item["egressIP"], item["node"])
