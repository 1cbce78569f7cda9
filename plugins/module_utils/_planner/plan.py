# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan: which node holds which egress IP, and why not. PRIVATE to the collection."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

# Why an address has no node.
NO_MATCHING_NODE = "NoMatchingNode"
NODES_EXHAUSTED = "NodesExhausted"
CAPACITY_EXHAUSTED = "CapacityExhausted"
ADDRESS_CONFLICT = "AddressConflict"
DUPLICATE_REQUEST = "DuplicateRequest"
INVALID_OBJECT = "InvalidObject"

# Why an address moves: its node can hold it no longer ...
NODE_GONE = "NodeGone"
NODE_INVALID = "NodeInvalid"
NODE_NOT_READY = "NodeNotReady"
NODE_NOT_ASSIGNABLE = "NodeNotAssignable"
NODE_NOT_SELECTED = "NodeNotSelected"
NETWORK_MISSING = "NetworkMissing"
# ... or holds more than it may, or others gain by the move.
CAPACITY_EXCEEDED = "CapacityExceeded"
SAME_OBJECT = "SameObject"
SAME_DOMAIN = "SameDomain"
MAKE_ROOM = "MakeRoom"
REBALANCE = "Rebalance"


class Assignment(NamedTuple):
    """An egress IP of the object ``name``, its node, and the interface whose network contains it."""

    name: str
    egress_ip: str
    node: str
    interface: str

    @classmethod
    def from_dict(cls, value):
        """Return the Assignment of ``{name, egressIP, node, interface}``."""
        return cls(value["name"], value["egressIP"], value["node"], value["interface"])

    def to_dict(self):
        """Return ``{name, egressIP, node, interface}``."""
        return {"name": self.name, "egressIP": self.egress_ip, "node": self.node, "interface": self.interface}


@dataclass(frozen=True)
class Unassigned:
    """An egress IP without node: ``reason`` is one of the constants above, ``message`` names what is in the way."""

    name: str
    egress_ip: str
    reason: str
    message: str

    @classmethod
    def from_dict(cls, value):
        """Return the Unassigned of ``{name, egressIP, reason, message}``."""
        return cls(value["name"], value["egressIP"], value["reason"], value["message"])

    def to_dict(self):
        """Return ``{name, egressIP, reason, message}``."""
        return {"name": self.name, "egressIP": self.egress_ip, "reason": self.reason, "message": self.message}


@dataclass(frozen=True)
class Move:
    """An egress IP that goes from one node to another. What is new or loses its place is no move."""

    egress_ip: str
    from_node: str
    to_node: str
    reason: str

    @classmethod
    def from_dict(cls, value):
        """Return the Move of ``{egressIP, from, to, reason}``."""
        return cls(value["egressIP"], value["from"], value["to"], value["reason"])

    def to_dict(self):
        """Return ``{egressIP, from, to, reason}``."""
        return {"egressIP": self.egress_ip, "from": self.from_node, "to": self.to_node, "reason": self.reason}


@dataclass(frozen=True)
class Weighted:
    """How even the load is where egress IPs have weights.

    ``load``: {node: sum of weights}; ``squares``: the sum of their squares, of which the best plan has ``at_least`` so
    many; ``proven``: whether this is known to be the best plan, moves and all.
    """

    load: dict
    squares: int
    at_least: int
    proven: bool

    @classmethod
    def from_dict(cls, value):
        """Return the Weighted of ``{load, squares, at_least, proven}``."""
        return cls(dict(value["load"]), value["squares"], value["at_least"], value["proven"])

    def to_dict(self):
        """Return ``{load, squares, at_least, proven}``."""
        return {**vars(self), "load": dict(self.load)}


@dataclass(frozen=True)
class Plan:
    """A whole plan.

    ``egressips``: documents with their status; ``invalid``: ``{name, errors}``; ``load``: {node: count}. ``weighted``
    is None where all egress IPs weigh 1.
    """

    egressips: tuple = ()
    assignments: tuple = ()
    unassigned: tuple = ()
    invalid: tuple = ()
    moves: tuple = ()
    load: dict = field(default_factory=dict)
    warnings: tuple = ()
    weighted: Weighted | None = None

    @property
    def burden(self):
        """Return {node: load} as it is leveled: by weights, which are mostly 1."""
        return self.weighted.load if self.weighted else self.load

    @classmethod
    def from_dict(cls, value):
        """Return the Plan that ``to_dict`` gave."""
        return cls(
            egressips=tuple(value["egressips"]),
            assignments=tuple(Assignment.from_dict(entry) for entry in value["assignments"]),
            unassigned=tuple(Unassigned.from_dict(entry) for entry in value["unassigned"]),
            invalid=tuple(value["invalid"]),
            moves=tuple(Move.from_dict(entry) for entry in value["moves"]),
            load=dict(value["load"]),
            warnings=tuple(value["warnings"]),
            weighted=Weighted.from_dict(value["weighted"]) if "weighted" in value else None,
        )

    def to_dict(self):
        """Return ``{egressips, assignments, unassigned, invalid, moves, load, warnings}`` in plain dicts and lists.

        There is ``weighted`` too where an egress IP does not weigh 1.
        """
        return {
            "egressips": list(self.egressips),
            "assignments": [entry.to_dict() for entry in self.assignments],
            "unassigned": [entry.to_dict() for entry in self.unassigned],
            "invalid": list(self.invalid),
            "moves": [entry.to_dict() for entry in self.moves],
            "load": dict(self.load),
            "warnings": list(self.warnings),
            **({"weighted": self.weighted.to_dict()} if self.weighted else {}),
        }
