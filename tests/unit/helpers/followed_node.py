# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node that follows the egress IPs, on a host in memory and a wire that the test controls."""

from __future__ import annotations

import copy

from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import CommandError
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.esp import fingerprint
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.segment import Received
from ansible_collections.netops.egress_ip.plugins.module_utils._node.follow import Follower
from ansible_collections.netops.egress_ip.plugins.module_utils._protocols.address_probe import PARSERS
from ansible_collections.netops.egress_ip.plugins.module_utils._protocols.ethernet import NeighbourMessage
from fake_node_io import FakeKernel
from node_runs import apply
from states import held, node_state

KEY = "k" * 40
A, A6 = "192.168.126.101", "2001:db8:126::101"
MAC2, ROUTER = "02:00:c0:a8:7e:12", "02:00:00:00:00:01"
ORDER = [
    {"name": "node1", "address": "192.168.126.21", "mac": "02:00:c0:a8:7e:15"},
    {"name": "node2", "address": "192.168.126.22", "mac": MAC2},
]


class FakeCall:
    """A call with another node, which sends `answers`; None is a broken connection."""

    def __init__(self, *answers, peer="192.168.126.22", request=None):
        self.answers, self.sent, self.peer, self.request = list(answers), [], peer, request or {}
        self.closed = False

    def send(self, content):
        self.sent.append(content)

    def receive(self):
        answer = self.answers.pop(0) if self.answers else None
        if answer is None:
            raise CommandError("no answer: timed out")
        return answer() if callable(answer) else answer

    def close(self):
        self.closed = True

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.close()


class FakeSegment:
    """A wire on which `answers` {address: MAC} are answered at once. Its clock goes on while the program waits."""

    def __init__(self):
        self.now, self.unread, self.sent = 0.0, [], []
        self.is_behind, self.drops = False, []
        self.answers = {A: MAC2, "192.168.126.22": MAC2, "192.168.126.1": ROUTER}

    def open(self, interfaces, awaited=()):
        self.interfaces, self.awaited = set(interfaces), awaited
        return ""

    def has_dropped(self):
        return bool(self.drops and self.drops.pop(0))

    def clocks(self):
        return self.now, self.now

    def wait(self, seconds, _rest):
        self.now += max(seconds, 0.001)

    def read(self):
        unread, self.unread = self.unread, []
        return unread

    def hear(self, mac, uses):
        self.unread.append(Received("eth0", NeighbourMessage(mac, uses, ""), True, ""))

    def send(self, interface, ethertype, frame):
        message = PARSERS[ethertype](frame)
        asked = message.probes or ".".join(map(str, frame[38:42]))
        self.sent.append((interface, message))
        if asked in self.answers and message.uses != asked:
            self.hear(self.answers[asked], asked)


def state(holder, ends=(), **more):
    """Return the state of node1 when one of the two nodes holds A."""
    order = ORDER if holder == "node2" else ORDER[::-1]
    standbys = [{"egressIP": A, "interface": "eth0", "order": order}]
    failover = {"after": 0.2, "witnesses": ["192.168.126.1"], "key": fingerprint(KEY), "ends": list(ends)}
    taken = held(A) if holder == "node1" else []
    return node_state(**{"held": taken, "failover": failover, "standbys": standbys, **more})


def following(kernel, holder, **more):
    """A program that knows everybody."""
    apply(kernel, state(holder, **more), failover_key=KEY)
    kernel.the_segment = FakeSegment()
    if holder == "node1":
        del kernel.the_segment.answers[A]
    follower = Follower(kernel)
    run_for(follower, 2)
    kernel.log.clear()
    return follower


def run_for(follower, seconds):
    """Let the program run for some seconds."""
    end = follower.segment.now + seconds
    while follower.segment.now < end:
        assert follower.read_record()
        follower.turn()


def many(number, holder):
    """The state of node1 when one of the two nodes holds so many addresses of as many objects."""
    ips = [f"192.168.100.{i}" for i in range(1, number + 1)]
    base = state(holder)
    order = base.to_dict()["standbys"][0]["order"]
    return ips, node_state(
        egressips=[{"name": f"o{ip}", "egressIPs": [ip], "slots": [ip]} for ip in ips],
        pods=[],
        held=[{"egressIP": ip, "interface": "eth0"} for ip in (ips if holder == "node1" else ())],
        failover=base.failover.to_dict(),
        standbys=[{"egressIP": ip, "interface": "eth0", "order": order} for ip in ips],
    )


def follow_many(number, holder):
    """A program that watches or holds so many addresses, on a host of its own."""
    kernel = FakeKernel()
    ips, wanted = many(number, holder)
    apply(kernel, wanted, failover_key=KEY)
    kernel.the_segment = FakeSegment()
    if holder == "node2":
        kernel.the_segment.answers.update(dict.fromkeys(ips, MAC2))
    follower = Follower(kernel)
    run_for(follower, 2)
    return follower, ips


def locked_out(kernel):
    """Let a run hold the lock of the host until `kernel.first` is None."""

    def locked():
        kernel.first = locked
        raise CommandError("another run holds the lock")

    kernel.first = locked


def standbys_that_fail(kernel, before, log):
    """Yield (step, a standby on the host as it was before) for each change in a log; the host refuses this one."""
    steps = [line for kind, line in log if kind in ("ip", "nft", "file", "publish")]
    assert len(steps) > 5
    for step in steps:
        kernel.__dict__.update(copy.deepcopy(before), log=[], fail=())
        again = Follower(kernel)
        again.segment.answers[A] = MAC2
        run_for(again, 2)
        kernel.fail = (step,)
        yield step, again
