# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of a node with which egress IPs would not work, although its data plane is complete. PRIVATE. Pure."""

from __future__ import annotations

from typing import Any, Collection, Iterable, Mapping

from .._common.addresses import VERSIONS, parse_interface, version_of
from .._common.messages import first_lines, quote

_SYSCTLS = {4: "net.bridge.bridge-nf-call-iptables", 6: "net.bridge.bridge-nf-call-ip6tables"}
_VERSIONS = {"ip": (4,), "ip6": (6,), "inet": VERSIONS}
# The most chains of a node that have a line.
_CHAINS_SHOWN = 5


def usable_networks(facts: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the networks of a node, in which those that cannot hold an egress IP have only the node's own address."""
    return [
        {**network, "addresses": [_alone(text) if _is_filtered(facts, network, text) else text for text in addresses]}
        for network in facts["networks"]
        for addresses in [network["addresses"]]
    ]


def _is_filtered(facts: Mapping[str, Any], network: Mapping[str, Any], address: str) -> bool:
    return network["interface"] == facts.get("interface") and version_of(address) in facts.get("bridge_filtered", ())


def _alone(address: str) -> str:
    ip = parse_interface(address, "").ip
    return f"{ip}/{ip.max_prefixlen}"


def limits(
    observed: Mapping[str, Mapping[str, Any]],
    eligible: Collection[str],
    egress_ips: Iterable[str],
    device: str,
    served: Collection[str] = (),
) -> list[str]:
    """Return a line for each setting of a node that prevents the use of egress IPs.

    `observed` is {node: facts}, `eligible` names the nodes that may hold an address, `device` is the tunnel device.
    `served` are the nodes that need no exception for pods, see `networks.served_by_engines`.
    """
    used = {version_of(ip) for ip in egress_ips}
    lines = []
    for name, facts in sorted(observed.items()):
        if name in eligible and len(observed) > 1:
            lines += [_bridge(name, facts["interface"], v) for v in facts.get("bridge_filtered", ()) if v in used]
        chains = [
            _chain(name, each, device)
            for each in facts.get("forward_filters", ())
            if used.intersection(_VERSIONS.get(each["family"], ()))
            and (name in eligible or name not in served or not _is_of_iptables(each))
        ]
        lines += first_lines(chains, _CHAINS_SHOWN, "chains of nftables drop forwarded packets", f"{name}: ")
    return lines


def _chain(name: str, chain: Mapping[str, str], device: str) -> str:
    return (
        f"{name}: the chain {quote(chain['chain'])} of the nftables table {chain['family']} {quote(chain['table'])}"
        f" drops forwarded packets, and no rule of the table names {device}; accept them, see docs/firewalls.md"
    )


def _is_of_iptables(chain: Mapping[str, str]) -> bool:
    """Return whether a chain is the one into which engines put the rules that accept the packets of their networks."""
    return chain["family"] in ("ip", "ip6") and (chain["table"], chain["chain"]) == ("filter", "FORWARD")


def _bridge(name: str, interface: str, version: int) -> str:
    return (
        f"{name}: egress_ip_interface: {quote(interface)} gets no IPv{version} egress IP; it is a bridge, or on top of"
        f" one, whose packets pass iptables ({_SYSCTLS[version]}), so replies to pods of other nodes would be lost;"
        " set the sysctl to 0, or name an interface that does not lead to a bridge"
    )
