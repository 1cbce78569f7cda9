# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The addresses of pods, towards which no pod of the fleet uses an egress IP. PRIVATE to the collection. Pure.

The networks of engines are excluded by their node, so the containers in them are not in here. A document could name any
address. So an address outside the ranges for private networks counts only if the operator
lists its network in egress_ip_excluded_cidrs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple, Tuple

from .._common.addresses import PRIVATE_NETWORKS, Network, address_order, parse_network, parsed
from .._common.errors import Errors
from .._common.messages import listed
from .._kubernetes.manifests import Manifests

_SHOWN = 5


class NamedRange(NamedTuple):
    """A network or address as text and by its first and last address, and the document that names it."""

    text: str
    version: int
    first: int
    last: int
    document: str
    path: str


# IP version, first and last address.
_Range = Tuple[int, int, int]


def _range(network: Network) -> _Range:
    return network.version, int(network[0]), int(network[-1])


_PRIVATE = [_range(network) for network in PRIVATE_NETWORKS]


class PodNetworks(NamedTuple):
    """The addresses of pods and the pod networks of nodes that are not in the excluded networks.

    `private` are those in private networks, `public` all others.
    """

    private: tuple[NamedRange, ...] = ()
    public: tuple[NamedRange, ...] = ()

    @property
    def networks(self) -> list[Network]:
        """The private ones as networks, towards which pods use no egress IP."""
        return [parse_network(item.text, item.path) for item in self.private]

    @property
    def lines(self) -> list[str]:
        """A line for each kind of document that names a public one."""
        found: dict[str, list[str]] = {}
        for item in self.public:
            found.setdefault(item.path, []).append(f"{item.text} ({item.document})")
        return [
            f"egress_ip_excluded_cidrs: does not contain {listed(names, _SHOWN)}; {path} outside private networks has"
            " no effect on other pods, which use egress IPs towards it; list its network if it is a pod network"
            for path, names in sorted(found.items())
        ]


def pod_networks(manifests: Manifests, own: Collection[str], excluded: Iterable[Network]) -> PodNetworks:
    """Return the PodNetworks of the manifests; `own` are the nodes' addresses, which do not count.

    Raises InvalidError for a malformed network.
    """
    named = [*_named(manifests, own, [*map(_range, excluded)])]
    private, public = ([item for item in named if _is_private(item) is wanted] for wanted in (True, False))
    return PodNetworks(tuple(private), tuple(public))


def _named(manifests: Manifests, own: Collection[str], skipped: Collection[_Range]) -> Iterator[NamedRange]:
    """Yield what documents name, without the nodes' `own` addresses and without what is in the `skipped` ranges."""
    errors = Errors()
    for pod in manifests.pods:
        for address in () if pod.engine else pod.pod_ips:
            version, number = address_order(address)
            if not _are_in(version, number, number, skipped) and address not in own:
                text = f"{address}/{parsed(address).max_prefixlen}"
                yield NamedRange(text, version, number, number, f"pod/{pod.namespace}/{pod.name}", "status.podIPs")
    for node in manifests.nodes:
        for i, cidr in enumerate(node.pod_cidrs):
            network = errors.attempt(parse_network, cidr, f"node/{node.name}: spec.podCIDRs[{i}]")
            if network is not None and not _are_in(*_range(network), skipped):
                yield NamedRange(str(network), *_range(network), f"node/{node.name}", "spec.podCIDRs")
    errors.raise_if_any()


def _is_private(item: NamedRange) -> bool:
    return _are_in(item.version, item.first, item.last, _PRIVATE)


def _are_in(version: int, first: int, last: int, ranges: Iterable[_Range]) -> bool:
    """Return whether one of the ranges contains these addresses."""
    for known, begin, end in ranges:  # noqa: SIM110 - any() takes twice the time, once for each pod
        if known == version and begin <= first and last <= end:
            return True
    return False
