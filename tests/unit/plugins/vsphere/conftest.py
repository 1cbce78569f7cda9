# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A vCenter for the tests: the Go program of tests/vcenter/, built once, started anew for each test."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import urllib.request
from importlib import import_module
from pathlib import Path

import pytest
from ansible.module_utils import _internal
from ansible.module_utils.common import warnings
from ansible.module_utils.testing import patch_module_args
from pyVim.connect import Disconnect, SmartConnect
from pyVmomi import vim

SOURCE = Path(__file__).resolve().parents[3] / "vcenter"
PACKAGES = "golang-go golang-github-vmware-govmomi-dev"
GOPATH = Path("/usr/share/gocode")
MODULES = "ansible_collections.netops.egress_ip.plugins.modules"


@pytest.fixture(scope="session")
def peer_program(tmp_path_factory):
    """Build the peer, or fail with what is missing."""
    if not shutil.which("go") or not (GOPATH / "src/github.com/vmware/govmomi").is_dir():
        pytest.fail(f"the test vCenter cannot be built; run as root: apt-get install {PACKAGES}")
    program = tmp_path_factory.mktemp("vcenter") / "vcenter"
    environment = {**os.environ, "GO111MODULE": "off", "GOPATH": str(GOPATH), "CGO_ENABLED": "0"}
    words = ["go", "build", "-o", str(program), "."]
    built = subprocess.run(words, cwd=SOURCE, env=environment, capture_output=True, text=True, check=False)
    if built.returncode:
        pytest.fail(f"the test vCenter does not build:\n{built.stderr}")
    return program


class VCenter:
    """A running peer, steered by `order`, `user` and `host`, and asked, as the administrator, by pyvmomi."""

    def __init__(self, process, certificate):
        ready = json.loads(process.stdout.readline())
        self.port = ready["port"]
        self.certificate = certificate
        certificate.write_text(ready["certificate"])
        self._context = ssl.create_default_context(cafile=str(certificate))
        self.admin = SmartConnect(
            host="127.0.0.1", port=self.port, user="admin", pwd="secret", sslContext=self._context
        )
        self.journal()

    def options(self, **options):
        """Return module options with those of the connection; one that is None is left out."""
        connection = {"hostname": "127.0.0.1", "port": self.port, "username": "admin", "password": "secret"}
        return {name: value for name, value in {**connection, **options}.items() if value is not None}

    def control(self, verb, **words):
        """Send the peer one of the orders that tests/vcenter/README.md lists; returns its answer."""
        url = f"https://127.0.0.1:{self.port}/control/{verb}"
        with urllib.request.urlopen(url, data=json.dumps(words).encode(), context=self._context) as answer:
            return json.loads(answer.read() or "null")

    def journal(self):
        """Return the calls since the last time, dicts with user, method and object."""
        return self.control("journal")

    def writes(self):
        """Return the methods that were called since the last time and change something."""
        return [call["method"] for call in self.journal() if call["method"].startswith(("Reconfig", "Update", "Power"))]

    def all(self, kind):
        """Return {name: managed object}."""
        content = self.admin.content
        view = content.viewManager.CreateContainerView(content.rootFolder, [kind], True)
        return {each.name: each for each in view.view}

    def port_setting(self, key):
        """Return the effective settings of a port as pyvmomi gives them."""
        criteria = vim.dvs.PortCriteria(portKey=[key])
        return self.all(vim.DistributedVirtualSwitch)["DVS0"].FetchDVPorts(criteria)[0].config.setting

    def change_port(self, key, setting):
        """Reconfigure a port as somebody else."""
        spec = vim.dvs.DistributedVirtualPort.ConfigSpec(operation="edit", key=key, setting=setting)
        self.all(vim.DistributedVirtualSwitch)["DVS0"].ReconfigureDVPort_Task([spec])
        self.journal()

    def change_group(self, name, **values):
        """Reconfigure a distributed port group as somebody else."""
        group = self.all(vim.dvs.DistributedVirtualPortgroup)[name]
        group.ReconfigureDVPortgroup_Task(
            vim.dvs.DistributedVirtualPortgroup.ConfigSpec(configVersion=group.config.configVersion, **values)
        )
        self.journal()


@pytest.fixture
def vcenter(request, peer_program, tmp_path, monkeypatch):
    """Start a peer, which this machine trusts, and end it after the test; parametrized, with these arguments."""
    words = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([peer_program, *getattr(request, "param", ())], **words) as process:
        running = VCenter(process, tmp_path / "ca.pem")
        monkeypatch.setenv("SSL_CERT_FILE", str(running.certificate))
        yield running
        Disconnect(running.admin)
        process.stdin.close()


@pytest.fixture
def run(vcenter, capsys, monkeypatch):
    """Return a function that runs a module against the vCenter and returns what it prints."""

    def run_module(name, check=False, **options):
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
def four_steps(run, vcenter):
    """Return a function that checks, applies, applies again and checks again; it returns what the apply told."""

    def run_four_times(name, **options):
        told = run(name, check=True, **options)
        assert (told.get("changed"), vcenter.writes()) == (True, []), told
        done = run(name, **options)
        assert done.get("changed") is True, done
        assert done["diff"] == told["diff"], "check mode tells what is done"
        assert vcenter.writes() != []
        for check in (False, True):
            again = run(name, check=check, **options)
            assert (again["changed"], again["diff"]["before"]) == (False, done["diff"]["after"])
            assert vcenter.writes() == []
        return done

    return run_four_times
