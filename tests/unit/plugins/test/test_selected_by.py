# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The test's edge: documents and labels, and its errors. What selectors match is tested with _selectors."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.netops.egress_ip.plugins.test.selected_by import TestModule as SelectedBy

SELECTED_BY = SelectedBy().tests()["selected_by"]
WEB = {"matchLabels": {"app": "web"}}


@pytest.mark.parametrize(
    ("labelled", "selected"),
    [
        ({"kind": "Pod", "metadata": {"name": "a", "labels": {"app": "web"}}}, True),
        ({"kind": "Pod", "metadata": {"name": "a", "labels": {"app": "db"}}}, False),
        ({"kind": "Pod", "metadata": {"name": "a", "labels": None}}, False),
        ({"kind": "Pod", "metadata": {"name": "a"}}, False),
        ({"app": "web", "metadata": "x"}, True),
        ({"app": "db"}, False),
        ({}, False),
    ],
)
def test_takes_documents_and_labels(labelled, selected):
    assert SELECTED_BY(labelled, WEB) is selected


@pytest.mark.parametrize(
    ("labelled", "selector", "words"),
    [
        (
            {"app": "web"},
            {"matchLabel": {"app": 5}},
            "selector.matchLabel: unknown field; did you mean matchLabels?",
        ),
        ({"app": "web"}, None, "selector: must be a mapping, not null"),
        ("web", {}, "labels: must be a mapping, not the string 'web'"),
        (
            {"metadata": {"labels": {"app": 5}}},
            {},
            "metadata.labels['app']: must be a string, not the integer 5; put it in quotes",
        ),
    ],
)
def test_errors_begin_with_the_path(labelled, selector, words):
    with pytest.raises(AnsibleFilterError) as caught:
        SELECTED_BY(labelled, selector)
    assert str(caught.value) == f"netops.egress_ip.selected_by: {words}"
