# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the test vCenter beside this file, run it, steer it, and ask it as its administrator."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import ssl
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from pyVim.connect import Disconnect, SmartConnect
from pyVmomi import vim

SOURCE = Path(__file__).resolve().parent
PACKAGES = "golang-go golang-github-vmware-govmomi-dev"
GOPATH = Path("/usr/share/gocode")
# How the methods begin that change nothing in the inventory; all others do.
READS = ("Retrieve", "ContinueRetrieve", "CreateContainerView", "DestroyView", "Fetch", "RefreshDVPortState", "Log")


def build(folder: Path) -> Path:
    """Build the program into a folder and return its path; RuntimeError says what is missing."""
    if not shutil.which("go") or not (GOPATH / "src/github.com/vmware/govmomi").is_dir():
        raise RuntimeError(f"the test vCenter cannot be built; run as root: apt-get install {PACKAGES}")
    program = folder / "vcenter"
    environment = {**os.environ, "GO111MODULE": "off", "GOPATH": str(GOPATH), "CGO_ENABLED": "0"}
    words = ["go", "build", "-o", str(program), "."]
    built = subprocess.run(words, cwd=SOURCE, env=environment, capture_output=True, text=True, check=False)
    if built.returncode:
        raise RuntimeError(f"the test vCenter does not build:\n{built.stderr}")
    return program


@contextlib.contextmanager
def running(program: Path, certificate: Path, *options: str) -> Iterator[VCenter]:
    """Run the program until the end of the `with` block; its certificate goes into a file."""
    words = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([program, *options], **words) as process:
        vcenter = VCenter(process, certificate)
        try:
            yield vcenter
        finally:
            Disconnect(vcenter.admin)
            process.stdin.close()


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

    def writes(self, calls=None):
        """Return the methods that change something, of some calls, or of those since the last time."""
        methods = [call["method"] for call in (self.journal() if calls is None else calls)]
        return [method for method in methods if not method.startswith(READS)]

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
        """Reconfigure a port as another client."""
        spec = vim.dvs.DistributedVirtualPort.ConfigSpec(operation="edit", key=key, setting=setting)
        self.all(vim.DistributedVirtualSwitch)["DVS0"].ReconfigureDVPort_Task([spec])
        self.journal()

    def change_group(self, name, /, **values):
        """Reconfigure a distributed port group as another client."""
        group = self.all(vim.dvs.DistributedVirtualPortgroup)[name]
        group.ReconfigureDVPortgroup_Task(
            vim.dvs.DistributedVirtualPortgroup.ConfigSpec(configVersion=group.config.configVersion, **values)
        )
        self.journal()
