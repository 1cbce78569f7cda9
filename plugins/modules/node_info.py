#!/usr/bin/python
# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: node_info
author:
  - The netops.egress_ip authors (@netops)
short_description: Gather egress IP facts of a node
description:
  - Returns, in one call, everything that a plan needs about a host - its primary interface and networks, the egress IPs
    that it holds, the state that was applied last, and how the host differs from it.
  - Finds problems (a missing package, a kernel without vxlan, numbers that others use) before anything is changed.
  - Changes nothing, except that it keeps the program of this collection, compiled, in C(/run) until the host boots.
options:
  interface:
    description:
      - The interface for the egress IPs.
      - If it is empty, the one with the default route.
    type: str
    default: ""
  platform:
    description:
      - The platform of the host, V(baremetal), V(virtual), V(openstack), V(aws), V(azure), V(gce), V(cloud), or one
        that has a role, such as V(vsphere).
      - With V(auto), the firmware's DMI fields show it. A platform that drops additional addresses (OpenStack and
        public clouds) is then a problem of the host.
    type: str
    default: auto
  options:
    description: Names and numbers of the data plane. The keys are those of C(options) in the state of a node.
    type: dict
    default: {}
  recall:
    description:
      - Names of EgressIP objects whose record is returned, so that they keep their addresses. These are the objects
        with errors, those with addresses of a pool, and those that request an address of another one.
    type: list
    elements: str
    default: []
  networks:
    description:
      - Networks of containers and virtual machines whose addresses are returned, V(podman:NAME), V(docker:NAME),
        V(libvirt:NAME), V(interface:NAME), V(user:NAME) or a CIDR, such as
        RV(netops.egress_ip.manifests_info#module:network_names).
      - Malformed ones are ignored; M(netops.egress_ip.plan) reports them.
    type: list
    elements: str
    default: []
  host_networks:
    description:
      - Further networks of this host, a dictionary of namespaces and lists of networks.
    type: raw
    default: {}
  follow:
    description:
      - The engines on the host whose pods are to be followed, V(kubernetes) or V(podman). Fills RV(follow_problem).
    type: list
    elements: str
    default: []
  engines:
    description:
      - Engines whose containers or virtual machines are returned, for V(podman) and V(docker) those of root.
      - Each costs some tenths of a second on a host that has it.
    type: list
    elements: str
    choices: [podman, docker, libvirt]
    default: []
  metrics:
    description:
      - Whether to return RV(metrics) and RV(since).
      - This reads all tracked connections of the host, so a run that only plans does not use it.
    type: bool
    default: false
  probe:
    description:
      - Whether to return RV(conflicts).
      - The node probes the addresses that it holds, which takes 0.4 seconds.
    type: bool
    default: false
  answer_timeout:
    description:
      - Seconds after which a node that can be reached, but does not answer, fails with C(timedout); 0 for no limit.
      - Only the connection and the run of the module count. The keyword C(timeout) of a task counts the seconds too in
        which the controller prepares the module or waits for a processor.
    type: float
    default: 0
  of_run:
    description:
      - Whether options that are missing follow from the registered results of M(netops.egress_ip.settings) and
        M(netops.egress_ip.manifests_info), C(egress_ip_settings) and C(egress_ip_manifests_info).
      - In a large fleet, options as templates take longer than the call of the node.
      - The facts are one text then, C(facts), except C(packages) and C(digest). The modules that read
        C(egress_ip_node_info) accept either form.
    type: bool
    default: false
extends_documentation_fragment:
  - netops.egress_ip.attributes
  - netops.egress_ip.attributes.info_module
seealso:
  - module: netops.egress_ip.node
"""

EXAMPLES = r"""
- name: Gather the egress IP facts of the host
  netops.egress_ip.node_info:
  register: egress_ip_node_info
"""

RETURN = r"""
facts:
  description:
    - All facts but C(packages) and C(digest) as one JSON text, in place of the values below. C(nodes) and C(containers)
      may be compressed in it.
    - Ansible copies a text much faster than many values.
  returned: with O(of_run)
  type: str
  sample: '{"problems": [], "interface": "eth0", "endpoints": ["192.168.126.21"]}'
since:
  description: The egress IPs that the host holds, with the seconds since 1970 at which it got them. With O(metrics).
  returned: without O(of_run)
  type: dict
  sample: {192.168.126.10: 1795955301}
controller_seconds:
  description: The seconds that the controller took apart from the node, if they are more than O(answer_timeout).
  returned: when the controller is slow
  type: float
  sample: 34.5
problems:
  description: Reasons why this host cannot be a node. The other values may be empty then.
  returned: without O(of_run)
  type: list
  elements: str
  sample: ["nftables: is not installed on this host; install the package"]
lost:
  description: Why a node has lost its interface for the egress IPs, else empty. With it, the other values are empty.
  returned: without O(of_run)
  type: str
  sample: eth0 does not exist or has no address of its own
packages:
  description: The packages of the distribution that are missing.
  returned: always
  type: list
  elements: str
  sample: [nftables]
platform:
  description: The platform of the host, and its BIOS UUID if the firmware shows it.
  returned: without O(of_run)
  type: dict
  sample: {name: vsphere, uuid: 42304b1e-9e7b-4f1d-8a52-0c1f6b0f6c11}
interface:
  description: The interface for the egress IPs.
  returned: without O(of_run)
  type: str
  sample: eth0
endpoints:
  description: The endpoints of the node's tunnel, its own address of each IP version on that interface.
  returned: without O(of_run)
  type: list
  elements: str
  sample: ["192.168.126.21", "2001:db8:126::21"]
networks:
  description: The node's own addresses by interface, in the form that P(netops.egress_ip.assign#filter) takes.
  returned: without O(of_run)
  type: list
  elements: dict
  sample: [{interface: eth0, addresses: ["192.168.126.21/18"]}]
macs:
  description: The MAC addresses of the interfaces in C(networks).
  returned: without O(of_run)
  type: dict
  sample: {eth0: "00:50:56:00:01:01"}
addresses:
  description: Every address of the node on any interface; traffic to these is node traffic and keeps its source.
  returned: without O(of_run)
  type: list
  elements: str
  sample: ["192.168.126.21"]
gateways:
  description: The routers of the default routes.
  returned: without O(of_run)
  type: list
  elements: str
  sample: [192.168.64.1]
routers:
  description:
    - The routers of the default routes by the interfaces in C(networks), in any routing table.
    - An egress IP on another interface than C(interface) needs one to reach destinations outside the networks of its
      interface.
  returned: without O(of_run)
  type: dict
  sample: {eth0: [192.168.64.1]}
bridge_filtered:
  description:
    - The IP versions whose packets pass iptables on the interface for the egress IPs, because that is a bridge or on
      top of one.
    - Such a node loses replies to pods of other nodes, so it gets no egress IP of this version.
  returned: without O(of_run)
  type: list
  elements: int
  sample: []
forward_filters:
  description:
    - The nftables chains of others that drop forwarded packets, in tables without a rule for the tunnel device.
  returned: without O(of_run)
  type: list
  elements: dict
  sample: [{family: ip, table: filter, chain: FORWARD}]
held:
  description: The egress IPs that the node holds.
  returned: without O(of_run)
  type: list
  elements: dict
  sample: [{egressIP: 192.168.126.10, interface: eth0}]
generation:
  description: The generation of the plan that was applied last, 0 for none.
  returned: without O(of_run)
  type: int
  sample: 3
digest:
  description: A fingerprint of the state that was applied last, empty for none.
  returned: always
  type: str
  sample: 1f6c9b0a4a7de9b2
drift:
  description:
    - The differences of the host from the state that was applied last, a line each. Of more than 50, the last line has
      the number of the others.
  returned: without O(of_run)
  type: list
  elements: str
  sample: ["missing ip rules: priority 7387 unreachable"]
far_ends:
  description: The endpoint of the tunnel for each egress IP that is not on the primary interface of its holder.
  returned: without O(of_run)
  type: list
  elements: dict
  sample: [{egressIP: 172.30.0.10, endpoint: 192.168.126.21}]
tunnel_keys:
  description:
    - The fingerprints of the secrets that an encrypted tunnel accepts; the node sends with the first. Empty without
      encryption.
  returned: without O(of_run)
  type: list
  elements: str
  sample: [5d3a0f8e1b2c4d67]
standbys:
  description: The nodes that may hold each egress IP with failover, in the order in which they claim it.
  returned: without O(of_run), if a state with failover was applied
  type: list
  elements: dict
  sample: [{egressIP: 192.168.126.10, order: [node2, node3, node1]}]
failover_key:
  description: The fingerprint of the key with which the nodes call each other, empty if this node has lost it.
  returned: without O(of_run), if a state with failover was applied
  type: str
  sample: 5d3a0f8e1b2c4d67
takeovers:
  description:
    - The egress IPs that the node took over since its last run, the node that had each (empty if unknown), and the
      time in seconds since 1970.
  returned: without O(of_run), if a state with failover was applied
  type: list
  elements: dict
  sample: [{egressIP: 192.168.126.10, from: node1, since: 1795939200.0}]
nodes:
  description:
    - The nodes of the fleet as this node knows them, the JSON text of a list of dictionaries.
    - In a large fleet Ansible copies a text much faster than many values.
  returned: without O(of_run)
  type: str
  sample: '[{"name": "node1", "endpoints": ["192.168.126.21"], "addresses": ["192.168.126.21"]}]'
recalled:
  description:
    - The record of the objects in O(recall).
    - C(namespaces) are those whose pods an object selects, with its podSelector, on a node that follows pods.
  returned: without O(of_run)
  type: list
  elements: dict
  sample: [{name: egressips-prod, egressIPs: [192.168.126.10], pods: [10.88.0.2]}]
named_networks:
  description:
    - The addresses of the networks in O(networks) and O(host_networks), and of those on record, with their namespace
      there (empty for none). A C(problem) is why a network has none, or why those on record are returned.
    - A user of the host has C(uids), ranges of numbers, in place of addresses.
  returned: without O(of_run)
  type: list
  elements: dict
  sample: [{network: "podman:web", namespace: web, cidrs: [10.89.0.0/24], problem: ""}]
followed_pods:
  description:
    - The containers of Podman that chose their namespace by an annotation when they started and still run, with the
      labels of their annotation.
  returned: without O(of_run)
  type: list
  elements: dict
  sample: [{name: 0123456789ab, namespace: web, labels: {app: shop}, addresses: [10.89.7.2]}]
follow_problem:
  description: Why the host cannot follow the pods of the engines in O(follow), empty if it can.
  returned: without O(of_run)
  type: str
  sample: "/etc/cni/net.d: has no list of network plugins"
containers:
  description:
    - The containers and virtual machines of the engines in O(engines), the JSON text of a list of dictionaries, one for
      each engine. C(found) has the name, the labels and the addresses of each that runs.
    - If the engine cannot be read, C(problem) is the reason, C(found) is empty, and C(kept) has the addresses and
      objects that are on record for it.
  returned: without O(of_run)
  type: str
  sample: '[{"engine": "podman", "found": [{"name": "shop", "labels": {"app": "shop"}, "addresses": ["10.89.7.10"]}],
    "problem": "", "kept": []}]'
conflicts:
  description:
    - The egress IPs that the node holds and for which another host answers, with its MAC address.
    - Neighbours reach either host then, so connections fail at random. Empty without O(probe).
  returned: without O(of_run)
  type: list
  elements: dict
  sample: [{egressIP: 192.168.126.102, interface: eth0, mac: "52:54:00:12:34:56"}]
metrics:
  description:
    - The traffic of the egress IPs that the node holds. Null without O(metrics), or if no state was applied yet.
    - The C(use) of a source address has a row for each protocol - its C(connections) (as the kernel tracks them,
      including those that ended recently), the destination with most of them (C(busiest)), and the share of the source
      ports that these take (C(port_share), from 0 to 1). A source address has 64512 ports for each destination, so they
      run out there first.
  returned: without O(of_run)
  type: dict
  contains:
    egress_ips:
      description:
        - The egress IPs, each with its object, packets and bytes sent and received since the node claimed it, and
          C(use).
        - Only traffic that leaves this node with the address counts, so a sum over all nodes counts nothing twice.
      type: list
      elements: dict
      sample:
        - egressIP: 192.168.126.10
          object: egressips-prod
          transmit_packets: 5120
          transmit_bytes: 380211
          receive_packets: 4801
          receive_bytes: 7340032
          use: [{protocol: tcp, connections: 12, busiest: "203.0.113.5:443", port_share: 0.000186}]
    tunnel:
      description: The node's own addresses, from which its pods' connections go to the egress IPs of other nodes.
      type: list
      elements: dict
      sample:
        - source: 192.168.126.21
          use: [{protocol: tcp, connections: 3, busiest: "203.0.113.5:443", port_share: 0.000047}]
    conflicts:
      description: The held egress IPs for which another host answered the last probe of the watch, with its MAC.
      type: list
      elements: dict
      sample: [{egressIP: 192.168.126.10, mac: "52:54:00:12:34:56"}]
"""
