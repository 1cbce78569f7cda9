# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings, events and actions of the failover between runs, and its times. PRIVATE to the collection. No I/O.

Times are seconds. MAC addresses are written `aa:bb:cc:dd:ee:ff`, addresses are canonical.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Mapping, NamedTuple, Union

from .._dataplane.failover import Limits

# Seconds that another host's probe for an address delays a takeover, after the last probe and in all. A claimant of a
# planned move probes at least every 0.1 s and claims after 0.3 s of silence.
QUIET, RIVAL_LIMIT = 0.35, 3.0
# A node that did nothing for longer than this may have lost its addresses to another node.
PAUSE = 0.25
# When a taken address is announced again: Linux ignores a second change of a neighbour's MAC within 1 s.
ANNOUNCE_AGAIN = (1.1, 3.0)
# Seconds between two questions for an address without a known holder, and for the MAC addresses of the other nodes,
# and between two notes of a conflict.
SLOW = 1.0
# Takeovers refused one after the other, for example by the lock of a run, that are tried again at once.
PROMPT_RETRIES = 3
# Consecutive silent windows that a takeover needs after the first, and those after which a cut-off holder releases.
SILENT_WINDOWS, MISSED_BEATS = 3, 3
# Unanswered questions after which a holder that never answered one is reported.
UNPROVEN = 20
# A standby that probed within this time before a holder was cut off may claim; on a loaded host it is late. A holder
# that hears a standby again after a tenth of it announces.
ALIVE = 5.0
AGAIN = ALIVE / 10
# Frames whose meaning is kept at most.
KEPT = 512
NEVER, INFINITE = float("-inf"), float("inf")


class Timing(NamedTuple):
    """Times of the state machine, from the seconds of silence after which a standby takes over.

    A holder is asked every `interval`; an answer counts within a `window`. A holder checks its own connection every
    `beat`: it releases after three of them, before the first standby's silence is complete. Each standby waits `turn`
    longer than the one before it.
    """

    window: float
    interval: float
    beat: float
    turn: float

    @classmethod
    def of(cls, after: float) -> Timing:
        """Return the times for a takeover after `after` seconds of silence."""
        return cls(window=after / 4, interval=after / 2, beat=after / 5, turn=after * 1.25)


class Clock(NamedTuple):
    """The time of a step, before its events were read, and the time at which the last step's actions were done.

    `boot` goes on while the host is suspended, `now` and `done` do not.
    """

    now: float
    boot: float
    done: float


class Neighbour(NamedTuple):
    """A host of a segment: the address at which it answers there."""

    interface: str
    address: str


@dataclass(frozen=True)
class Duty:
    """An egress IP that this node watches or holds: its interface, and its standbys, the first one first.

    The planned holder is not among the standbys.
    """

    egress_ip: str
    interface: str
    order: tuple[str, ...]

    def rank(self, name: str, holder: str = "") -> int:
        """Return the turn of a node when `holder` does not answer: first the standbys, then the planned holder.

        The holder itself comes last: it may have released because it was cut off.
        """
        order = [each for each in self.order if each != holder]
        if name == holder:
            return len(order) + 1
        return order.index(name) if name in order else len(order)


@dataclass(frozen=True)
class FailoverSettings:
    """What a node knows of the plan.

    `held` are the egress IPs that it has, `taken` those among them that it took over since the last plan. `peers` is
    {node: its addresses}, `macs` {MAC address: node}, `own_macs` are those of this node,
    `owners` {egress IP: its EgressIP object}. With `strict`, a holder that does not hear a witness releases even if it
    hears other nodes.
    """

    name: str
    duties: tuple[Duty, ...] = ()
    held: Mapping[str, str] = field(default_factory=dict)
    taken: tuple[str, ...] = ()
    peers: Mapping[str, tuple[Neighbour, ...]] = field(default_factory=dict)
    macs: Mapping[str, str] = field(default_factory=dict)
    witnesses: tuple[Neighbour, ...] = ()
    owners: Mapping[str, str] = field(default_factory=dict)
    own_macs: frozenset[str] = frozenset()
    limits: Limits = Limits()
    after: float = 0.2
    strict: bool = False


# --- Events -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Heard:
    """A host with this MAC uses the address `uses`, or probes for `probes`; `direct` if the frame was for this host.

    A probe for one host may also show an address that its sender uses.
    """

    interface: str
    mac: str
    uses: str
    probes: str = ""
    direct: bool = False

    @cached_property
    def neighbour(self) -> Neighbour:
        """Return where the address is used."""
        return Neighbour(self.interface, self.uses)


@dataclass(frozen=True)
class Configured:
    """The record of the node was read again."""

    settings: FailoverSettings


@dataclass(frozen=True)
class Taken:
    """The node now has these addresses, which it took over."""

    egress_ips: tuple[str, ...]


@dataclass(frozen=True)
class Refused:
    """The node could not take these addresses."""

    egress_ips: tuple[str, ...]


@dataclass(frozen=True)
class FramesLost:
    """The node may not have received frames since the last step, because there were too many."""


Event = Union[Heard, Configured, Taken, Refused, FramesLost]


# --- Actions ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ask:
    """Probe for an address: by a frame to this MAC, or to all hosts. Only its holder answers, and no cache changes."""

    interface: str
    address: str
    mac: str = ""


@dataclass(frozen=True)
class Resolve:
    """Resolve the own address of a witness or a node, as any host does."""

    interface: str
    address: str
    mac: str = ""


@dataclass(frozen=True)
class Claim:
    """Take these addresses over, in one batch: {egress IP: node that had it, empty if unknown}."""

    former: Mapping[str, str]

    @property
    def egress_ips(self) -> tuple[str, ...]:
        """Return the addresses."""
        return tuple(self.former)


@dataclass(frozen=True)
class Announce:
    """Announce addresses that this node holds."""

    egress_ips: tuple[str, ...]


@dataclass(frozen=True)
class Release:
    """Release addresses, {egress IP: MAC of the host that has it now, empty if none}, for this reason."""

    holders: Mapping[str, str]
    reason: str


@dataclass(frozen=True)
class Note:
    """A line for the journal."""

    text: str


Action = Union[Ask, Resolve, Claim, Announce, Release, Note]
