# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of a list of network plugins: our entry comes and goes, and every other byte stays."""

from __future__ import annotations

import json

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import ConflictError
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.conflist import (
    TYPE,
    has_entry,
    read_chain,
    with_entry,
    without_entry,
)
from hypothesis import given, settings
from hypothesis import strategies as st

FLANNEL = """\
{
  "name": "cbr0",
  "cniVersion": "0.3.1",
  "plugins": [
    {
      "type": "flannel",
      "delegate": {"hairpinMode": true, "isDefaultGateway": true}
    },
    {
      "type": "portmap",
      "capabilities": {"portMappings": true}
    }
  ]
}
"""
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
PLUGINS = st.lists(
    st.dictionaries(st.text(max_size=8).filter(lambda key: key != "type"), VALUES, max_size=2).map(
        lambda fields: {**fields, "type": "bridge"}
    ),
    min_size=1,
    max_size=3,
)
TEXTS = st.builds(
    lambda before, plugins, after, indent, ascii_only: json.dumps(
        {**before, "cniVersion": "1.0.0", "plugins": plugins, **after}, indent=indent, ensure_ascii=ascii_only
    ),
    st.dictionaries(st.text(max_size=8).filter(lambda key: key not in ("cniVersion", "plugins")), VALUES, max_size=3),
    PLUGINS,
    st.dictionaries(st.text(max_size=8).filter(lambda key: key not in ("cniVersion", "plugins")), VALUES, max_size=2),
    st.sampled_from([None, 0, 2, "\t"]),
    st.booleans(),
)


def test_a_list_of_flannel():
    text = with_entry(FLANNEL, "x")
    assert text == FLANNEL.replace("true}\n    }\n  ]", 'true}\n    }, {"type": "netops-egress-ip"}\n  ]')
    assert without_entry(text, "x") == FLANNEL


@settings(max_examples=40)
@given(TEXTS)
def test_every_byte_of_others_stays(text):
    found = with_entry(text, "x")
    assert has_entry(found)
    assert not has_entry(text)
    assert json.loads(found)["plugins"] == [*json.loads(text)["plugins"], {"type": TYPE}]
    assert with_entry(found, "x") == found
    assert without_entry(found, "x") == without_entry(text, "x") == text


@pytest.mark.parametrize("place", [0, 1, 2])
def test_an_entry_that_was_written_again_by_others(place):
    """At another place, and with other white space."""
    document = json.loads(FLANNEL)
    document["plugins"].insert(place, {"type": TYPE, "x": {"a": [1, "}"]}})
    assert json.loads(without_entry(json.dumps(document, indent=4), "x")) == json.loads(FLANNEL)


def test_the_last_of_equal_keys_counts():
    text = '{"plugins": [{"type": "x"}], "cniVersion": "1.0.0", "plugins": [ {"type":"ptp"} ]}'
    assert with_entry(text, "x") == text.replace('"ptp"}', '"ptp"}, {"type": "netops-egress-ip"}')


def test_the_only_plugin():
    text = f'{{"plugins": [ {{"type": "{TYPE}"}} ]}}'
    assert without_entry(text, "x") == '{"plugins": [  ]}'
    with pytest.raises(ConflictError, match="has no plugin that connects pods"):
        read_chain(text, "x")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "is not a list of network plugins"),
        ("[]", "is not a list of network plugins"),
        ('{"type": "bridge"}', "is not a list of network plugins"),
        ('{"plugins": {}}', "is not a list of network plugins"),
        ('{"plugins": ["bridge"]}', "is not a list of network plugins"),
        ("[" * 100000, "is not a list of network plugins"),
        ('{"plugins": []}', "has no plugin that connects pods"),
        ('{"plugins": [{"type": "bridge"}]}', "cniVersion must be one of 0.3.1, 0.4.0, 1.0.0, 1.1.0, not nothing"),
        (
            '{"cniVersion": "0.2.0", "plugins": [{"type": "bridge"}]}',
            "cniVersion must be one of 0.3.1, 0.4.0, 1.0.0, 1.1.0, not '0.2.0'",
        ),
        (
            '{"cniVersion": "1.0.0", "plugins": [{"type": "macvlan"}]}',
            "the plugin 'macvlan' takes pods past the host's routing, so they cannot have egress IPs",
        ),
    ],
)
def test_a_list_that_cannot_have_the_plugin(text, error):
    with pytest.raises(ConflictError) as raised:
        with_entry(text, "/etc/cni/net.d/x.conflist")
    assert str(raised.value) == f"/etc/cni/net.d/x.conflist: {error}"


def test_a_text_that_only_mentions_the_plugin():
    assert not has_entry(f'"{TYPE}')
    with pytest.raises(ConflictError, match="is not a list of network plugins"):
        read_chain("{", "x")


def test_the_first_plugin_connects_pods():
    assert read_chain(FLANNEL, "x").main == "flannel"
