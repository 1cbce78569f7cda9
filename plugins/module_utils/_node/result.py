# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The result of the modes `present` and `absent` of the module `node`. PRIVATE to the collection. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Mapping, NamedTuple

from .._dataplane.node_state import Held
from .._dataplane.state import result_of

Result = Mapping[str, Any]


class Difference(NamedTuple):
    """What a run changes: lines before and after, with the texts of rules that lines name by their fingerprint."""

    before: frozenset[str]
    after: frozenset[str]
    texts: Mapping[str, str]


class NodeOutcome(NamedTuple):
    """What became of the egress IPs.

    `unreleased` are held because their new holder did not connect. `conflicts` is {Held: MAC of the host that has it},
    `connections` {egress IP: number of connections that came with it}.
    """

    held: Iterable[Held] = ()
    claimed: Iterable[Held] = ()
    released: Iterable[Held] = ()
    unreleased: Iterable[Held] = ()
    conflicts: Mapping[Held, str] = {}
    connections: Mapping[str, int] = {}


def file_lines(paths: Iterable[Path]) -> frozenset[str]:
    """Return the lines of a difference that stand for files."""
    return frozenset(f"file {path}" for path in paths)


def result(change: Difference, outcome: NodeOutcome) -> Result:
    """Return the result as a JSON-safe dict; its keys are always the same."""
    return {
        **result_of(change.before, change.after, change.texts),
        "held": [item.to_dict() for item in outcome.held],
        "claimed": [item.egress_ip for item in outcome.claimed],
        "connections": dict(outcome.connections),
        "released": [item.egress_ip for item in outcome.released],
        "unreleased": [item.egress_ip for item in outcome.unreleased],
        "conflicts": [{**item.to_dict(), "mac": mac} for item, mac in sorted(outcome.conflicts.items())],
    }
