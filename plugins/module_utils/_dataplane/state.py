# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything of ours on a node as one value, the way from one such value to another, and the preflight checks.

PRIVATE to the collection. Pure: `_host_io.node_io` reads and applies what is decided here.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from .._common.addresses import VERSIONS, of_version, version_of
from .host import foreign_uses, held_addresses, is_our_device
from .interfaces import exits, foreign_tables, is_own, resolves
from .iproute import (
    VXLAN_OVERHEAD,
    IpState,
    batches,
    current_ip,
    desired_ip,
)
from .nft_ruleset import desired_tables
from .nft_table import NETDEV
from .nft_transaction import rebuildable, script
from .node_state import Held
from .xfrm_policies import desired_policies, policy_lines

FORWARDING = {4: "net.ipv4.ip_forward", 6: "net.ipv6.conf.all.forwarding"}


def _nothing():
    return {version: IpState() for version in VERSIONS}


@dataclass(frozen=True)
class DataPlane:
    """What `ip`, `nft` and `sysctl` show of ours.

    `ip` {IP version: IpState}, `tables` {family: TableState}, `sysctls` {name: value}, `policies` as in
    `xfrm_policies`.
    """

    ip: dict = field(default_factory=_nothing)
    tables: dict = field(default_factory=dict)
    sysctls: dict = field(default_factory=dict)
    policies: frozenset = frozenset()

    def lines(self):
        """Return the data plane as a set of one-line facts."""
        facts = {
            f"ip {'-6 ' if version == 6 and kind == 'rules' else ''}{kind}: {words}"
            for version, state in self.ip.items()
            for kind, items in state.to_dict().items()
            for words in items
        }
        facts.update(*(table.lines() for table in self.tables.values()))
        facts.update(f"ip xfrm policy: {words}" for words in self.policies)
        return frozenset(facts | {f"sysctl {name} = {value}" for name, value in self.sysctls.items()})

    def beside(self, other):
        """Return the data plane without the sysctls that `other`, which it is compared with, does not care for."""
        return replace(self, sysctls={name: value for name, value in self.sysctls.items() if name in other.sysctls})

    def texts(self):
        """Return {fingerprint: text} of the nftables rules whose text is known."""
        return {mark: text for table in self.tables.values() for mark, text in table.texts().items()}


@dataclass(frozen=True)
class Transaction:
    """The way from one data plane to another: lines for `ip -batch`, for one `nft -f`, and sysctls to write.

    `ip` are the lines for IPv4 and all that is for no version, `ip6` those for IPv6, `ip_after` those that come last.
    """

    ip: tuple = ()
    ip6: tuple = ()
    nft: tuple = ()
    sysctls: tuple = ()
    ip_after: tuple = ()

    def __bool__(self):
        return bool(self.ip or self.ip6 or self.nft or self.sysctls or self.ip_after)


def sysctl_names(host, device):
    """Return the sysctls that may concern us on this host."""
    names = [*FORWARDING.values(), *_of_device(device)]
    names += [_reverse_path(item["ifname"]) for item in host.interfaces if resolves(item)]
    return names + [f"net.ipv6.conf.{interface}.accept_ra" for interface in host.listening]


def _reverse_path(interface):
    return f"net.ipv4.conf.{interface}.rp_filter"


def _of_device(device):
    """Return the sysctls that come and go with the tunnel device, and their values.

    A value of 2 in the device's own rp_filter outvotes whatever `all` says.
    """
    return {_reverse_path(device): "2", f"net.ipv6.conf.{device}.disable_ipv6": "0"}


def _desired_sysctls(state, marks, host):
    """Return {name: value}. A host that forwards IPv6 heeds router advertisements only where accept_ra is 2."""
    of_device = _of_device(state.options.tunnel_device)
    wanted = {}
    for version in VERSIONS:
        if state.endpoint(version) and of_version(marks, version):
            wanted[FORWARDING[version]] = "1"
            wanted.update({name: value for name, value in of_device.items() if name.startswith(f"net.ipv{version}.")})
    # What comes in by another interface than the one with the default route fails a strict check.
    others = {item.interface for item in state.held if version_of(item.egress_ip) == 4} - {state.interface}
    wanted.update({_reverse_path(interface): "2" for interface in others})
    if FORWARDING[6] in wanted:
        wanted.update({f"net.ipv6.conf.{interface}.accept_ra": "2" for interface in host.listening})
    return wanted


def lasting_sysctls(sysctls, device):
    """Return those of {name: value} that stay when the tunnel device goes."""
    return {name: value for name, value in sysctls.items() if name not in _of_device(device)}


def desired_data_plane(state, marks, host):
    """Return the DataPlane that `state` asks for on the `host` (a `_dataplane.iproute.Host`)."""
    mtu, ways = host.mtu(state.interface), exits(host, state)
    return DataPlane(
        ip=desired_ip(state, marks, mtu, ways),
        tables=desired_tables(state, marks, mtu - VXLAN_OVERHEAD, sorted(name for name in ways if ways[name].vrf)),
        sysctls=_desired_sysctls(state, marks, host),
        policies=desired_policies(state),
    )


def current_data_plane(host, tables, sysctls, options, claimed):
    """Return the DataPlane that was read; `claimed` are the egress IPs that we are on record to hold."""
    return DataPlane(current_ip(host, options, claimed), tables, sysctls, host.policies)


def transaction(current, desired):
    """Return the Transaction from one DataPlane to another; it is false when nothing is to be done.

    A new tunnel device needs a new netdev table: the old one's hook went with the old device.
    """
    anew = (NETDEV,) if current.ip[4].links != desired.ip[4].links else ()
    lines = batches(current.ip, desired.ip)
    before, after = policy_lines(current.policies, desired.policies)
    # A new device has values of its own. Forwarding comes last: it makes the kernel drop the routes that it learned
    # where accept_ra is not 2 yet.
    device = next((words.split()[0] for words in desired.ip[4].links), "")
    wanted = sorted(desired.sysctls.items(), key=lambda item: (item[0] in FORWARDING.values(), item[0]))
    return Transaction(
        # `deleteall` is the end of a batch: iproute2 leaves it there, with success.
        ip=(*lines[4], *before),
        ip6=tuple(lines[6]),
        nft=tuple(script(current.tables, desired.tables, anew)),
        sysctls=tuple(
            (name, value)
            for name, value in wanted
            if current.sysctls.get(name) != value or (anew and name in _of_device(device))
        ),
        ip_after=tuple(after),
    )


def rollback_target(before, known, options, host, claimed):
    """Return the data plane `before`, which was read on `host`, as one that can be built again.

    `options` are those of that time, maybe with another tunnel device; `known` is what was asked for then, and knows
    what reading does not tell.
    """
    ip = current_ip(host, options, claimed)
    sysctls = {**known.sysctls, **before.sysctls} if ip[4].links else before.sysctls
    return DataPlane(ip, rebuildable(before.tables, known.tables), sysctls, before.policies)


def with_addresses_of(plane, state, marks, host):
    """Return the DataPlane with the addresses and the ways out that `state` asks for."""
    return replace(plane, ip=desired_ip(state, marks, host.mtu(state.interface), exits(host, state)))


def held_on(host, claimed):
    """Return the egress IPs that the host holds, as sorted `Held` values."""
    return tuple(sorted(Held(ip, interface) for ip, interface in held_addresses(host, claimed).items()))


def endpoints_of(networks):
    """Return where the node's tunnel ends: the first of its own addresses of each IP version."""
    addresses = [network.split("/")[0] for network in networks]
    return [own for version in VERSIONS for own in of_version(addresses, version)[:1]]


def own_addresses(host, device, claimed):
    """Return every address of the node that counts as node traffic, the egress IPs and the tunnel's dummy left out."""
    ours = held_addresses(host, claimed)
    return sorted(
        {
            address["local"]
            for name, address in host.addresses()
            if name != device and is_own(address) and address["local"] not in ours
        },
        key=lambda text: (version_of(text), text),
    )


def problems_of(host, options, interface):
    """Return what stands in the way of our data plane on this host: sentences that begin with the variable at fault."""
    problems = foreign_uses(host, options, is_our_device(host, options.tunnel_device))
    problems += foreign_tables(host, interface, options) if interface and host.interface(interface) else []
    if interface and host.interface(interface) is None:
        names = ", ".join(sorted(item["ifname"] for item in host.interfaces))
        problems.append(f"egress_ip_interface: there is no interface {interface} on this host, only {names}")
    elif not interface and host.default_interface() is None:
        problems.append("egress_ip_interface: the host has no default route; name the interface for the egress IPs")
    return problems


def lines_between(current, desired):
    """Return (missing, surplus) lines. A rule is told by its fingerprint in both."""
    have, want = current.beside(desired).lines(), desired.lines()
    return sorted(want - have), sorted(have - want)


def result_of(before, after, known):
    """Return `changed` and `diff`; `known` are the texts of rules that stand in the lines by their fingerprints."""
    gone, new = before - after, after - before
    diff = {"before": _legible(gone, known), "after": _legible(new, known)}
    return {"changed": bool(gone or new), "diff": diff}


def _legible(lines, known):
    shown = []
    for line in lines:
        start, _colon, last = line.rpartition(": ")
        shown.append(f"{start}: {known[last]}\n" if last in known else f"{line}\n")
    return "".join(sorted(shown))
