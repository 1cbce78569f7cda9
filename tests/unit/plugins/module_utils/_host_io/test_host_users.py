# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Users of this host: accounts, subordinate numbers, and everything that may be wrong with them."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import CommandError
from ansible_collections.netops.egress_ip.plugins.module_utils._common.network_names import parse_network_name
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import commands, host_users
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.container_networks import (
    FoundNetwork,
    find_networks,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.host_users import ABSENT, find_user
from network_namespace import network_namespace

RUN = commands.run
ACCOUNTS = {"deploy": 1001, "toor": 0, "plain": 1002}
HOST_SERVICES = "is the user of the host's own services; name another user"


def getent(argv, text="", seconds=None):
    """What the program answers for ACCOUNTS."""
    program, database, key = argv
    assert (program, database, seconds) == ("getent", "passwd", 2)
    for name, uid in ACCOUNTS.items():
        if key in (name, str(uid)):
            return commands.Completed(0, f"{name}:x:{uid}:100::/home/{name}:/bin/sh\n", "")
    return commands.Completed(2, "", "")


@pytest.fixture(autouse=True)
def accounts(tmp_path, monkeypatch):
    """A host with ACCOUNTS; returns its file of subordinate numbers."""
    monkeypatch.setattr(commands, "run", getent)
    for name in ("subuid", "passwd", "nsswitch"):
        monkeypatch.setattr(host_users, {"subuid": "SUBUIDS"}.get(name, name.upper()), tmp_path / name)
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


def test_all_names_of_the_number_may_own_subordinate_numbers(accounts):
    lines = ("plain:x:1002:100::/:/bin/sh", "alias:x:1001:100::/:/bin/sh", "deploy:x:1001:100::/:/bin/sh", "bad:1001")
    (accounts.parent / "passwd").write_text("\n".join(lines))
    accounts.write_text("alias:165536:65536\nplain:100000:65536\nbad:5000:1\n")
    assert found("deploy") == found("1001") == (["1001", "165536-231071"], "")


@pytest.mark.parametrize(
    ("line", "source"),
    [("subid: files", ""), ("#subid: sss", ""), ("subid: sss", "sss"), (" subid :\tfiles sss # x", "files sss")],
)
def test_subordinate_numbers_of_a_directory_service_are_reported(accounts, line, source):
    nsswitch = accounts.parent / "nsswitch"
    nsswitch.write_text(f"passwd: files sss\n{line}\n")
    problem = f"may have more numbers than those in {accounts}: {nsswitch} has 'subid: {source}'"
    assert found("deploy") == (["1001"], problem if source else "")


@pytest.mark.parametrize("done", [(1, ""), (3, ""), (0, ""), (0, "deploy:x:y:1::/:\n")])
def test_an_answer_that_is_none_is_no_missing_account(monkeypatch, done):
    monkeypatch.setattr(commands, "run", lambda *_words, **_options: commands.Completed(*done, ""))
    for name in ("deploy", "1001"):
        with pytest.raises(CommandError, match="gives no account"):
            find_user(name)


def test_a_directory_service_that_hangs_takes_two_seconds_at_most(monkeypatch, tmp_path):
    """The watch holds the lock of the node meanwhile."""
    program, calls = tmp_path / "getent", []
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    program.chmod(0o755)
    # Not in the program, which may begin to run after its time on a busy machine.
    monkeypatch.setattr(commands, "run", lambda argv, **options: calls.append(argv) or RUN(argv, **options))
    monkeypatch.setitem(commands._ENVIRONMENT, "PATH", f"{tmp_path}:{commands.PATH}")
    monkeypatch.setenv("PATH", f"{tmp_path}:{commands.PATH}")
    names = [parse_network_name(f"user:{name}", "path") for name in ("deploy", "backup", "web")]
    found_users = find_networks(names, ())
    assert not any(each.is_known for each in found_users.values())
    assert {each.problem for each in found_users.values()} == {
        "cannot be read: getent passwd deploy: did not end within 2 seconds; check the load of the host"
    }
    assert calls == [["getent", "passwd", "deploy"]]


@pytest.fixture
def patient(monkeypatch):
    """Wait longer than a user's host does: the programs of tests may be slow on a busy machine."""
    monkeypatch.setattr(host_users, "_LOOKUP_SECONDS", 60)


@pytest.mark.usefixtures("patient")
def test_a_full_name_in_another_encoding_does_not_hide_a_user(monkeypatch, tmp_path):
    """A user can change the own full name (chfn)."""
    program = tmp_path / "getent"
    program.write_text("#!/bin/sh\nprintf 'deploy:x:1001:100:M\\374ller:/:/bin/sh\\n'\n")
    program.chmod(0o755)
    monkeypatch.setattr(commands, "run", RUN)
    monkeypatch.setitem(commands._ENVIRONMENT, "PATH", f"{tmp_path}:{commands.PATH}")
    monkeypatch.setenv("PATH", f"{tmp_path}:{commands.PATH}")
    assert find_networks([parse_network_name("user:deploy", "path")], ())["user:deploy"] == FoundNetwork(uids=("1001",))


@pytest.mark.usefixtures("patient")
def test_the_accounts_of_this_host(monkeypatch):
    monkeypatch.setattr(commands, "run", RUN)
    assert found("root") == ([], HOST_SERVICES)
    assert found("daemon") == found("1") == (["1"], "")
    assert found("nobody-knows") == ([], ABSENT)
    assert found("7777") == (["7777"], "")


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


@pytest.mark.parametrize("reason", ["Operation not supported", "No such file or directory"])
def test_a_kernel_that_lacks_a_feature(monkeypatch, reason):
    monkeypatch.undo()
    answer = commands.Completed(1, "", f"/dev/stdin:3:1-5: Error: Could not process rule: {reason}\n")
    monkeypatch.setattr(commands, "run", lambda *_words, **_options: answer)
    assert not host_users._can_route_users.__wrapped__()


def test_a_failure_for_a_moment_is_no_old_kernel(monkeypatch):
    """Else the user would keep the address of the node."""
    monkeypatch.undo()
    answer = commands.Completed(1, "", "netlink: Error: cache initialization failed: Interrupted system call\n")
    monkeypatch.setattr(commands, "run", lambda *_words, **_options: answer)
    with pytest.raises(CommandError, match="exit status 1: netlink: Error: cache initialization failed: Interrupted"):
        host_users._can_route_users.__wrapped__()


def test_this_kernel_is_asked_without_a_change(monkeypatch):
    monkeypatch.undo()
    with network_namespace():
        assert host_users._can_route_users.__wrapped__()
        assert commands.check(["nft", "list", "ruleset"]) == ""


def test_a_user_is_found_as_a_network_is(accounts, monkeypatch):
    name = parse_network_name("user:deploy", "path")
    assert find_networks([name], ()) == {"user:deploy": FoundNetwork(uids=("1001",))}
    absent = parse_network_name("user:absent", "path")
    assert find_networks([absent], ()) == {"user:absent": FoundNetwork(problem=ABSENT)}
    accounts.mkdir()
    unreadable = find_networks([name], ())["user:deploy"]
    assert not unreadable.is_known
    assert "cannot be read" in unreadable.problem
    accounts.rmdir()
    accounts.write_text("".join(f"deploy:{number}:1\n" for number in range(2000, 2100, 2)) * 2)
    crowded = find_networks([name], ())["user:deploy"]
    assert not crowded.is_known
    assert "more than 64" in crowded.problem
