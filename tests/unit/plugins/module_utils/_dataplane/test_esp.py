# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ESP states and policies: both ends derive the same, and no text for a person has a key."""

from __future__ import annotations

from itertools import permutations
from unittest import mock

from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane import esp as esp_module
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.esp import (
    READ_POLICIES,
    Esp,
    EspState,
    desired_esp,
    esp_lines,
    fingerprint,
    foreign_policies,
    parse_esp_policies,
    parse_states,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.nft_ruleset import desired_tables
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.nft_table import INET
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.node_state import NodeState
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.numbers import (
    ESP_OVERHEAD,
    ESP_POLICY_PRIORITY,
    ESP_REQUEST_ID,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.host_io import HostIO
from hypothesis import given
from hypothesis import strategies as st
from network_namespace import network_namespace
from states import egress_object, fleet_nodes, held, node_state

OLD, NEW = "a" * 40, "b" * 40
SECRETS = {fingerprint(secret): secret for secret in (OLD, NEW)}
IPS = ["192.168.126.101", "192.168.126.102", "2001:db8:126::101"]
MARKS = {ip: number for number, ip in enumerate(IPS, 1)}
SECRET_TEXTS = st.text(min_size=32, max_size=64)


def state_of(number: int, *secrets: str, holding: tuple[str, ...] = (), **changes) -> NodeState:
    """Return the state of a node of a fleet of three that encrypts with these secrets."""
    options = {"tunnel_encryption": "ipsec", "tunnel_keys": [fingerprint(secret) for secret in secrets]}
    node = fleet_nodes(3)[number - 1]
    base = {
        "name": node["name"],
        "endpoints": node["endpoints"],
        "options": options,
        "egressips": [egress_object("web", IPS)],
        "held": held(*holding),
    }
    return node_state(**{**base, **changes})


def by_pair(esp: Esp) -> dict[tuple[str, str], set[tuple[int, tuple[str, ...]]]]:
    """Return {(source, destination): {(SPI, keys)}}."""
    found: dict[tuple[str, str], set[tuple[int, tuple[str, ...]]]] = {}
    for state in esp.states:
        found.setdefault((state.source, state.destination), set()).add((state.spi, state.keys))
    return found


def test_none_without_the_option():
    assert desired_esp(node_state(), SECRETS) == Esp()


@given(SECRET_TEXTS, st.sets(st.sampled_from(IPS)))
def test_the_holder_accepts_what_each_sender_sends(secret, holding):
    """And it need not ask anybody: a move changes nothing on third nodes."""
    secrets = {fingerprint(secret): secret}
    holder = by_pair(desired_esp(state_of(1, secret, holding=tuple(holding)), secrets))
    for number in (2, 3):
        sender = state_of(number, secret)
        moved = state_of(number, secret, egressips=[egress_object("web", IPS)])
        assert desired_esp(sender, secrets).states == desired_esp(moved, secrets).states
        sent = {pair: keys for pair, keys in by_pair(desired_esp(sender, secrets)).items() if pair[1] in IPS}
        assert {source for source, _end in sent} == {*sender.endpoints}
        for pair, keys in sent.items():
            assert (pair in holder) == (pair[1] in holding)
            assert holder.get(pair, keys) == keys


def test_the_policies_cover_every_pair_of_the_tunnel():
    esp = desired_esp(state_of(1, OLD, holding=(IPS[0],)), SECRETS)
    pairs = {(words.split()[3].partition("/")[0], words.split()[5].partition("/")[0]) for words in esp.policies}
    assert pairs == {(state.source, state.destination) for state in esp.states}
    assert "dir in src 192.168.126.22/32 dst 192.168.126.101/32 proto 17 dport 4790" in esp.policies
    assert "dir out src 192.168.126.21/32 dst 192.168.126.102/32 proto 17 dport 4790" in esp.policies
    assert "dir out src 2001:db8:126::21/128 dst 2001:db8:126::101/128 proto 17 dport 4790" in esp.policies


def test_a_tunnel_that_ends_at_an_endpoint():
    ends = [{"egressIP": IPS[0], "endpoint": "192.168.126.22"}]
    sender = desired_esp(state_of(1, OLD, far_ends=ends), SECRETS)
    holder = desired_esp(state_of(2, OLD, far_ends=ends, holding=(IPS[0],)), SECRETS)
    pair = ("192.168.126.21", "192.168.126.22")
    assert by_pair(sender)[pair] == by_pair(holder)[pair]
    assert not [state for state in holder.states if state.destination == IPS[0] and state.source == pair[0]]


def test_all_keys_are_accepted_and_the_first_sends():
    both = desired_esp(state_of(1, OLD, NEW, holding=(IPS[0],)), SECRETS)
    old, new = (desired_esp(state_of(1, secret, holding=(IPS[0],)), SECRETS) for secret in (OLD, NEW))
    outbound = {state for state in old.states if state.source == "192.168.126.21"}
    assert outbound <= both.states
    assert not outbound & new.states
    inbound = {state for state in old.states | new.states if state.source not in ("192.168.126.21", "2001:db8:126::21")}
    assert inbound <= both.states


def test_a_node_without_the_first_secret_sends_with_the_next():
    """A node that joins during a rotation has the new secret only."""
    joined = desired_esp(state_of(1, OLD, NEW), {fingerprint(NEW): NEW})
    assert joined == desired_esp(state_of(1, NEW), SECRETS)


def test_without_a_secret_nothing_leaves():
    closed = desired_esp(state_of(1, OLD), {})
    assert (closed.states, closed.policies) == (frozenset(), desired_esp(state_of(1, OLD), SECRETS).policies)


@given(SECRET_TEXTS)
def test_no_two_senders_have_the_same_spi(secret):
    """A receiver finds a state by its own address and the SPI. Here, six endpoints share eight SPIs."""
    secrets = {fingerprint(secret): secret}
    with mock.patch.object(esp_module, "_FIRST_SPI", 2**32 - 8):
        made = [desired_esp(state_of(number, secret, holding=tuple(IPS)), secrets).states for number in (1, 2, 3)]
    for states in made:
        assert len({(state.destination, state.spi) for state in states}) == len(states)
    spis = {(state.source, state.spi) for states in made for state in states}
    assert len(spis) == len({source for source, _spi in spis}) == 6


def test_a_state_whose_spi_another_source_takes_over_is_deleted_first():
    before, after = (
        Esp(frozenset([EspState(source, IPS[0], 999, ("00", "00"))])) for source in ("10.0.0.1", "10.0.0.2")
    )
    assert [line.split()[2] for line in esp_lines(before, after)] == ["delete", "add"]


def test_every_direction_and_secret_has_its_own_keys():
    everything = [desired_esp(state_of(n, s, holding=tuple(IPS)), SECRETS) for n in (1, 2, 3) for s in (OLD, NEW)]
    states = {(state, state.keys) for esp in everything for state in esp.states}
    keys = [key for _state, both in states for key in both]
    assert len(keys) == len({*keys}) == 2 * len(states)
    assert {len(key) for key in keys} == {64}
    assert all(state.spi >= 256 for state, _keys in states)


def test_the_derivation_does_not_change():
    """Other values would cut a node with this version off from those with another one."""
    (state,) = (s for s in desired_esp(state_of(1, OLD), SECRETS).states if s.destination == IPS[1])
    assert (fingerprint(OLD), state.spi) == ("7a46576115446a3a", 2404551219)
    assert state.keys == (
        "c3440bc7bca60341d3d4c8a6d1fd767c1bf23769d552575035b8112201f56530",
        "4a7f6210cc7177ca4c0296924cff4ebac61c35d0c6b2207b0682b5e6eb4f3c2b",
    )


def test_no_text_has_a_key_or_secret():
    esp = desired_esp(state_of(1, OLD, NEW, holding=tuple(IPS)), SECRETS)
    shown = [*esp.lines(), repr(esp), *map(repr, esp.states), *(state.identity for state in esp.states), *SECRETS]
    hidden = {key for state in esp.states for key in state.keys} | {OLD, NEW}
    assert not [text for text in shown for key in hidden if key in text]


def test_a_change_leaves_a_state_for_each_packet():
    steps = [desired_esp(state_of(1, *keys), SECRETS) for keys in ((OLD,), (OLD, NEW), (NEW, OLD), (NEW,))]
    for before, after in permutations(steps, 2):
        verbs = [" ".join(line.split()[:3]) for line in esp_lines(before, after)]
        assert verbs == sorted(verbs), "every addition comes before a deletion"
        assert not [verb for verb in verbs if "policy" in verb]
    assert esp_lines(steps[0], steps[0]) == []


def test_the_cipher_needs_no_unique_counter_and_receivers_no_order():
    (line, *_rest) = esp_lines(Esp(), desired_esp(state_of(1, OLD), SECRETS))
    assert "replay-window 0 enc cbc(aes) 0x" in line
    assert line.endswith(" 128 extra-flag oseq-may-wrap")


def test_the_overhead_is_that_of_the_largest_padding():
    for payload in range(1000, 1100):
        padded = -(-(payload + 2) // 16) * 16
        assert 8 + 16 + padded + 16 - payload <= ESP_OVERHEAD
    assert max(8 + 16 + -(-(n + 2) // 16) * 16 + 16 - n for n in range(16)) == ESP_OVERHEAD


STATES = (
    "src 192.168.126.21 dst 192.168.126.102\\\tproto esp spi 0x0a0b0c0d(168496141) reqid "
    f"{ESP_REQUEST_ID}(0xffffffb9) mode transport\\\treplay-window 0 \n"
    "src 192.168.126.21 dst 192.168.126.102\\\tproto esp spi 0x00000000 reqid "
    f"{ESP_REQUEST_ID}(0xffffffb9) mode transport\\\treplay-window 0 \n"
    "src 10.0.0.1 dst 10.0.0.2\\\tproto esp spi 0x00001234 reqid 1 mode tunnel\\\treplay-window 32 \n"
)


def test_only_our_states_are_read():
    assert parse_states(STATES) == {EspState("192.168.126.21", "192.168.126.102", 0x0A0B0C0D)}
    assert parse_states("") == frozenset()


def test_the_kernel_lists_our_policies_as_they_were_added():
    """States need ESP in the kernel: tests/kernel has that test."""
    desired = desired_esp(state_of(1, OLD, holding=tuple(IPS)), {})
    foreign = "src 192.168.126.21/32 dst 192.168.126.102/32 proto 17 dport 4791"
    with network_namespace():
        HostIO.check(["ip", "xfrm", "policy", "add", *foreign.split(), "dir", "out", "priority", "225"])
        listed = HostIO.check(["ip", *READ_POLICIES])
        assert (parse_esp_policies(listed), foreign_policies(listed, 4790)) == (frozenset(), [])
        HostIO.check(["ip", "-batch", "-"], "\n".join(esp_lines(Esp(), desired)) + "\n")
        assert parse_esp_policies(HostIO.check(["ip", *READ_POLICIES])) == desired.policies
        HostIO.check(["ip", "-batch", "-"], "\n".join(esp_lines(desired, Esp())) + "\n")
        assert HostIO.check(["ip", *READ_POLICIES]) == listed


def test_a_foreign_policy_for_the_port_is_named():
    text = (
        "src 10.0.0.1/32 dst 10.0.0.2/32 proto udp dport 4790 \\\tdir out priority 0 ptype main \\\ttmpl src 0.0.0.0"
        " dst 0.0.0.0\\\t\tproto esp reqid 1 mode transport\\\n"
    )
    assert foreign_policies(text, 4790) == [
        "egress_ip_tunnel_encryption: a foreign IPsec policy covers UDP port 4790 from 10.0.0.1/32 to 10.0.0.2/32;"
        " delete it, or choose another egress_ip_tunnel_port"
    ]
    assert foreign_policies(text, 4791) == []


def test_a_changed_policy_is_written_again_and_not_deleted():
    desired = Esp(policies=frozenset(["dir in src 10.0.0.1/32 dst 10.0.0.2/32 proto 17 dport 4790"]))
    listed = (
        f"src 10.0.0.1/32 dst 10.0.0.2/32 proto udp dport 4790 \\\tdir in priority {ESP_POLICY_PRIORITY} ptype main"
        f" \\\ttmpl src 0.0.0.0 dst 0.0.0.0\\\t\tproto esp reqid {ESP_REQUEST_ID}(0xffffffb9) mode transport\\\t\t"
        "level use \\\n"
    )
    current = Esp(policies=parse_esp_policies(listed))
    assert current != desired
    (line,) = esp_lines(current, desired)
    assert line.startswith("xfrm policy update dir in src 10.0.0.1/32")
    (line,) = esp_lines(current, Esp())
    assert line == "xfrm policy delete dir in src 10.0.0.1/32 dst 10.0.0.2/32 proto 17 dport 4790 ptype main"


def test_plain_packets_of_the_tunnel_are_dropped_at_both_ends():
    """With real packets: tests/kernel."""
    plain, closed = (
        desired_tables(state, MARKS, 1373)[INET].chains for state in (state_of(1, OLD, options={}), state_of(1, OLD))
    )
    ends = {name for name in closed if closed[name] != plain.get(name)}
    assert ends == {"tunnel_port_input", "tunnel_port_output"}
    incoming, outgoing = (closed[name].rules for name in sorted(ends))
    other = "meta l4proto != { tcp, udp } return"
    assert incoming[:3] == (
        other,
        "meta l4proto udp meta secpath missing drop",
        f"meta l4proto udp ipsec in reqid != {ESP_REQUEST_ID} drop",
    )
    assert outgoing[:2] == (other, "meta l4proto udp meta mark and 0xfff != { 0, 0xfff } rt ipsec missing drop")
