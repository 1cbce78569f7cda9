# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All that a run decides, from what is wanted and what the nodes answered. PRIVATE to the collection. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from .._dataplane.options import DataPlaneOptions
from .._kubernetes.manifests import Manifests
from .._planner.assign import check_max_moves, make_plan
from .._planner.pool_allocation import allocate_pools
from .._planner.requests import Requests
from .drain_losses import drain_losses
from .fleet import observe_fleet
from .rollout import roll_out


@dataclass(frozen=True)
class RunPlan:
    """The dicts of a Fleet, of `manifests` with addresses of pools, of a Plan and of a Rollout.

    `stop` are reasons to change nothing, with which `rollout` is empty. `requests` are the objects of the plan.
    """

    fleet: dict
    manifests: dict
    plan: dict
    rollout: dict
    stop: tuple
    requests: Requests

    def to_dict(self):
        """Return the plan of the run as a dict of plain values."""
        return {name: value for name, value in {**vars(self), "stop": list(self.stop)}.items() if name != "requests"}


@dataclass(frozen=True)
class Settings:
    """What the user says of a whole run: the variables of the same names with ``egress_ip_`` in front.

    With nodes to drain, nothing moves for balance, whatever ``max_moves`` says.
    """

    policy: str = "balanced"
    max_moves: int | None = None
    min_available: str = "50%"
    pools: dict = field(default_factory=dict)
    excluded_cidrs: tuple = ()
    drain_nodes: tuple = ()
    drain_force: bool = False

    @property
    def cap(self):
        """Return how many moves may be made for balance. It can wait for a run of its own where nodes are drained."""
        return 0 if self.drain_nodes else self.max_moves


def plan_run(hosts, manifests, settings, options=None, fenced=(), withheld=(), states=True):
    """Return the RunPlan. `hosts` are as `observe_fleet` takes them, `manifests` is what the lookup returned.

    `options` are the data plane's. `fenced` nodes are cut off their network, `withheld` egress IPs nobody may claim.
    Without `states` there is no rollout. Raises EgressIPError for what is wrong in the inventory.
    """
    check_max_moves(settings.max_moves, "egress_ip_max_moves")
    # First, for each node that was given something wrong says so too, but does not know the variable's name.
    DataPlaneOptions.from_dict(options or {}, "egress_ip_")
    read = Manifests.from_dict(manifests)
    fleet = observe_fleet(hosts, read.nodes, settings.drain_nodes, settings.min_available, fenced).to_dict()
    requests, unfilled = allocate_pools(read.egressips, fleet, settings.pools)
    plan = _plan(requests, fleet, settings)
    # What cannot be read for sure may be what holds an address now. A named EgressIP with errors is no reason: it keeps
    # what it has, and the others go on.
    stop = fleet["stop"] + [error for item in manifests["invalid"] for error in item["errors"]]
    if settings.drain_nodes and not settings.drain_force:

        def plan_without():
            undrained = observe_fleet(hosts, read.nodes, fenced=fenced).to_dict()
            return _plan(requests, undrained, replace(settings, drain_nodes=(), max_moves=0))

        stop += drain_losses(plan, fleet, plan_without)
    rollout = {}
    if states and not stop:
        planned = replace(read, egressips=requests.egressips)
        rollout = roll_out(plan, planned, fleet, settings.excluded_cidrs, options, withheld).to_dict()
    documents = [egressip.document for egressip in requests.egressips]
    manifests = {**manifests, "egressips": documents, "owners": dict(requests.owners), "unfilled": list(unfilled)}
    return RunPlan(fleet, manifests, plan, rollout, tuple(stop), requests)


def _plan(requests, fleet, settings):
    return make_plan(requests, fleet["nodes"], fleet["current"], settings.policy, settings.cap).to_dict()
