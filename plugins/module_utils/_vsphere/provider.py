# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The provider of vSphere: the VMs of nodes, their ports, and the changes that these need. PRIVATE. Pure.

The values are dicts: tasks pass them between the modules `plan`, `steps`, `vsphere_port_info` and
`vsphere_port_security`.
"""

from __future__ import annotations

import re
from typing import Any, Collection, Dict, Iterable, Iterator, Mapping, Optional, Sequence, Set, Tuple

from .._common.addresses import Network, address_order, parse_interface, parsed
from .._common.errors import InventoryError
from .._common.messages import type_name
from .._provider.contract import (
    BOOLEAN,
    POSITIVE,
    SECRET,
    STRUCTURE,
    TEXT,
    Audit,
    PlatformChanges,
    Provider,
    ProviderHost,
    Query,
)
from .fence import AUTO, PORT_BLOCK, POWER_OFF, VNIC_DISCONNECT
from .port import GROUP, MAC_LEARNING, NSX, PORT, RULES, SECURITY
from .port_requirements import CHANGED, OWN, SECOND
from .traffic_filter import is_ours

# A port as `vsphere_port_info` with `partial` returns it, options of `vsphere_port_security`, an entry of an egress IP
# there.
Port = Mapping[str, Any]
Options = Dict[str, Any]
Requirement = Mapping[str, Any]
# A port and the egress IPs that it must let pass, None if they are not known.
Need = Tuple[Port, Optional[Set[str]]]
_VM = "egress_ip_vsphere_vm"
_HOSTNAME = "egress_ip_vsphere_hostname"
_CONNECTION = (
    *("hostname", "username", "password", "port", "validate_certs"),
    *("proxy_host", "proxy_port", "timeout"),
)
# The label of a node whose value is the ESXi host of its VM.
HOST_LABEL = "vsphere/host"
# The beginning of an error about one of the adapters.
_ENTRY = re.compile(r"^vms\[\d+\](\.|: )")
_NAMES, _ADAPTERS, _PLACES = ("name", "uuid", "moid"), ("mac", "label", "network"), ("datacenter", "folder")
_VM_KEYS = (*_NAMES, *_ADAPTERS, *_PLACES)
# The most names in a note.
_MOST_NAMES = 5


def query(hosts: Sequence[ProviderHost]) -> Query:
    """Return {nodes: [{name, vms, uuid}], vcenters: [{connection, nodes, vms}]}. Raises InventoryError.

    ``vms``: the adapters with egress IPs, as in the option of the modules; ``uuid``: of the VM as the host reports it,
    or None. ``connection``: the host whose variables are those of the connection to the vCenter; ``nodes``: the names
    of the nodes there.
    """
    nodes: list[dict[str, Any]] = [{"name": host.name, "vms": _vms(host), "uuid": host.uuid} for host in hosts]
    vcenters: dict[str, dict[str, Any]] = {}
    for host, node in zip(hosts, nodes):
        name = str(host.variables.get(_HOSTNAME) or "").lower()
        vcenter = vcenters.setdefault(name, {"connection": host.name, "nodes": [], "vms": []})
        vcenter["nodes"].append(host.name)
        vcenter["vms"] += node["vms"]
    return {"nodes": nodes, "vcenters": list(vcenters.values())}


def audit(asked: Query, ports: Sequence[Port], guest_mac: str = OWN, scope: str = PORT) -> Audit:
    """Return {nodes: {name: [port]}, fenced: {name: methods}, proven: [name], labels: {name: {label: value}},
    failures: [line], guest_mac, scope}.

    ``ports``: the answer to ``asked``, empty if there is none. A fence is proven if all adapters of the node are cut
    off. A node whose VM is not found, or has another UUID than the host reports, is a failure and is not among
    ``nodes``: its ports are not changed.
    """
    nodes: dict[str, list[Port]] = {}
    fenced: dict[str, list[str]] = {}
    proven: list[str] = []
    labels: dict[str, dict[str, str]] = {}
    failures: list[str] = []
    left = list(ports)
    for node in asked["nodes"] if ports else ():
        name, answers = node["name"], [left.pop(0) for _vm in node["vms"]]
        own = [each for each in answers if "error" not in each]
        others = [each["vm"] for each in own if node["uuid"] and each["vm"]["uuid"].lower() not in ("", node["uuid"])]
        problems = [_ENTRY.sub("", each["error"]) for each in answers if "error" in each] + [
            f"the VM {vm['name']} has the UUID {vm['uuid']}, but this host has {node['uuid']}; name the VM of this host"
            for vm in others
        ]
        failures += [f"{name}: {_VM}: {problem}" for problem in problems[:1]]
        methods = sorted({method for port in own for method in port["fence"]})
        if methods and not others:
            fenced[name] = methods
            proven += [name] if all(each.get("fenced") for each in answers) else []
        hosts = [port["host"] for port in own if port["host"] is not None]
        if hosts and not others:
            labels[name] = {HOST_LABEL: hosts[0]}
        if not problems:
            nodes[name] = own
    about = {"labels": labels, "guest_mac": guest_mac, "scope": scope, "failures": failures}
    return {"nodes": nodes, "fenced": fenced, "proven": proven, **about}


def changes(audited: Audit, fleet: Mapping[str, Any]) -> PlatformChanges:
    """Return {open: [options], close: [options], notes: [line]}, the smallest sufficient changes of the ports.

    The options are those of `vsphere_port_security`, one entry for all nodes with equal changes. ``open``: settings
    that nodes need for the egress IPs that they may hold; ``close``: own settings that no node needs any more. Ports of
    nodes that do not answer, and egress IPs of invalid manifests, stay as they are. With ``guest_mac`` OWN a run needs
    no flags, so it does not reverse flags that a user set with the module. With ``scope`` GROUP, a setting stays as
    long as one node of the port group may need it.
    """
    kept = {ip for entry in fleet["recalled"].values() for ip in entry["egressIPs"]}
    to_open: list[tuple[Port, Options]] = []
    needs: list[Need] = []
    notes = _unchecked_notes(audited["unchecked"])
    for node in fleet["nodes"]:
        ports = audited["nodes"].get(node["name"], ())
        answered = fleet["observed"].get(node["name"])
        if not answered:
            needs += [(port, None) for port in ports]
            continue
        for port, networks in _ports(ports, node, answered):
            is_eligible = node["name"] in fleet["eligible"]
            inside = {ip for ip in audited["egress_ips"] if is_eligible and _is_inside(ip, networks)}
            needs.append((port, inside | kept))
            to_open.append((port, _openings(each for each in port["egress_ips"] if each["egressIP"] in inside)))
            notes += [f"node {node['name']}: {words}" for words in _notes(port, inside, audited["guest_mac"])]
    return {"open": _calls(to_open), "close": _calls(_to_close(audited, needs)), "notes": notes}


def _to_close(audited: Audit, needs: Sequence[Need]) -> Iterator[tuple[Port, Options]]:
    """Yield (port, options to reverse there)."""
    shared = audited["scope"] == GROUP
    if shared and audited["failures"]:
        # A node whose VM is unknown may be in any of the port groups.
        return
    levels: dict[Any, list[Need]] = {}
    for n, need in enumerate(needs):
        port = need[0]
        levels.setdefault((port["connection"], port["port_group"]["moid"]) if shared else n, []).append(need)
    for level in levels.values():
        if all(wanted is not None for _port, wanted in level):
            wanted = {ip for _port, needed in level for ip in needed or ()}
            flags = not wanted and audited["guest_mac"] != OWN
            yield from ((port, _closings(port, wanted, flags, shared)) for port, _needed in level)


def _vms(host: ProviderHost) -> list[dict[str, Any]]:
    given = host.variables.get(_VM) or {}
    path = f"{host.name}: {_VM}"
    if not isinstance(given, (list, tuple)):
        return [_vm(given, host, path)]
    return [_vm(item, host, f"{path}[{n}]") for n, item in enumerate(given)]


def _vm(vm: object, host: ProviderHost, path: str) -> dict[str, Any]:
    if not isinstance(vm, dict):
        raise InventoryError(f"{path}: must be a dictionary, not {type_name(vm)}")
    unknown = sorted({*vm} - {*_VM_KEYS}, key=str)
    if unknown:
        raise InventoryError(f"{path}.{unknown[0]}: unknown field; expected one of {', '.join(_VM_KEYS)}")
    named = dict(vm) if {*vm} & {*_NAMES} else {"name": host.name, **vm}
    if "name" in named and host.uuid:
        named["guest_uuid"] = host.uuid
    if host.macs and not {*vm} & {*_ADAPTERS}:
        named["macs"] = list(host.macs)
    return named


def _ports(
    ports: Collection[Port], node: Mapping[str, Any], answer: Mapping[str, Any]
) -> Iterator[tuple[Port, list[Network]]]:
    """Yield (port, networks of the node that may be there).

    A network is left out if the MAC address of its interface is that of another port.
    """
    macs = {port["nic"]["mac"] for port in ports}
    for port in ports:
        others = macs - {port["nic"]["mac"]}
        own = [each for each in node["networks"] if answer["macs"].get(each["interface"], "").lower() not in others]
        yield port, [parse_interface(text, node["name"]).network for each in own for text in each["addresses"]]


def _is_inside(egress_ip: str, networks: Iterable[Network]) -> bool:
    return any(parsed(egress_ip) in network for network in networks)


def _openings(answers: Iterable[Requirement]) -> Options:
    """Return the options, without `vms`, that a port needs for all these egress IPs."""
    options: Options = {"security": {}, "mac_learning": {}, "allowed_addresses": []}
    for answer in answers:
        options["security"].update(answer["change"].get("security", {}))
        options["mac_learning"].update(answer["change"].get("mac_learning", {}))
        options["allowed_addresses"] += answer["change"].get("allowed_addresses", ())
    return options


def _closings(port: Port, wanted: set[str], flags: bool, shared: bool) -> Options:
    """Return the own settings of a port, or if ``shared`` of its port group, that no ``wanted`` egress IP needs.

    ``flags``: whether that includes the flags that are noted there.
    """
    noted = (port["port_group"] if shared else port)["noted"] if flags else {}
    # A port without rules of its own shows those of its port group.
    rules = port["rules"] or () if (RULES in port["overridden"]) != shared else ()
    ours = {rule["description"] for rule in rules if is_ours(rule)}
    left = {description.rpartition(" ")[2] for description in ours} - wanted
    learning = port["mac_learning"] or {}
    return {
        "security": {flag: port["security"][flag] for flag in SECURITY if flag in noted},
        "mac_learning": {key: learning[key] for key in MAC_LEARNING if f"mac_learning.{key}" in noted},
        "allowed_addresses": sorted(left, key=address_order),
    }


def _notes(port: Port, egress_ips: Collection[str], guest_mac: str) -> Iterator[str]:
    if port["switch"]["type"] == NSX and egress_ips:
        yield "its port belongs to NSX, whose segment profiles must allow its egress IPs; vCenter cannot check that"
    if (port["vlan"] or {}).get("isolated") and egress_ips:
        yield "its port is in an isolated private VLAN, where nodes cannot detect duplicate addresses"
    flags = {*SECURITY, *(f"mac_learning.{key}" for key in MAC_LEARNING)}
    left = sorted(flags & {*port["noted"], *port["port_group"]["noted"]})
    if left and guest_mac == OWN:
        yield f"vsphere_port_security set {', '.join(left)} there; egress IPs on the own MAC address do not need that"


def _calls(pairs: Iterable[tuple[Port, Options]]) -> list[Options]:
    """Return the options of the calls for (port, options) pairs, one call for equal options at one vCenter."""
    calls: list[Options] = []
    for port, requested in pairs:
        if not any(requested.values()):
            continue
        options = {**requested, "connection": port["connection"]}
        vm = {"moid": port["vm"]["moid"], "mac": port["nic"]["mac"]}
        same = next((call for call in calls if {**call, "vms": None} == {**options, "vms": None}), None)
        if same:
            same["vms"].append(vm)
        else:
            calls.append({**options, "vms": [vm]})
    return calls


def _unchecked_notes(names: Sequence[str]) -> list[str]:
    """Return a line on nodes for which no vCenter is named."""
    if not names:
        return []
    more = [f"{len(names) - _MOST_NAMES} more nodes"] if len(names) > _MOST_NAMES else []
    named = ", ".join([*names[:_MOST_NAMES], *more])
    return [f"{_HOSTNAME}: names no vCenter, so that the ports of the VMs of {named} are not checked"]


def _audit(asked: Query, answer: Mapping[str, Any], settings: Mapping[str, Any]) -> Audit:
    """Return the Audit for the results of `vsphere_port_info`, one for each of the ``vcenters``.

    Each port has the ``connection`` of its vCenter. ``unchecked``: the nodes for which no vCenter is named;
    ``egress_ips``: those of the Query, of which ports have entries only where they need a change.
    """
    nodes = {node["name"]: node for node in asked["nodes"]}
    merged = {**audit({"nodes": []}, (), **settings), "unchecked": [], "egress_ips": asked["egress_ips"]}
    for vcenter, result in zip(asked["vcenters"], answer.get("results") or ()):
        ports = [{**port, "connection": vcenter["connection"]} for port in result.get("ports") or ()]
        part = audit({"nodes": [nodes[name] for name in vcenter["nodes"]]}, ports, **settings)
        for key in ("nodes", "fenced", "labels"):
            merged[key].update(part[key])
        for key in ("proven", "failures"):
            merged[key] += part[key]
        merged["unchecked"] += vcenter["nodes"] if result.get("skipped") else []
    return merged


VSPHERE = Provider(
    name="vsphere",
    title="vCenter",
    signs=(("sys_vendor", "vmware"), ("product_name", "vmware")),
    serial=r"VMware-((?:[0-9a-f]{2}[ -]){15}[0-9a-f]{2})",
    fleet_settings={
        "timeout": POSITIVE,
        "guest_mac": (OWN, SECOND, CHANGED),
        "scope": (PORT, GROUP),
        "allow_override": BOOLEAN,
        "fence_method": (PORT_BLOCK, VNIC_DISCONNECT, POWER_OFF, AUTO),
    },
    host_settings={
        "hostname": TEXT,
        "username": TEXT,
        "password": SECRET,
        "port": POSITIVE,
        "validate_certs": BOOLEAN,
        "proxy_host": TEXT,
        "proxy_port": POSITIVE,
        "vm": STRUCTURE,
    },
    variables=(_VM, _HOSTNAME),
    module="vsphere_port_info",
    options={
        **{name: f"egress_ip_vsphere_{name}" for name in (*_CONNECTION, "guest_mac", "scope", "allow_override")},
        "method": "egress_ip_vsphere_fence_method",
        # The adapter of a guest with several MAC addresses needs it.
        "mac_learning": "egress_ip_vsphere_guest_mac",
        r"vms\[\d+\](\.\w+)?": _VM,
    },
    # The link goes down, or the node boots again.
    self_detected_methods=frozenset({POWER_OFF, VNIC_DISCONNECT}),
    domains={HOST_LABEL: "ESXi host"},
    # A snapshot or vMotion stops a VM for about a second.
    longest_stun=2.0,
    query=query,
    audit=_audit,
    changes=changes,
)
