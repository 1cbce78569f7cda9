# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Podman as the lab needs it, and the image of the lab's hosts.

A private configuration file, named by CONTAINERS_CONF, leaves the machine's own configuration alone: runc starts on
every cgroup layout, and the limits are low enough for a root without CAP_SYS_RESOURCE.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from lab_topology import NAME

SUITE = os.environ.get("EGRESS_IP_LAB_SUITE", "bookworm")
# Empty for the usual hosts; `containers` for hosts with container engines and libvirt, a larger image of its own.
VARIANT = os.environ.get("EGRESS_IP_LAB_VARIANT", "")
IMAGE = "localhost/egress-ip-lab"
INIT = 'CMD ["/sbin/init"]'
PACKAGES = (
    "dbus",
    "firewalld",
    "ifupdown",
    "iproute2",
    "iptables",
    "iputils-ping",
    "kmod",
    "network-manager",
    "nftables",
    "openssh-server",
    "procps",
    "python3",
    "systemd",
    "systemd-sysv",
    "udev",
)
VARIANT_PACKAGES = {
    "": (),
    "containers": (
        "aardvark-dns",
        "busybox-static",
        "containerd",
        "containernetworking-plugins",
        "dnsmasq-base",
        "docker.io",
        "libvirt-clients",
        "libvirt-daemon-system",
        "netavark",
        "passt",
        "podman",
        "runc",
        "slirp4netns",
        "uidmap",
    ),
}
# A privileged container must not touch the machine's consoles, keys or global sysctls, nor fetch packages by itself.
MASKED = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "console-getty.service",
    "dpkg-db-backup.timer",
    "e2scrub_reap.service",
    "e2scrub_all.timer",
    "fstrim.timer",
    "getty.target",
    "systemd-logind.service",
    "systemd-modules-load.service",
    "systemd-udev-trigger.service",
)
# Installed for the tests that start them.
DISABLED = ("NetworkManager.service", "NetworkManager-wait-online.service", "firewalld.service", "networking.service")
VARIANT_DISABLED = {
    "": (),
    "containers": (
        "containerd.service",
        "docker.service",
        "docker.socket",
        "libvirt-guests.service",
        "libvirtd.service",
        "libvirtd.socket",
        "libvirtd-admin.socket",
        "libvirtd-ro.socket",
        "podman-auto-update.service",
        "podman-auto-update.timer",
        "podman.service",
        "podman.socket",
        "virtlockd-admin.socket",
        "virtlockd.socket",
        "virtlogd-admin.socket",
        "virtlogd.socket",
    ),
}
# Debian 11 has the last packaged `flannel`; the other network plugins are those of the suite. Of the package, only this
# program is unpacked. The word after the script's is the root of the image.
FLANNEL_SUITE = "bullseye"
ADD_FLANNEL = (
    'list="$1/etc/apt/sources.list.d/flannel.list"; set -e; '
    f"echo 'deb http://deb.debian.org/debian {FLANNEL_SUITE} main' > \"$list\"; "
    'chroot "$1" sh -ec \'cd /root; apt-get -qq update; '
    f"apt-get -qq -o APT::Sandbox::User=root download containernetworking-plugins/{FLANNEL_SUITE}; "
    "dpkg-deb --fsys-tarfile containernetworking-plugins_*.deb | tar -C / -x ./usr/lib/cni/flannel; "
    "rm containernetworking-plugins_*.deb'; "
    'rm "$list"'
)
VARIANT_HOOKS: dict[str, tuple[str, ...]] = {"": (), "containers": (ADD_FLANNEL,)}
GLOBAL_SYSCTLS = ("50-pid-max.conf", "99-protect-links.conf")
CONTAINERS_CONF = """\
[containers]
default_ulimits = ["nofile=10000:10000", "nproc=30000:30000"]

[engine]
runtime = "runc"
"""


class LabError(Exception):
    """An error of the lab; the message has the cause and, where known, the fix."""


def state_dir() -> Path:
    """The folder `.build/lab` of the clone, `.build/lab-NAME` of a named lab; also for the copy below `.build`."""
    root = Path(__file__).resolve().parents[2]
    build = next((parent for parent in root.parents if parent.name == ".build"), root / ".build")
    folder = build / (f"lab-{NAME}" if NAME else "lab")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def environment() -> dict[str, str]:
    """The environment for podman, whose private configuration is written if needed."""
    path, text = state_dir() / "containers.conf", CONTAINERS_CONF
    if NAME:
        # Podman refuses two networks with the same addresses, unless it does not know of one of them.
        text += f'\n[network]\nnetwork_config_dir = "{state_dir() / "networks"}"\n'
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
    return {**os.environ, "CONTAINERS_CONF": str(path)}


def podman_argv(*words: str) -> list[str]:
    """The command line for podman with these words."""
    return ["podman", *words]


def podman(*words: str, check: bool = True, stdin: bytes = b"") -> subprocess.CompletedProcess:
    """Run podman; raises LabError with podman's error output when it fails and `check` is set."""
    missing = [tool for tool in ("podman", "runc") if not shutil.which(tool)]
    if os.geteuid() != 0 or missing:
        raise LabError(f"the lab needs root and {' and '.join(missing) or 'podman'}: run as root `make lab`")
    result = subprocess.run(podman_argv(*words), env=environment(), input=stdin, capture_output=True, check=False)
    if check and result.returncode != 0:
        raise LabError(f"podman {words[0]} failed: {result.stderr.decode(errors='replace').strip()}")
    return result


def _recipe(target: str) -> list[str]:
    """The mmdebstrap command that writes the root file system to `target`."""
    links = [f"etc/systemd/system/{unit}" for unit in MASKED] + [f"etc/sysctl.d/{name}" for name in GLOBAL_SYSCTLS]
    hooks = [f'--customize-hook=ln -sf /dev/null "$1/{link}"' for link in links]
    disabled = " ".join((*DISABLED, *VARIANT_DISABLED[VARIANT]))
    hooks.append(f'--customize-hook=systemctl --quiet --root="$1" disable {disabled}')
    hooks.append('--customize-hook=: > "$1/etc/machine-id"')
    hooks += [f"--customize-hook={hook}" for hook in VARIANT_HOOKS[VARIANT]]
    packages = ",".join((*PACKAGES, *VARIANT_PACKAGES[VARIANT]))
    return ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={packages}", *hooks, SUITE, target]


def image_name() -> str:
    """Name of the image, with a tag that follows from its definition."""
    definition = "\n".join([*_recipe("-"), INIT])
    parts = (SUITE, VARIANT, hashlib.sha256(definition.encode()).hexdigest()[:12])
    return f"{IMAGE}:{'-'.join(filter(None, parts))}"


def build_image() -> str:
    """Build the image unless it is there; returns its name."""
    name = image_name()
    with (state_dir() / f"{name.rpartition(':')[2]}.lock").open("w") as file:
        # Another process may be building it.
        fcntl.flock(file, fcntl.LOCK_EX)
        if podman("image", "exists", name, check=False).returncode != 0:
            _build(name)
    return name


def _build(name: str) -> None:
    """Build the image of this name, and start it once."""
    with tempfile.TemporaryDirectory(dir=state_dir()) as folder:
        # The user _apt of the bootstrap must reach the folder.
        Path(folder).chmod(0o755)
        tarball = str(Path(folder, "rootfs.tar"))
        try:
            subprocess.run(_recipe(tarball), check=True)
        except FileNotFoundError:
            raise LabError("the lab's image needs mmdebstrap: run as root `make lab`") from None
        except subprocess.CalledProcessError as failure:
            raise LabError(f"mmdebstrap could not make the image: {failure}; is a Debian mirror in reach?") from None
        podman("import", "--change", INIT, tarball, name)
    _try_image(name)


def _try_image(name: str) -> None:
    """Start the image once; raises LabError with the requirement that the machine lacks."""
    try:
        podman("run", "--rm", "--privileged", "--network", "none", name, "true")
    except LabError as error:
        raise LabError(f"{error}; the lab needs a real or virtual machine whose root may start containers") from None


def remove_images() -> None:
    """Remove every image of the lab, also those of older definitions."""
    listed = podman("image", "ls", "--quiet", "--filter", f"reference={IMAGE}").stdout.decode().split()
    if listed:
        podman("image", "rm", *sorted(set(listed)))
