# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From Ansible's variables to what the core takes. PRIVATE to the collection."""

from __future__ import annotations

from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import Errors, InventoryError
from ansible_collections.netops.egress_ip.plugins.module_utils._common.messages import quote, type_name
from ansible_collections.netops.egress_ip.plugins.module_utils._common.validation import check_string

# It may be alive and hold addresses, so nothing can be said of it.
_NOT_LOOKED_AT = {"failed": True, "msg": "the host was left out of the run, which needs all nodes; run without --limit"}


def host_of(variables):
    """Return one host as `observe_fleet` takes it, from its variables. Raises InventoryError."""
    return {
        "name": str(variables["inventory_hostname"]),
        "labels": variables.get("egress_ip_labels"),
        "capacity": variables.get("egress_ip_capacity"),
        "drain": _drain(variables),
        "observed": variables.get("egress_ip_observed", _NOT_LOOKED_AT),
    }


def names_of(value):
    """Return the list that a person means who writes `-e egress_ip_drain_nodes=node1,node2`. Raises EgressIPError."""
    path, errors = "egress_ip_drain_nodes", Errors()
    # A survey of AWX that is left empty gives an empty string.
    listed = [name.strip() for name in value.split(",") if value.strip()] if isinstance(value, str) else value
    if not isinstance(listed, (list, tuple)):
        raise InventoryError(f"{path}: must be a list of names, not {type_name(value)}")
    names = [check_string(name, f"{path}[{number}]", errors) for number, name in enumerate(listed)]
    errors.raise_if_any()
    return names


def registered(variables, option, name):
    """Return the result that a task registered as `name`, which an option names. Raises InventoryError."""
    if not isinstance(variables.get(name), dict):
        raise InventoryError(f"{option}: must be the name of a variable with the result of a task, not {quote(name)}")
    return variables[name]


def _drain(variables):
    value = variables.get("egress_ip_drain", False)
    try:
        return boolean(value)
    except TypeError:
        raise InventoryError(
            f"{variables['inventory_hostname']}: egress_ip_drain: must be a boolean, not {type_name(value)}"
        ) from None
