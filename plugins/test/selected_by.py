# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: selected_by
author:
  - The netops.egress_ip authors (@netops)
short_description: Test whether a label selector selects a pod
description:
  - Applies a Kubernetes label selector to the labels of a pod, or of any other object that has labels.
  - The empty selector selects everything.
options:
  _input:
    description: A document with labels under C(metadata), such as a Pod or a Namespace, or the labels themselves.
    type: dict
    required: true
  selector:
    description: A label selector with C(matchLabels), C(matchExpressions), both or neither.
    type: dict
    required: true
seealso:
  - plugin: netops.egress_ip.select_pods
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Pick the web pods of the production stages
  ansible.builtin.debug:
    msg: "{{ pods | select('netops.egress_ip.selected_by', selector) | map(attribute='metadata.name') }}"
  vars:
    selector:
      matchLabels:
        app: web
      matchExpressions:
        - key: stage
          operator: In
          values: [prod, preprod]

- name: Test labels
  ansible.builtin.assert:
    that: "{'app': 'web'} is netops.egress_ip.selected_by({'matchLabels': {'app': 'web'}})"
"""

RETURN = r"""
_value:
  description: Whether the selector selects the labels.
  type: bool
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import EgressIPError
from ansible_collections.netops.egress_ip.plugins.module_utils._common.selectors import Selector, parse_labels


def _selected_by(pod: object, selector: object) -> bool:
    try:
        return Selector.from_dict(selector, "selector").matches(_labels_of(pod))
    except EgressIPError as error:
        raise AnsibleFilterError(f"netops.egress_ip.selected_by: {error}") from error


def _labels_of(pod: object) -> dict[str, str]:
    """Return the labels of a document, or the labels themselves: their values are never mappings."""
    if isinstance(pod, Mapping) and isinstance(pod.get("metadata"), Mapping):
        labels = pod["metadata"].get("labels")
        return {} if labels is None else parse_labels(labels, "metadata.labels")
    return parse_labels(pod, "labels")


class TestModule:
    """Test plugin."""

    def tests(self) -> dict[str, Callable[..., Any]]:
        """Return the test by its name."""
        return {"selected_by": _selected_by}
