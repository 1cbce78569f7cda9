# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections of an address that the real kernel tracks."""

from __future__ import annotations

import socket

from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.pod_connections import forget
from kernel_host import nft, wait_for_connections
from network_namespace import network_namespace


def test_the_connections_that_an_address_opened_are_forgotten():
    with network_namespace():
        nft("add table inet theirs", "add chain inet theirs c { type filter hook output priority 0; }")
        nft("add rule inet theirs c ct state new accept")
        for source in ("127.0.0.2", "127.0.0.3"):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.bind((source, 0))
                for port in (9, 10):
                    sock.sendto(b"x", ("127.0.0.1", port))
        forget(["127.0.0.2", "::2"])
        wait_for_connections(2)
        forget(["127.0.0.1", "127.0.0.3"])
        wait_for_connections(0)
