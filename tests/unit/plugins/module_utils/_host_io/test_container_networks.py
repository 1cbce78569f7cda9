# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the engines' files and Docker's socket say about networks, and everything that may be wrong with them."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import socketserver
import threading
from http.server import BaseHTTPRequestHandler

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.network_names import parse_network_name
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import container_networks
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.container_networks import (
    FoundNetwork,
    find_networks,
)

ABSENT = FoundNetwork(problem="does not exist")
NOT_ROUTED = "whose packets do not pass through the host's routing"


def bridge(name, *addresses):
    info = [
        {"local": text.split("/")[0], "prefixlen": int(text.split("/")[1]), "scope": "global"} for text in addresses
    ]
    link_local = {"local": "fe80::1", "prefixlen": 64, "scope": "link"}
    return {"ifname": name, "addr_info": [*info, link_local]}


HOST = (bridge("lo"), bridge("virbr1", "192.168.100.1/24", "fd00:100::1/64"), bridge("bare"))


@pytest.fixture(autouse=True)
def host(tmp_path, monkeypatch):
    """A host without any engine; its folders are below tmp_path."""
    for name in ("PODMAN_FOLDER", "CNI_FOLDER", "DOCKER_SOCKET", "DOCKER_DATA", "PODMAN_PROGRAM"):
        monkeypatch.setattr(container_networks, name, tmp_path / name.lower())
    monkeypatch.setattr(container_networks, "PODMAN_DATA", (tmp_path / "libpod",))
    monkeypatch.setattr(container_networks, "LIBVIRT_FOLDERS", (tmp_path / "run", tmp_path / "etc"))
    monkeypatch.setattr(container_networks, "PODMAN_CONFIGURATIONS", (tmp_path / "usr.conf", tmp_path / "etc.conf"))
    monkeypatch.setattr(container_networks, "PODMAN_CONFIGURATION_FOLDER", tmp_path / "etc")
    for name in ("podman_folder", "cni_folder", "run", "etc"):
        (tmp_path / name).mkdir()
    return tmp_path


def find(text, interfaces=HOST):
    name = parse_network_name(text, "")
    return find_networks([name], interfaces)[name.text]


def podman(folder, name="web", **document):
    (folder / "podman_folder" / f"{name}.json").write_text(json.dumps({"name": name, **document}))


@pytest.mark.parametrize("text", ["podman:web", "podman:podman", "docker:web", "libvirt:default", "interface:virbr9"])
def test_what_does_not_exist(text):
    assert find(text) == ABSENT


def test_the_default_network_of_podman_while_its_package_is_replaced(host):
    (host / "libpod").mkdir()
    (host / "etc.conf").write_text('[network]\ndefault_subnet = "10.89.0.0/24"\n')
    assert find("podman:podman") == FoundNetwork(("10.89.0.0/24",))


def test_a_cidr_is_itself():
    assert find("10.89.7.0/24") == FoundNetwork(("10.89.7.0/24",))


def test_an_interface_has_the_networks_of_its_addresses():
    assert find("interface:virbr1") == FoundNetwork(("192.168.100.0/24", "fd00:100::/64"))
    assert find("interface:bare") == FoundNetwork()


def test_podman_with_netavark(host):
    subnets = [{"subnet": "fd00:89::/64", "gateway": "fd00:89::1"}, {"subnet": "10.89.0.0/24"}]
    podman(host, driver="bridge", network_interface="podman1", subnets=subnets)
    assert find("podman:web") == FoundNetwork(("10.89.0.0/24", "fd00:89::/64"))


def test_podman_with_cni(host):
    ranges = [[{"subnet": "10.89.1.0/24", "gateway": "10.89.1.1"}], [{"subnet": "fd00:90::/64"}]]
    plugins = [{"type": "bridge", "bridge": "cni-podman1", "ipam": {"ranges": ranges}}, {"type": "portmap"}]
    (host / "cni_folder/broken.conflist").write_text("{")
    (host / "cni_folder/old.conflist").write_text(json.dumps({"name": "other", "plugins": []}))
    (host / "cni_folder/web.conflist").write_text(json.dumps({"name": "web", "plugins": plugins}))
    assert find("podman:web") == FoundNetwork(("10.89.1.0/24", "fd00:90::/64"))
    single = [{"type": "bridge", "ipam": {"type": "host-local", "subnet": "10.85.0.0/16"}}]
    (host / "cni_folder/crio.conflist").write_text(json.dumps({"name": "crio", "plugins": single}))
    assert find("podman:crio") == FoundNetwork(("10.85.0.0/16",))


def test_the_network_that_podman_has_without_a_file(host):
    (host / "podman_program").touch()
    assert find("podman:podman") == FoundNetwork(("10.88.0.0/16",))
    assert find("podman:podman", (bridge("podman0", "10.77.0.1/16"),)) == FoundNetwork(("10.77.0.0/16",))
    podman(host, "podman", driver="bridge", subnets=[{"subnet": "10.66.0.0/16"}])
    assert find("podman:podman") == FoundNetwork(("10.66.0.0/16",))


def test_the_subnet_of_that_network_in_podmans_configuration(host):
    """The bridge is absent until a container starts, and that container's first packets count."""
    (host / "podman_program").touch()
    (host / "usr.conf").write_text('[network]\n# default_subnet = "10.1.0.0/16"\n')
    assert find("podman:podman") == FoundNetwork(("10.88.0.0/16",))
    (host / "usr.conf").write_text('[network]\ndefault_subnet = "10.2.0.0/16"\n')
    assert find("podman:podman") == FoundNetwork(("10.2.0.0/16",))
    (host / "etc.conf").write_text("[network]\n  default_subnet='10.3.0.0/16' # ours\n")
    (host / "etc/10.conf").write_text("[engine]\n")
    plugins = [{"type": "bridge", "ipam": {"type": "host-local", "subnet": "10.88.0.0/16"}}]
    (host / "cni_folder/87-podman-bridge.conflist").write_text(json.dumps({"name": "podman", "plugins": plugins}))
    assert find("podman:podman") == FoundNetwork(("10.3.0.0/16",))
    (host / "etc/20.conf").write_text('default_subnet = "10.4.0.1/16"\n')
    assert find("podman:podman").problem.startswith("cannot be read: ")
    assert find("podman:podman", (bridge("podman0", "10.77.0.1/16"),)) == FoundNetwork(("10.77.0.0/16",))


@pytest.mark.parametrize("driver", ["macvlan", "ipvlan"])
def test_packets_of_some_drivers_do_not_pass_the_host(host, driver):
    podman(host, driver=driver, subnets=[{"subnet": "10.89.0.0/24"}])
    assert find("podman:web") == FoundNetwork(problem=f"is a network of the driver '{driver}', {NOT_ROUTED}")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "Expecting property name"),
        ("[]", "is not a JSON object"),
        ("[" * 100_000, "recursion"),
        (json.dumps({"subnets": [{"subnet": "10.89.0.1/24"}]}), "has host bits set"),
        (json.dumps({"subnets": [{"subnet": f"10.{n}.0.0/16"} for n in range(65)]}), "65 subnets, more than 64"),
        ('"' + "x" * (1 << 22) + '"', "is larger than"),
        (b"\xff", "codec can't decode"),
    ],
)
def test_what_cannot_be_read_is_not_known(host, text, problem):
    (host / "podman_folder/web.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    found = find("podman:web")
    assert (found.cidrs, found.is_known) == ((), False)
    assert found.problem.startswith("cannot be read: ")
    assert problem in found.problem
    assert "\n" not in found.problem


@pytest.mark.parametrize("document", [{}, {"subnets": None}, {"subnets": [5, {"subnet": 7}]}, {"subnets": "x"}])
def test_a_network_without_subnets(host, document):
    podman(host, **document)
    assert find("podman:web") == FoundNetwork(problem="has no subnet")


def test_a_fifo_does_not_stop_a_node(host):
    os.mkfifo(host / "podman_folder/web.json")
    assert not find("podman:web").is_known


DEFAULT = """<!-- written by virsh -->
<network>
  <name>default</name>
  <forward mode='{mode}'/>
  <bridge name='virbr0'/>
  <ip address='192.168.122.1' netmask='255.255.255.0'><dhcp/></ip>
  <ip family='ipv6' address='fd00:122::1' prefix='64'/>
</network>
"""


def test_libvirt(host):
    (host / "etc/default.xml").write_text(DEFAULT.format(mode="nat"))
    assert find("libvirt:default") == FoundNetwork(("192.168.122.0/24", "fd00:122::/64"))
    running = DEFAULT.format(mode="open").replace("192.168.122", "192.168.123")
    (host / "run/default.xml").write_text(f"<networkstatus>{running.partition('>')[2]}</networkstatus>")
    assert find("libvirt:default").cidrs == ("192.168.123.0/24", "fd00:122::/64")
    (host / "run/default.xml").write_text(DEFAULT.format(mode="bridge"))
    assert find("libvirt:default") == FoundNetwork(problem=f"is a network with the mode bridge, {NOT_ROUTED}")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("<network>", "is not XML"),
        ("<domain/>", "has no element network"),
        ('<!DOCTYPE x [<!ENTITY a "b">]><network/>', "has XML entities"),
        ("<network><ip address='x' prefix='24'/></network>", "is not an IPv4 or IPv6 address"),
        ("<network><ip address='10.0.0.1' netmask='y'/></network>", "illegal IP address string"),
    ],
)
def test_a_damaged_definition_of_libvirt_is_not_known(host, text, problem):
    (host / "etc/default.xml").write_text(text)
    found = find("libvirt:default")
    assert not found.is_known
    assert problem in found.problem


class Docker(BaseHTTPRequestHandler):
    """Answers like Docker's API."""

    answers = {}

    def do_GET(self):  # noqa: N802
        status, text = self.answers.get(self.path, (404, '{"message": "not found"}'))
        self.send_response(status)
        self.end_headers()
        with contextlib.suppress(BrokenPipeError):  # who reads no more than it accepts
            self.wfile.write(text.encode())

    def address_string(self):
        return ""

    def log_message(self, *_arguments):
        pass


@pytest.fixture
def docker(host, monkeypatch):
    """A server at Docker's socket; returns its answers {path: (status, text)}."""
    Docker.answers = {}
    # The server is a thread of this process, on a machine that may be busy.
    monkeypatch.setattr(container_networks, "_DOCKER_TIMEOUT", 60)
    with socketserver.ThreadingUnixStreamServer(str(host / "docker_socket"), Docker) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Docker.answers
        server.shutdown()


def network(name="web", driver="bridge", *subnets):
    config = [{"Subnet": subnet, "Gateway": "x"} for subnet in subnets]
    return 200, json.dumps({"Name": name, "Driver": driver, "IPAM": {"Config": config}})


def test_docker(docker):
    docker["/networks/web"] = network("web", "bridge", "172.18.0.0/16", "fd00:18::/64")
    assert find("docker:web") == FoundNetwork(("172.18.0.0/16", "fd00:18::/64"))
    assert find("docker:db") == ABSENT
    docker["/networks/lan"] = network("lan", "macvlan", "172.18.0.0/16")
    assert find("docker:lan") == FoundNetwork(problem=f"is a network of the driver 'macvlan', {NOT_ROUTED}")
    docker["/networks/we"] = network("web", "bridge", "172.18.0.0/16")
    assert find("docker:we") == ABSENT


@pytest.mark.parametrize(
    "answer", [(500, "{}"), (200, "{"), (200, "[]"), (200, '{"Name": "web", "IPAM": 5}'), (200, "x" * (1 << 23))]
)
def test_an_answer_that_is_none_is_not_known(docker, answer):
    docker["/networks/web"] = answer
    found = find("docker:web")
    assert (found.cidrs, found.is_known) == ((), False)
    assert found.problem.startswith("cannot be read: ")


def test_docker_that_does_not_run_is_not_known(host):
    """All its networks are still there when it starts again."""
    (host / "docker_data").mkdir()
    assert find("docker:web") == FoundNetwork(problem="cannot be read: No such file or directory", is_known=False)


def test_an_engine_that_hangs_is_called_once(host, monkeypatch):
    monkeypatch.setattr(container_networks, "_DOCKER_TIMEOUT", 0.05)
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(host / "docker_socket"))
        listener.listen()
        found = find_networks([parse_network_name(f"docker:n{i}", "") for i in range(3)], HOST)
        assert {*found.values()} == {FoundNetwork(problem="cannot be read: timed out", is_known=False)}
        listener.setblocking(False)
        listener.accept()
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_networks_are_found_one_by_one(host):
    podman(host, driver="bridge", subnets=[{"subnet": "10.89.0.0/24"}])
    (host / "etc/default.xml").write_text("<network>")
    names = [parse_network_name(text, "") for text in ("libvirt:default", "podman:web", "docker:web")]
    found = find_networks(names, HOST)
    assert found["podman:web"].cidrs == ("10.89.0.0/24",)
    assert found["docker:web"] == ABSENT
    assert not found["libvirt:default"].is_known


def test_all_networks_of_podman_are_known_while_they_have_no_bridge(host):
    assert container_networks.idle_networks() == ()
    podman(host, driver="bridge", subnets=[{"subnet": "10.89.0.0/24"}, {"subnet": "fd00:89::/64"}])
    podman(host, "lan", driver="macvlan", subnets=[{"subnet": "192.168.1.0/24"}])
    (host / "podman_folder/broken.json").write_text("{")
    plugins = [{"type": "bridge", "ipam": {"ranges": [[{"subnet": "10.91.0.0/24"}]]}}]
    (host / "cni_folder/a.conflist").write_text(json.dumps({"name": "a", "plugins": plugins}))
    odd = [{"type": "bridge", "ipam": {"subnet": "x"}}]
    (host / "cni_folder/b.conflist").write_text(json.dumps({"name": "b", "plugins": odd}))
    (host / "podman_program").touch()
    assert container_networks.idle_networks() == ("10.88.0.0/16", "10.89.0.0/24", "10.91.0.0/24", "fd00:89::/64")
