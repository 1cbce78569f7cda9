# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A board on which some addresses may only be on some of the nodes. PRIVATE to the collection."""

from __future__ import annotations

from ._annotations import NODE_SELECTOR
from ._board import Board, _listed, _obstacles
from ._plan import NODE_INVALID, NODE_NOT_SELECTED


class RestrictedBoard(Board):
    """A Board with ``restrict``. Without a call of it, it is a Board."""

    def __init__(self, nodes, holders):
        """``nodes``: Nodes; ``holders``: {address: ((node, name), ...)} now."""
        super().__init__(nodes, holders)
        self._only = {}
        self._selected = {}
        self._chosen = {}

    def restrict(self, address, names):
        """From now on the address may only be on nodes of ``names``, a frozenset that addresses had best share."""
        self._only[address] = names & self._only[address] if address in self._only else names
        self._possible.pop(address, None)

    def selected_by(self, selector):
        """Return the names of the nodes that a Selector selects, the same frozenset each time."""
        if selector not in self._selected:
            nodes = (node for node in self.nodes.sound if selector.matches(_texts(node.labels)))
            self._selected[selector] = frozenset(node.name for node in nodes)
        return self._selected[selector]

    def obstacles(self, name, address):
        """Return every reason why the node of this name may not hold the address, capacity and neighbours aside."""
        node = self.node(name)
        if node is None:
            return [NODE_INVALID]
        return [*_obstacles(node, address), *([] if self._is_allowed(name, address) else [NODE_NOT_SELECTED])]

    def why_leave(self, node_name, address):
        """Return why a node can hold the address no longer (a reason for a move); None when it could."""
        reason = super().why_leave(node_name, address)
        return reason or (None if self._is_allowed(node_name, address) else NODE_NOT_SELECTED)

    def _is_allowed(self, name, address):
        return address not in self._only or name in self._only[address]

    def _find_possible(self, address):
        inside, names = super()._find_possible(address), self._only.get(address)
        if names is None:
            return inside
        key = (id(inside), id(names))
        if key not in self._chosen:
            # What is kept keeps its identity, which nothing else gets in the meantime.
            self._chosen[key] = tuple(node for node in inside if node.name in names), inside, names
        return self._chosen[key][0]

    def _obstacle_summary(self, address):
        barred = [node.name for node in self.nodes.sound if not self._is_allowed(node.name, address)]
        if not barred:
            return super()._obstacle_summary(address)
        others = self.nodes.broken or any(_obstacles(node, address) for node in self.nodes.sound)
        parts = [super()._obstacle_summary(address)] if others else []
        return "; ".join([*parts, f"not selected by {NODE_SELECTOR}: {_listed(barred)}"])


def _texts(labels):
    """Return labels as Kubernetes has them, all strings; YAML may have made something else of one in an inventory."""
    return {key: _text(value) for key, value in labels.items()}


def _text(value):
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)
