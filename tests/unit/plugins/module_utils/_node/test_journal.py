# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lines of the units in the journal."""

from __future__ import annotations

from ansible_collections.netops.egress_ip.plugins.module_utils._node.journal import log


def test_a_line_names_the_collection(capsys):
    log("192.0.2.1 is in conflict")
    assert capsys.readouterr().err == "netops.egress_ip: 192.0.2.1 is in conflict\n"
