# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the status of EgressIP objects into their clusters, on the controller."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from ansible_collections.netops.egress_ip.plugins.lookup.manifests import LookupModule
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.manifests import Manifests, valid
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.objects import parse_node
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.status import outcome
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.node_names import with_host_names
from ansible_collections.netops.egress_ip.plugins.plugin_utils._controller_action import ControllerAction
from ansible_collections.netops.egress_ip.plugins.plugin_utils._kubernetes_status import StatusWriter
from ansible_collections.netops.egress_ip.plugins.plugin_utils._settings import read_sources
from ansible_collections.netops.egress_ip.plugins.plugin_utils._variables import hosts_of, result_of


class ActionModule(ControllerAction):
    """The action plugin of the module `kubernetes_status`."""

    OPTIONS = {
        "sources": {"type": "raw", "required": True},
        "hosts": {"type": "list", "elements": "str", "required": True},
    }

    def result(self, options: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
        """Write what differs. A cluster that cannot be written is a line, and does not stop the others."""
        lookup = LookupModule(loader=self._loader, templar=self._templar)
        stats = result_of(variables, "report")["stats"]
        reached = outcome(stats, _node_names(options["hosts"], variables))
        moment = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        writer = StatusWriter(reached, moment, self._task.check_mode)
        for cluster in lookup.clusters_of(read_sources(options["sources"])):
            if "EgressIP" in cluster.kinds:
                with lookup.files_of(variables) as find:
                    writer.write(cluster.with_environment(os.environ), find)
        return writer.result()


def _node_names(hosts: list[str], variables: Mapping[str, Any]) -> dict[str, str]:
    """Return {inventory host: name of its Node object} of the hosts that have one."""
    # Without the pods, which take most of the time.
    read = Manifests(nodes=valid(parse_node, result_of(variables, "manifests_info")["nodes"]))
    named, _notes = with_host_names(read, hosts_of(variables, hosts))
    return {host.name: node.name for node, host in zip(read.nodes, named.nodes)}
