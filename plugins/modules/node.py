#!/usr/bin/python
# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: node
author:
  - The netops.egress_ip authors (@netops)
short_description: Make a host what a plan says it should be
description:
  - Applies the state of one node, as the filter P(netops.egress_ip.node_state#filter) computes it, to a host. That is
    the tunnel device, marks, policy routing rules and tables, our two nftables tables, the egress IPs that the node
    holds, and a small program with systemd units that bring all this back at boot and release what was lost while away.
  - Reads first. What differs is changed with one C(ip -batch) and one nftables transaction, then read again. When
    that does not show what was applied, the host gets its former data plane back.
  - Gives up addresses before it takes others. An address is taken only after the wire stayed silent (an ARP probe as
    in RFC 5227, only quicker). If somebody answers, the address is left alone and listed under RV(conflicts); the task
    does not fail for that.
  - Touches nothing but its own nftables tables C(egress_ip), its tunnel device, rules, routes and neighbours with
    protocol C(225), the addresses it put there, and C(net.ipv4.ip_forward), whose former value comes back with
    O(mode=absent).
options:
  state:
    description:
      - What the node should be, as the filter P(netops.egress_ip.node_state#filter) returns it.
      - Required with O(mode=present).
    type: dict
  mode:
    description:
      - Whether the node takes part, or everything of ours is removed from it.
      - With V(observed) nothing is changed, and the result is that of M(netops.egress_ip.node_info), which runs this
        module.
    type: str
    choices: [present, absent, observed]
    default: present
  look:
    description: The options of M(netops.egress_ip.node_info), all but C(options). Only for O(mode=observed).
    type: dict
    default: {}
    suboptions:
      interface:
        description: The interface for the egress IPs.
        type: str
        default: ""
      platform:
        description: What the host runs on.
        type: str
        default: auto
      recall:
        description: Names of EgressIP objects of which the record is wanted.
        type: list
        elements: str
        default: []
      metrics:
        description: Whether metrics are wanted.
        type: bool
        default: false
      probe:
        description: Whether it is wanted who else answers for what the node holds.
        type: bool
        default: false
  releasing:
    description:
      - Egress IPs that nodes give up in the same run, as the filter P(netops.egress_ip.node_state#filter) returns them.
      - A claim of one of these waits for silence on the wire, up to O(claim_timeout), instead of taking the first
        answer for a conflict.
    type: list
    elements: dict
    default: []
    suboptions:
      egressIP:
        description: The address.
        type: str
        required: true
      from:
        description: The node that gives it up.
        type: str
        required: true
      to:
        description: The node that takes it, empty if none does.
        type: str
        default: ""
  handover_key:
    description:
      - A secret that all nodes of a run share. With it, the node that gives up an egress IP waits some seconds for the
        one that takes it, and tells it the connections, which then go on. They talk over TCP, on the port of the
        tunnel, from one tunnel endpoint to the other.
      - Only for a run that reaches all nodes at once, or the one would wait for the other in vain.
    type: str
    default: ""
  claim:
    description:
      - Whether new addresses are taken. With V(false) everything else is done, releases among it; for runs that touch
        more nodes than they can at once.
    type: bool
    default: true
  claim_timeout:
    description: How long to wait for an address in O(releasing), in seconds.
    type: float
    default: 20
  probe_count:
    description: How many probes must stay without an answer before an address is taken.
    type: int
    default: 3
  probe_interval:
    description: Seconds between two probes.
    type: float
    default: 0.1
  options:
    description:
      - Names and numbers of the data plane, used with O(mode=observed), and with O(mode=absent) on a host that has no
        record of its own.
      - The same keys as C(options) in O(state).
    type: dict
    default: {}
  program:
    description:
      - What runs on the node, a zip file of Python sources, compressed and in base64.
      - The action plugin of this collection sends it along; leave it out.
    type: str
    default: ""
extends_documentation_fragment:
  - netops.egress_ip.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
seealso:
  - module: netops.egress_ip.node_info
"""

EXAMPLES = r"""
- name: Make every node what the plan says
  netops.egress_ip.node:
    state: "{{ egress_ip_rollout.states[inventory_hostname] }}"
    releasing: "{{ egress_ip_rollout.releasing }}"

- name: Take everything of ours off the host
  netops.egress_ip.node:
    mode: absent
"""

RETURN = r"""
held:
  description: The egress IPs that the node holds now, or would hold.
  returned: success
  type: list
  elements: dict
  sample: [{egressIP: 192.168.126.10, interface: eth0}]
claimed:
  description: The egress IPs that were taken in this run.
  returned: success
  type: list
  elements: str
  sample: [192.168.126.10]
connections:
  description: How many connections came along with the egress IPs that another node handed over.
  returned: success
  type: dict
  sample: {192.168.126.10: 3}
released:
  description: The egress IPs that were given up in this run.
  returned: success
  type: list
  elements: str
  sample: []
conflicts:
  description: The egress IPs that were not taken, since somebody answers for them.
  returned: success
  type: list
  elements: dict
  sample: [{egressIP: 192.168.126.102, interface: eth0, mac: "52:54:00:12:34:56"}]
"""

import base64
import importlib
import sys
import tempfile
import zlib
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

_LOOK = {
    "interface": {"type": "str", "default": ""},
    "platform": {"type": "str", "default": "auto"},
    "recall": {"type": "list", "elements": "str", "default": []},
    "metrics": {"type": "bool", "default": False},
    "probe": {"type": "bool", "default": False},
}
_RELEASE = {
    "egressIP": {"type": "str", "required": True},
    "from": {"type": "str", "required": True},
    "to": {"type": "str", "default": ""},
}


def main():
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "dict"},
            "mode": {"type": "str", "choices": ["present", "absent", "observed"], "default": "present"},
            "look": {"type": "dict", "default": {}, "options": _LOOK, "apply_defaults": True},
            "releasing": {"type": "list", "elements": "dict", "default": [], "options": _RELEASE},
            "handover_key": {"type": "str", "default": "", "no_log": True},
            "claim": {"type": "bool", "default": True},
            "claim_timeout": {"type": "float", "default": 20},
            "probe_count": {"type": "int", "default": 3},
            "probe_interval": {"type": "float", "default": 0.1},
            "options": {"type": "dict", "default": {}},
            "program": {"type": "str", "default": "", "no_log": True},
        },
        required_if=[("mode", "present", ["state"])],
        supports_check_mode=True,
    )
    params = module.params
    program = params.pop("program")
    if not program:
        module.fail_json(msg="program: is missing; run the task with the action plugin of this collection")
    with tempfile.TemporaryDirectory(prefix="netops-egress-ip-") as folder:
        node = _load(program, folder)
        try:
            result = node.answer(params, module.check_mode)
        except node.EgressIPError as error:
            module.fail_json(msg=str(error))
    # A state and a difference may be large, and AWX would keep them with each result.
    if not module._diff:
        result.pop("diff", None)
    state = {key: (params["state"] or {}).get(key) for key in ("name", "generation")}
    module.exit_json(invocation={"module_args": {**params, "state": state}}, **result)


def _load(program, folder):
    path = Path(folder, "node.pyz")
    path.write_bytes(zlib.decompress(base64.b64decode(program)))
    sys.path.insert(0, str(path))
    return importlib.import_module("netops_egress_ip._node.module")


if __name__ == "__main__":
    main()
