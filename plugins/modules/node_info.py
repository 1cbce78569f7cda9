#!/usr/bin/python
# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: node_info
author:
  - The netops.egress_ip authors (@netops)
short_description: Tell what a host is to the egress IPs
description:
  - Reads, in one call, everything that a plan needs to know of a host - its primary interface and networks, the egress
    IPs it holds, what was applied last, and how the host differs from that.
  - Finds what stands in the way (a missing package, a kernel without vxlan, numbers that are in use by others)
    before anything is changed anywhere.
  - Changes nothing.
options:
  interface:
    description:
      - The interface for the egress IPs.
      - When it is empty, the one with the default route.
    type: str
    default: ""
  platform:
    description:
      - What the host runs on, V(baremetal), V(vsphere), V(virtual), V(openstack), V(aws), V(azure), V(gce) or V(cloud).
      - With V(auto), it is found out from the firmware's DMI fields. Where additional addresses are dropped (OpenStack
        and public clouds), that is a problem of the host then.
    type: str
    default: auto
  options:
    description: Names and numbers of the data plane. The keys are those of C(options) in a node's state.
    type: dict
    default: {}
  recall:
    description:
      - Names of EgressIP objects of which the record is wanted, for what they have is to be kept. These are the ones
        with errors, and the ones with addresses of a pool.
    type: list
    elements: str
    default: []
  metrics:
    description:
      - Whether RV(metrics) is wanted.
      - It costs a look at all tracked connections of the host, so a run that only plans does without.
    type: bool
    default: false
  probe:
    description:
      - Whether RV(conflicts) is wanted.
      - The wire is asked for what the node holds, which takes 0.4 seconds.
    type: bool
    default: false
extends_documentation_fragment:
  - netops.egress_ip.attributes
  - netops.egress_ip.attributes.info_module
seealso:
  - module: netops.egress_ip.node
"""

EXAMPLES = r"""
- name: Look at the host
  netops.egress_ip.node_info:
  register: egress_ip_observed
"""

RETURN = r"""
problems:
  description: What stands in the way on this host; the other values are there only when the host can be read at all.
  returned: always
  type: list
  elements: str
  sample: ["nftables: is not installed on this host; install the package"]
lost:
  description: What has become of the interface for the egress IPs on a host that has held some. No more is read then.
  returned: when that interface or its addresses are gone
  type: str
  sample: eth0 is not there, or has no address of its own
packages:
  description: The distribution's packages that are missing.
  returned: always
  type: list
  elements: str
  sample: [nftables]
platform:
  description: What the host runs on, and the BIOS UUID of a VM on vSphere.
  returned: when the host can be read
  type: dict
  sample: {name: vsphere, uuid: 42304b1e-9e7b-4f1d-8a52-0c1f6b0f6c11}
interface:
  description: The interface for the egress IPs.
  returned: when the host can be read
  type: str
  sample: eth0
endpoints:
  description: Where the node's tunnel ends, its own address of each IP version on that interface.
  returned: when the host can be read
  type: list
  elements: str
  sample: ["192.168.126.21", "2001:db8:126::21"]
networks:
  description: The node's own addresses by interface, in the form that P(netops.egress_ip.assign#filter) takes.
  returned: when the host can be read
  type: list
  elements: dict
  sample: [{interface: eth0, addresses: ["192.168.126.21/18"]}]
macs:
  description: The MAC addresses of the interfaces in C(networks).
  returned: when the host can be read
  type: dict
  sample: {eth0: "00:50:56:00:01:01"}
addresses:
  description: Every address of the node on any interface; traffic to these is node traffic and keeps its source.
  returned: when the host can be read
  type: list
  elements: str
  sample: ["192.168.126.21"]
gateways:
  description: The routers of the default routes.
  returned: when the host can be read
  type: list
  elements: str
  sample: [192.168.64.1]
held:
  description: The egress IPs that the node holds.
  returned: when the host can be read
  type: list
  elements: dict
  sample: [{egressIP: 192.168.126.10, interface: eth0}]
generation:
  description: The generation of the plan that was applied last, 0 for none.
  returned: when the host can be read
  type: int
  sample: 3
digest:
  description: The fingerprint of the state that was applied last, empty for none.
  returned: when the host can be read
  type: str
  sample: 1f6c9b0a4a7de9b2
drift:
  description: How the host differs from the state that was applied last, a line each.
  returned: when the host can be read
  type: list
  elements: str
  sample: ["missing ip rules: priority 7387 unreachable"]
farEnds:
  description: Where the tunnel ends for the egress IPs that are not on the primary interface of their holder.
  returned: when the host can be read
  type: list
  elements: dict
  sample: [{egressIP: 172.30.0.10, endpoint: 192.168.126.21}]
nodes:
  description: The nodes of the fleet as this node knows them.
  returned: when the host can be read
  type: list
  elements: dict
  sample: [{name: node1, endpoints: ["192.168.126.21"], addresses: ["192.168.126.21"]}]
recalled:
  description: What the record says of the objects in O(recall).
  returned: when the host can be read
  type: list
  elements: dict
  sample: [{name: egressips-prod, egressIPs: [192.168.126.10], pods: [10.88.0.2]}]
conflicts:
  description:
    - The egress IPs that the node holds and for which another host answers, with its MAC.
    - Neighbours reach the one or the other then, so connections fail now and then.
  returned: with O(probe), when the host can be read
  type: list
  elements: dict
  sample: [{egressIP: 192.168.126.102, interface: eth0, mac: "52:54:00:12:34:56"}]
metrics:
  description:
    - What the egress IPs carry that the node holds.
    - The C(use) of a source address has a row for each protocol - its C(connections) (as the kernel tracks them, those
      that have just ended among them), the destination with most of them (C(busiest)), and the share of the source
      ports that these take (C(port_share), from 0 to 1). A source address has 64512 ports for each destination, so this
      is where they run out first.
  returned: with O(metrics), when something was applied
  type: dict
  contains:
    egress_ips:
      description:
        - The egress IPs, each with its object, packets and bytes sent and received since the node took it, and C(use).
        - Only what leaves this node with the address counts, so the sum over all nodes counts nothing twice.
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
"""
