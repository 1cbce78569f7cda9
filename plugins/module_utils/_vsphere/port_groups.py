# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the port groups that the option `portgroups` names. PRIVATE to the collection. No policy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Iterator, Mapping, Sequence

from .._common.messages import quote
from .errors import VsphereError
from .inventory import HOST, NETWORK_SYSTEM, Inventory
from .pyvmomi import vim
from .session import plain_name


@dataclass(frozen=True)
class PortGroup:
    """A port group. ``path``: of its entry in the option; ``network``: the object; ``switch``: as in the entry."""

    path: str
    name: str
    network: Any
    switch: str | None

    @property
    def is_distributed(self) -> bool:
        """Whether it belongs to a distributed switch."""
        return isinstance(self.network, vim.dvs.DistributedVirtualPortgroup)

    @property
    def is_opaque(self) -> bool:
        """Whether it is an NSX segment that is an opaque network in vCenter."""
        return isinstance(self.network, vim.OpaqueNetwork)


def choose_port_groups(inventory: Inventory, selectors: Sequence[Mapping[str, Any]]) -> list[PortGroup]:
    """Return the PortGroup of each entry of the option ``portgroups``. Raises VsphereError."""
    if not selectors:
        return []
    networks = inventory.session.all_properties(vim.Network, ("name", "parent"))
    places = {network: inventory.places.of(each.get("parent")).datacenter for network, each in networks.items()}
    names = {network: plain_name(each.get("name")) for network, each in networks.items()}
    return [_choose(inventory, each, f"portgroups[{n}]", names, places) for n, each in enumerate(selectors)]


def _choose(
    inventory: Inventory, selector: Mapping[str, Any], path: str, names: Mapping[Any, str], places: Mapping[Any, str]
) -> PortGroup:
    name, datacenter, switch = str(selector["name"]), selector.get("datacenter"), selector.get("switch")
    found = [each for each in names if names[each] == name and (not datacenter or places[each] == datacenter)]
    found = [each for each in found if not switch or switch in _switches(inventory, name, each)]
    if not found:
        where = "".join(f" in {key} {quote(selector[key])}" for key in ("datacenter", "switch") if selector.get(key))
        raise VsphereError(f"{path}.name: must be a port group{where} that this user can see, not {quote(name)}")
    if len(found) > 1:
        known = "; ".join(sorted(f"{', '.join(sorted(_switches(inventory, name, n)))} in {places[n]}" for n in found))
        raise VsphereError(
            f"{path}.name: must identify one port group; {len(found)} are named {quote(name)}: {known}; add switch or"
            " datacenter"
        )
    return PortGroup(path, name, found[0], switch)


def _switches(inventory: Inventory, name: str, network: Any) -> set[str]:
    """Return the names of the switches of a network."""
    if isinstance(network, vim.dvs.DistributedVirtualPortgroup):
        return {plain_name(inventory.group_attachment(network).of_switch["name"])}
    if isinstance(network, vim.OpaqueNetwork):
        return {"NSX"}
    return set(_standard_switches(inventory, name, network))


def _standard_switches(inventory: Inventory, name: str, network: Any) -> Iterator[str]:
    for host in inventory.read_hosts(inventory.remembered(network, ("host", "vm"))["host"] or ()):
        about = inventory.remembered(host, HOST)
        if about["runtime.connectionState"] == vim.HostSystem.ConnectionState.connected:
            group, _above = inventory.standard_group(about["name"], about[NETWORK_SYSTEM], name)
            yield plain_name(group.spec.vswitchName)
