# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the client meets trouble; seen through vsphere_port_info."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading

import pytest


def message(run, **options):
    return run("vsphere_port_info", vms=[{"name": "node1"}], **options)["msg"]


def order(vcenter, method, kind, **words):
    vcenter.control("order", method=method, kind=kind, **words)


def test_a_certificate_that_nobody_trusts(run, vcenter, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    for name in ("127.0.0.1", "localhost"):
        assert message(run, hostname=name) == (
            f"hostname: the certificate of {name}:{vcenter.port} is not trusted: self-signed certificate"
        )
    assert "ports" in run("vsphere_port_info", vms=[{"name": "node1"}], validate_certs=False)


def test_options_from_the_environment(run, vcenter, monkeypatch):
    monkeypatch.setenv("VMWARE_HOST", "127.0.0.1")
    monkeypatch.setenv("VMWARE_PASSWORD", "wrong")
    options = {"hostname": None, "password": None}
    rejected = f"username: 'admin' and its password are rejected by 127.0.0.1:{vcenter.port}"
    assert message(run, **options).startswith(rejected)


@pytest.mark.parametrize("vcenter", [["-api", "6.7"]], indirect=True)
def test_an_old_vcenter(run):
    assert message(run).startswith("hostname: must be a vCenter with API 7.0 or newer, not ")


def test_trust_from_the_environment(run, vcenter, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    monkeypatch.setenv("VMWARE_VALIDATE_CERTS", "false")
    assert "ports" in run("vsphere_port_info", vms=[{"name": "node1"}])
    assert "is not trusted" in message(run, validate_certs=True)


@pytest.mark.parametrize("by_environment", [False, True])
def test_a_proxy(run, vcenter, monkeypatch, by_environment):
    with proxy() as (port, reached):
        options = {"proxy_host": "127.0.0.1", "proxy_port": port}
        if by_environment:
            for name, value in options.items():
                monkeypatch.setenv(f"VMWARE_{name.upper()}", str(value))
        result = run("vsphere_port_info", vms=[{"name": "node1"}], **({} if by_environment else options))
    assert "ports" in result, result
    assert set(reached) == {f"127.0.0.1:{vcenter.port}"}


@contextlib.contextmanager
def proxy():
    """Run an HTTP proxy; yields (its port, the list of what it was asked to connect to)."""
    reached = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            target = self.rfile.readline().split()[1].decode()
            while self.rfile.readline().strip():
                pass
            reached.append(target)
            host, _colon, port = target.rpartition(":")
            with socket.create_connection((host, int(port))) as server:
                self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
                back = threading.Thread(target=pipe, args=(server, self.request))
                back.start()
                pipe(self.request, server)
                back.join()

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1], reached
        server.shutdown()


def pipe(source, sink):
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


def test_a_server_that_says_nothing(run):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert message(run, port=port, timeout=1).startswith(f"hostname: 127.0.0.1:{port} does not answer: ")


@pytest.mark.parametrize("status", [404, 200])
def test_a_server_that_is_no_vcenter(run, vcenter, status):
    vcenter.control("stranger", status=status)
    assert message(run).startswith(f"hostname: 127.0.0.1:{vcenter.port} does not answer: ")
    vcenter.control("stranger", status=0)


def test_nobody_listens(run):
    assert message(run, port=1).startswith("hostname: 127.0.0.1:1 does not answer: ")


def test_a_missing_privilege_is_named_with_its_object(run, vcenter):
    vcenter.control("user", name="guest", password="secret", lacks=["System.Read"])
    assert message(run, username="guest") == "DVS0: guest lacks the privilege System.Read"


def test_a_privilege_that_the_vcenter_does_not_name(run, vcenter):
    order(vcenter, "FetchDVPorts", "fault", fault="NoPermission")
    assert message(run) == "DVS0: admin lacks a privilege"


def test_what_is_removed_meanwhile(run, vcenter):
    order(vcenter, "RetrievePropertiesEx", "fault", of="VirtualMachine", fault="ManagedObjectNotFound")
    assert "ports" in run("vsphere_port_info", vms=[{"name": "node1"}])
    order(vcenter, "RetrievePropertiesEx", "fault", of="VirtualMachine", fault="ManagedObjectNotFound", times=100)
    assert message(run).endswith(": ManagedObjectNotFound")
    assert message(run).startswith(("vm-", "propertyCollector"))


@pytest.mark.parametrize("kind", ["lose_session", "drop", "lose_answer"])
def test_a_loss_is_made_good(run, vcenter, kind):
    order(vcenter, "FetchDVPorts", kind)
    assert "ports" in run("vsphere_port_info", vms=[{"name": "node1"}])
    assert [call["method"] for call in vcenter.journal()].count("Login") == 2


@pytest.mark.parametrize("kind", ["drop", "lose_answer"])
def test_a_session_whose_connection_was_lost_is_ended_too(run, vcenter, kind):
    order(vcenter, "FetchDVPorts", kind)
    assert "ports" in run("vsphere_port_info", vms=[{"name": "node1"}])
    assert [call["method"] for call in vcenter.journal()].count("Logout") == 2


@pytest.mark.parametrize("method", ["RetrieveServiceContent", "Login"])
def test_a_connection_that_drops_at_once_is_made_again(run, vcenter, method):
    order(vcenter, method, "drop")
    assert "ports" in run("vsphere_port_info", vms=[{"name": "node1"}])


def test_losses_without_end_are_an_error(run, vcenter):
    order(vcenter, "FetchDVPorts", "drop", times=100)
    assert message(run).startswith(f"hostname: 127.0.0.1:{vcenter.port} does not answer: ")


def test_a_vcenter_that_hangs(run, vcenter):
    # A busy machine needs some of this time for the other requests.
    order(vcenter, "FetchDVPorts", "hang", seconds=15)
    assert "ports" in run("vsphere_port_info", vms=[{"name": "node1"}], timeout=5)


def test_any_other_fault_is_named(run, vcenter):
    order(vcenter, "FetchDVPorts", "fault", fault="RuntimeFault")
    assert message(run) == f"127.0.0.1:{vcenter.port}: RuntimeFault"
