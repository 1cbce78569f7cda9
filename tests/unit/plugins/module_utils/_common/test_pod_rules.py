# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When labels meet requirements, and which objects can apply."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.pod_rules import labels_in, meets, that_can_apply


@pytest.mark.parametrize(
    ("operator", "values", "found"),
    [
        ("In", ["a", "b"], (True, False, False)),
        ("NotIn", ["a", "b"], (False, True, True)),
        ("Exists", [], (True, True, False)),
        ("DoesNotExist", [], (False, False, True)),
    ],
)
def test_the_operators(operator, values, found):
    labels = ({"key": "a"}, {"key": "c"}, {"other": "a"})
    assert tuple(meets("key", operator, values, each) for each in labels) == found


def test_labels_in_a_text():
    assert labels_in("app=shop, tier=web,broken,a=b=c") == {"app": "shop", "tier": "web", "a": "b=c"}
    assert labels_in("") == {}


def test_of_those_for_everywhere_the_first():
    objects = [("a", False), ("b", True), ("c", False), ("d", True)]
    assert that_can_apply(objects) == ["a", "b", "c"]
    assert that_can_apply([]) == []
