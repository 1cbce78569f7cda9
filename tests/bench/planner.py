# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure the planner through the public filter, against a plain greedy placement of the same run.

The worlds: each node has its primary network in one of ten segments and, one in four, a secondary network that
crosses them; an object has one to four addresses of one of these networks. The greedy placement takes addresses one
by one: it keeps what may stay, and gives the rest the least loaded node by a look at all nodes. It is given parsed
input; the planner reads and checks every document. Prints a table; exits with 1 if a goal is missed.
"""

from __future__ import annotations

import gc
import ipaddress
import random
import resource
import sys
import time
from pathlib import Path

COLLECTIONS = Path(__file__).resolve().parents[5]
sys.path.insert(0, str(COLLECTIONS))
from ansible_collections.netops.egress_ip.plugins.filter.assign import FilterModule  # noqa: E402

ASSIGN = FilterModule().filters()["assign"]
LABEL = "k8s.ovn.org/egress-assignable"
SEGMENTS = 10
# Nodes, addresses, event, seconds.
GOALS = [
    (3, 300, "scratch", 0.02),
    (50, 200, "scratch", 0.02),
    (1000, 10_000, "scratch", 0.5),
    (1000, 10_000, "node fails", 0.3),
    (1000, 10_000, "node returns", 0.3),
    (1000, 100_000, "scratch", 5.0),
]
REPEATS = 3
GREEDY_LIMIT = 10_000


def network(segment: int) -> ipaddress.IPv4Network:
    """The network of a segment; the last one is the secondary network of all."""
    return ipaddress.IPv4Network((f"10.{segment}.0.0", 16))


def fleet(count: int) -> list[dict]:
    """`count` nodes in ten segments, or in one if they are few."""
    segments = SEGMENTS if count > SEGMENTS else 1
    nodes = []
    for number in range(count):
        own = [network(number % segments)] + [network(SEGMENTS)] * (number % 4 == 0)
        networks = [{"interface": f"eth{n}", "addresses": [f"{each[60000 + number]}/16"]} for n, each in enumerate(own)]
        nodes.append({"name": f"node{number:04}", "labels": {LABEL: ""}, "networks": networks})
    return nodes


def manifests(nodes: int, addresses: int) -> list[dict]:
    """EgressIP objects with `addresses` addresses in all, the same for the same numbers."""
    chance = random.Random(f"{nodes} {addresses}")
    segments = [*range(SEGMENTS), SEGMENTS] if nodes > SEGMENTS else [0]
    used, documents, left = dict.fromkeys(segments, 0), [], addresses
    while left:
        count = min(left, chance.randint(1, 4 if nodes > 4 else 1))
        segment = chance.choice(segments)
        listed = [str(network(segment)[used[segment] + n + 1]) for n in range(count)]
        used[segment] += count
        left -= count
        documents.append(
            {
                "apiVersion": "k8s.ovn.org/v1",
                "kind": "EgressIP",
                "metadata": {"name": f"egressip-{len(documents):06}"},
                "spec": {"egressIPs": listed, "namespaceSelector": {"matchLabels": {"env": "prod"}}},
            }
        )
    return documents


def greedy(documents: list[dict], nodes: list[dict], current: list[dict]) -> tuple[dict, int]:
    """Place address by address on the least loaded node; return {address: node}, and how many moved."""
    up = [node for node in nodes if node.get("ready", True)]
    inside: dict[str, list[str]] = {}
    for node in up:
        for each in node["networks"]:
            inside.setdefault(each["addresses"][0].rsplit(".", 2)[0], []).append(node["name"])
    held = {entry["egressIP"]: entry["node"] for entry in current}
    load, placed, moved = {node["name"]: 0 for node in up}, {}, 0
    waiting = []
    for document in documents:
        for address in document["spec"]["egressIPs"]:
            if held.get(address) in load:
                placed[address] = held[address]
                load[held[address]] += 1
            else:
                waiting.append((document, address))
    for document, address in waiting:
        mates = {placed.get(each) for each in document["spec"]["egressIPs"]}
        free = [name for name in inside.get(address.rsplit(".", 2)[0], ()) if name not in mates]
        if free:
            node = min(free, key=lambda name: (load[name], name))
            placed[address] = node
            load[node] += 1
            moved += address in held
    return placed, moved


def events(nodes: list[dict], documents: list[dict]) -> dict[str, tuple[list[dict], list[dict]]]:
    """{event: (nodes, current)}: from scratch, then one node fails, then it returns."""
    found = {"scratch": (nodes, [])}
    down = [{**node, "ready": node is not nodes[0]} for node in nodes]
    plan = ASSIGN(documents, nodes)["assignments"]
    found["node fails"] = (down, plan)
    found["node returns"] = (nodes, ASSIGN(documents, down, plan)["assignments"])
    return found


def timed(function, *arguments):
    """The least of some times in seconds, and the result."""
    best = float("inf")
    for _repeat in range(REPEATS):
        gc.collect()
        start = time.perf_counter()
        result = function(*arguments)
        best = min(best, time.perf_counter() - start)
    return best, result


def squares(placed: list[str], nodes: list[dict]) -> int:
    """The sum of squares of the load."""
    load = {node["name"]: 0 for node in nodes}
    for node in placed:
        load[node] += 1
    return sum(count * count for count in load.values())


def main() -> int:
    """Measure all; 1 if a goal is missed."""
    missed = 0
    print("nodes addresses event         ours s  goal s greedy s | assigned       squares            moves", flush=True)
    for count, addresses in dict.fromkeys(goal[:2] for goal in GOALS):
        nodes, documents = fleet(count), manifests(count, addresses)
        cases = events(nodes, documents) if addresses <= GREEDY_LIMIT else {"scratch": (nodes, [])}
        for goal in (goal for goal in GOALS if goal[:2] == (count, addresses)):
            up, current = cases[goal[2]]
            seconds, plan = timed(ASSIGN, documents, up, current)
            line = f"{count:5} {addresses:9} {goal[2]:12} {seconds:7.3f} {goal[3]:7.3f}"
            start = time.perf_counter()
            placed, moved = greedy(documents, up, current)
            greedy_seconds = time.perf_counter() - start
            ours = [each["node"] for each in plan["assignments"]]
            print(
                f"{line} {greedy_seconds:8.3f} | {len(ours)} {len(placed)}  "
                f"{squares(ours, up)} {squares(list(placed.values()), up)}  {len(plan['moves'])} {moved}",
                flush=True,
            )
            missed += seconds > goal[3]
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB, goals missed: {missed}")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
