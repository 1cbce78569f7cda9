# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A part of the configuration was removed or changed: the next run reports and repairs it; then sources are right."""

from __future__ import annotations

import re
import time

import pytest
from fleet import FIRST, NODE_MODULE, NODE_NAMES, SECOND, SETTINGS, WATCH, assert_same, wait_for

pytestmark = pytest.mark.faults

TABLE = "ip -N route show table all | grep -m1 -o 'table 70[0-9]*' | cut -d' ' -f2"
# One kind on each node at a time, in this order. The first kinds need a node that holds an address.
ON_A_HOLDER = {
    "claim rule deleted": "ip rule delete priority 7004",
    "address deleted": "ip address delete HELD/32 dev eth0",
    "nft rule deleted": "nft flush chain inet egress_ip postrouting",
    "netdev table deleted": "nft delete table netdev egress_ip",
    "device deleted": "ip link delete egress0",
    "device down": "ip link set egress0 down",
    "set element deleted": "nft delete element inet egress_ip egress_ips4 { FIRST }",
    "record deleted": "rm /var/lib/netops-egress-ip/state.json",
}
ON_ANY = {
    "rule deleted": "ip rule delete priority 7005",
    "unreachable rule deleted": "ip rule delete priority 7387",
    "rule added": "ip rule add priority 7004 fwmark 0x1ff/0xfff lookup main protocol 225",
    "nft flushed": "nft flush ruleset && /usr/bin/python3 /opt/lab/lab_pods.py",
    "nft rule added": "nft add rule inet egress_ip prerouting accept",
    "set element added": "nft add element inet egress_ip excluded4 { 203.0.113.0/24 }",
    "chain policy changed": "nft add chain inet egress_ip forward '{ policy drop; }'",
    "device mtu": "ip link set egress0 mtu 1400",
    "route deleted": f"ip route flush table $({TABLE})",
    "neighbour deleted": "ip neighbour flush dev egress0 nud permanent",
    "policies flushed": "ip xfrm policy flush",
    "policy added": "ip xfrm policy add src 10.88.9.9/32 dir fwd action block priority 4294967225",
    "forwarding off": "sysctl -qw net.ipv4.ip_forward=0",
    "unit deleted": "rm /etc/systemd/system/netops-egress-ip-restore.service",
    "unit disabled": "systemctl disable -q netops-egress-ip-claim.service",
    "program changed": "echo >> /usr/local/lib/netops-egress-ip/node.pyz",
}
DRIFTS = ON_A_HOLDER | ON_ANY


@pytest.mark.user_land
@pytest.mark.usefixtures("bare")
def test_every_kind_of_drift_is_seen_and_mended(unwatched, subtests):
    fleet = unwatched
    healthy, applied = strip(fleet.snapshot()), fleet.applied()
    held = next(ip for ip, nodes in fleet.holders().items() if nodes == ["node1"])
    others = iter(ON_ANY)
    for number, batch in enumerate(zip(ON_A_HOLDER, others, others, strict=True)):
        with subtests.test(", ".join(batch)):
            for name, kind in zip(NODE_NAMES, batch, strict=True):
                script = DRIFTS[kind].replace("FIRST", FIRST).replace("HELD", held)
                fleet.lab.exec(name, "bash", "-ec", script)
            assert fleet.differing(applied) == list(NODE_NAMES), "not seen on all"
            if number == 0:
                run = fleet.good()
                changed = [host for host, result in run.results(NODE_MODULE) if result["changed"]]
                assert sorted(changed) == sorted(NODE_NAMES)
            else:
                # What a run does on the nodes that differ.
                fleet.apply(applied)
            assert_same(healthy, strip(fleet.snapshot()))


def strip(snapshot):
    """The snapshot without files and without the numbers, MACs and order that a new device or table changes."""
    return {
        name: "\n".join(
            sorted(
                re.sub(r"^\d+: ", "", line)
                for line in text.split("## files")[0].splitlines()
                if "link/ether" not in line
            )
        )
        for name, text in snapshot.items()
    }


THROWN_AWAY = {
    **{kind: DRIFTS[kind] for kind in ("nft flushed", "netdev table deleted", "device deleted", "address deleted")},
    "rules flushed": "ip rule flush protocol 225",
}


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("kind", THROWN_AWAY)
def test_what_is_thrown_away_comes_back_without_a_run(fleet, kind):

    def settings():
        return strip({"node1": fleet.read_state("node1", SETTINGS)})

    healthy, shown = strip(fleet.snapshot()), settings()
    held = next(ip for ip, nodes in fleet.holders().items() if nodes == ["node1"])
    start = time.monotonic()
    fleet.lab.exec("node1", "bash", "-ec", THROWN_AWAY[kind].replace("HELD", held))
    wait_for("the state before", lambda: settings() == shown)
    print(f"MEASURED {kind}, back without a run: {time.monotonic() - start:.1f} s")
    assert_same(healthy, strip(fleet.snapshot()))
    assert fleet.changes() == []


def test_a_watch_that_finds_nothing_to_do_leaves_the_journal_alone(fleet):
    begin = fleet.lab.exec("node2", "date", "+%s").strip()
    fleet.wait_for_two_looks("node2")
    assert fleet.journal("node2", "--output", "cat", "--unit", WATCH, "--since", f"@{begin}") == ""


@pytest.mark.parametrize("kind", ["nft flushed", "device deleted", "address deleted"])
def test_traffic_is_right_after_the_mend(unwatched, kind):
    fleet = unwatched
    applied = fleet.applied()
    held = next(ip for ip, nodes in fleet.holders().items() if nodes == ["node1"])
    fleet.lab.exec("node1", "bash", "-ec", DRIFTS[kind].replace("HELD", held))
    fleet.apply(applied)
    assert sorted(fleet.holders()) == [FIRST, SECOND]
    for pod in ("namespace1/pod1", "namespace1/pod2", "namespace2/pod3", "namespace2/pod4"):
        assert fleet.sources(pod) <= {FIRST, SECOND}


# The program restores everything, and is slow to end.
SLOW_REFILL = """
folder=/run/systemd/system/netops-egress-ip-refill.service.d
mkdir -p $folder
cat > $folder/slow.conf << END
[Service]
ExecStart=
ExecStart=/bin/sh -c '/usr/bin/python3 -I /usr/local/lib/netops-egress-ip/node.pyz restore; sleep 20'
END
systemctl daemon-reload
"""


@pytest.fixture
def flushed(unwatched):
    """Node2, on which only the units of the collection restore what nftables.service flushes."""
    lab = unwatched.lab
    # systemd limits the starts of a unit in ten seconds.
    lab.exec("node2", "systemctl", "reset-failed", "nftables.service", "lab-pods.service", check=False)
    # A run lets systemd read its units a second later; until then nftables.service starts nothing of them.
    parts = ("systemctl", "show", "-P", "DropInPaths", "nftables.service")
    wait_for("the part of nftables.service", lambda: "netops-egress-ip.conf" in lab.exec("node2", *parts))
    yield unwatched
    lab.exec("node2", "sh", "-c", "rm -rf /run/systemd/system/netops-egress-ip-refill.service.d")
    lab.exec("node2", "systemctl", "daemon-reload")
    lab.exec("node2", "systemctl", "stop", "nftables.service", "netops-egress-ip-refill.service")
    lab.exec("node2", "systemctl", "restart", "lab-pods.service")


def table(fleet):
    """The lines of the collection's table of node2, sorted; empty without it."""
    # A table that is built at once lists its chains in another order than one that grew.
    text = fleet.lab.exec("node2", "nft", "--stateless", "list", "table", "inet", "egress_ip", check=False)
    return sorted(text.splitlines())


def flush(fleet, *verbs):
    """Let nftables.service flush everything, by each of these verbs of systemctl; returns when the table is back."""
    before = table(fleet)
    for words in verbs:
        # One of them fails, after its flush.
        fleet.lab.exec("node2", "sh", "-c", f"systemctl {words} nftables.service", check=False)
        wait_for(f"the table after {words}", lambda: table(fleet) == before)


@pytest.mark.user_land
@pytest.mark.parametrize("verb", ["reload", "restart"])
def test_what_nftables_service_flushes_comes_back_at_once(flushed, verb):
    flush(flushed, "start", verb, f"{verb} nftables.service && systemctl {verb}", "stop")
    # The flush also removes the rules of the pods' network plugin, which only it restores.
    flushed.lab.exec("node2", "systemctl", "restart", "lab-pods.service")
    assert flushed.sources("namespace1/pod2") <= {FIRST, SECOND}
    assert flushed.changes() == []


# What an administrator may put into `systemctl edit nftables.service`, and what flushes the tables then.
EDITED = {
    "a start that fails": ("ExecStart=\nExecStart=/bin/false", "restart"),
    "another reload": ("ExecReload=\nExecReload=/usr/sbin/nft flush ruleset", "reload"),
    "a family of sockets": ("RestrictAddressFamilies=AF_NETLINK", "restart"),
}


@pytest.mark.user_land
@pytest.mark.parametrize("kind", EDITED)
def test_an_edited_unit_does_not_lose_the_tables(flushed, kind):
    lines, verb = EDITED[kind]
    folder = "/etc/systemd/system/nftables.service.d"
    text = f"printf '[Service]\n{lines}\n' > {folder}/override.conf && systemctl daemon-reload"
    flush(flushed, "start")
    try:
        flushed.lab.exec("node2", "sh", "-ec", text)
        flush(flushed, verb)
    finally:
        flushed.lab.exec("node2", "rm", f"{folder}/override.conf")
        flushed.lab.exec("node2", "systemctl", "daemon-reload")


@pytest.mark.user_land
@pytest.mark.parametrize("verb", ["reload", "restart"])
def test_a_flush_while_the_unit_still_runs_is_mended_too(flushed, verb):
    """After the unit has restored the table, and before systemd knows that it has ended."""
    flushed.lab.exec("node2", "sh", "-ec", SLOW_REFILL)
    flush(flushed, "start", verb, verb)


@pytest.mark.user_land
def test_a_boot_with_nftables_service_ends_with_the_table(flushed):
    before = table(flushed)
    flushed.lab.exec("node2", "systemctl", "enable", "--quiet", "--now", "nftables.service")
    try:
        flushed.lab.reboot("node2")
        wait_for("the table after a boot", lambda: table(flushed) == before)
        assert "netops" not in flushed.lab.exec("node2", "systemctl", "--failed", "--plain", "--no-legend")
    finally:
        flushed.lab.exec("node2", "systemctl", "disable", "--quiet", "nftables.service")
