# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of engines as sources of pods."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import InvalidError
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.engine_sources import (
    EngineSource,
    engine_of,
    read_engines,
)


def read(*sources):
    return read_engines((f"manifests[{index}]", source) for index, source in enumerate(sources))


def test_settings_are_optional():
    written = {"docker": {"namespace": "web", "namespaces": ["db", "prod.db"]}}
    found = read({"podman": {}}, written)
    assert found == [EngineSource("podman"), EngineSource("docker", "web", ("db", "prod.db"))]
    assert [EngineSource.from_dict(each.to_dict()) for each in found] == found


@pytest.mark.parametrize(
    "source", ["podman", {}, {"podman": {}, "docker": {}}, {"kind": "Pod"}, {"kubernetes": {}}, {1: {}}]
)
def test_other_sources_are_no_engines(source):
    assert engine_of(source) == ""


@pytest.mark.parametrize(
    ("sources", "error"),
    [
        ([{"podman": None}], "manifests[0].podman: must be a mapping, not null"),
        ([{"podman": {"namespac": "a"}}], "manifests[0].podman.namespac: unknown field; did you mean namespace?"),
        ([{"podman": {"namespace": "A"}}], "manifests[0].podman.namespace: must be the name of a namespace, not 'A'"),
        ([{"podman": {"namespace": ""}}], "manifests[0].podman.namespace: is empty"),
        ([{"podman": {"namespaces": "a"}}], "manifests[0].podman.namespaces: must be a list, not the string 'a'"),
        (
            [{"libvirt": {"namespaces": ["a", "a.b.c"]}}],
            "manifests[0].libvirt.namespaces[1]: must be the name of a namespace, not 'a.b.c'",
        ),
        ([{"docker": {}}, {"docker": {}}], "manifests[1].docker: is a duplicate; list each engine once"),
    ],
)
def test_wrong_settings(sources, error):
    with pytest.raises(InvalidError) as caught:
        read(*sources)
    assert caught.value.errors == (error,)
