# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The labels that platforms give to nodes, and egress IPs that one failure domain holds. PRIVATE. Pure."""

from __future__ import annotations

from typing import Any, Iterable, Mapping, NamedTuple, Sequence

from .._common.messages import listed
from .._kubernetes.objects import EgressIP
from .._planner.assign import read_situation
from .._planner.candidates import Candidates
from .._planner.requests import Requests, read_requests

# {node: {label: value}}
Labels = Mapping[str, Mapping[str, str]]
# What is in one failure domain.
_ADDRESSES = "{}"
_POSSIBLE = "all nodes that may hold {}"
_STANDBYS = "the holder and the standbys of {}"
_TEXTS = (_ADDRESSES, _POSSIBLE, _STANDBYS)
_ADDRESSES_SHOWN = 5


class _Held(NamedTuple):
    """An egress IP of the object ``name`` on ``node``: the other nodes that may hold it, and its standbys."""

    name: str
    egress_ip: str
    node: str
    possible: set[str]
    standbys: set[str]


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


def domain_notes(
    run: Mapping[str, Any], labels: Labels, titles: Mapping[str, str], last_orders: Mapping[str, Sequence[str]]
) -> dict[str, list[str]]:
    """Return {planned: [line], current: [line]}: the egress IPs of an object that the loss of one domain affects alike.

    ``run``: as in `needs_labels`; ``titles``: {label: what a value of it is}; ``last_orders``: {egress IP: its standbys
    on record}. A line names egress IPs of one object on nodes of one domain, those that only nodes of one domain may
    hold, or those whose standbys are in the domain of their holder. A node without the label is no domain.
    """
    moments = {"planned": run["plan"]["assignments"], "current": run["fleet"]["current"]}
    domains = {title: _domains(labels, label) for label, title in titles.items()}
    domains = {title: each for title, each in domains.items() if len({*each.values()}) < len(each)}
    if not domains:
        return {moment: [] for moment in moments}
    requests, fleet = _requests(run), run["fleet"]
    names = {egress_ip: each.name for each in requests.egressips for egress_ip in each.egress_ips}
    candidates = read_situation(requests, fleet["nodes"], fleet["current"]).candidates
    planned = {item["egressIP"]: item["order"] for item in run["plan"].get("standbys", ())}
    orders = {"planned": planned, "current": last_orders}
    found: dict[str, list[str]] = {}
    for moment, entries in moments.items():
        held = [_held(entry, names, candidates, orders[moment]) for entry in entries]
        found[moment] = [line for title, each in domains.items() for line in _lines(held, each, title)]
    return found


def _domains(labels: Labels, label: str) -> dict[str, str]:
    """Return {node: value of the label}."""
    return {node: given[label] for node, given in labels.items() if label in given}


def _held(
    entry: Mapping[str, str], names: Mapping[str, str], candidates: Candidates, orders: Mapping[str, Sequence[str]]
) -> _Held:
    egress_ip, node = entry["egressIP"], entry["node"]
    # A node may not know the object.
    name = entry.get("name") or names.get(egress_ip, "")
    possible = {each.name for each in candidates.possible_nodes(egress_ip)} - {node}
    return _Held(name, egress_ip, node, possible, {*orders.get(egress_ip, ())} - {node})


def _lines(held: Iterable[_Held], domains: Mapping[str, str], title: str) -> list[str]:
    together: dict[str, dict[tuple[str, str], list[str]]] = {text: {} for text in _TEXTS}
    for each in held:
        domain = domains.get(each.node)
        if each.name and domain is not None:
            kinds = [_ADDRESSES]
            if each.possible and {domains.get(other) for other in each.possible} == {domain}:
                kinds.append(_POSSIBLE)
            elif each.standbys and {domains.get(other) for other in each.standbys} == {domain}:
                kinds.append(_STANDBYS)
            for kind in kinds:
                together[kind].setdefault((each.name, domain), []).append(each.egress_ip)
    return [
        f"egressip/{name}: {text.format(listed(found, _ADDRESSES_SHOWN))} are on one {title}, {domain}"
        for text, of_domain in together.items()
        for (name, domain), found in sorted(of_domain.items())
        if text != _ADDRESSES or len(found) > 1
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
