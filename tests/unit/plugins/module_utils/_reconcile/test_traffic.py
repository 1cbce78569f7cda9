# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of the traffic of a fleet."""

from __future__ import annotations

from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.traffic import traffic

TCP = {"protocol": "tcp", "connections": 12, "busiest": "203.0.113.5:443", "port_share": 0.125}
UDP = {"protocol": "udp", "connections": 3, "busiest": "203.0.113.9:53", "port_share": 0.5}
ICMP = {"protocol": "icmp", "connections": 0, "busiest": ""}
COUNTERS = {"transmit_packets": 5, "transmit_bytes": 999, "receive_packets": 7, "receive_bytes": 12_345_678}


def fleet(**metrics):
    return {"observed": {name: {"metrics": values} for name, values in metrics.items()}}


def test_rows_are_ordered_by_address_and_tunnels_follow():
    rows = [{"egressIP": f"10.0.0.{n}", "object": "web", **COUNTERS, "use": [TCP, UDP, ICMP]} for n in (10, 9)]
    tunnel = [{"source": "192.168.126.21", "use": [TCP]}, {"source": "192.168.126.22", "use": [ICMP]}]
    lines = traffic(fleet(node1={"egress_ips": rows, "tunnel": tunnel}, node2=None), {"10.0.0.9", "10.0.0.10"})
    assert [line.split()[0] for line in lines] == ["SOURCE", "10.0.0.9", "10.0.0.10", "192.168.126.21"]
    assert " ".join(lines[1].split()) == (
        "10.0.0.9 node1 5 packets, 999 B 7 packets, 12.3 MB 12 tcp, 3 udp 50.0 % (udp to 203.0.113.9:53)"
    )


def test_an_unused_source_address():
    row = {"egressIP": "10.0.0.9", "object": "web", **COUNTERS, "use": [ICMP]}
    assert traffic(fleet(node1={"egress_ips": [row], "tunnel": []}), ["10.0.0.9"])[1].split()[-3:] == ["0", "0", "%"]


def test_egress_ips_of_no_object_do_not_fill_the_table():
    rows = [{"egressIP": f"10.0.{n >> 8}.{n & 255}", **COUNTERS, "use": [TCP]} for n in range(1, 151)]
    lines = traffic(fleet(node1={"egress_ips": rows, "tunnel": []}), {"10.0.0.150"})
    assert len(lines) == 1 + 1 + 100 + 1
    assert lines[-2].split()[:2] == ["10.0.0.150", "node1"]
    assert " ".join(lines[-1].split()) == "and 49 more node1 - - - -"


def test_many_protocols_are_counted():
    uses = [{**TCP, "protocol": f"p{number}"} for number in range(10)]
    row = {"egressIP": "10.0.0.9", **COUNTERS, "use": uses}
    assert "12 p7 and 2 more" in traffic(fleet(node1={"egress_ips": [row], "tunnel": []}), ["10.0.0.9"])[1]
