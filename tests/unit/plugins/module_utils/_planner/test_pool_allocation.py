# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses of pools: who gets which, and who keeps it."""

from __future__ import annotations

import copy

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import InvalidError
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.manifests import read_manifests
from ansible_collections.netops.egress_ip.plugins.module_utils._planner import pools
from ansible_collections.netops.egress_ip.plugins.module_utils._planner.assign import make_plan
from ansible_collections.netops.egress_ip.plugins.module_utils._planner.pool_allocation import allocate_pools
from hypothesis import given
from hypothesis import strategies as st

LABELS = {"k8s.ovn.org/egress-assignable": ""}
POOL, SIZE = "egress-ip.netops/pool", "egress-ip.netops/pool-size"
PATH = f"egressip/{{}}: metadata.annotations['{POOL}']: {{}}"


def egressip(name, *addresses, pool=None, size=None, **spec):
    annotations = {key: value for key, value in ((POOL, pool), (SIZE, size)) if value is not None}
    return {
        "apiVersion": "k8s.ovn.org/v1",
        "kind": "EgressIP",
        "metadata": {"name": name, "annotations": annotations},
        "spec": {"egressIPs": list(addresses), "namespaceSelector": {}, **spec},
    }


def fleet(remembered=(), held=(), own=("10.0.0.1/24",), gateways=("10.0.0.254",)):
    """A fleet of one node; ``remembered`` is {name: addresses}, ``held`` a list of addresses."""
    networks = [{"interface": "eth0", "addresses": [*own]}]
    return {
        "nodes": [{"name": "n1", "labels": LABELS, "networks": networks}],
        "observed": {"n1": {"networks": networks, "gateways": [*gateways]}},
        "members": [{"name": "n1", "addresses": [*(each.partition("/")[0] for each in own), "10.0.0.2"]}],
        "current": [{"egressIP": address, "node": "n1"} for address in held],
        "recalled": {name: {"egressIPs": list(addresses), "pods": {}} for name, addresses in dict(remembered).items()},
    }


def manifests(*documents):
    return read_manifests([{"source": f"m[{n}]", "document": each} for n, each in enumerate(documents)])


def allocate(documents, seen, pools):
    """Return the documents with their addresses, the owners and the sentences about missing addresses."""
    requests, unfilled, _uses = allocate_pools(manifests(*documents).egressips, seen, pools)
    return [each.document for each in requests.egressips], requests.owners, list(unfilled)


def grant(documents, seen, pools):
    """Return ({name: addresses}, unfilled)."""
    filled, _owners, unfilled = allocate(documents, seen, pools)
    return {each["metadata"]["name"]: each["spec"]["egressIPs"] for each in filled}, unfilled


# A story: each run starts from what the nodes remember of the last one. Addresses are 10.0.0.N.
STORY = [
    ("the first ones by name", {"b": {"size": "2"}, "a": {}}, ["1-9"], {"a": [3], "b": [4, 5]}, []),
    ("again", {"b": {"size": "2"}, "a": {}}, ["1-9"], {"a": [3], "b": [4, 5]}, []),
    ("a new one takes from no other", {"0": {}, "b": {"size": "2"}, "a": {}}, ["1-9"], {"0": [6]}, []),
    (
        "nor one that lists addresses",
        {"0": {}, "b": {"own": [4], "size": "2"}, "c": {"own": [6]}},
        ["1-9"],
        {"0": [6], "b": [4, 3, 5], "c": [6]},
        [],
    ),
    ("what is free again is given again", {"0": {}, "d": {"size": "3"}}, ["1-9"], {"0": [6], "d": [3, 4, 5]}, []),
    ("a size that grows", {"0": {"size": "2"}, "d": {"size": "3"}}, ["1-9"], {"0": [6, 7], "d": [3, 4, 5]}, []),
    ("a size that shrinks", {"0": {}, "d": {"size": "1"}}, ["1-9"], {"0": [6], "d": [3]}, []),
    ("a pool that moves", {"0": {}, "d": {"size": "1"}}, ["6-9"], {"0": [6], "d": [7]}, []),
    (
        "a pool that is used up",
        {"0": {"size": "2"}, "d": {"size": "3"}},
        ["6-9"],
        {"0": [6, 8], "d": [7, 9]},
        [PATH.format("d", "the pool prod has 2 of the 3 addresses that are wanted")],
    ),
    (
        "a pool that is gone",
        {"0": {"pool": "pord"}, "d": {}},
        ["6-9"],
        {"0": [6, 8], "d": [7]},
        [PATH.format("0", "there is no pool 'pord' in egress_ip_pools; did you mean prod?")],
    ),
    ("ranges in their order", {"e": {"size": "4"}}, ["250-255", "8", "4-5"], {"e": [250, 251, 252, 253]}, []),
    (
        "network, gateway and broadcast are left out",
        {"e": {"size": "6"}},
        ["253-255", "0-2", "8", "4-5"],
        {"e": [4, 5, 8, 253]},
        [PATH.format("e", "the pool prod has 4 of the 6 addresses that are wanted")],
    ),
]


def test_story():
    remembered = {}
    for title, objects, ranges, wanted, short in STORY:
        documents = [
            egressip(
                name,
                *(f"10.0.0.{n}" for n in each.get("own", ())),
                pool=each.get("pool", "prod" if "own" not in each or "size" in each else None),
                size=each.get("size"),
            )
            for name, each in objects.items()
        ]
        pools = {"prod": ["-".join(f"10.0.0.{end}" for end in span.split("-")) for span in ranges]}
        got, unfilled = grant(documents, fleet(remembered), pools)
        assert {name: got[name] for name in wanted} == {n: [f"10.0.0.{i}" for i in w] for n, w in wanted.items()}, title
        assert unfilled == short, title
        remembered = got


def test_of_too_many_those_that_are_held_stay():
    seen = fleet({"a": ["10.0.0.5", "10.0.0.6", "10.0.0.7"]}, held=["10.0.0.7"])
    assert grant([egressip("a", pool="p", size="2")], seen, {"p": ["10.0.0.0/28"]})[0] == {
        "a": ["10.0.0.5", "10.0.0.7"]
    }


def test_who_was_given_an_address_keeps_it_though_another_one_asks_for_it():
    seen = fleet({"z": ["10.0.0.5"]}, held=["10.0.0.5"])
    documents = [egressip("a", "10.0.0.5"), egressip("z", pool="p")]
    requests, _unfilled, _uses = allocate_pools(manifests(*documents).egressips, seen, {"p": ["10.0.0.0/28"]})
    plan = make_plan(requests, seen["nodes"], seen["current"])
    assert [(each.name, each.egress_ip) for each in plan.assignments] == [("z", "10.0.0.5")]
    assert [(each.name, each.reason) for each in plan.unassigned] == [("a", "DuplicateRequest")]


def test_a_broken_object_keeps_what_it_was_given():
    broken = egressip("a", "10.0.0.99", pool="p", podSelecter={})
    seen = fleet({"a": ["10.0.0.5", "10.0.0.99"]})
    assert grant([broken, egressip("b", pool="p")], seen, {"p": ["10.0.0.5-10.0.0.6"]}) == (
        {"a": ["10.0.0.99", "10.0.0.5"], "b": ["10.0.0.6"]},
        [],
    )


@pytest.mark.parametrize("spec", [None, [], {}, {"egressIPs": None}, {"egressIPs": "x"}])
def test_a_document_that_cannot_be_filled_is_left_as_it_is(spec):
    document = {**egressip("a", pool="p"), "spec": spec}
    seen, pools = fleet({"a": ["10.0.0.5"]}), {"p": ["10.0.0.5-10.0.0.6"]}
    assert allocate([document], seen, pools) == ([document], {"10.0.0.5": "a"}, [])


def test_a_document_is_not_filled_to_hide_its_error():
    """The annotation is gone: what the object had is kept for it, but the manifest is as broken as it was."""
    assert allocate([egressip("a")], fleet({"a": ["10.0.0.5"]}), {}) == ([egressip("a")], {"10.0.0.5": "a"}, [])


def test_each_family_from_a_pool_of_its_own():
    pools = {"p": ["10.0.0.8/30"], "p6": ["2001:db8::/126"]}
    seen = fleet(own=["10.0.0.1/24", "2001:db8::2/64"])
    assert grant([egressip("a", pool="p, p6", size="2")], seen, pools) == (
        {"a": ["10.0.0.8", "10.0.0.9", "2001:db8::1", "2001:db8::3"]},
        [],
    )


def test_the_use_of_each_pool_is_counted():
    documents = [egressip("a", "10.0.0.5"), egressip("b", pool="p", size="2"), egressip("c", pool="q")]
    described = {"p": ["10.0.0.0-10.0.0.7"], "q": ["10.0.0.8-10.0.0.10", "10.9.0.0/24"], "unused": ["fd00::/64"]}
    uses = allocate_pools(manifests(*documents).egressips, fleet(), described).uses
    # 10.0.0.0 is the network's, .1 and .2 are nodes' own addresses, .5 is listed; .3 and .4 are allocated.
    assert uses == (("p", 8, 3, 2), ("q", 259, 1, 2), ("unused", 2**64, 0, 0))


def test_nothing_is_asked_of_manifests_without_pools():
    assert allocate([egressip("a", "10.0.0.5")], fleet(), {}) == ([egressip("a", "10.0.0.5")], {}, [])


def test_nothing_is_given_out_of_a_network_where_no_node_answers():
    """Its ends and its gateway are not known then. What an object has it keeps."""
    pools = {"p": ["172.16.0.0/24", "10.0.0.8-10.0.0.9"]}
    documents = [egressip("a", pool="p", size="4")]
    hint = "; no selected node that answers has the network of the others"
    hint = f"the pool p has 3 of the 4 addresses that are wanted{hint}"
    assert grant(documents, fleet({"a": ["172.16.0.0"]}), pools) == (
        {"a": ["10.0.0.8", "10.0.0.9", "172.16.0.0"]},
        [PATH.format("a", hint)],
    )
    both = fleet({"a": ["10.0.0.8", "10.0.0.9"]}, own=["10.0.0.1/24", "172.16.0.9/24"], gateways=["172.16.0.1"])
    assert grant(documents, both, pools) == ({"a": ["10.0.0.8", "10.0.0.9", "172.16.0.2", "172.16.0.3"]}, [])


def test_a_pool_gives_only_what_a_selected_node_can_hold():
    """n1 has the label, n2 does not, n3 is of a pool of nodes; each is in a network of its own."""
    nodes = [("n1", LABELS, "10.0.1.1/24"), ("n2", {}, "10.0.2.1/24"), ("n3", {"pool": "dmz"}, "10.0.3.1/24")]
    networks = {name: [{"interface": "eth0", "addresses": [own]}] for name, _labels, own in nodes}
    seen = {
        **fleet(),
        "nodes": [{"name": name, "labels": labels, "networks": networks[name]} for name, labels, _own in nodes],
        "observed": {name: {"networks": networks[name]} for name in networks},
        "members": [],
    }
    pools = {"p": [f"10.0.{n}.8-10.0.{n}.9" for n in (2, 3, 1)]}
    dmz = egressip("dmz", pool="p", egressNodeSelector={"matchLabels": {"pool": "dmz"}})
    assert grant([egressip("a", pool="p"), dmz, egressip("z", pool="p", size="2")], seen, pools) == (
        {"a": ["10.0.1.8"], "dmz": ["10.0.3.8"], "z": ["10.0.1.9"]},
        [
            PATH.format(
                "z",
                "the pool p has 1 of the 2 addresses that are wanted"
                "; no selected node that answers has the network of the others",
            )
        ],
    )


def test_a_pool_is_walked_through_once_for_all_objects(monkeypatch):
    asked = []
    monkeypatch.setattr(pools, "canonical", lambda address: asked.append(address) or str(address))
    documents = [egressip(f"e{n:03}", pool="p") for n in range(200)]
    got, unfilled = grant(documents, fleet(own=["10.0.0.1/16"]), {"p": ["10.0.0.0/16"]})
    assert (len({addresses[0] for addresses in got.values()}), unfilled) == (200, [])
    assert len(asked) == len({*asked})


REFUSED = [
    ([], "egress_ip_pools: must be a mapping, not a list"),
    ({"p": "10.0.0.0/24"}, "egress_ip_pools.p: must be a list, not the string '10.0.0.0/24'"),
    ({"p": []}, "egress_ip_pools.p: is empty; a pool needs at least one range or network"),
    ({"p": [5]}, "egress_ip_pools.p[0]: must be a string, not the integer 5; put it in quotes"),
    ({"p": ["10.0.0.1/24"]}, "egress_ip_pools.p[0]: '10.0.0.1/24' has host bits set; the network is 10.0.0.0/24"),
    (
        {"p": ["10.0.0.9-10.0.0.1"]},
        "egress_ip_pools.p[0]: must be a range of one IP version, lower address first, not '10.0.0.9-10.0.0.1'",
    ),
    (
        {"p": ["10.0.0.9-2001:db8::1"]},
        "egress_ip_pools.p[0]: must be a range of one IP version, lower address first, not '10.0.0.9-2001:db8::1'",
    ),
    ({"p": ["10.0.0.1-"]}, "egress_ip_pools.p[0]: is empty; write an IP address"),
    ({"p": ["224.0.0.1"]}, "egress_ip_pools.p[0]: '224.0.0.1' is a multicast address, which cannot be an egress IP"),
    (
        {"p": ["10.0.0.1", "2001:db8::1"]},
        "egress_ip_pools.p: has IPv4 and IPv6 addresses; make two pools, and name both in the annotation",
    ),
    ({"p": ["10.0.0.8/29"], "q": ["10.0.0.1-10.0.0.8"]}, "egress_ip_pools.p[0]: overlaps with egress_ip_pools.q[0]"),
    ({"p": ["10.0.0.8", "10.0.0.8"]}, "egress_ip_pools.p[1]: overlaps with egress_ip_pools.p[0]"),
    *(
        (
            {"p": [text]},
            f"egress_ip_pools.p[0]: '{text}' contains {bad}, which cannot be an egress IP",
        )
        for text, bad in (
            ("0.0.0.0/0", "0.0.0.0, the unspecified address"),
            ("127.0.0.0/8", "127.0.0.0, a loopback address"),
            ("169.254.7.0/24", "169.254.7.0, a link-local address"),
            ("224.0.0.0/8", "224.0.0.0, a multicast address"),
            ("126.0.0.1-128.0.0.1", "127.0.0.0, a loopback address"),
            ("fe80::/64", "fe80::, a link-local address"),
            ("::/0", "::, the unspecified address"),
        )
    ),
    *(
        (
            {name: ["10.0.0.8"]},
            f"egress_ip_pools: a name: '{name}' has a comma or blanks around it, so that no annotation can refer to it",
        )
        for name in ("a,b", " a", "a ")
    ),
]


@pytest.mark.parametrize(("pools", "message"), REFUSED)
def test_what_is_no_pool_is_refused(pools, message):
    with pytest.raises(InvalidError) as caught:
        allocate([], fleet(), pools)
    assert str(caught.value) == message


@st.composite
def worlds(draw):
    """Objects with and without pools, and what the nodes remember, which may be wrong."""
    tails = st.lists(st.integers(0, 15).map("10.0.0.{}".format), max_size=4, unique=True)
    documents = [
        egressip(
            name,
            *draw(tails),
            pool=draw(st.sampled_from(("p", "q", "q,p", "none", None))),
            size=draw(st.sampled_from((None, "2", "3"))),
        )
        for name in draw(st.lists(st.sampled_from("abcd"), unique=True))
    ]
    remembered = {name: draw(tails) for name in draw(st.lists(st.sampled_from("abcd"), unique=True))}
    return documents, fleet(remembered, draw(tails), own=["10.0.0.1/28"], gateways=["10.0.0.14"])


@given(worlds())
def test_what_is_given_out_is_fit_unique_and_kept(world):
    documents, seen = world
    pools = {"p": ["10.0.0.0-10.0.0.6"], "q": ["10.0.0.8/29"]}
    before = copy.deepcopy(world)
    got, _unfilled = grant(documents, seen, pools)
    assert world == before
    broken = manifests(*documents).broken
    own = {each["metadata"]["name"]: each["spec"]["egressIPs"] for each in documents}
    given_out = {name: set(got[name]) - set(own[name]) for name in got}
    everything = [address for addresses in given_out.values() for address in addresses]
    assert len(everything) == len({*everything})
    assert not {*everything} & {"10.0.0.0", "10.0.0.1", "10.0.0.2", "10.0.0.14", "10.0.0.15"}
    had = {name: entry["egressIPs"] for name, entry in seen["recalled"].items() if name in broken}
    again = fleet({**got, **had}, own=["10.0.0.1/28"], gateways=["10.0.0.14"])
    assert grant(documents, again, pools)[0] == got


@given(worlds(), st.randoms(use_true_random=False))
def test_the_order_of_documents_does_not_matter(world, chance):
    documents, seen = world
    pools = {"p": ["10.0.0.0-10.0.0.6"], "q": ["10.0.0.8/29"]}
    shuffled = list(documents)
    chance.shuffle(shuffled)
    assert grant(shuffled, seen, pools) == grant(documents, seen, pools)
