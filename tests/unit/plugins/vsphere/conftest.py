# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A vCenter for the tests: the Go program of tests/vcenter/, built once, started anew for each test."""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module
from pathlib import Path

import pytest
from ansible.module_utils import _internal
from ansible.module_utils.common import warnings
from ansible.module_utils.testing import patch_module_args
from forked_ansible import ansible_playbook

ROOT = Path(__file__).resolve().parents[4]
sys.path.insert(0, str(ROOT / "tests/vcenter"))

from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere import session  # noqa: E402
from vcenter import build, running  # noqa: E402

MODULES = "ansible_collections.netops.egress_ip.plugins.modules"


@pytest.fixture(scope="session")
def peer_program(tmp_path_factory):
    """Build the peer."""
    return build(tmp_path_factory.mktemp("vcenter"))


@pytest.fixture
def vcenter(request, peer_program, tmp_path, monkeypatch):
    """Start a peer, which this machine trusts, and end it after the test; parametrized, with these arguments."""
    with running(peer_program, tmp_path / "ca.pem", *getattr(request, "param", ())) as peer:
        monkeypatch.setenv("SSL_CERT_FILE", str(peer.certificate))
        yield peer


@pytest.fixture
def run(vcenter, capsys, monkeypatch):
    """Return a function that runs a module against the vCenter and returns what it prints."""

    def run_module(name, /, check=False, **options):
        module = import_module(f"{MODULES}.{name}")
        # One process runs many modules here, and filters too: each module is to have its own warnings, in its result.
        monkeypatch.setattr(_internal, "is_controller", False)
        monkeypatch.setattr(warnings, "_global_warnings", type(warnings._global_warnings)())
        arguments = {**vcenter.options(**options), "_ansible_check_mode": check, "_ansible_diff": True}
        with patch_module_args(arguments), pytest.raises(SystemExit):
            module.main()
        result = json.loads(capsys.readouterr().out)
        result["warnings"] = [warning["event"]["msg"] for warning in result.get("warnings", ())]
        return result

    return run_module


@pytest.fixture
def patient(monkeypatch):
    """Give each answer of the vCenter a minute on a busy machine; `timeout` is that of tasks and proofs alone then."""
    adapter = session.SoapStubAdapter

    def patient_adapter(*words, **options):
        return adapter(*words, **{**options, "httpConnectionTimeout": 60})

    monkeypatch.setattr(session, "SoapStubAdapter", patient_adapter)


@pytest.fixture
def four_steps(run, vcenter):
    """Return a function that checks, applies, applies again and checks again; it returns what the apply told."""

    def run_once(name, /, **options):
        """Return what a module told, and what it wrote in its one session."""
        vcenter.journal()
        told, calls = run(name, **options), vcenter.journal()
        methods = [call["method"] for call in calls]
        assert (methods.count("Login"), methods.count("Logout")) == (1, 1)
        return told, vcenter.writes(calls)

    def run_four_times(name, /, **options):
        told, writes = run_once(name, check=True, **options)
        assert (told.get("changed"), writes) == (True, []), told
        done, writes = run_once(name, **options)
        assert done.get("changed") is True, done
        assert done["diff"] == told["diff"], "check mode tells what is done"
        assert writes != []
        for check in (False, True):
            again, writes = run_once(name, check=check, **options)
            assert (again["changed"], again["diff"]["before"]) == (False, done["diff"]["after"])
            assert writes == []
        return done

    return run_four_times


@pytest.fixture
def play(vcenter, tmp_path, monkeypatch):
    """Return a function that runs tasks of a run, for nodes without hosts behind them; it returns chosen facts."""
    connection = {"HOST": "127.0.0.1", "PORT": vcenter.port, "USER": "admin", "PASSWORD": "secret"}
    for name, value in connection.items():
        monkeypatch.setenv(f"VMWARE_{name}", str(value))

    def run_tasks(tasks, facts, *words, hosts):
        """`hosts` is {name: variables}; `facts` are the names of those that the last task shows."""
        inventory = {"egress_ip_nodes": {"hosts": hosts}}
        told = tmp_path / "told.json"
        show = {
            "copy": {"content": "{{ {" + ", ".join(f"'{name}': {name}" for name in facts) + "} }}", "dest": str(told)}
        }
        local = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "egress_ip_group": "egress_ip_nodes",
        }
        settings = {
            "netops.egress_ip.settings": {"hosts": [*hosts]},
            "register": "egress_ip_settings",
            "run_once": True,
        }
        show = {"name": "Show", **show, "run_once": True, "check_mode": False}
        one = {"name": "Run", "hosts": "all", "gather_facts": False, "vars": local, "tasks": [settings, *tasks, show]}
        one["vars_files"] = [str(ROOT / "roles/node/vars/main.yml")]
        (tmp_path / "inventory.yml").write_text(json.dumps(inventory))
        (tmp_path / "play.yml").write_text(json.dumps([one]))
        argv = ["-i", tmp_path / "inventory.yml", tmp_path / "play.yml", *words]
        environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT.parents[2]), "ANSIBLE_NOCOLOR": "1"}
        done = ansible_playbook(argv, tmp_path, environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(told.read_text())

    return run_tasks
