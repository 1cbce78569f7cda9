# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the image of examples/awx/execution-environment.yml on the lab's Debian, and use it.

The definition of the example with another base image, its package manager and Python, and this collection as a tarball
in place of a repository: all other steps are those of the example.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/ci"), str(ROOT / "tests/lab")]

from ansible_test_home import pip_settings  # noqa: E402
from lab_image import build_image, environment, podman  # noqa: E402
from tree import TREE  # noqa: E402

PROJECT = ROOT / "examples/awx"
DEFINITION = "execution-environment.yml"
NAME = "localhost/egress-ip-execution-environment"
# Of the settings of pip here, those that the packages need in the image too, as where a company has a mirror.
PIP_SETTINGS = ("cert", "index-url", "proxy", "trusted-host")
CERTIFICATES = "/etc/pip-certificates.crt"
# Debian's pip recommends compilers, which no package needs here.
NO_RECOMMENDED = """RUN echo 'APT::Install-Recommends "false";' > /etc/apt/apt.conf.d/90no-recommended"""
# What a job of AWX needs: each is a command in the image.
USES = (
    ("ansible-runner", "--version"),
    ("git", "--version"),
    ("ssh", "-V"),
    ("sshpass", "-V"),
    ("python3", "-c", "import kubernetes, netaddr, urllib3, pyVmomi"),
    ("ansible-doc", "netops.egress_ip.node"),
    ("ansible-playbook", "--syntax-check", "-i", "localhost,", "netops.egress_ip.reconcile"),
)


def on_debian(definition: dict, base: str, tarball: str) -> dict:
    """Return the definition with Debian's image, package manager and Python, and with the tarball."""
    steps = definition["additional_build_steps"]
    return {
        **definition,
        "images": {"base_image": {"name": base}},
        "options": {"package_manager_path": "/usr/bin/apt-get", "skip_pip_install": True},
        "dependencies": {
            **definition["dependencies"],
            # Debian's Python has no ensurepip, which ansible-builder uses elsewhere.
            "python_interpreter": {"package_system": "python3-pip python3-venv", "python_path": "/usr/bin/python3"},
            "galaxy": {"collections": [{"name": tarball, "type": "file"}]},
        },
        "additional_build_files": [{"src": tarball, "dest": "."}],
        "additional_build_steps": {
            **steps,
            "prepend_base": [NO_RECOMMENDED, "RUN apt-get update"],
            "prepend_galaxy": [
                step.replace("dnf install -y git-core", "apt-get install -y git") for step in steps["prepend_galaxy"]
            ],
        },
    }


def make_context(folder: Path) -> Path:
    """Write the definition for Debian, and let ansible-builder make the build context; return its folder."""
    shutil.copytree(PROJECT, folder / "project")
    run("ansible-galaxy", "collection", "build", "--output-path", str(folder / "project"), cwd=TREE)
    (tarball,) = (folder / "project").glob("*.tar.gz")
    path = folder / "project" / DEFINITION
    definition = on_debian(yaml.safe_load(path.read_text(encoding="utf-8")), build_image(), tarball.name)
    path.write_text(yaml.safe_dump(definition, sort_keys=False), encoding="utf-8")
    run("ansible-builder", "create", "--file", DEFINITION, "--context", str(folder / "context"), cwd=path.parent)
    return folder / "context"


def run(program: str, *words: str, cwd: Path) -> None:
    """Run a program of the virtual environment; raises CalledProcessError."""
    subprocess.run((Path(sys.executable).with_name(program), *words), cwd=cwd, check=True)


def pip_mounts(folder: Path) -> list[str]:
    """Return the options of podman that give a build the settings of pip, and the certificates that they name."""
    settings = {name: value for name, value in pip_settings().items() if name in PIP_SETTINGS}
    path = folder / "pip.conf"
    mounts = [f"{path}:/etc/pip.conf:ro"]
    if "cert" in settings:
        # Not at its own path, which Debian's package of certificates writes.
        mounts.append(f"{settings['cert']}:{CERTIFICATES}:ro")
        settings["cert"] = CERTIFICATES
    path.write_text("\n".join(["[global]", *(f"{name} = {value}" for name, value in settings.items()), ""]))
    return [word for mount in mounts for word in ("--volume", mount)]


def build(folder: Path) -> None:
    """Build the image; its output is shown."""
    context = make_context(folder)
    # ansible-builder cleans caches as dnf does it.
    options = ("--network", "host", "--build-arg", "PKGMGR_PRESERVE_CACHE=always", *pip_mounts(folder))
    argv = ("podman", "build", "--tag", NAME, *options, str(context))
    subprocess.run(argv, env=environment(), check=True)


def main() -> int:
    """Build the image, run each command in it, remove it; 1 if one fails."""
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder))
    try:
        for words in USES:
            ended = podman("run", "--rm", "--network", "none", NAME, *words, check=False)
            print(f"{' '.join(words)}: {ended.returncode}")
            if ended.returncode:
                failed.append(words[0])
                print(ended.stdout.decode() + ended.stderr.decode())
    finally:
        podman("image", "rm", NAME)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
