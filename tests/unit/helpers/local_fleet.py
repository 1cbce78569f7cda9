# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts for playbooks on this machine: each in a network namespace of its own, its files read-only.

Ansible reaches them without ssh: the Python interpreter of a host is a script that enters its namespaces. So `plan`,
`status` and `reconcile --check` run the real code on a real kernel; a run that changes hosts needs the lab.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[3]
_NETWORK = "192.168.126.{number}/18"
# Not that of a virtual environment, which may be below /tmp: the hosts have another /tmp.
_PYTHON = os.path.realpath(sys.executable)
_LABELS = {"k8s.ovn.org/egress-assignable": ""}
_START = """
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /run
# Where systemd runs, it is there.
mkdir -p /run/systemd/system
mount -o remount,ro,bind /
ip link set lo up
ip link add eth0 type veth peer name wire
ip link set wire up
ip link set eth0 up
ip address add {address} dev eth0
ip route add default via 192.168.64.1
echo ready
exec sleep infinity
"""


@contextlib.contextmanager
def local_fleet(folder, number=3, python=_PYTHON):
    """Start hosts node1 to nodeN; yields their inventory as a dictionary. `python` runs the modules on them."""
    with contextlib.ExitStack() as stack:
        hosts = {f"node{index}": _host(stack, folder, index, python) for index in range(1, number + 1)}
        yield {"egress_ip_nodes": {"hosts": hosts}}


def _host(stack, folder, index, python):
    """Start one host; return its variables in the inventory."""
    address = _NETWORK.format(number=20 + index)
    words = ("unshare", "--net", "--mount", "sh", "-c", _START.format(address=address))
    process = stack.enter_context(subprocess.Popen(words, stdout=subprocess.PIPE, text=True))
    stack.callback(process.kill)
    assert process.stdout.readline() == "ready\n", "a network namespace is needed: run the tests as root"
    script = Path(folder, f"python-of-node{index}")
    script.write_text(f'#!/bin/sh\nexec nsenter --target {process.pid} --net --mount -- {python} "$@"\n')
    script.chmod(0o755)
    return {
        "ansible_connection": "local",
        "ansible_host": address.partition("/")[0],
        "ansible_pipelining": True,
        "ansible_python_interpreter": str(script),
        "egress_ip_labels": _LABELS,
        "egress_ip_platform": "baremetal",
    }


def write_inventory(folder, inventory):
    """Write the inventory as a file; return its path."""
    path = Path(folder, "inventory.yml")
    path.write_text(yaml.safe_dump(inventory, sort_keys=False), encoding="utf-8")
    return path


def environment(**more):
    """Return the environment of an Ansible command of the tests: the collection, no colours, warnings shown."""
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        # The tests run in the collection's copy, below ansible_collections.
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT.parents[2]),
        "ANSIBLE_DEPRECATION_WARNINGS": "1",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_RETRY_FILES_ENABLED": "0",
        "ANSIBLE_STDOUT_CALLBACK": "default",
        "PYTHONPATH": "",
        **more,
    }


def pods(number, nodes, namespaces=20):
    """Return documents as `kubectl get -o json` prints them: namespaces with the label env: prod, and pods."""
    spaces = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"team-{index}", "labels": {"env": "prod"}}}
        for index in range(namespaces)
    ]
    return spaces + [_pod(index, f"node{index % nodes + 1}", f"team-{index % namespaces}") for index in range(number)]


def _pod(index, node, namespace):
    address = f"10.{88 + (index >> 16)}.{index >> 8 & 255}.{index & 255}"
    name = f"web-{index:05}-7c9d8f6b5-x2v4q"
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"00000000-0000-0000-0000-{index:012}",
            "labels": {"app": "web", "pod-template-hash": "7c9d8f6b5", "app.kubernetes.io/instance": f"web-{index}"},
        },
        "spec": {"nodeName": node, "containers": [{"name": "web", "image": "registry.example.com/web:1"}]},
        "status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]},
    }


def egressips(number, addresses=2):
    """Return EgressIP documents for the namespaces of `pods`."""
    texts = iter(f"192.168.{100 + index // 250}.{index % 250 + 1}" for index in range(number * addresses))
    return [
        {
            "apiVersion": "k8s.ovn.org/v1",
            "kind": "EgressIP",
            "metadata": {"name": f"object-{index}"},
            "spec": {
                "egressIPs": [next(texts) for _number in range(addresses)],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": f"team-{index}"}},
            },
        }
        for index in range(number)
    ]


def write_manifests(folder, documents):
    """Write the documents as one file of kubectl; return its path."""
    path = Path(folder, "manifests.json")
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": documents}), encoding="utf-8")
    return path
