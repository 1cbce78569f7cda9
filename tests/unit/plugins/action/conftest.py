# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node is sent."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible.plugins.action import ActionBase


@pytest.fixture
def sent(monkeypatch):
    """Return a function that returns the options with which an action of a node runs the module `node`."""

    def options_of(action, variables=None, **options):
        found = {}

        def execute(_self, module_name, module_args, **_more):
            assert module_name == "netops.egress_ip.node"
            found.update(module_args)
            return {}

        monkeypatch.setattr(ActionBase, "run", lambda *_arguments: {})
        monkeypatch.setattr(ActionBase, "_is_pipelining_enabled", lambda *_arguments: False)
        monkeypatch.setattr(ActionBase, "_execute_module", execute)
        action(SimpleNamespace(args=options, async_val=0), None, None, None, None, None).run(None, variables)
        return found

    return options_of
