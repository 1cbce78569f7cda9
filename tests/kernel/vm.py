# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run `vrf.py`, `ipsec.py` and `reconcile.py` on Debian's own kernel in a virtual machine.

The virtual machine has neither disk nor network: all it needs is unpacked in its memory at boot. It is emulated, so it
runs on every machine, and takes about four minutes. EGRESS_IP_LAB_SUITE names another suite of Debian than the lab's.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/lab"))
from lab_image import SUITE, state_dir  # noqa: E402

HERE = Path(__file__).resolve().parent
PACKAGES = (
    "coreutils",
    "dash",
    "iproute2",
    "kmod",
    "linux-image-amd64",
    "mount",
    "nftables",
    "procps",
    "python3",
    "util-linux",
)
MODULES = ("veth", "vrf", "vxlan", "xfrm_user", "nf_tables", "nft_chain_nat", "nf_conntrack_netlink", "nft_ct")
TESTS = ("vrf", "ipsec", "reconcile")
# Of all that the kernel's package brings, the modules that may be loaded.
LOADABLE = ("net/", "lib/", "crypto/", "arch/", "drivers/net/v")
NEEDLESS = ("./dev/", "./usr/share/", "./var/")
# In newer suites these lead to the same below usr; a script of base-files, which does not run here, makes the links.
MERGED = ("bin", "lib", "lib64", "sbin")
# A machine that runs other tests at a higher priority needs several minutes.
# Ends what hangs: beside the labs, the emulation may get a seventh of a processor.
SECONDS = 4800
INIT = f"""#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mkdir -p /dev /proc /sys /run
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs run /run
ln -s /proc/self/fd/0 /dev/stdin
mkdir -p /var/lib /usr/local/bin
ln -s /bin/true /usr/local/bin/systemctl
ln -s /bin/true /usr/local/bin/systemd-run
depmod
modprobe -a {" ".join(MODULES)}
export PYTHONPATH=/collection
for name in {" ".join(TESTS)}; do
    python3 /collection/$name.py
    echo "$name: exit status $?"
done
echo o > /proc/sysrq-trigger
sleep 60
"""


def unpack(stream: IO[bytes], folder: Path) -> Iterator[tuple[str, int, bytes]]:
    """Yield (name, mode, content or target) of what is in a tar; put the kernel itself into a folder instead."""
    merged = set(MERGED)
    with tarfile.open(fileobj=stream, mode="r|") as tar:
        for member in tar:
            merged.discard(member.name.removeprefix("./"))
            _start, _modules, module = member.name.partition("/kernel/")
            if member.name.startswith(NEEDLESS) or (".ko" in module and not module.startswith(LOADABLE)):
                continue
            if member.name.startswith("./boot/"):
                if "vmlinuz-" in member.name:
                    (folder / "vmlinuz").write_bytes(tar.extractfile(member).read())
            elif member.isdir():
                yield member.name, 0o40000 | member.mode, b""
            elif member.issym():
                yield member.name, 0o120777, member.linkname.encode()
            elif member.isreg():
                yield member.name, 0o100000 | member.mode, tar.extractfile(member).read()
    for name in merged:
        yield name, 0o120777, f"usr/{name}".encode()


def ours() -> Iterator[tuple[str, int, bytes]]:
    """Yield the programs for the virtual machine, in the same form."""
    yield "init", 0o100755, INIT.encode()
    yield "collection", 0o40755, b""
    for path in HERE.glob("*.py"):
        yield f"collection/{path.name}", 0o100644, path.read_bytes()
    yield "collection/netops_egress_ip", 0o40755, b""
    sources = ROOT / "plugins/module_utils"
    for folder in sorted(path for path in sources.iterdir() if (path / "__init__.py").exists()):
        yield f"collection/netops_egress_ip/{folder.name}", 0o40755, b""
        for path in sorted(folder.glob("*.py")):
            yield f"collection/netops_egress_ip/{path.relative_to(sources)}", 0o100644, path.read_bytes()


def write_initramfs(path: Path, content: Iterator[tuple[str, int, bytes]]) -> None:
    """Write an archive that the kernel unpacks at boot: cpio, in its format `newc`."""
    with path.open("wb") as file:
        for number, (name, mode, data) in enumerate([*content, ("TRAILER!!!", 0, b"")], start=1):
            encoded = name.encode() + b"\0"
            numbers = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(encoded), 0)
            head = b"070701" + "".join(f"{value:08x}" for value in numbers).encode() + encoded
            for part in (head, data):
                file.write(part + bytes(-len(part) % 4))


def boot(folder: Path) -> bool:
    """Boot the machine and print its output; True if the test succeeded there."""
    argv = ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", "2048", "-no-reboot", "-nodefaults"]
    argv += ["-display", "none", "-serial", "stdio", "-kernel", folder / "vmlinuz", "-initrd", folder / "initramfs"]
    # On a busy machine the kernel's check of the timer sees no tick, and the kernel would panic.
    argv += ["-append", "console=ttyS0 loglevel=3 panic=-1 no_timer_check"]
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace", timeout=SECONDS, check=True
    )
    print(done.stdout)
    return all(f"{name}: exit status 0" in done.stdout for name in TESTS)


def main() -> int:
    """Build the virtual machine's memory and boot it; 1 if the test fails."""
    bootstrap = ["mmdebstrap", "--quiet", "--variant=extract", f"--include={','.join(PACKAGES)}", SUITE, "-"]
    with tempfile.TemporaryDirectory(dir=state_dir()) as name:
        folder = Path(name)
        # The user _apt of the bootstrap must reach the folder.
        folder.chmod(0o755)
        with subprocess.Popen(bootstrap, stdout=subprocess.PIPE) as root:
            write_initramfs(folder / "initramfs", [*unpack(root.stdout, folder), *ours()])
        if root.returncode:
            print("error: mmdebstrap could not fetch the kernel; is a Debian mirror in reach?", file=sys.stderr)
            return 1
        return int(not boot(folder))


if __name__ == "__main__":
    sys.exit(main())
