# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The datacenter and the folder of inventory objects. PRIVATE to the collection. No policy."""

from __future__ import annotations

from typing import Any, Mapping, NamedTuple

from .pyvmomi import vim
from .session import Properties, Session, plain_name

# The root folder of the VMs in a datacenter; the vSphere Client does not show it.
_VM_ROOT = "vm"


class Place(NamedTuple):
    """``datacenter``: name, empty for none; ``folder``: path below the datacenter's folder for VMs or networks."""

    datacenter: str = ""
    folder: str = ""

    def matches(self, selector: Mapping[str, Any]) -> bool:
        """Return whether this is the place that the keys ``datacenter`` and ``folder`` of a selector name.

        The folder may begin with ``DATACENTER/vm/``.
        """
        datacenter, folder = selector.get("datacenter"), selector.get("folder")
        full = "/".join(part for part in (self.datacenter, _VM_ROOT, self.folder) if part)
        return (not datacenter or datacenter == self.datacenter) and (
            not folder or folder.strip("/") in (self.folder, full)
        )


class Places:
    """The places of objects; folders and datacenters are read at the first use, in two requests."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._containers: dict[Any, Properties] | None = None

    def of(self, parent: Any) -> Place:
        """Return the Place of an object with this ``parent``; an empty one if the user cannot read the parents."""
        if self._containers is None:
            kinds = (vim.Folder, vim.Datacenter)
            found = [self._session.all_properties(kind, ("name", "parent")) for kind in kinds]
            self._containers = {thing: each for of_kind in found for thing, each in of_kind.items()}
        names: list[str] = []
        while parent in self._containers:
            about = self._containers[parent]
            if isinstance(parent, vim.Datacenter):
                # The last name is that of the datacenter's own folder.
                return Place(plain_name(about.get("name")), "/".join(reversed(names[:-1])))
            names.append(plain_name(about.get("name")))
            parent = about.get("parent")
        return Place()
