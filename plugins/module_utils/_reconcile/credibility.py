# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a node's answer counts for other nodes. PRIVATE to the collection. Pure.

A node is believed about itself. An address that it lists as its own counts for the others if it is on an interface that
leads out, in a network of another node. It cannot be an egress IP that another node holds.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Iterable, Iterator, Mapping, NamedTuple, Sequence

from .._common.addresses import Network, NetworkSet, parse_interface, parsed
from .._common.messages import listed

_FACTS = Mapping[str, Any]
# The most addresses that a line names.
_SHOWN = 8


class Recorded(NamedTuple):
    """What a node has on record, `value`, since the plan of this generation."""

    generation: int
    node: str
    value: Any


class Networks:
    """The networks of all nodes that answered: which nodes are in the network of an address."""

    def __init__(self, observed: Mapping[str, _FACTS]) -> None:
        self._nodes: dict[tuple[int, int, int], set[str]] = {}
        self._lengths: set[tuple[int, int]] = set()
        for name, facts in observed.items():
            for each in facts["networks"]:
                for text in each["addresses"]:
                    network = parse_interface(text, "networks").network
                    key = (network.version, network.prefixlen, int(network.network_address))
                    self._nodes.setdefault(key, set()).add(name)
                    self._lengths.add(key[:2])

    def nodes_with(self, address: str) -> set[str]:
        """Return the nodes in a network that contains the address."""
        ip = parsed(address)
        found: set[str] = set()
        for version, length in self._lengths:
            if version == ip.version:
                shift = ip.max_prefixlen - length
                found |= self._nodes.get((version, length, int(ip) >> shift << shift), set())
        return found


class Records:
    """The addresses of nodes on record: what most of the three newest records of other nodes have."""

    def __init__(self, observed: Mapping[str, _FACTS]) -> None:
        newest = sorted(observed, key=lambda name: (-int(observed[name]["generation"]), name))[:4]
        self._known = {
            name: {(entry["name"], address) for entry in observed[name]["nodes"] for address in entry["addresses"]}
            for name in newest
        }

    def confirm(self, name: str, address: str) -> bool:
        """Return whether the address is on record as one of this node."""
        others = [known for other, known in self._known.items() if other != name and known][:3]
        return 2 * sum((name, address) in known for known in others) > len(others)


def shared_addresses(name: str, facts: _FACTS, networks: Networks, records: Records) -> list[str]:
    """Return the own addresses of a node that count for the others, in the order of its answer.

    One on record stays while the other nodes of its network are silent.
    """
    outward = {text.partition("/")[0] for each in facts["networks"] for text in each["addresses"]}
    return [
        address
        for address in facts["addresses"]
        if address in facts["endpoints"]
        or (address in outward and (networks.nodes_with(address) - {name} or records.confirm(name, address)))
    ]


class Unshared(NamedTuple):
    """Lines on addresses of nodes that do not count for the others.

    `outward` on those of interfaces that lead out; `other` on the rest, which may be those of a container network of
    one node and need no action.
    """

    outward: list[str]
    other: list[str]


def unshared_lines(observed: Mapping[str, _FACTS], members: Iterable[_FACTS], excluded: Iterable[Network]) -> Unshared:
    """Return the Unshared, at most one line of each kind per node; none on an address that several nodes have.

    `members` are [{name, addresses}] as the others know them, `excluded` the networks that all nodes exclude.
    """
    lines = Unshared([], [])
    known = {member["name"]: {*member["addresses"]} for member in members}
    owners = Counter(address for facts in observed.values() for address in {*facts["addresses"]})
    networks = NetworkSet(excluded)
    for name, facts in sorted(observed.items()) if len(observed) > 1 else ():
        rest = [a for a in facts["addresses"] if a not in known.get(name, ()) and a not in networks]
        leading = {text.partition("/")[0] for each in facts["networks"] for text in each["addresses"]}
        outward = [address for address in rest if address in leading]
        other = [address for address in rest if address not in leading and owners[address] == 1]
        if outward:
            lines.outward.append(_unshared_line(name, outward, "in whose networks is no other node"))
        if other:
            lines.other.append(_unshared_line(name, other, "of interfaces without ARP or without other hosts"))
    return lines


def _unshared_line(name: str, addresses: Sequence[str], why: str) -> str:
    return (
        f"egress_ip_excluded_cidrs: does not contain {listed(addresses, _SHOWN)} of {name}, {why}; pods of other nodes"
        f" use egress IPs towards it, and cannot reach it with those that {name} holds; list it if pods connect to it"
    )


def false_addresses(observed: Mapping[str, _FACTS]) -> dict[str, str]:
    """Return {node: reason} of the nodes whose own address or gateway is an egress IP that another node holds.

    If most records have the address as that node's own, the holder is wrong.
    """
    holders = {item["egressIP"]: name for name, facts in sorted(observed.items()) for item in facts["held"]}
    reasons: dict[str, str] = {}
    for name, facts in sorted(observed.items()):
        votes: _Votes | None = None
        for field, addresses in (("addresses", _own(facts)), ("gateways", facts.get("gateways", ()))):
            for address in addresses:
                holder = holders.get(address, name)
                if holder == name:
                    continue
                votes = votes or _Votes(name, observed)
                if field == "addresses" and votes.confirm(address):
                    reasons.setdefault(holder, f"held: {address} is an address of {name}")
                else:
                    reasons.setdefault(name, f"{field}: {address} is an egress IP that {holder} holds")
    return reasons


def _own(facts: _FACTS) -> set[str]:
    networks = {text.partition("/")[0] for each in facts["networks"] for text in each["addresses"]}
    return networks.union(facts["addresses"])


class _Votes:
    """How many of the other nodes have an address on record as an own one of a node."""

    def __init__(self, name: str, observed: Mapping[str, _FACTS]) -> None:
        others = [facts["nodes"] for other, facts in observed.items() if other != name and facts["nodes"]]
        self._total = len(others)
        self._votes = Counter(
            address
            for entries in others
            for address in {each for entry in entries if entry["name"] == name for each in entry["addresses"]}
        )

    def confirm(self, address: str) -> bool:
        """Return whether more than half of them have the address."""
        return 2 * self._votes[address] > self._total


def credible_holders(observed: Mapping[str, _FACTS]) -> dict[str, list[str]]:
    """Return {egress IP: nodes that count as its holders}; mostly one.

    Of several, those with the newest plan count: the others were away when the address moved. Among more than two
    nodes, a plan that one node alone has counts as no newer than the newest of the others. So several may remain.
    """
    ranked = sorted(int(facts["generation"]) for facts in observed.values())
    newest = ranked[-2] if len(ranked) > 2 else max(ranked, default=0)
    holders: dict[str, list[str]] = {}
    for name, facts in sorted(observed.items()):
        for ip in dict.fromkeys(item["egressIP"] for item in facts["held"]):
            holders.setdefault(ip, []).append(name)
    plans = {name: min(int(facts["generation"]), newest) for name, facts in observed.items()}
    return {
        ip: [name for name in names if plans[name] == max(plans[each] for each in names)]
        for ip, names in holders.items()
    }


def without_foreign_links(members: Iterable[_FACTS], observed: Mapping[str, _FACTS]) -> Iterator[_FACTS]:
    """Yield the members without the links whose MAC address another node has too: a fence would cut off that node."""
    members = list(members)
    owners: dict[str, set[str]] = {}
    for name, facts in observed.items():
        for mac in facts.get("macs", {}).values():
            owners.setdefault(mac.lower(), set()).add(name)
    for member in members:
        for link in member.get("links", ()):
            owners.setdefault(link["mac"].lower(), set()).add(member["name"])
    for member in members:
        if "links" in member:
            own = [link for link in member["links"] if owners[link["mac"].lower()] == {member["name"]}]
            yield {**member, "links": own}
        else:
            yield member


def confirmed(entries: Sequence[Recorded]) -> Any:
    """Return the newest value that two nodes have on record; the newest one if each node has another.

    So a single node cannot replace what the others have. Raises ValueError without an entry.
    """
    ranked = sorted(entries, key=lambda entry: (entry.generation, entry.node), reverse=True)
    for number, entry in enumerate(ranked):
        if any(entry.value == other.value for other in ranked[number + 1 :]):
            return entry.value
    if not ranked:
        raise ValueError("no node has a record of it")
    return ranked[0].value
