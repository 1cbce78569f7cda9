# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Traffic of egress IPs: the file for Prometheus and the playbook `status` show what the server saw."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from fleet import ADDRESS, FIRST, NODE_NAMES, SECOND, wait_for

FOLDER = "/var/lib/prometheus/node-exporter"
FILE = f"{FOLDER}/egress_ip.prom"
SAMPLE = re.compile(r"^(\w+)\{(.*)\} (\S+)$", re.MULTILINE)
LABEL = re.compile(r'(\w+)="([^"]*)"')
OUTSIDE = "namespace1/pod2"


def samples(fleet, name):
    """{(metric, source address, protocol): value} of a node's file."""
    found = {}
    for metric, labels, value in SAMPLE.findall(fleet.lab.exec(name, "cat", FILE)):
        label = dict(LABEL.findall(labels))
        found[metric, label.get("egress_ip") or label["source"], label.get("protocol", "")] = float(value)
    return found


def write_now(fleet):
    for name in NODE_NAMES:
        fleet.run_unit(name, "netops-egress-ip-metrics.service")


@pytest.mark.user_land
# A connection of an earlier test that ends meanwhile would be missing from the difference.
@pytest.mark.usefixtures("bare")
def test_what_the_server_saw_is_in_the_file_and_in_status(fleet):
    for name in NODE_NAMES:
        fleet.lab.exec(name, "mkdir", "-p", FOLDER)
    run = fleet.good(egress_ip_metrics_dir=FOLDER)
    assert run.changed() == sorted(NODE_NAMES)
    wait_for("the timer", lambda: all(FILE in fleet.lab.exec(n, "sh", "-c", f"ls {FILE} || :") for n in NODE_NAMES))
    holder = {ip: nodes[0] for ip, nodes in fleet.holders().items()}
    write_now(fleet)
    before = {ip: samples(fleet, holder[ip]) for ip in (FIRST, SECOND)}
    seen = Counter(answer.source for answer in fleet.lab.connect(OUTSIDE, count=10))
    seen += Counter(answer.source for answer in fleet.lab.connect("namespace2/pod3", count=10))
    assert set(seen) <= {FIRST, SECOND}
    write_now(fleet)
    after = {ip: samples(fleet, holder[ip]) for ip in (FIRST, SECOND)}
    tunnels = [key for name in NODE_NAMES for key, n in samples(fleet, name).items() if "tunnel_conn" in key[0] and n]
    for ip in (FIRST, SECOND):
        more = {key[0]: after[ip][key] - before[ip][key] for key in after[ip] if key[1] == ip and key[2] in ("", "tcp")}
        assert more["egress_ip_connections"] == seen[ip]
        # A handshake, an answer and an end: no fewer than three packets each way, and no more than a dozen.
        for way in ("transmit", "receive"):
            assert 3 * seen[ip] <= more[f"egress_ip_{way}_packets_total"] <= 12 * seen[ip]
            assert 120 * seen[ip] <= more[f"egress_ip_{way}_bytes_total"] <= 3000 * seen[ip]
    assert all(source in ADDRESS.values() for _metric, source, _protocol in tunnels)
    shown = fleet.good("status", egress_ip_metrics_dir=FOLDER).output
    assert re.search(rf"{re.escape(FIRST)} +{holder[FIRST]} +\d+ packets", shown)

    # Another run changes nothing, and counters go on.
    assert fleet.good(egress_ip_metrics_dir=FOLDER).changed() == []
    write_now(fleet)
    for ip in (FIRST, SECOND):
        now = samples(fleet, holder[ip])
        assert all(now[key] >= n for key, n in after[ip].items() if key[0].endswith("_total"))

    # Without the variable, nothing of it stays.
    assert fleet.good().changed() == sorted(NODE_NAMES)
    for name in NODE_NAMES:
        assert fleet.lab.exec(name, "ls", "-A", FOLDER) == ""
        assert "metrics" not in fleet.lab.exec(name, "systemctl", "list-timers", "--all", "--no-legend")
        fleet.lab.exec(name, "rmdir", "-p", "--ignore-fail-on-non-empty", FOLDER)
