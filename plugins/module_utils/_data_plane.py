# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything of ours on a node as one value, the way from one such value to another, and the preflight checks.

PRIVATE to the collection. Pure: `_node_io` reads and applies what is decided here.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ._iproute import (
    VXLAN_OVERHEAD,
    IpState,
    batch,
    current_ip,
    desired_ip,
    foreign_uses,
    held_addresses,
    is_our_device,
)
from ._nftables import NETDEV, desired_tables, rebuildable, script
from ._node_state import Held

FORWARDING = "net.ipv4.ip_forward"


@dataclass(frozen=True)
class DataPlane:
    """What `ip`, `nft` and `sysctl` show of ours: `tables` {family: TableState}, `sysctls` {name: value}."""

    ip: IpState = IpState()
    tables: dict = field(default_factory=dict)
    sysctls: dict = field(default_factory=dict)

    def lines(self):
        """Return the data plane as a set of one-line facts."""
        facts = {f"ip {kind}: {words}" for kind, items in self.ip.to_dict().items() for words in items}
        facts.update(*(table.lines() for table in self.tables.values()))
        return frozenset(facts | {f"sysctl {name} = {value}" for name, value in self.sysctls.items()})

    def texts(self):
        """Return {fingerprint: text} of the nftables rules whose text is known."""
        return {mark: text for table in self.tables.values() for mark, text in table.texts().items()}


@dataclass(frozen=True)
class Transaction:
    """The way from one data plane to another: lines for one `ip -batch`, one `nft -f`, and sysctls to write."""

    ip: tuple = ()
    nft: tuple = ()
    sysctls: tuple = ()

    def __bool__(self):
        return bool(self.ip or self.nft or self.sysctls)


def sysctl_names(device):
    """Return the sysctls that we need. A value of 2 in the device's own rp_filter outvotes whatever `all` says."""
    return (FORWARDING, f"net.ipv4.conf.{device}.rp_filter")


def desired_data_plane(state, marks, host):
    """Return the DataPlane that `state` asks for on the `host` (a `_iproute.Host`)."""
    mtu = host.mtu(state.interface)
    forwarding, reverse_path = sysctl_names(state.options.tunnel_device)
    return DataPlane(
        ip=desired_ip(state, marks, mtu),
        tables=desired_tables(state, marks, mtu - VXLAN_OVERHEAD),
        sysctls={forwarding: "1", reverse_path: "2"},
    )


def current_data_plane(host, tables, sysctls, options, claimed):
    """Return the DataPlane that was read; `claimed` are the egress IPs that we are on record to hold."""
    return DataPlane(current_ip(host, options, claimed), tables, sysctls)


def transaction(current, desired):
    """Return the Transaction from one DataPlane to another; it is false when nothing is to be done.

    A new tunnel device needs a new netdev table: the old one's hook went with the old device.
    """
    anew = (NETDEV,) if current.ip.links != desired.ip.links else ()
    return Transaction(
        ip=tuple(batch(current.ip, desired.ip)),
        nft=tuple(script(current.tables, desired.tables, anew)),
        sysctls=tuple(
            (name, value)
            for name, value in sorted(desired.sysctls.items())
            if current.sysctls.get(name) != value or (anew and name != FORWARDING)
        ),
    )


def to_go_back_to(before, known, options, host, claimed):
    """Return the data plane `before`, which was read on `host`, as one that can be built again.

    `options` are those of that time, maybe with another tunnel device; `known` is what was asked for then, and knows
    what reading does not tell.
    """
    ip = current_ip(host, options, claimed)
    sysctls = {**known.sysctls, **before.sysctls} if ip.links else before.sysctls
    return DataPlane(ip, rebuildable(before.tables, known.tables), sysctls)


def claim(state, marks, current, egress_ips):
    """Return `current` with these egress IPs of `state` claimed: the address, and the rule that sends its mark out."""
    wanted = desired_ip(state, marks, 0)
    rest = desired_ip(state.holding([item for item in state.held if item.egress_ip not in egress_ips]), marks, 0)
    return replace(
        current,
        ip=replace(
            current.ip,
            rules=current.ip.rules | (wanted.rules - rest.rules),
            addresses=current.ip.addresses | (wanted.addresses - rest.addresses),
        ),
    )


def held_on(host, claimed):
    """Return the egress IPs that the host holds, as sorted `Held` values."""
    return tuple(sorted(Held(ip, interface) for ip, interface in held_addresses(host, claimed).items()))


def networks_of(host, interface, claimed):
    """Return the node's own addresses on the interface as `address/prefix length`, the egress IPs left out."""
    ours = held_addresses(host, claimed)
    return [
        f"{address['local']}/{address['prefixlen']}"
        for name, address in host.addresses()
        if name == interface and address["family"] == "inet" and _is_global(address) and address["local"] not in ours
    ]


def own_addresses(host, device, claimed):
    """Return every address of the node that counts as node traffic, the egress IPs and the tunnel's dummy left out."""
    ours = held_addresses(host, claimed)
    return sorted(
        {
            address["local"]
            for name, address in host.addresses()
            if name != device and address["family"] == "inet" and _is_global(address) and address["local"] not in ours
        }
    )


def problems_of(host, options, interface):
    """Return what stands in the way of our data plane on this host: sentences that begin with the variable at fault."""
    problems = foreign_uses(host, options, is_our_device(host, options.tunnel_device))
    if interface and host.interface(interface) is None:
        names = ", ".join(sorted(item["ifname"] for item in host.interfaces))
        problems.append(f"egress_ip_interface: there is no interface {interface} on this host, only {names}")
    elif not interface and host.default_interface() is None:
        problems.append("egress_ip_interface: the host has no default route; name the interface for the egress IPs")
    return problems


def _is_global(address):
    return address.get("scope") in ("global", "0")
