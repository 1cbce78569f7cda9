# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our two nftables tables, as a node's state asks for them. PRIVATE to the collection. Pure.

The way of a packet through the chains is told in docs/packet.md.
"""

from __future__ import annotations

from dataclasses import replace

from .._common.addresses import VERSIONS, WORDS, of_version, outermost, parse_network, version_of
from .._common.destinations import choices
from .iproute import macs_of
from .nft_table import INET, INTERVALS, NETDEV, SetState, TableState, base_chain, chain_of, fingerprint
from .node_state import NEVER_EXTERNAL

# The maps that lead to the counters of what goes in each direction of a connection.
DIRECTIONS = {"original": "transmit", "reply": "receive"}
# The bytes of the headers of an IP version and TCP.
_HEADERS = {4: 40, 6: 60}
_ALONE = {4: "/32", 6: "/128"}


def desired_tables(state, marks, mtu, in_vrf=()):
    """Return the {family: TableState} that `state` asks for; `marks` numbers the egress IPs, `mtu` is the tunnel's.

    `in_vrf` are the interfaces with egress IPs that belong to a VRF.
    """
    return {NETDEV: _netdev_table(state, marks), INET: _inet_table(state, marks, mtu, in_vrf)}


def held_by(tables):
    """Return the egress IPs to which {family: TableState} translates: those that the node holds or is about to."""
    sets = tables[INET].sets if INET in tables else {}
    return {ip for v in VERSIONS for ip in sets.get(f"held{v}", SetState("", "", {})).elements.values()}


def _netdev_table(state, marks):
    """What arrives through the tunnel: the inner MAC address says for which egress IP; anything else is dropped."""
    options = state.options
    macs = macs_of(marks)
    by_mac = {macs[ip]: _mark_text(options, index) for ip, index in marks.items()}
    rule = "meta mark set ether daddr map @by_mac meta pkttype set host accept"
    chain = replace(chain_of(base_chain("filter", "ingress", 0, "drop"), rule), device=options.tunnel_device)
    return TableState(NETDEV, {"by_mac": SetState("map", "{ type ether_addr : mark; }", by_mac)}, {"tunnel_in": chain})


def _inet_table(state, marks, mtu, in_vrf):
    options = state.options
    by_mark = {_mark_text(options, index): f"goto {name_of('mark', ip)}" for ip, index in marks.items()}
    sets = {"marks": SetState("map", "{ type mark : verdict; }", by_mark)}
    choosing = _choosing(state)
    for version in VERSIONS:
        sets.update(_sets(state, marks, version, choosing))
        sets.update(_choice_maps(choosing, version))
    sets.update({name: _counting(state, marks, name) for name in DIRECTIONS.values()})
    return TableState(
        family=INET,
        sets=sets,
        chains={
            **_base_chains(state, mtu, in_vrf),
            **_mark_chains(options, marks),
            **_object_chains(state),
            **_choice_chains(choosing),
        },
        counters=frozenset(name for direction in DIRECTIONS.values() for name in sets[direction].elements.values()),
    )


def _counting(state, marks, direction):
    """Return the map that leads from the marks of the held addresses to their counters for one direction."""
    counters = {
        _mark_text(state.options, marks[item.egress_ip]): name_of(direction, item.egress_ip) for item in state.held
    }
    return SetState("map", "{ type mark : counter; }", counters)


def _sets(state, marks, version, choosing):
    """Return the sets and maps that hold addresses of one IP version."""
    kind = f"ipv{version}_addr"
    held = [item.egress_ip for item in state.held if version_of(item.egress_ip) == version]
    endpoints = [ip for node in state.nodes for ip in of_version(node.endpoints, version)]
    pods = {
        pod.address: f"goto {_pod_chain(pod.egressips, choosing)}"
        for pod in state.pods
        if version_of(pod.address) == version
    }
    return {
        f"nodes{version}": SetState("set", f"{{ type {kind}; }}", dict.fromkeys(endpoints)),
        f"egress_ips{version}": SetState("set", f"{{ type {kind}; }}", dict.fromkeys(of_version(marks, version))),
        f"excluded{version}": SetState("set", f"{{ type {kind}; {INTERVALS} }}", _excluded(state, version)),
        f"selected{version}": SetState("set", f"{{ type {kind}; }}", dict.fromkeys(pods)),
        f"pods{version}": SetState("map", f"{{ type {kind} : verdict; }}", pods),
        f"held{version}": SetState(
            "map", f"{{ type mark : {kind}; }}", {_mark_text(state.options, marks[ip]): ip for ip in held}
        ),
    }


def _hooked(kind, hook, priority, *rules):
    return chain_of(base_chain(kind, hook, priority), *rules)


def _base_chains(state, mtu, in_vrf):
    options = state.options
    port, device, mask = options.tunnel_port, options.tunnel_device, f"{options.mark_mask:#x}"
    # A connection that is older than the pod's selection goes on with the node's address, where that is allowed.
    choosing = "" if options.unassigned == "drop" else "ct state new "
    # The outer packets of the tunnel inherit the mark; untracked, they pass every address translation untouched.
    return {
        "raw_prerouting": _hooked("filter", "prerouting", -300, f"udp dport {port} fib daddr type local notrack"),
        "raw_output": _hooked("filter", "output", -300, f"udp dport {port} meta mark and {mask} != 0 notrack"),
        "prerouting": _hooked(
            "filter",
            "prerouting",
            -150,
            # The mark leads replies out of the VRF that they came in by.
            *(f'iifname "{name}" ct direction reply meta mark set ct mark and {mask}' for name in in_vrf),
            *(f"{ip} saddr @selected{v} jump selected" for v, ip in WORDS.items()),
            "ct direction reply return",
            f'iifname "{device}" meta mark and {mask} vmap @marks',
            f'iifname "{device}" drop',
            f"ct mark and {mask} vmap @marks",
            *(f"{choosing}{ip} daddr != @excluded{v} {ip} saddr vmap @pods{v}" for v, ip in WORDS.items()),
        ),
        # What a selected pod sends shows that we have seen it, or `xfrm_policies` would stop it. What belongs to no
        # connection cannot be translated.
        "selected": chain_of(
            "",
            f"meta mark set meta mark or {mask}",
            *(f"ct state invalid {ip} daddr != @excluded{v} drop" for v, ip in WORDS.items()),
        ),
        "input": _hooked(
            "filter",
            "input",
            -1,
            *(f"udp dport {port} {ip} saddr != @nodes{v} drop" for v, ip in WORDS.items()),
        ),
        "forward": _hooked(
            "filter",
            "forward",
            -150,
            # In the middle of a move: a second node in between would change the port, and the server would refuse it.
            f'iifname "{device}" oifname "{device}" drop',
            *(f"udp dport {port} {ip} daddr @egress_ips{v} {ip} saddr != @nodes{v} drop" for v, ip in WORDS.items()),
            *(
                f"meta nfproto ipv{v} ct mark and {mask} != 0 tcp flags & (syn | rst) == syn tcp option maxseg size set"
                f" {mtu - size}"
                for v, size in _HEADERS.items()
            ),
        ),
        "output": _hooked("filter", "output", -1, f"icmp type redirect ct mark and {mask} != 0 drop"),
        "postrouting": _hooked(
            "nat",
            "postrouting",
            90,
            f"ct mark and {mask} == 0 return",
            *(f'oifname "{device}" snat {WORDS[version_of(endpoint)]} to {endpoint}' for endpoint in state.endpoints),
            *(f"snat {ip} to ct mark and {mask} map @held{v}" for v, ip in WORDS.items()),
            "drop",
        ),
        "guard": _hooked("filter", "postrouting", 110, f"ct mark and {mask} != 0 goto marked"),
        "marked": chain_of(
            "",
            # Whatever went wrong before: a connection that chose an egress IP leaves with one, or through the tunnel.
            *(
                f'ct direction original ct state != related oifname != "{device}" {ip} saddr != @egress_ips{v} drop'
                for v, ip in WORDS.items()
            ),
            *(f"ct direction {way} counter name ct mark and {mask} map @{name}" for way, name in DIRECTIONS.items()),
        ),
    }


def _mark_chains(options, marks):
    keep = f"{0xFFFFFFFF ^ options.mark_mask:#010x}"
    return {
        name_of("mark", ip): chain_of(
            "",
            f"ct mark set ct mark and {keep} or {_mark_text(options, index)}",
            f"meta mark set meta mark and {keep} or {_mark_text(options, index)}",
        )
        for ip, index in marks.items()
    }


def _choosing(state):
    """Return {names: [(name, Destinations)]} of the objects of pods that do not go one way to every destination."""
    objects = {item.name: item.destinations for item in state.egressips}
    followed = {pod.egressips for pod in state.pods}
    return {
        names: [(name, objects[name]) for name in names]
        for names in followed
        if len(names) > 1 or not objects[names[0]].everywhere
    }


def _pod_chain(names, choosing):
    return _choice_name("choice", names) if names in choosing else object_chain(names[0])


def _choice_name(kind, names):
    return f"{kind}_{fingerprint(' '.join(names))}"


def _choice_chains(choosing):
    """Return the chains in which the destination decides which object a pod follows."""
    return {
        _choice_name("choice", names): chain_of(
            "", *(f"{ip} daddr vmap @{_choice_name(f'choice{v}', names)}" for v, ip in WORDS.items())
        )
        for names in choosing
    }


def _choice_maps(choosing, version):
    definition = f"{{ type ipv{version}_addr : verdict; {INTERVALS} }}"
    return {
        _choice_name(f"choice{version}", names): SetState(
            "map",
            definition,
            {
                _network_text(network, version): f"goto {object_chain(name)}"
                for network, name in choices(objects, version).items()
            },
        )
        for names, objects in choosing.items()
    }


def _object_chains(state):
    """Each object's choice; what goes past it has no assigned address of its IP version to choose."""
    otherwise = "drop" if state.options.unassigned == "drop" else "return"
    return {object_chain(item.name): chain_of("", *_choices(item.slots), otherwise) for item in state.egressips}


def _choices(slots):
    for version, ip in WORDS.items():
        own = of_version(slots, version)
        if own:
            yield f"jhash {ip} saddr . {ip} daddr mod {len(own)} seed 0x1 vmap {{ {_slot_map(own)} }}"


def _slot_map(slots):
    return ", ".join(f"{i} : goto {name_of('mark', ip)}" for i, ip in enumerate(slots))


def object_chain(name):
    """Return the name of an object's chain; one that nft would refuse for its length is cut and told by its hash."""
    chain = f"object_{name}"
    return chain if len(chain) <= 100 else f"{chain[:80]}_{fingerprint(name)}"


def name_of(kind, egress_ip):
    """Return the name of what is there for one egress IP: the chain `mark`, the counters `transmit` and `receive`."""
    # nft takes no colon in a name.
    return f"{kind}_{egress_ip.replace(':', '-')}"


def _mark_text(options, index):
    return f"{options.mark(index):#010x}"


def _excluded(state, version):
    texts = [*NEVER_EXTERNAL, *state.excluded, *state.egress_ips, *(a for node in state.nodes for a in node.addresses)]
    networks = [
        parse_network(text if "/" in text else f"{text}{_ALONE[version]}", "excluded")
        for text in of_version(texts, version)
    ]
    return {_network_text(str(network), version): None for network in outermost(networks)}


def _network_text(network, version):
    """Return a network in the words of nft, which leaves the length of a single address away."""
    return network.replace(_ALONE[version], "")
