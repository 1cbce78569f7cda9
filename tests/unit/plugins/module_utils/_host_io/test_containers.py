# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What engines say about their containers and VMs, and everything that may be wrong with it."""

from __future__ import annotations

import json
import stat
import time

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import commands, container_networks, containers
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.containers import (
    Container,
    Containers,
    find_containers,
)

NAMES = ("1" * 64, "2" * 64)
NETWORK = {"IPAddress": "10.89.7.2", "GlobalIPv6Address": "fd00:89:0::2"}
SHOP = {"name": "shop", "labels": {"app": "shop"}, "mode": "bridge", "networks": {"web": NETWORK}}
FOUND = Container("shop", {"app": "shop"}, ("10.89.7.2", "fd00:89::2"))


@pytest.fixture(autouse=True)
def host(tmp_path, monkeypatch):
    """A host without any engine, whose programs and folders are below tmp_path."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setattr(commands, "PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(commands, "_ENVIRONMENT", {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"})
    monkeypatch.setattr(container_networks, "PODMAN_DATA", (tmp_path / "libpod",))
    monkeypatch.setattr(containers, "has_docker", lambda: False)
    monkeypatch.setattr(containers, "DOMAIN_FOLDERS", (tmp_path / "qemu", tmp_path / "lxc"))
    monkeypatch.setattr(containers, "LEASE_FOLDER", tmp_path / "dnsmasq")
    for name in ("qemu", "dnsmasq"):
        (tmp_path / name).mkdir()
    return tmp_path


@pytest.fixture
def podman(host, monkeypatch):
    """Install a podman with the text of a shell script; each run of `ps` and `inspect` is counted in a file."""
    monkeypatch.setenv("PATH", f"{host / 'bin'}:/usr/bin:/bin")
    # The machine may be busy.
    monkeypatch.setattr(containers, "_TIMEOUT", 60)

    def install(ps, inspect):
        program = host / "bin/podman"
        program.write_text(f'#!/bin/sh\necho "$1" >> {host}/log\ncase "$1" in\nps) {ps};;\n*) {inspect};;\nesac\n')
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        return lambda: (host / "log").read_text().split()

    return install


def listing(*documents):
    return "cat <<'END'\n" + "".join(f"{json.dumps(each)}\n" for each in documents) + "END\n"


@pytest.mark.parametrize("engine", ["podman", "docker", "libvirt"])
def test_a_host_without_the_engine(engine):
    assert find_containers(engine) == Containers()


def test_podman(podman):
    joined = {**SHOP, "name": "joined", "mode": "container:1"}
    none = {**SHOP, "name": "none", "mode": "host", "networks": None, "labels": None}
    podman(f"echo {' '.join(NAMES)}", listing(SHOP, joined, none))
    assert find_containers("podman") == Containers((FOUND,))


def test_podman_without_containers(podman):
    calls = podman("true", "exit 1")
    assert find_containers("podman") == Containers()
    assert calls() == ["ps"]


def test_a_container_that_ends_between_two_commands(podman, host):
    once = f"if test -e {host}/tried; then {listing(SHOP)}\nelse touch {host}/tried; exit 125; fi"
    calls = podman(f"echo {NAMES[0]}", once)
    assert find_containers("podman") == Containers((FOUND,))
    assert calls() == ["ps", "container", "ps", "container"]


@pytest.mark.parametrize(
    ("ps", "inspect", "problem"),
    [
        ("exit 1", "true", "podman ends with status 1: no message"),
        ("echo no database >&2; exit 125", "true", "podman ends with status 125: no database"),
        (f"echo {NAMES[0]}", "echo broken >&2; exit 125", "podman ends with status 125: broken"),
        (f"echo {NAMES[0]}", "echo '{'", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
    ],
)
def test_a_podman_that_fails_is_not_one_without_containers(podman, ps, inspect, problem):
    podman(ps, inspect)
    assert find_containers("podman") == Containers(problem=problem)


def test_a_podman_that_hangs(podman, monkeypatch):
    monkeypatch.setattr(containers, "_TIMEOUT", 0)
    podman("exec sleep 600", "true")
    assert "did not end within" in find_containers("podman").problem


def test_a_podman_that_is_being_replaced(host):
    (host / "libpod").mkdir()
    problem = "podman is not installed, but has data on this host; install it, or remove its data"
    assert find_containers("podman") == Containers(problem=problem)


def docker(monkeypatch, answer):
    monkeypatch.setattr(containers, "has_docker", lambda: True)

    def get(url):
        assert url == "/containers/json"
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(containers, "ask_docker", get)


def test_docker(monkeypatch):
    shop = {
        "Names": ["/shop", "/web/shop"],
        "Labels": {"app": "shop"},
        "NetworkSettings": {"Networks": {"bridge": NETWORK}},
    }
    none = {"Names": ["/host"], "Labels": {}, "NetworkSettings": {"Networks": {"host": {"IPAddress": ""}}}}
    docker(monkeypatch, [shop, none])
    assert find_containers("docker") == Containers((FOUND,))


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "Connection refused"),
        (None, "the answer is not a list of containers"),
        ({"message": "no"}, "the answer is not a list of containers"),
    ],
)
def test_a_docker_that_fails_is_not_one_without_containers(monkeypatch, answer, problem):
    docker(monkeypatch, answer)
    assert find_containers("docker") == Containers(problem=problem)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"Names": [], "Labels": [], "NetworkSettings": []},
        {
            "Names": 5,
            "NetworkSettings": {"Networks": {"a": 5, "b": {"IPAddress": "10.0.0.300"}, "c": {"IPAddress": 7}}},
        },
    ],
)
def test_malformed_fields_are_no_addresses(monkeypatch, fields):
    docker(monkeypatch, [fields])
    assert find_containers("docker") == Containers()


def test_names_and_labels_cannot_control_a_terminal_or_fill_an_answer(monkeypatch):
    labels = {"a" * 318: "x", "key": "v" * 64, "number": 5, "ok": "yes"}
    docker(
        monkeypatch,
        [{"Names": ["/a\x1b[1mb" + "c" * 999], "Labels": labels, "NetworkSettings": {"Networks": {"n": NETWORK}}}],
    )
    ((found,), problem) = find_containers("docker")
    assert (found.name[:12], len(found.name), found.labels, problem) == ("a\\x1b[1mbccc", 253, {"ok": "yes"}, "")


def test_too_many_containers_or_labels(monkeypatch):
    one = {"Names": ["/a"], "Labels": {"key": "value"}, "NetworkSettings": {"Networks": {"n": NETWORK}}}
    docker(monkeypatch, [one] * 2)
    monkeypatch.setattr(containers, "LARGEST", 15)
    assert find_containers("docker").problem == "the labels of its containers have 16 characters, more than 15"
    monkeypatch.setattr(containers, "_MOST", 1)
    assert find_containers("docker").problem == "it runs 2 containers, more than 1"


DOMAIN = """<domstatus state='running' pid='1'>
  <domain type='kvm' id='1'><name>shop vm</name>
    <metadata><e:labels xmlns:e="egress-ip.netops/labels">app=shop, tier=web, broken</e:labels></metadata>
    <devices><interface type='network'><mac address='52:54:00:00:00:50'/></interface>
    <interface type='network'><mac address='52:54:00:00:00:51'/></interface></devices>
  </domain></domstatus>"""


def lease(mac="52:54:00:00:00:50", ip="192.168.122.50", expiry=None):
    return {"ip-address": ip, "mac-address": mac, "expiry-time": time.time() + 900 if expiry is None else expiry}


def leases(host, *entries):
    (host / "dnsmasq/virbr0.status").write_text(json.dumps(entries))


def test_libvirt(host):
    (host / "qemu/shop.xml").write_text(DOMAIN)
    (host / "dnsmasq/virbr1.status").write_text("")
    endless = lease(ip="fd00:122::50", expiry=0)
    leases(
        host, lease(), endless, lease(ip="192.168.122.51", expiry=5), lease(mac="52:54:00:00:00:99", ip="192.168.122.9")
    )
    found = Container("shop vm", {"app": "shop", "tier": "web"}, ("192.168.122.50", "fd00:122::50"))
    assert find_containers("libvirt") == Containers((found,))


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("qemu/a.xml", "<!DOCTYPE a><a/>", "its definition has XML entities, which libvirt does not write"),
        ("qemu/a.xml", "<domstatus>", "its definition is not XML: no element found: line 1, column 11"),
        ("dnsmasq/a.status", "[", "Expecting value: line 1 column 2 (char 1)"),
    ],
)
def test_a_libvirt_that_cannot_be_read_is_not_one_without_domains(host, name, text, problem):
    (host / name).write_text(text)
    assert find_containers("libvirt") == Containers(problem=problem)


def test_a_domain_without_a_lease_or_a_name(host):
    (host / "qemu/a.xml").write_text("<domstatus><domain/></domstatus>")
    (host / "qemu/b.xml").write_text(DOMAIN)
    leases(host, 5, lease(expiry="soon"), {"mac-address": 7})
    assert find_containers("libvirt") == Containers()
