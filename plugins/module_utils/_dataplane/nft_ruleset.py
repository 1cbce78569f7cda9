# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The two nftables tables of a node state. PRIVATE to the collection. No I/O.

docs/packet.md describes the path of a packet through the chains.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, List, Mapping, Tuple

from .._common.addresses import VERSIONS, WORDS, of_version, version_of
from .._common.destinations import Destinations, objects_by_network
from .host_users import Users, followed_by_users, user_chains, users_of
from .iproute import macs_of
from .named_networks import Classes
from .nft_addresses import name_of, network_text, object_chain, object_chains, object_maps
from .nft_networks import (
    KEEP,
    Inner,
    classes_of,
    closes_unknown,
    excluded_networks,
    guard_rules,
    network_rules,
    network_sets,
    outside_interfaces,
)
from .nft_table import (
    INET,
    INTERVALS,
    NETDEV,
    TABLE,
    TIMEOUTS,
    ChainState,
    Elements,
    SetState,
    TableState,
    base_chain,
    chain_of,
    extended,
    fingerprint,
)
from .nft_transaction import Tables
from .nft_tunnel import INWARD_KINDS, NOT_FROM_THERE, POD_KINDS, WITHOUT_CONNECTION, to_tunnel_port, tunnel_chains
from .node_state import NodeState
from .numbers import NFT_FILTER, NFT_FORWARD, NFT_GUARD, NFT_INGRESS, NFT_MARK, NFT_RAW, NFT_SNAT
from .options import DataPlaneOptions
from .pod_classes import CLASSES, SELECTED

if TYPE_CHECKING:
    from .admission import Admission

# {direction of a connection: map from marks to the counters of its packets}
DIRECTIONS = {"original": "transmit", "reply": "receive"}
# {IP version: length in bytes of its header and TCP's}
_HEADERS = {4: 40, 6: 60}

# Seconds after a takeover in which the new holder ignores late packets of connections that it does not know.
_SETTLING = 5

# Packets that may be source-routed: with options of IPv4, with a routing header of IPv6.
_SOURCE_ROUTES = ("ip hdrlength > 5", "exthdr rt exists")

_FORWARD_OTHERS = "forward_others"
_NOT_THE_FIRST = "tcp flags & (fin | syn | rst | ack) != syn"
_UNKNOWN_TCP = f"ct state new,invalid {_NOT_THE_FIRST}"

# {egress IP: index}
Marks = Mapping[str, int]
# {names of objects: [(name, its destinations)]}, the objects that a pod follows depending on the destination.
DestinationChoices = Mapping[Tuple[str, ...], List[Tuple[str, Destinations]]]


def desired_tables(
    state: NodeState,
    marks: Marks,
    mtu: int,
    in_vrf: Sequence[str] = (),
    not_routing: Collection[int] = (),
    outward: Sequence[str] = (),
    inner: Inner = Inner(),  # noqa: B008
) -> dict[str, TableState]:
    """Return the {family: TableState} for `state`; `mtu` is that of the tunnel in bytes.

    `in_vrf` are the interfaces with egress IPs that belong to a VRF. For the IP versions `not_routing` the host
    forwards nothing between its networks but packets with an egress IP. The bridges `outward` lead to other hosts.
    """
    classes, users = classes_of(state), users_of(state)
    choices = _destination_choices(state, classes, users)
    unselected = _unselected(state, classes)
    base = _base_chains(state, in_vrf, sorted(not_routing), outward, unselected)
    own = network_rules(state, classes, outward, lambda names: _pod_chain(names, choices))
    base["prerouting"] = extended(base["prerouting"], *own)
    base.update(user_chains(state, users, lambda names: _pod_chain(names, choices)))
    table = _inet_table(state, marks, {**base, "handshake": _handshake_chain(mtu)}, outward, choices, inner)
    for version in VERSIONS:
        named = network_sets(state, classes[version], version, inner, lambda names: _pod_chain(names, choices))
        table = replace(table, sets={**table.sets, **named})
    return {NETDEV: _netdev_table(state, marks), INET: table}


def desired_admission(state: NodeState) -> Admission | None:
    """Return the Admission that fits the tables of a state, None if the node does not follow pods."""
    if state.follow is None:
        return None
    # Most nodes do not need it.
    from .admission import admission_of  # noqa: PLC0415

    choices = _destination_choices(state, classes_of(state), users_of(state))
    return admission_of(state, {names: _destination_name("choice", names) for names in choices})


def settling_lines(egress_ips: Collection[str]) -> list[str]:
    """Return the lines for `nft -f` that keep the kernel for some seconds from resetting unknown connections.

    The connections of a lost holder are unknown until their clients send something. Needs the tables of a state with
    failover.
    """
    return [f"add element {INET} {TABLE} settling{version_of(ip)} {{ {ip} timeout {_SETTLING}s }}" for ip in egress_ips]


def held_by(tables: Tables) -> set[str]:
    """Return the egress IPs to which the tables translate: those that the node holds or is claiming."""
    sets = tables[INET].sets if INET in tables else {}
    maps = [sets[f"held{version}"] for version in VERSIONS if f"held{version}" in sets]
    return {ip for item in maps for ip in item.elements.values() if ip is not None}


def _netdev_table(state: NodeState, marks: Marks) -> TableState:
    """Frames from the tunnel: the inner destination MAC gives the mark of the egress IP, other frames are dropped."""
    options = state.options
    macs = macs_of(marks)
    by_mac = {macs[ip]: _mark_text(options, index) for ip, index in marks.items()}
    rule = "meta mark set ether daddr map @by_mac meta pkttype set host accept"
    header = base_chain("filter", "ingress", NFT_INGRESS, "drop")
    chain = replace(chain_of(header, rule), device=options.tunnel_device)
    return TableState(NETDEV, {"by_mac": SetState("map", "{ type ether_addr : mark; }", by_mac)}, {"tunnel_in": chain})


def _inet_table(
    state: NodeState,
    marks: Marks,
    chains: Mapping[str, ChainState],
    outward: Sequence[str],
    choices: DestinationChoices,
    inner: Inner,
) -> TableState:
    options = state.options
    by_mark = {_mark_text(options, index): f"goto {name_of('mark', ip)}" for ip, index in marks.items()}
    sets: dict[str, SetState] = {"marks": SetState("map", "{ type mark : verdict; }", by_mark)}
    for version in VERSIONS:
        sets.update(_sets(state, marks, version, choices, inner))
        sets.update(_destination_maps(choices, version))
    sets.update(object_maps(state))
    sets.update({name: _counter_map(state, marks, name) for name in DIRECTIONS.values()})
    return TableState(
        family=INET,
        sets=sets,
        chains={
            **chains,
            **tunnel_chains(options, state.endpoints),
            **_selected_chains(state, outward),
            **_holder_chains(state),
            **_marked_chains(options),
            **_mark_chains(options, marks),
            **object_chains(state),
            **_destination_chains(choices),
        },
        counters=frozenset(
            name_of(direction, item.egress_ip) for direction in DIRECTIONS.values() for item in state.held
        ),
    )


def _holder_chains(state: NodeState) -> dict[str, ChainState]:
    """Return the chains for new connections from the egress IPs that a node holds, and to them."""
    chains = {
        # Any user can bind a socket to an egress IP that the node holds; services on it reply, they open nothing.
        "from_egress_ip": chain_of(
            "",
            # To a published port of this node: the destination was translated after the kernel chose the source.
            'oifname "lo" ct status dnat return',
            "fib daddr type local return",
            "meta skuid 0 return",
            "drop",
        )
    }
    if state.options.inbound == "drop":
        # A late packet of a connection that has moved or ended is still answered with a reset.
        chains["inbound"] = chain_of("", f"meta l4proto tcp {_NOT_THE_FIRST} return", "drop")
    if state.failover:
        chains["unknown_tcp"] = _unknown_tcp_chain()
    return chains


def _counter_map(state: NodeState, marks: Marks, direction: str) -> SetState:
    """Return the map from the marks of the held addresses to their counters of one direction."""
    counters: Elements = {
        _mark_text(state.options, marks[item.egress_ip]): name_of(direction, item.egress_ip) for item in state.held
    }
    return SetState("map", "{ type mark : counter; }", counters)


def _sets(
    state: NodeState, marks: Marks, version: int, choices: DestinationChoices, inner: Inner
) -> dict[str, SetState]:
    """Return the sets and maps of addresses of one IP version."""
    kind = f"ipv{version}_addr"
    held = [item.egress_ip for item in state.held if version_of(item.egress_ip) == version]
    endpoints = [ip for node in state.nodes for ip in of_version(node.endpoints, version)]
    addresses = [ip for node in state.nodes for ip in of_version(node.addresses, version)]
    egress_ips = of_version(marks, version)
    pods: Elements = {
        pod.address: f"goto {_pod_chain(pod.egressips, choices)}" if pod.egressips else KEEP
        for pod in state.pods
        if version_of(pod.address) == version
    }
    selected = [address for address, verdict in pods.items() if verdict != KEEP]
    return {
        f"nodes{version}": SetState("set", f"{{ type {kind}; }}", dict.fromkeys(endpoints)),
        f"egress_ips{version}": SetState("set", f"{{ type {kind}; }}", dict.fromkeys(egress_ips)),
        # Where a packet to the tunnel's port could reach a node.
        f"tunnel{version}": SetState(
            "set", f"{{ type {kind}; }}", dict.fromkeys([*endpoints, *addresses, *egress_ips])
        ),
        f"excluded{version}": SetState("set", f"{{ type {kind}; {INTERVALS} }}", _excluded(state, version, inner)),
        f"selected{version}": SetState("set", f"{{ type {kind}; }}", dict.fromkeys(selected)),
        f"pods{version}": SetState("map", f"{{ type {kind} : verdict; }}", pods),
        **(_followed_sets(version) if state.follow else {}),
        **({f"settling{version}": SetState("set", f"{{ type {kind}; {TIMEOUTS} }}", {})} if state.failover else {}),
        f"held{version}": SetState(
            "map", f"{{ type mark : {kind}; }}", {_mark_text(state.options, marks[ip]): ip for ip in held}
        ),
    }


def _followed_sets(version: int) -> dict[str, SetState]:
    """Return the map and the set of pods that start between runs; their elements are not part of a state."""
    kind = f"ipv{version}_addr"
    return {
        f"{CLASSES}{version}": SetState("map", f"{{ type {kind} : verdict; }}", {}),
        f"{SELECTED}{version}": SetState("set", f"{{ type {kind}; }}", {}),
    }


def _base_chain(kind: str, hook: str, priority: int, *rules: str) -> ChainState:
    return chain_of(base_chain(kind, hook, priority), *rules)


def _base_chains(
    state: NodeState, in_vrf: Sequence[str], not_routing: Sequence[int], outward: Sequence[str], unselected: str
) -> dict[str, ChainState]:
    options = state.options
    device, port, mask = options.tunnel_device, to_tunnel_port(options), f"{options.mark_mask:#x}"
    # The outer packets of the tunnel inherit the mark; untracked packets pass every address translation unchanged.
    notrack = f"udp dport {options.tunnel_port} meta mark and {mask} != 0 notrack"
    no_redirect = f"icmp type redirect ct mark and {mask} != 0 drop"
    return {
        "raw_prerouting": _base_chain("filter", "prerouting", NFT_RAW, f"{port} jump tunnel_port_raw"),
        "raw_output": _base_chain("filter", "output", NFT_RAW, notrack),
        "prerouting": _base_chain("filter", "prerouting", NFT_MARK, *_prerouting(state, in_vrf, unselected)),
        "input": _base_chain(
            "filter", "input", NFT_FILTER, f'iifname "{device}" drop', f"{port} goto tunnel_port_input"
        ),
        "forward": _base_chain("filter", "forward", NFT_FORWARD, *_forward(options, not_routing)),
        "output": _base_chain(
            "filter",
            "output",
            NFT_FILTER,
            # After a goto from a base chain, the rules below would not be reached.
            f"{port} jump tunnel_port_output",
            no_redirect,
            # Its answers would leave with the egress IP: see `host_users`.
            "ct state new ip6 daddr @egress_ips6 meta skuid != 0 fib saddr type != local drop",
            *(f"ct state new {ip} saddr @egress_ips{v} goto from_egress_ip" for v, ip in WORDS.items()),
        ),
        "postrouting": _base_chain("nat", "postrouting", NFT_SNAT, *_postrouting(state)),
        "guard": _base_chain("filter", "postrouting", NFT_GUARD, f"ct mark and {mask} != 0 goto marked"),
        **{f"{_FORWARD_OTHERS}{version}": _forward_others(version, outward) for version in not_routing},
    }


def _prerouting(state: NodeState, in_vrf: Sequence[str], unselected: str) -> Iterator[str]:
    options = state.options
    mask = f"{options.mark_mask:#x}"
    # By the mark, replies leave the VRF in which they arrive.
    yield from (f'iifname "{name}" ct direction reply meta mark set ct mark and {mask}' for name in in_vrf)
    for name in (*((SELECTED,) if state.follow else ()), "selected"):
        yield from (f"{ip} saddr @{name}{v} jump selected" for v, ip in WORDS.items())
    yield from guard_rules(state)
    # Ordinary packets leave here, those that begin a connection further below.
    yield f"ct state established,related ct mark and {mask} == 0 {unselected} return"
    yield "ct direction reply return"
    yield f'iifname "{options.tunnel_device}" goto from_tunnel'
    if state.failover:
        yield f"{_UNKNOWN_TCP} jump unknown_tcp"
    if options.inbound == "drop":
        # Also to a published port, whose destination has been translated: the rules below concern such a packet.
        yield from (f"ct state new ct original {ip} daddr @egress_ips{v} jump inbound" for v, ip in WORDS.items())
    yield f"ct mark and {mask} vmap @marks"
    # A connection that started before its pod was selected keeps the node's address, unless `unassigned` is drop.
    all_packets = options.unassigned == "drop"
    new = "ct state new "
    if not all_packets:
        # What belongs to no connection meets the rules that close unknown networks.
        yield f"ct state {'established,related' if closes_unknown(state) else '!= new'} return"
        new = ""
    followed = [SELECTED] if state.follow else []
    for name in [*followed, "selected", *(["guarded"] if state.names_networks else [])]:
        yield from (
            f"{new}{ip} daddr @{name}{v} {ip} saddr != @excluded{v} jump to_selected" for v, ip in WORDS.items()
        )
    yield f"{unselected} return"
    only_new = "" if all_packets else new
    for name in (*([CLASSES] if state.follow else []), "pods"):
        yield from (f"{only_new}{ip} daddr != @excluded{v} {ip} saddr vmap @{name}{v}" for v, ip in WORDS.items())


def _unselected(state: NodeState, classes: Mapping[int, Classes]) -> str:
    """Return the matches of packets that come neither from the tunnel nor from a selected pod or a guarded network.

    They have no mark. The maps of pods and networks have no object for their source.
    """
    return f"{outside_interfaces(state, classes)}meta mark and {state.options.mark_mask:#x} == 0"


def _forward(options: DataPlaneOptions, not_routing: Sequence[int]) -> Iterator[str]:
    mask = f"{options.mark_mask:#x}"
    yield f'iifname "{options.tunnel_device}" jump tunnel_forward'
    yield f"{to_tunnel_port(options)} jump tunnel_port_forward"
    yield from (f"meta nfproto ipv{v} ct mark and {mask} == 0 goto {_FORWARD_OTHERS}{v}" for v in not_routing)
    yield f"ct mark and {mask} != 0 goto handshake"


def _unknown_tcp_chain() -> ChainState:
    """Return the chain that drops packets of unknown connections to an egress IP that was taken over just now."""
    destinations = (
        # Before its translation, as that of a published port.
        *(f"ct original {ip} daddr @settling{v}" for v, ip in WORDS.items()),
        # What conntrack calls invalid has no other destination.
        *(f"{ip} daddr @settling{v}" for v, ip in WORDS.items()),
    )
    return chain_of("", *(f"{words} drop" for words in destinations))


def _handshake_chain(mtu: int) -> ChainState:
    """Return the chain that limits the segment size of connections with an egress IP; `mtu` is the tunnel's."""
    handshake = "tcp flags & (syn | rst) == syn tcp option maxseg size set"
    return chain_of("", *(f"meta nfproto ipv{v} {handshake} {mtu - size}" for v, size in _HEADERS.items()))


def _postrouting(state: NodeState) -> Iterator[str]:
    device, mask = state.options.tunnel_device, f"{state.options.mark_mask:#x}"
    yield f"ct mark and {mask} == 0 return"
    yield from (f'oifname "{device}" snat {WORDS[version_of(end)]} to {end}' for end in state.endpoints)
    yield from (f"snat {ip} to ct mark and {mask} map @held{v}" for v, ip in WORDS.items())
    yield "drop"


def _from_inside(end: str, outward: Sequence[str], kinds: Sequence[str] = INWARD_KINDS) -> Iterator[str]:
    """Yield the matches of packets whose interface (`end`: iif or oif) leads to containers or VMs of the host."""
    names = ", ".join(f'"{name}"' for name in outward)
    others = f"{end}name != {{ {names} }} " if outward else ""
    yield from (f'{others}meta {end}kind "{kind}"' for kind in kinds)


def _forward_others(version: int, outward: Sequence[str]) -> ChainState:
    """Return the chain that keeps a host from becoming a router between its networks when forwarding is turned on."""
    return chain_of(
        "",
        *(f"{inside} return" for end in ("iif", "oif") for inside in _from_inside(end, outward)),
        # While an address moves, its old holder forwards what arrives for it.
        f"{WORDS[version]} daddr @egress_ips{version} return",
        "drop",
    )


def not_routing_by(tables: Tables) -> set[int]:
    """Return the IP versions for which the tables forward nothing but packets with an egress IP between networks."""
    chains = tables[INET].chains if INET in tables else {}
    return {version for version in VERSIONS if f"{_FORWARD_OTHERS}{version}" in chains}


def _selected_chains(state: NodeState, outward: Sequence[str]) -> dict[str, ChainState]:
    """Return the chains for packets whose source is the address of a selected pod."""
    uplinks = sorted({state.interface, *(item.interface for item in state.held)})
    mask = f"{state.options.mark_mask:#x}"
    return {
        "selected": chain_of(
            "",
            # The mark shows that this table has processed the packet; `xfrm_policies` stop one without it.
            f"meta mark set meta mark or {mask}",
            # This node would forward it to a destination that this table has not seen.
            *(f"{header} fib daddr type local drop" for header in _SOURCE_ROUTES),
            # Another host uses the address of a pod as its source.
            *(f'iifname "{name}" {NOT_FROM_THERE} drop' for name in uplinks),
            # Most packets leave here. What comes from the tunnel has no pod's source, and is dropped below.
            f'ct state established,related iifname != "{state.options.tunnel_device}" ct direction original'
            f" ct mark and {mask} vmap @marks",
            f"{WITHOUT_CONNECTION} jump without_connection",
            "ct state new goto from_elsewhere",
        ),
        # A packet that belongs to no connection cannot be translated.
        "without_connection": chain_of("", *(f"{ip} daddr != @excluded{v} drop" for v, ip in WORDS.items())),
        # A pod that forges a connection to itself from outside can reply to it, past its egress IP.
        "to_selected": chain_of(
            "", *(f"{pod} {NOT_FROM_THERE} drop" for pod in _from_inside("iif", outward, POD_KINDS))
        ),
        # Some network plugins route to a pod by another interface than its own.
        "from_elsewhere": chain_of(
            "", *(f"{inside} return" for inside in _from_inside("iif", outward)), f"{NOT_FROM_THERE} drop"
        ),
    }


def _marked_chains(options: DataPlaneOptions) -> dict[str, ChainState]:
    """Return the chains for packets of connections with an egress IP, with their final source."""
    device, mask = options.tunnel_device, f"{options.mark_mask:#x}"
    return {
        "marked": chain_of(
            "",
            "ct direction reply goto marked_reply",
            # A connection with an egress IP leaves with it or through the tunnel, or not at all.
            *(
                f'meta nfproto ipv{v} oifname != "{device}" ct state != related {ip} saddr != @egress_ips{v} drop'
                for v, ip in WORDS.items()
            ),
            _counted(mask, "original"),
        ),
        "marked_reply": chain_of("", _counted(mask, "reply")),
    }


def _counted(mask: str, direction: str) -> str:
    return f"counter name ct mark and {mask} map @{DIRECTIONS[direction]}"


def _mark_chains(options: DataPlaneOptions, marks: Marks) -> dict[str, ChainState]:
    """Return the chains that set the mark of one egress IP on a packet and its connection."""
    mask, keep = f"{options.mark_mask:#x}", f"{0xFFFFFFFF ^ options.mark_mask:#010x}"
    return {
        name_of("mark", ip): chain_of(
            "",
            # Setting the mark again costs as much as a lookup.
            f"ct mark and {mask} != {_mark_text(options, index)} ct mark set ct mark and {keep} or"
            f" {_mark_text(options, index)}",
            f"meta mark set meta mark and {keep} or {_mark_text(options, index)} accept",
        )
        for ip, index in marks.items()
    }


def _destination_choices(state: NodeState, classes: Mapping[int, Classes], users: Users) -> DestinationChoices:
    """Return {objects of a pod: [(object, its destinations)]} of the pods whose object depends on the destination."""
    objects = {item.name: item.destinations for item in state.egressips}
    followed = {pod.egressips for pod in state.pods if pod.egressips}
    followed.update(names for each in classes.values() for names in each.followed)
    followed.update(followed_by_users(users))
    if state.follow:
        from .admission import followed_combinations  # noqa: PLC0415

        followed.update(followed_combinations(state))
    return {
        names: [(name, objects[name]) for name in names]
        for names in followed
        if len(names) > 1 or not objects[names[0]].everywhere
    }


def _pod_chain(names: tuple[str, ...], choices: DestinationChoices) -> str:
    return _destination_name("choice", names) if names in choices else object_chain(names[0])


def _destination_name(kind: str, names: tuple[str, ...]) -> str:
    return f"{kind}_{fingerprint(' '.join(names))}"


def _destination_chains(choices: DestinationChoices) -> dict[str, ChainState]:
    """Return the chains in which the destination selects the object that a pod follows."""
    return {
        _destination_name("choice", names): chain_of(
            "", *(f"{ip} daddr vmap @{_destination_name(f'choice{v}', names)}" for v, ip in WORDS.items())
        )
        for names in choices
    }


def _destination_maps(choices: DestinationChoices, version: int) -> dict[str, SetState]:
    definition = f"{{ type ipv{version}_addr : verdict; {INTERVALS} }}"
    return {
        _destination_name(f"choice{version}", names): SetState(
            "map",
            definition,
            {
                network_text(network, version): f"goto {object_chain(name)}"
                for network, name in objects_by_network(objects, version).items()
            },
        )
        for names, objects in choices.items()
    }


def _mark_text(options: DataPlaneOptions, index: int) -> str:
    return f"{options.mark(index):#010x}"


def _excluded(state: NodeState, version: int, inner: Inner) -> Elements:
    """Return the elements of the set of networks to which no packet uses an egress IP."""
    return {network_text(str(network), version): None for network in excluded_networks(state, version, inner)}
