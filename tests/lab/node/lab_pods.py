# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""On a node of the lab: make the pods that /etc/lab/pods.json declares, as a CNI would.

Runs at each boot (lab-pods.service) and may run again at any time: existing pods stay.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

BRIDGE = "pods0"
# Without one of its own, udev gives it another one after a while, which the pods know only when they ask again.
BRIDGE_MAC = "02:00:0a:58:00:01"
NODAD = {False: (), True: ("nodad",)}
MASQUERADE = """
add table {family} lab_cni
flush table {family} lab_cni
table {family} lab_cni {{
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    {family} saddr {network} {family} daddr != {network} masquerade
  }}
}}
"""


def ip(*words: str) -> None:
    """Run `ip` with these words; raises CalledProcessError."""
    subprocess.run(["ip", *words], check=True)


def make_bridge(gateways: list[str]) -> None:
    """Make the bridge of the pods, with the pods' gateway addresses."""
    if not Path("/sys/class/net", BRIDGE).exists():
        ip("link", "add", BRIDGE, "address", BRIDGE_MAC, "type", "bridge")
    for gateway in gateways:
        ip("address", "replace", gateway, "dev", BRIDGE, *NODAD[":" in gateway])
    ip("link", "set", BRIDGE, "up")


def make_pod(index: int, pod: dict, gateways: list[str]) -> None:
    """Make one pod: a network namespace with `eth0` in the bridge."""
    netns, veth = pod["netns"], f"pod{index}"
    if Path("/run/netns", netns).exists():
        return
    ip("netns", "add", netns)
    ip("link", "add", veth, "type", "veth", "peer", "name", "eth0", "netns", netns)
    ip("link", "set", veth, "master", BRIDGE, "up")
    ip("-n", netns, "link", "set", "lo", "up")
    ip("-n", netns, "link", "set", "eth0", "up")
    for own, gateway in zip(pod["addresses"], gateways):  # noqa: B905 - Python 3.9 on Debian 11
        address, length = gateway.split("/")
        ip("-n", netns, "address", "add", f"{own}/{length}", "dev", "eth0", *NODAD[":" in own])
        ip("-n", netns, "route", "add", "default", "via", address)


def main() -> None:
    """Bring up everything that the declaration names."""
    declaration = json.loads(Path("/etc/lab/pods.json").read_text(encoding="utf-8"))
    for forwarding in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
        Path("/proc/sys/net", forwarding).write_text("1", encoding="utf-8")
    make_bridge(declaration["gateways"])
    for family, network in declaration["networks"].items():
        rules = MASQUERADE.format(family=family, network=network)
        subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)
    for index, pod in enumerate(declaration["pods"]):
        make_pod(index, pod, declaration["gateways"])


if __name__ == "__main__":
    main()
