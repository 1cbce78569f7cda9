# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions about the plan of a run. PRIVATE to the collection. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .._reconcile.picture import picture
from .._reconcile.providers import DOMAINS
from .._reconcile.report import network_table
from .._reconcile.run_plan import RunPlan, RunSettings
from .._reconcile.status_table import status_table
from .._reconcile.traffic import traffic
from .._solver.deadline import Deadline, never
from .balance_cost import price_of
from .explain import explain
from .headroom import headroom
from .what_if import RunOptions, what_if


@dataclass(frozen=True)
class Questions:
    """The variables ``egress_ip_*`` of the same names, and `status` and `traffic`; by default no question."""

    what_if: dict[str, Any] = field(default_factory=dict)
    headroom: bool = False
    headroom_label: str = "topology.kubernetes.io/zone"
    price: bool = False
    explain: str = ""
    status: bool = False
    traffic: bool = False


def answer(
    questions: Questions, run: RunPlan, settings: RunSettings, start: Callable[[], Deadline] = lambda: never
) -> dict[str, list[str]]:
    """Return {question: lines for a person} about a RunPlan that was made with these RunSettings.

    ``start`` returns the Deadline of a question that begins now. The answer to `status` comes with `status_failures`,
    lines on what is wrong or not known. If the run stops, only `explain`, `status` and `traffic` are answered. Raises
    EgressIPError with the variable of a question.
    """
    answers: dict[str, list[str]] = {}
    if questions.explain not in ("", None):
        options = settings.policy, settings.cap
        explained = explain(questions.explain, run.requests, run.fleet, *options, start()).to_dict()
        answers["explain"] = [*explained["lines"], *_networks_of(explained["names"][:1], run)]
    if questions.status:
        shown = status_table(picture(run.to_dict(), planned=False, manifests=run.objects), run.fleet)
        answers["status"], answers["status_failures"] = shown
    if questions.traffic:
        egress_ips = {address for each in run.objects.egressips for address in each.egress_ips}
        answers["traffic"] = traffic(run.fleet, egress_ips)
    if run.stop_reasons:
        return answers
    if questions.what_if != {} or questions.headroom:
        later = RunOptions(settings.policy, settings.cap, settings.min_available)
        simulated = what_if(run.plan, run.requests, run.fleet, questions.what_if, later, start())
        if questions.what_if != {}:
            answers["what_if"] = simulated.to_dict()["lines"]
        if questions.headroom:
            label = questions.headroom_label
            # The standbys are those of the real fleet.
            orders = _orders(run.plan) if questions.what_if == {} else None
            answers["headroom"] = headroom(simulated.fleet_after, label, DOMAINS, start(), orders).to_dict()["lines"]
    if questions.price:
        answers["price"] = price_of(run.plan, run.requests, run.fleet, start()).to_dict()["lines"]
    return answers


def _orders(plan: Mapping[str, Any]) -> dict[str, list[str]] | None:
    """Return {egress IP: the nodes that may hold it, the holder last}, None without failover."""
    if "standbys" not in plan:
        return None
    return {item["egressIP"]: item["order"] for item in plan["standbys"]}


def _networks_of(names: list[str], run: RunPlan) -> list[str]:
    """Return a table of the networks whose pods these objects select; empty without any."""
    return network_table({"networks": [row for row in run.manifests["networks"] if {*names} & {*row["egressips"]}]})
