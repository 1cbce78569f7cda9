# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The labels that platforms give to nodes, and egress IPs that one failure domain holds. PRIVATE. Pure."""

from __future__ import annotations

from typing import Any, Iterable, Iterator, Mapping

from .._kubernetes.objects import EgressIP
from .._planner.assign import read_situation
from .._planner.candidates import Candidates
from .._planner.requests import Requests, read_requests

# {node: {label: value}}
Labels = Mapping[str, Mapping[str, str]]


def labelled(host: Mapping[str, Any], labels: Labels) -> Mapping[str, Any]:
    """Return a host as `observe_fleet` takes it with its labels of the platforms; those of the user take precedence."""
    own, given = host.get("labels"), labels.get(host["name"])
    if not isinstance(given, Mapping) or not (own is None or isinstance(own, Mapping)):
        return host
    return {**host, "labels": {**given, **(own or {})}}


def needs_labels(run: Mapping[str, Any], labels: Labels) -> bool:
    """Return whether the plan of a run depends on ``labels`` that it was made without.

    ``run``: the dict of a RunPlan with its ``answers``.
    """
    if not labels:
        return False
    known = {node["name"]: node["labels"] for node in run["fleet"]["nodes"]}
    new = {key for name, given in labels.items() for key in given if key not in known.get(name, {})}
    return bool(new) and ("headroom" in run["answers"] or not new.isdisjoint(_used_labels(_requests(run).egressips)))


def domain_notes(run: Mapping[str, Any], labels: Labels, titles: Mapping[str, str]) -> dict[str, list[str]]:
    """Return {planned: [line], current: [line]}: the egress IPs of an object that the loss of one domain affects alike.

    ``run``: as in `needs_labels`; ``titles``: {label: what a value of it is}. A line names egress IPs of one object on
    nodes of one domain, or those that only nodes of one domain may hold. A node without the label is no domain.
    """
    moments = {"planned": run["plan"]["assignments"], "current": run["fleet"]["current"]}
    domains = {title: _domains(labels, label) for label, title in titles.items()}
    domains = {title: each for title, each in domains.items() if len({*each.values()}) < len(each)}
    if not domains:
        return {moment: [] for moment in moments}
    requests, fleet = _requests(run), run["fleet"]
    names = {egress_ip: each.name for each in requests.egressips for egress_ip in each.egress_ips}
    candidates = read_situation(requests, fleet["nodes"], fleet["current"]).candidates
    return {
        moment: [
            line for title, each in domains.items() for line in _lines(_held(entries, names), each, title, candidates)
        ]
        for moment, entries in moments.items()
    }


def _domains(labels: Labels, label: str) -> dict[str, str]:
    """Return {node: value of the label}."""
    return {node: given[label] for node, given in labels.items() if label in given}


def _held(entries: Iterable[Mapping[str, str]], names: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Yield (object, egress IP, node); a node may not know the object."""
    for entry in entries:
        name = entry.get("name") or names.get(entry["egressIP"])
        if name is not None:
            yield name, entry["egressIP"], entry["node"]


def _lines(
    held: Iterable[tuple[str, str, str]], domains: Mapping[str, str], title: str, candidates: Candidates
) -> list[str]:
    shared: dict[tuple[str, str], list[str]] = {}
    alone: dict[tuple[str, str], list[str]] = {}
    for name, egress_ip, node in held:
        if node in domains:
            shared.setdefault((name, domains[node]), []).append(egress_ip)
            others = {each.name for each in candidates.possible_nodes(egress_ip)} - {node}
            if others and {domains.get(other) for other in others} == {domains[node]}:
                alone.setdefault((name, domains[node]), []).append(egress_ip)
    lines = [
        f"egressip/{name}: {' and '.join(found)} are on one {title}, {domain}"
        for (name, domain), found in sorted(shared.items())
        if len(found) > 1
    ]
    return lines + [
        f"egressip/{name}: all nodes that may hold {' and '.join(found)} are on one {title}, {domain}"
        for (name, domain), found in sorted(alone.items())
    ]


def _used_labels(egressips: Iterable[EgressIP]) -> set[str]:
    """Return the keys of the labels of nodes that the objects use."""
    used: set[str] = set()
    for egressip in egressips:
        selectors = [egressip.egress_node_selector, egressip.annotations.node_selector]
        used.update([egressip.annotations.spread] if egressip.annotations.spread else [])
        for selector in selectors:
            if selector is not None:
                used.update(key for key, _value in selector.match_labels)
                used.update(each.key for each in selector.match_expressions)
    return used


def _requests(run: Mapping[str, Any]) -> Requests:
    return read_requests(run["manifests"]["egressips"], run["manifests"].get("owners"))
