# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pods of containerd by its Container Runtime Interface (CRI), as a kubelet and crictl start them.

This file runs on a host of the lab with the standard library alone, because Debian has no crictl: gRPC is a message in
protobuf's encoding on a stream of HTTP/2. Field numbers are those of `api.proto` of the CRI, version v1.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
import time
from pathlib import Path

SOCKET = "/run/containerd/containerd.sock"
# The disk may be busy for long.
TIMEOUT, POLL = 240, 0.02
IMAGE = "localhost/pod:latest"
VOLUMES = ("/sys/fs/cgroup", "/usr", "/opt/lab")
LOG_FILE = "0.log"
CONTAINER_EXITED = 2

# HTTP/2: types of frames, flags, and the bytes with which a client begins.
DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
ACKNOWLEDGED, END_STREAM, END_HEADERS = 1, 1, 4
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
STREAM = 1


def varint(number: int) -> bytes:
    """Return an integer in protobuf's encoding."""
    if number < 128:
        return bytes([number])
    return bytes([number & 127 | 128]) + varint(number >> 7)


def message(*fields: tuple[int, bytes | str | int]) -> bytes:
    """Return a message of these (number, value)."""
    encoded = b""
    for number, value in fields:
        if isinstance(value, int):
            encoded += varint(number << 3) + varint(value)
        else:
            data = value.encode() if isinstance(value, str) else value
            encoded += varint(number << 3 | 2) + varint(len(data)) + data
    return encoded


def read_varint(data: bytes, position: int) -> tuple[int, int]:
    """Return (integer, position after it)."""
    value = shift = 0
    while True:
        byte, position = data[position], position + 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, position


def field(data: bytes, wanted: int) -> bytes | int:
    """Return the first field of this number in a message with integers and texts; zero, the default, without one."""
    position = 0
    while position < len(data):
        key, position = read_varint(data, position)
        value, position = read_varint(data, position)
        if key & 7 == 2:
            value, position = data[position : position + value], position + value
        if key >> 3 == wanted:
            return value
    return 0


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Return a frame of HTTP/2."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def header_block(path: str) -> bytes:
    """Return the headers of a call, without compression."""
    headers = {
        ":method": "POST",
        ":scheme": "http",
        ":path": path,
        ":authority": "localhost",
        "content-type": "application/grpc",
        "te": "trailers",
    }
    words = [word.encode() for header in headers.items() for word in header]
    texts = [bytes([len(word)]) + word for word in words]
    return b"".join(b"\0" + texts[i] + texts[i + 1] for i in range(0, len(texts), 2))


def call(method: str, request: bytes) -> bytes:
    """Return the answer to a call. Raises SystemExit if it fails; containerd has the reason in its journal."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(TIMEOUT)
        sock.connect(SOCKET)
        headers = header_block(f"/runtime.v1.RuntimeService/{method}")
        body = b"\0" + struct.pack(">I", len(request)) + request
        sock.sendall(PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, END_HEADERS, STREAM, headers))
        sock.sendall(frame(DATA, END_STREAM, STREAM, body))
        answer = receive(sock)
    if not answer:
        sys.exit(f"{method} failed; `journalctl -u containerd` has the reason")
    return answer[5:]


def receive(sock: socket.socket) -> bytes:
    """Return the data of the stream up to its end, empty if it is reset."""
    answer, stream = b"", sock.makefile("rb")
    while True:
        head = stream.read(9)
        kind, flags = head[3:5]
        payload = stream.read(int.from_bytes(head[:3], "big"))
        if kind in (SETTINGS, PING) and not flags & ACKNOWLEDGED:
            sock.sendall(frame(kind, ACKNOWLEDGED, 0, payload if kind == PING else b""))
        if kind == DATA:
            answer += payload
        if kind in (RESET, GOAWAY):
            return b""
        if kind in (DATA, HEADERS) and flags & END_STREAM:
            return answer


def start(namespace: str, name: str, port: int, words: list[str]) -> tuple[str, str, Path]:
    """Start a pod with one container, and publish a port of the host unless it is zero.

    Returns the identifiers of pod and container, and the file with the output of the container.
    """
    folder = Path("/var/log/pods", f"{namespace}_{name}")
    folder.mkdir(parents=True, exist_ok=True)
    metadata = message((1, name), (2, f"{namespace}-{name}"), (3, namespace))
    ports = [(5, message((2, port), (3, port)))] if port else []
    config = message((1, metadata), (2, name), (3, str(folder)), *ports)
    pod = str(field(call("RunPodSandbox", message((1, config))), 1), "ascii")
    try:
        mounts = [(7, message((1, path), (2, path), (3, 1))) for path in VOLUMES]
        command = [(3, word) for word in words]
        container = message((1, message((1, name))), (2, message((1, IMAGE))), *command, *mounts, (11, LOG_FILE))
        made = call("CreateContainer", message((1, pod), (2, container), (3, config)))
        identifier = str(field(made, 1), "ascii")
        call("StartContainer", message((1, identifier)))
    except BaseException:
        remove(pod)
        raise
    return pod, identifier, folder / LOG_FILE


def remove(pod: str) -> None:
    """Stop and remove a pod with its container."""
    call("StopPodSandbox", message((1, pod)))
    call("RemovePodSandbox", message((1, pod)))


def output(container: str, log: Path) -> str:
    """Return the output of a container, which has at least one line, when it has ended."""
    while field(field(call("ContainerStatus", message((1, container))), 1), 3) != CONTAINER_EXITED:
        time.sleep(POLL)
    # containerd may write the last line later.
    end = time.monotonic() + TIMEOUT
    while not log.read_bytes().endswith(b"\n") and time.monotonic() < end:
        time.sleep(POLL)
    # A line has time, stream, F for a full line, and the text.
    return "".join(line.split(" ", 3)[3] for line in log.read_text(encoding="utf-8").splitlines(keepends=True))


def run(namespace: str, name: str, words: list[str]) -> None:
    """Print the output of a new pod's only container, and remove the pod."""
    pod, container, log = start(namespace, name, 0, words)
    try:
        print(output(container, log), end="")
    finally:
        remove(pod)
        log.unlink()


def start_in_background(namespace: str, name: str, port: str, words: list[str]) -> None:
    """Start a pod, and print {"pod": identifier, "container": identifier, "address": the pod's address}."""
    pod, container, _log = start(namespace, name, int(port), words)
    network = field(field(call("PodSandboxStatus", message((1, pod))), 1), 5)
    print(json.dumps({"pod": pod, "container": container, "address": str(field(network, 1), "ascii")}))


def execute(container: str, words: list[str]) -> None:
    """Print the output of a command in a running container."""
    answer = call("ExecSync", message((1, container), *((2, word) for word in words), (3, TIMEOUT)))
    print(str(field(answer, 1), "utf-8"), end="")


def show_status() -> None:
    """Print the status of the runtime, with the list of network plugins that it has read."""
    print(call("Status", message((1, 1))).decode(errors="replace"))


if __name__ == "__main__":
    COMMAND, *ARGUMENTS = sys.argv[1:]
    if COMMAND == "run":
        run(*ARGUMENTS[:2], ARGUMENTS[2:])
    elif COMMAND == "start":
        start_in_background(*ARGUMENTS[:3], ARGUMENTS[3:])
    elif COMMAND == "exec":
        execute(ARGUMENTS[0], ARGUMENTS[1:])
    elif COMMAND == "remove":
        remove(*ARGUMENTS)
    else:
        show_status()
