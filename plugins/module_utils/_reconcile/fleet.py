# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a look at all nodes tells: who takes part, who holds what, whether a run may go on. PRIVATE to the collection.

Pure. The input is what the inventory says of each host and what the module `node_info` answered, or failed to.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from .._common.errors import InventoryError
from .._common.messages import type_name
from .._kubernetes.objects import ASSIGNABLE
from .._planner.nodes import label_text

_PYTHON_IS_MISSING = 127
# How ansible-core begins the message of a module that raised something; `exception` is there for any failure.
_CRASHED = ("Task failed: Module failed", "MODULE FAILURE")


@dataclass(frozen=True)
class Fleet:
    """The nodes, as one run sees them.

    `nodes` and `current` are what `assign` takes. `eligible` are the names of the nodes that the label or an object's
    egressNodeSelector selects, which may hold egress IPs. `members` [{name, endpoints, addresses}] are all nodes that
    others must know, the ones out of reach as a record has them. `observed` is {name: answer of node_info} of the nodes
    that answered. `unavailable` [{name, reason}] are the others. `recalled` {object: {egressIPs, destinations,
    excludedDestinations, pods: {node: [address]}}} is what nodes have of objects whose manifests are broken now.
    `stop` are reasons not to go on.
    """

    nodes: tuple
    current: tuple
    eligible: tuple
    members: tuple
    observed: dict
    unavailable: tuple
    recalled: dict
    generation: int
    stop: tuple

    def to_dict(self):
        """Return the fleet as a dict of plain values."""
        return {f.name: _plain(getattr(self, f.name)) for f in fields(self)}


def observe_fleet(hosts, node_objects=(), drain=(), min_available="50%", fenced=(), egressips=()):
    """Return the Fleet. Each host is {name, labels, capacity, drain, observed}, where `observed` is a task's result.

    `node_objects` are NodeObjects, `egressips` the EgressIPs whose selectors matter.

    `drain` and `fenced` name nodes that are to hold nothing: by the user's will, or because their network is cut off.
    """
    answers = {host["name"]: _classify(host["observed"]) for host in hosts}
    observed = {name: answer for name, (kind, answer) in answers.items() if kind == "answer"}
    unavailable = tuple({"name": n, "reason": a} for n, (kind, a) in sorted(answers.items()) if kind == "unavailable")
    labels = {node.name: node.labels for node in node_objects}
    stop = [f"{name}: {line}" for name, (kind, lines) in sorted(answers.items()) if kind == "stop" for line in lines]
    stop += [f"egress_ip_drain_nodes: there is no node {name}" for name in drain if name not in answers]
    nodes = tuple(
        _node(host, observed.get(host["name"]), labels.get(host["name"], {}), {*drain, *fenced}) for host in hosts
    )
    return Fleet(
        nodes=nodes,
        current=tuple(
            {"egressIP": item["egressIP"], "node": name}
            for name, answer in sorted(observed.items())
            for item in answer["held"]
        ),
        eligible=_eligible(nodes, egressips),
        members=_members(sorted(answers), observed),
        observed=observed,
        unavailable=unavailable,
        recalled=_recalled(observed),
        generation=max((answer["generation"] for answer in observed.values()), default=0),
        stop=tuple(stop or _too_few(len(observed), len(hosts), min_available)),
    )


def required_nodes(min_available, total):
    """Return how many of `total` nodes must answer: a number, or a percentage of them rounded up as in Kubernetes."""
    text = str(min_available).strip()
    number = text[:-1] if text.endswith("%") else text
    if not number.isdecimal() or (text.endswith("%") and int(number) > 100):
        raise InventoryError(
            f"egress_ip_min_available: must be a number or a percentage like 50%, not {type_name(min_available)}"
        )
    return -(-total * int(number) // 100) if text.endswith("%") else min(int(number), total)


def _classify(observed):
    """Return ("answer", dict), ("stop", lines) for what a person must put right first, or ("unavailable", reason)."""
    message = str(observed.get("msg", "")).strip()
    if observed.get("unreachable") or observed.get("lost"):
        lost = observed.get("lost")
        return "unavailable", f"has lost its network: {lost}" if lost else f"cannot be reached: {message}"
    if observed.get("problems"):
        return "stop", list(observed["problems"])
    if not observed.get("failed"):
        return "answer", observed
    if observed.get("rc") == _PYTHON_IS_MISSING or "interpreter" in message:
        return "stop", ["ansible_python_interpreter: there is no Python on this host; install the package python3"]
    if "timedout" in observed or "module_stdout" in observed or message.startswith(_CRASHED):
        return "unavailable", f"gives no answer: {message}"
    return "stop", [message]


def _node(host, answer, labels, empty):
    """Return the node in the form that `assign` takes."""
    return {
        "name": host["name"],
        "labels": {**labels, **_labels(host)},
        "ready": answer is not None and not host.get("drain") and host["name"] not in empty,
        "networks": answer["networks"] if answer else [],
        "capacity": host.get("capacity"),
    }


def _labels(host):
    labels = host.get("labels") or {}
    if not isinstance(labels, dict):
        raise InventoryError(f"{host['name']}: egress_ip_labels: must be a dictionary, not {type_name(labels)}")
    return labels


def _eligible(nodes, egressips):
    """Return the names of the nodes that the label or an egressNodeSelector selects."""
    selectors = {ASSIGNABLE, *(egressip.egress_node_selector for egressip in egressips)}
    texts = {node["name"]: {str(key): label_text(value) for key, value in node["labels"].items()} for node in nodes}
    return tuple(name for name, labels in texts.items() if any(selector.matches(labels) for selector in selectors))


def _members(names, observed):
    """Return every node's addresses; those of a node that does not answer are what the newest other state says."""
    remembered = {}
    for answer in sorted(observed.values(), key=lambda answer: answer["generation"]):
        remembered.update({node["name"]: node for node in answer["nodes"]})
    members = []
    for name in names:
        if name in observed:
            answer = observed[name]
            members.append({"name": name, "endpoints": answer["endpoints"], "addresses": answer["addresses"]})
        elif name in remembered:
            members.append(remembered[name])
    return tuple(members)


def _recalled(observed):
    recalled = {}
    for name, answer in sorted(observed.items(), key=lambda item: (item[1]["generation"], item[0])):
        for item in answer.get("recalled", ()):
            newest = {key: value for key, value in item.items() if key != "name"}
            pods = recalled.get(item["name"], {"pods": {}})["pods"]
            recalled[item["name"]] = {**newest, "pods": {**pods, name: item["pods"]}}
    return recalled


def _too_few(available, total, min_available):
    if not total:
        return ["egress_ip_group: there is no host in this group"]
    needed = required_nodes(min_available, total)
    if available >= needed:
        return []
    return [
        f"egress_ip_min_available: only {available} of {total} nodes can be reached and {min_available} are needed; it"
        " looks as if this controller were cut off, so nothing is moved"
    ]


def _plain(value):
    return list(value) if isinstance(value, tuple) else value
