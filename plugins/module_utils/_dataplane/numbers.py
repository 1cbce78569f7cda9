# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The numbers and names that the data plane takes on a host, each with its reason. PRIVATE to the collection.

Those that a user may change are in `options`.
"""

from __future__ import annotations

# --- iproute2 ---------------------------------------------------------------------------------------------------------
# `protocol` of our rules, routes and neighbours (rtnetlink), by which we find them again; assigned to no other program.
PROTOCOL = 225
# Alias of the tunnel device and label of the egress IPs, by which we find them again.
ALIAS = "netops.egress_ip"
LABEL = "egress"
# The kernel's main routing table.
MAIN_TABLE = 254
# `protocol` of routes that the kernel learned from router advertisements (RTPROT_RA).
ROUTER_ADVERTISEMENT = "9"
# RFC 7600's dummy address: reverse path checks need an address on the tunnel device; it never leaves the node.
DUMMY_ADDRESS = "192.0.0.8/32"
# Begins the MAC address of the tunnel device, before 40 random bits: while our tables are gone, a frame from outside
# cannot reach the device without it. MAC addresses of egress IPs begin with 02:e1 or 06.
RANDOM_MAC = "0a:"
# Headers of the inner Ethernet frame, IPv6, UDP and VXLAN (14 + 40 + 8 + 8): one MTU for both IP versions.
VXLAN_OVERHEAD = 70

# Priorities of our policy routing rules, as offsets from the option `rule_priority`; `iproute` describes the rules.
RULE_BYPASS, RULE_LOCAL, RULE_GROUPS, RULE_FIRST_GROUP = 0, 1, 2, 3
# Rules of one group of marks: its start, the claims, the routes through the tunnel.
GROUP_START, GROUP_CLAIM, GROUP_TUNNEL = 0, 1, 2
RULES_PER_GROUP = 3
# The widest mask has 14 bits, of which the upper 7 select the group. All masks reserve the same priorities, so that a
# `goto` always has the same target: the kernel ignores the target when it compares rules.
MAX_GROUPS = 128
RULE_END = RULE_FIRST_GROUP + RULES_PER_GROUP * MAX_GROUPS + 1
# Behind the target of the rules that skip all others: users of the host whose packets have no mark yet.
RULE_USERS = RULE_END + 1
# The metric of a route that others precede.
LAST_METRIC = 0xFFFFFFFF
# Below 1000, the priority of the kernel's rule for VRFs: replies that arrive in a VRF leave it before that rule.
VRF_PRIORITY = 990

# --- IPsec policies ---------------------------------------------------------------------------------------------------
# By this priority we find them again. It is near the highest number, so policies of others come first.
POLICY_PRIORITY = 4294967225

# --- ESP of the tunnel ------------------------------------------------------------------------------------------------
# By this number (`reqid`) we find our states and policies again. Other programs count from 1, or from 16384.
ESP_REQUEST_ID = 4294967225
# Near the lowest number: a policy of others for all packets between two nodes does not take the tunnel's packets.
ESP_POLICY_PRIORITY = 225
# SPI and sequence number, initialization vector, at most a block of padding, its length and next header, tag
# (8 + 16 + 15 + 2 + 16).
ESP_OVERHEAD = 57

# --- nftables: priorities of the chains -------------------------------------------------------------------------------
# The table of the tunnel device has one chain only.
NFT_INGRESS = 0
# Before connection tracking (-200), so that `notrack` has an effect.
NFT_RAW = -300
# After all destination translations, such as kube-proxy's, which the kernel does at -100 for chains of any priority:
# the final destination of a packet decides.
NFT_MARK = -90
# Before the filters of others (0), where those that change forwarded packets are.
NFT_FORWARD = -150
# The zone of connections of users that are pods.
CONNTRACK_ZONE = 225
# Just before the filters of others (0): what they accept cannot let a packet pass that we drop.
NFT_FILTER = -1
# Before the masquerading of container networks (100): the first translation of a connection is final.
NFT_SNAT = 90
# After every source translation (100), where a packet has its final source.
NFT_GUARD = 110
