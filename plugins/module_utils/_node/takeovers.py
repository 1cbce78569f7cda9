# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The egress IPs that a node took over since its last plan, in a file in /run. PRIVATE to the collection."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from .._host_io import files
from .._host_io.host_io import HostIO
from .record import Record


class Takeover(NamedTuple):
    """The node that had an address, empty if unknown, and the seconds since 1970 at which this node took it over."""

    former: str
    since: float


@dataclass(frozen=True)
class Takeovers:
    """{egress IP: Takeover} since the plan `generation`, and how many there were since the node booted."""

    generation: int
    taken: Mapping[str, Takeover] = field(default_factory=dict)
    total: int = 0

    @classmethod
    def load(cls, io: HostIO, record: Record) -> Takeovers:
        """Return the takeovers since the plan on record, none if the file is damaged."""
        generation, noted = record.state.generation, io.read_file(files.TAKEOVERS_FILE)
        try:
            return cls._parse(generation, json.loads(noted)) if noted else cls(generation)
        except ValueError:
            return cls(generation)

    @classmethod
    def _parse(cls, generation: int, noted: object) -> Takeovers:
        """Return the Takeovers of what `save` wrote; raises ValueError for anything else."""
        if not isinstance(noted, dict) or not isinstance(noted.get("taken"), dict):
            raise ValueError("takeovers: must be a dictionary with the key taken")
        total = noted.get("total")
        if isinstance(total, bool) or not isinstance(total, int):
            raise ValueError("takeovers.total: must be an integer")
        taken = {ip: _takeover(value) for ip, value in noted["taken"].items()}
        return cls(generation, taken if noted.get("generation") == generation else {}, total)

    def with_taken(self, former: Mapping[str, str], now: float) -> Takeovers:
        """Return the takeovers with these addresses, {egress IP: node that had it}, taken over now."""
        new = {ip: Takeover(name, now) for ip, name in former.items()}
        return replace(self, taken={**self.taken, **new}, total=self.total + len(new))

    def without(self, egress_ips: Iterable[str]) -> Takeovers:
        """Return the takeovers without addresses that the node released."""
        gone = set(egress_ips)
        return replace(self, taken={ip: each for ip, each in self.taken.items() if ip not in gone})

    def save(self, io: HostIO) -> None:
        """Write the file. Raises CommandError if that fails."""
        data = {"generation": self.generation, "taken": self.taken, "total": self.total}
        io.publish_file(files.TAKEOVERS_FILE, json.dumps(data, sort_keys=True).encode())


def _takeover(value: object) -> Takeover:
    if not isinstance(value, list) or [type(item) for item in value] not in ([str, float], [str, int]):
        raise ValueError("takeovers.taken: must have a node and a time for each egress IP")
    return Takeover(value[0], float(value[1]))
