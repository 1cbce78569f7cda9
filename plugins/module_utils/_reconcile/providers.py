# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The providers of the collection, and their part of a run. PRIVATE to the collection. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .._common.addresses import address_order
from .._kubernetes.objects import EgressIP
from .._provider.contract import Audit, Provider, ProviderHost, Query
from .._vsphere.provider import VSPHERE
from .failure_domains import needs_labels, requests_of_run, usable_labels
from .node_answer import valid_fields

# A provider is an entry of this table; nothing else here names one.
PROVIDERS = {provider.name: provider for provider in (VSPHERE,)}
FENCES = tuple(name for name, provider in PROVIDERS.items() if provider.self_detected_methods is not None)
# The host variables of all providers.
VARIABLES = tuple(variable for provider in PROVIDERS.values() for variable in provider.variables)
# The signs of their platforms, as `_node.platform_detection` takes them.
SIGNS = [
    {"name": each.name, "signs": [list(sign) for sign in each.signs], "serial": each.serial}
    for each in PROVIDERS.values()
]
# The names of options in the messages of AnsibleModule.
_ARGUMENTS = re.compile(r"(?<=^missing required arguments: ).+|(?<=^argument ')\w+(?=' )")
_WORD = re.compile(r"\w+")
# {label: title of its values} of all providers.
DOMAINS = {label: title for provider in PROVIDERS.values() for label, title in provider.domains.items()}


def queries(
    hosts: Iterable[Mapping[str, Any]], egressips: Iterable[EgressIP], fleet_members: Iterable[Mapping[str, Any]] = ()
) -> list[Query]:
    """Return a Query for each provider with hosts. Raises InventoryError.

    Each host is {name, platform (`egress_ip_platform`), fence (`egress_ip_fence`), observed (a task's result),
    variables (values of VARIABLES)}. ``egressips`` with errors are ignored. ``fleet_members`` are those of a Fleet, for
    the MAC addresses of nodes that do not answer.
    """
    recorded = {each["name"]: [link["mac"] for link in each.get("links", ())] for each in fleet_members}
    members: dict[str, list[Mapping[str, Any]]] = {}
    for host in hosts:
        for name in sorted({_platform(host), str(host.get("fence"))} & PROVIDERS.keys()):
            members.setdefault(name, []).append(host)
    found = {egress_ip for egressip in egressips if not egressip.errors for egress_ip in egressip.egress_ips}
    egress_ips = sorted(found, key=address_order)
    return [_query(PROVIDERS[name], own, recorded, egress_ips) for name, own in members.items()]


def audit(queries_: Iterable[Query], name: str, answer: Mapping[str, Any], settings: Mapping[str, Any]) -> Audit:
    """Return the Audit of a provider, whose failures include that of the task that gave the ``answer``."""
    query = next(query for query in queries_ if query["name"] == name)
    audited = PROVIDERS[name].audit(query, answer, settings)
    return {**audited, "failures": [*failures(name, answer), *audited["failures"]]}


def audited(run: Mapping[str, Any], audits: Mapping[str, Audit]) -> dict[str, Any]:
    """Return {audits, fenced, proven, labels, keep_holders, stop_reasons, failures, plan_again}.

    `audits` is {provider: Audit}; `labels`, `keep_holders`, `stop_reasons`: see `failure_domains.Usable`; `plan_again`:
    whether the plan of ``run``, the dict of a RunPlan with `platforms` and `answers`, depends on any of these.
    """
    fenced = {node: methods for audit_ in audits.values() for node, methods in audit_["fenced"].items()}
    labels = {node: given for audit_ in audits.values() for node, given in audit_["labels"].items()}
    failures_ = [line for audit_ in audits.values() for line in audit_["failures"]]
    requests = requests_of_run(run)
    usable = usable_labels(run, requests, labels, _members(run["platforms"], audits))
    return {
        "audits": dict(audits),
        "fenced": fenced,
        "proven": [node for audit_ in audits.values() for node in audit_["proven"]],
        "labels": usable.labels,
        "keep_holders": usable.keep_holders,
        # The run ends before its report, which shows the failures.
        "stop_reasons": [*usable.stop_reasons, *(failures_ if usable.stop_reasons else ())],
        "failures": failures_,
        "plan_again": bool(fenced or usable.keep_holders or usable.stop_reasons)
        or needs_labels(run, requests, usable.labels),
    }


def _members(queries_: Iterable[Query], audits: Mapping[str, Audit]) -> dict[str, list[str]]:
    """Return {label: the nodes of its platform} of the platforms that were audited."""
    return {
        label: [node["name"] for node in query["nodes"]]
        for query in queries_
        if query["name"] in audits
        for label in PROVIDERS[query["name"]].domains
    }


def failures(name: str, result: Mapping[str, Any]) -> list[str]:
    """Return a line for each failure in the result of a task of a provider, which may have a loop."""
    items = result.get("results", [result])
    return [
        f"{PROVIDERS[name].title}: {in_variables(name, item.get('msg', ''))}" for item in items if item.get("failed")
    ]


def in_variables(name: str, message: str) -> str:
    """Return a message of a provider's modules with the variables of the run in place of options."""
    options = PROVIDERS[name].options
    for option, variable in options.items():
        message = re.sub(rf"(?<![\w.]){option}(?=: )", variable, message)
    return _ARGUMENTS.sub(lambda found: _WORD.sub(lambda word: options.get(word[0], word[0]), found[0]), message)


def _query(
    provider: Provider,
    hosts: Iterable[Mapping[str, Any]],
    recorded: Mapping[str, Sequence[str]],
    egress_ips: list[str],
) -> Query:
    own = provider.query([_host(host, recorded.get(host["name"], ()), provider.variables) for host in hosts])
    required = any(host.get("fence") == provider.name for host in hosts)
    return {**own, "name": provider.name, "egress_ips": egress_ips, "required": required}


def _platform(host: Mapping[str, Any]) -> str:
    """Return the platform that a host reports, else the one that the user has set."""
    observed = valid_fields(host.get("observed"), "platform")
    return str(observed["platform"]["name"] if observed else host.get("platform"))


def _host(host: Mapping[str, Any], recorded: Sequence[str], variables: Iterable[str]) -> ProviderHost:
    observed, values = valid_fields(host.get("observed"), "platform", "macs", "networks"), host.get("variables") or {}
    uuid, macs = (observed.get("platform") or {}).get("uuid"), observed.get("macs") or {}
    used = [macs[each["interface"]] for each in observed.get("networks", ()) if macs.get(each["interface"])]
    return ProviderHost(host["name"], uuid, used or recorded, {name: values.get(name) for name in variables})
