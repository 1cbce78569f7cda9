# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pause of the garbage collector ends in every case, and does not enable a collector that was off."""

from __future__ import annotations

import gc

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.gc_pause import paused_collector


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_is_as_before(enabled):
    try:
        gc.enable() if enabled else gc.disable()
        with paused_collector():
            assert not gc.isenabled()
        assert gc.isenabled() is enabled
    finally:
        gc.enable()


def test_an_error_ends_the_pause():
    with pytest.raises(KeyError), paused_collector():
        raise KeyError
    assert gc.isenabled()
