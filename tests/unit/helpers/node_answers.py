# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node without other settings answers to the module `node_info`."""

from __future__ import annotations


def answer(number, *held, **more):
    """Return the answer of node ``number`` of the lab's network, which holds these egress IPs."""
    own = f"192.168.126.2{number}"
    return {
        "interface": "eth0",
        "endpoints": [own],
        "networks": [{"interface": "eth0", "addresses": [f"{own}/18"]}],
        "addresses": [own],
        "held": [{"egressIP": ip, "interface": "eth0"} for ip in held],
        "generation": 0,
        "digest": "",
        "drift": [],
        "nodes": [],
        "recalled": [],
        **more,
    }
