# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nftables chains that keep the tunnel to the nodes. PRIVATE to the collection. No I/O.

The port: packets to it are dropped on their way out of a pod or a local user, and on reception unless they come from
the endpoint of a node. The device: what comes out of it has the endpoint of a node as source, and only goes outside.
"""

from __future__ import annotations

from collections.abc import Iterable

from .._common.addresses import WORDS, version_of
from .esp import IPSEC
from .nft_table import ChainState, chain_of
from .numbers import ESP_REQUEST_ID
from .options import DataPlaneOptions

# Kinds of interfaces that lead to containers and virtual machines of the host itself, and VRFs of them.
POD_KINDS = ("veth", "netkit", "tun", "bridge")
INWARD_KINDS = (*POD_KINDS, "vrf")
# Kinds of virtual interfaces that lead to the nodes, as network adapters do, which have no kind. All others lead to
# containers, or are the ends of tunnels into which containers can send: a packet of a node comes from there only if the
# route to that node leads there. The second pass of a packet, through a VRF, needs no check.
_UPLINK_KINDS = ("bond", "ipvlan", "macsec", "macvlan", "team", "vlan", "vrf")
WITHOUT_CONNECTION = "ct state invalid,untracked"
# The route to the packet's source does not lead out of the interface on which it arrived. Linux before 5.14 allows
# this in chains at the hook prerouting only.
NOT_FROM_THERE = "fib saddr . iif oif missing"
_OTHER_PROTOCOLS = "meta l4proto != { tcp, udp } return"
# The packet was not encrypted, or by an IPsec state of others.
_NOT_OUR_ESP = ("meta secpath missing", f"ipsec in reqid != {ESP_REQUEST_ID}")


def to_tunnel_port(options: DataPlaneOptions) -> str:
    """Return the match of packets to the port of the tunnel (UDP) and the hand-over (TCP).

    Every packet of the host is compared with it, so the chains that follow check the protocol.
    """
    return f"th dport {options.tunnel_port}"


def tunnel_chains(options: DataPlaneOptions, endpoints: Iterable[str]) -> dict[str, ChainState]:
    """Return {name: chain} of the jump targets for packets from the tunnel and to its port; `endpoints` are own."""
    return {**_from_tunnel(options), **_received(options, endpoints), **_sent(options)}


def _from_tunnel(options: DataPlaneOptions) -> dict[str, ChainState]:
    """Return the chains for the inner packets; the hook input drops them without further checks."""
    return {
        "from_tunnel": chain_of(
            "",
            f"{WITHOUT_CONNECTION} drop",
            *(f"{ip} saddr != @nodes{v} drop" for v, ip in WORDS.items()),
            f"meta mark and {options.mark_mask:#x} vmap @marks",
            "drop",
        ),
        "tunnel_forward": chain_of(
            "",
            # `from_tunnel` has marked its connection.
            f"ct mark and {options.mark_mask:#x} == 0 drop",
            # During a move: a second node on the path would change the source port, and the server would refuse it.
            f'oifname "{options.tunnel_device}" drop',
            "ct direction reply drop",
            # After translation of the destination by others.
            *(f"{ip} daddr @{name}{v} drop" for name in ("excluded", "selected") for v, ip in WORDS.items()),
        ),
    }


def _of_tunnel_device(options: DataPlaneOptions) -> str:
    """Return the match of packets that the tunnel device sends.

    All bits are the mark of packets that need no egress IP: those of users to nodes, and those of selected pods to this
    node, which IPVS sends on from here.
    """
    mask = f"{options.mark_mask:#x}"
    return f"meta l4proto udp meta mark and {mask} != {{ 0, {mask} }}"


def _received(options: DataPlaneOptions, endpoints: Iterable[str]) -> dict[str, ChainState]:
    """Return the chains for outer packets and the hand-over that arrive at this node."""
    own = [(version_of(endpoint), endpoint) for endpoint in endpoints]
    encrypted = options.tunnel_encryption == IPSEC
    uplinks = ", ".join(f'"{kind}"' for kind in _UPLINK_KINDS)
    return {
        "tunnel_port_raw": chain_of(
            "",
            _OTHER_PROTOCOLS,
            f"meta iifkind != {{ {uplinks} }} jump tunnel_port_inward",
            "meta l4proto udp fib daddr type local notrack",
        ),
        # A pod uses the address of a node as source, or sent the packet into a tunnel of other software.
        "tunnel_port_inward": chain_of("", *(f"{ip} saddr @nodes{v} {NOT_FROM_THERE} drop" for v, ip in WORDS.items())),
        "tunnel_port_input": chain_of(
            "",
            _OTHER_PROTOCOLS,
            *(f"meta l4proto udp {words} drop" for words in _NOT_OUR_ESP if encrypted),
            *(f"{ip} saddr @nodes{v} {ip} daddr @egress_ips{v} return" for v, ip in WORDS.items()),
            *(f"{WORDS[v]} saddr @nodes{v} {WORDS[v]} daddr {endpoint} return" for v, endpoint in own),
            "drop",
        ),
    }


def _sent(options: DataPlaneOptions) -> dict[str, ChainState]:
    """Return the chains for packets to the tunnel's port that this node forwards or sends."""
    device, encrypted = _of_tunnel_device(options), options.tunnel_encryption == IPSEC
    return {
        "tunnel_port_forward": chain_of(
            "",
            _OTHER_PROTOCOLS,
            # While an address moves, its old holder forwards what arrives for it.
            *(f"{ip} saddr @nodes{v} return" for v, ip in WORDS.items()),
            *(f"{ip} daddr @tunnel{v} drop" for v, ip in WORDS.items()),
        ),
        "tunnel_port_output": chain_of(
            "",
            _OTHER_PROTOCOLS,
            # While the IPsec policies are gone.
            *([f"{device} rt ipsec missing drop"] if encrypted else []),
            # The tunnel device sets the mark of an egress IP, which only root can do; the hand-over runs as root.
            f"{device} return",
            "tcp flags & (syn | ack) != syn return",
            "meta l4proto tcp meta skuid 0 return",
            *(f"{ip} daddr @tunnel{v} drop" for v, ip in WORDS.items()),
        ),
    }
