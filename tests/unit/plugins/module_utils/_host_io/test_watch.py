# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a node was here all the time: notes in a file, seconds on a clock, links of interfaces."""

from __future__ import annotations

import subprocess
import sys

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import watch
from network_namespace import network_namespace


@pytest.fixture
def clock(monkeypatch):
    """Clocks that stand still until a test sets them, and interfaces of which eth1 has no link."""
    times = {"now": 1000.0, "wall": 5000.0, "hardware": 5000.0, "used": 0.04}
    monkeypatch.setattr(watch, "_clocks", lambda: (times["now"], times["wall"], times["hardware"]))
    monkeypatch.setattr(watch, "_used", lambda: times["used"])
    monkeypatch.setattr(watch, "_is_interface", lambda interface: interface != "eth2")
    monkeypatch.setattr(watch, "has_link", lambda interface: interface != "eth1")
    for name, value in {"_count_rules": 6, "_count_policies": 2, "_has_tables": True, "is_here": True}.items():
        monkeypatch.setattr(watch, name, lambda *_arguments, value=value: value)
    return times


HELD = (("192.168.126.101", "eth0"), ("2001:db8:126::101", "eth0"), ("192.168.126.21", ""))


def settle(clock, path, device="egress0", held=HELD):
    """Note a node that has been here for more than a minute, and has just probed."""
    watch.note("egress0", HELD, path)
    for _second in range(0, watch.SETTLE + 2, 2):
        clock["now"] += 2
        watch.note("egress0", HELD, path)
    watch.note(device, held, path)
    watch.note_probed(path)


@pytest.mark.parametrize(("seconds", "here"), [(4, True), (10, True), (10.2, False), (86400, False)])
def test_a_long_silence_means_away(clock, tmp_path, seconds, here):
    settle(clock, tmp_path / "watch")
    clock["now"] += seconds
    assert watch.renew(tmp_path / "watch") == here
    assert watch.was_away(tmp_path / "watch") == (not here)


@pytest.mark.parametrize("ahead", ["wall", "hardware"])
@pytest.mark.parametrize(("seconds", "here"), [(-86400, True), (9, True), (11, False), (86400, False)])
def test_a_clock_that_is_set_forward_means_away(clock, tmp_path, ahead, seconds, here):
    """As when a paused virtual machine resumes: no clock of the kernel has counted the seconds."""
    settle(clock, tmp_path / "watch")
    clock["now"] += 4
    clock[ahead] += seconds
    assert watch.was_away(tmp_path / "watch") == (not here)


def test_every_look_counts_anew(clock, tmp_path):
    settle(clock, tmp_path / "watch")
    for _look in range(5):
        clock["now"] += 8
        assert watch.renew(tmp_path / "watch")


def test_a_node_probes_from_time_to_time(clock, tmp_path):
    path = tmp_path / "watch"
    settle(clock, path)
    looks = []
    for _look in range(32):
        clock["now"] += 4
        looks.append(watch.renew(path))
        if not looks[-1]:
            assert watch.is_probe_due(path)
            assert not watch.is_settling(path)
            watch.note("egress0", HELD, path)
            watch.note_probed(path)
    assert looks == ([True] * 14 + [False]) * 2 + [True] * 2


@pytest.mark.parametrize(("used", "probes"), [(0.1, 16), (0.3, 9), (0.6, 5), (9, 4)])
def test_the_probes_after_an_absence_use_a_bounded_share_of_a_core(clock, tmp_path, used, probes):
    path = tmp_path / "watch"
    settle(clock, path)
    clock["now"] += 30
    clock["used"] = used
    found = 0
    while found == 0 or watch.is_settling(path):
        if not watch.renew(path):
            found += 1
            watch.note("egress0", HELD, path)
            watch.note_probed(path)
        clock["now"] += 4
    assert found == probes


def test_a_node_that_was_away_probes_at_each_look_for_a_minute(clock, tmp_path):
    path = tmp_path / "watch"
    settle(clock, path)
    clock["now"] += 30
    settling, quiet = [], []
    for _look in range(20):
        settling.append(watch.is_settling(path))
        quiet.append(watch.renew(path))
        watch.note("egress0", HELD, path)
        if not quiet[-1]:
            watch.note_probed(path)
        clock["now"] += 4
    assert settling == [True] * 16 + [False] * 4
    # The last probe, after the minute, does not wait for the next.
    assert quiet == [False] * 16 + [True] * 4


@pytest.mark.parametrize("seconds", [9, 63, 3600])
def test_a_node_that_is_too_slow_to_probe_within_the_minute_may_yield_at_its_first_probe(clock, tmp_path, seconds):
    path = tmp_path / "watch"
    watch.note("egress0", HELD, path)
    for _note in range(seconds // 9):
        clock["now"] += 9
        watch.note("egress0", HELD, path)
    assert watch.is_probe_due(path)
    assert watch.is_settling(path)
    watch.note_probed(path)
    assert watch.is_settling(path) == (seconds < watch.SETTLE)


@pytest.mark.parametrize(("seconds", "settling"), [(9, True), (3600, False)])
def test_a_node_that_held_nothing_in_the_minute_after_an_absence_does_not_yield_what_it_claims_later(
    clock, tmp_path, seconds, settling
):
    path = tmp_path / "watch"
    watch.note("egress0", [], path)
    for _note in range(seconds // 9):
        clock["now"] += 9
        watch.note("egress0", [], path)
    watch.note("egress0", HELD, path)
    assert watch.is_settling(path) == settling


def test_a_node_that_holds_nothing_has_nothing_to_probe(clock, tmp_path):
    watch.note("egress0", [], tmp_path / "watch")
    assert not watch.is_probe_due(tmp_path / "watch")


def test_a_node_that_yielded_an_address_that_it_may_take_back_looks_each_time(clock, tmp_path, monkeypatch):
    noted = tmp_path / "yielded"
    monkeypatch.setattr(watch, "YIELDED_FILE", str(noted))
    settle(clock, tmp_path / "watch")
    noted.touch()
    assert not watch.renew(tmp_path / "watch")
    noted.unlink()
    assert watch.renew(tmp_path / "watch")


def test_an_interface_without_a_link_means_away(clock, tmp_path):
    settle(clock, tmp_path / "watch", held=[*HELD, ("10.9.0.101", "eth1")])
    assert watch.was_away(tmp_path / "watch")
    assert not watch.renew(tmp_path / "watch")


def test_while_a_link_is_missing_the_watch_does_nothing_and_the_node_counts_as_away(clock, tmp_path, monkeypatch):
    path = tmp_path / "watch"
    settle(clock, path, held=[*HELD, ("10.9.0.101", "eth1")])
    for _look in range(3):
        clock["now"] += 4
        assert watch.has_nothing_to_do("watch", path)
    assert not watch.has_nothing_to_do("restore", path)
    monkeypatch.setattr(watch, "has_link", lambda _interface: True)
    assert watch.was_away(path)
    assert not watch.has_nothing_to_do("watch", path)


def test_an_interface_that_is_gone_is_not_waited_for(clock, tmp_path, monkeypatch):
    path = tmp_path / "watch"
    settle(clock, path, held=[*HELD, ("10.9.0.101", "eth2")])
    monkeypatch.setattr(watch, "has_link", lambda interface: interface != "eth2")
    assert not watch.has_nothing_to_do("watch", path)


@pytest.mark.parametrize("command", ["restore", "watch"])
def test_a_watch_that_cannot_write_its_note_has_something_to_do(clock, tmp_path, monkeypatch, command):
    path = str(tmp_path / "watch")
    settle(clock, path)

    def no_space(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(watch, "_write", no_space)
    assert not watch.has_nothing_to_do(command, path)


def test_addresses_that_a_takeover_notes_meanwhile_are_not_lost(clock, tmp_path, monkeypatch):
    """The watch looks without the lock."""
    path = str(tmp_path / "watch")
    settle(clock, path)
    assert watch.renew(path)
    both = [*HELD, ("192.168.126.102", "eth0")]

    def take_over():
        watch.note("egress0", both, path)
        return True

    monkeypatch.setattr(watch, "_has_tables", take_over)
    assert not watch.renew(path)
    assert watch._read(path).held == both


def test_rules_that_are_removed_while_the_watch_writes_its_note_are_missing(clock, tmp_path, monkeypatch):
    """Else the node would count as right without them for as long as it holds nothing."""
    path, numbers = str(tmp_path / "watch"), [6]
    settle(clock, path)
    monkeypatch.setattr(watch, "_count_rules", lambda: numbers.pop() if numbers else 0)
    assert watch.renew(path)
    assert not watch.renew(path)


def test_other_commands_always_have_something_to_do(clock, tmp_path):
    settle(clock, tmp_path / "watch")
    found = [
        watch.has_nothing_to_do(word, tmp_path / "watch") for word in ("watch", "restore", "claim", "announce", "")
    ]
    assert found == [True, True, False, False, False]


def test_a_node_that_holds_nothing_needs_no_link(clock, tmp_path):
    watch.note("egress0", [], tmp_path / "watch")
    assert watch.renew(tmp_path / "watch")


@pytest.mark.parametrize(
    "content", [None, "", "x egress0 6", "1000.0 egress0", "1000.0 5000.0 x 0.0 0.0 egress0 6+2", "\x00"]
)
def test_without_a_sound_note_nobody_knows(clock, tmp_path, content):
    if content is not None:
        (tmp_path / "watch").write_text(content)
    assert not watch.renew(tmp_path / "watch")
    assert watch.was_away(tmp_path / "watch")


@pytest.mark.parametrize(
    ("name", "value"), [("_count_rules", 5), ("_count_policies", 0), ("_has_tables", False), ("is_here", False)]
)
def test_what_is_gone_is_seen_and_does_not_mean_away(clock, tmp_path, monkeypatch, name, value):
    settle(clock, tmp_path / "watch")
    monkeypatch.setattr(watch, name, lambda *_arguments: value)
    assert not watch.renew(tmp_path / "watch")
    assert not watch.was_away(tmp_path / "watch")


def test_a_tunnel_device_that_is_gone_is_seen(clock, tmp_path):
    settle(clock, tmp_path / "watch", device="eth1")
    assert not watch.renew(tmp_path / "watch")
    assert not watch.was_away(tmp_path / "watch")


def ip(*lines):
    subprocess.run(["ip", "-batch", "-"], input="\n".join(lines), text=True, check=True)


def test_rules_tables_and_addresses_as_the_kernel_tells_them():
    with network_namespace("br0"):
        assert (watch._count_rules(), watch._has_tables()) == (0, False)
        ours = [f"rule add priority {number} lookup main protocol 225" for number in range(7000, 7300)]
        ip(*ours, "rule add priority 225 lookup 225", "address add 10.9.0.101/32 dev br0")
        subprocess.run(["ip", "-6", "rule", "add", "priority", "7000", "lookup", "main", "protocol", "225"], check=True)
        ip("address add 2001:db8:9::101/128 dev br0 nodad")
        subprocess.run(["nft", "add table inet egress_ip"], check=True)
        assert (watch._count_rules(), watch._has_tables()) == (301, False)
        subprocess.run(["nft", "add table netdev egress_ip"], check=True)
        assert watch._has_tables()
        ip(*(f"xfrm policy add src 10.9.0.{n}/32 dir fwd action block" for n in range(1, 5)))
        ip("xfrm policy add src 10.9.0.1/32 dir out action block")
        ip("xfrm policy add src 10.9.0.1/32 dir in action block")
        assert watch._count_policies() == 6
        assert watch._count_states() == 0
        # Reserves a number: this needs no ESP in the kernel.
        ip("xfrm state allocspi src 10.9.0.1 dst 10.9.0.2 proto esp min 0x300 max 0x300")
        assert watch._count_states() == 1
        for interface in ("br0", ""):
            assert watch.is_here(("10.9.0.101", interface))
            assert watch.is_here(("2001:db8:9::101", interface))
            assert not watch.is_here(("10.9.0.102", interface))
            assert not watch.is_here(("2001:db8:9::102", interface))


def test_the_hardware_clock_is_read_if_there_is_one(tmp_path, monkeypatch):
    file = tmp_path / "since_epoch"
    monkeypatch.setattr(watch, "_HARDWARE_CLOCK", str(file))
    assert watch._clocks()[2] == 0
    file.write_text("1900000000\n")
    boot, _wall, hardware = watch._clocks()
    assert round(boot + hardware) == 1900000000


def test_links():
    assert not watch.has_link("no-such")


def test_the_program_looks_without_loading_the_rest():
    """What the watch does every few seconds must stay cheap."""
    code = "import sys; before = set(sys.modules); from {} import watch; print(*set(sys.modules) - before)"
    package = watch.__name__.rpartition(".")[0]
    done = subprocess.run(
        [sys.executable, "-c", code.format(package)], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"json", "subprocess", "pathlib", "dataclasses", "ipaddress"} & set(done)


def test_a_node_without_networks_has_no_note_of_them(tmp_path):
    path = tmp_path / "networks"
    assert watch._are_networks_known(path)
    watch.note_networks(None, path)
    watch.note_networks(watch.networks_version(), path)
    assert watch._are_networks_known(path)
    watch.note_networks("", path)
    assert not watch._are_networks_known(path)
    watch.note_networks(None, path)
    assert watch._are_networks_known(path)


def test_a_new_network_of_an_engine_changes_the_version(tmp_path, monkeypatch):
    monkeypatch.setattr(watch, "_NETWORK_FOLDERS", (str(tmp_path / "none"), str(tmp_path)))
    versions = [watch.networks_version()]
    for change in (lambda file: file.write_text("{}"), lambda file: file.write_text("{ }"), lambda file: file.unlink()):
        change(tmp_path / "web.json")
        versions.append(watch.networks_version())
    assert versions[0] == versions[-1]
    assert len({*versions}) == 3


def test_a_new_account_changes_the_version(tmp_path, monkeypatch):
    monkeypatch.setattr(watch, "_USER_FILES", (str(tmp_path / "passwd"), str(tmp_path / "none")))
    versions = [watch.networks_version()]
    for text in ("deploy:x:1001:\n", "deploy:x:1007:\n"):
        (tmp_path / "new").write_text(text)
        (tmp_path / "new").replace(tmp_path / "passwd")
        versions.append(watch.networks_version())
    assert len({*versions}) == 3


def test_only_addresses_beyond_the_link_change_the_version():
    """The interface of each new container has a link-local one."""

    def run(*words):
        subprocess.run(words, check=True)

    with network_namespace("web0"):
        before = watch.networks_version()
        run("ip", "address", "add", "fe80::99/64", "dev", "web0", "nodad")
        assert watch.networks_version() == before
        run("ip", "address", "add", "10.89.0.1/24", "dev", "web0")
        run("ip", "address", "add", "fd00:89::1/64", "dev", "web0", "nodad")
        changed = watch.networks_version()
        assert changed != before
        run("ip", "address", "delete", "10.89.0.1/24", "dev", "web0")
        run("ip", "address", "delete", "fd00:89::1/64", "dev", "web0")
        assert watch.networks_version() == before


def test_changed_networks_are_something_to_do(clock, tmp_path, monkeypatch):
    settle(clock, tmp_path / "watch")
    assert watch.renew(tmp_path / "watch")
    monkeypatch.setattr(watch, "_are_networks_known", lambda: False)
    assert not watch.renew(tmp_path / "watch")
