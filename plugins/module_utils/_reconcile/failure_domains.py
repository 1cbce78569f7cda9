# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The labels that platforms give to nodes, and egress IPs that one failure domain holds. PRIVATE. Pure."""

from __future__ import annotations

from typing import Any, Collection, Iterable, Mapping, NamedTuple, Sequence

from .._common.messages import listed
from .._kubernetes.objects import EgressIP
from .._planner.assign import read_plan_input
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
_NODES_SHOWN = 5


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


def requests_of_run(run: Mapping[str, Any]) -> Requests:
    """Return the Requests of the dict of a RunPlan."""
    return read_requests(run["manifests"]["egressips"], run["manifests"].get("owners"))


def needs_labels(run: Mapping[str, Any], requests: Requests, labels: Labels) -> bool:
    """Return whether the plan of a run depends on ``labels`` that it was made without.

    ``run``: the dict of a RunPlan with its ``answers``; ``requests``: its Requests.
    """
    if not labels:
        return False
    known = {node["name"]: node["labels"] for node in run["fleet"]["nodes"]}
    new = {key for name, given in labels.items() for key in given if key not in known.get(name, {})}
    return bool(new) and ("headroom" in run["answers"] or not new.isdisjoint(_used_labels(requests.egressips)))


class Usable(NamedTuple):
    """The part of the labels of platforms that a plan may use.

    ``labels``: without those that some node of a platform lacks and that only spread objects; ``keep_holders``: whether
    there is such a label, so that no egress IP may move for balance; ``stop_reasons``: lines on objects whose egress
    IPs would be released, or could be placed wrongly, because a label is missing.
    """

    labels: Labels
    keep_holders: bool
    stop_reasons: tuple[str, ...]


def usable_labels(
    run: Mapping[str, Any], requests: Requests, labels: Labels, members: Mapping[str, Collection[str]]
) -> Usable:
    """Return what a plan may use of ``labels``, which may be incomplete because a platform did not answer.

    ``run`` and ``requests``: as in `needs_labels`; ``members``: {label: the nodes of its platform}. A label
    without an answer must not release an egress IP, nor move it: after the outage it would move back.
    """
    if not members:
        return Usable(labels, False, ())
    by_hand = {node["name"]: node["labels"] for node in run["fleet"]["nodes"]}
    stop_reasons, incomplete = [], set()
    for label, names in members.items():
        unknown = [name for name in names if label not in by_hand.get(name, {}) and label not in labels.get(name, {})]
        # An egress IP never stays on a node that does not answer: its failure domain has no effect on the plan.
        present = [name for name in unknown if name in run["fleet"]["observed"]]
        is_mixed = any(label in given for given in by_hand.values())
        for egressip in requests.egressips:
            selects, spreads = label in _selected_labels(egressip), egressip.annotations.spread == label
            if (unknown and selects) or (present and spreads and is_mixed):
                stop_reasons.append(_unknown(egressip, label, unknown))
            elif present and spreads:
                incomplete.add(label)
    used = {node: {key: value for key, value in own.items() if key not in incomplete} for node, own in labels.items()}
    return Usable(used, bool(incomplete), tuple(stop_reasons))


def _unknown(egressip: EgressIP, label: str, nodes: Sequence[str]) -> str:
    return (
        f"egressip/{egressip.name}: uses the label {label}, which the platform of {listed(nodes, _NODES_SHOWN)} did not"
        " return in this run; correct the failure of the platform, or set the label in egress_ip_labels of these nodes"
    )


def domain_notes(
    run: Mapping[str, Any], labels: Labels, titles: Mapping[str, str], last_orders: Mapping[str, Sequence[str]]
) -> dict[str, list[str]]:
    """Return {planned: [line], current: [line]}: the egress IPs of an object that the loss of one domain affects alike.

    ``run``: as in `needs_labels`; ``titles``: {label: title of its values}; ``last_orders``: {egress IP: its standbys
    on record}. A line names egress IPs of one object on nodes of one domain, those that only nodes of one domain may
    hold, or those whose standbys are in the domain of their holder. A node without the label is no domain.
    """
    moments = {"planned": run["plan"]["assignments"], "current": run["fleet"]["current"]}
    domains = {title: _domains(labels, label) for label, title in titles.items()}
    domains = {title: each for title, each in domains.items() if len({*each.values()}) < len(each)}
    if not domains:
        return {moment: [] for moment in moments}
    requests, fleet = requests_of_run(run), run["fleet"]
    names = {egress_ip: each.name for each in requests.egressips for egress_ip in each.egress_ips}
    candidates = read_plan_input(requests, fleet["nodes"], fleet["current"]).candidates
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
        used.update([egressip.annotations.spread] if egressip.annotations.spread else [])
        used |= _selected_labels(egressip)
    return used


def _selected_labels(egressip: EgressIP) -> set[str]:
    """Return the keys of the labels by which an object selects nodes."""
    selectors = (egressip.egress_node_selector, egressip.annotations.node_selector)
    found = [selector for selector in selectors if selector is not None]
    keys = {key for selector in found for key, _value in selector.match_labels}
    return keys | {each.key for selector in found for each in selector.match_expressions}
