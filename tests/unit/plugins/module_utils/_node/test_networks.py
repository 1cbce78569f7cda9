# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks on a node between two runs: found again by the watch, kept while a source cannot be read."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.node_state import (
    LocalNetwork,
    LocalPod,
    NodeState,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import files
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.container_networks import FoundNetwork
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.containers import Container, Containers
from ansible_collections.netops.egress_ip.plugins.module_utils._node import service
from ansible_collections.netops.egress_ip.plugins.module_utils._node.record import Record
from node_runs import FOREVER, INET, A, apply, observe, reboot, remove, watch
from states import node_state

WEB, DB = "podman:web", "docker:db"
OLD, NEW = ("10.89.0.0/24",), ("10.89.9.0/24", "fd00:89::/64")
UNREADABLE = FoundNetwork(problem="cannot be read: connection refused", is_known=False)


def state_with(cidrs=OLD, **changes):
    own = (LocalNetwork("web", WEB, ("web",), cidrs), LocalNetwork("db", DB, (), ()))
    return replace(node_state(**changes), networks=own)


@pytest.fixture
def named(kernel):
    """A node with a network that its state names, whose watch has been there."""
    kernel.networks = {WEB: FoundNetwork(OLD), DB: FoundNetwork(problem="does not exist")}
    apply(kernel, state_with())
    kernel.away = False
    watch(kernel)
    return kernel


def elements(kernel):
    return [
        *kernel.tables[INET]["sets"]["networks4"]["elements"],
        *kernel.tables[INET]["sets"]["networks6"]["elements"],
    ]


def noted_version(kernel):
    return kernel.files[str(files.NETWORKS_FILE)][0].decode()


def test_a_look_finds_what_is_wanted_and_what_is_on_record(named):
    named.networks["libvirt:default"] = FoundNetwork(("192.168.122.0/24",))
    assert observe(named, networks=["libvirt:default", WEB])["named_networks"] == [
        {"network": DB, "namespace": "db", "cidrs": [], "problem": "does not exist"},
        {"network": "libvirt:default", "namespace": "", "cidrs": ["192.168.122.0/24"], "problem": ""},
        {"network": WEB, "namespace": "web", "cidrs": [*OLD], "problem": ""},
    ]


def test_a_look_returns_the_record_if_a_source_cannot_be_read(named):
    named.networks[WEB] = UNREADABLE
    facts = {each["network"]: each for each in observe(named)["named_networks"]}
    assert facts[WEB] == {"network": WEB, "namespace": "web", "cidrs": [*OLD], "problem": UNREADABLE.problem}
    new = observe(named, networks=["docker:new"])["named_networks"]
    assert {"network": "docker:new", "namespace": "", "cidrs": [], "problem": "does not exist"} in new


def test_the_watch_follows_a_network_that_is_created_again(named, capsys):
    before = observe(named)
    named.networks[WEB] = FoundNetwork(NEW)
    watch(named)
    assert elements(named) == [*NEW]
    assert "podman:web of namespace/web has 10.89.9.0/24, fd00:89::/64, not 10.89.0.0/24" in capsys.readouterr().err
    after = observe(named)
    assert after["drift"] == []
    # A new plan with the present addresses does not differ, and the plan that was applied is no older one.
    assert after["digest"] == state_with(NEW).digest() != before["digest"]
    assert after["generation"] == before["generation"]
    assert not apply(named, state_with(NEW, generation=2))["diff"]["after"]


def test_the_plan_with_the_old_addresses_is_still_accepted(named):
    named.networks[WEB] = FoundNetwork(NEW)
    watch(named)
    apply(named, state_with())
    watch(named)
    assert elements(named) == [*NEW]


def test_a_network_that_changes_during_the_watch_is_found_at_once(named, monkeypatch):
    """The data plane is read after the networks, and may show a bridge that they do not have."""
    execute = named.execute

    def execute_late(transaction):
        execute(transaction)
        named.networks[WEB] = FoundNetwork(NEW)

    monkeypatch.setattr(named, "execute", execute_late)
    named.networks[WEB] = FoundNetwork(("10.89.5.0/24",))
    watch(named)
    assert elements(named) == [*NEW]
    assert noted_version(named) == named.networks_version()


def test_a_network_that_is_gone_has_no_addresses(named):
    named.networks[WEB] = FoundNetwork(problem="does not exist")
    watch(named)
    assert elements(named) == []
    named.networks[WEB] = FoundNetwork(OLD)
    watch(named)
    assert elements(named) == [*OLD]


def test_a_source_that_cannot_be_read_changes_nothing_and_is_read_again(named):
    named.networks[WEB] = UNREADABLE
    watch(named)
    assert elements(named) == [*OLD]
    assert noted_version(named) == ""
    named.networks[WEB] = FoundNetwork(NEW)
    watch(named)
    assert elements(named) == [*NEW]
    assert noted_version(named) == named.networks_version()


USER = "user:deploy"


@pytest.fixture
def with_user(kernel):
    """A node with a user that its state names, whose watch has been there."""
    kernel.networks = {USER: FoundNetwork(uids=("1001",))}
    apply(kernel, replace(node_state(), networks=(LocalNetwork("web", USER, ("web",), (), ("1001",)),)))
    kernel.away = False
    watch(kernel)
    return kernel


def test_a_look_finds_the_numbers_of_a_user(with_user):
    assert observe(with_user)["named_networks"] == [
        {"network": USER, "namespace": "web", "cidrs": [], "problem": "", "uids": ["1001"]}
    ]
    with_user.networks[USER] = UNREADABLE
    assert observe(with_user)["named_networks"][0]["uids"] == ["1001"]
    with_user.networks[USER] = FoundNetwork(problem="does not exist")
    assert "uids" not in observe(with_user)["named_networks"][0]


def test_the_watch_follows_a_user_that_is_created_again(with_user, capsys):
    with_user.networks[USER] = FoundNetwork(uids=("1007", "100000-165535"))
    watch(with_user)
    assert "user:deploy of namespace/web has 1007, 100000-165535, not 1001" in capsys.readouterr().err
    assert observe(with_user)["drift"] == []
    assert Record.load(with_user).state.networks[0].uids == ("1007", "100000-165535")


def test_a_node_yields_before_it_looks_users_up(with_user, monkeypatch):
    """A directory service may hang, and the other holder must not wait."""
    holds, find = [], with_user.find_networks

    def find_late(*words):
        holds.append(A in str(with_user.interfaces["eth0"]))
        return find(*words)

    monkeypatch.setattr(with_user, "find_networks", find_late)
    with_user.away, with_user.wire = True, {A: FOREVER}
    with_user.networks[USER] = FoundNetwork(uids=("1007",))
    assert A in str(with_user.interfaces["eth0"])
    watch(with_user)
    assert holds[0] is False
    assert Record.load(with_user).state.networks[0].uids == ("1007",)
    assert observe(with_user)["held"] == []


@pytest.mark.parametrize("found", [FoundNetwork(problem="does not exist"), UNREADABLE])
def test_the_watch_keeps_a_user_that_is_gone(with_user, found):
    """A directory service that does not answer looks like that too."""
    with_user.networks[USER] = found
    watch(with_user)
    assert Record.load(with_user).state.networks[0].uids == ("1001",)


def test_after_a_run_the_watch_finds_the_addresses_again(named):
    apply(named, state_with(generation=2))
    assert noted_version(named) == ""
    apply(named, node_state(generation=3))
    assert str(files.NETWORKS_FILE) not in named.files


def test_check_mode_notes_nothing(kernel):
    apply(kernel, state_with(), check=True)
    assert str(files.NETWORKS_FILE) not in kernel.files


def test_a_boot_has_the_networks_of_the_record_before_the_engines_run(named):
    named.networks = {WEB: UNREADABLE, DB: UNREADABLE}
    reboot(named)
    named.files.pop(str(files.NETWORKS_FILE))
    assert service.main(named, ["restore"]) == 0
    assert elements(named) == [*OLD]
    assert service.main(named, ["claim"]) == 0
    assert noted_version(named) == ""
    watch(named)
    assert elements(named) == [*OLD]


def test_the_record_reads_back(named):
    record = Record.load(named)
    assert NodeState.from_dict(record.state.to_dict()) == record.state == state_with()


def test_removal_leaves_no_note(named):
    remove(named)
    assert str(files.NETWORKS_FILE) not in named.files


def test_a_look_names_the_networks_of_an_object_that_it_recalls(named):
    (entry,) = observe(named, recall=["web"])["recalled"]
    assert entry["networks"] == [WEB]
    apply(named, node_state(generation=2))
    (entry,) = observe(named, recall=["web"])["recalled"]
    assert "networks" not in entry


def test_a_network_without_a_bridge_is_not_closed_until_the_next_watch(kernel):
    """Podman deletes the bridge of a network with its last container."""
    state = state_with(options={"unknown_pods": "drop"})
    kernel.networks, kernel.idle = {WEB: FoundNetwork(OLD)}, ("10.77.0.0/24",)
    apply(kernel, state)
    watch(kernel)
    assert {*kernel.tables[INET]["sets"]["inner4"]["elements"]} == {"10.77.0.0/24", "10.88.0.0/16"}
    assert observe(kernel)["drift"] == []
    kernel.idle = ()
    watch(kernel)
    assert [*kernel.tables[INET]["sets"]["inner4"]["elements"]] == ["10.88.0.0/16"]


@pytest.fixture
def engine(kernel):
    """A node with a pod that Podman has, and one of the manifests."""
    pods = (LocalPod("10.88.0.2", ("web",), engine="podman"), LocalPod("10.88.0.3", ("web",)))
    apply(kernel, replace(node_state(), pods=pods))
    return kernel


def test_containers_of_an_engine(engine):
    engine.containers["podman"] = Containers((Container("shop", {"app": "shop"}, ("10.88.0.9",)),))
    found = [{"name": "shop", "labels": {"app": "shop"}, "addresses": ["10.88.0.9"]}]
    assert observe(engine, engines=["podman"])["containers"] == [
        {"engine": "podman", "found": found, "problem": "", "kept": []}
    ]


def test_an_engine_that_cannot_be_read_has_what_is_on_record(engine):
    engine.containers["podman"] = engine.containers["docker"] = Containers(problem="it hangs")
    podman, docker = observe(engine, engines=["podman", "docker"])["containers"]
    kept = [{"address": "10.88.0.2", "egressips": ["web"]}]
    assert podman == {"engine": "podman", "found": [], "problem": "it hangs", "kept": kept}
    assert docker["kept"] == []
