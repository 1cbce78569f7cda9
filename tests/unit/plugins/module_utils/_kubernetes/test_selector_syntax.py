# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Label selectors on one line."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import InvalidError
from ansible_collections.netops.egress_ip.plugins.module_utils._common.selectors import Requirement, Selector
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.selector_syntax import (
    parse_selector,
    selector_text,
)
from hypothesis import given
from hypothesis import strategies as st

# What `kubectl get nodes -l TEXT` selects of these.
NODES = {"n1": {"zone": "a", "disk": "ssd"}, "n2": {"zone": "b", "gpu": ""}, "n3": {}}
SELECTED = [
    ("zone=a", "n1"),
    ("zone==a", "n1"),
    ("zone = a", "n1"),
    ("zone!=a", "n2 n3"),
    ("zone", "n1 n2"),
    ("!zone", "n3"),
    ("! zone", "n3"),
    ("zone in (a,b)", "n1 n2"),
    ("zone in(a)", "n1"),
    ("zone in ( a , c )", "n1"),
    ("zone notin (a)", "n2 n3"),
    ("zone,!gpu", "n1"),
    ("zone in (a,b),disk!=ssd", "n2"),
    ("gpu=", "n2"),
    ("gpu in (,x)", "n2"),
    ("in in (in)", ""),
]


@pytest.mark.parametrize(("text", "names"), SELECTED)
def test_what_a_selector_selects(text, names):
    selector = parse_selector(text, "p")
    assert [name for name, labels in NODES.items() if selector.matches(labels)] == names.split()


REFUSED = [
    ("", "p: is empty"),
    (5, "p: must be a string, not the integer 5; put it in quotes"),
    ("a,", "p[1]: '' is not a valid requirement; write key, "),
    ("zone=(a)", "p[0]: 'zone=(a)' is not a valid requirement; "),
    ("zone in a", "p[0]: 'zone in a' is not a valid requirement; "),
    ("zone in (a,b", "p[0]: 'zone in (a,b' is not a valid requirement; "),
    ("cpus>3", "p[0]: 'cpus>3' is not a valid requirement; "),
    ("zone=a b", "p[0]: 'zone=a b' is not a valid requirement; "),
    ("zone=-", "p[0].values[0]: '-' is not a valid label value; "),
    ("/x", "p[0].key: "),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_what_is_no_selector_is_refused(text, message):
    with pytest.raises(InvalidError) as caught:
        parse_selector(text, "p")
    assert [error[: len(message)] for error in caught.value.errors] == [message]


KEYS = st.sampled_from(["zone", "topology.kubernetes.io/zone", "in", "a_b.c"])
VALUES = st.lists(st.sampled_from(["a", "b-1", "", "in"]), min_size=1, max_size=3).map(lambda v: tuple(sorted(set(v))))
REQUIREMENTS = st.builds(Requirement, KEYS, st.sampled_from(["In", "NotIn"]), VALUES) | st.builds(
    Requirement, KEYS, st.sampled_from(["Exists", "DoesNotExist"]), st.just(())
)


@given(st.lists(REQUIREMENTS, min_size=1, max_size=4))
def test_a_selector_and_its_text(requirements):
    selector = Selector(match_expressions=tuple(requirements))
    assert parse_selector(selector_text(selector), "p") == selector
