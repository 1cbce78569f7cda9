# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands in network namespaces, and checks that print what they saw."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

# A server that tells each client its address; 64 KiB show whether the sizes of packets fit.
SERVER = """
import socket
sock = socket.create_server(("::", 7000), family=socket.AF_INET6, dualstack_ipv6=True)
print("ready", flush=True)
while True:
    connection, peer = sock.accept()
    connection.sendall(peer[0].removeprefix("::ffff:").encode() + b" " * 65536)
    connection.close()
"""
CLIENT = """
import socket, sys
with socket.create_connection((sys.argv[1], 7000), float(sys.argv[2])) as sock:
    data = b""
    while piece := sock.recv(65536):
        data += piece
print(data.decode().strip() if len(data) > 65536 else "cut off")
"""


def run(*words: str, stdin: str = "") -> str:
    """Run a command; returns its output."""
    done = subprocess.run(words, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words[:6])}: {done.stderr.strip()}")
    return done.stdout.strip()


def inside(netns: str, *words: str, stdin: str = "") -> str:
    """Run a command in a network namespace."""
    return run("ip", "netns", "exec", netns, *words, stdin=stdin)


def batch(netns: str, *lines: str) -> None:
    """Run lines of `ip` in a network namespace."""
    run("ip", "-n", netns, "-batch", "-", stdin="\n".join(lines) + "\n")


def lengths(addresses: list[str]) -> list[str]:
    """Addresses as `ip address add` takes them."""
    return [f"{address}/64 nodad" if ":" in address else f"{address}/24" for address in addresses]


def start(netns: str, program: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a Python program in a network namespace, and wait until it prints a line."""
    argv = ["ip", "netns", "exec", netns, sys.executable, "-c", program, *arguments]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    return process


@functools.cache
def applier(netns: str) -> subprocess.Popen[str]:
    """The program `apply.py` in a network namespace; its start takes most of the time."""
    return start(netns, Path(__file__).with_name("apply.py").read_text(encoding="utf-8"))


def apply(netns: str, state: dict, secrets: list[str] | None = None) -> None:
    """Apply a state to a network namespace; an empty one removes all."""
    program = applier(netns)
    program.stdin.write(json.dumps({"state": state, "secrets": secrets or []}) + "\n")
    program.stdin.flush()
    answer = program.stdout.readline().strip()
    if answer != "done":
        raise RuntimeError(f"{netns}: {answer}")


def check(what: str, seen: object, wanted: object) -> bool:
    """Print the observed value; True if it is the expected one."""
    print(f"{'ok  ' if seen == wanted else 'FAIL'} {what}: {seen}, wanted {wanted}", flush=True)
    return seen == wanted


def status_of(checks: Callable[[], Iterable[bool]]) -> int:
    """Carry out checks while the server listens; 1 if one of them fails."""
    server = start("server", SERVER)
    try:
        return int(not all(checks()))
    finally:
        server.kill()


def connect(pod: str, address: str, seconds: int = 300, uid: int = 0) -> str:
    """Connect from a pod as a user; returns the source that the server has seen, or the error after some seconds."""
    user = ("setpriv", "--reuid", str(uid), "--keep-groups")
    try:
        return inside(pod, *user, sys.executable, "-c", CLIENT, address, str(seconds))
    except RuntimeError as error:
        return str(error).splitlines()[-1]
