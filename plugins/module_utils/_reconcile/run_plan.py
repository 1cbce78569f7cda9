# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All that a run decides, from what is wanted and what the nodes answered. PRIVATE to the collection. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from .._dataplane.options import DataPlaneOptions
from .._planner.assign import assign, check_max_moves
from .._planner.pool_allocation import give_out
from .drain_losses import drain_losses
from .fleet import observe_fleet
from .rollout import roll_out


@dataclass(frozen=True)
class RunPlan:
    """The dicts of a Fleet, of `manifests` with addresses of pools, of a Plan and of a Rollout.

    `stop` are reasons to change nothing, with which `rollout` is empty.
    """

    fleet: dict
    manifests: dict
    plan: dict
    rollout: dict
    stop: tuple

    def to_dict(self):
        """Return the plan of the run as a dict of plain values."""
        return {**vars(self), "stop": list(self.stop)}


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
    fleet = observe_fleet(hosts, manifests["nodes"], settings.drain_nodes, settings.min_available, fenced).to_dict()
    manifests = give_out(manifests, fleet, settings.pools)
    plan = _plan(manifests, fleet, settings)
    # What cannot be read for sure may be what holds an address now. A named EgressIP with errors is no reason: it keeps
    # what it has, and the others go on.
    stop = fleet["stop"] + [error for item in manifests["invalid"] for error in item["errors"]]
    if settings.drain_nodes and not settings.drain_force:

        def plan_without():
            undrained = observe_fleet(hosts, manifests["nodes"], fenced=fenced).to_dict()
            return _plan(manifests, undrained, replace(settings, drain_nodes=(), max_moves=0))

        stop += drain_losses(plan, fleet, plan_without)
    rollout = {}
    if states and not stop:
        rollout = roll_out(plan, manifests, fleet, settings.excluded_cidrs, options, withheld).to_dict()
    return RunPlan(fleet, manifests, plan, rollout, tuple(stop))


def _plan(manifests, fleet, settings):
    return assign(
        manifests["egressips"],
        fleet["nodes"],
        fleet["current"],
        settings.policy,
        settings.cap,
        manifests["owners"],
    ).to_dict()
