# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of a probe before a claim, for both IP versions. PRIVATE to the collection. Pure: no sockets, no clock.

A probe is RFC 5227's, quicker, and for IPv6 RFC 4862's: an address is free when `count` probes, `interval` seconds
apart, stayed without an answer.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .._common.addresses import version_of
from . import arp, ndp

_PROTOCOLS = {4: arp, 6: ndp}
PARSERS = {protocol.ETHERTYPE: protocol.parse_frame for protocol in _PROTOCOLS.values()}


def announcements(mac, address, holder=""):
    """Return (EtherType, the frames by which `mac` tells all neighbours who has this address now: `holder`, or itself).

    They come from `mac` in any case, or switches would look for the holder there.
    """
    protocol = _PROTOCOLS[version_of(address)]
    return protocol.ETHERTYPE, protocol.announcements(mac, address, holder or mac)


@dataclass
class Probe:
    """The probe of one address. `waiting` says that its holder is about to release it, so an answer is no conflict yet.

    `holding` says that we have it ourselves: somebody who only probes for it, too, will hear that and stop. `own` are
    the MACs of this host: where two of its interfaces are on one network, each answers for the other's addresses.
    Times are seconds on any steady clock. After `deadline` an address that still answers is a conflict.
    """

    address: str
    mac: str
    count: int
    interval: float
    deadline: float
    waiting: bool = False
    holding: bool = False
    own: frozenset = frozenset()
    _sent: int = field(default=0, init=False)
    _due: float = field(default=0.0, init=False)
    _answered_by: str = field(default="", init=False)

    @property
    def ethertype(self):
        """Return what kind of frames the probe sends and hears."""
        return _PROTOCOLS[version_of(self.address)].ETHERTYPE

    def frame_due(self, now):
        """Return the next probe's bytes when it is time for one, else None."""
        if now < self._due or self._sent >= self.count:
            return None
        self._sent += 1
        self._due = now + self.interval
        return _PROTOCOLS[version_of(self.address)].probe_frame(self.mac, self.address)

    def hear(self, heard):
        """Take in a frame from the wire: somebody who uses the address, or who probes for it at the same time."""
        wants = heard.uses == self.address or (heard.probes == self.address and not self.holding)
        if wants and heard.mac != self.mac and heard.mac not in self.own:
            self._answered_by = heard.mac
            self._sent = 0

    def next_time(self):
        """Return when something is due."""
        return self._due

    def is_free(self, now):
        """Tell whether enough probes stayed unanswered."""
        return self._sent >= self.count and now >= self._due

    def conflict(self, now):
        """Return the MAC of who holds the address, None while it may still become free."""
        if self._answered_by and not self.is_free(now) and (now >= self.deadline or not self.waiting):
            return self._answered_by
        return None
