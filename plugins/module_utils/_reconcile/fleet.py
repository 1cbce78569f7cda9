# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fleet as the nodes describe it: members, holders of egress IPs, reasons to stop. PRIVATE to the collection. Pure.

The input are the variables of the hosts and the results of the module `node_info`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields
from typing import Any, Collection, Iterable, Mapping, Sequence

from .._common.errors import Errors, InvalidError, InventoryError
from .._common.messages import quote, type_name
from .._kubernetes.objects import ASSIGNABLE, EgressIP, NodeObject
from .._planner.nodes import Node, label_text
from .credibility import (
    Networks,
    Recorded,
    Records,
    confirmed,
    credible_holders,
    false_addresses,
    shared_addresses,
    without_foreign_links,
)
from .node_answer import ANSWER, FAULTY, STOP, UNAVAILABLE, Answer, are_endpoints, member, read_answer
from .node_limits import usable_networks

_FACTS = Mapping[str, Any]
# The fields of a recalled object that belong to one node.
_OF_NODE = ("pods", "networks", "namespaces")
# A run adds one to the highest generation of the nodes, and a node refuses what is not newer than its own. So one node
# with a wrong generation could make the others refuse all later runs. A node that was away is behind, never far ahead.
_GENERATION_JUMP = 2**32
# Names of nodes in records that the reasons of a stop have.
_MOST_VANISHED = 100


@dataclass(frozen=True)
class Fleet:
    """The nodes in one run.

    `nodes` and `current` are what `assign` takes. `eligible` are the names of the nodes that the label or an object's
    egressNodeSelector selects. `members` [{name, endpoints, addresses}] are all nodes that others
    must know, those without an answer as the records of the others have them. `observed` is {name: facts} of the nodes
    that answered. `unavailable` [{name, reason}] are the nodes that did not answer, `faulty` those that answered and
    cannot be used. `recalled` {object: {egressIPs, destinations, excluded_destinations, pods: {node: [address]}}} is
    the recorded state of objects whose manifests have errors. `stop_reasons` are reasons not to continue.
    """

    nodes: tuple[dict[str, Any], ...]
    current: tuple[dict[str, Any], ...]
    eligible: tuple[str, ...]
    members: tuple[Mapping[str, Any], ...]
    observed: dict[str, _FACTS]
    unavailable: tuple[dict[str, str], ...]
    faulty: tuple[dict[str, str], ...]
    recalled: dict[str, Any]
    generation: int
    stop_reasons: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the fleet as a dict of plain values."""
        return {f.name: _plain(getattr(self, f.name)) for f in fields(self)}


def observe_fleet(
    hosts: Sequence[Mapping[str, Any]],
    node_objects: Iterable[NodeObject] = (),
    drain: Collection[str] = (),
    min_available: object = "50%",
    fenced: Collection[str] = (),
    egressips: Iterable[EgressIP] = (),
    forget: Collection[str] = (),
) -> Fleet:
    """Return the Fleet. Each host is {name, labels, capacity, drain, observed}, where `observed` is a task's result,
    or None without one.

    `egressips` are the objects whose egressNodeSelector may select nodes without the label.
    `drain` and `fenced` name nodes that hold nothing: on request, or because they are cut off. `forget` names nodes
    that have left the fleet for good. Raises InventoryError.
    """
    answers = {host["name"]: read_answer(host["observed"]) for host in hosts}
    answers = _without_false_addresses(_without_generation_jumps(_without_stolen_endpoints(answers)))
    observed = {name: answer.facts for name, answer in answers.items() if answer.kind == ANSWER}
    labels = {node.name: node.labels for node in node_objects}
    stop = _lines(answers, STOP)
    stop += _unknown(drain, answers)
    stop += _vanished(observed, {*answers, *forget})
    errors = Errors()
    nodes = _nodes(hosts, observed, labels, {*drain, *fenced}, errors)
    stop += errors.found
    return Fleet(
        nodes=nodes,
        eligible=_eligible(nodes, egressips),
        current=_current(observed),
        members=_members(sorted(answers), observed, {host["name"] for host in hosts if host.get("fence")}),
        observed=observed,
        unavailable=_with_reasons(answers, UNAVAILABLE),
        faulty=_with_reasons(answers, FAULTY),
        recalled=_recalled(observed),
        generation=max((facts["generation"] for facts in observed.values()), default=0),
        stop_reasons=tuple(stop or _too_few(len(observed), len(hosts), min_available, _lines(answers, FAULTY))),
    )


def _nodes(
    hosts: Sequence[Mapping[str, Any]],
    observed: Mapping[str, _FACTS],
    labels: Mapping[str, Mapping[str, str]],
    empty: Collection[str],
    errors: Errors,
) -> tuple[dict[str, Any], ...]:
    """Return the nodes in the form that `assign` takes; adds an error for each malformed variable of a host."""
    # The pods of a single node need no tunnel.
    networks = {
        name: usable_networks(facts) if len(hosts) > 1 else facts["networks"] for name, facts in observed.items()
    }
    named = {host["name"]: host for host in hosts}
    return tuple(
        _node(host, observed.get(name), labels.get(name, {}), empty, networks.get(name, []), errors)
        for name, host in named.items()
    )


def _unknown(drain: Iterable[str], expected: Collection[str]) -> list[str]:
    return [
        f"egress_ip_drain_nodes: must name nodes of the inventory group; {quote(name)} is not one"
        for name in drain
        if name not in expected
    ]


def _current(observed: Mapping[str, _FACTS]) -> tuple[dict[str, Any], ...]:
    """Return [{egressIP, node, name}] of the held egress IPs, without a name where the node reports none."""
    holders = credible_holders(observed)
    return tuple(
        {"egressIP": item["egressIP"], "node": name, **({"name": item["name"]} if "name" in item else {})}
        for name, facts in sorted(observed.items())
        for item in facts["held"]
        if name in holders[item["egressIP"]]
    )


def required_nodes(min_available: object, total: int) -> int:
    """Return how many of `total` nodes must answer: a number, or a percentage of them rounded up as in Kubernetes.

    Raises InventoryError.
    """
    text = str(min_available).strip()
    number = text[:-1] if text.endswith("%") else text
    if not (number.isascii() and number.isdecimal()) or (text.endswith("%") and int(number) > 100):
        raise InventoryError(
            f"egress_ip_min_available: must be a number or a percentage like 50%, not {type_name(min_available)}"
        )
    return -(-total * int(number) // 100) if text.endswith("%") else min(int(number), total)


def _without_stolen_endpoints(answers: dict[str, Answer]) -> dict[str, Answer]:
    """Return the answers, in which of several nodes with one endpoint only the recorded owner is not faulty."""
    claims: dict[str, list[str]] = {}
    for name, answer in answers.items():
        for endpoint in answer.facts.get("endpoints", ()):
            claims.setdefault(endpoint, []).append(name)
    checked = dict(answers)
    for endpoint, names in claims.items():
        if len(names) > 1:
            owner = _recorded_owner(endpoint, names, answers)
            for name in names:
                if name != owner:
                    others = ", ".join(sorted({*names} - {name}))
                    reason = f"gives invalid facts: endpoints: {endpoint} is the endpoint of {others} too"
                    checked[name] = Answer(FAULTY, {}, (reason,))
    return checked


def _without_generation_jumps(answers: Mapping[str, Answer]) -> dict[str, Answer]:
    """Return the answers, in which a node whose generation is far ahead of the next lower one is faulty."""
    checked = dict(answers)
    ranked = sorted((answer.facts["generation"], name) for name, answer in answers.items() if answer.kind == ANSWER)
    jump = 0
    for (lower, _name), (generation, name) in zip(ranked, ranked[1:]):  # noqa: B905
        jump = max(jump, generation - lower)
        if jump > _GENERATION_JUMP:
            reason = f"gives invalid facts: generation: {generation} is far ahead of those of the other nodes"
            checked[name] = Answer(FAULTY, {}, (reason,))
    return checked


def _without_false_addresses(answers: dict[str, Answer]) -> dict[str, Answer]:
    """Return the answers, in which a node is faulty that calls its own what another one holds, or the reverse."""
    observed = {name: answer.facts for name, answer in answers.items() if answer.kind == ANSWER}
    reasons = false_addresses(observed)
    faulty = {name: Answer(FAULTY, {}, (f"gives invalid facts: {reason}",)) for name, reason in reasons.items()}
    return {**answers, **faulty}


def _recorded_owner(endpoint: str, names: Collection[str], answers: Mapping[str, Answer]) -> str | None:
    """Return which of the nodes has the endpoint in the records of most other nodes; None if no single one does."""
    votes = Counter(
        node["name"]
        for name, answer in answers.items()
        for node in answer.facts.get("nodes", ())
        if node["name"] in names and node["name"] != name and endpoint in node["endpoints"]
    )
    ranked = votes.most_common(2)
    return ranked[0][0] if ranked and (len(ranked) == 1 or ranked[0][1] > ranked[1][1]) else None


def _with_reasons(answers: Mapping[str, Answer], kind: str) -> tuple[dict[str, str], ...]:
    found = sorted((name, answer.reasons) for name, answer in answers.items() if answer.kind == kind)
    return tuple({"name": name, "reason": "; ".join(reasons)} for name, reasons in found)


def _lines(answers: Mapping[str, Answer], kind: str) -> list[str]:
    return [f"{name}: {line}" for name, answer in sorted(answers.items()) if answer.kind == kind for line in answer[2]]


def _vanished(observed: Mapping[str, _FACTS], expected: Collection[str]) -> list[str]:
    """Return a reason to stop for each node that at least half of the records know and that nothing else explains.

    A single record does not count in a larger fleet: one faulty node must not stop the others.
    """
    # Most nodes have the same record, as the same value.
    known: dict[int, set[str]] = {}
    for facts in observed.values():
        if id(facts["nodes"]) not in known:
            known[id(facts["nodes"])] = {node["name"] for node in facts["nodes"]}
    recorded = {name: known[id(facts["nodes"])] for name, facts in observed.items() if facts["nodes"]}
    votes = Counter(gone for names in recorded.values() for gone in names.difference(expected))
    lost = sorted(gone for gone, count in votes.items() if 2 * count >= len(recorded))
    more = len(lost) - _MOST_VANISHED
    return [
        *(
            f"egress_ip_forget_nodes: {gone} is in the records of {votes[gone]} of {len(recorded)} nodes, but not in"
            " egress_ip_group; run with the whole inventory, or list the node in egress_ip_forget_nodes if it has left"
            for gone in lost[:_MOST_VANISHED]
        ),
        *([f"egress_ip_forget_nodes: the records have {more} more such nodes"] if more > 0 else ()),
    ]


def _node(
    host: Mapping[str, Any],
    facts: _FACTS | None,
    labels: Mapping[str, str],
    empty: Collection[str],
    networks: Sequence[Mapping[str, Any]],
    errors: Errors,
) -> dict[str, Any]:
    """Return the node in the form that `assign` takes; adds an error for each malformed variable of the host.

    A plan would take such a node for one that holds nothing.
    """
    own: dict[str, Any] = {"labels": host.get("labels"), "capacity": host.get("capacity")}
    try:
        Node.from_dict({"name": host["name"], **own})
    except InvalidError as error:
        for line in error.errors:
            path, _colon, text = line.partition(": ")[2].partition(": ")
            errors.add(f"{host['name']}: egress_ip_{path}", text)
        own = {"labels": {}, "capacity": None}
    return {
        "name": host["name"],
        "labels": _labels(labels, own["labels"] or {}),
        "ready": facts is not None and not host.get("drain") and host["name"] not in empty,
        "networks": networks,
        "capacity": own["capacity"],
        **({"gateways": facts["gateways"]} if facts and facts.get("gateways") else {}),
    }


def _labels(of_object: Mapping[str, str], of_host: Mapping[str, Any]) -> dict[str, Any]:
    """Return the labels of a Node object with those of its host, in which null takes a label of the object away."""
    removed = {key for key, value in of_host.items() if value is None and key in of_object}
    return {key: value for key, value in {**of_object, **of_host}.items() if key not in removed}


def _eligible(nodes: Iterable[Mapping[str, Any]], egressips: Iterable[EgressIP]) -> tuple[str, ...]:
    """Return the names of the nodes that the label or an egressNodeSelector selects."""
    selectors = {ASSIGNABLE, *(egressip.egress_node_selector for egressip in egressips)}
    texts = {node["name"]: {str(key): label_text(value) for key, value in node["labels"].items()} for node in nodes}
    return tuple(name for name, labels in texts.items() if any(selector.matches(labels) for selector in selectors))


def _members(
    names: Sequence[str], observed: Mapping[str, _FACTS], with_fence: Collection[str]
) -> tuple[Mapping[str, Any], ...]:
    """Return the addresses of every node; those of a node without an answer are from the records of the others.

    Nodes `with_fence` have their `links` too.
    """
    silent = {*names} - {*observed}
    recorded = _recorded(silent, observed) if silent else {}
    networks, records = Networks(observed), Records(observed)
    own = {
        name: {
            "name": name,
            "endpoints": facts["endpoints"],
            "addresses": shared_addresses(name, facts, networks, records),
            **({"links": _links(facts)} if name in with_fence else {}),
        }
        for name, facts in observed.items()
    }
    members = [(own if name in own else recorded)[name] for name in names if name in own or name in recorded]
    return tuple(without_foreign_links(members, observed))


def _links(facts: _FACTS) -> list[dict[str, Any]]:
    """Return the interfaces with addresses whose MAC address is known."""
    macs = facts.get("macs", {})
    return [
        {"mac": macs[each["interface"]], "addresses": each["addresses"]}
        for each in facts["networks"]
        if macs.get(each["interface"])
    ]


def _recorded(names: Collection[str], observed: Mapping[str, _FACTS]) -> dict[str, Mapping[str, Any]]:
    """Return {node: its entry in most records, of equally frequent ones the newest}."""
    votes: dict[str, Counter[str]] = {}
    entries: dict[str, Mapping[str, Any]] = {}
    # The newest first: of entries with equally many votes, `max` returns the first.
    for facts in sorted(observed.values(), key=lambda facts: -int(facts["generation"])):
        for node in facts["nodes"]:
            if node["name"] in names:
                errors = Errors()
                entry = member(node, "nodes", errors)
                if not errors.found and are_endpoints(entry["endpoints"]):
                    votes.setdefault(node["name"], Counter())[repr(entry)] += 1
                    entries[repr(entry)] = entry
    return {name: entries[max(counts, key=lambda key: counts[key])] for name, counts in votes.items()}  # noqa: B023


def _recalled(observed: Mapping[str, _FACTS]) -> dict[str, Any]:
    """Return {object: {egressIPs, destinations, excluded_destinations, pods: {node: [address]}}}.

    If a node has networks of pods of the object on record, with `networks` {node: [name]}, and if it has rules for pods
    that start between runs, with `namespaces` {node: [{name, podSelector}]}.
    """
    entries: dict[str, list[Recorded]] = {}
    local: dict[str, dict[str, Any]] = {}
    for name, facts in sorted(observed.items(), key=lambda item: (item[1]["generation"], item[0])):
        for item in facts["recalled"]:
            value = {key: each for key, each in item.items() if key not in ("name", *_OF_NODE)}
            entries.setdefault(item["name"], []).append(Recorded(facts["generation"], name, value))
            own = local.setdefault(item["name"], {"pods": {}})
            own["pods"][name] = item["pods"]
            for key in _OF_NODE[1:]:
                if item.get(key):
                    own.setdefault(key, {})[name] = item[key]
    return {name: {**confirmed(items), **local[name]} for name, items in entries.items()}


def _too_few(available: int, total: int, min_available: object, faulty: Sequence[str]) -> list[str]:
    if not total:
        return ["egress_ip_group: the group is empty; add a host to it"]
    needed = required_nodes(min_available, total)
    if available >= needed:
        return []
    if faulty:
        return [*faulty, f"egress_ip_min_available: only {available} of {total} nodes can be used, not {min_available}"]
    return [
        f"egress_ip_min_available: only {available} of {total} nodes can be reached and {min_available} are needed; it"
        " looks as if this controller were cut off, so nothing is moved"
    ]


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
