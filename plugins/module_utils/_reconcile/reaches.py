# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which destinations each egress IP reaches from its holder's interface. PRIVATE to the collection. Pure."""

from __future__ import annotations

from typing import Any, Collection, Iterable, Mapping, NamedTuple, Sequence

from .._common.addresses import VERSIONS, of_version, parse_interface, parse_network, parsed, version_of
from .._dataplane.node_state import Reach


class _Exit(NamedTuple):
    """The way out of an interface for one IP version. The main table of a holder routes from its primary interface."""

    networks: tuple[str, ...]
    routed: bool
    primary: bool


class AddressReaches:
    """The reaches of the egress IPs in a plan: `assignments` of a Plan, `observed` {node: its facts}."""

    def __init__(self, assignments: Iterable[Mapping[str, str]], observed: Mapping[str, Mapping[str, Any]]) -> None:
        self._places = {item["egressIP"]: (item["node"], item["interface"]) for item in assignments}
        self._observed = observed
        self._exits: dict[tuple[str, str, int], _Exit] = {}

    def of(self, egress_ips: Sequence[str], assigned: Collection[str]) -> tuple[Reach, ...]:
        """Return the reaches of an object's addresses; of an IP version none if they make no difference.

        An unassigned address gets that of an assigned one in its network, so that it has the same share when it
        returns.
        """
        return tuple(
            Reach(ip, way.networks, way.routed)
            for version in VERSIONS
            for own in [of_version(egress_ips, version)]
            for known in [{ip: self._exit(ip) for ip in own if ip in assigned}]
            if _differ(known.values())
            for ip in own
            for way in [known.get(ip) or _of_neighbour(ip, known.values())]
            if way
        )

    def _exit(self, egress_ip: str) -> _Exit:
        node, interface = self._places[egress_ip]
        key = node, interface, version_of(egress_ip)
        if key not in self._exits:
            self._exits[key] = _exit_of(self._observed[node], interface, version_of(egress_ip))
        return self._exits[key]


def _exit_of(facts: Mapping[str, Any], interface: str, version: int) -> _Exit:
    own = [text for each in facts["networks"] if each["interface"] == interface for text in each["addresses"]]
    networks = [parse_interface(text, interface).network for text in of_version(own, version)]
    primary = interface == facts["interface"]
    routers = of_version(facts.get("routers", {}).get(interface, ()), version)
    return _Exit(
        tuple(sorted({str(network) for network in networks if network.num_addresses > 1})),
        primary or bool(routers),
        primary,
    )


def _differ(exits: Collection[_Exit]) -> bool:
    """Return whether the choice among addresses with these exits depends on the destination."""
    return len({exit[:2] for exit in exits}) > 1 and not all(exit.primary for exit in exits)


def _of_neighbour(egress_ip: str, exits: Iterable[_Exit]) -> _Exit | None:
    address = parsed(egress_ip)
    return next(
        (exit for exit in exits if any(address in parse_network(network, "") for network in exit.networks)), None
    )
