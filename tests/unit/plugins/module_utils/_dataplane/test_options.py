# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of the data plane, and the marks, tables and priorities that follow from them."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import (
    EgressIPError,
    InvalidError,
    NodeStateError,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.options import DataPlaneOptions
from hypothesis import given
from hypothesis import strategies as st

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)


@given(JSON)
def test_wrong_options_are_an_error_and_never_a_traceback(wrong):
    for name in DataPlaneOptions.__dataclass_fields__:
        try:
            DataPlaneOptions.from_dict({name: wrong})
        except EgressIPError as error:
            assert str(error).startswith(f"options.{name}: ")


@pytest.mark.parametrize("mask", [0, -1, 0x1, 0x80, 0x5, 0x7FFF, 2**32, 0x100000001, "x", None, True, 1.5])
def test_other_masks_are_refused(mask):
    with pytest.raises(InvalidError, match=r"options.mark_mask: must be"):
        DataPlaneOptions.from_dict({"mark_mask": mask})


@pytest.mark.parametrize(
    ("mask", "max_index", "mark"),
    [
        (0xFFF, 4094, 5),
        (0x1FFF, 8190, 5),
        (0x3, 2, None),
        (0xF0, 14, 0x50),
        (0xFC000000, 62, 0x14000000),
        (0x3FFF, 16382, 5),
        (0x3FFF0000, 16382, 0x50000),
    ],
)
def test_marks_lie_within_the_mask(mask, max_index, mark):
    options = DataPlaneOptions.from_dict({"mark_mask": mask})
    assert options.max_index == max_index
    assert options.mark(max_index + 1) == mask
    assert mark is None or options.mark(5) == mark


def test_a_mask_may_be_hexadecimal_text():
    assert DataPlaneOptions.from_dict({"mark_mask": "0xf0"}).mark_mask == 0xF0


def test_every_error_has_the_path_of_its_option():
    value = {"tunnel_port": 0, "unassigned": "never", "metrics_dir": "here", "tunnel_device": "", "colour": 1}
    with pytest.raises(InvalidError) as caught:
        DataPlaneOptions.from_dict(value, "egress_ip_")
    assert {error.split(":")[0] for error in caught.value.errors} == {f"egress_ip_{name}" for name in value}


def test_options_that_are_no_mapping():
    with pytest.raises(NodeStateError, match="^options: must be a mapping, not null"):
        DataPlaneOptions.from_dict(None)


@given(st.integers(2, 14), st.integers(0, 18))
def test_groups_of_marks_lie_within_the_reserved_priorities(bits, shift):
    options = DataPlaneOptions.from_dict({"mark_mask": (2**bits - 1) << shift})
    groups = {options.group(index) for index in range(1, options.max_index + 1)}
    assert max(groups) < 128
    assert options.rule_priority + 3 + 3 * max(groups) + 2 < options.last_priority - 1
    assert all(
        options.mark(index) & options.group_mask == options.mark(other) & options.group_mask
        for group in list(groups)[:5]
        for index in [next(i for i in range(1, options.max_index + 1) if options.group(i) == group)]
        for other in range(index, options.max_index + 1)
        if options.group(other) == group
    )


def test_the_tables_of_the_egress_ips():
    options = DataPlaneOptions(table_base=9000, mark_mask=0xF0)
    assert (options.first_table, options.last_table) == (9000, 9014)
