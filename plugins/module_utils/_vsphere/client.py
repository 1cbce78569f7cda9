# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules ask of a vCenter, with attempts and errors. PRIVATE to the collection. No policy.

Behind it, and nowhere else, pyvmomi is used: `_vsphere.session`, `_vsphere.inventory`, `_vsphere.read`,
`_vsphere.targets`, `_vsphere.write`; `_vsphere.from_pyvmomi` and `_vsphere.to_pyvmomi` translate its values.
"""

from __future__ import annotations

import time

from .._common.errors import VsphereError, VsphereInterruptedError
from .inventory import Inventory
from .read import read_adapter, read_guests, read_port
from .session import POLL_SECONDS, Session
from .targets import read_targets
from .write import write_changes, write_steps

_ATTEMPTS = 5


def with_client(parameters, function):
    """Return ``function(client)``, tried again, a few times, when it raises VsphereInterruptedError.

    ``parameters``: {option: value} of doc_fragments/vsphere.py. There is one session, a new one only after a loss.
    """
    session = Session(parameters)
    client = Client(session)
    try:
        for attempt in range(_ATTEMPTS):
            try:
                return function(client)
            except VsphereInterruptedError:
                if attempt == _ATTEMPTS - 1:
                    raise
                time.sleep(POLL_SECONDS[attempt])
    finally:
        session.close()


class Client:
    """Reads and writes of a `_vsphere.session.Session`. Every method raises VsphereError."""

    def __init__(self, session):
        self._session = session

    def read_ports(self, selectors):
        """Return a `_vsphere.port.Port` for each entry of the option ``vms``, or the VsphereError that it comes to."""
        with self._session.translated():
            inventory = Inventory(self._session)
            return inventory.attempt(selectors, lambda chosen: read_port(inventory, chosen))

    def read_targets(self, selectors, scope, neighbours):
        """Return the `_vsphere.port.Target` values of the option ``vms``; see `_vsphere.targets.read_targets`."""
        with self._session.translated():
            inventory = Inventory(self._session)
            return read_targets(inventory, inventory.choose(selectors), scope, neighbours)

    def read_adapters(self, selectors):
        """Return a `_vsphere.fence.Adapter` for each entry of the option ``vms``."""
        with self._session.translated():
            inventory = Inventory(self._session)
            return [read_adapter(inventory, chosen) for chosen in inventory.choose(selectors)]

    def read_guests(self, selectors):
        """Return a `_vsphere.guest_ips.Guest` for each entry of the option ``vms``."""
        with self._session.translated():
            return read_guests(self._session, selectors)

    def write(self, changes):
        """Bring `_vsphere.port_security.Change` values into the vCenter."""
        with self._session.translated():
            write_changes(self._session, changes)

    def write_steps(self, steps):
        """Bring `_vsphere.fence.Step` values into the vCenter."""
        with self._session.translated():
            write_steps(self._session, steps)

    def wait_for(self, look):
        """Return what ``look()`` has found: it returns (the name of what is not proven yet or None, what it has found).

        VsphereError when it takes too long.
        """
        give_up = time.monotonic() + self._session.timeout
        missing, found = look()
        while missing:
            if time.monotonic() > give_up:
                seconds = self._session.timeout
                raise VsphereError(f"{missing}: is not proven within {seconds} seconds; do not rely on it")
            time.sleep(POLL_SECONDS[-1])
            missing, found = look()
        return found
