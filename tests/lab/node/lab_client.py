# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""On a node of the lab, inside a pod: real connections to the external server, one JSON line for each.

A line is `{"at": UNIX_TIME, "seconds": TAKEN, "source": ADDRESS or null, "port": PORT or null, "error": TEXT or null}`.
With `--burst` there is one line for all datagrams: `{SOURCE: COUNT}`, in which "lost" counts those without an answer.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import socket
import sys
import time
from collections import Counter

# Seconds that a connected server may wait for the processor of a busy machine before it answers.
PATIENCE = 30.0


def connect_tcp(address: tuple[str, int], timeout: float, patience: float) -> str:
    """Connect, read the server's line, close. The kernel of the server connects, its program answers."""
    with socket.create_connection(address, timeout=timeout) as connection:
        connection.settimeout(patience)
        return connection.makefile(encoding="ascii").readline()


def datagram_socket(address: tuple[str, int]) -> socket.socket:
    """A socket with a port of its own that is connected to the server."""
    connection = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_DGRAM)
    connection.connect(address)
    return connection


def send_udp(address: tuple[str, int], _timeout: float, patience: float) -> str:
    """Send one datagram and wait for its answer."""
    with datagram_socket(address) as connection:
        connection.settimeout(patience)
        connection.send(b"hello")
        return connection.recv(512).decode("ascii")


def sample(connect_once, address: tuple[str, int], timeout: float, patience: float) -> dict:
    """Connect once; an error is part of the answer."""
    start = time.time()
    source, port, error = None, None, None
    try:
        words = connect_once(address, timeout, patience).split()
        source, port = words[0], int(words[1])
    except (OSError, IndexError) as failure:
        error = str(failure) or type(failure).__name__
    return {"at": start, "seconds": time.time() - start, "source": source, "port": port, "error": error}


def connect_many(options: argparse.Namespace) -> None:
    """Connect `count` times (0: until killed), `interval` seconds between two starts.

    Those without an end measure gaps: there the answer must come within the timeout too.
    """
    connect_once = send_udp if options.udp else connect_tcp
    patience = max(PATIENCE, options.timeout) if options.count else options.timeout
    done = 0
    while options.count == 0 or done < options.count:
        result = sample(connect_once, (options.host, options.port), options.timeout, patience)
        print(json.dumps(result), flush=True)
        done += 1
        time.sleep(max(0.0, options.interval - result["seconds"]))


def burst(options: argparse.Namespace) -> None:
    """Send datagrams one millisecond apart, each from a new port, and count the sources that the server saw."""
    sockets, sources = [], Counter()
    start = time.monotonic()
    for number in range(options.burst):
        time.sleep(max(0.0, start + number / 1000 - time.monotonic()))
        sockets.append(datagram_socket((options.host, options.port)))
        # While the host has no route, a datagram is lost as any other.
        with contextlib.suppress(OSError):
            sockets[-1].send(b"hello")
    end = time.monotonic() + options.timeout
    for connection in sockets:
        connection.settimeout(max(0.001, end - time.monotonic()))
        try:
            sources[connection.recv(512).decode("ascii").split()[0]] += 1
        except OSError:
            sources["lost"] += 1
    print(json.dumps(sources), flush=True)


def hold_session(options: argparse.Namespace) -> None:
    """One long TCP connection: the server's line, then an answer for each line of stdin."""
    with socket.create_connection((options.host, options.port), timeout=options.timeout) as connection:
        stream = connection.makefile("rw", encoding="utf-8")
        print(stream.readline(), end="", flush=True)
        for line in sys.stdin:
            stream.write(line)
            stream.flush()
            print(stream.readline(), end="", flush=True)


def listen(options: argparse.Namespace) -> None:
    """One long TCP connection on which only the server speaks: the source, then `UNIX_TIME NUMBER` for each line."""
    with socket.create_connection((options.host, options.port), timeout=options.timeout) as connection:
        connection.sendall(b"stream\n")
        for line in connection.makefile(encoding="utf-8"):
            print(f"{time.time():.3f} {line}", end="", flush=True)


def main() -> None:
    """Read the options and do the work."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--interval", type=float, default=0.0)
    parser.add_argument("--timeout", type=float, default=2.0)
    parser.add_argument("--udp", action="store_true")
    parser.add_argument("--burst", type=int, default=0)
    parser.add_argument("--session", action="store_true")
    parser.add_argument("--listen", action="store_true")
    options = parser.parse_args()
    chosen = ((options.burst, burst), (options.session, hold_session), (options.listen, listen))
    next((work for wanted, work in chosen if wanted), connect_many)(options)


if __name__ == "__main__":
    main()
