# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables have the same effect as values of an inventory and as texts of `-e` and of surveys."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import Errors, InvalidError
from ansible_collections.netops.egress_ip.plugins.module_utils._provider import contract
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.providers import PROVIDERS
from ansible_collections.netops.egress_ip.plugins.plugin_utils._setting import SECRET
from ansible_collections.netops.egress_ip.plugins.plugin_utils._settings import (
    DEFAULTS,
    FAILOVER,
    OF_FLEET,
    OF_HOST,
    read_failover_values,
    read_sources,
    variables_of_fleet,
    variables_of_hosts,
)
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from setting_sources import ALL_DEFAULTS, read

ROOT = Path(__file__).resolve().parents[4]
SECRETS = {f"egress_ip_{name}" for name, setting in {**OF_FLEET, **OF_HOST}.items() if setting is SECRET}
MANIFESTS = "egress_ip_manifests"


def specs(role):
    return yaml.safe_load((ROOT / f"roles/{role}/meta/argument_specs.yml").read_text())["argument_specs"]


SPECS = {f"{role}/{entry}": spec["options"] for role in ("node", *PROVIDERS) for entry, spec in specs(role).items()}
VARIABLES = sorted({*DEFAULTS}.union(*SPECS.values()) - SECRETS - {MANIFESTS})
WORDS = st.from_regex(r"[a-z][a-z0-9.]{0,8}", fullmatch=True)
INTEGERS, NUMBERS = st.integers(1, 32000), st.integers(1, 600) | st.sampled_from([0.25, 1.5, 60.0])
SCALARS = st.none() | st.booleans() | st.integers(-9, 9) | WORDS
DICTS = st.dictionaries(WORDS, SCALARS | st.dictionaries(WORDS, SCALARS, max_size=2), min_size=1, max_size=3)
# {variable: a strategy for values of its type}, where that does not follow from the type of the default.
VALUES = {
    "egress_ip_excluded_cidrs": st.lists(st.sampled_from(["10.88.0.0/16", "10.0.0.0/8", "fd00::/64"]), min_size=1),
    "egress_ip_unassigned": st.sampled_from(["node", "drop"]),
    "egress_ip_unknown_pods": st.sampled_from(["node", "drop"]),
    "egress_ip_inbound": st.sampled_from(["accept", "drop"]),
    "egress_ip_policy": st.sampled_from(["balanced", "sticky"]),
    "egress_ip_max_moves": INTEGERS,
    "egress_ip_plan_seconds": NUMBERS,
    "egress_ip_min_available": st.sampled_from([1, "2", "50%", "100%"]),
    "egress_ip_failover_after": st.sampled_from(["auto", 0.1, 60]) | st.integers(1, 60),
    "egress_ip_failover_witnesses": st.lists(st.sampled_from(["192.168.64.1", "fd00::1"]), min_size=1, max_size=8),
    "egress_ip_claim_timeout": NUMBERS,
    "egress_ip_probe_interval": NUMBERS,
    "egress_ip_tunnel_encryption": st.just("none"),
    "egress_ip_mark_mask": st.sampled_from([0xFFF, 0xFF, "0x3f00"]),
    "egress_ip_table_base": st.integers(256, 32000),
    "egress_ip_metrics_dir": st.just("/var/lib/metrics"),
    "egress_ip_follow": st.lists(st.sampled_from(["kubernetes", "podman"]), max_size=2, unique=True).map(sorted),
    "egress_ip_follow_kubeconfig": st.sampled_from(["/etc/kubernetes/kubelet.conf", "/var/lib/k3s/kubelet.kubeconfig"]),
    "egress_ip_platform": st.sampled_from(["auto", *PROVIDERS, "baremetal"]),
    "egress_ip_capacity": INTEGERS | st.dictionaries(st.sampled_from(["ip", "ipv4", "ipv6"]), INTEGERS, min_size=1),
}
OF_TYPE = {
    contract.TEXT: WORDS,
    contract.BOOLEAN: st.booleans(),
    contract.POSITIVE: INTEGERS,
    contract.STRUCTURE: DICTS | st.lists(DICTS, min_size=1, max_size=2),
}
for provider in PROVIDERS.values():
    for name, kind in {**provider.fleet_settings, **provider.host_settings}.items():
        if kind != contract.SECRET:
            values = OF_TYPE[kind] if isinstance(kind, str) else st.sampled_from(kind)
            VALUES[f"egress_ip_{provider.name}_{name}"] = values
OF_DEFAULT = {
    bool: st.booleans(),
    int: INTEGERS,
    str: WORDS,
    list: st.lists(WORDS, min_size=1, max_size=3),
    dict: DICTS,
}


def values_of(variable):
    """Return the strategy for values that the inventory gives."""
    return VALUES[variable] if variable in VALUES else OF_DEFAULT[type(ALL_DEFAULTS[variable])]


@st.composite
def texts_of(draw, variable):
    """Return (value, the same as a text)."""
    value = draw(values_of(variable))
    if isinstance(value, bool):
        return value, draw(st.sampled_from(["true", "yes", "True", "1"] if value else ["false", "no", "False", "0"]))
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return value, draw(st.sampled_from([", ".join(value), ",".join(value), "\n".join(value), json.dumps(value)]))
    if isinstance(value, (dict, list)):
        return value, draw(st.sampled_from([json.dumps(value), yaml.safe_dump(value)]))
    return value, draw(st.sampled_from(["", " "])) + str(value)


def errors_of(values, **options):
    with pytest.raises(InvalidError) as caught:
        read(values, **options)
    return list(caught.value.errors)


def test_every_variable_is_read():
    assert sorted({f"egress_ip_{name}" for name in (*OF_FLEET, *OF_HOST)} - SECRETS) == VARIABLES


def test_the_removal_reads_what_its_entry_point_documents():
    read_by_all = {"egress_ip_group", *DEFAULTS}
    assert {*variables_of_fleet("remove")} - read_by_all == {*SPECS["node/remove"]}
    assert variables_of_hosts("remove") == []


@pytest.mark.parametrize("variable", VARIABLES)
@examples(max_examples=15)
@given(data=st.data())
def test_a_text_has_the_effect_of_the_value(variable, data):
    value, text = data.draw(texts_of(variable))
    assert read({variable: text}) == read({variable: value})


@pytest.mark.parametrize("variable", VARIABLES)
@pytest.mark.parametrize("empty", ["", "  ", "\n", None])
def test_an_empty_value_is_the_default(variable, empty):
    assert read({variable: empty}) == read({})


@pytest.mark.parametrize("variable", VARIABLES)
@examples(max_examples=15)
@given(data=st.data())
def test_a_value_is_not_taken_for_the_default(variable, data):
    value = data.draw(values_of(variable))
    found, usual = read({variable: value}), read({})
    assert found == usual or str(value) != str(ALL_DEFAULTS[variable])
    name = variable.removeprefix("egress_ip_")
    places = [found["common"], found["options"], found["hosts"]["node1"]]
    got = next(place[name] for place in places if name in place)
    assert json.loads(json.dumps(got)) == got
    assert got == value or str(got) == str(value) or value == "0x3f00"


def test_engines_and_credentials_of_a_node_that_follows_pods():
    assert read({"egress_ip_follow": "kubernetes, kubernetes"})["hosts"]["node1"]["follow"] == ["kubernetes"]
    wrong = {"egress_ip_follow": ["docker"], "egress_ip_follow_kubeconfig": "kubelet.conf"}
    assert errors_of(wrong) == [
        "node1: egress_ip_follow[0]: must be kubernetes or podman, not 'docker'",
        "node1: egress_ip_follow_kubeconfig: must be an absolute path of a file on the node, not 'kubelet.conf'",
    ]


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@pytest.mark.parametrize("variable", VARIABLES)
@examples(max_examples=15)
@given(value=ANYTHING)
def test_a_wrong_value_is_lines_that_begin_with_the_variable(variable, value):
    try:
        read({variable: value})
    except InvalidError as error:
        assert all("\n" not in line for line in error.errors)
        assert all(line.startswith(("egress_ip_", "node1: egress_ip_")) for line in error.errors)


@pytest.mark.parametrize("entry", SPECS)
@examples(max_examples=15)
@given(data=st.data())
def test_the_check_by_ansible_accepts_everything(entry, data):
    """It would print the whole specification for a mistake, and refuse empty texts."""
    values = {name: data.draw(ANYTHING) for name in SPECS[entry]}
    assert ArgumentSpecValidator(SPECS[entry]).validate(values).error_messages == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"egress_ip_excluded_cidrs": 5}, "egress_ip_excluded_cidrs: must be a list of strings, not the integer 5"),
        ({"egress_ip_excluded_cidrs": "5"}, "egress_ip_excluded_cidrs[0]: '5' has no prefix length; write a"),
        ({"egress_ip_max_moves": "few"}, "egress_ip_max_moves: must be an integer of 0 or more, not the string 'few'"),
        ({"egress_ip_max_moves": True}, "egress_ip_max_moves: must be an integer of 0 or more, not the boolean true"),
        ({"egress_ip_probe_count": 0}, "egress_ip_probe_count: must be an integer of 1 or more, not the integer 0"),
        ({"egress_ip_strict": "maybe"}, "egress_ip_strict: must be true or false, not the string 'maybe'"),
        ({"egress_ip_policy": "random"}, "egress_ip_policy: must be balanced or sticky, not the string 'random'"),
        ({"egress_ip_plan_seconds": "nan"}, "egress_ip_plan_seconds: must be a number of 0 or more, not "),
        ({"egress_ip_pools": "a"}, "egress_ip_pools: must be a mapping, not the string 'a'"),
        ({"egress_ip_pools": []}, "egress_ip_pools: must be a mapping, not a list"),
        ({"egress_ip_pools": "{a: b"}, "egress_ip_pools: '{a: b' is not valid YAML or JSON: line "),
        ({"egress_ip_pools": '{"a": 1, "a": 2}'}, 'egress_ip_pools: \'{"a": 1, "a": 2}\' is not valid YAML or JSON: '),
        (
            {"egress_ip_labels": "a: 1\n---\nb: 2"},
            "node1: egress_ip_labels: must be one document of YAML or",
        ),
        ({"egress_ip_drain_nodes": "node1,"}, "egress_ip_drain_nodes[1]: is empty"),
        ({"egress_ip_drain_nodes": [{"a": "b"}]}, "egress_ip_drain_nodes[0]: must be a string, not a mapping"),
        ({"egress_ip_drain_nodes": ["a", 5]}, "egress_ip_drain_nodes[1]: must be a string, not the integer 5; put"),
        ({"egress_ip_min_available": "most"}, "egress_ip_min_available: must be a number or a percentage like 50%"),
        ({"egress_ip_min_available": "101%"}, "egress_ip_min_available: must be a number or a percentage like 50%"),
        ({"egress_ip_mark_mask": "0x101"}, "egress_ip_mark_mask: must be 2 to 14 contiguous bits"),
        ({"egress_ip_tunnel_port": "70000"}, "egress_ip_tunnel_port: must be an integer from 1 to 65535"),
        ({"egress_ip_headroom_label": ["zone"]}, "egress_ip_headroom_label: must be a string, not a list"),
        ({"egress_ip_drain": "soon"}, "node1: egress_ip_drain: must be true or false, not the string 'soon'"),
        ({"egress_ip_platform": "vshpere"}, "node1: egress_ip_platform: must be one of auto, "),
    ],
)
def test_a_mistake_is_one_line(values, message):
    (line,) = errors_of(values)
    assert line.startswith(message)


def test_every_mistake_is_a_line():
    lines = errors_of({"egress_ip_strict": "maybe", "egress_ip_max_moves": "few", "egress_ip_labels": "a"})
    assert [line.partition(": must")[0] for line in lines] == [
        "egress_ip_max_moves",
        "egress_ip_strict",
        "node1: egress_ip_labels",
    ]


@pytest.mark.parametrize("secret", [5, ["geheim-geheim"], {"geheim": 1}])
@pytest.mark.parametrize("variable", sorted(SECRETS))
def test_no_error_shows_a_secret(variable, secret):
    (line,) = errors_of({variable: secret})
    assert line.endswith(f"{variable}: must be a text; put it in quotes")


def test_a_short_secret_is_refused_and_a_good_one_is_in_no_result():
    encrypted = {"egress_ip_tunnel_encryption": "ipsec"}
    (line,) = errors_of({**encrypted, "egress_ip_tunnel_secret": "geheim"})
    assert line.startswith("egress_ip_tunnel_secret: must be a text of at least 32 random characters")
    assert "geheim" not in line
    good = {**encrypted, "egress_ip_tunnel_secret": "geheim" * 6, "egress_ip_vsphere_password": "geheim"}
    assert "geheim" not in str(read(good))


@pytest.mark.parametrize("entry_point", ["main", "plan", "status", "remove"])
def test_the_secret_is_needed_only_where_it_is_used(entry_point):
    encrypted = {"egress_ip_tunnel_encryption": "ipsec"}
    if entry_point in ("main", "plan"):
        (line,) = errors_of(encrypted, entry_point=entry_point)
        assert line.startswith("egress_ip_tunnel_secret: must be a text of at least 32 random characters")
    else:
        assert read(encrypted, entry_point)["options"]["tunnel_encryption"] == "ipsec"


@pytest.mark.parametrize("entry_point", ["main", "status", "remove"])
def test_only_the_plan_simulates(entry_point):
    (line,) = errors_of({"egress_ip_what_if": "{down: [node1]}"}, entry_point=entry_point)
    assert line == "egress_ip_what_if: is supported by the playbook plan only; leave it out of all others"


@pytest.mark.parametrize("empty", ["", [], None])
def test_what_a_playbook_needs(empty):
    (line,) = errors_of({"egress_ip_drain_nodes": empty}, needed=["drain_nodes"])
    assert line == (
        "egress_ip_drain_nodes: is empty; this playbook needs it, such as -e egress_ip_drain_nodes=node1,node2"
    )
    assert read({"egress_ip_drain_nodes": "a"}, needed=["drain_nodes"])["common"]["drain_nodes"] == ["a"]


def test_a_mistake_elsewhere_does_not_prevent_the_removal():
    assert read({"egress_ip_strict": "maybe", "egress_ip_drain": "soon"}, "remove")["hosts"] == {}


def test_an_error_of_many_hosts_is_one_line():
    hosts = [f"node{number}" for number in range(1, 41)]
    some = {name: {"egress_ip_drain": "soon"} for name in hosts[:9]}
    (line,) = errors_of({}, hosts=hosts, inventory=some)
    assert line.startswith("node1, node2, node3 and 6 more: egress_ip_drain: must be true or false")
    (line,) = errors_of({"egress_ip_drain": "soon"}, hosts=hosts)
    assert line.startswith("egress_ip_drain: must be true or false")


def drains(play, inventory):
    hosts = read(play, hosts=["node1", "node2"], inventory=inventory)["hosts"]
    return [hosts[name]["drain"] for name in ("node1", "node2")]


def test_hosts_have_their_own_values_unless_the_play_sets_one():
    variable = "egress_ip_drain"
    # The defaults of a role are among the variables of the play.
    assert drains({variable: False}, {"node2": {variable: "yes"}}) == [False, True]
    assert drains({variable: "true"}, {"node1": {variable: "true"}}) == [True, False]
    assert drains({variable: True}, {"node2": {variable: "no"}}) == [True, True]
    assert drains({variable: "false"}, {"node1": {variable: "yes"}, "node2": {variable: "yes"}}) == [False, False]


def test_who_sets_the_password_of_a_host():
    variable = "egress_ip_vsphere_password"
    cases = [
        ({}, {"node2": {variable: "geheim"}}, []),
        ({variable: "geheim"}, {"node1": {variable: "geheim"}}, []),
        ({variable: "geheim"}, {"node1": {variable: "geheim"}}, [variable]),
        ({variable: "geheim"}, {"node1": {variable: "other"}, "node2": {variable: "third"}}, []),
        ({variable: ""}, {"node2": {variable: "geheim"}}, [variable]),
    ]
    found = [
        [
            host["vsphere_password_from"]
            for host in read(play, "plan", ["node1", "node2"], (), own, of_play)["hosts"].values()
        ]
        for play, own, of_play in cases
    ]
    assert found == [["", "host"], ["host", ""], ["play", "play"], ["play", "play"], ["", ""]]


@pytest.mark.parametrize("inventory", [{}, {"node1": {"egress_ip_fence": ""}}])
def test_what_the_play_sets_is_used_if_it_equals_the_value_of_the_first_host(inventory):
    inventory = {**inventory, "node2": {"egress_ip_fence": "vsphere"}}
    options = {"hosts": ["node1", "node2"], "inventory": inventory}
    fences = [
        [host["fence"] for host in read({"egress_ip_fence": ""}, set_by_play=names, **options)["hosts"].values()]
        for names in (["egress_ip_fence"], [])
    ]
    assert fences == [["", ""], ["", "vsphere"]]


@pytest.mark.parametrize(
    ("value", "capacity"),
    [
        ("10", 10),
        (" 10", 10),
        ("", None),
        (0, 0),
        ({"ipv4": "3", "ip": 5}, {"ipv4": 3, "ip": 5}),
    ],
)
def test_a_capacity_may_have_strings_of_digits(value, capacity):
    assert read({"egress_ip_capacity": value})["hosts"]["node1"]["capacity"] == capacity


def test_settings_of_failover_that_hosts_have():
    inventory = {"node1": {"egress_ip_failover": "yes", "egress_ip_failover_after": ""}}
    found = read({"egress_ip_failover": "yes"}, hosts=["node1", "node2"], inventory=inventory)
    assert [found["hosts"][name]["failover"] for name in ("node1", "node2")] == [{"failover": True}, {}]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("", "perhaps", ": must be true or false, not the string 'perhaps'"),
        ("_after", "0.02", "_after: must be auto or a number of seconds from 0.1 to 60, not the string '0.02'"),
        ("_after", True, "_after: must be auto or a number of seconds from 0.1 to 60, not the boolean true"),
        ("_witnesses", "192.168.64.1, gateway", "_witnesses[1]: 'gateway' is not an IPv4 or IPv6 address"),
        ("_witnesses", ["192.168.64.1"] * 9, "_witnesses: must be at most 8 addresses, not 9"),
        ("_strict", "maybe", "_strict: must be true or false, not the string 'maybe'"),
    ],
)
def test_malformed_settings_of_failover(name, value, expected):
    assert errors_of({f"egress_ip_failover{name}": value}) == [f"egress_ip_failover{expected}"]
    inventory = {"node2": {f"egress_ip_failover{name}": value}}
    assert errors_of({}, hosts=["node1", "node2"], inventory=inventory) == [f"node2: egress_ip_failover{expected}"]


@examples(max_examples=15)
@given(
    st.sampled_from(FAILOVER),
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.lists(st.text(max_size=3)),
)
def test_any_value_of_failover_is_read_or_is_a_line(name, value):
    errors = Errors()
    found = read_failover_values({name: value}, errors)
    assert all(line.startswith(f"egress_ip_{name}") for line in errors.found)
    after = found.get("failover_after", "auto")
    assert errors.found or after == "auto" or 0.1 <= after <= 60


DOCUMENT = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n"
NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}}


@pytest.mark.parametrize(
    ("value", "sources"),
    [
        ("manifests/", ["manifests/"]),
        ("a.yml, b.yml", ["a.yml", "b.yml"]),
        ("a.yml\nb.yml\n", ["a.yml", "b.yml"]),
        ('["a.yml"]', ["a.yml"]),
        ("- a.yml\n- b.yml", ["a.yml", "b.yml"]),
        ("[]", []),
        ([], []),
        (["a.yml"], ["a.yml"]),
        (NAMESPACE, [NAMESPACE]),
        (DOCUMENT, [NAMESPACE]),
        (json.dumps(NAMESPACE), [NAMESPACE]),
        (f"---\n{DOCUMENT}---\n{DOCUMENT}", [NAMESPACE, NAMESPACE]),
    ],
)
def test_sources_of_manifests(value, sources):
    assert read_sources(value) == sources


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "is missing; name the files with the EgressIP manifests, or [] to delete all egress IPs"),
        ("", "is missing; "),
        (" \n", "is missing; "),
        (5, "must be a list of files, folders and documents, not the integer 5"),
        ("[a", "'[a' is not valid YAML or JSON: "),
    ],
)
def test_missing_and_malformed_sources(value, message):
    with pytest.raises(InvalidError, match="^egress_ip_manifests: ") as caught:
        read_sources(value)
    assert message in str(caught.value)


@given(st.text(alphabet=", \n\t", max_size=5))
def test_a_text_without_a_source_does_not_delete_everything(text):
    with pytest.raises(InvalidError):
        read_sources(text)


def test_a_parser_adds_to_the_errors_of_others():
    errors = Errors()
    errors.add("a", "b")
    assert OF_FLEET["max_moves"].read("3", "c", errors) == 3
