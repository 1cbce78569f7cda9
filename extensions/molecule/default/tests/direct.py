# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Apply states to the nodes, and observe them, without Ansible: the node's program starts on all nodes at once.

A playbook run costs seconds of processor time before it does anything; a test that only needs a known start does not
need one. The program is the one that the module `node` sends along. fleet.py makes the collection importable.
"""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import tarfile
import zipfile

from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.node_state import NodeState
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import files
from ansible_collections.netops.egress_ip.plugins.module_utils._node import zipapp
from lab import Lab
from lab_image import environment

# Outside the folders of which snapshots are taken; a folder, so that Python keeps the compiled files.
FOLDER = "/var/cache/lab-node"
RECORD = "/var/lib/netops-egress-ip/state.json"
# Prints the generation of the node's record, reads the arguments of the module `node`, prints the result.
CALL = f"""
import json, pathlib, sys
sys.path.insert(0, {FOLDER!r})
from netops_egress_ip._node import module as node
record = pathlib.Path({RECORD!r})
print(json.loads(record.read_text())["state"]["generation"] if record.exists() else 0, flush=True)
try:
    print(json.dumps(node.run_module(json.loads(sys.stdin.read()), False)))
except node.EgressIPError as error:
    sys.exit(str(error))
"""
PRESENT = {
    "mode": "present",
    "handover_key": "",
    "tunnel_secret": "",
    "failover_key": "",
    "claim": True,
    "probe_count": 3,
    "probe_interval": 0.1,
    "claim_timeout": 20,
}


def install(lab: Lab, *names: str) -> None:
    """Put the program on these hosts."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(zipapp.make())) as program, tarfile.open(fileobj=stream, mode="w") as archive:
        for name in program.namelist():
            entry, data = tarfile.TarInfo(f"{FOLDER.lstrip('/')}/{name}"), program.read(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    for name in names:
        lab.exec(name, "rm", "-rf", FOLDER)
        # Not `podman cp`: it fails by chance if it has read all files before the archive's padding has arrived.
        argv = lab.host_argv(name, "tar", "--extract", "--directory", "/", "--file", "-")
        subprocess.run(argv, env=environment(), input=stream.getvalue(), check=True)


def recorded(lab: Lab, *names: str) -> dict[str, dict]:
    """Return {node: the arguments of the module `node` that apply the state again that was applied last}."""
    return {name: _recorded(lab, name) for name in names}


def _recorded(lab: Lab, name: str) -> dict:
    key = lab.exec(name, "sh", "-c", f"cat {files.FAILOVER_KEY} 2>/dev/null || true")
    return {"state": json.loads(lab.exec(name, "cat", RECORD))["state"], "failover_key": key}


def digest(arguments: dict) -> str:
    """Return the digest of the state in what `recorded` returned for a node."""
    return NodeState.from_dict(arguments["state"]).digest()


def apply(lab: Lab, arguments: dict[str, dict]) -> str:
    """Apply {node: what `recorded` returned} as a plan newer than any of the nodes'; returns why not, empty if applied.

    A claim waits for the node that has the address to release it, as in a run.
    """
    egress_ips = sorted({item["egressIP"] for own in arguments.values() for item in own["state"]["held"]})
    common = {**PRESENT, "releasing": [{"egressIP": ip, "from": "any other node", "to": ""} for ip in egress_ips]}
    return _problems(_call(lab, {name: {**common, **own} for name, own in arguments.items()}))


def remove(lab: Lab, *names: str) -> str:
    """Take everything of the collection off these nodes, whose record says where it is; returns why not."""
    return _problems(_call(lab, dict.fromkeys(names, {"mode": "absent", "options": {}})))


def answers(lab: Lab, *names: str) -> dict[str, dict]:
    """Return {node: what it answers to a run}, without the fields that differ each time a state is applied."""
    question = {"mode": "observed", "options": {}, "observe": {"platform": "baremetal"}}
    results = _call(lab, dict.fromkeys(names, question))
    return {
        name: {"error": problem, **{key: value for key, value in result.items() if key not in ("generation", "since")}}
        for name, (result, problem) in results.items()
    }


def _problems(results: dict[str, tuple[dict, str]]) -> str:
    """Return what is wrong on the nodes, empty if nothing is."""
    return "; ".join(problem for _result, problem in results.values() if problem)


def _call(lab: Lab, arguments: dict[str, dict]) -> dict[str, tuple[dict, str]]:
    """Run the program on these nodes at once with {node: arguments of the module `node`}.

    Returns {node: (result, what is wrong)}, empty where there is none.
    """
    calls = {
        name: subprocess.Popen(
            lab.host_argv(name, "python3", "-I", "-c", CALL),
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in arguments
    }
    generation = 1 + max(int(call.stdout.readline() or 0) for call in calls.values())
    for name, call in calls.items():
        words = arguments[name]
        if "state" in words:
            words = {**words, "state": {**words["state"], "generation": generation}}
        # A call that has ended early shows why in its result.
        with contextlib.suppress(BrokenPipeError):
            call.stdin.write(json.dumps(words))
            call.stdin.close()
        call.stdin = None
    return {name: _result(name, call) for name, call in calls.items()}


def _result(name: str, call: subprocess.Popen) -> tuple[dict, str]:
    """Return the result of a call and what is wrong with it. Raises RuntimeError if the call is wrong, not the node."""
    output, errors = call.communicate()
    if "Traceback" in errors:
        raise RuntimeError(f"{name}: {errors.strip()}")
    if call.returncode != 0:
        return {}, f"{name}: {errors.strip()}"
    result = json.loads(output)
    return result, f"{name}: {result['conflicts']}" if result["conflicts"] else ""
