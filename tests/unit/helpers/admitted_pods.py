# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Node1 of the small fleet as one that follows pods: its rules, its notes, and what the server sees of a pod."""

from __future__ import annotations

import contextlib
import json
import socket
from dataclasses import replace

from ansible_collections.netops.egress_ip.plugins.module_utils._common.selectors import Selector
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.followed_pods import (
    Follow,
    FollowedNamespace,
    PodRule,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.nft_ruleset import desired_admission
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import pod_labels, pod_notes
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.host_io import HostIO
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.pod_notes import NoteError
from small_fleet import (
    SERVER,
    SERVICE_PORT,
    apply_state,
    inside,
    ip,
    listener,
    run,
    send,
    small_fleet,
    sources,
    state_of,
)

# Addresses of pod1 that no manifest names.
POD = {4: "10.88.0.7", 6: "fd00:88::7"}
FOLLOW = Follow(
    ("kubernetes", "podman"),
    (
        FollowedNamespace("labs", (PodRule("one", Selector((("app", "web"),))),)),
        FollowedNamespace("plain"),
        FollowedNamespace("shop", (PodRule("one"),)),
    ),
)


def state(**changes):
    """Return the state of node1, which follows pods."""
    return replace(state_of("node1", {}), **{"follow": FOLLOW, **changes})


@contextlib.contextmanager
def fleet_with_pod():
    """Build the fleet, with the addresses of POD in pod1."""
    with small_fleet():
        ip("pod1", *(f"address add {a}/{n} dev eth0{e}" for a, n, e in ((POD[4], 24, ""), (POD[6], 64, " nodad"))))
        yield


def begin(monkeypatch, folder):
    """Let node1 follow pods, with its files in this folder and without an API server."""
    names = {"NOTES_FOLDER": "pods", "LOCK_FILE": "lock", "RULES_FILE": "follow.json", "CLOSED_FILE": "closed"}
    for name, value in names.items():
        monkeypatch.setattr(pod_notes, name, str(folder / value))
    monkeypatch.setattr(pod_labels, "read_labels", no_answer)
    # The first starts with sets of its own: those of the test before have its pods.
    apply_to_node(state_of("node1", {}))
    apply_to_node(state())


def apply_to_node(wanted):
    """Do what a run does."""
    apply_state("node1", wanted)
    with inside("node1"):
        admission = desired_admission(wanted)
        if admission:
            HostIO.admit_pods(admission)


def no_answer(*_pod):
    """Fail as a request to an API server that does not answer."""
    raise NoteError("https://10.0.0.1:6443: no answer")


def seen(version, count=3):
    """Return the sources that the server sees of datagrams from the pod's address, each from a new port."""
    with listener("server", version) as server:
        for _datagram in range(count):
            send("pod1", SERVER[version], source=POD[version])
        return sources(server, count)


def send_from_one_port():
    """Send a datagram from the pod, from a port that the kernel may know from a former pod."""
    with inside("pod1"), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((POD[4], 5555))
        sock.sendto(b"x", (SERVER[4], SERVICE_PORT))


def elements():
    """Return {address: kind of its verdict} of the pods that started between runs."""
    with inside("node1"):
        tables = json.loads(run("nft", "-j", "list", "map", "inet", "egress_ip", "followed4"))["nftables"]
    return {key: next(iter(value)) for item in tables for key, value in item.get("map", {}).get("elem", ())}
