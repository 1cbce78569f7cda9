# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The contract of a provider: a platform or fence that is managed from outside of the nodes. PRIVATE. Pure.

A provider is a `Provider` in ``provider.py`` of a folder ``_NAME`` of module_utils, listed in
`_reconcile.providers.PROVIDERS`, and a role ``NAME``. No other code names it. A host belongs to it if it runs on this
platform (as the host reports it, else `egress_ip_platform`) or if its `egress_ip_fence` is this name.

The role node includes these files of the role's ``tasks/``, once per run, on the controller:

- ``audit``: reads the platform for ``__egress_ip_query``, a `Query`, with the module `Provider.module`, registers its
  result as ``egress_ip_MODULE``, and calls the module `audit` with ``platform`` and ``settings``.
- ``change``: applies ``__egress_ip_changes``, a list of options of `PlatformChanges`, with ``__egress_ip_state``:
  ``present`` before the nodes apply the plan, ``absent`` after.
- ``fence``: cuts the VM or machine ``__egress_ip_target``, one of the ``nodes`` of the Query, off its network. It fails
  without a proof. ``macs`` of the target are as `fencing.links_to_cut` returns them.
- ``unfence``: reconnects ``__egress_ip_targets``, some of these ``nodes``.

A failure of ``audit``, ``change`` and ``unfence`` is ignored there and reported at the end of the run: ``change`` and
``unfence`` append {platform, result: registered result} to ``__egress_ip_platform_results``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Sequence, Tuple, Union

# Values that tasks exchange are dicts:
# {name: of the provider, nodes: [{name, ...}], egress_ips: [address], required: whether a fence needs the platform},
# and keys of the provider
Query = Dict[str, Any]
# {nodes: {name: what `Provider.changes` needs}, fenced: {name: [method]} as noted, proven: [name of a fenced node that
# is proven to be cut off], labels: {name: {label: value}} as in `Provider.domains`, failures: [line]}, and keys of the
# provider
Audit = Dict[str, Any]
# {open: [options], close: [options], notes: [line]}
PlatformChanges = Dict[str, List[Any]]
# Types of settings. STRUCTURE is a dictionary or a list, POSITIVE an integer of 1 or more. No result contains a SECRET.
TEXT, SECRET, BOOLEAN, POSITIVE, STRUCTURE = "text", "secret", "boolean", "positive", "structure"
# {name: type, or the words of which the value is one}; the variable of a setting is `egress_ip_PROVIDER_NAME`.
Settings = Mapping[str, Union[str, Tuple[str, ...]]]


class ProviderHost(NamedTuple):
    """A host of a provider.

    ``uuid``: of the machine as the host reports it, None if unknown; ``macs``: the MAC addresses of its interfaces with
    addresses, as it reports or last reported them; ``variables``: values of `Provider.variables`, None where the user
    has not set one.
    """

    name: str
    uuid: str | None
    macs: Sequence[str]
    variables: Mapping[str, Any]


@dataclass(frozen=True)
class Provider:
    """A platform or a fence.

    - ``name``: of the role, of the platform, and of the fence
    - ``title``: the system that answers, in failures
    - ``signs``: [(fact, regular expression of its beginning)]; a host of the platform has at least one. A fact is
      `cpu_flags`, `hypervisor_uuid` (of Xen), or a file of /sys/class/dmi/id
    - ``serial``: regular expression of a product serial number that contains the BIOS UUID, whose group is the bytes of
      the UUID; empty if there is none
    - ``fleet_settings``, ``host_settings``: the variables of its role, those that are the same on all hosts and others
    - ``variables``: the host variables that ``query`` needs
    - ``module``: the module that answers
    - ``options``: {regular expression of an option of the modules: variable that sets it}, for messages
    - ``self_detected_methods``: the methods of its fence after which a node checks its addresses before it uses them
      again; None if it has no fence
    - ``domains``: {label: title of its values} of the labels that it gives to nodes, whose values are failure domains
    - ``longest_stun``: the seconds for which it may stop a machine that works, as for a snapshot or a migration
    - ``query``: returns ``nodes`` and own keys of a Query for the hosts; raises InventoryError
    - ``audit``: returns the Audit for (Query, result of the module, settings of the role)
    - ``changes``: returns the PlatformChanges for (Audit, dict of a Fleet)
    """

    name: str
    title: str
    signs: Sequence[tuple[str, str]]
    serial: str
    fleet_settings: Settings
    host_settings: Settings
    variables: tuple[str, ...]
    module: str
    options: Mapping[str, str]
    self_detected_methods: frozenset[str] | None
    domains: Mapping[str, str]
    longest_stun: float
    query: Callable[[Sequence[ProviderHost]], Query]
    audit: Callable[[Query, Mapping[str, Any], Mapping[str, Any]], Audit]
    changes: Callable[[Audit, Mapping[str, Any]], PlatformChanges]
