#!/usr/bin/python
# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: manifests_info
author:
  - The netops.egress_ip authors (@netops)
short_description: Read EgressIP, Namespace, Pod and Node manifests
description:
  - Returns the result of the lookup P(netops.egress_ip.manifests#lookup) as the result of a task on the controller.
  - This is faster for a large fleet. Ansible templates the result of a lookup item by item, but not that of a task.
  - Changes nothing.
options:
  sources:
    description:
      - Files, folders, inline documents, clusters, engines, or lists of these, as the lookup takes them.
      - A string has paths with commas or lines, or documents or a list in YAML or JSON. An empty string is refused, and
        only an empty list has no sources.
    type: raw
    required: true
extends_documentation_fragment:
  - netops.egress_ip.attributes
  - netops.egress_ip.attributes.info_module
seealso:
  - plugin: netops.egress_ip.manifests
    plugin_type: lookup
  - module: netops.egress_ip.plan
"""

EXAMPLES = r"""
- name: Read the manifests
  netops.egress_ip.manifests_info:
    sources:
      - manifests/
      - /srv/cluster/pods.json
  register: manifests
  run_once: true
"""

RETURN = r"""
egressips:
  description: EgressIP documents as written, those with errors too.
  returned: success
  type: list
  elements: dict
broken:
  description: Names of the EgressIP documents with errors. Their addresses stay where they are.
  returned: success
  type: list
  elements: str
  sample: [egressips-prod]
pooled:
  description: Names of the EgressIP documents that request addresses of a pool.
  returned: success
  type: list
  elements: str
contested:
  description: Names of the EgressIP documents that request an address which another one requests too.
  returned: success
  type: list
  elements: str
namespaces:
  description: Namespace documents, reduced to what the collection uses.
  returned: success
  type: list
  elements: dict
pods:
  description:
    - The Pods, reduced to what the collection uses, as a text for the modules of this collection. The lookup
      P(netops.egress_ip.manifests#lookup) returns them as documents.
    - In a large fleet Ansible copies a text much faster than many values.
  returned: success
  type: str
nodes:
  description: Node documents, reduced to what the collection uses.
  returned: success
  type: list
  elements: dict
invalid:
  description: Documents that cannot be used, with all their errors. Each error begins with the path of the value.
  returned: success
  type: list
  elements: dict
unreadable:
  description: Names of those entries of RV(invalid) that could not be parsed.
  returned: success
  type: list
  elements: str
  sample: ["manifests/web.yml"]
ignored:
  description: Notes on documents of other kinds, which are ignored.
  returned: success
  type: list
  elements: str
engines:
  description:
    - The settings of the engines among the sources, each with C(engine), C(namespace) and C(namespaces).
    - M(netops.egress_ip.node_info) reads the containers of these engines on each host.
  returned: success
  type: list
  elements: dict
  sample: [{engine: podman, namespace: default, namespaces: []}]
network_names:
  description: The networks of containers and virtual machines that annotations of namespaces name.
  returned: success
  type: list
  elements: str
  sample: ["podman:web"]
network_errors:
  description: Errors in these annotations. The documents are used without what has errors.
  returned: success
  type: list
  elements: str
network_faults:
  description: Names of the namespaces with such an error. They keep the networks that nodes have on record.
  returned: success
  type: list
  elements: str
"""
