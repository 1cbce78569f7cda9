# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The probe before a claim, for both IP versions. PRIVATE to the collection. Deterministic: no sockets, no clock.

It follows RFC 5227 with shorter intervals, and for IPv6 RFC 4862: an address is free when `count` probes, `interval`
seconds apart, got no answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from .._common.addresses import version_of
from . import arp, ndp
from .ethernet import NeighbourMessage


class _Protocol(NamedTuple):
    ethertype: int
    probe_frame: Callable[[str, str], bytes]
    question_frame: Callable[..., bytes]
    announcements: Callable[[str, str, str], tuple[bytes, ...]]


_PROTOCOLS = {
    4: _Protocol(arp.ETHERTYPE, arp.probe_frame, arp.question_frame, arp.announcements),
    6: _Protocol(ndp.ETHERTYPE, ndp.probe_frame, ndp.question_frame, ndp.announcements),
}
# {EtherType: parser of its frames}
PARSERS = {arp.ETHERTYPE: arp.parse_frame, ndp.ETHERTYPE: ndp.parse_frame}


def announcements(mac: str, address: str, holder: str = "") -> tuple[int, tuple[bytes, ...]]:
    """Return (EtherType, frames) with which `mac` announces to its neighbours that `holder` has `address`.

    `holder` is a MAC address, `mac` itself when empty. The frames' source is always `mac`: with the holder's, switches
    would send the holder's traffic here.
    """
    protocol = _PROTOCOLS[version_of(address)]
    return protocol.ethertype, protocol.announcements(mac, address, holder or mac)


def question(mac: str, own: str, address: str, to: str = "") -> tuple[int, bytes]:
    """Return (EtherType, frame) with which a host that has `own` resolves `address`: to one MAC address, or to all."""
    protocol = _PROTOCOLS[version_of(address)]
    return protocol.ethertype, protocol.question_frame(mac, own, address, *([to] if to else []))


def probe(mac: str, own: str, address: str, to: str = "") -> tuple[int, bytes]:
    """Return (EtherType, frame) of a probe for `address`, to one MAC address, or to all hosts.

    For IPv6 the probe to one MAC address has the source `own`: all hosts would receive the answer to one without.
    """
    protocol = _PROTOCOLS[version_of(address)]
    if to and version_of(address) == 4:
        return protocol.ethertype, arp.probe_frame(mac, address, to)
    return question(mac, own, address, to) if to else (protocol.ethertype, protocol.probe_frame(mac, address))


@dataclass
class Probe:
    """The state of the probe for one address.

    `waiting`: the present holder is about to release the address, so an answer before `deadline` is no conflict.
    `holding`: this host has the address, so another host that only probes for it is no conflict.
    `own`: the MACs of this host; with two interfaces on one network, each answers for the addresses of the other.
    Times are seconds of a monotonic clock.
    """

    address: str
    mac: str
    count: int
    interval: float
    deadline: float
    waiting: bool = False
    holding: bool = False
    own: frozenset[str] = frozenset()
    _sent: int = field(default=0, init=False)
    _due: float = field(default=0.0, init=False)
    _answered_by: str = field(default="", init=False)

    @property
    def ethertype(self) -> int:
        """Return the EtherType of the frames that the probe sends and receives."""
        return _PROTOCOLS[version_of(self.address)].ethertype

    def frame_due(self, now: float) -> bytes | None:
        """Return the next frame to send when it is due at the time `now`, else None."""
        if now < self._due or self._sent >= self.count:
            return None
        self._sent += 1
        self._due = now + self.interval
        return _PROTOCOLS[version_of(self.address)].probe_frame(self.mac, self.address)

    def receive(self, message: NeighbourMessage) -> None:
        """Take in a received message. One from a host that uses the address, or probes for it too, is an answer."""
        answers = message.uses == self.address or (message.probes == self.address and not self.holding)
        if answers and message.mac != self.mac and message.mac not in self.own:
            self._answered_by = message.mac
            self.begin_again()

    def begin_again(self) -> None:
        """Count none of the probes that were sent: the address is free when `count` more got no answer."""
        self._sent = 0

    def next_time(self) -> float:
        """Return the time of the next step."""
        return self._due

    def is_free(self, now: float) -> bool:
        """Return whether all probes stayed unanswered."""
        return self._sent >= self.count and now >= self._due

    def conflict(self, now: float) -> str | None:
        """Return the MAC of the host that has the address; None while the address may still become free."""
        if self._answered_by and not self.is_free(now) and (now >= self.deadline or not self.waiting):
            return self._answered_by
        return None
