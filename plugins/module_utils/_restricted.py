# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A board on which some addresses may only be on some of the nodes. PRIVATE to the collection."""

from __future__ import annotations

from ._board import Board, _obstacles
from ._plan import NODE_INVALID


class RestrictedBoard(Board):
    """A Board with ``restrict``. Without a call of it, it is a Board."""

    def __init__(self, nodes, holders):
        """``nodes``: Nodes; ``holders``: {address: ((node, name), ...)} now."""
        super().__init__(nodes, holders)
        self._only = {}
        self._chosen = {}

    def restrict(self, address, names):
        """From now on the address may only be on nodes of ``names``, a frozenset that addresses had best share."""
        self._only[address] = names
        self._possible.pop(address, None)

    def _find_possible(self, address):
        inside, names = super()._find_possible(address), self._only.get(address)
        if names is None:
            return inside
        key = (id(inside), id(names))
        if key not in self._chosen:
            # What is kept keeps its identity, which nothing else gets in the meantime.
            self._chosen[key] = tuple(node for node in inside if node.name in names), inside, names
        return self._chosen[key][0]

    def obstacles(self, name, address):
        """Return every reason why the node of this name may not hold the address, capacity and neighbours aside."""
        node = self.node(name)
        return [NODE_INVALID] if node is None else _obstacles(node, address)
