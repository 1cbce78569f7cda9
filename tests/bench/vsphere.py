# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure the audit of 300 nodes in port groups of 1,000 VMs, against the test vCenter and the audit of one node.

Prints seconds and requests; exits with 1 if an audit takes 5 s or longer, or more than 60 requests.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/vcenter"))
from vcenter import VCenter, build, running  # noqa: E402

VMS, NODES = 1000, 300
MOST_SECONDS, MOST_REQUESTS = 5.0, 60
GROUPS = {"distributed": (), "standard": ("-network", "VM Network")}
PORT = {"forged_transmits": True}
AUDITS = {
    "ports": ("vsphere_port_info", {}),
    "ports, VMs that share them": ("vsphere_port_info", {"shared_with": True}),
    "port groups": ("vsphere_port_security", {"scope": "portgroup", "security": PORT}),
}


def audit(vcenter: VCenter, module: str, count: int, options: dict) -> tuple[float, int]:
    """Run a module in check mode for some VMs, in a process of its own; return seconds and requests."""
    vms = [{"name": f"fleet{number}"} for number in range(1, count + 1)]
    arguments = {"ANSIBLE_MODULE_ARGS": {**vcenter.options(vms=vms, **options), "_ansible_check_mode": True}}
    environment = {**os.environ, "SSL_CERT_FILE": str(vcenter.certificate), "PYTHONPATH": str(ROOT / ".build")}
    words = [sys.executable, "-m", f"ansible_collections.netops.egress_ip.plugins.modules.{module}"]
    vcenter.journal()
    start = time.monotonic()
    done = subprocess.run(
        words, input=json.dumps(arguments), env=environment, capture_output=True, text=True, check=False
    )
    seconds = time.monotonic() - start
    if done.returncode:
        raise RuntimeError(f"{module} fails: {done.stdout}{done.stderr}")
    return seconds, len(vcenter.journal())


def main() -> int:
    """Measure all; 1 if a bound is missed."""
    missed = 0
    print(f"Audit of {NODES} nodes among {VMS} VMs, and of one node")
    print("port groups   audit                          s   requests | one node: s  requests", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        program = build(Path(folder))
        for name, network in GROUPS.items():
            with running(program, Path(folder, "ca.pem"), "-fleet", str(VMS), *network) as vcenter:
                for title, (module, options) in AUDITS.items():
                    one, few = audit(vcenter, module, 1, options)
                    seconds, requests = audit(vcenter, module, NODES, options)
                    missed += seconds >= MOST_SECONDS or requests > MOST_REQUESTS
                    print(f"{name:13} {title:27} {seconds:4.2f} {requests:10} | {one:11.2f} {few:9}", flush=True)
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
