# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The external server: sends every client, by TCP and by UDP, the source address that it sees.

TCP: one line `ADDRESS PORT` at once, then every line comes back as `ADDRESS PORT LINE`. After the line `stream` the
server alone speaks: a line with a number every 0.05 s.
UDP: every datagram comes back as `ADDRESS PORT DATA`.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import socketserver
import threading
import time

PORT = 8080
# SO_RCVBUFFORCE, which the module `socket` does not name, and a size for a burst that waits for a busy machine.
FORCE_BUFFER, BUFFER_BYTES = 33, 1 << 22


def shown(client_address: tuple) -> str:
    """`ADDRESS PORT` of a client; IPv4 ones come as mapped addresses to a socket for both IP versions."""
    return f"{client_address[0].replace('::ffff:', '')} {client_address[1]}"


class Stream(socketserver.StreamRequestHandler):
    """One TCP connection."""

    def handle(self) -> None:
        """Send the source, then answer line by line until the client closes."""
        source = shown(self.client_address)
        try:
            self.wfile.write(f"{source}\n".encode())
            for line in self.rfile:
                if line == b"stream\n":
                    self.stream()
                self.wfile.write(f"{source} ".encode() + line)
        except OSError:
            return

    def stream(self) -> None:
        """Send numbered lines until the client is gone."""
        for number in itertools.count():
            self.wfile.write(f"{number}\n".encode())
            time.sleep(0.05)


class Datagram(socketserver.DatagramRequestHandler):
    """One UDP datagram."""

    def handle(self) -> None:
        """Answer with the source in front of what came."""
        self.wfile.write(f"{shown(self.client_address)} ".encode() + self.rfile.read())


class TcpServer(socketserver.ThreadingTCPServer):
    """TCP side; the queue is long enough for a whole lab that connects at once."""

    address_family = socket.AF_INET6
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 1024


class UdpServer(socketserver.ThreadingUDPServer):
    """UDP side."""

    address_family = socket.AF_INET6
    max_packet_size = 65535


def main() -> None:
    """Serve both protocols until the service is stopped."""
    udp = UdpServer(("::", PORT), Datagram)
    # In a container, it has no privilege for that.
    with contextlib.suppress(PermissionError):
        udp.socket.setsockopt(socket.SOL_SOCKET, FORCE_BUFFER, BUFFER_BYTES)
    threading.Thread(target=udp.serve_forever, daemon=True).start()
    TcpServer(("::", PORT), Stream).serve_forever()


if __name__ == "__main__":
    main()
