# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The end of the vSphere modules."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere import module as tested
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.errors import VsphereError


class FakeModule:
    """An AnsibleModule that records its end, and exits as one does."""

    def __init__(self):
        self.warnings = []
        self.end = None

    def warn(self, text):
        """Record a warning."""
        self.warnings.append(text)

    def exit_json(self, **result):
        """Record a success."""
        self.end = "exit", result
        raise SystemExit(0)

    def fail_json(self, **result):
        """Record a failure."""
        self.end = "fail", result
        raise SystemExit(1)


def finish(work):
    module = FakeModule()
    with pytest.raises(SystemExit):
        tested.finish(module, work)
    return module


def test_warnings_of_the_result_become_warnings_of_the_module():
    module = finish(lambda: {"changed": True, "warnings": ["a", "b"]})
    assert (module.end, module.warnings) == (("exit", {"changed": True}), ["a", "b"])


def test_an_error_that_the_user_can_correct_is_the_message():
    def work():
        raise VsphereError("hostname: does not answer")

    assert finish(work).end == ("fail", {"msg": "hostname: does not answer"})


def test_any_other_exception_is_a_bug():
    module = FakeModule()
    with pytest.raises(ZeroDivisionError):
        tested.finish(module, lambda: {"changed": 1 / 0})
    assert module.end is None


def test_without_pyvmomi_nothing_is_done(monkeypatch):
    monkeypatch.setattr(tested, "PYVMOMI_ERROR", "Traceback: no module named pyVmomi")
    kind, result = finish(lambda: pytest.fail("must not be called")).end
    assert (kind, result["exception"]) == ("fail", "Traceback: no module named pyVmomi")
    assert "pyvmomi" in result["msg"]
