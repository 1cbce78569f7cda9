# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The values of a plan: assignments, unassigned egress IPs, moves, loads. PRIVATE to the collection. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Mapping, NamedTuple

# Reasons of an address without a node.
NO_MATCHING_NODE = "NoMatchingNode"
NODES_EXHAUSTED = "NodesExhausted"
CAPACITY_EXHAUSTED = "CapacityExhausted"
ADDRESS_CONFLICT = "AddressConflict"
DUPLICATE_REQUEST = "DuplicateRequest"
INVALID_OBJECT = "InvalidObject"

# Reasons of a move: its node can no longer hold the address ...
NODE_GONE = "NodeGone"
NODE_INVALID = "NodeInvalid"
NODE_NOT_READY = "NodeNotReady"
NODE_NOT_ASSIGNABLE = "NodeNotAssignable"
NODE_NOT_SELECTED = "NodeNotSelected"
NETWORK_MISSING = "NetworkMissing"
# ... or holds more than it may, or the plan improves by the move.
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
    def from_dict(cls, value: Mapping[str, Any]) -> Assignment:
        """Return the Assignment of ``{name, egressIP, node, interface}``."""
        return cls(value["name"], value["egressIP"], value["node"], value["interface"])

    def to_dict(self) -> dict[str, str]:
        """Return ``{name, egressIP, node, interface}``."""
        return {"name": self.name, "egressIP": self.egress_ip, "node": self.node, "interface": self.interface}


@dataclass(frozen=True)
class Unassigned:
    """An egress IP without a node. ``reason`` is a constant above; ``message`` names the constraint in a sentence."""

    name: str
    egress_ip: str
    reason: str
    message: str

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Unassigned:
        """Return the Unassigned of ``{name, egressIP, reason, message}``."""
        return cls(value["name"], value["egressIP"], value["reason"], value["message"])

    def to_dict(self) -> dict[str, str]:
        """Return ``{name, egressIP, reason, message}``."""
        return {"name": self.name, "egressIP": self.egress_ip, "reason": self.reason, "message": self.message}


@dataclass(frozen=True)
class Move:
    """An egress IP that goes from one node to another; a new or an unassigned one does not move."""

    egress_ip: str
    from_node: str
    to_node: str
    reason: str

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Move:
        """Return the Move of ``{egressIP, from, to, reason}``."""
        return cls(value["egressIP"], value["from"], value["to"], value["reason"])

    def to_dict(self) -> dict[str, str]:
        """Return ``{egressIP, from, to, reason}``."""
        return {"egressIP": self.egress_ip, "from": self.from_node, "to": self.to_node, "reason": self.reason}


@dataclass(frozen=True)
class Weighted:
    """The load by weights.

    ``load``: {node: sum of weights}; ``squares``: the sum of their squares; ``lower_bound``: that of every plan;
    ``proven``: whether the plan is proven to be the best in squares and moves.
    """

    load: Mapping[str, int]
    squares: int
    lower_bound: int
    proven: bool

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Weighted:
        """Return the Weighted of ``{load, squares, lower_bound, proven}``."""
        return cls(dict(value["load"]), value["squares"], value["lower_bound"], value["proven"])

    def to_dict(self) -> dict[str, Any]:
        """Return ``{load, squares, lower_bound, proven}``."""
        return {
            "load": dict(self.load),
            "squares": self.squares,
            "lower_bound": self.lower_bound,
            "proven": self.proven,
        }


@dataclass(frozen=True)
class Gap:
    """How far a plan may be from the best one, if the time limit ended the search.

    ``objective``: ``unassigned``, ``overlap``, ``squares`` or ``moves``, the first in the order of the objective that
    is not proven; ``value``: that of the plan; ``lower_bound``: that of every plan.
    """

    objective: str
    value: int
    lower_bound: int

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Gap:
        """Return the Gap of ``{objective, value, lower_bound}``."""
        return cls(value["objective"], value["value"], value["lower_bound"])

    def to_dict(self) -> dict[str, Any]:
        """Return ``{objective, value, lower_bound}``."""
        return {"objective": self.objective, "value": self.value, "lower_bound": self.lower_bound}


class StandbyOrder(NamedTuple):
    """The nodes that may hold an egress IP, in the order in which they claim it; its holder is the last one."""

    egress_ip: str
    order: tuple[str, ...]

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> StandbyOrder:
        """Return the StandbyOrder of ``{egressIP, order}``."""
        return cls(value["egressIP"], tuple(value["order"]))

    def to_dict(self) -> dict[str, Any]:
        """Return ``{egressIP, order}``."""
        return {"egressIP": self.egress_ip, "order": list(self.order)}


class WithoutStandby(NamedTuple):
    """An assigned egress IP that no node claims if its holder is lost; ``reason`` is the end of a sentence."""

    egress_ip: str
    reason: str

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> WithoutStandby:
        """Return the WithoutStandby of ``{egressIP, reason}``."""
        return cls(value["egressIP"], value["reason"])

    def to_dict(self) -> dict[str, str]:
        """Return ``{egressIP, reason}``."""
        return {"egressIP": self.egress_ip, "reason": self.reason}


class Standbys(NamedTuple):
    """The StandbyOrder or WithoutStandby of each assigned egress IP, each ordered by address."""

    found: tuple[StandbyOrder, ...] = ()
    without: tuple[WithoutStandby, ...] = ()

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Standbys:
        """Return the Standbys of ``{standbys, without_standby}``."""
        found = tuple(StandbyOrder.from_dict(entry) for entry in value["standbys"])
        return cls(found, tuple(WithoutStandby.from_dict(entry) for entry in value["without_standby"]))

    def to_dict(self) -> dict[str, Any]:
        """Return ``{standbys, without_standby}``."""
        return {
            "standbys": [entry.to_dict() for entry in self.found],
            "without_standby": [entry.to_dict() for entry in self.without],
        }


@dataclass(frozen=True)
class Plan:
    """A complete plan.

    ``egressips``: documents with their status; ``invalid``: ``{name, errors}``; ``load``: {node: number of egress IPs};
    ``weighted``: None if all egress IPs have weight 1; ``gap``: None unless the time limit ended the search;
    ``standbys``: None without failover.
    """

    egressips: tuple[Any, ...] = ()
    assignments: tuple[Assignment, ...] = ()
    unassigned: tuple[Unassigned, ...] = ()
    invalid: tuple[Mapping[str, Any], ...] = ()
    moves: tuple[Move, ...] = ()
    load: Mapping[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    weighted: Weighted | None = None
    gap: Gap | None = None
    standbys: Standbys | None = None

    @property
    def leveled_load(self) -> Mapping[str, int]:
        """{node: sum of weights}: the load that the policy ``balanced`` levels."""
        return self.weighted.load if self.weighted else self.load

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Plan:
        """Return the Plan of the dict that ``to_dict`` returned."""
        return cls(
            egressips=tuple(value["egressips"]),
            assignments=tuple(Assignment.from_dict(entry) for entry in value["assignments"]),
            unassigned=tuple(Unassigned.from_dict(entry) for entry in value["unassigned"]),
            invalid=tuple(value["invalid"]),
            moves=tuple(Move.from_dict(entry) for entry in value["moves"]),
            load=dict(value["load"]),
            warnings=tuple(value["warnings"]),
            weighted=Weighted.from_dict(value["weighted"]) if "weighted" in value else None,
            gap=Gap.from_dict(value["gap"]) if "gap" in value else None,
            standbys=Standbys.from_dict(value) if "standbys" in value else None,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return ``{egressips, assignments, unassigned, invalid, moves, load, warnings}`` in plain dicts and lists.

        ``weighted`` is added if an egress IP has another weight than 1; ``proven``, which is false, and ``gap``
        if the time limit ended the search; ``standbys`` and ``without_standby`` with failover.
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
            **({"proven": False, "gap": self.gap.to_dict()} if self.gap else {}),
            **(self.standbys.to_dict() if self.standbys else {}),
        }
