# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our two nftables tables: what they should hold, what they do hold, and the way between. PRIVATE to the collection.

A table is a value: sets and maps with their elements, chains with their rules. Each rule carries a fingerprint of its
own text as its comment, so that a rule which somebody deleted, moved, replaced or added shows when the table is read
back. The way of a packet through the chains is told in docs/packet.md.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
from dataclasses import dataclass, replace

from ._addresses import VERSIONS, WORDS, collapse, of_version, parse_network, version_of
from ._iproute import macs_of
from ._node_state import NEVER_EXTERNAL

TABLE = "egress_ip"
INET, NETDEV = "inet", "netdev"
# Stands for the flags of a table that cannot be read: nft 1.0.6 prints broken JSON for one that somebody made dormant.
UNREADABLE = "unreadable"
_COMMENT = "egress_ip:"
# A line of elements stays within what every nft version reads at once.
_ELEMENTS_PER_LINE = 500
# The maps that lead to the counters of what goes in each direction of a connection.
DIRECTIONS = {"original": "transmit", "reply": "receive"}
# The bytes of the headers of an IP version and TCP.
_HEADERS = {4: 40, 6: 60}


@dataclass(frozen=True)
class SetState:
    """A set or map: `kind` says which, `definition` is nft's words, `elements` {key: value}, value None in a set."""

    kind: str
    definition: str
    elements: dict

    @property
    def header(self):
        """Return what cannot be changed in place."""
        return f"{self.kind} {self.definition}"


@dataclass(frozen=True)
class ChainState:
    """A chain: `header` is its hook in nft's words (empty for a chain that is jumped to).

    `rules` are texts in what is wanted; `fingerprints` stand for them in what is read back. `device` is what a netdev
    chain hangs on; `nft -j` does not tell it, so it takes no part in comparisons.
    """

    header: str
    fingerprints: tuple
    rules: tuple = ()
    device: str = ""

    @property
    def definition(self):
        """Return the words that follow the chain's name in `add chain`."""
        if not self.device:
            return self.header
        return self.header.replace(" priority ", f' device "{self.device}" priority ', 1)


@dataclass(frozen=True)
class TableState:
    """One table of ours. `counters` are the names of its counters; what they count is no part of the state."""

    family: str
    sets: dict
    chains: dict
    flags: str = ""
    counters: frozenset = frozenset()

    def lines(self):
        """Return the table as a set of one-line facts; rules stand there by their fingerprints (see `texts`)."""
        facts = [f"nft {self.family} {TABLE}{' ' + self.flags if self.flags else ''}"]
        facts += [f"nft {self.family} counter {name}" for name in self.counters]
        for name, item in self.sets.items():
            facts.append(f"nft {self.family} {item.kind} {name} {item.definition}")
            facts += [f"nft {self.family} {name} {_element(key, value)}" for key, value in item.elements.items()]
        for name, item in self.chains.items():
            facts.append(f"nft {self.family} chain {name} {item.header}".rstrip())
            facts += [f"nft {self.family} chain {name} rule {i}: {text}" for i, text in enumerate(item.fingerprints)]
        return frozenset(facts)

    def texts(self):
        """Return {fingerprint: text} of the rules, for people."""
        return {mark: text for chain in self.chains.values() for mark, text in zip(chain.fingerprints, chain.rules)}


def desired_tables(state, marks, mtu, in_vrf=()):
    """Return the {family: TableState} that `state` asks for; `marks` numbers the egress IPs, `mtu` is the tunnel's.

    `in_vrf` are the interfaces with egress IPs that belong to a VRF.
    """
    return {NETDEV: _netdev_table(state, marks), INET: _inet_table(state, marks, mtu, in_vrf)}


def parse_table(text, family):
    """Read what `nft -j list table` printed; None when the text holds no table."""
    try:
        objects = json.loads(text)["nftables"]
    except (ValueError, KeyError, TypeError):
        return TableState(family, {}, {}, UNREADABLE)
    tables = [item["table"] for item in objects if "table" in item]
    if not tables:
        return None
    flags = tables[0].get("flags", ())
    sets = [item.get("set") or item.get("map") for item in objects if "set" in item or "map" in item]
    chains = [item["chain"] for item in objects if "chain" in item]
    rules = {}
    for item in objects:
        if "rule" in item:
            rules.setdefault(item["rule"]["chain"], []).append(_read_fingerprint(item["rule"]))
    return TableState(
        family=tables[0]["family"],
        sets={
            item["name"]: SetState(*_set_header(item), dict(map(_read_element, item.get("elem", ())))) for item in sets
        },
        chains={item["name"]: ChainState(_chain_header(item), tuple(rules.get(item["name"], ()))) for item in chains},
        flags=flags if isinstance(flags, str) else " ".join(flags),
        counters=frozenset(item["counter"]["name"] for item in objects if "counter" in item),
    )


def parse_counters(text):
    """Read what `nft -j list counters` printed: {name: (packets, bytes)}."""
    found = [item["counter"] for item in json.loads(text)["nftables"] if "counter" in item]
    return {item["name"]: (item["packets"], item["bytes"]) for item in found}


def rebuildable(current, known):
    """Return the {family: TableState} that was read with what reading does not tell: rules' texts and a hook's device.

    They come from the tables `known`; a table with a flag or an unknown rule becomes the known one.
    """
    return {family: _rebuildable_table(table, known[family]) for family, table in current.items()}


def _rebuildable_table(table, known):
    texts, nothing = known.texts(), ChainState("", ())
    if table.flags or any(mark not in texts for chain in table.chains.values() for mark in chain.fingerprints):
        return known
    chains = {
        name: replace(
            chain,
            rules=tuple(texts[mark] for mark in chain.fingerprints),
            device=known.chains.get(name, nothing).device,
        )
        for name, chain in table.chains.items()
    }
    return replace(table, chains=chains)


def held_by(tables):
    """Return the egress IPs to which {family: TableState} translates: those that the node holds or is about to."""
    sets = tables[INET].sets if INET in tables else {}
    return {ip for v in VERSIONS for ip in sets.get(f"held{v}", SetState("", "", {})).elements.values()}


def script(current, desired, anew=()):
    """Return the lines for one `nft -f` transaction from {family: TableState} to {family: TableState}; [] when equal.

    A family that is missing in either one has no table there. Families in `anew` are built from nothing.
    """
    lines = []
    for family in (NETDEV, INET):
        lines += _table_script(family, current.get(family), desired.get(family), family in anew)
    return lines


def _table_script(family, current, desired, anew):
    target = f"{family} {TABLE}"
    if desired is None:
        return [] if current is None else [f"delete table {target}"]
    if current is None:
        return [f"add table {target}", *_additions(target, desired, TableState(family, {}, {}))]
    if not anew and _same_frame(current, desired):
        return _additions(target, desired, current)
    return [f"delete table {target}", f"add table {target}", *_additions(target, desired, TableState(family, {}, {}))]


def _same_frame(current, desired):
    """Tell whether the table can be changed in place: nothing that both have is defined in another way."""
    return current.flags == desired.flags and all(
        theirs[name].header == ours[name].header
        for theirs, ours in ((current.sets, desired.sets), (current.chains, desired.chains))
        for name in set(theirs) & set(ours)
    )


def _additions(target, desired, current):
    """Return the lines that make `current` the table `desired`, in an order in which each line finds what it names."""
    lines = [f"add chain {target} {name} {c.definition}".rstrip() for name, c in _new(desired.chains, current.chains)]
    lines += [f"add {item.kind} {target} {name} {item.definition}" for name, item in _new(desired.sets, current.sets)]
    lines += [f"add counter {target} {name}" for name in sorted(desired.counters - current.counters)]
    for name, chain in sorted(desired.chains.items()):
        have = current.chains.get(name, ChainState("", ())).fingerprints
        if have != chain.fingerprints:
            lines += [f"flush chain {target} {name}"] if have else []
            lines += [
                f'add rule {target} {name} {rule} comment "{_COMMENT}{fingerprint(rule)}"' for rule in chain.rules
            ]
    for name, item in sorted(desired.sets.items()):
        lines += _element_lines(target, name, current.sets.get(name, SetState("", "", {})).elements, item.elements)
    gone = sorted(set(current.chains) - set(desired.chains))
    lines += [f"flush chain {target} {name}" for name in gone]
    lines += [f"delete set {target} {name}" for name in sorted(set(current.sets) - set(desired.sets))]
    lines += [f"delete counter {target} {name}" for name in sorted(current.counters - desired.counters)]
    return lines + [f"delete chain {target} {name}" for name in gone]


def _new(desired, current):
    return [(name, item) for name, item in sorted(desired.items()) if name not in current]


def _element_lines(target, name, current, desired):
    gone = {key: value for key, value in current.items() if key not in desired or desired[key] != value}
    new = {key: value for key, value in desired.items() if key not in current or current[key] != value}
    return [
        f"{verb} element {target} {name} {{ {', '.join(_element(*item) for item in chunk)} }}"
        for verb, elements in (("delete", gone), ("add", new))
        for chunk in _chunks(sorted(elements.items()))
    ]


def _chunks(items):
    return [items[i : i + _ELEMENTS_PER_LINE] for i in range(0, len(items), _ELEMENTS_PER_LINE)]


def _element(key, value):
    return key if value is None else f"{key} : {value}"


def fingerprint(rule):
    """Return what stands for the text of a rule in its comment."""
    return hashlib.sha256(rule.encode()).hexdigest()[:12]


def _chain(header, *rules):
    return ChainState(header, tuple(fingerprint(rule) for rule in rules), rules)


def _base(kind, hook, priority, policy="accept"):
    return f"{{ type {kind} hook {hook} priority {priority}; policy {policy}; }}"


def _netdev_table(state, marks):
    """What arrives through the tunnel: the inner MAC address says for which egress IP; anything else is dropped."""
    options = state.options
    macs = macs_of(marks)
    by_mac = {macs[ip]: _mark_text(options, index) for ip, index in marks.items()}
    rule = "meta mark set ether daddr map @by_mac meta pkttype set host accept"
    chain = replace(_chain(_base("filter", "ingress", 0, "drop"), rule), device=options.tunnel_device)
    return TableState(NETDEV, {"by_mac": SetState("map", "{ type ether_addr : mark; }", by_mac)}, {"tunnel_in": chain})


def _inet_table(state, marks, mtu, in_vrf):
    options = state.options
    by_mark = {_mark_text(options, index): f"goto {name_of('mark', ip)}" for ip, index in marks.items()}
    sets = {"marks": SetState("map", "{ type mark : verdict; }", by_mark)}
    for version in VERSIONS:
        sets.update(_sets(state, marks, version))
    sets.update({name: _counting(state, marks, name) for name in DIRECTIONS.values()})
    return TableState(
        family=INET,
        sets=sets,
        chains={**_base_chains(state, mtu, in_vrf), **_mark_chains(options, marks), **_object_chains(state)},
        counters=frozenset(name for direction in DIRECTIONS.values() for name in sets[direction].elements.values()),
    )


def _counting(state, marks, direction):
    """Return the map that leads from the marks of the held addresses to their counters for one direction."""
    counters = {
        _mark_text(state.options, marks[item.egress_ip]): name_of(direction, item.egress_ip) for item in state.held
    }
    return SetState("map", "{ type mark : counter; }", counters)


def _sets(state, marks, version):
    """Return the sets and maps that hold addresses of one IP version."""
    kind = f"ipv{version}_addr"
    held = [item.egress_ip for item in state.held if version_of(item.egress_ip) == version]
    endpoints = [ip for node in state.nodes for ip in of_version(node.endpoints, version)]
    pods = {
        pod.address: f"goto {object_chain(pod.egressip)}" for pod in state.pods if version_of(pod.address) == version
    }
    return {
        f"nodes{version}": SetState("set", f"{{ type {kind}; }}", dict.fromkeys(endpoints)),
        f"egress_ips{version}": SetState("set", f"{{ type {kind}; }}", dict.fromkeys(of_version(marks, version))),
        f"excluded{version}": SetState("set", f"{{ type {kind}; flags interval; }}", _excluded(state, version)),
        f"pods{version}": SetState("map", f"{{ type {kind} : verdict; }}", pods),
        f"held{version}": SetState(
            "map", f"{{ type mark : {kind}; }}", {_mark_text(state.options, marks[ip]): ip for ip in held}
        ),
    }


def _base_chains(state, mtu, in_vrf):
    options = state.options
    port, device, mask = options.tunnel_port, options.tunnel_device, f"{options.mark_mask:#x}"
    # The outer packets of the tunnel inherit the mark; untracked, they pass every address translation untouched.
    return {
        "raw_prerouting": _chain(_base("filter", "prerouting", -300), f"udp dport {port} fib daddr type local notrack"),
        "raw_output": _chain(_base("filter", "output", -300), f"udp dport {port} meta mark and {mask} != 0 notrack"),
        "prerouting": _chain(
            _base("filter", "prerouting", -150),
            # The mark leads replies out of the VRF that they came in by.
            *(f'iifname "{name}" ct direction reply meta mark set ct mark and {mask}' for name in in_vrf),
            "ct direction reply return",
            f'iifname "{device}" meta mark and {mask} vmap @marks',
            f'iifname "{device}" drop',
            f"ct mark and {mask} vmap @marks",
            *(f"ct state new {ip} daddr != @excluded{v} {ip} saddr vmap @pods{v}" for v, ip in WORDS.items()),
        ),
        "input": _chain(
            _base("filter", "input", -1),
            *(f"udp dport {port} {ip} saddr != @nodes{v} drop" for v, ip in WORDS.items()),
        ),
        "forward": _chain(
            _base("filter", "forward", -150),
            # In the middle of a move: a second node in between would change the port, and the server would refuse it.
            f'iifname "{device}" oifname "{device}" drop',
            *(f"udp dport {port} {ip} daddr @egress_ips{v} {ip} saddr != @nodes{v} drop" for v, ip in WORDS.items()),
            *(
                f"meta nfproto ipv{v} ct mark and {mask} != 0 tcp flags & (syn | rst) == syn tcp option maxseg size set"
                f" {mtu - size}"
                for v, size in _HEADERS.items()
            ),
        ),
        "output": _chain(_base("filter", "output", -1), f"icmp type redirect ct mark and {mask} != 0 drop"),
        "postrouting": _chain(
            _base("nat", "postrouting", 90),
            f"ct mark and {mask} == 0 return",
            *(f'oifname "{device}" snat {WORDS[version_of(endpoint)]} to {endpoint}' for endpoint in state.endpoints),
            *(f"snat {ip} to ct mark and {mask} map @held{v}" for v, ip in WORDS.items()),
            "drop",
        ),
        "guard": _chain(_base("filter", "postrouting", 110), f"ct mark and {mask} != 0 goto marked"),
        "marked": _chain(
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
        name_of("mark", ip): _chain(
            "",
            f"ct mark set ct mark and {keep} or {_mark_text(options, index)}",
            f"meta mark set meta mark and {keep} or {_mark_text(options, index)}",
        )
        for ip, index in marks.items()
    }


def _object_chains(state):
    """Each object's choice; what goes past it has no assigned address of its IP version to choose."""
    otherwise = "drop" if state.options.unassigned == "drop" else "return"
    return {object_chain(item.name): _chain("", *_choices(item.slots), otherwise) for item in state.egressips}


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
    alone = "/32" if version == 4 else "/128"
    networks = [
        parse_network(text if "/" in text else f"{text}{alone}", "excluded") for text in of_version(texts, version)
    ]
    return {str(network).replace(alone, ""): None for network in collapse(networks)}


def _set_header(item):
    words = [f"type {_concatenated(item['type'])}" + (f" : {item['map']}" if "map" in item else "") + ";"]
    if item.get("flags"):
        words.append(f"flags {','.join(item['flags'])};")
    return "map" if "map" in item else "set", f"{{ {' '.join(words)} }}"


def _concatenated(kind):
    return " . ".join(kind) if isinstance(kind, list) else kind


def _chain_header(item):
    if "hook" not in item:
        return ""
    return _base(item["type"], item["hook"], item["prio"], item.get("policy", "accept"))


def _read_element(element):
    if isinstance(element, list):
        return _read_key(element[0]), _read_value(element[1])
    return _read_key(element), None


def _read_key(key):
    if isinstance(key, dict) and "elem" in key:
        key = key["elem"]["val"]
    if isinstance(key, dict) and "prefix" in key:
        return f"{key['prefix']['addr']}/{key['prefix']['len']}"
    if isinstance(key, dict) and "range" in key:
        return _read_range(*key["range"])
    return f"{key:#010x}" if isinstance(key, int) else str(key)


def _read_range(first, last):
    """Return a range in nft's words: a network where it is one, which nft 0.9.8 does not say of the last of all."""
    networks = list(ipaddress.summarize_address_range(ipaddress.ip_address(first), ipaddress.ip_address(last)))
    return str(networks[0]) if len(networks) == 1 else f"{first}-{last}"


def _read_value(value):
    if isinstance(value, dict):
        verb, detail = next(iter(value.items()))
        return f"{verb} {detail['target']}" if detail else verb
    return f"{value:#010x}" if isinstance(value, int) else str(value)


def _read_fingerprint(rule):
    comment = rule.get("comment", "")
    return comment[len(_COMMENT) :] if comment.startswith(_COMMENT) else f"foreign rule, handle {rule['handle']}"
