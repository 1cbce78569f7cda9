# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Users of this host: accounts, subordinate numbers, and everything that may be wrong with them."""

from __future__ import annotations

import pwd

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.network_names import parse_network_name
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import commands, host_users
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.container_networks import Found, find_networks
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.host_users import ABSENT, find_user
from network_namespace import network_namespace

ACCOUNTS = {"deploy": 1001, "toor": 0, "plain": 1002}
HOST_SERVICES = "is the user of the host's own services; name another user"


class Account:
    def __init__(self, name, uid):
        self.pw_name, self.pw_uid = name, uid


@pytest.fixture(autouse=True)
def accounts(tmp_path, monkeypatch):
    """A host with ACCOUNTS; returns its file of subordinate numbers."""
    by_uid = {uid: name for name, uid in ACCOUNTS.items()}
    monkeypatch.setattr(pwd, "getpwnam", lambda name: Account(name, ACCOUNTS[name]))
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: Account(by_uid[uid], uid))
    monkeypatch.setattr(host_users, "SUBUIDS", tmp_path / "subuid")
    monkeypatch.setattr(host_users, "_can_route_users", lambda: True)
    return tmp_path / "subuid"


def found(name):
    ranges, problem = find_user(name)
    return [each.text for each in ranges], problem


@pytest.mark.parametrize("name", ["deploy", "1001"])
def test_a_user_has_its_number_and_those_of_its_containers(accounts, name):
    accounts.write_text("plain:100000:65536\ndeploy:165536:65536\n1001:300000:1\n")
    assert found(name) == (["1001", "165536-231071", "300000"], "")
    assert found("plain") == (["1002", "100000-165535"], "")


def test_without_the_file_a_user_has_its_number():
    assert found("deploy") == (["1001"], "")


def test_lines_that_are_none_are_skipped(accounts):
    accounts.write_bytes(b"deploy\ndeploy:x:5\ndeploy:0:5\ndeploy:5:0\ndeploy:4294967290:99\n\xff:1:2\n\n")
    assert found("deploy") == (["1001", "4294967290-4294967294"], "")


def test_who_is_not_there():
    assert found("nobody-knows") == ([], ABSENT)
    # A number needs no account: containers may have it, or a directory service that does not answer.
    assert found("7777") == (["7777"], "")


@pytest.mark.parametrize("name", ["toor", "0"])
def test_root_is_refused_under_every_name(name):
    assert found(name) == ([], HOST_SERVICES)


def test_a_kernel_that_is_too_old_is_refused_by_name(monkeypatch):
    monkeypatch.setattr(host_users, "_can_route_users", lambda: False)
    ranges, problem = find_user("deploy")
    assert ranges == ()
    assert problem.startswith("needs Linux 5.2 or newer")


def test_this_kernel_is_asked_without_a_change(monkeypatch):
    monkeypatch.undo()
    with network_namespace():
        assert host_users._can_route_users.__wrapped__()
        assert commands.check(["nft", "list", "ruleset"]) == ""


def test_a_user_is_found_as_a_network_is(accounts, monkeypatch):
    name = parse_network_name("user:deploy", "path")
    assert find_networks([name], ()) == {"user:deploy": Found(uids=("1001",))}
    absent = parse_network_name("user:absent", "path")
    assert find_networks([absent], ()) == {"user:absent": Found(problem=ABSENT)}
    accounts.mkdir()
    unreadable = find_networks([name], ())["user:deploy"]
    assert not unreadable.is_known
    assert "cannot be read" in unreadable.problem
    accounts.rmdir()
    accounts.write_text("".join(f"deploy:{number}:1\n" for number in range(2000, 2100, 2)) * 2)
    crowded = find_networks([name], ())["user:deploy"]
    assert not crowded.is_known
    assert "more than 64" in crowded.problem
