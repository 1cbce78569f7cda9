# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pods of containerd, started as a kubelet starts them: the source of their first packets with the CNI plugin.

containerd calls Debian's plugins `bridge` (with `host-local`) and `portmap`, then the plugin of the collection. The
network has one address, so each pod has that of the pod before. Then flannel takes the place of the plugin `bridge`,
with the files and the rules that its daemon writes.
"""

from __future__ import annotations

import json

import pytest
from conftest import VARIABLES, documents, follow
from engines import CLIENT, EGRESS_IP, LISTEN, SHORT_WAIT, STARTS, Containerd
from fleet import ADDRESS, wait_for
from lab_topology import SERVER, SERVER_PORT

NODE = "node3"
LIST = "/etc/cni/net.d/10-pods.conflist"
POD_ADDRESS = "10.90.0.2"
CONFLIST = f"""\
{{
  "cniVersion": "1.0.0",
  "name": "pods",
  "plugins": [
    {{
      "type": "bridge",
      "bridge": "cni0",
      "isGateway": true,
      "ipMasq": true,
      "ipam": {{
        "type": "host-local",
        "ranges": [[{{"subnet": "10.90.0.0/24", "rangeStart": "{POD_ADDRESS}", "rangeEnd": "{POD_ADDRESS}"}}]],
        "routes": [{{"dst": "0.0.0.0/0"}}]
      }}
    }},
    {{"type": "portmap", "capabilities": {{"portMappings": true}}}}
  ]
}}
"""

# What kube-flannel's pod copies to the node when it starts, and what its daemon writes then.
FLANNEL_LIST = "/etc/cni/net.d/10-flannel.conflist"
FLANNEL = """\
{
  "name": "cbr0",
  "cniVersion": "0.3.1",
  "plugins": [
    {
      "type": "flannel",
      "delegate": {
        "hairpinMode": true,
        "isDefaultGateway": true
      }
    },
    {
      "type": "portmap",
      "capabilities": {
        "portMappings": true
      }
    }
  ]
}
"""
SUBNET_FILE = "/run/flannel/subnet.env"
SUBNET = """\
FLANNEL_NETWORK=10.244.0.0/16
FLANNEL_SUBNET=10.244.2.1/24
FLANNEL_MTU=1450
FLANNEL_IPMASQ=true
"""
# With the option --ip-masq, which kube-flannel's manifest has.
FLANNEL_RULES = """
set -e
iptables -t nat -N FLANNEL-POSTRTG
iptables -t nat -A POSTROUTING -j FLANNEL-POSTRTG
iptables -t nat -A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 -j RETURN
iptables -t nat -A FLANNEL-POSTRTG -s 10.244.2.0/24 -d 10.244.0.0/16 -j RETURN
iptables -t nat -A FLANNEL-POSTRTG -s 10.244.0.0/16 -d 10.244.2.0/24 -j RETURN
iptables -t nat -A FLANNEL-POSTRTG ! -s 10.244.0.0/16 -d 10.244.2.0/24 -j RETURN
iptables -t nat -A FLANNEL-POSTRTG -s 10.244.0.0/16 ! -d 224.0.0.0/4 -j MASQUERADE --random-fully
iptables -t nat -A FLANNEL-POSTRTG ! -s 10.244.0.0/16 -d 10.244.0.0/16 -j MASQUERADE --random-fully
iptables -N FLANNEL-FWD
iptables -A FORWARD -j FLANNEL-FWD
iptables -A FLANNEL-FWD -s 10.244.0.0/16 -j ACCEPT
iptables -A FLANNEL-FWD -d 10.244.0.0/16 -j ACCEPT
"""
NO_FLANNEL = f"""
set -e
rm -f {FLANNEL_LIST} {SUBNET_FILE}
iptables -t nat -D POSTROUTING -j FLANNEL-POSTRTG
iptables -t nat -F FLANNEL-POSTRTG
iptables -t nat -X FLANNEL-POSTRTG
iptables -D FORWARD -j FLANNEL-FWD
iptables -F FLANNEL-FWD
iptables -X FLANNEL-FWD
"""


def apply(fleet, *words, **more):
    """Run a playbook with pods that are followed on one node."""
    return follow(fleet, NODE, "kubernetes", *words, **more)


def has_read(node, *words):
    """Whether the runtime has a list with these words."""
    status = node.cri("status")
    return all(word in status for word in words)


@pytest.fixture(scope="module")
def pods(fleet):
    """A node whose pods are followed."""
    node = Containerd(fleet.lab, NODE)
    node.write(LIST, CONFLIST)
    node.set_up()
    apply(fleet)
    wait_for("the runtime has read the list", lambda: has_read(node, "netops-egress-ip"))
    yield node
    node.tear_down()
    node.run("rm", LIST)
    node.run("ip", "link", "delete", "cni0")


@pytest.mark.repeats
def test_the_first_packets_of_a_pod(pods):
    for _start in range(STARTS):
        assert pods.first_packets("apps") == {EGRESS_IP: 300}
        assert pods.first_packets("others", count=20) == {ADDRESS[NODE]: 20}
        # The last run did not know this namespace.
        assert pods.first_packets("new", count=1, wait=SHORT_WAIT) == {"lost": 1}


def try_published_port(pods, pod):
    """Use a pod with a published port: connections to it stay as they are, and its own have the egress IP."""
    try:
        wait_for("the published port", lambda: pods.ask_published(SERVER.name, SERVER_PORT))
        assert pods.ask_published(SERVER.name, SERVER_PORT) == SERVER.address
        words = (*CLIENT, SERVER.address, str(SERVER_PORT), "--timeout", "5")
        assert json.loads(pods.cri("exec", pod["container"], *words))["source"] == EGRESS_IP
    finally:
        pods.cri("remove", pod["pod"])


def test_a_pod_with_a_published_port(pods):
    pod = json.loads(pods.cri("start", "apps", "web", str(SERVER_PORT), *LISTEN))
    try_published_port(pods, pod)
    assert pod["address"] == POD_ADDRESS


def test_a_second_run_changes_nothing(fleet, pods):
    assert apply(fleet).changed() == []
    assert '"netops-egress-ip"' in pods.run("cat", LIST)


def test_a_list_that_is_written_again_and_a_flush(fleet, pods):
    theirs = CONFLIST.replace('"pods"', '"pods-2"')
    pods.write(LIST, theirs)
    pods.run("nft", "flush", "ruleset")
    wait_for("the plugin is back", lambda: "netops-egress-ip" in pods.run("cat", LIST))
    assert pods.run("cat", LIST).replace(', {"type": "netops-egress-ip"}', "") == theirs
    wait_for("the runtime has read the list", lambda: has_read(pods, '"pods-2"', "netops-egress-ip"))
    wait_for("the tables are back", lambda: pods.run("nft", "list", "tables").count("egress_ip") == 2)
    assert pods.first_packets("apps") == {EGRESS_IP: 300}


@pytest.fixture
def flannel(pods):
    """The node with flannel in place of the plugin `bridge`."""
    pods.run("ip", "link", "delete", "cni0", check=False)
    pods.run("sh", "-c", FLANNEL_RULES)
    pods.write(SUBNET_FILE, SUBNET)
    pods.write(FLANNEL_LIST, FLANNEL)
    wait_for("the runtime has read flannel's list", lambda: has_read(pods, '"cbr0"', "netops-egress-ip"))
    yield pods
    pods.run("sh", "-c", NO_FLANNEL)
    wait_for("the runtime has read the list before", lambda: has_read(pods, '"pods', "netops-egress-ip"))


@pytest.mark.repeats
def test_flannel(flannel):
    """The list is a new one, which gets the plugin without a run; kube-flannel's pod copies it again when it starts."""
    for _start in range(STARTS):
        assert flannel.first_packets("apps") == {EGRESS_IP: 300}
    assert flannel.first_packets("others", count=20) == {ADDRESS[NODE]: 20}
    pod = json.loads(flannel.cri("start", "apps", "web", str(SERVER_PORT), *LISTEN))
    try_published_port(flannel, pod)
    assert pod["address"].startswith("10.244.2.")
    # Of another name, so that the runtime shows which one it has read.
    copied = FLANNEL.replace('"cbr0"', '"cbr1"')
    flannel.write(FLANNEL_LIST, copied)
    wait_for("the plugin is back", lambda: "netops-egress-ip" in flannel.run("cat", FLANNEL_LIST))
    assert flannel.run("cat", FLANNEL_LIST).replace(', {"type": "netops-egress-ip"}', "") == copied
    wait_for("the runtime has read the list", lambda: has_read(flannel, '"cbr1"', "netops-egress-ip"))
    assert flannel.first_packets("apps") == {EGRESS_IP: 300}
    # A list that has the plugin already, as docs/kubernetes.md describes, stays as it is and has no gap.
    entered = FLANNEL.replace("\n  ]", ',\n    {"type": "netops-egress-ip"}\n  ]').replace('"cbr0"', '"cbr2"')
    flannel.write(FLANNEL_LIST, entered)
    wait_for("the runtime has read the list", lambda: has_read(flannel, '"cbr2"', "netops-egress-ip"))
    assert flannel.first_packets("apps") == {EGRESS_IP: 300}
    assert flannel.run("cat", FLANNEL_LIST) == entered


def test_nothing_of_it_stays(fleet, pods):
    pods.write(LIST, CONFLIST)
    apply(fleet)
    assert pods.run("cat", LIST) != CONFLIST
    fleet.good(egress_ip_manifests=documents(), **VARIABLES)
    assert pods.run("cat", LIST) == CONFLIST
    script = "ls /usr/lib/cni /run/netops-egress-ip.pods /var/lib/netops-egress-ip/follow.json 2>/dev/null"
    left = pods.run("sh", "-c", script, check=False).split()
    assert not {"netops-egress-ip", "/var/lib/netops-egress-ip/follow.json"} & {*left}
