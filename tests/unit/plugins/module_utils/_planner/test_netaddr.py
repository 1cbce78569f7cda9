# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection loads without netaddr; the first use of a pool names the package."""

from __future__ import annotations

import runpy
import sys

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import EgressIPError
from ansible_collections.netops.egress_ip.plugins.module_utils._planner import netaddr, pools

LIBRARY = set(netaddr.__all__) - {"MISSING"}


@pytest.fixture
def without_library(monkeypatch):
    """Return the names of the module where the library is not installed."""
    monkeypatch.setitem(sys.modules, "netaddr", None)
    return runpy.run_path(netaddr.__file__)


def test_the_names_are_those_of_the_library():
    assert all(getattr(netaddr, name) is getattr(sys.modules["netaddr"], name) for name in LIBRARY)


def test_without_the_library_every_name_exists(without_library):
    assert {name: without_library[name] for name in LIBRARY} == dict.fromkeys(LIBRARY)


def test_without_the_library_a_pool_is_one_line(monkeypatch, without_library):
    monkeypatch.setattr(pools, "IPSet", without_library["IPSet"])
    with pytest.raises(EgressIPError) as caught:
        pools.read_pools({"p": ["10.0.0.1"]})
    assert str(caught.value) == f"egress_ip_pools: {netaddr.MISSING}"
    assert pools.read_pools({}) == {}
