# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab: three real systemd hosts on the network of the OKD page, an external server, and pods on the hosts.

From Python::

    lab = Lab()
    lab.up()
    [answer.source for answer in lab.connect("namespace1/pod1", count=5)]
    lab.kill("node1")

From the command line: `python3 tests/lab/lab.py --help`.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import lab_namespace
from lab_image import LabError, build_image, environment, podman, podman_argv, remove_images, state_dir
from lab_topology import (
    GATEWAY,
    GATEWAY6,
    HOSTS,
    NETWORK,
    NODES,
    POD_GATEWAYS,
    POD_NETWORKS,
    PODS,
    SECOND_NETWORK,
    SECOND_SUBNET,
    SERVER,
    SERVER_PORT,
    SUBNET,
    SUBNET6,
    Host,
    Pod,
)

LOCK = Path("/run/lock", NETWORK)
HOLDER = "EGRESS_IP_LAB_HOLDER"
LABEL = "netops.egress_ip.lab"
NODE_FILES = Path(__file__).resolve().parent / "node"
UNITS = ("lab-pods.service", "lab-server.service")
BRIDGE_SYSCTLS = tuple(Path("/proc/sys/net/bridge", f"bridge-nf-call-{tool}") for tool in ("iptables", "ip6tables"))
# A host boots in seconds; the bound is for a machine that is busy otherwise.
READY_SECONDS = 120
# Ends what hangs. Also a command that only writes some files waits long for a disk that is busy otherwise.
EXEC_SECONDS = 300
# Enters a host that runs as its first process: `podman exec` does the same with a hundred times the processor time, and
# now and then loses the end of a long output. At shutdown systemd stops all processes with a signal, and nsenter would
# stop as well; but a host ends only when all who entered it have been waited for. So a shell waits for them.
ENTER = ("nsenter", "--all", "--no-fork", "--target")
INSIDE = (
    "env",
    "-i",
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME=/root",
    "container=podman",
    *("sh", "-c", '"$@"; exit $?', "sh"),
)
# Ends the words that follow; a signal to the process that enters the host would end that one alone.
UNTIL_INPUT_ENDS = ("sh", "-c", '"$@" & process=$!; cat > /dev/null; kill $process', "sh")
# It writes each packet at once. Its buffer has a place of this size for each packet; with places for whole packets, it
# would lose all but 32 while it waits for the processor.
TCPDUMP = ("tcpdump", "-n", "-e", "-l", "--immediate-mode", "-s", "256")
# The nftables table that keeps a port of the bridge silent.
SILENT = "bridge egress_ip_lab_silent"
# Short enough that a dead node does not hold up a run, on new connections and on kept ones.
SSH_ARGS = (
    "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR "
    "-o ControlMaster=auto -o ControlPersist=60s "
    "-o ConnectTimeout=3 -o ServerAliveInterval=1 -o ServerAliveCountMax=3"
)


@dataclass(frozen=True)
class Answer:
    """What the server said to one connection; `at` is UNIX time, without a `source`, `error` is the reason."""

    at: float
    seconds: float
    source: str | None
    port: int | None
    error: str | None


def _find(items: Iterable, key: str, attribute: str, kind: str):
    """The item of that name, or LabError with the names that exist."""
    found = {getattr(item, attribute): item for item in items}
    if key not in found:
        raise LabError(f"no {kind} {key!r} in the lab; there are {', '.join(found)}")
    return found[key]


def find_host(name: str) -> Host:
    """The host of that name."""
    return _find(HOSTS, name, "name", "host")


def find_pod(key: str) -> Pod:
    """The pod named `namespace/name`."""
    return _find(PODS, key, "key", "pod")


def _in_parallel(work: Callable, items: Iterable) -> list:
    """Results of `work(item)` in order; the first exception is raised after all have ended."""
    with ThreadPoolExecutor(max_workers=len(HOSTS)) as pool:
        return [future.result() for future in [pool.submit(work, item) for item in items]]


def _wait(what: str, ready: Callable[[], bool], seconds: float = READY_SECONDS) -> None:
    """Wait until `ready()` is true; LabError with `what` after `seconds`."""
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            raise LabError(f"{what} after {seconds} s")
        time.sleep(0.1)


def _podman_again(*words: str) -> None:
    """Run podman until it succeeds; LabError with its last error output if it never does."""
    fault = ""

    def succeeds() -> bool:
        nonlocal fault
        done = podman(*words, check=False)
        fault = done.stderr.decode(errors="replace").strip()
        return done.returncode == 0

    try:
        _wait(f"podman {words[0]} failed", succeeds)
    except LabError as error:
        raise LabError(f"{error}: {fault}") from None


def _remove(*containers: str) -> None:
    """Remove these containers, whether or not they are there."""
    # Of processes that wait for a busy disk, podman says that they do not end; they end later.
    _podman_again("rm", "--force", "--ignore", "--time", "0", *containers)


def _process_in(path: Path) -> str:
    """The number in the pid file of a container, empty if that process is gone."""
    try:
        pid = path.read_text(encoding="ascii").strip()
        # The file outlives the process, and another process may get its number.
        return pid if path.parent.parent.name in Path("/proc", pid, "cgroup").read_text(encoding="ascii") else ""
    except OSError:
        return ""


def _process_state(pid: int) -> str:
    """The state of a process of this machine as `ps` shows it, such as S for one that sleeps."""
    return Path("/proc", str(pid), "stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]


def _containers() -> list[dict]:
    """What podman lists of every container of the lab."""
    return json.loads(podman("ps", "--all", "--filter", f"label={LABEL}", "--format", "json").stdout or b"[]")


def _run_here(*argv: str) -> str:
    """Standard output of a command on this machine; LabError with its error output when it fails."""
    result = subprocess.run(argv, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise LabError(f"{' '.join(argv)} failed: {result.stderr.strip()}")
    return result.stdout


def longest_gap(answers: list[Answer]) -> float:
    """Seconds from the last good connection before a failed one to the next good one; 0.0 without a failure."""
    gap, last_good, failing = 0.0, None, False
    for answer in answers:
        if answer.error:
            failing = True
            continue
        if failing and last_good is not None:
            gap = max(gap, answer.at + answer.seconds - last_good)
        last_good, failing = answer.at + answer.seconds, False
    return gap


class Background:
    """A process that writes lines: ends with `stop()`, which returns all lines, or with its `with` block."""

    def __init__(self, argv: list[str]) -> None:
        self._process = subprocess.Popen(
            argv, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._lines: list[str] = []
        self._errors: list[str] = []
        self._pool = ThreadPoolExecutor(max_workers=2)
        self._pool.submit(self._read, self._process.stdout, self._lines)
        self._pool.submit(self._read, self._process.stderr, self._errors)

    @staticmethod
    def _read(stream: Iterable[str], lines: list[str]) -> None:
        for line in stream:
            lines.append(line.rstrip("\n"))

    @property
    def lines(self) -> list[str]:
        """The lines up to now."""
        return list(self._lines)

    @property
    def errors(self) -> list[str]:
        """The lines of its error output up to now."""
        return list(self._errors)

    def runs(self) -> bool:
        """Whether the process has not ended."""
        return self._process.poll() is None

    def _end(self) -> None:
        self._process.terminate()

    def stop(self) -> list[str]:
        """End the process and return every line that it wrote."""
        self._end()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._pool.shutdown()
        return self.lines

    def __enter__(self) -> Background:
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()


class Capture(Background):
    """Tcpdump, which writes a line for each packet."""

    def wait_until_it_listens(self) -> None:
        """Wait until no packet is missed from now on; LabError if it does not capture."""
        _wait("tcpdump has not begun", lambda: not self.runs() or any("listening on" in line for line in self.errors))
        if not self.runs():
            self.stop()
            raise LabError(f"tcpdump has ended: {' '.join(self.errors)}")

    def _end(self) -> None:
        # Of packets that it has not yet written, none would be written. With nothing left it sleeps.
        _wait("tcpdump is still busy", lambda: not self.runs() or _process_state(self._process.pid) == "S")
        super()._end()


class Remote(Background):
    """What runs `UNTIL_INPUT_ENDS` on a host or in a pod."""

    def _end(self) -> None:
        self._process.stdin.close()


class Poll(Remote):
    """Connections from a pod, one after the other, until stopped; `answers` are those up to now."""

    @property
    def answers(self) -> list[Answer]:
        """The answers up to now."""
        return [Answer(**json.loads(line)) for line in self.lines]


class Session:
    """One TCP connection from a pod to the server, kept open; `source` is what the server saw."""

    def __init__(self, argv: list[str]) -> None:
        self._process = subprocess.Popen(
            argv, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.source, self.port = self._words("")[:2]

    def _words(self, sent: str) -> list[str]:
        words = self._process.stdout.readline().split()
        if not words:
            self.close()
            raise LabError(f"the connection of the session is gone (sent: {sent!r})")
        return words

    def send(self, line: str) -> str:
        """Send one line and return the source that the server names in its answer."""
        try:
            self._process.stdin.write(f"{line}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            self.close()
            raise LabError(f"the connection of the session is gone (sent: {line!r})") from None
        return self._words(line)[0]

    def close(self) -> None:
        """End the connection."""
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


class Lab:
    """The lab of this machine, whichever clone started it, or the one that EGRESS_IP_LAB_NAME names."""

    def __init__(self) -> None:
        # Host -> the file in which podman keeps the number of its first process, in a folder named after the container.
        self._pid_files: dict[str, Path] = {}
        self._paused: set[str] = set()

    # -- one user at a time -------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def hold(self) -> Iterator[Lab]:
        """Keep the lab for this process and its children; LabError when another process has it."""
        if os.environ.get(HOLDER):
            yield self
            return
        LOCK.parent.mkdir(parents=True, exist_ok=True)
        with LOCK.open("a+", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                raise LabError(f"the lab is in use by {file.read().strip()}: wait for its end") from None
            file.truncate(0)
            file.write(f"process {os.getpid()} ({' '.join(sys.argv)})")
            file.flush()
            os.environ[HOLDER] = str(os.getpid())
            try:
                yield self
            finally:
                del os.environ[HOLDER]

    # -- life ---------------------------------------------------------------------------------------------------------

    def up(self, fresh: bool = False) -> None:
        """Start the lab or repair it; `fresh` creates every host again."""
        with self.hold():
            image = build_image()
            self._make_key()
            self._make_network()
            existing = {} if fresh else self._definitions()
            _in_parallel(lambda host: self._make_host(host, image, existing), HOSTS)
            _in_parallel(self._plug_if_cut, HOSTS)
            _in_parallel(self._wait_ready, HOSTS)
            self.write_inventory()

    def down(self) -> None:
        """Remove every container and the network, and give the machine its sysctls back."""
        with self.hold():
            _remove(*(host.container for host in HOSTS))
            for network in (NETWORK, SECOND_NETWORK):
                if podman("network", "exists", network, check=False).returncode == 0:
                    podman("network", "rm", "--force", network)
            saved = state_dir() / "sysctls.json"
            if saved.exists():
                for path, value in json.loads(saved.read_text(encoding="utf-8")).items():
                    Path(path).write_text(value, encoding="utf-8")
                saved.unlink()

    @contextlib.contextmanager
    def twin(self, name: str) -> Iterator[str]:
        """Give a host one more interface on the lab's own network, without an address; yields its name."""
        here, there, pid = f"{name}-twin", "eth9", self._pid(find_host(name))
        # Without a MAC address of its own, udev gives it one after a while.
        peer = ("peer", "name", there, "address", "02:00:00:00:00:09", "netns", pid)
        _run_here("ip", "link", "add", here, "type", "veth", *peer)
        try:
            _run_here("ip", "link", "set", here, "master", self.bridge, "up")
            self.exec(name, "ip", "link", "set", there, "up")
            yield there
        finally:
            _run_here("ip", "link", "delete", here)

    @contextlib.contextmanager
    def second_network(self) -> Iterator[None]:
        """Give some hosts an interface eth1 in another network, which has no router."""
        hosts = [host for host in HOSTS if host.second_address]
        podman("network", "create", "--internal", "--disable-dns", "--subnet", SECOND_SUBNET, SECOND_NETWORK)
        try:
            for host in hosts:
                own = ("--ip", host.second_address, "--mac-address", host.second_mac)
                podman("network", "connect", *own, SECOND_NETWORK, host.container)
            yield
        finally:
            for host in hosts:
                podman("network", "disconnect", "--force", SECOND_NETWORK, host.container, check=False)
            podman("network", "rm", "--force", SECOND_NETWORK)

    def running(self) -> list[str]:
        """Names of the hosts that run and are not paused by this process; quicker than `status`."""
        return [host.name for host in HOSTS if host.name not in self._paused and self._running_pid(host.name)]

    def status(self) -> dict[str, str]:
        """State of each host as podman names it: running, paused, exited ... or absent."""
        states = {container["Names"][0]: container["State"] for container in _containers()}
        return {host.name: states.get(host.container, "absent") for host in HOSTS}

    def write_inventory(self) -> Path:
        """Write Ansible's inventory of the lab and return its path."""
        common = {
            "ansible_user": "root",
            "ansible_python_interpreter": "/usr/bin/python3",
            "ansible_ssh_private_key_file": str(self._key()),
            "ansible_ssh_args": SSH_ARGS,
            # Hosts of another lab have the same addresses.
            "ansible_control_path_dir": f"~/.ansible/cp/{NETWORK}",
            # The hosts are containers and show the DMI fields of this machine, which may be a cloud's VM; but their LAN
            # is the lab's own bridge.
            "egress_ip_platform": "baremetal",
        }
        label = {"egress_ip_labels": {"k8s.ovn.org/egress-assignable": ""}}
        nodes = {node.name: {"ansible_host": node.address, **(label if node.assignable else {})} for node in NODES}
        groups = {
            "egress_ip_nodes": {"hosts": nodes},
            "egress_ip_lab_servers": {"hosts": {SERVER.name: {"ansible_host": SERVER.address}}},
        }
        path = state_dir() / "inventory.yml"
        # JSON is YAML, and the standard library writes it.
        text = json.dumps({"all": {"vars": common, "children": groups}}, indent=2)
        path.write_text(f"---\n{text}\n", encoding="utf-8")
        return path

    # -- commands -----------------------------------------------------------------------------------------------------

    @staticmethod
    def container(name: str) -> str:
        """Name of a host's container."""
        return find_host(name).container

    def host_argv(self, name: str, *words: str) -> list[str]:
        """The command line that runs these words on a host, without ssh."""
        pid = self._running_pid(name)
        if not pid:
            # Podman tells the state of the host in its error.
            return podman_argv("exec", "--interactive", self.container(name), *words)
        return [*ENTER, pid, "--", *INSIDE, *words]

    def _running_pid(self, name: str) -> str:
        """The number of the host's first process, empty if the host does not run."""
        pid = _process_in(self._pid_files.get(name, Path()))
        if not pid:
            shown = podman("inspect", "--format", "{{.PidFile}}", self.container(name), check=False)
            self._pid_files[name] = Path(shown.stdout.decode().strip())
            pid = _process_in(self._pid_files[name])
        return pid

    def pod_argv(self, key: str, *words: str) -> list[str]:
        """The command line that runs these words in a pod."""
        pod = find_pod(key)
        return self.host_argv(pod.node, "ip", "netns", "exec", pod.netns, *words)

    def exec(self, name: str, *words: str, check: bool = True, stdin: str = "", timeout: float = EXEC_SECONDS) -> str:
        """Standard output of a command on a host; LabError when it fails and `check` is set."""
        return self._output(self.host_argv(name, *words), name, check, stdin, timeout)

    def pod(self, key: str, *words: str, check: bool = True, stdin: str = "", timeout: float = EXEC_SECONDS) -> str:
        """Standard output of a command in a pod; LabError when it fails and `check` is set."""
        return self._output(self.pod_argv(key, *words), key, check, stdin, timeout)

    @staticmethod
    def _output(argv: list[str], where: str, check: bool, stdin: str, timeout: float) -> str:
        try:
            result = subprocess.run(
                argv, env=environment(), input=stdin, capture_output=True, text=True, timeout=timeout, check=False
            )
        except subprocess.TimeoutExpired:
            raise LabError(f"{where}: {' '.join(argv)} did not end in {timeout} s") from None
        if check and result.returncode != 0:
            raise LabError(f"{where}: {' '.join(argv)} failed: {(result.stderr or result.stdout).strip()}")
        return result.stdout

    # -- traffic ------------------------------------------------------------------------------------------------------

    @staticmethod
    def _client(*options: str, host: str = SERVER.address) -> tuple[str, ...]:
        return ("python3", "/opt/lab/lab_client.py", host, str(SERVER_PORT), *options)

    def connect(
        self, key: str, count: int = 1, timeout: float = 2.0, udp: bool = False, host: str = SERVER.address
    ) -> list[Answer]:
        """Make `count` new connections from the pod to the server at `host`, one after the other.

        Each must be there within `timeout`; the answer of a server that waits for the processor may come later.
        """
        options = ["--count", str(count), "--timeout", str(timeout), *(["--udp"] if udp else [])]
        output = self.pod(key, *self._client(*options, host=host), timeout=count * timeout + EXEC_SECONDS)
        return [Answer(**json.loads(line)) for line in output.splitlines()]

    def poll(
        self, key: str, interval: float = 0.1, timeout: float = 1.0, host: str = SERVER.address, udp: bool = False
    ) -> Poll:
        """Connect from the pod again and again, in the background."""
        options = ["--count", "0", "--interval", str(interval), "--timeout", str(timeout), *(["--udp"] if udp else [])]
        return Poll(self.pod_argv(key, *UNTIL_INPUT_ENDS, *self._client(*options, host=host)))

    def session(self, key: str, timeout: float = 60.0) -> Session:
        """Open one TCP connection from the pod and keep it."""
        return Session(self.pod_argv(key, *self._client("--session", "--timeout", str(timeout))))

    def download(self, key: str, timeout: float = 10.0, host: str = SERVER.address) -> Remote:
        """Open one TCP connection from the pod on which only the server speaks; lines of `UNIX_TIME TEXT`."""
        return self.background(key, *self._client("--listen", "--timeout", str(timeout), host=host))

    def background(self, name: str, *words: str) -> Remote:
        """Run these words on a host, or in a pod, until stopped."""
        argv = self.pod_argv if "/" in name else self.host_argv
        return Remote(argv(name, *UNTIL_INPUT_ENDS, *words))

    @property
    def bridge(self) -> str:
        """This machine's bridge interface of the lab network."""
        return json.loads(podman("network", "inspect", NETWORK).stdout)[0]["network_interface"]

    def capture(self, *expression: str, sent_by: str = "") -> Capture:
        """Tcpdump what matches between the hosts, or of what one host sends; stop() returns one line a packet."""
        interface = self._port(find_host(sent_by)) if sent_by else self.bridge
        direction = ("-Q", "in") if sent_by else ()
        capture = Capture([*TCPDUMP, "-i", interface, *direction, *expression])
        try:
            capture.wait_until_it_listens()
        except LabError:
            capture.stop()
            raise
        return capture

    # -- faults -------------------------------------------------------------------------------------------------------

    def stop(self, name: str) -> None:
        """Shut the host down in order."""
        # podman kills what is left after this time, and says so: no host of the lab takes long in order.
        said = podman("stop", "--time", "60", find_host(name).container).stderr.decode(errors="replace").strip()
        if said:
            raise LabError(f"{name}: not shut down in order: {said}")
        self._wait_until_gone(name)

    def kill(self, name: str) -> None:
        """Pull the host's power plug."""
        podman("kill", find_host(name).container)
        self._wait_until_gone(name)

    def _wait_until_gone(self, name: str) -> None:
        _wait(f"{name}: still running", lambda: self.status()[name] not in ("running", "stopping"))
        # Until podman has cleaned up, the network goes on without any process.
        network = ("inspect", "--format", "{{.NetworkSettings.SandboxKey}}", find_host(name).container)
        _wait(f"{name}: its network is still there", lambda: not podman(*network).stdout.strip())

    def start(self, name: str) -> None:
        """Boot the host and wait until it is ready."""
        podman("start", find_host(name).container)
        self._wait_ready(find_host(name))

    def start_without_forwarding(self, name: str) -> None:
        """Boot the host behind a switch port that has a link and forwards nothing, as a spanning tree does at first."""
        podman("start", find_host(name).container)
        # The kernel ends the states of a port that forward nothing by itself.
        port = self._port(find_host(name))
        rules = [f"add table {SILENT}"]
        for hook, match in (("prerouting", "iifname"), ("postrouting", "oifname")):
            rules.append(f"add chain {SILENT} {hook} {{ type filter hook {hook} priority 0; }}")
            rules.append(f"add rule {SILENT} {hook} {match} {port} drop")
        _run_here("nft", "; ".join(rules))

    def forward(self, name: str) -> None:
        """Let the switch port of that host forward frames, boot the host if it is off, and wait until it is ready."""
        _run_here("nft", f"add table {SILENT}; delete table {SILENT}")
        self.start(name)

    def reboot(self, name: str) -> None:
        """Shut the host down in order and boot it."""
        self.stop(name)
        self.start(name)

    def pause(self, name: str) -> None:
        """Freeze every process of the host; its kernel still answers."""
        # The runtime gives up after a second, for example on a process that waits for a busy disk.
        _podman_again("pause", find_host(name).container)
        self._paused.add(name)

    def unpause(self, name: str) -> None:
        """Let a frozen host go on."""
        podman("unpause", find_host(name).container)
        self._paused.discard(name)

    def cut(self, name: str, interface: str = "eth0") -> None:
        """Pull a network cable of the host: the interface loses its carrier."""
        _run_here("ip", "link", "set", self._port(find_host(name), interface), "down")

    def plug(self, name: str, interface: str = "eth0") -> None:
        """Put the network cable back, and wait until the host is in reach again."""
        _run_here("ip", "link", "set", self._port(find_host(name), interface), "up")
        self._wait_ready(find_host(name))

    # -- inside -------------------------------------------------------------------------------------------------------

    def _key(self) -> Path:
        """The private key of the lab."""
        return state_dir() / "id_ed25519"

    def _make_key(self) -> None:
        """Make the key at the first use, before the hosts are made side by side."""
        if not self._key().exists():
            _run_here("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", NETWORK, "-f", str(self._key()))

    @staticmethod
    def _make_network() -> None:
        """Make the lab network, and keep the machine's own rules off its bridge."""
        shown = podman("network", "inspect", NETWORK, check=False)
        subnets = [item["subnet"] for item in json.loads(shown.stdout)[0]["subnets"]] if shown.returncode == 0 else []
        if subnets and sorted(subnets) != sorted((SUBNET, SUBNET6)):
            podman("network", "rm", "--force", "--time", "0", NETWORK)
            subnets = []
        if not subnets:
            ipv4, ipv6 = ("--subnet", SUBNET, "--gateway", GATEWAY), ("--subnet", SUBNET6, "--gateway", GATEWAY6)
            podman("network", "create", "--disable-dns", "--ipv6", *ipv4, *ipv6, NETWORK)
        wrong = {
            str(path): path.read_text(encoding="ascii")
            for path in BRIDGE_SYSCTLS
            if path.exists() and path.read_text(encoding="ascii").strip() != "0"
        }
        if wrong:
            (state_dir() / "sysctls.json").write_text(json.dumps(wrong), encoding="utf-8")
            for path in wrong:
                Path(path).write_text("0", encoding="ascii")

    @staticmethod
    def _definitions() -> dict[str, str]:
        """Container name -> the definition that it was made from; one that never started may lack its files."""
        return {
            container["Names"][0]: container["Labels"][LABEL]
            for container in _containers()
            if container["State"] not in ("created", "configured")
        }

    def _make_host(self, host: Host, image: str, existing: dict[str, str]) -> None:
        """Make the container unless one of the same definition is there, and start it."""
        files = self._files(host)
        identity = f"{image} {host.mac} {host.address} {host.address6}".encode()
        definition = hashlib.sha256(b"\0".join([identity, files])).hexdigest()[:16]
        if existing.get(host.container) != definition:
            _remove(host.container)
            podman("create", *self._options(host, definition), image)
            podman("cp", "-", f"{host.container}:/", stdin=files)
        elif self.status()[host.name] == "paused":
            podman("unpause", host.container)
        self._paused.discard(host.name)
        podman("start", host.container)

    @staticmethod
    def _options(host: Host, definition: str) -> list[str]:
        """Options of `podman create`."""
        modules = ["--volume", "/lib/modules:/lib/modules:ro"] if Path("/lib/modules").is_dir() else []
        return [
            *("--name", host.container, "--hostname", host.name, "--label", f"{LABEL}={definition}"),
            *("--systemd=always", "--privileged", *modules),
            "--network",
            f"{NETWORK}:ip={host.address},ip6={host.address6},mac={host.mac},interface_name=eth0",
        ]

    def _files(self, host: Host) -> bytes:
        """What the lab adds to the image, as a tar archive; the same bytes each time."""
        content = {f"opt/lab/{path.name}": path.read_bytes() for path in sorted(NODE_FILES.glob("*.py"))}
        for unit in UNITS:
            content[f"etc/systemd/system/{unit}"] = (NODE_FILES / unit).read_bytes()
        content["root/.ssh/authorized_keys"] = self._key().with_suffix(".pub").read_bytes()
        content["etc/lab/server" if host.is_server else "etc/lab/pods.json"] = self._declaration(host)
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as archive:
            for folder, mode in {"root": 0o700, "root/.ssh": 0o700, "opt/lab": 0o755, "etc/lab": 0o755}.items():
                archive.addfile(_entry(folder, mode, tarfile.DIRTYPE))
            for name, data in content.items():
                archive.addfile(_entry(name, 0o644, size=len(data)), io.BytesIO(data))
            for unit in UNITS:
                link = _entry(f"etc/systemd/system/multi-user.target.wants/{unit}", 0o777, tarfile.SYMTYPE)
                link.linkname = f"/etc/systemd/system/{unit}"
                archive.addfile(link)
            end = archive.offset
        # Two empty blocks end an archive. `podman cp` fails by chance if it has read these before more padding arrives.
        return stream.getvalue()[:end] + bytes(2 * tarfile.BLOCKSIZE)

    @staticmethod
    def _declaration(host: Host) -> bytes:
        """The pods of the host, for lab_pods.py."""
        pods = [{"netns": pod.netns, "addresses": [pod.address, pod.address6]} for pod in PODS if pod.node == host.name]
        return json.dumps({"gateways": POD_GATEWAYS, "networks": POD_NETWORKS, "pods": pods}).encode()

    @staticmethod
    def _pid(host: Host) -> str:
        """The number of the host's first process."""
        return str(json.loads(podman("inspect", host.container).stdout)[0]["State"]["Pid"])

    def _port(self, host: Host, interface: str = "eth0") -> str:
        """This machine's end of a cable of the host."""
        inner = json.loads(_run_here("nsenter", "-t", self._pid(host), "-n", "ip", "-j", "link", "show", interface))[0]
        links = json.loads(_run_here("ip", "-j", "link"))
        return next(link["ifname"] for link in links if link["ifindex"] == inner["link_index"])

    def _plug_if_cut(self, host: Host) -> None:
        """Put the cable back where a test pulled it."""
        _run_here("ip", "link", "set", self._port(host), "up")

    def _wait_ready(self, host: Host) -> None:
        """Wait for ssh, the host's pods or server, and the way to the other hosts."""
        unit = "lab-server.service" if host.is_server else "lab-pods.service"
        ping = f"ping -q -c 1 -W 1 {SERVER.address} >/dev/null"
        # With several units, `systemctl is-active` succeeds if one of them is active.
        active = " && ".join(f"systemctl is-active --quiet {name}" for name in ("ssh.service", unit))
        test = f"{active} && {ping} && echo ready"
        _wait(
            f"{host.name}: ssh, {unit} or the way to the server is not there",
            lambda: self.exec(host.name, "sh", "-c", test, check=False) == "ready\n",
        )


def _entry(name: str, mode: int, kind: bytes = tarfile.REGTYPE, size: int = 0) -> tarfile.TarInfo:
    """One entry of the archive, owned by root."""
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.size = kind, mode, size
    return entry


# -- command line -----------------------------------------------------------------------------------------------------


def _run_words(argv: list[str]) -> int:
    """Run a command line with this terminal; its exit code."""
    return subprocess.run(argv, env=environment(), check=False).returncode


def _show_connections(lab: Lab, options: argparse.Namespace) -> int:
    """Print the source of each connection; 1 if one failed."""
    answers = lab.connect(options.name, options.count, udp=options.udp)
    for answer in answers:
        print(answer.source or f"failed: {answer.error}")
    return int(any(answer.error for answer in answers))


def _show_status(lab: Lab) -> int:
    """Print each host's state; 1 unless all run."""
    states = lab.status()
    for name, state in states.items():
        print(f"{name:8} {find_host(name).address:16} {state}")
    return int(set(states.values()) != {"running"})


def _capture(lab: Lab, options: argparse.Namespace) -> int:
    """Print the captured lines of some seconds."""
    with lab.capture(*options.words) as capture:
        time.sleep(options.seconds)
        print("\n".join(capture.stop()))
    return 0


def _hold(lab: Lab, options: argparse.Namespace) -> int:
    """Run a command while no other process uses the lab. A named lab ends with it, also if this process is stopped."""
    # Not an exception: it could come while the command is started, which would then go on.
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: stopped.append(128 + number))
    with lab.hold():
        is_holder = os.environ[HOLDER] == str(os.getpid())
        # Without a terminal, a signal reaches only this process; one in a terminal is for all.
        alone = not sys.stdin.isatty()
        process = subprocess.Popen(options.words, start_new_session=alone)
        try:
            while process.poll() is None and not stopped:
                time.sleep(0.1)
            return process.returncode if process.returncode is not None else stopped[0]
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            if alone and process.returncode is None:
                _end_session(process)
            if lab_namespace.NAME and is_holder:
                lab.down()
                lab_namespace.remove()


def _end_session(process: subprocess.Popen) -> None:
    """End what a command has started: it must not create hosts that were removed."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=10)


def _down(lab: Lab) -> None:
    """Remove hosts and network, and the namespace of a named lab unless processes of its holder need it."""
    lab.down()
    if HOLDER not in os.environ:
        lab_namespace.remove()


FAULTS = ("stop", "start", "kill", "pause", "unpause", "reboot", "cut", "plug")
COMMANDS: dict[str, Callable[[Lab, argparse.Namespace], int | None]] = {
    "image": lambda lab, options: print(build_image()),
    "remove-images": lambda lab, options: remove_images(),
    "up": lambda lab, options: lab.up(fresh=options.fresh),
    "down": lambda lab, options: _down(lab),
    "status": lambda lab, options: _show_status(lab),
    "inventory": lambda lab, options: print(lab.write_inventory()),
    "exec": lambda lab, options: _run_words(lab.host_argv(options.name, *options.words)),
    "pod": lambda lab, options: _run_words(lab.pod_argv(options.name, *options.words)),
    "connect": _show_connections,
    "capture": _capture,
    "hold": _hold,
    **{fault: lambda lab, options: getattr(lab, options.command)(options.name) for fault in FAULTS},
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lab.py", description="The lab: hosts, pods, faults, traffic.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("image", help="build the image of the hosts unless it is there")
    commands.add_parser("remove-images", help="remove every image of the lab")
    up = commands.add_parser("up", help="start the lab, or repair it")
    up.add_argument("--fresh", action="store_true", help="create every host again")
    commands.add_parser("down", help="remove hosts and network")
    commands.add_parser("status", help="state of each host")
    commands.add_parser("inventory", help="write Ansible's inventory and print its path")
    for name, meta, text in (("exec", "HOST", "run a command on a host"), ("pod", "NAMESPACE/POD", "run it in a pod")):
        command = commands.add_parser(name, help=text)
        command.add_argument("name", metavar=meta)
        command.add_argument("words", nargs=argparse.REMAINDER, metavar="-- COMMAND")
    for fault in FAULTS:
        commands.add_parser(fault, help=f"{fault} a host").add_argument("name", metavar="HOST")
    connect = commands.add_parser("connect", help="connect from a pod to the server; prints the sources it saw")
    connect.add_argument("name", metavar="NAMESPACE/POD")
    connect.add_argument("--count", type=int, default=1)
    connect.add_argument("--udp", action="store_true")
    capture = commands.add_parser("capture", help="print the frames between the hosts")
    capture.add_argument("--seconds", type=float, default=5)
    capture.add_argument("words", nargs=argparse.REMAINDER, metavar="-- EXPRESSION")
    hold = commands.add_parser("hold", help="run a command while no other process uses the lab")
    hold.add_argument("words", nargs=argparse.REMAINDER, metavar="-- COMMAND")
    return parser


def main() -> int:
    """Run one command; errors of the lab are one line."""
    options = _parser().parse_args()
    lab_namespace.enter()
    if getattr(options, "words", None) and options.words[0] == "--":
        options.words = options.words[1:]
    try:
        return COMMANDS[options.command](Lab(), options) or 0
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
