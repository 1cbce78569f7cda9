# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter refuses arguments that are not lists. The selection is tested with _kubernetes.manifests."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.netops.egress_ip.plugins.filter.select_pods import FilterModule

SELECT_PODS = FilterModule().filters()["select_pods"]


def test_empty_lists_give_an_empty_list():
    assert SELECT_PODS([], []) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (({}, [], []), "input: must be a list of documents, not a mapping"),
        (([], "pods.yml", []), "pods: must be a list of documents, not the string 'pods.yml'"),
        (([], [], None), "namespaces: must be a list of documents, not null"),
    ],
)
def test_names_the_argument_that_is_no_list(arguments, words):
    with pytest.raises(AnsibleFilterError) as caught:
        SELECT_PODS(*arguments)
    assert str(caught.value) == f"netops.egress_ip.select_pods: {words}"
