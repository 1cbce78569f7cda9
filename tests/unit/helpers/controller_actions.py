# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Actions on the controller without Ansible's executor, and the variables of a small run."""

from __future__ import annotations

from importlib import import_module
from types import SimpleNamespace

from ansible.parsing.dataloader import DataLoader
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.manifests import read_manifests
from node_answers import answer
from setting_sources import task_variables

A, B = "192.168.126.101", "192.168.126.102"


def run_action(name, variables, check_mode=False, **options):
    """Return the result of the action plugin ``name``, which raises as in a task."""
    module = import_module(f"ansible_collections.netops.egress_ip.plugins.action.{name}")
    task = SimpleNamespace(args=options, check_mode=check_mode, async_val=0, diff=False, action=name)
    connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir=None))
    return module.ActionModule(task, connection, None, DataLoader(), None, None).run(task_vars=variables)


def egressip(name, *egress_ips):
    spec = {"egressIPs": list(egress_ips), "namespaceSelector": {}}
    return {"apiVersion": "k8s.ovn.org/v1", "kind": "EgressIP", "metadata": {"name": name}, "spec": spec}


def node(number, *held, **more):
    """Return the variables of a host whose node answers that it holds these egress IPs."""
    facts = answer(number, *held, **{"nodes": "[]", **more})
    return {"egress_ip_labels": {"k8s.ovn.org/egress-assignable": ""}, "egress_ip_node_info": facts}


def run_variables(*documents, **hosts):
    """Return the variables after the settings, the manifests and the facts of the hosts are read."""
    manifests = read_manifests([{"source": "m.yml", "document": each} for each in documents]).to_dict()
    return {**task_variables(**hosts), "egress_ip_manifests_info": manifests, "ansible_forks": 5}


def with_plan(variables, **options):
    """Return these variables with the result of the module `plan`."""
    plan = run_action("plan", variables, hosts=list(variables["hostvars"]), **options)
    return {**variables, "egress_ip_plan": plan}
