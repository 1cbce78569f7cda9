# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: select_pods
author:
  - The netops.egress_ip authors (@netops)
short_description: List the pods that EgressIP objects select
description:
  - Applies C(spec.namespaceSelector) and C(spec.podSelector) of EgressIP objects to pods.
  - Without a C(podSelector) all pods of the selected namespaces are selected.
  - Every namespace has the label C(kubernetes.io/metadata.name), as in Kubernetes. A namespace without a Namespace
    document has no other label.
  - Left out are pods in the host's network, pods that have ended (phase V(Succeeded) or V(Failed)), and pods without
    an address or a node.
  - Broken objects select nothing. P(netops.egress_ip.assign#filter) lists their errors.
positional: pods, namespaces
options:
  _input:
    description: EgressIP documents.
    type: list
    elements: dict
    required: true
  pods:
    description: Pod documents.
    type: list
    elements: dict
    required: true
  namespaces:
    description: Namespace documents.
    type: list
    elements: dict
    default: []
seealso:
  - plugin: netops.egress_ip.manifests
    plugin_type: lookup
  - plugin: netops.egress_ip.selected_by
    plugin_type: test
"""

EXAMPLES = r"""
- name: Show which pods leave with an egress IP
  ansible.builtin.debug:
    msg: "{{ manifests.egressips | netops.egress_ip.select_pods(manifests.pods, manifests.namespaces) }}"
  vars:
    manifests: "{{ lookup('netops.egress_ip.manifests', 'manifests/') }}"
"""

RETURN = r"""
_value:
  description: The selected pods, sorted by namespace and pod.
  type: list
  elements: dict
  contains:
    namespace:
      description: Namespace of the pod.
      type: str
      sample: namespace1
    pod:
      description: Name of the pod.
      type: str
      sample: web-0
    node:
      description: Node that the pod runs on.
      type: str
      sample: node2
    podIPs:
      description: Addresses of the pod in RFC 5952 form.
      type: list
      elements: str
      sample: ["10.88.0.5"]
    egressips:
      description: Names of the objects that select the pod, sorted. The first applies.
      type: list
      elements: str
      sample: ["egressips-prod"]
"""

from collections.abc import Callable, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.netops.egress_ip.plugins.module_utils._common.messages import type_name
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.manifests import select_pods, valid
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.objects import (
    parse_egressip,
    parse_namespace,
    parse_pod,
)


def _select_pods(egressips: Sequence[Any], pods: Sequence[Any], namespaces: Sequence[Any] = ()) -> list[dict[str, Any]]:
    for name, documents in (("input", egressips), ("pods", pods), ("namespaces", namespaces)):
        if not isinstance(documents, (list, tuple)):
            raise AnsibleFilterError(
                f"netops.egress_ip.select_pods: {name}: must be a list of documents, not {type_name(documents)}"
            )
    selected = select_pods(valid(parse_egressip, egressips), valid(parse_pod, pods), valid(parse_namespace, namespaces))
    return [each.to_dict() for each in selected]


class FilterModule:
    """Filter plugin."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filter by its name."""
        return {"select_pods": _select_pods}
