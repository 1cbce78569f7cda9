# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run asks of a vCenter, and what it does with the answers. PRIVATE to the collection. Pure.

Everything here is a dict of plain values: it goes from filters to the modules `vsphere_port_info` and
`vsphere_port_security`, and back.
"""

from __future__ import annotations

import re

from .._common.addresses import address_order, parse_interface, parsed
from .._common.errors import Errors, InventoryError
from .._common.messages import type_name
from .._kubernetes.objects import parse_egressip
from .._vsphere.port import GROUP, MAC_LEARNING, NSX, PORT, RULES, SECURITY
from .._vsphere.port_requirements import OWN
from .._vsphere.traffic_filter import is_ours
from .fencing import VSPHERE

# Where an error begins that is about one of the adapters asked for.
_PLACE = re.compile(r"^vms\[\d+\](\.|: )")
_VM_KEYS = ("name", "uuid", "moid", "mac", "label", "network")


def query(hosts, egressips):
    """Return what to ask of the vCenter: {nodes: [{name, vms, uuid}], egress_ips: [...], required}.

    Each host is {name, vm (`egress_ip_vsphere_vm`), platform (`egress_ip_platform`), fence, observed (a task's
    result)}. A host is on vSphere if it says so, or else if the user does. `vms` are its adapters with egress IPs, as
    in the modules' option, `uuid` is its VM's, as the host sees it, or None. The vCenter is `required` by a fence.
    """
    nodes = []
    for host in hosts:
        platform = (host.get("observed") or {}).get("platform")
        if VSPHERE in (platform["name"] if platform else host.get("platform"), host.get("fence")):
            nodes.append({"name": host["name"], "vms": _vms(host), "uuid": platform and platform["uuid"]})
    found = {ip for document in egressips for ip in _egress_ips(document)}
    required = any(host.get("fence") == VSPHERE for host in hosts)
    return {"nodes": nodes, "egress_ips": sorted(found, key=address_order), "required": required}


def audit(asked, ports, guest_mac=OWN, scope=PORT):
    """Return {nodes: {name: [port]}, fenced: {name: methods}, proven: [name], guest_mac, scope, failures: [line]}.

    `ports` are the answer to a query. `fenced` are the nodes that were fenced, as noted, of which `proven` are cut off
    for sure, with all their adapters. A node whose VM cannot be found, or is another one than the host itself sees, is
    a failure, and is not among `nodes`: its ports are not touched.
    """
    nodes, fenced, proven, failures, left = {}, {}, [], [], list(ports)
    for node in asked["nodes"] if ports else ():
        name, answers = node["name"], [left.pop(0) for _vm in node["vms"]]
        own = [each for each in answers if "error" not in each]
        others = [each["vm"] for each in own if node["uuid"] and each["vm"]["uuid"].lower() not in ("", node["uuid"])]
        problems = [_PLACE.sub("", each["error"]) for each in answers if "error" in each] + [
            f"the VM {vm['name']} has the UUID {vm['uuid']}, but this host has {node['uuid']}; name the VM of this host"
            for vm in others
        ]
        failures += [f"{name}: egress_ip_vsphere_vm: {problem}" for problem in problems[:1]]
        methods = sorted({method for port in own for method in port["fence"]})
        if methods and not others:
            fenced[name] = methods
            proven += [name] if all(each.get("fenced") for each in answers) else []
        if not problems:
            nodes[name] = own
    about = {"guest_mac": guest_mac, "scope": scope, "failures": failures}
    return {"nodes": nodes, "fenced": fenced, "proven": proven, **about}


def changes(audited, fleet):
    """Return {open: [options], close: [options], notes: [line]}: how little to change at the ports of a fleet's nodes.

    The options are those of `vsphere_port_security`, one entry for all nodes that need the same. The port of a node
    that may hold an egress IP lets it pass before it is claimed; what is ours and not wanted any more is taken back
    after. The ports of nodes that give no answer stay as they are, and so does what broken manifests have. With
    `guest_mac` OWN, a run never needs flags, so those that are noted are somebody's who used the modules by hand.
    With `scope` GROUP all that is about a port group: what one of its nodes may need stays.
    """
    kept = {ip for entry in fleet["recalled"].values() for ip in entry["egressIPs"]}
    to_open, needs, notes = [], [], []
    for node in fleet["nodes"]:
        ports = audited["nodes"].get(node["name"], ())
        answered = fleet["observed"].get(node["name"])
        if not answered:
            needs += [(port, None) for port in ports]
            continue
        for port, networks in _ports(ports, node, answered):
            is_eligible = node["name"] in fleet["eligible"]
            answers = [e for e in port["egress_ips"] if is_eligible and _is_inside(e["egressIP"], networks)]
            needs.append((port, {each["egressIP"] for each in answers} | kept))
            to_open.append((port, _openings(answers)))
            notes += [f"node {node['name']}: {words}" for words in _notes(port, answers, audited["guest_mac"])]
    return {"open": _calls(to_open), "close": _calls(_to_close(audited, needs)), "notes": notes}


def _to_close(audited, needs):
    """Yield (port, what to take back there). `needs` are (port, egress IPs that are to pass it, None for not known)."""
    shared = audited["scope"] == GROUP
    if shared and audited["failures"]:
        # A node whose VM is not known may be in any of the port groups.
        return
    levels = {}
    for n, need in enumerate(needs):
        levels.setdefault(need[0]["port_group"]["moid"] if shared else n, []).append(need)
    for level in levels.values():
        if all(wanted is not None for _port, wanted in level):
            wanted = {ip for _port, needed in level for ip in needed}
            flags = not wanted and audited["guest_mac"] != OWN
            yield from ((port, _closings(port, wanted, flags, shared)) for port, _needed in level)


def _vms(host):
    given = host.get("vm") or {}
    path = f"{host['name']}: egress_ip_vsphere_vm"
    if not isinstance(given, (list, tuple)):
        return [_vm(given, host["name"], path)]
    return [_vm(item, host["name"], f"{path}[{n}]") for n, item in enumerate(given)]


def _vm(vm, name, path):
    if not isinstance(vm, dict):
        raise InventoryError(f"{path}: must be a dictionary, not {type_name(vm)}")
    unknown = sorted({*vm} - {*_VM_KEYS}, key=str)
    if unknown:
        raise InventoryError(f"{path}.{unknown[0]}: is none of {', '.join(_VM_KEYS)}")
    return vm if {*vm} & {*_VM_KEYS[:3]} else {"name": name, **vm}


def _egress_ips(document):
    egressip = Errors().attempt(parse_egressip, document)
    return egressip.egress_ips if egressip else ()


def _ports(ports, node, answer):
    """Yield (port, its networks): all but those that, by their interface's MAC address, are at another of the ports."""
    macs = {port["nic"]["mac"] for port in ports}
    for port in ports:
        others = macs - {port["nic"]["mac"]}
        own = [each for each in node["networks"] if answer["macs"].get(each["interface"], "").lower() not in others]
        yield port, [parse_interface(text, node["name"]).network for each in own for text in each["addresses"]]


def _is_inside(egress_ip, networks):
    return any(parsed(egress_ip) in network for network in networks)


def _openings(answers):
    """Return what a port needs for all these answers, as options without `vms`."""
    options = {"security": {}, "mac_learning": {}, "allowed_addresses": []}
    for answer in answers:
        options["security"].update(answer["change"].get("security", {}))
        options["mac_learning"].update(answer["change"].get("mac_learning", {}))
        options["allowed_addresses"] += answer["change"].get("allowed_addresses", ())
    return options


def _closings(port, wanted, flags, shared):
    """Return what is ours, at a port or ``shared`` at its port group, for none of the ``wanted`` egress IPs.

    ``flags``: whether the flags that are noted there are needed no more either.
    """
    noted = (port["port_group"] if shared else port)["noted"] if flags else {}
    # What takes effect at a port that has no rules of its own are those of its port group.
    rules = port["rules"] or () if (RULES in port["overridden"]) != shared else ()
    ours = {rule["description"] for rule in rules if is_ours(rule)}
    left = {description.rpartition(" ")[2] for description in ours} - wanted
    learning = port["mac_learning"] or {}
    return {
        "security": {flag: port["security"][flag] for flag in SECURITY if flag in noted},
        "mac_learning": {key: learning[key] for key in MAC_LEARNING if f"mac_learning.{key}" in noted},
        "allowed_addresses": sorted(left, key=address_order),
    }


def _notes(port, answers, guest_mac):
    if port["switch"]["type"] == NSX and answers:
        yield "its port belongs to NSX, whose segment profiles must let its egress IPs pass; vCenter cannot tell"
    if (port["vlan"] or {}).get("isolated") and answers:
        yield "its port is in an isolated private VLAN, where nobody notices that two nodes have the same address"
    flags = {*SECURITY, *(f"mac_learning.{key}" for key in MAC_LEARNING)}
    left = sorted(flags & {*port["noted"], *port["port_group"]["noted"]})
    if left and guest_mac == OWN:
        yield f"vsphere_port_security set {', '.join(left)} there; egress IPs on the own MAC address do not need that"


def _calls(pairs):
    """Return the options of few calls for many (port, options): the same options go together."""
    calls = []
    for port, options in pairs:
        if not any(options.values()):
            continue
        vm = {"moid": port["vm"]["moid"], "mac": port["nic"]["mac"]}
        same = next((call for call in calls if {**call, "vms": None} == {**options, "vms": None}), None)
        if same:
            same["vms"].append(vm)
        else:
            calls.append({**options, "vms": [vm]})
    return calls
