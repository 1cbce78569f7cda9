# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a setting reads a value: texts of YAML, null, and errors."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import Errors
from ansible_collections.netops.egress_ip.plugins.plugin_utils._setting import COUNT, MAPPING, STRINGS


@pytest.mark.parametrize(
    ("setting", "value", "expected"),
    [
        (COUNT, "3", 3),
        (MAPPING, "{a: 1}", {"a": 1}),
        (MAPPING, "null", None),
        (STRINGS, "a, b", ["a", "b"]),
        (STRINGS, "[a, b]", ["a", "b"]),
    ],
)
def test_a_text_has_the_effect_of_its_value(setting, value, expected):
    errors = Errors()
    assert (setting.read(value, "s", errors), errors.found) == (expected, ())


@pytest.mark.parametrize(("setting", "value"), [(COUNT, "-1"), (MAPPING, "--- {}\n--- {}"), (MAPPING, "{a")])
def test_a_malformed_value_is_one_error_with_its_path(setting, value):
    errors = Errors()
    setting.read(value, "egress_ip_s", errors)
    assert len(errors.found) == 1
    assert errors.found[0].startswith("egress_ip_s")
