# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests of the modules to a vCenter, with retries and errors. PRIVATE to the collection. No policy.

pyVmomi is used only behind this class: in `session`, `inventory`, `read`, `targets` and `write`; `from_pyvmomi` and
`to_pyvmomi` translate its values.
"""

from __future__ import annotations

import time
from typing import Any, Callable, Mapping, Sequence, TypeVar

from .anti_affinity import DrsCluster, RuleChange
from .clusters import read_clusters, write_rules
from .errors import VsphereError, VsphereInterruptedError
from .fence import Adapter, Step
from .guest_ips import Guest
from .inventory import Inventory
from .port import Port, Target, Unreachable
from .port_groups import choose_port_groups
from .port_security import PortChange
from .read import read_adapter, read_guests, read_port
from .session import POLL_SECONDS, Session
from .targets import read_targets
from .write import write_changes, write_steps

_ATTEMPTS = 5
Result = TypeVar("Result")
Selectors = Sequence[Mapping[str, Any]]


def with_client(parameters: Mapping[str, Any], function: Callable[[Client], Result]) -> Result:
    """Return ``function(client)``; it is called again, at most four times, after a VsphereInterruptedError.

    ``parameters``: {option: value} of `argument_spec.CONNECTION`. All attempts use one session; a lost one is replaced.
    """
    session = Session(parameters)
    client = Client(session)
    try:
        for attempt in range(_ATTEMPTS - 1):
            try:
                return function(client)
            except VsphereInterruptedError:
                time.sleep(POLL_SECONDS[attempt])
        return function(client)
    finally:
        session.close()


class Client:
    """Reads and writes through a `Session`. Every method raises VsphereError."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def read_ports(self, selectors: Selectors, shared_with: bool = True) -> list[Port | VsphereError]:
        """Return a `Port` for each entry of the option ``vms``, or its VsphereError.

        Without ``shared_with``, the other VMs of the port groups are left out.
        """
        with self._session.translated():
            inventory = Inventory(self._session)
            return inventory.attempt(selectors, lambda chosen: read_port(inventory, chosen, shared_with))

    def read_targets(
        self, selectors: Selectors, groups: Selectors, scope: str, neighbours: bool
    ) -> tuple[list[Target], list[Unreachable]]:
        """Return `targets.read_targets` of the options ``vms`` and ``portgroups``."""
        with self._session.translated():
            inventory = Inventory(self._session)
            chosen = inventory.choose(selectors), choose_port_groups(inventory, groups)
            return read_targets(inventory, *chosen, scope, neighbours)

    def read_adapters(self, selectors: Selectors) -> list[Adapter]:
        """Return a `fence.Adapter` for each entry of the option ``vms``."""
        with self._session.translated():
            inventory = Inventory(self._session)
            return [read_adapter(inventory, chosen) for chosen in inventory.choose(selectors)]

    def read_guests(self, selectors: Selectors) -> list[Guest]:
        """Return a `guest_ips.Guest` for each entry of the option ``vms``."""
        with self._session.translated():
            return read_guests(self._session, selectors)

    def read_clusters(self, selectors: Selectors, name: str) -> list[DrsCluster]:
        """Return `clusters.read_clusters` for the option ``vms`` and the rule ``name``."""
        with self._session.translated():
            return read_clusters(self._session, selectors, name)

    def write_rules(self, name: str, changes: Sequence[RuleChange]) -> None:
        """Write `anti_affinity.RuleChange` values of the rule ``name`` to the vCenter."""
        with self._session.translated():
            write_rules(self._session, name, changes)

    def write(self, changes: Sequence[PortChange]) -> None:
        """Write `port_security.PortChange` values to the vCenter."""
        with self._session.translated():
            write_changes(self._session, changes)

    def write_steps(self, steps: Sequence[Step]) -> None:
        """Write `fence.Step` values to the vCenter."""
        with self._session.translated():
            write_steps(self._session, steps)

    def wait_for(self, observe: Callable[[], tuple[str | None, Result]]) -> Result:
        """Call ``observe()`` until nothing is missing, and return its second item.

        ``observe()`` returns (name of what is not proven yet, None if all is; what it found). Raises VsphereError
        after the session's timeout.
        """
        give_up = time.monotonic() + self._session.timeout
        missing, found = observe()
        while missing:
            if time.monotonic() > give_up:
                seconds = self._session.timeout
                raise VsphereError(f"{missing}: is not proven within {seconds} seconds; do not rely on it")
            time.sleep(POLL_SECONDS[-1])
            missing, found = observe()
        return found
