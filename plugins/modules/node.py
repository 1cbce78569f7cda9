#!/usr/bin/python
# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: node
author:
  - The netops.egress_ip authors (@netops)
short_description: Apply the egress IP state of a node
description:
  - Applies the state of one node, as M(netops.egress_ip.plan) computes it, to a host. That is
    the tunnel device, marks, policy routing rules and tables, two nftables tables, the egress IPs that the node holds,
    and a program with systemd units that restore all this at boot and release addresses that another node took
    meanwhile.
  - Reads the host first and changes only what differs, with one C(ip -batch) for each IP version and one nftables
    transaction. Then it reads the host again. If the host differs from the applied state, it gets its former data plane
    back.
  - Releases addresses before it claims others. It claims an address only if no other host answers for it (an ARP probe
    as in RFC 5227 with shorter intervals, or a neighbour solicitation). An address for which another host answers is
    listed under RV(conflicts); the task does not fail because of it.
  - Changes only its own nftables tables C(egress_ip), its tunnel device, rules, routes and neighbours with protocol
    C(225), the addresses that it added, and sysctls such as C(net.ipv4.ip_forward), which get their former values with
    O(mode=absent).
options:
  state:
    description:
      - The desired state of the node, as M(netops.egress_ip.plan) returns it - the fields that nodes share and its own.
      - Required with O(mode=present).
    type: dict
  mode:
    description:
      - V(present) applies O(state). V(absent) removes everything that this collection put on the host.
      - V(observed) changes nothing and returns the result of M(netops.egress_ip.node_info), which runs this module.
    type: str
    choices: [present, absent, observed]
    default: present
  observe:
    description: The options of M(netops.egress_ip.node_info) other than C(options). Only for O(mode=observed).
    type: dict
    default: {}
    suboptions:
      interface:
        description: The interface for the egress IPs.
        type: str
        default: ""
      platform:
        description: The platform of the host.
        type: str
        default: auto
      platforms:
        description: Platforms that have a role, each with the signs by which a host detects it.
        type: list
        elements: dict
        default: []
      recall:
        description: Names of EgressIP objects whose record to return.
        type: list
        elements: str
        default: []
      networks:
        description: Networks of containers and VMs whose addresses to return.
        type: list
        elements: str
        default: []
      follow:
        description: Engines whose pods are to be followed.
        type: list
        elements: str
        default: []
      engines:
        description: Engines whose containers or virtual machines to return.
        type: list
        elements: str
        choices: [podman, docker, libvirt]
        default: []
      metrics:
        description: Whether to return metrics.
        type: bool
        default: false
      probe:
        description: Whether to probe for other holders of the addresses that the node holds.
        type: bool
        default: false
  releasing:
    description:
      - Egress IPs that nodes release in the same run, as M(netops.egress_ip.plan) returns them.
      - A claim of one of these waits up to O(claim_timeout) until no host answers for it; the first answer is not a
        conflict yet.
    type: list
    elements: dict
    default: []
    suboptions:
      egressIP:
        description: The address.
        type: str
        required: true
      from:
        description: The node that releases it.
        type: str
        required: true
      to:
        description: The node that claims it, empty if no node does.
        type: str
        default: ""
  handover_key:
    description:
      - A secret that all nodes of a run share. With it, the node that releases an egress IP waits some seconds for the
        one that claims it and sends it the connections, which then continue. The nodes communicate over TCP, on the
        port of the tunnel, from one tunnel endpoint to the other.
      - An address whose new holder does not connect within 10 seconds is not released, and listed under
        RV(unreleased).
      - Only for a run that reaches all nodes at the same time; otherwise, one node would wait for the other without
        success.
    type: str
    default: ""
  tunnel_secret:
    description:
      - The secret of the fleet from which the keys of an encrypted tunnel follow, the same for M(netops.egress_ip.plan)
        and all nodes. Only while C(tunnel_encryption) in the options of O(state) is C(ipsec).
      - The node keeps it in a file that only root can read, and returns it nowhere.
    type: str
    default: ""
  failover_key:
    description:
      - The secret that M(netops.egress_ip.plan) got in the same run, with which the nodes of a fleet with failover call
        each other. The node keeps it in a file that only root can read, if the plan uses it, and returns it nowhere.
    type: str
    default: ""
  claim:
    description:
      - Whether to claim new addresses. With V(false), everything else is done, including releases. For runs with more
        nodes than they can change at the same time.
    type: bool
    default: true
  claim_timeout:
    description: How long to wait for an address in O(releasing), in seconds.
    type: float
    default: 20
  probe_count:
    description: Number of unanswered probes before an address is claimed.
    type: int
    default: 3
  probe_interval:
    description: Seconds between two probes.
    type: float
    default: 0.1
  options:
    description:
      - Names and numbers of the data plane, for O(mode=observed), and for O(mode=absent) on a host without a record.
      - The same keys as C(options) in O(state).
    type: dict
    default: {}
  state_json:
    description:
      - The content of O(state) as JSON, which is not logged.
      - The action plugin of this collection sets it from O(state); leave it out.
    type: str
    default: ""
  program:
    description:
      - The program that runs on the node, a zip file of Python sources, compressed and in base64.
      - The action plugin of this collection sets it; leave it out.
    type: str
    default: ""
  program_digest:
    description:
      - The SHA-256 digest of the program. If the node has this program already, O(program) is not needed.
      - The action plugin of this collection sets it; leave it out.
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
- name: Apply the plan to every node
  netops.egress_ip.node:
    state: "{{ egress_ip_plan.rollout.shared | combine(egress_ip_plan.rollout.states[inventory_hostname]) }}"
    releasing: "{{ egress_ip_plan.rollout.releasing }}"

- name: Remove everything of the collection from the host
  netops.egress_ip.node:
    mode: absent
"""

RETURN = r"""
held:
  description: The egress IPs that the node holds now, or in check mode would hold.
  returned: success
  type: list
  elements: dict
  sample: [{egressIP: 192.168.126.10, interface: eth0}]
claimed:
  description: The egress IPs that were claimed in this run.
  returned: success
  type: list
  elements: str
  sample: [192.168.126.10]
connections:
  description: The number of connections that came with the egress IPs that another node handed over.
  returned: success
  type: dict
  sample: {192.168.126.10: 3}
released:
  description: The egress IPs that were released in this run.
  returned: success
  type: list
  elements: str
  sample: []
unreleased:
  description:
    - The egress IPs that the node keeps although another node was to claim them, because that node did not connect to
      take their connections. See O(handover_key).
  returned: success
  type: list
  elements: str
  sample: []
conflicts:
  description: The egress IPs that were not claimed, because another host answers for them, with its MAC address.
  returned: success
  type: list
  elements: dict
  sample: [{egressIP: 192.168.126.102, interface: eth0, mac: "52:54:00:12:34:56"}]
"""

import base64
import contextlib
import fcntl
import hashlib
import importlib
import io
import json
import os
import shlex
import shutil
import stat
import sys
import tempfile
import zipfile
import zlib
from pathlib import Path
from types import ModuleType
from typing import IO

from ansible.module_utils.basic import AnsibleModule

# As in the program itself, which is not loaded yet.
_PROGRAM_FILE = Path("/usr/local/lib/netops-egress-ip/node.pyz")
# Where a node keeps the program compiled until it boots; the digest of the program follows. As above.
_SOURCES = "/run/netops-egress-ip.program."
_OBSERVE = {
    "interface": {"type": "str", "default": ""},
    "platform": {"type": "str", "default": "auto"},
    "platforms": {"type": "list", "elements": "dict", "default": []},
    "recall": {"type": "list", "elements": "str", "default": []},
    "networks": {"type": "list", "elements": "str", "default": []},
    "follow": {"type": "list", "elements": "str", "default": []},
    "engines": {"type": "list", "elements": "str", "choices": ["podman", "docker", "libvirt"], "default": []},
    "metrics": {"type": "bool", "default": False},
    "probe": {"type": "bool", "default": False},
}
_RELEASE = {
    "egressIP": {"type": "str", "required": True},
    "from": {"type": "str", "required": True},
    "to": {"type": "str", "default": ""},
}
_OPTIONS = {
    "state": {"type": "dict"},
    "mode": {"type": "str", "choices": ["present", "absent", "observed"], "default": "present"},
    "observe": {"type": "dict", "default": {}, "options": _OBSERVE, "apply_defaults": True},
    "releasing": {"type": "list", "elements": "dict", "default": [], "options": _RELEASE},
    "handover_key": {"type": "str", "default": "", "no_log": True},
    "tunnel_secret": {"type": "str", "default": "", "no_log": True},
    "failover_key": {"type": "str", "default": "", "no_log": True},
    "claim": {"type": "bool", "default": True},
    "claim_timeout": {"type": "float", "default": 20},
    "probe_count": {"type": "int", "default": 3},
    "probe_interval": {"type": "float", "default": 0.1},
    "options": {"type": "dict", "default": {}},
    "state_json": {"type": "str", "default": "", "no_log": True},
    "program": {"type": "str", "default": "", "no_log": True},
    "program_digest": {"type": "str", "default": ""},
}


def main() -> None:
    module = AnsibleModule(
        argument_spec=_OPTIONS,
        required_if=[("mode", "present", ["state"])],
        supports_check_mode=True,
    )
    program, digest = module.params.pop("program"), module.params.pop("program_digest")
    state_json = module.params.pop("state_json")
    params = {**module.params, **({"state": json.loads(state_json)} if state_json else {})}
    if not program and not digest:
        module.fail_json(msg="program: must not be empty; run the task with the action plugin of this collection")
    content = zlib.decompress(base64.b64decode(program)) if program else b""
    sources = Path(_SOURCES + (hashlib.sha256(content).hexdigest() if content else digest))
    lock = _lock(sources)
    if not lock:
        content = content or _installed(digest)
        if not content:
            # The action plugin sends it then.
            module.exit_json(program_missing=True)
        lock = _keep(sources, content)
    if lock:
        _note_interpreter(sources)
    with lock or contextlib.nullcontext(), tempfile.TemporaryDirectory(prefix="netops-egress-ip-") as folder:
        node = _load(sources if lock else _copy(content, folder))
        try:
            result = node.run_module(params, module.check_mode)
        except node.EgressIPError as error:
            module.fail_json(msg=str(error))
    # A state and a difference may be large, and AWX stores them with each result.
    if not module._diff:
        result.pop("diff", None)
    state = {key: (params["state"] or {}).get(key) for key in ("name", "generation")}
    module.exit_json(invocation={"module_args": {**params, "state": state}}, **result)


def _installed(digest: str) -> bytes:
    """Return the program that an earlier run left on this node, empty if it is another one or missing."""
    try:
        content = _PROGRAM_FILE.read_bytes()
    except OSError:
        return b""
    return content if hashlib.sha256(content).hexdigest() == digest else b""


def _lock(sources: Path) -> IO[bytes] | None:
    """Return a file that keeps the folder in place while it is open, None without a folder that only root can change.

    Another call may remove the program or install another one meanwhile, also the same one again.
    """
    with contextlib.suppress(OSError):
        found = sources.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not stat.S_IMODE(found.st_mode) & 0o077:
            file = (sources / "lock").open("rb+")
            fcntl.lockf(file, fcntl.LOCK_SH)
            if os.path.samestat(os.fstat(file.fileno()), (sources / "lock").stat()):
                return file
    return None


def _keep(sources: Path, content: bytes) -> IO[bytes] | None:
    """Unpack the program into its folder, unless another call has done so; return its lock, None if it cannot be kept.

    Python compiles a zip file in each call, which takes most of the time of one; of files it keeps what it compiled.
    """
    new = Path(f"{sources}.{os.getpid()}")
    with contextlib.suppress(OSError):
        new.mkdir(mode=0o700)
        (new / "lock").touch()
        # What a killed call leaves is not locked: the next removal takes it.
        lock = _lock(new)
        if lock:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                archive.extractall(new)
            new.rename(sources)
            return lock
    shutil.rmtree(new, ignore_errors=True)
    return _lock(sources)


def _note_interpreter(sources: Path) -> None:
    """Write how a call without this module, which only observes, starts the program, unless it is written already."""
    path, new = sources / "observe", sources / f"observe.{os.getpid()}"
    text = f"exec {shlex.quote(sys.executable)} -I {shlex.quote(str(sources))} observe\n"
    with contextlib.suppress(OSError):
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            new.write_text(text, encoding="utf-8")
            new.rename(path)


def _copy(content: bytes, folder: str) -> Path:
    # The run may replace or remove the installed file, and later imports need it.
    path = Path(folder, "node.pyz")
    path.write_bytes(content)
    return path


def _load(program: Path) -> ModuleType:
    sys.path.insert(0, str(program))
    return importlib.import_module("netops_egress_ip._node.module")


if __name__ == "__main__":
    main()
