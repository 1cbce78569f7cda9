# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The data plane of a node as one value, the transaction between two of them, and preflight checks. PRIVATE. No I/O.

`_host_io` reads the current data plane and executes transactions.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Mapping

from .._common.addresses import VERSIONS, of_version, version_of
from .._common.messages import first_lines, quote
from .._common.text_fields import MOST_DIFFERENCES
from .esp import IPSEC, Esp, desired_esp, esp_lines
from .host import Host, foreign_uses, held_addresses, is_our_device, is_ours
from .host_users import users_of
from .interfaces import bridged_networks, exits, foreign_tables, is_own, leads_inward, outward_bridges, resolves
from .iproute import IpState, batches, current_ip, desired_ip
from .nft_addresses import network_text
from .nft_networks import Inner, excluded_networks
from .nft_ruleset import desired_admission, desired_tables, not_routing_by
from .nft_table import NETDEV, TableState
from .nft_transaction import rebuildable, script
from .node_state import Held, NodeState
from .numbers import ESP_OVERHEAD, RANDOM_MAC, VXLAN_OVERHEAD
from .options import DataPlaneOptions
from .xfrm_policies import desired_policies, policy_lines

if TYPE_CHECKING:
    from .admission import Admission

# {IP version: sysctl that lets the host forward packets}
FORWARDING = {4: "net.ipv4.ip_forward", 6: "net.ipv6.conf.all.forwarding"}
# Values of sysctls: a loose reverse path filter, and router advertisements also on a host that forwards.
_LOOSE, _ALSO_WHEN_FORWARDING = "2", "2"
_ON, _OFF = "1", "0"
# The most lines of one side of a difference.
_MOST_IN_DIFF = 10_000


def _nothing() -> dict[int, IpState]:
    return {version: IpState() for version in VERSIONS}


@dataclass(frozen=True)
class DataPlane:
    """All our items on a host.

    `ip` {IP version: IpState}, `tables` {family: TableState}, `sysctls` {name: value}, `policies` as in
    `xfrm_policies`, `esp` what encrypts the tunnel. `admission` is how pods that start between runs get their class;
    what was read has none.
    """

    ip: Mapping[int, IpState] = field(default_factory=_nothing)
    tables: Mapping[str, TableState] = field(default_factory=dict)
    sysctls: Mapping[str, str] = field(default_factory=dict)
    policies: frozenset[str] = frozenset()
    esp: Esp = Esp()
    admission: Admission | None = None

    def lines(self) -> frozenset[str]:
        """Return the data plane as a set of one-line facts, rules of nftables as fingerprints (see `texts`)."""
        facts = {
            f"ip {'-6 ' if version == 6 and kind == 'rules' else ''}{kind}: {words}"
            for version, state in self.ip.items()
            for kind, items in state.to_dict().items()
            for words in items
        }
        facts.update(*(table.lines() for table in self.tables.values()))
        facts.update(f"ip xfrm policy: {words}" for words in self.policies)
        facts.update(self.esp.lines())
        return frozenset(facts | {f"sysctl {name} = {value}" for name, value in self.sysctls.items()})

    def comparable_to(self, other: DataPlane) -> DataPlane:
        """Return the data plane with only those sysctls that `other` has, for a comparison with it."""
        return replace(self, sysctls={name: value for name, value in self.sysctls.items() if name in other.sysctls})

    def texts(self) -> dict[str, str]:
        """Return {fingerprint: text} of the nftables rules whose text is known."""
        return {key: text for table in self.tables.values() for key, text in table.texts().items()}


@dataclass(frozen=True)
class Transaction:
    """Commands that lead from one data plane to another; false when there are none.

    `ip` are lines for `ip -batch` about IPv4 and about both versions, `ip6` lines for `ip -6 -batch`, `nft` the lines
    of one `nft -f`, `sysctls` (name, value), and `ip_after` lines for `ip -batch` that come last. With an `admission`,
    the addresses of pods that started between runs belong into the same `nft -f`.
    """

    ip: tuple[str, ...] = ()
    ip6: tuple[str, ...] = ()
    nft: tuple[str, ...] = ()
    sysctls: tuple[tuple[str, str], ...] = ()
    ip_after: tuple[str, ...] = ()
    admission: Admission | None = None

    def __bool__(self) -> bool:
        return bool(self.ip or self.ip6 or self.nft or self.sysctls or self.ip_after)


def sysctl_names(host: Host, device: str) -> list[str]:
    """Return the sysctls that a data plane with the tunnel `device` may set on this host."""
    names = [*FORWARDING.values(), *_of_device(device)]
    names += [_reverse_path(item["ifname"]) for item in host.interfaces if resolves(item)]
    return names + [_accept_ra(interface) for interface in host.listening]


def _reverse_path(interface: str) -> str:
    return f"net.ipv4.conf.{interface}.rp_filter"


def _accept_ra(interface: str) -> str:
    return f"net.ipv6.conf.{interface}.accept_ra"


def _drop_unicast_in_broadcast(version: int, device: str) -> str:
    return f"net.ipv{version}.conf.{device}.drop_unicast_in_l2_multicast"


def _of_device(device: str) -> dict[str, str]:
    """Return {name: value} of the sysctls that exist only with the tunnel device.

    The kernel uses the higher of a device's own rp_filter and that of `all`. Broadcast frames with a unicast packet are
    dropped by nftables, and by the kernel while our tables are gone.
    """
    return {
        _reverse_path(device): _LOOSE,
        f"net.ipv6.conf.{device}.disable_ipv6": _OFF,
        **{_drop_unicast_in_broadcast(version, device): _ON for version in VERSIONS},
    }


def not_routing(
    present: Mapping[str, str], former: Mapping[str, str], tables: Mapping[str, TableState]
) -> frozenset[int]:
    """Return the IP versions whose forwarding was off before the first run.

    `present` and `former` are {sysctl: value}: now, and before this collection changed it. Without a record, and so
    without `former`, our tables show it.
    """
    before = {**present, **former}
    return frozenset({v for v, name in FORWARDING.items() if before.get(name) == _OFF} | not_routing_by(tables))


def _desired_sysctls(state: NodeState, marks: Mapping[str, int], host: Host) -> dict[str, str]:
    of_device, users = _of_device(state.options.tunnel_device), users_of(state)
    wanted: dict[str, str] = {}
    for version in VERSIONS:
        if state.endpoint(version):
            # Also without an egress IP of this version: the device has one value while egress IPs come and go.
            name = _drop_unicast_in_broadcast(version, state.options.tunnel_device)
            wanted[name] = of_device[name]
        if state.endpoint(version) and (of_version(marks, version) or version in users):
            wanted.update({name: value for name, value in of_device.items() if name.startswith(f"net.ipv{version}.")})
        if state.endpoint(version) and of_version(marks, version):
            wanted[FORWARDING[version]] = _ON
    # A strict filter drops packets that arrive on an interface without the default route.
    others = {item.interface for item in state.held if version_of(item.egress_ip) == 4} - {state.interface}
    wanted.update({_reverse_path(interface): _LOOSE for interface in others})
    if FORWARDING[6] in wanted:
        listening = [name for name in host.listening if _may_route(host, state, name)]
        wanted.update({_accept_ra(interface): _ALSO_WHEN_FORWARDING for interface in listening})
    return wanted


def _may_route(host: Host, state: NodeState, interface: str) -> bool:
    """Return whether a router may be on the interface: a container or VM of the host must not become its router."""
    return interface == state.interface or not leads_inward(host, interface)


def lasting_sysctls(sysctls: Mapping[str, str], device: str) -> dict[str, str]:
    """Return those of {name: value} that remain when the tunnel device is deleted."""
    return {name: value for name, value in sysctls.items() if name not in _of_device(device)}


def desired_data_plane(state: NodeState, marks: Mapping[str, int], host: Host) -> DataPlane:
    """Return the DataPlane for `state` on `host`; `marks` is {egress IP: index}."""
    mtu, outward = _mtu(host, state), outward_bridges(host, state)
    in_vrf = sorted(name for name, item in exits(host, state).items() if item.vrf)
    inner = _inner(host, state)
    return DataPlane(
        ip=_desired_ip(host, state, marks, inner),
        tables=desired_tables(state, marks, mtu - VXLAN_OVERHEAD, in_vrf, host.not_routing, outward, inner),
        sysctls=_desired_sysctls(state, marks, host),
        policies=desired_policies(state),
        esp=desired_esp(state, host.tunnel_secrets),
        admission=desired_admission(state),
    )


def _inner(host: Host, state: NodeState) -> Inner:
    """Return the networks of containers and VMs on the host, as far as they concern the state."""
    if not state.has_containers:
        return Inner()
    return Inner(bridged_networks(host, outward_bridges(host, state)), host.idle_networks)


def _desired_ip(host: Host, state: NodeState, marks: Mapping[str, int], inner: Inner) -> dict[int, IpState]:
    users = users_of(state)
    excluded = {v: [network_text(str(each), v) for each in excluded_networks(state, v, inner)] for v in users}
    return desired_ip(state, marks, _mtu(host, state), exits(host, state), _device_mac(host, state), excluded)


def _mtu(host: Host, state: NodeState) -> int:
    """Return the largest size of the tunnel's packets before encryption, in bytes."""
    return host.mtu(state.interface) - (ESP_OVERHEAD if state.options.tunnel_encryption == IPSEC else 0)


def current_data_plane(
    host: Host,
    tables: Mapping[str, TableState],
    sysctls: Mapping[str, str],
    options: DataPlaneOptions,
    claimed: Collection[str],
) -> DataPlane:
    """Return the DataPlane that was read; `claimed` are the egress IPs of the node's record."""
    return DataPlane(current_ip(host, options, claimed), tables, sysctls, host.policies, host.esp)


def transaction(current: DataPlane, desired: DataPlane) -> Transaction:
    """Return the Transaction from one DataPlane to the other.

    With a new tunnel device the netdev table is created again: its chain was deleted with the old device.
    """
    new_device = current.ip[4].links != desired.ip[4].links
    lines = batches(current.ip, desired.ip)
    before, after = policy_lines(current.policies, desired.policies)
    return Transaction(
        # No packet enters the tunnel before its policy is there. iproute2 ends a batch after `deleteall`, with success,
        # so that line is the last one.
        ip=(*esp_lines(current.esp, desired.esp), *lines[4], *before),
        ip6=tuple(lines[6]),
        nft=tuple(script(current.tables, desired.tables, (NETDEV,) if new_device else ())),
        sysctls=tuple(_changed_sysctls(current, desired, new_device)),
        ip_after=tuple(after),
        admission=desired.admission,
    )


def _changed_sysctls(current: DataPlane, desired: DataPlane, new_device: bool) -> Iterable[tuple[str, str]]:
    """Yield the sysctls to write: the different ones, and all of a new device, for it starts with defaults.

    Forwarding comes last: with it, the kernel drops routes from router advertisements where accept_ra is not 2 yet.
    """
    device = next((words.split()[0] for words in desired.ip[4].links), "")
    of_device = _of_device(device) if new_device else {}
    for name, value in sorted(desired.sysctls.items(), key=lambda item: (item[0] in FORWARDING.values(), item[0])):
        if current.sysctls.get(name) != value or name in of_device:
            yield name, value


def rollback_target(
    before: DataPlane, known: DataPlane, options: DataPlaneOptions, host: Host, claimed: Collection[str]
) -> DataPlane:
    """Return the data plane `before`, which was read on `host`, as one to which a transaction can lead back.

    `options` are those of that time, perhaps with another tunnel device; `known` is the data plane desired then, which
    completes what cannot be read.
    """
    ip = current_ip(host, options, claimed)
    sysctls = {**known.sysctls, **before.sysctls} if ip[4].links else before.sysctls
    # What was read is equal to what is known, but has no keys.
    esp = replace(before.esp, states=frozenset(state for state in known.esp.states if state in before.esp.states))
    tables = rebuildable(before.tables, known.tables)
    return DataPlane(ip, tables, sysctls, before.policies, esp, known.admission)


def with_addresses_of(plane: DataPlane, state: NodeState, marks: Mapping[str, int], host: Host) -> DataPlane:
    """Return `plane` with the addresses, rules and routes for `state`."""
    return replace(plane, ip=_desired_ip(host, state, marks, _inner(host, state)))


def _device_mac(host: Host, state: NodeState) -> str:
    """Return the MAC address of the tunnel device: its present one, a new one if that is not random."""
    device = host.interface(state.options.tunnel_device)
    present = str(device.get("address", "")) if device and is_ours(device) else ""
    return present if present.startswith(RANDOM_MAC) else host.new_mac


def held_on(host: Host, claimed: Collection[str]) -> tuple[Held, ...]:
    """Return the egress IPs on the host, sorted; `claimed` are those of the node's record."""
    return tuple(sorted(Held(ip, interface) for ip, interface in held_addresses(host, claimed).items()))


def endpoints_of(networks: Sequence[str]) -> list[str]:
    """Return the endpoints of a node: the first of its networks' addresses ("address/prefix length") per IP version."""
    addresses = [network.split("/")[0] for network in networks]
    return [own for version in VERSIONS for own in of_version(addresses, version)[:1]]


def own_addresses(host: Host, device: str, claimed: Collection[str]) -> list[str]:
    """Return the node's own addresses, without the egress IPs and those of the tunnel `device`."""
    ours = held_addresses(host, claimed)
    return sorted(
        {
            address["local"]
            for name, address in host.addresses()
            if name != device and is_own(address) and address["local"] not in ours
        },
        key=lambda text: (version_of(text), text),
    )


def problems_of(host: Host, options: DataPlaneOptions, interface: str) -> list[str]:
    """Return the reasons why the data plane cannot be built on this host: sentences that begin with a variable."""
    problems = foreign_uses(host, options, is_our_device(host, options.tunnel_device))
    problems += foreign_tables(host, interface, options) if interface and host.interface(interface) else []
    if interface and host.interface(interface) is None:
        names = ", ".join(sorted(item["ifname"] for item in host.interfaces))
        problems.append(
            f"egress_ip_interface: must be an interface of this host, one of {names}, not {quote(interface)}"
        )
    elif not interface and host.default_interface() is None:
        problems.append("egress_ip_interface: the host has no default route; name the interface for the egress IPs")
    return problems


def drift_lines(missing: Sequence[str], surplus: Sequence[str]) -> list[str]:
    """Return the lines of a node's answer on its differences from its record, at most one more than MOST_DIFFERENCES.

    A node of a large fleet that lost its tables differs in more than ten thousand facts.
    """
    lines = [*(f"missing {line}" for line in missing), *(f"left over {line}" for line in surplus)]
    return [*first_lines(lines, MOST_DIFFERENCES, "differences")]


def lines_between(current: DataPlane, desired: DataPlane) -> tuple[list[str], list[str]]:
    """Return the (missing, surplus) facts of `current`, see `DataPlane.lines`."""
    have, want = current.comparable_to(desired).lines(), desired.lines()
    return sorted(want - have), sorted(have - want)


def result_of(before: frozenset[str], after: frozenset[str], texts: Mapping[str, str]) -> dict[str, Any]:
    """Return `changed` and `diff` of a module for two sets of facts; `texts` is {fingerprint: text of the rule}."""
    gone, new = before - after, after - before
    return {"changed": bool(gone or new), "diff": {"before": _legible(gone, texts), "after": _legible(new, texts)}}


def _legible(lines: Iterable[str], texts: Mapping[str, str]) -> str:
    """Return the lines as text: not all of a large fleet, of which an upgrade could change a hundred thousand."""
    shown = []
    for line in lines:
        start, _colon, last = line.rpartition(": ")
        shown.append(f"{start}: {texts[last]}\n" if last in texts else f"{line}\n")
    return "".join(first_lines(sorted(shown), _MOST_IN_DIFF, "lines\n"))
