# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manifests as the result of a task. What is read is tested with the lookup."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleError
from controller_actions import A, egressip, run_action

WEB = egressip("web", A)


def test_the_result_is_that_of_the_lookup(tmp_path):
    path = tmp_path / "pods.yml"
    path.write_text("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: prod\n---\n{\n")
    made = run_action("manifests_info", {}, sources=[WEB, str(path)])
    assert (made["changed"], made["egressips"]) == (False, [WEB])
    assert [each["metadata"]["name"] for each in made["namespaces"]] == ["prod"]
    assert [entry["name"] for entry in made["invalid"]] == [str(path)], "a malformed document does not stop the others"


@pytest.mark.parametrize(("options", "words"), [({}, "sources"), ({"sources": ["/none/at-all.yml"]}, "does not exist")])
def test_a_source_that_is_missing(options, words):
    with pytest.raises(AnsibleError, match=words):
        run_action("manifests_info", {}, **options)
