# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of a state for pods that start between runs: its dict form and its errors."""

from __future__ import annotations

from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import Errors
from ansible_collections.netops.egress_ip.plugins.module_utils._common.selectors import Selector
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.followed_pods import (
    Follow,
    FollowedNamespace,
    PodRule,
)
from states import node_state

RULES = (PodRule("web"), PodRule("db", Selector((("app", "db"),))))
FOLLOW = Follow(("kubernetes",), (FollowedNamespace("empty"), FollowedNamespace("shop", RULES)), "/etc/kubelet.conf")


def test_the_dict_form_and_back():
    errors = Errors()
    assert Follow.from_dict(FOLLOW.to_dict(), "follow", errors) == FOLLOW
    assert Follow.from_dict(None, "follow", errors) is None
    assert errors.found == ()
    assert FOLLOW.objects == {"web", "db"}


def test_a_state_without_it_has_no_key_for_it():
    state = node_state()
    assert "follow" not in state.to_dict()
    assert not state.watches_networks
    followed = node_state(follow={"engines": ["kubernetes"]})
    assert followed.watches_networks
    assert followed.digest() != state.digest()
    assert type(state).from_dict(followed.to_dict()) == followed


def test_every_error():
    errors = Errors()
    rules = [{"egressip": "", "podSelector": {"matchLabels": {"a/b/c": 1}}, "x": 1}, 7]
    namespaces = [{"name": "A/b", "rules": rules}, []]
    value = {"engines": ["podmann", 1], "kubeconfig": "kubelet.conf", "namespaces": namespaces, "more": 1}
    Follow.from_dict(value, "state.follow", errors)
    assert errors.found == (
        "state.follow.more: unknown field; expected one of engines, kubeconfig, namespaces",
        "state.follow.engines[0]: must be kubernetes or podman, not 'podmann'",
        "state.follow.engines[1]: must be kubernetes or podman, not the integer 1",
        "state.follow.kubeconfig: must be an absolute path of a file on the node, not 'kubelet.conf'",
        "state.follow.namespaces[0].name: must be the name of a namespace, not 'A/b'",
    ) + tuple(errors.found[5:])
    assert [line.partition(": ")[0] for line in errors.found[5:]] == [
        "state.follow.namespaces[0].rules[0].x",
        "state.follow.namespaces[0].rules[0].egressip",
        "state.follow.namespaces[0].rules[0].podSelector.matchLabels['a/b/c']",
        "state.follow.namespaces[0].rules[0].podSelector.matchLabels['a/b/c']",
        "state.follow.namespaces[0].rules[1]",
        "state.follow.namespaces[0].rules[1].egressip",
        "state.follow.namespaces[1]",
        "state.follow.namespaces[1].name",
    ]
