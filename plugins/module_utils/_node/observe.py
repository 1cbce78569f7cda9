# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look at a node: what it is, what it holds, what stands in the way. PRIVATE to the collection."""

from __future__ import annotations

from .._dataplane.interfaces import bearing, own_networks
from .._dataplane.state import (
    desired_data_plane,
    endpoints_of,
    held_on,
    lines_between,
    own_addresses,
    problems_of,
)
from .._host_io import node_io
from . import metrics_file, systemd_units
from .address_conflicts import others_with
from .platform_detection import AUTO, find_platform, refusal
from .record import Record, claimed_by, look, missing_files, read


def observe(options, interface="", recall=(), metrics=False, platform=AUTO, probe=False):
    """Return what the module `node_info` returns: what this host is, what it holds, what stands in the way.

    `recall` names objects of which the record's addresses and pods are wanted too. With `metrics` what the egress IPs
    carry is wanted, which costs a look at all connections; with `probe` who else answers for them, which takes the
    wire 0.4 s. `platform` is what the user says.
    """
    found = find_platform(node_io.platform_facts(), platform)
    refused = refusal(found) if platform == AUTO else None
    if refused:
        return {"problems": [refused], "packages": []}
    packages, problems = node_io.missing_packages(), node_io.missing_requirements()
    if problems:
        return {"problems": problems, "packages": packages}
    record = Record.load()
    host = look(record)
    if record and _is_in_doubt(held_on(host, record.claimed)):
        node_io.wait_until(lambda: not node_io.was_away(), 2 * systemd_units.WATCH_INTERVAL)
        record = Record.load()
        host = look(record)
    tables = node_io.read_tables()
    claimed = claimed_by(record, tables)
    known = record.state.interface if record else ""
    interface = interface or host.default_interface() or known
    problems = problems_of(host, options, interface)
    networks = own_networks(host, interface, claimed)
    if not networks and interface == known:
        # It was there: a fault of this host, and no reason to stop the others.
        return {"problems": [], "packages": [], "lost": f"{interface} is not there, or has no address of its own"}
    if not problems and not networks:
        problems = [f"egress_ip_interface: {interface} has no address of its own"]
    interfaces = bearing(host, interface, claimed)
    held = held_on(host, claimed)
    return {
        "problems": problems,
        "packages": [],
        "platform": found.to_dict(),
        "interface": interface,
        "endpoints": endpoints_of(networks),
        "networks": interfaces,
        "macs": {item["interface"]: host.interface(item["interface"]).get("address", "") for item in interfaces},
        "addresses": own_addresses(host, options.tunnel_device, claimed),
        "gateways": host.gateways(),
        "held": [item.to_dict() for item in held],
        "generation": record.state.generation if record else 0,
        "digest": record.state.digest() if record else "",
        "drift": _drift(record, host, tables) if record else [],
        "nodes": [item.to_dict() for item in record.state.nodes] if record else [],
        "farEnds": [item.to_dict() for item in record.state.far_ends] if record else [],
        "recalled": _recall(record.state, recall) if record else [],
        **({"metrics": metrics_file.measure(record)} if record and metrics else {}),
        **({"conflicts": _conflicts(held, host)} if probe else {}),
    }


def _is_in_doubt(held):
    """Tell whether this node was away and another may have what it holds, which its watch is about to find out.

    To plan with it now might end with nobody: the other gives it up, because the plan names this node, and so does the
    watch, because the other had it.
    """
    return (
        bool(held)
        and all(node_io.has_link(item.interface) for item in held)
        and node_io.was_away()
        and node_io.run(["systemctl", "is-active", "--quiet", systemd_units.WATCH_TIMER])[0] == 0
    )


def _drift(record, host, tables):
    """Return how the node differs from its record, as lines; files that are gone or changed count too."""
    current = read(host, record.state.options, record.claimed, tables)
    missing, surplus = lines_between(current, desired_data_plane(record.state, record.marks, host))
    options = record.state.options
    files = [f"missing file {path}" for path in missing_files(options)]
    files += [f"left over file {path}" for path in metrics_file.left_over(options, options)]
    return [f"missing {line}" for line in missing] + [f"left over {line}" for line in surplus] + files


def _conflicts(held, host):
    others = others_with([item for item in held if node_io.has_link(item.interface)], host)
    return [{**item.to_dict(), "mac": mac} for item, mac in sorted(others.items())]


def _recall(state, names):
    return [
        {
            "name": item.name,
            "egressIPs": list(item.egress_ips),
            **item.destinations.to_dict(),
            "pods": [pod.address for pod in state.pods if item.name in pod.egressips],
        }
        for item in state.egressips
        if item.name in names
    ]
