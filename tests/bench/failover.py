# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure takeovers, beside keepalived in the same run: tables of docs/faults.md and docs/failover.md.

Nodes are network namespaces on one bridge. A pod on a node that holds nothing sends UDP from new ports every 5 ms; the
server notes when and from which source they arrive, and asks the network every 10 ms who has the egress IP. Every 10 ms
the nodes are looked at: which ones have it?
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from failover_fleet import (
    OTHER_SWITCH,
    PRIMARY,
    PRIMARY6,
    SECONDARY,
    SWITCH,
    CrowdedFleet,
    Fleet,
    KeepalivedFleet,
    Network,
    Node,
    opened,
)
from failover_observers import Client, Holders, Streams

LOG = Path("/tmp/egress-ip-failover.log")
KINDS = {"netops.egress_ip": Fleet, "keepalived": KeepalivedFleet}
# Trials of a fault, and of one for which no time is promised.
MOST, FEW = 20, 5
# Seconds that a hypervisor stops a node for a snapshot.
STUN = 2.0
# Nodes that each watch all others, and seconds for which what that costs is measured.
CROWD, COST = 11, 60.0
BUSY = "while True: pass"
BLOCK = """
add table ip block
add chain ip block in {{ type filter hook input priority 0; }}
add rule ip block in ip saddr {{ {} }} meta l4proto {{ tcp, udp, 112 }} drop
"""
Act = Callable[[Fleet, Node], None]


@dataclass(frozen=True)
class Fault:
    """A row: what happens to the holder, for how long it lasts, and what is observed after its end.

    `parted`: while it lasts, hosts that cannot see each other may each have the address, so only what follows counts.
    `most` trials are enough where no time is promised.
    """

    name: str
    act: Act
    lasts: float = 2.0
    observed: float = 3.0
    addresses: int = 1
    net: Network = PRIMARY
    strict: bool = False
    parted: bool = False
    most: int = MOST


@dataclass(frozen=True)
class Seen:
    """One trial.

    Seconds without the address and with two nodes that have it or answer for it, moves, wrong sources; TCP connections
    that go on, all of them, and their longest pause.
    """

    gap: float
    together: float
    moves: int
    wrong: int
    alive: int
    connections: int
    pause: float


# -- what happens -----------------------------------------------------------------------------------------------------


def shut_down(_fleet: Fleet, holder: Node) -> None:
    """The holder shuts down in order."""
    holder.shut_down()


def lose_power(_fleet: Fleet, holder: Node) -> None:
    """The holder ends without a word."""
    holder.lose_power()


def cut(_fleet: Fleet, holder: Node) -> None:
    """The holder's cable is pulled."""
    holder.pull()


def isolate(_fleet: Fleet, holder: Node) -> None:
    """The holder keeps its link, and nothing passes the switch."""
    holder.connect()


def isolate_standby(fleet: Fleet, holder: Node) -> None:
    """The first standby keeps its link, and nothing passes the switch."""
    _others(fleet, holder)[0].connect()


def lose_gateway(fleet: Fleet, _holder: Node) -> None:
    """The witness of all nodes is gone."""
    fleet.gateway.connect()


def part_with_gateway(fleet: Fleet, holder: Node) -> None:
    """The holder and the gateway are on one side, the others on the other."""
    for host in (holder, fleet.gateway):
        host.connect(OTHER_SWITCH)


def part_from_gateway(fleet: Fleet, holder: Node) -> None:
    """The holder and a node are on one side, the other standby and the gateway on the other."""
    for host in (holder, _others(fleet, holder)[-1]):
        host.connect(OTHER_SWITCH)


def kill_program(_fleet: Fleet, holder: Node) -> None:
    """The program is killed."""
    holder.stop(signal.SIGKILL)


def stop_program(_fleet: Fleet, holder: Node) -> None:
    """The program is stopped in order."""
    holder.stop(signal.SIGTERM)


def restart_program(fleet: Fleet, holder: Node) -> None:
    """The program is stopped in order, and started again."""
    holder.stop(signal.SIGTERM)
    holder.start(fleet.log)


def hang(_fleet: Fleet, holder: Node) -> None:
    """No process of the holder runs, and its kernel answers."""
    holder.send(signal.SIGSTOP)


def stun(_fleet: Fleet, holder: Node) -> None:
    """A hypervisor stops the holder."""
    holder.dark = True
    holder.connect()
    holder.send(signal.SIGSTOP)


def lose_two(fleet: Fleet, holder: Node) -> None:
    """The holder and its first standby end at once."""
    for node in (holder, _others(fleet, holder)[0]):
        node.lose_power()


def lose_in_turn(fleet: Fleet, holder: Node) -> None:
    """The holder ends, and then the node that took over from it, while the first one is back."""
    holder.lose_power()
    time.sleep(STUN)
    holder.boot(fleet.log)
    time.sleep(5)
    for node in _others(fleet, holder):
        if node.holds(fleet.egress_ips[0]):
            node.lose_power()


def block_protocols(fleet: Fleet, _holder: Node) -> None:
    """A firewall drops UDP, TCP and VRRP between the nodes that may hold the address."""
    for node in fleet.holders:
        node.do("nft", BLOCK.format(", ".join(other.ends[0] for other in _others(fleet, node))))


def _others(fleet: Fleet, holder: Node) -> list[Node]:
    return [node for node in fleet.holders if node is not holder]


def repair(fleet: Fleet) -> float:
    """Bring back what the fault took away; returns the time from which the nodes may meet."""
    for node in fleet.holders:
        subprocess.run(node.argv("nft", "delete", "table", "ip", "block"), check=False, capture_output=True)
    fleet.gateway.connect(SWITCH)
    met = time.monotonic()
    for node in fleet.holders:
        if node.dark and node.process is None:
            node.boot(fleet.log)
            continue
        node.send(signal.SIGCONT)
        node.dark = False
        node.connect(SWITCH)
        if node.process is None:
            node.start(fleet.log)
    return met


FAULTS = (
    Fault("holder reboots in order", shut_down),
    Fault("holder loses power, and boots", lose_power),
    Fault("holder loses power, boots, and is observed for 30 s", lose_power, observed=30, most=FEW),
    Fault("holder loses its cable, and gets it back", cut),
    Fault("holder is cut off behind its switch for a while", isolate),
    Fault("holder loses power, 100 addresses", lose_power, addresses=100),
    Fault("holder loses power, IPv6", lose_power, net=PRIMARY6),
    Fault("holder loses its cable, IPv6", cut, net=PRIMARY6),
    Fault("holder is cut off behind its switch, IPv6", isolate, net=PRIMARY6),
    Fault("holder reboots in order, address on eth1", shut_down, net=SECONDARY),
    Fault("holder loses power, address on eth1", lose_power, net=SECONDARY),
    Fault("holder loses its cable, address on eth1", cut, net=SECONDARY),
    Fault("holder is cut off behind its switch, address on eth1", isolate, net=SECONDARY),
    Fault("holder and first standby lose power at once", lose_two),
    Fault("holder loses power, boots, and the next holder does", lose_in_turn),
    Fault("holder is stopped for 2 s (snapshot of a VM)", stun, lasts=STUN),
    Fault("holder is stopped for 2 s, 100 addresses", stun, lasts=STUN, addresses=100),
    Fault("program on the holder is killed, and starts again", kill_program, most=FEW),
    Fault("program on the holder is stopped, and starts again", stop_program, most=FEW),
    Fault("program on the holder restarts", restart_program, most=FEW),
    Fault("all processes of the holder hang for 2 s, its kernel answers", hang, most=FEW),
    Fault("first standby is cut off", isolate_standby, most=FEW),
    Fault("gateway dies", lose_gateway, most=FEW),
    Fault("split: holder and gateway, all others", part_with_gateway, most=FEW),
    Fault("split: holder and a node, standby and gateway", part_from_gateway, parted=True),
    Fault("the same, `egress_ip_failover_strict`", part_from_gateway, strict=True),
    Fault("UDP, TCP and VRRP are blocked between the nodes", block_protocols, lasts=5, most=FEW),
)


def under_load(minutes: float) -> Fault:
    """Four busy processes for each processor; nothing else happens."""

    def do(_fleet: Fleet, _holder: Node) -> None:
        with contextlib.ExitStack() as stack:
            for _process in range(4 * (os.cpu_count() or 1)):
                busy = stack.enter_context(subprocess.Popen([sys.executable, "-c", BUSY]))
                stack.callback(busy.kill)
            time.sleep(60 * minutes)

    return Fault(f"load of 4 for each processor, {minutes:g} minutes", do, lasts=0, most=1)


# -- measure ----------------------------------------------------------------------------------------------------------


def trial(fleet: Fleet, fault: Fault) -> Seen:
    """Let the fault happen once, and bring everything back."""
    holder = fleet.holder()
    with Client(fleet) as client, Streams(fleet) as streams, Holders(fleet) as holders:
        time.sleep(0.7)
        fault.act(fleet, holder)
        time.sleep(fault.lasts)
        met = repair(fleet)
        time.sleep(fault.observed)
    together = holders.together(met if fault.parted else 0.0)
    return Seen(
        gap=client.gap(),
        together=together if fault.parted else max(together, client.overlap()),
        moves=holders.moves(),
        wrong=client.wrong(),
        alive=streams.alive(),
        connections=len(streams.ended),
        pause=streams.gap(),
    )


def trials(kind: type[Fleet], fault: Fault, count: int) -> Iterator[Seen]:
    """Let the fault happen several times; a fleet without exactly one holder is made again."""
    done = 0
    while done < count:
        with opened(kind(3, fault.net, fault.addresses, LOG, fault.strict)) as fleet:
            while done < count:
                yield trial(fleet, fault)
                done += 1
                try:
                    fleet.begin_trial()
                except RuntimeError:
                    break


def cells(seen: list[Seen]) -> list[str]:
    """The cells of a row for one kind of fleet."""
    gaps = [each.gap for each in seen]
    return [
        f"{statistics.median(gaps):.2f} s",
        f"{max(gaps):.2f} s",
        f"{max(each.together for each in seen):.2f} s",
        " to ".join(dict.fromkeys(f"{choose(each.moves for each in seen)}" for choose in (min, max))),
        f"{sum(each.wrong for each in seen)}",
        f"{sum(each.alive for each in seen)} of {sum(each.connections for each in seen)}",
        f"{max(each.pause for each in seen):.2f} s",
    ]


def print_cost() -> None:
    """Measure what the program costs on nodes that hold four addresses each, and watch all others."""
    with opened(CrowdedFleet(CROWD, PRIMARY, LOG)) as fleet:
        held = len(fleet.egress_ips) // CROWD
        before = [node.processor_time() for node in fleet.holders]
        time.sleep(COST)
        shares = [(node.processor_time() - start) / COST for node, start in zip(fleet.holders, before, strict=True)]
        memory = [node.memory() for node in fleet.holders]
    print(f"\n| Each of {CROWD} nodes holds {held} addresses and watches all others | Median | Worst |\n|---|---|---|")
    print(f"| share of a core | {statistics.median(shares):.1%} | {max(shares):.1%} |")
    print(f"| resident memory | {statistics.median(memory):.0f} MB | {max(memory):.0f} MB |", flush=True)


def main() -> int:
    """Measure each fault several times with both programs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=MOST, help=f"at most; {FEW} where no time is promised")
    parser.add_argument("--minutes", type=float, default=20, help="under load")
    parser.add_argument(
        "--only", default=[""], nargs="+", metavar="WORDS", help="faults whose name has these words, or cost"
    )
    parser.add_argument("--program", choices=[*KINDS], action="append", help="measure only this one")
    options = parser.parse_args()
    LOG.write_text("", "utf-8")
    # So that the fleet is removed then too.
    signal.signal(signal.SIGTERM, lambda *_signal: sys.exit(128 + signal.SIGTERM))
    titles = ("Fault", "Program", "Gap: median", "Worst", "Two holders", "Moves", "Wrong sources", "TCP alive", "Pause")
    print(f"| {' | '.join(titles)} |\n{'|---' * len(titles)}|")
    for fault in (*FAULTS, under_load(options.minutes)):
        if not any(words in fault.name for words in options.only):
            continue
        # Where the tunnel does not end at the egress IP, keepalived cannot move it.
        for name in options.program or ([*KINDS][:1] if fault.net is SECONDARY else KINDS):
            seen = list(trials(KINDS[name], fault, min(options.trials, fault.most)))
            print(f"| {fault.name} | {name} | {' | '.join(cells(seen))} |", flush=True)
    if any(words in "cost" for words in options.only):
        print_cost()
    return 0


if __name__ == "__main__":
    sys.exit(main())
