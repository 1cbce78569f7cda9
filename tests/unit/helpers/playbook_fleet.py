# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks with hosts that do not exist: a module in place of `node` keeps the state of each host in a file.

Everything on the controller is real. A host `nodeN` has the interface `ethN` and the address 10.0.0.N+1.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from forked_ansible import ansible_playbook

COLLECTION = Path(__file__).resolve().parents[3]
LABEL = "k8s.ovn.org/egress-assignable"
# Arguments in the program, and no import that makes Ansible pack it: a start takes a fifth of the time.
NODE = """#!/usr/bin/python
# <<INCLUDE_ANSIBLE_MODULE_JSON_ARGS>>
import json
import os
import sys
import time
from importlib import import_module
from pathlib import Path


def facts(number, state):
    address = f"10.0.{number // 250}.{number % 250 + 1}"
    found = {"interface": f"eth{number}", "endpoints": [address], "addresses": [address], "held": [], "nodes": []}
    found["networks"] = [{"interface": f"eth{number}", "addresses": [f"{address}/16"]}]
    found["generation"], found["macs"] = 0, {f"eth{number}": "02:00:00:00:00:01"}
    if state:
        known = ("egressIP", "interface", "name")
        found["held"] = [{key: item[key] for key in known if key in item} for item in state["held"]]
        names = {ip: each["name"] for each in state["egressips"] for ip in each["egressIPs"]}
        found["held"] = [{"name": names[item["egressIP"]], **item} for item in found["held"]]
        sys.path.insert(0, os.environ["ANSIBLE_COLLECTIONS_PATH"])
        types = import_module("ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.node_state")
        found["digest"], found["generation"] = types.NodeState.from_dict(state).digest(), state["generation"]
    return found


def end(**result):
    print(json.dumps({**result, "invocation": {"module_args": params}}))
    sys.exit()


names = "state observe releasing options mode claim claim_timeout probe_count probe_interval".split()
names += "handover_key failover_key tunnel_secret program program_digest state_json".split()
given = json.loads("<<INCLUDE_ANSIBLE_MODULE_COMPLEX_ARGS>>")
params = dict.fromkeys(names)
for name in given:
    if not name.startswith("_ansible_"):
        assert name in params, name
        params[name] = given[name]
folder = Path(os.environ["EGRESS_IP_TEST_FOLDER"])
with (folder / "calls").open("a") as calls:
    shown = {name: params[name] for name in ("mode", "observe", "options", "claim_timeout")}
    calls.write(json.dumps(shown) + chr(10))
if params["mode"] == "observed":
    number = int(params["observe"]["interface"][3:])
    path = folder / f"node{number}.json"
    time.sleep(float(os.environ.get("EGRESS_IP_TEST_SLOW", "0")) if number == 1 else 0)
    end(**facts(number, json.loads(path.read_text()) if path.exists() else None))
elif params["mode"] == "absent":
    end(changed=True)
state = json.loads(params["state_json"])
path = folder / (state["name"] + ".json")
if not given["_ansible_check_mode"]:
    path.write_text(json.dumps(state))
claimed = [item["egressIP"] for item in state["held"]]
end(changed=True, claimed=claimed, released=[], conflicts=[], connections={})
"""


def egressip(name, *addresses):
    """Return an EgressIP that selects every namespace."""
    spec = {"egressIPs": list(addresses), "namespaceSelector": {}}
    return {"apiVersion": "k8s.ovn.org/v1", "kind": "EgressIP", "metadata": {"name": name}, "spec": spec}


def pod(name, address, node):
    """Return a Pod of the namespace `default`."""
    metadata, status = {"name": name, "namespace": "default"}, {"podIPs": [{"ip": address}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"nodeName": node}, "status": status}


MANIFESTS = [
    egressip("web", "10.0.99.1", "10.0.99.2"),
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}},
    pod("pod1", "10.88.0.2", "node1"),
]


@dataclass(frozen=True)
class Ended:
    """A run: exit code, output, and the lines of the output."""

    code: int
    output: str

    @property
    def lines(self):
        """The lines that are not empty."""
        return [line for line in self.output.splitlines() if line.strip()]


@dataclass
class PlaybookFleet:
    """Hosts `node1` to `nodeN`, below a folder."""

    folder: Path
    count: int = 3
    variables: dict = field(default_factory=lambda: {"egress_ip_manifests": MANIFESTS})

    def __post_init__(self):
        """Take the collection with another module `node` that all fleets share."""
        self.collections = Path(_collections().name)

    def replace(self, name, text):
        """Give a file of the collection another text, for the runs of this fleet."""
        self.collections = self.folder / "collections"
        _lay_out(self.collections, {"plugins/modules/node.py": NODE, name: text})

    def inventory(self, hosts=None):
        """Return the inventory, with further variables {host: {name: value}}."""
        own = {
            f"node{number}": {"egress_ip_interface": f"eth{number}", "egress_ip_labels": {LABEL: ""}}
            for number in range(1, self.count + 1)
        }
        for name, variables in (hosts or {}).items():
            own[name] = {**own[name], **variables}
        common = {"ansible_connection": "local", "ansible_become": False}
        common["ansible_python_interpreter"] = sys.executable
        return {"egress_ip_nodes": {"hosts": own, "vars": {**common, **self.variables}}}

    def play(self, playbook, *words, hosts=None, environment=None):
        """Run a playbook: a name of the collection's, or a path."""
        inventory = self.folder / "inventory.yml"
        inventory.write_text(json.dumps(self.inventory(hosts)))
        name = str(playbook) if "/" in str(playbook) else f"netops.egress_ip.{playbook}"
        argv = ["-i", str(inventory), name, *words]
        own = {
            "ANSIBLE_COLLECTIONS_PATH": str(self.collections),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_LOCALHOST_WARNING": "0",
            "EGRESS_IP_TEST_FOLDER": str(self.folder),
            "PYTHONPATH": "",
        }
        ended = ansible_playbook(argv, self.folder, {**os.environ, **own, **(environment or {})})
        # For pytest, which shows it when the test fails.
        print(f"--- {' '.join(argv[2:])}: {ended.returncode}\n{ended.stdout}{ended.stderr}")
        return Ended(ended.returncode, ended.stdout + ended.stderr)

    def good(self, playbook, *words, **options):
        """Run a playbook that must succeed."""
        ended = self.play(playbook, *words, **options)
        assert ended.code == 0, ended.output
        return ended

    def bad(self, playbook, *words, **options):
        """Run a playbook that must fail."""
        ended = self.play(playbook, *words, **options)
        assert ended.code != 0, ended.output
        return ended

    def calls(self):
        """Return the options of each call of the module `node`, sorted, and forget them."""
        path = self.folder / "calls"
        found = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        path.unlink(missing_ok=True)
        return sorted(found, key=str)


@functools.cache
def _collections():
    """Return the folder of collections of all fleets, which goes with this process."""
    folder = tempfile.TemporaryDirectory()
    _lay_out(Path(folder.name), {"plugins/modules/node.py": NODE})
    return folder


def _lay_out(collections, replaced):
    """Lay out a copy of the collection in links, with some files {name: text} replaced."""
    tree = collections / "ansible_collections/netops/egress_ip"
    _link(COLLECTION, tree)
    for name, text in replaced.items():
        for parent in reversed(Path(name).parents[:-1]):
            if (tree / parent).is_symlink():
                (tree / parent).unlink()
                _link(COLLECTION / parent, tree / parent)
        (tree / name).unlink()
        (tree / name).write_text(text)


def _link(source, target):
    """Fill a folder with links to the entries of another one."""
    target.mkdir(parents=True)
    for entry in source.iterdir():
        if entry.name not in (".git", "__pycache__"):
            (target / entry.name).symlink_to(entry)
