# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys of results, states and values of filters are in snake_case; fields of Kubernetes objects keep their names."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
CAMEL_CASE = re.compile(r"[A-Za-z]*[a-z][A-Z][A-Za-z]*")
KUBERNETES = {
    "allowWatchBookmarks",
    "apiVersion",
    "egressIP",
    "egressIPs",
    "egressNodeSelector",
    "fieldSelector",
    "firstTimestamp",
    "generateName",
    "hostNetwork",
    "involvedObject",
    "lastTimestamp",
    "matchExpressions",
    "matchLabels",
    "namespaceSelector",
    "nodeName",
    "podCIDRs",
    "podIPs",
    "podSelector",
    "resourceVersion",
    "timeoutSeconds",
}
# Fields of the CNI specification, which its runtimes read.
CNI = {"cniVersion", "supportedVersions"}
# A key of this dict is a kind of Kubernetes, not the name of a value.
KINDS = {"EgressIP"}
PLUGINS = [path for folder in ("modules", "filter") for path in sorted(ROOT.glob(f"plugins/{folder}/[!_]*.py"))]
# Files of golden folders that contain results; the others contain what users write.
RESULTS = {
    *("answer", "explanation", "facts", "fleet", "metrics", "normal", "plan", "platform", "results", "rollout"),
    *("selected", "state", "verdict"),
}


def _ids(paths):
    return [str(path.relative_to(ROOT)) for path in paths]


def _keys(value):
    """Return all keys of a value and of the values inside."""
    if isinstance(value, dict):
        return {str(key) for key in value}.union(*map(_keys, value.values()))
    return set().union(*map(_keys, value)) if isinstance(value, list) else set()


def _documented(returned):
    """Return the names of the values that a RETURN block describes, and the keys in their samples."""
    names = {name for name in returned if name != "_value"}
    for value in returned.values():
        names |= _keys(value.get("sample")) | _documented(value.get("contains", {}))
    return names


@pytest.mark.parametrize("path", PLUGINS, ids=_ids(PLUGINS))
def test_documented_keys(path):
    text = re.search(r'^RETURN = r"""(.*?)^"""', path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    documented = _documented(yaml.safe_load(text[1]))
    assert {key for key in documented if CAMEL_CASE.fullmatch(key)} <= KUBERNETES


def test_keys_that_the_code_writes():
    written = {
        key.value
        for path in ROOT.glob("plugins/**/*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Dict)
        for key in node.keys
        if isinstance(key, ast.Constant) and isinstance(key.value, str)
    }
    assert {key for key in written if CAMEL_CASE.fullmatch(key)} - KINDS <= KUBERNETES | CNI


def test_keys_in_golden_results():
    files = [path for path in ROOT.glob("tests/unit/golden/**/*.yml") if path.stem in RESULTS]
    assert len(files) > 50
    keys = set().union(*(_keys(document) for path in files for document in yaml.safe_load_all(path.read_text("utf-8"))))
    assert {key for key in keys if CAMEL_CASE.fullmatch(key)} <= KUBERNETES


def test_the_list_has_no_stale_name():
    code = "\n".join(path.read_text(encoding="utf-8") for path in ROOT.glob("plugins/**/*.py"))
    assert {name for name in KUBERNETES if f'"{name}"' not in code} == set()
