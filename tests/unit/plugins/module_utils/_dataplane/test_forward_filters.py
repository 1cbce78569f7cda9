# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of others at the hook forward, as the real `nft` lists them."""

from __future__ import annotations

import subprocess

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.forward_filters import (
    ForwardFilter,
    missing_exceptions,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.host_io import HostIO
from network_namespace import network_namespace

DROPS = "type filter hook forward priority 0; policy drop;"
ACCEPTS = "type filter hook forward priority 0; policy accept;"
ONE = "table %s { chain F { %s }\n }"
FORWARD = ForwardFilter("ip", "filter", "FORWARD")
DOCKER = f"table ip filter {{ chain USER {{ %s; }}\n chain FORWARD {{ {DROPS} jump USER; accept; }}\n }}"
FIREWALLD = f"table inet firewalld {{ chain ZONES {{ %s; }}\n chain FORWARD {{ {ACCEPTS} jump ZONES; %s; }}\n }}"


@pytest.mark.parametrize(
    ("ruleset", "found"),
    [
        pytest.param("", [], id="no filter"),
        pytest.param(DOCKER % "", [FORWARD], id="policy drop"),
        pytest.param(DOCKER % "iifname egress0 accept", [], id="policy drop with an exception"),
        pytest.param(DOCKER % 'iifname "egress*" accept', [], id="an exception for several interfaces"),
        pytest.param(DOCKER % "iifname egress1 accept", [FORWARD], id="an exception for another interface"),
        pytest.param(
            FIREWALLD % ("", "reject with icmpx admin-prohibited"),
            [ForwardFilter("inet", "firewalld", "FORWARD")],
            id="a last rule that rejects",
        ),
        pytest.param(
            FIREWALLD % ("", "counter drop"), [ForwardFilter("inet", "firewalld", "FORWARD")], id="that drops"
        ),
        pytest.param(FIREWALLD % ("iifname egress0 accept", "reject"), [], id="with an exception"),
        pytest.param(FIREWALLD % ("", "ip saddr 10.0.0.1 drop"), [], id="a last rule for one source"),
        pytest.param(ONE % ("ip6 filter", DROPS), [("ip6", "filter", "F")], id="IPv6"),
        pytest.param(ONE % ("bridge filter", DROPS), [], id="bridged frames"),
        pytest.param(ONE % ("inet egress_ip", DROPS), [], id="our own table"),
        pytest.param(ONE % ("ip f", DROPS.replace("forward", "input")), [], id="another hook"),
    ],
)
def test_filters_without_an_exception_for_the_tunnel(ruleset, found):
    with network_namespace():
        subprocess.run(["nft", "-f", "-"], input=ruleset, text=True, check=True)
        assert missing_exceptions(HostIO.read_forward_filters(), "egress0") == found


def test_iptables_is_one_of_them():
    with network_namespace():
        subprocess.run(["iptables-nft", "-P", "FORWARD", "DROP"], check=True)
        assert missing_exceptions(HostIO.read_forward_filters(), "egress0") == [FORWARD]
        subprocess.run(["iptables-nft", "-I", "FORWARD", "-i", "egress0", "-j", "ACCEPT"], check=True)
        assert missing_exceptions(HostIO.read_forward_filters(), "egress0") == []
