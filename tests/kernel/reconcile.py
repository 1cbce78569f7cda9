# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole runs with the encrypted tunnel on the hosts of `ipsec.py`: observe all nodes, plan, apply, and plan again.

It calls what the modules of `reconcile` call. Ansible itself would take an hour on an emulated processor.
"""

from __future__ import annotations

import ast
import functools
import json
import os
import sys
from pathlib import Path

from ipsec import (
    EGRESS_IPS,
    ENDPOINTS,
    LISTENER,
    NEW,
    OLD,
    POD,
    SENDER,
    SERVERS,
    attack,
    build,
    captured,
    ended,
    traffic_of_pod,
)
from namespaces import check, inside, run, start, status_of
from netops_egress_ip._common.text_fields import TEXTS, with_plain_texts
from netops_egress_ip._kubernetes.manifests import read_manifests
from netops_egress_ip._reconcile.run_plan import RunSettings, plan_run

SECRETS = "/var/lib/netops-egress-ip/tunnel.secrets.json"
QUESTION = {"mode": "observed", "options": {}, "observe": {"platform": "baremetal"}}
HOST = {
    "address": None,
    "capacity": None,
    "networks": [],
    "follow": [],
    "follow_kubeconfig": "",
    "drain": False,
    "platform": "baremetal",
    "fence": "",
    "failover": {},
    "variables": {},
}
# Receives until the connection ends.
SINK = """
import socket
server = socket.create_server(("::", 7100), family=socket.AF_INET6, dualstack_ipv6=True)
print("ready", flush=True)
connection, _peer = server.accept()
while connection.recv(1 << 20):
    pass
"""
SOURCE = """
import socket, sys
with socket.create_connection((sys.argv[1], 7100)) as sock:
    for _megabyte in range(int(sys.argv[2])):
        sock.sendall(bytes(1_000_000))
    sock.shutdown(socket.SHUT_WR)
    sock.recv(1)
"""
MEGABYTES = 4


@functools.cache
def program(name: str):
    """The program `node.py` of a node."""
    return start(name, Path(__file__).with_name("node.py").read_text(encoding="utf-8"))


def module(name: str, **options: object) -> dict:
    """Call the module `node` of a node; returns its result."""
    process = program(name)
    process.stdin.write(json.dumps(options) + "\n")
    process.stdin.flush()
    result = json.loads(process.stdout.readline())
    if result.get("failed"):
        raise RuntimeError(f"{name}: {result['msg']}")
    return result


def documents() -> list[dict]:
    """The manifests: an object with both egress IPs for the pod on node2."""
    pod = {"metadata": {"name": "web", "namespace": "web"}, "spec": {"nodeName": "node2"}}
    objects = [
        {"metadata": {"name": f"ipv{v}"}, "spec": {"egressIPs": [ip], "namespaceSelector": {}}}
        for v, ip in EGRESS_IPS.items()
    ]
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "web"}},
        {"apiVersion": "v1", "kind": "Pod", **pod, "status": {"podIPs": [{"ip": ip} for ip in POD]}},
        *({"apiVersion": "k8s.ovn.org/v1", "kind": "EgressIP", **each} for each in objects),
    ]


def facts(name: str) -> dict:
    """The answer of a node, as the controller reads it."""
    answer = with_plain_texts(module(name, **QUESTION))
    return {**answer, **{field: json.loads(answer[field]) for field in TEXTS if field in answer}}


def planned(secret: str) -> dict:
    """The rollout of a run, with an encrypted tunnel if there is a secret."""
    manifests = read_manifests([{"source": "kernel", "document": each} for each in documents()]).to_dict()
    labels = {"node1": {"k8s.ovn.org/egress-assignable": ""}, "node2": {}}
    hosts = [{**HOST, "name": name, "labels": labels[name], "observed": facts(name)} for name in ENDPOINTS]
    settings = RunSettings(min_available=1, excluded_cidrs=["10.88.0.0/16", "fd00:88::/64"], tunnel_secret=secret)
    made = plan_run(hosts, manifests, settings, {"tunnel_encryption": "ipsec"} if secret else {})
    if made.stop_reasons or made.fleet["faulty"]:
        raise RuntimeError(f"{made.stop_reasons} {made.fleet['faulty']}")
    return made.rollout


def reconcile(secret: str = "") -> list[str]:
    """Carry out a run; returns the nodes that it changed."""
    rollout = planned(secret)
    for name in rollout["differing"]:
        module(
            name,
            mode="present",
            state=rollout["states"][name],
            releasing=rollout["releasing"],
            handover_key="",
            claim=True,
            claim_timeout=20,
            probe_count=3,
            probe_interval=0.1,
            tunnel_secret=secret,
            failover_key="",
        )
    return list(rollout["differing"])


def changed(what: str, secret: str = "") -> bool:
    """Carry out a run that must change both nodes."""
    return check(f"{what}: changed", reconcile(secret), [*ENDPOINTS])


def settled(what: str, secret: str = "") -> bool:
    """Carry out a run that must change nothing."""
    return check(f"{what}: a further run changes", reconcile(secret), [])


def rotation() -> list[bool]:
    """Replace the secret by three runs while datagrams flow."""
    listeners = {v: start("server", LISTENER, f"700{v}") for v in SERVERS}
    senders = {v: start("pod", SENDER, SERVERS[v], f"700{v}") for v in SERVERS}
    results = [changed(f"replacement of the secret, run {number}", NEW) for number in (1, 2, 3)]
    sent = {v: int(ended(sender)) for v, sender in senders.items()}
    run("sleep", "1")
    seen = {v: ast.literal_eval(ended(listener)) for v, listener in listeners.items()}
    return results + [check(f"replacement, IPv{v}: datagrams", seen[v], {EGRESS_IPS[v]: sent[v]}) for v in SERVERS]


def secrets_of(what: str, wanted: list[str]) -> list[bool]:
    """Compare the mode and the content of the file with the secrets of each node."""
    found = []
    for name in ENDPOINTS:
        folder = f"/proc/{program(name).pid}/root"
        file = Path(folder + SECRETS)
        mode, known = oct(file.stat().st_mode)[-3:], [*json.loads(file.read_text(encoding="utf-8")).values()]
        record = Path(f"{folder}/var/lib/netops-egress-ip/state.json").read_text(encoding="utf-8")
        leaks = [secret for secret in (OLD, NEW) if secret in record]
        shown = f"{what}, {name}: mode, secrets, those on record"
        found.append(check(shown, (mode, known, leaks), ("600", wanted, [])))
    return found


def measured(what: str) -> None:
    """Print the processor time that a gigabyte from the pod to the server takes, in all programs and the kernel."""
    for version, address in SERVERS.items():
        sink = start("server", SINK)
        before = busy()
        inside("pod", sys.executable, "-c", SOURCE, address, str(MEGABYTES))
        sink.wait(timeout=600)
        print(f"MEASURED {what}, IPv{version}: {(busy() - before) * 1000 / MEGABYTES:.1f} s of a processor a gigabyte")


def busy() -> float:
    """The seconds that all processors have worked."""
    user, nice, system, _idle, _wait, hard, soft, *_rest = Path("/proc/stat").read_text("ascii").split()[1:11]
    return sum(map(int, (user, nice, system, hard, soft))) / os.sysconf("SC_CLK_TCK")


def checks() -> list[bool]:
    """All checks in order."""
    good = [changed("plain"), *captured("plain", {"vxlan"}, lambda: traffic_of_pod("plain")), settled("plain")]
    measured("plain")
    good += [changed("encrypted", OLD), *captured("encrypted", {"esp"}, lambda: traffic_of_pod("encrypted"))]
    good += [settled("encrypted", OLD), attack("encrypted by a run", {}), *secrets_of("encrypted", [OLD])]
    measured("encrypted")
    good += [*rotation(), *captured("with the new secret", {"esp"}, lambda: traffic_of_pod("with the new secret"))]
    good += [settled("with the new secret", NEW), *secrets_of("with the new secret", [NEW])]
    good += [changed("plain again"), *captured("plain again", {"vxlan"}, lambda: traffic_of_pod("plain again"))]
    return good


def main() -> int:
    """Build and check; 1 if a check fails."""
    run("ip", "-all", "netns", "delete")
    build()
    return status_of(checks)


if __name__ == "__main__":
    sys.exit(main())
