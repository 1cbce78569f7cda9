# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pods of Kubernetes: the source of their first packets on a node with the CNI plugin.

Debian has no runtime of Kubernetes that starts pods without an API server. RUNTIME calls the plugins of the node's list
as a runtime does; BRIDGE stands for the plugin that connects pods, and gives all of them the same address in turn. Each
pod is a network namespace.
"""

from __future__ import annotations

import json

import pytest
from conftest import VARIABLES, documents
from engines import BURST, EGRESS_IP, Host
from fleet import ADDRESS, Fleet, wait_for

NODE = "node3"
LIST = "/etc/cni/net.d/10-pods.conflist"
CONFLIST = """\
{
  "cniVersion": "1.0.0",
  "name": "pods",
  "plugins": [
    {"type": "lab-bridge", "bridge": "cni0"}
  ]
}
"""
BRIDGE = """\
#!/usr/bin/python3
import json, os, subprocess, sys

pod, config = os.environ["CNI_CONTAINERID"], json.load(sys.stdin)

def ip(options, *lines):
    text = "".join(f"{line}\\n" for line in lines)
    subprocess.run(["ip", *options, "-batch", "-"], input=text, text=True, check=True)

if os.environ["CNI_COMMAND"] == "ADD":
    ip([], f"link add v-{pod} type veth peer name eth0 netns {pod}", f"link set v-{pod} master {config['bridge']} up")
    ip(["-n", pod], "address add 10.90.0.2/24 dev eth0", "link set eth0 up", "route add default via 10.90.0.1")
    ips = [{"address": "10.90.0.2/24", "gateway": "10.90.0.1", "interface": 0}]
    interfaces = [{"name": "eth0", "sandbox": os.environ["CNI_NETNS"]}]
    print(json.dumps({"cniVersion": config["cniVersion"], "interfaces": interfaces, "ips": ips}))
else:
    ip([], f"link delete v-{pod}")
"""
SET_UP = """
set -e
ip link add cni0 type bridge && ip address add 10.90.0.1/24 dev cni0 && ip link set cni0 up
nft add table ip lab_cni
nft 'add chain ip lab_cni srcnat { type nat hook postrouting priority 100; }'
nft add rule ip lab_cni srcnat ip saddr 10.90.0.0/24 oifname != cni0 masquerade
chmod 755 /usr/lib/cni/lab-bridge
"""
CLEAN_UP = f"rm -f {LIST} /usr/lib/cni/lab-bridge; ip link delete cni0; nft delete table ip lab_cni"
RUNTIME = """\
import json, os, subprocess, sys

command, pod, namespace = sys.argv[1:]
config = json.load(open("/etc/cni/net.d/10-pods.conflist"))
environment = {
    "CNI_COMMAND": command,
    "CNI_CONTAINERID": pod,
    "CNI_NETNS": f"/run/netns/{pod}",
    "CNI_IFNAME": "eth0",
    "CNI_ARGS": f"IgnoreUnknown=1;K8S_POD_NAMESPACE={namespace};K8S_POD_NAME={pod}",
    "CNI_PATH": "/usr/lib/cni",
    "PATH": os.environ["PATH"],
}
result = None
for plugin in config["plugins"] if command == "ADD" else reversed(config["plugins"]):
    given = {**plugin, "cniVersion": config["cniVersion"], "name": config["name"]}
    given.update({"prevResult": result} if result else {})
    path = "/usr/lib/cni/" + plugin["type"]
    done = subprocess.run([path], input=json.dumps(given), env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{plugin['type']}: {done.stdout}{done.stderr}")
    if command == "ADD":
        result = json.loads(done.stdout)
"""


class Pods(Host):
    """A node with a list of network plugins."""

    def runtime(self, command: str, pod: str, namespace: str) -> None:
        """Call all plugins of the list."""
        self.run("python3", "-c", RUNTIME, command, pod, namespace)

    def first_packets(self, namespace: str, pod: str = "pod", count: int = 300) -> dict[str, int]:
        """{source that the server saw: datagrams} of a new pod, whose first act they are."""
        self.run("ip", "netns", "add", pod)
        try:
            self.runtime("ADD", pod, namespace)
            return json.loads(self.run("ip", "netns", "exec", pod, *BURST, str(count)))
        finally:
            self.runtime("DEL", pod, namespace)
            self.run("ip", "netns", "delete", pod)

    def list_text(self) -> str:
        """The list."""
        return self.run("cat", LIST)


@pytest.fixture(scope="module")
def fleet(lab):
    """The fleet of all tests of this scenario, without engines."""
    made = Fleet(lab)
    yield made
    made.close()


def apply(fleet, *words, **more):
    """Run a playbook with pods that are followed on one node."""
    hosts = {**VARIABLES["hosts"], NODE: {**VARIABLES["hosts"][NODE], "egress_ip_follow": ["kubernetes"]}}
    return fleet.good(*words, egress_ip_manifests=documents(), **{**VARIABLES, "hosts": hosts, **more})


@pytest.fixture(scope="module")
def pods(fleet):
    """A node whose pods are followed."""
    node = Pods(fleet.lab, NODE)
    node.write("/usr/lib/cni/lab-bridge", BRIDGE)
    node.write(LIST, CONFLIST)
    node.run("bash", "-c", SET_UP)
    apply(fleet)
    yield node
    node.run("sh", "-c", CLEAN_UP, check=False)


def test_the_first_packets_of_a_pod(pods):
    for _start in range(3):
        assert pods.first_packets("apps") == {EGRESS_IP: 300}
        assert pods.first_packets("others", count=20) == {ADDRESS[NODE]: 20}
        # The last run did not know this namespace.
        assert pods.first_packets("new", count=1) == {"lost": 1}


def test_a_second_run_changes_nothing(fleet, pods):
    assert apply(fleet).changed() == []
    assert '"netops-egress-ip"' in pods.list_text()


def test_a_list_that_is_written_again_and_a_flush(fleet, pods):
    theirs = CONFLIST.replace('"pods"', '"pods-2"')
    pods.write(LIST, theirs)
    pods.run("nft", "flush", "ruleset")
    wait_for("the plugin is back", lambda: "netops-egress-ip" in pods.list_text())
    assert pods.list_text().replace(', {"type": "netops-egress-ip"}', "") == theirs
    wait_for("the tables are back", lambda: pods.run("nft", "list", "tables").count("egress_ip") == 2)
    assert pods.first_packets("apps") == {EGRESS_IP: 300}


def test_nothing_of_it_stays(fleet, pods):
    pods.write(LIST, CONFLIST)
    apply(fleet)
    assert pods.list_text() != CONFLIST
    fleet.good(egress_ip_manifests=documents(), **VARIABLES)
    assert pods.list_text() == CONFLIST
    script = "ls /usr/lib/cni /run/netops-egress-ip.pods /var/lib/netops-egress-ip/follow.json 2>/dev/null"
    left = pods.run("sh", "-c", script, check=False).split()
    assert not {"netops-egress-ip", "/var/lib/netops-egress-ip/follow.json"} & {*left}
