# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Failover between runs: its settings, its rules for the plan, its part of the states. PRIVATE to the collection. Pure.

The settings are the variables `egress_ip_failover` and `egress_ip_failover_*`, equal on all nodes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Collection, Iterable, Iterator, Mapping, Sequence

from .._common.addresses import Interface, canonical, of_version, parse_interface, parsed, version_of
from .._common.errors import Errors
from .._common.messages import listed, on_one_line
from .._common.validation import is_mac_address
from .._dataplane.esp import fingerprint
from .._dataplane.failover import MOST_WITNESSES, USUAL_AFTER, Ends, Failover, Limits, Peer, Standby
from .._planner.standbys import StandbyRules
from .providers import PROVIDERS

Dict = Mapping[str, Any]
AUTO = "auto"
# {setting: its default}.
DEFAULTS: Dict = {"": False, "after": AUTO, "witnesses": [], "strict": False, "unfenced": False}
# {setting: its variable}.
VARIABLES = {setting: f"egress_ip_failover_{setting}" if setting else "egress_ip_failover" for setting in DEFAULTS}
_NODES_SHOWN = 5


@dataclass(frozen=True)
class FailoverSettings:
    """The settings of a fleet with failover; `after` is None for `auto`, no `witnesses` stand for the gateways."""

    after: float | None = None
    witnesses: tuple[str, ...] = ()
    strict: bool = False
    unfenced: bool = False


def read_failover(
    given: Dict, hosts: Sequence[Dict], eligible: Collection[str], egress_ips: Collection[str]
) -> tuple[FailoverSettings | None, list[str]]:
    """Return the settings, None without failover, and a line for each reason against a run.

    `given` {setting: value} are those of the play. Each host is {name, failover: {setting: value}}, with the settings
    that the inventory has for it. Values have the types of `DEFAULTS`, and `after` may be seconds; a setting that is
    left out has its default. `eligible` are the names of the nodes that may hold an address.
    """
    read = {**DEFAULTS, **given}
    own = {host["name"]: {**DEFAULTS, **(host.get("failover") or {})} for host in hosts}
    if not any(values[""] for values in (read, *own.values())):
        return None, []
    errors = Errors()
    for setting in DEFAULTS if read[""] else ("",):
        _check_equal(setting, read[setting], own, errors)
    if errors.found or not read[""]:
        return None, [*errors.found]
    after = None if read["after"] == AUTO else read["after"]
    settings = FailoverSettings(after, tuple(read["witnesses"]), read["strict"], read["unfenced"])
    if len(eligible) < 2:
        which = ", ".join(sorted(eligible)) or "none"
        errors.add(
            VARIABLES[""], f"needs two nodes that may hold egress IPs, not {len(eligible)} ({which}); label another one"
        )
    for index, witness in enumerate(settings.witnesses):
        if witness in egress_ips:
            errors.add(
                f"{VARIABLES['witnesses']}[{index}]", f"{witness} is an egress IP; name a gateway or another host"
            )
    return settings, list(errors.found)


def _check_equal(setting: str, value: object, own: Mapping[str, Dict], errors: Errors) -> None:
    """Add an error unless the setting has this value on all nodes.

    The play's value is that of its first host. If the inventory has another one for this host, the play itself sets the
    variable, for all hosts.
    """
    first = next(iter(own), None)
    if first is None or own[first][setting] != value:
        return
    others = [name for name, values in own.items() if values[setting] != value]
    if others:
        errors.add(
            VARIABLES[setting],
            f"must be the same on all nodes, and differs between {first} and {listed(others, _NODES_SHOWN)};"
            " set it for the group",
        )


def standby_rules(
    settings: FailoverSettings, hosts: Iterable[Dict], fleet: Dict, can_call: bool = False
) -> StandbyRules:
    """Return the rules of the plan; `hosts` [{name, fence}], `fleet` is the dict of a Fleet.

    `can_call`: nodes inform each other of takeovers.
    """
    fenced = [host["name"] for host in hosts if host.get("fence") and not settings.unfenced]
    without_mac = [name for name, facts in fleet["observed"].items() if not _has_mac(facts)]
    unwatched = {
        **{name: f"the MAC address of the primary interface of {name} is not known" for name in without_mac},
        **{name: f"{name} has a fence and {VARIABLES['unfenced']} is false" for name in fenced},
    }
    # A node that took an address over must not be replaced unfenced either.
    unable = {**dict.fromkeys(without_mac, "with an unknown MAC address"), **dict.fromkeys(fenced, "with a fence")}
    blind = dict(_blind_interfaces(settings, fleet)) if can_call else {}
    return StandbyRules(unwatched=unwatched, unable=unable, secondary=can_call, blind=blind, last=last_orders(fleet))


def _blind_interfaces(settings: FailoverSettings, fleet: Dict) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield ((node, interface), reason) of secondary interfaces on which nodes can neither watch nor be watched."""
    for name, facts in fleet["observed"].items():
        witnesses = [parsed(text) for text in _witnesses_of(settings, facts)]
        for each in facts["networks"][1:]:
            networks = [parse_interface(text, name).network for text in each["addresses"]]
            if not _mac_of(facts, each["interface"]):
                yield (name, each["interface"]), "with an unknown MAC address"
            elif not any(witness in network for witness in witnesses for network in networks):
                yield (name, each["interface"]), "without a witness"


def _witnesses_of(settings: FailoverSettings, facts: Dict) -> tuple[str, ...]:
    """Return the addresses of the witnesses of a node."""
    return settings.witnesses or tuple(facts.get("gateways", ()))[:MOST_WITNESSES]


def _has_mac(facts: Dict) -> bool:
    """Return whether the MAC address of a node's primary interface is known."""
    return any(_mac_of(facts, each["interface"]) for each in facts["networks"][:1])


def _mac_of(facts: Dict, interface: str) -> str:
    mac = str(facts.get("macs", {}).get(interface, "")).lower()
    return mac if is_mac_address(mac) else ""


def key_for(new: str, fleet: Dict) -> str:
    """Return the fingerprint of the key with which nodes call each other: that of all nodes, else that of `new`.

    `fleet` is the dict of a Fleet. Empty without any key.
    """
    present = {str(facts.get("failover_key", "")) for facts in fleet["observed"].values()}
    if len(present) == 1 and "" not in present:
        return present.pop()
    return fingerprint(new) if new else ""


def has_failover(fleet: Dict) -> bool:
    """Return whether any node has a state with failover; `fleet` is the dict of a Fleet."""
    return any("standbys" in facts for facts in fleet["observed"].values())


def last_orders(fleet: Dict) -> dict[str, list[str]]:
    """Return {egress IP: order} on record; of several, that of the newest plan."""
    found: dict[str, list[str]] = {}
    knowing = [(facts["generation"], name) for name, facts in fleet["observed"].items() if facts.get("standbys")]
    for _generation, name in sorted(knowing):
        found.update({item["egressIP"]: item["order"] for item in fleet["observed"][name]["standbys"]})
    return found


def takeovers(fleet: Dict) -> dict[tuple[str, str], Dict]:
    """Return {(egress IP, node): {egressIP, from, since}} of what nodes took over since the last run and hold."""
    found = {}
    for name, facts in fleet["observed"].items():
        held = {item["egressIP"] for item in facts["held"]} if facts.get("takeovers") else ()
        found.update(
            {(item["egressIP"], name): item for item in facts.get("takeovers", ()) if item["egressIP"] in held}
        )
    return found


def taken_over(fleet: Dict) -> dict[tuple[str, str], str]:
    """Return {(egress IP, node): the end of a phrase that names the takeover} of what nodes took over."""
    return {
        key: f", taken over from {on_one_line(item['from']) or 'another node'} at {time_text(item['since'])}"
        for key, item in takeovers(fleet).items()
    }


def time_text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")


class NodeFailover:
    """The failover part of the states of all nodes."""

    def __init__(
        self, settings: FailoverSettings, plan: Dict, fleet: Dict, withheld: Collection[str] = (), key: str = ""
    ) -> None:
        """`plan` and `fleet` are dicts of a Plan with standbys and a Fleet.

        `withheld` egress IPs must not be claimed, so no node stands by for them: a node that is to be fenced may hold
        them. `key` is the fingerprint of the key with which the nodes call each other.
        """
        self.settings, self.observed, self.key = settings, fleet["observed"], key
        self.capacities = {node["name"]: node["capacity"] for node in fleet["nodes"]}
        self._own: dict[str, list[tuple[str, Interface]]] = {}
        self.of_node: dict[str, list[Standby]] = {}
        self.ends: list[Ends] = []
        for item in plan["standbys"]:
            if item["egressIP"] not in withheld:
                self._add(item["egressIP"], item["order"])

    def _add(self, egress_ip: str, order: Sequence[str]) -> None:
        places = {name: self._place(name, egress_ip) for name in order}
        peers = tuple(
            Peer(name, address, _mac_of(self.observed[name], interface))
            for name, (interface, address) in places.items()
        )
        self._add_ends(egress_ip, {name: interface for name, (interface, _address) in places.items()})
        for name, (interface, _address) in places.items():
            self.of_node.setdefault(name, []).append(Standby(egress_ip, interface, peers))

    def _add_ends(self, egress_ip: str, interfaces: Mapping[str, str]) -> None:
        """Note where the tunnel ends for each holder of an address that may be on another interface than the first."""
        primary = {name: self.observed[name]["networks"][0]["interface"] for name in interfaces}
        elsewhere = {name for name, interface in interfaces.items() if interface != primary[name]}
        if elsewhere:
            version = version_of(egress_ip)
            ends = {
                name: next(iter(of_version(self.observed[name]["endpoints"], version)), "") if name in elsewhere else ""
                for name in interfaces
            }
            self.ends.append(Ends(egress_ip, tuple(sorted(ends.items()))))

    def _place(self, name: str, egress_ip: str) -> tuple[str, str]:
        """Return the interface on which a node would hold an egress IP, and its own address in that network."""
        if name not in self._own:
            networks = self.observed[name]["networks"]
            self._own[name] = [
                (each["interface"], parse_interface(text, name)) for each in networks for text in each["addresses"]
            ]
        address = parsed(egress_ip)
        containing = [(own.network.prefixlen, where, own) for where, own in self._own[name] if address in own.network]
        _length, interface, own = max(containing, key=lambda item: item[0])
        return interface, canonical(own.ip)

    def settings_of(self, name: str) -> Failover:
        """Return the Failover of a node."""
        seconds = self._usual_after() if self.settings.after is None else self.settings.after
        witnesses = _witnesses_of(self.settings, self.observed[name])
        limits = _limits(self.capacities.get(name))
        return Failover(seconds, self.settings.strict, witnesses, limits, self.key, tuple(sorted(self.ends)))

    def standbys_of(self, name: str) -> tuple[Standby, ...]:
        """Return the Standbys of a node."""
        return tuple(sorted(self.of_node.get(name, ())))

    def _usual_after(self) -> float:
        """Return the seconds of `auto`: as long as a platform of any node may stop a machine that works."""
        names = {facts["platform"]["name"] for facts in self.observed.values() if "platform" in facts}
        return max((PROVIDERS[name].longest_stun for name in names if name in PROVIDERS), default=USUAL_AFTER)


def _limits(capacity: object) -> Limits:
    """Return the Limits of a node's capacity: none, a number, or a mapping."""
    if isinstance(capacity, Mapping):
        return Limits(*(capacity.get(key) for key in ("ip", "ipv4", "ipv6")))
    return Limits(capacity if isinstance(capacity, int) else None)


def lines_without_standby(plan: Dict) -> Iterator[str]:
    """Yield a line for each reason for which egress IPs have no standby; `plan` is the dict of a Plan."""
    reasons: dict[str, list[str]] = {}
    for item in plan.get("without_standby", ()):
        reasons.setdefault(item["reason"], []).append(item["egressIP"])
    for reason, egress_ips in reasons.items():
        verb = "has" if len(egress_ips) == 1 else "have"
        yield f"{listed(egress_ips, _NODES_SHOWN)} {verb} no standby: {reason}"
