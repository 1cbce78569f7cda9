# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An nftables table as a value, and as `nft -j` prints it.

golden/nftables/CASE holds nft.json, recorded from `nft -j list table`, and table.txt, the facts read from it.
"""

from __future__ import annotations

import json

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.nft_table import (
    INET,
    ChainState,
    SetState,
    base_chain,
    chain_of,
    element,
    fingerprint,
    parse_counters,
    parse_table,
)
from nft_tables import tables_of
from states import node_state


@pytest.mark.golden("nftables")
def test_parse_table(golden):
    table = parse_table(golden["nft.json"], INET)
    golden.check("table.txt", "" if table is None else "\n".join([*sorted(table.lines()), ""]))


def test_fingerprints_stand_for_texts():
    table = tables_of(node_state())[INET]
    assert all(mark == fingerprint(text) for mark, text in table.texts().items())


def test_counters():
    counter = {"family": "inet", "table": "egress_ip", "name": "transmit_a", "packets": 3, "bytes": 180}
    text = json.dumps({"nftables": [{"metainfo": {}}, {"counter": counter}]})
    assert parse_counters(text) == {"transmit_a": (3, 180)}


@pytest.mark.parametrize("text", ["", "null", "[]", '{"nftables": null}'])
def test_output_without_objects_has_no_counters(text):
    assert parse_counters(text) == {}


def test_the_device_of_a_chain_is_in_its_definition_alone():
    header = base_chain("filter", "ingress", 0, "drop")
    chain = ChainState(header, device="egress0")
    assert header == "{ type filter hook ingress priority 0; policy drop; }"
    assert chain.definition == '{ type filter hook ingress device "egress0" priority 0; policy drop; }'
    assert ChainState(header).definition == header


def test_a_rule_is_known_by_its_text():
    assert chain_of("", "accept").fingerprints == (fingerprint("accept"),) != (fingerprint("drop"),)


def test_elements_of_sets_and_maps():
    assert (element("10.0.0.1", None), element("10.0.0.1", "drop")) == ("10.0.0.1", "10.0.0.1 : drop")
    assert SetState("map", "{ type mark : verdict; }", {}).header == "map { type mark : verdict; }"
