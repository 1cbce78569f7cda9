# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The addresses of the networks that namespaces name, as this node has them now. PRIVATE to the collection.

A run finds them when it observes the node, and the watch again: a network may be created again with other addresses. If
a source cannot be read, the addresses on record stay. A user of the host has numbers in place of addresses; the watch
keeps those of a user that is gone, which may be one whose directory service does not answer.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from .._common.network_names import NetworkName, parse_network_name
from .._dataplane.host import Host
from .._dataplane.node_state import LocalNetwork
from .._host_io.host_io import HostIO
from .record import Record

if TYPE_CHECKING:
    from .._host_io.container_networks import FoundNetwork

# A version of networks that does not exist.
NEVER = ""


def named_networks(io: HostIO, host: Host, wanted: Collection[str], record: Record | None) -> list[dict[str, object]]:
    """Return [{network, namespace, cidrs, problem}] of the networks `wanted` and of those on record, sorted.

    A user of the host has `uids` too.

    The namespace is that of the record, empty without one; of several namespaces, each has an entry.
    """
    recorded = record.state.networks if record else ()
    names = sorted({*wanted, *(item.network for item in recorded)})
    found = io.find_networks(_parsed(names), host.interfaces) if names else {}
    entries: list[dict[str, object]] = []
    for name in names:
        own = [item for item in recorded if item.network == name]
        each = found[name]
        kept = own[0] if own and not each.is_known else each
        facts = {"network": name, "cidrs": list(kept.cidrs), "problem": each.problem}
        if kept.uids:
            facts["uids"] = list(kept.uids)
        entries += [{**facts, "namespace": item.namespace} for item in own] or [{**facts, "namespace": ""}]
    return entries


def refreshed(io: HostIO, record: Record, host: Host) -> tuple[Record, str | None]:
    """Return the record with the present addresses of its networks, and the version of these to note.

    Saves and logs the record if they have changed. The version is None on other nodes, and one that never exists if a
    source could not be read, so that the watch tries again.
    """
    state = record.state
    if not state.watches_networks:
        return record, None
    version = io.networks_version()
    found = io.find_networks(_parsed(item.network for item in state.networks), host.interfaces)
    networks = tuple(_with_addresses(item, found[item.network]) for item in state.networks)
    version = version if all(each.is_known for each in found.values()) else NEVER
    if networks == state.networks:
        return record, version
    for before, after in zip(state.networks, networks):
        _log_change(before, after)
    changed = replace(record, state=replace(state, networks=networks))
    changed.save(io)
    return changed, version


def _with_addresses(item: LocalNetwork, found: FoundNetwork) -> LocalNetwork:
    if not found.is_known or (item.is_user and not found.uids):
        return item
    return replace(item, cidrs=found.cidrs, uids=found.uids)


def _log_change(before: LocalNetwork, after: LocalNetwork) -> None:
    if before != after:
        had, has = (", ".join(item.cidrs or item.uids) or "no addresses" for item in (before, after))
        sys.stderr.write(f"netops.egress_ip: {after.network} of namespace/{after.namespace} has {has}, not {had}\n")


def _parsed(names: Iterable[str]) -> list[NetworkName]:
    return [parse_network_name(name, "networks") for name in names]
