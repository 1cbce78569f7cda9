# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts in memory for the tests of a node."""

from __future__ import annotations

import pytest
from fake_node_io import FakeKernel
from followed_node import following
from node_runs import A, B, apply
from states import held, node_state


@pytest.fixture
def kernel():
    """A host that was never a node."""
    return FakeKernel()


@pytest.fixture
def watched(kernel):
    """A node that holds A and B."""
    apply(kernel, node_state(held=held(A, B)))
    return kernel


@pytest.fixture
def standby(kernel):
    """The failover program of a node that watches the holder of an address."""
    return following(kernel, "node2")


@pytest.fixture
def holder(kernel):
    """The failover program of a node that holds an address."""
    return following(kernel, "node1")
