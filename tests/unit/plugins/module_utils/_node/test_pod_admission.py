# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names and addresses of pods that start between runs. `test_cni` and `test_oci_hook` have the rest."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common import selectors
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import pod_notes
from ansible_collections.netops.egress_ip.plugins.module_utils._node import pod_admission
from ansible_collections.netops.egress_ip.plugins.module_utils._node.pod_admission import (
    is_identifier,
    is_namespace,
    is_pod_name,
    pod_address,
)
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "found"),
    [("c1", True), ("0-a_b.c", True), ("", False), (".a", False), ("a/b", False), ("a:b", False), ("a" * 201, False)],
)
def test_identifiers(text, found):
    assert is_identifier(text) is found


@given(st.one_of(st.text("ab0-.A", max_size=6), st.integers(60, 66).map("a".__mul__)))
def test_a_namespace_is_what_it_is_in_manifests(text):
    assert is_namespace(text) == selectors.is_dns_label(text)


@pytest.mark.parametrize(
    ("text", "found"), [("web-0", True), ("a.b", True), ("", False), ("a..b", False), ("-a", False), ("a" * 254, False)]
)
def test_names_of_pods(text, found):
    assert is_pod_name(text) is found


def test_addresses():
    assert pod_address("FD00:0::7", ()) == "fd00::7"
    for text, message in (
        ("x", "must be an address with a prefix length"),
        ("127.0.0.1", "127.0.0.1 cannot be the address of a pod"),
        ("fe80::1", "fe80::1 cannot be the address of a pod"),
        ("10.0.0.1", "10.0.0.1 is an address of a node or an egress IP, not of a pod"),
    ):
        with pytest.raises(ValueError, match=f"^{message}$"):
            pod_address(text, {"10.0.0.1"})


def test_a_pod_for_which_no_program_can_be_started_has_no_note(monkeypatch, tmp_path):
    for name in ("NOTES_FOLDER", "LOCK_FILE", "RULES_FILE"):
        monkeypatch.setattr(pod_notes, name, str(tmp_path / name))
    monkeypatch.setattr(pod_admission, "classify", lambda *_arguments: {"10.88.0.2": "goto object_web"})
    monkeypatch.setattr(pod_admission, "lacks_labels", lambda *_arguments: False)

    def refuse(*_arguments):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(pod_notes, "run", refuse)
    pod_notes.write_rules({"reserved": []})
    with pytest.raises(OSError, match="temporarily unavailable"):
        pod_admission.admit("c1", {"name": "shop/web", "addresses": ["10.88.0.2"], "labels": {}})
    assert pod_notes.all_keys() == []
