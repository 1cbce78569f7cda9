# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rule sets that kube-proxy writes for services, in its modes iptables and nftables.

Names of chains are shorter than kube-proxy's, which end in hashes; structure, marks, priorities and the order of rules
are its own. Not here: health checks, session affinity, source ranges, and what it rejects.
"""

from __future__ import annotations

from dataclasses import dataclass

# Packets with this mark are masqueraded, by default.
MASQUERADE = 0x4000
# {mode: command that restores rules; `{}` is for the "6" of IPv6}, of the modes with iptables
RESTORE = {"iptables-nft": "ip{}tables-nft-restore", "iptables-legacy": "ip{}tables-legacy-restore"}


@dataclass(frozen=True)
class Service:
    """A service with one port for TCP and UDP; `endpoints` are addresses, `target_port` is theirs.

    `external` are addresses from which it is reached as from outside the cluster, `node_port` is 0 without one.
    """

    name: str
    address: str
    port: int
    endpoints: tuple[str, ...]
    target_port: int
    external: tuple[str, ...] = ()
    node_port: int = 0


def iptables_rules(services, pods):
    """Return the text for `iptables-restore` or `ip6tables-restore`; `pods` is the network of the cluster's pods."""
    chains = ["SERVICES", "NODEPORTS", "MARK-MASQ", "POSTROUTING"]
    rules = [
        "PREROUTING -j KUBE-SERVICES",
        "OUTPUT -j KUBE-SERVICES",
        "POSTROUTING -j KUBE-POSTROUTING",
        f"KUBE-MARK-MASQ -j MARK --or-mark {MASQUERADE:#x}",
        f"KUBE-POSTROUTING -m mark ! --mark {MASQUERADE:#x}/{MASQUERADE:#x} -j RETURN",
        f"KUBE-POSTROUTING -j MARK --xor-mark {MASQUERADE:#x}",
        "KUBE-POSTROUTING -j MASQUERADE --random-fully",
    ]
    for service in services:
        for protocol in ("tcp", "udp"):
            name = f"{service.name}-{protocol}"
            chains += [f"SVC-{name}", f"EXT-{name}", *(f"SEP-{name}-{i}" for i in range(len(service.endpoints)))]
            rules += _iptables_service(service, protocol, name, pods)
    rules.append("KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS")
    declared = [f":KUBE-{chain} - [0:0]" for chain in chains]
    forward = [
        ":KUBE-FORWARD - [0:0]",
        "-A FORWARD -j KUBE-FORWARD",
        "-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP",
        f"-A KUBE-FORWARD -m mark --mark {MASQUERADE:#x}/{MASQUERADE:#x} -j ACCEPT",
        "-A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    ]
    lines = ["*nat", *declared, *(f"-A {rule}" for rule in rules), "COMMIT", "*filter", *forward, "COMMIT"]
    return "".join(f"{line}\n" for line in lines)


def _iptables_service(service, protocol, name, pods):
    port = f"-p {protocol} -m {protocol} --dport"
    yield f"KUBE-SERVICES -d {service.address} {port} {service.port} -j KUBE-SVC-{name}"
    yield from (f"KUBE-SERVICES -d {each} {port} {service.port} -j KUBE-EXT-{name}" for each in service.external)
    if service.node_port:
        yield f"KUBE-NODEPORTS {port} {service.node_port} -j KUBE-EXT-{name}"
    yield f"KUBE-EXT-{name} -j KUBE-MARK-MASQ"
    yield f"KUBE-EXT-{name} -j KUBE-SVC-{name}"
    yield f"KUBE-SVC-{name} ! -s {pods} -d {service.address} {port} {service.port} -j KUBE-MARK-MASQ"
    for number, endpoint in enumerate(service.endpoints):
        chain, left = f"KUBE-SEP-{name}-{number}", len(service.endpoints) - number
        share = f"-m statistic --mode random --probability {1 / left:.10f} " if left > 1 else ""
        target = f"[{endpoint}]" if ":" in endpoint else endpoint
        yield f"KUBE-SVC-{name} {share}-j {chain}"
        yield f"{chain} -s {endpoint} -j KUBE-MARK-MASQ"
        yield f"{chain} -p {protocol} -m {protocol} -j DNAT --to-destination {target}:{service.target_port}"


def nftables_rules(services, pods):
    """Return the text for `nft -f`; `pods` is the network of the cluster's pods."""
    ip, kind = ("ip6", "ipv6_addr") if ":" in pods else ("ip", "ipv4_addr")
    by_address, by_port, chains = [], [], []
    for service in services:
        for protocol in ("tcp", "udp"):
            name = f"{service.name}/{protocol}"
            by_address.append(f"{service.address} . {protocol} . {service.port} : goto service-{name}")
            by_address += [f"{each} . {protocol} . {service.port} : goto external-{name}" for each in service.external]
            if service.node_port:
                by_port.append(f"{protocol} . {service.node_port} : goto external-{name}")
            chains += _nftables_service(service, protocol, name, pods, ip)
    base = {
        "filter-prerouting-pre-dnat": ("filter hook prerouting priority -110", []),
        "nat-prerouting": ("nat hook prerouting priority -100", ["jump services"]),
        "nat-output": ("nat hook output priority -100", ["jump services"]),
        "nat-postrouting": ("nat hook postrouting priority 100", ["jump masquerading"]),
    }
    lines = [
        f"table {ip} kube-proxy {{",
        *_map("service-ips", f"{kind} . inet_proto . inet_service", by_address),
        *_map("service-nodeports", "inet_proto . inet_service", by_port),
        *_chain("mark-for-masquerade", f"mark set mark or {MASQUERADE:#x}"),
        *_chain(
            "masquerading",
            f"mark and {MASQUERADE:#x} == 0 return",
            f"mark set mark xor {MASQUERADE:#x}",
            "masquerade fully-random",
        ),
        *chains,
        *_chain(
            "services",
            f"{ip} daddr . meta l4proto . th dport vmap @service-ips",
            "fib daddr type local meta l4proto . th dport vmap @service-nodeports",
        ),
        *(line for name, (hook, rules) in base.items() for line in _chain(name, f"type {hook};", *rules)),
        "}",
    ]
    return "".join(f"{line}\n" for line in lines)


def _nftables_service(service, protocol, name, pods, ip):
    endpoints = [f"endpoint-{name}/{number}" for number in range(len(service.endpoints))]
    for chain, endpoint in zip(endpoints, service.endpoints, strict=True):
        target = f"[{endpoint}]" if ip == "ip6" else endpoint
        yield from _chain(
            chain,
            f"{ip} saddr {endpoint} jump mark-for-masquerade",
            f"meta l4proto {protocol} dnat to {target}:{service.target_port}",
        )
    choice = ", ".join(f"{number} : goto {chain}" for number, chain in enumerate(endpoints))
    yield from _chain(
        f"service-{name}",
        f"{ip} daddr {service.address} {ip} saddr != {pods} jump mark-for-masquerade",
        f"numgen random mod {len(endpoints)} vmap {{ {choice} }}",
    )
    yield from _chain(f"external-{name}", "jump mark-for-masquerade", f"goto service-{name}")


def _map(name, keys, elements):
    content = [f"elements = {{ {', '.join(elements)} }}"] if elements else []
    return [f"map {name} {{", f"type {keys} : verdict", *content, "}"]


def _chain(name, *rules):
    return [f"chain {name} {{", *rules, "}"]
