# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Podman, Docker, libvirt and containerd on hosts of the lab: set-up, and commands in containers.

Containers see the programs of their host, so the image has no files.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[4]
# The lab, and the fleet as the tests of the scenario `default` use it.
sys.path[:0] = [str(ROOT / "extensions/molecule/default/tests"), str(ROOT / "tests/lab")]

from fleet import LONG  # noqa: E402
from lab import find_host  # noqa: E402
from lab_topology import SERVER, SERVER_PORT  # noqa: E402

IMAGE = "localhost/test"
# The egress IP of the tests, the node that holds it, and another node with containers.
EGRESS_IP, HOLDER, OTHER = "192.168.126.10", "node1", "node2"
VOLUMES = ("/sys/fs/cgroup:/sys/fs/cgroup:ro", "/usr:/usr:ro", "/opt/lab:/opt/lab:ro")
# A network to which `podman run` connects, and one of the user's; Podman's usual subnet is that of the lab's pods.
DEFAULT, WEB, DB = "podman", "web", "db"
SUBNETS = {DEFAULT: "10.89.0.0/24", WEB: "10.89.7.0/24", DB: "10.89.8.0/24"}
CLIENT = ("python3", "/opt/lab/lab_client.py")
# Seconds until a datagram is lost: longer than a busy machine needs, and less where a test expects that some are lost.
WAIT, SHORT_WAIT = 20, 3
# Starts of a container or pod with a burst of datagrams; `make long` makes more.
STARTS = 20 if LONG else 2
LISTEN = ("python3", "/opt/lab/lab_server.py")
# Runc starts on every cgroup layout; netavark is not the choice of every release of Podman.
CONTAINERS_CONF = f"""\
[containers]
cgroupns = "host"
default_ulimits = ["nofile=10000:10000", "nproc=30000:30000"]
volumes = {json.dumps(VOLUMES)}

[engine]
cgroup_manager = "cgroupfs"
runtime = "runc"

[network]
default_subnet = "{SUBNETS[DEFAULT]}"
network_backend = "netavark"
"""
# A host of the lab has no file system that could be a layer of overlayfs.
STORAGE_CONF = """\
[storage]
driver = "vfs"
graphroot = "/var/lib/containers/storage"
runroot = "/run/containers/storage"
"""
DAEMON_JSON = json.dumps({"storage-driver": "vfs", "default-cgroupns-mode": "host", "ipv6": False})
# A user of each host, and the commands that start its containers without root.
USER, USER_ID = "deploy", "1500"
ROOTLESS = {
    "pasta": ("pasta", "--config-net", "--"),
    "podman": ("podman", "run", "--rm", "--network", "slirp4netns", IMAGE),
}
MAKE_IMAGE = """
set -e
mkdir -p /opt/image/{usr,etc,opt/lab,proc,sys,dev,tmp,run,var}
for name in bin sbin lib lib64; do ln -sfn usr/$name /opt/image/$name; done
tar -C /opt/image -cf /opt/image.tar .
"""


def burst(count: int, wait: int) -> tuple[str, ...]:
    """The command that sends `count` datagrams and waits at most `wait` seconds for answers."""
    return (*CLIENT, SERVER.address, str(SERVER_PORT), "--timeout", str(wait), "--burst", str(count))


def address_in(network: str, number: int) -> str:
    """The address of this number in a network of SUBNETS."""
    return f"{SUBNETS[network].rpartition('.')[0]}.{number}"


class Host:
    """A host of the lab, without an engine."""

    def __init__(self, lab, name: str) -> None:
        self.lab, self.name = lab, name

    def run(self, *words: str, check: bool = True) -> str:
        """Standard output of a command on the host."""
        return self.lab.exec(self.name, *words, check=check)

    def write(self, path: str, text: str) -> None:
        """Write a file."""
        self.lab.exec(self.name, "sh", "-c", f"mkdir -p {Path(path).parent} && cat > {path}", stdin=text)

    def ask_published(self, asker: str, port: int) -> str:
        """The source, as a container sees it, of a connection from another host to a published port; empty without."""
        words = (*CLIENT, find_host(self.name).address, str(port), "--timeout", "5")
        return json.loads(self.lab.exec(asker, *words))["source"] or ""


class Engine(Host):
    """Podman or Docker: both have the same commands."""

    word = ""
    options: tuple[str, ...] = ()
    at_once: tuple[str, ...] = ()

    def first_packets(self, *options: str, count: int = 300, wait: int = WAIT) -> dict[str, int]:
        """{source that the server saw: datagrams} of a new container, whose first act they are."""
        return json.loads(self.run(self.word, "run", "--rm", *self.options, *options, IMAGE, *burst(count, wait)))

    def start(self, name: str, *options: str, words: tuple[str, ...] = LISTEN) -> None:
        """Start a container in the background, by default with the lab's server in it."""
        self.run(self.word, "run", "--detach", "--name", name, *self.options, *options, IMAGE, *words)

    def source_of(self, name: str, host: str, port: int = SERVER_PORT) -> str:
        """The source, as a server sees it, of a connection from a running container; empty without a connection."""
        words = (*CLIENT, host, str(port), "--timeout", "5")
        return json.loads(self.run(self.word, "exec", name, *words))["source"] or ""

    def remove_all(self) -> None:
        """Remove all containers."""
        names = self.run(self.word, "ps", "--all", "--quiet").split()
        if names:
            self.run(self.word, "rm", "--force", *self.at_once, *names)


class Podman(Engine):
    """Podman 4 with netavark and aardvark-dns."""

    word = "podman"
    at_once = ("--time", "0")

    def set_up(self) -> None:
        """Write the configuration, import the image and create the user's networks."""
        self.write("/etc/containers/containers.conf", CONTAINERS_CONF)
        self.write("/etc/containers/storage.conf", STORAGE_CONF)
        self.run("bash", "-c", f"{MAKE_IMAGE}podman import --quiet /opt/image.tar {IMAGE}")
        for name in (WEB, DB):
            self.run("podman", "network", "create", "--subnet", SUBNETS[name], name)

    def address(self, name: str) -> str:
        """The address of a running container, which is in one network."""
        networks = json.loads(self.run("podman", "inspect", name))[0]["NetworkSettings"]["Networks"]
        return next(iter(networks.values()))["IPAddress"]


class Docker(Engine):
    """dockerd of Debian."""

    word = "docker"
    options = tuple(word for volume in VOLUMES for word in ("--volume", volume))

    def set_up(self) -> None:
        """Start the daemon and import the image."""
        self.write("/etc/docker/daemon.json", DAEMON_JSON)
        self.run("systemctl", "start", "docker.service")
        self.run("bash", "-c", f"{MAKE_IMAGE}docker import /opt/image.tar {IMAGE}")


# A host of the lab cannot lower the score of its processes, and has no file system that could be a layer of overlayfs.
CONTAINERD_CONFIG = """\
version = 2

[plugins."io.containerd.grpc.v1.cri"]
disable_apparmor = true
restrict_oom_score_adj = true
sandbox_image = "localhost/pod:latest"
cni = {bin_dir = "/usr/lib/cni", conf_dir = "/etc/cni/net.d"}
containerd = {snapshotter = "native"}
"""
# The network namespace of a pod belongs to a process of this image, which has no volumes.
MAKE_POD_IMAGE = f"""
{MAKE_IMAGE}
cp /bin/busybox /opt/image/
rm -f /opt/pod.tar
tar -C /opt/image -cf /opt/image.tar .
podman import --quiet --change 'ENTRYPOINT ["/busybox", "sleep", "1000000"]' /opt/image.tar localhost/pod
podman save --quiet --format docker-archive --output /opt/pod.tar localhost/pod
systemctl restart containerd.service
ctr --namespace k8s.io images import --snapshotter native /opt/pod.tar
"""


class Containerd(Host):
    """containerd of Debian, asked for pods as a kubelet asks."""

    client = "/opt/cri_client.py"

    def set_up(self) -> None:
        """Write the configuration, start the daemon and import the image of pods."""
        self.write("/etc/containers/storage.conf", STORAGE_CONF)
        self.write("/etc/containers/containers.conf", CONTAINERS_CONF)
        self.write("/etc/containerd/config.toml", CONTAINERD_CONFIG)
        self.write(self.client, Path(__file__).with_name("cri_client.py").read_text(encoding="utf-8"))
        self.run("bash", "-c", MAKE_POD_IMAGE)

    def tear_down(self) -> None:
        """Stop the daemon. Where cgroups have no namespace, those that it leaves are the machine's."""
        self.run("systemctl", "stop", "containerd.service")
        self.run("sh", "-c", "rmdir /sys/fs/cgroup/*/k8s.io", check=False)

    def cri(self, *words: str) -> str:
        """Output of a command of the client."""
        return self.run("python3", self.client, *words)

    def first_packets(self, namespace: str, count: int = 300, wait: int = WAIT) -> dict[str, int]:
        """{source that the server saw: datagrams} of a new pod, whose first act they are."""
        return json.loads(self.cri("run", namespace, "pod", *burst(count, wait)))


# What libvirt keeps of a VM that runs, as far as it matters.
DOMAIN = """\
<domstatus state='running' reason='booted' pid='1'>
  <domain type='qemu' id='1'>
    <name>{name}</name>
    <metadata><egress-ip:labels xmlns:egress-ip="egress-ip.netops/labels">{labels}</egress-ip:labels></metadata>
    <devices><interface type='network'><mac address='{mac}'/><source network='default'/></interface></devices>
  </domain>
</domstatus>
"""
LEASE_SCRIPT = """\
#!/bin/sh
[ "$1" = bound ] || exit 0
ip address replace "$ip/24" dev eth0
ip route replace default via "$router"
"""


class Libvirt(Host):
    """libvirtd with its network `default`; a network namespace in the bridge stands for a VM, with DHCP."""

    MAC = "52:54:00:00:00:50"

    def set_up(self) -> None:
        """Start the network, and connect the VM."""
        self.write("/opt/lease.sh", LEASE_SCRIPT)
        self.run("systemctl", "start", "libvirtd.service")
        self.run("virsh", "-c", "network:///system", "net-start", "default")
        for words in (
            "netns add vm",
            "link add vnet0 type veth peer name eth0 netns vm",
            "link set vnet0 master virbr0 up",
            f"-n vm link set eth0 address {self.MAC} up",
        ):
            self.run("ip", *words.split())
        # A port of the bridge takes some seconds before it forwards.
        dhcp = "busybox udhcpc -f -q -t 60 -T 1 -i eth0 -s /opt/lease.sh"
        self.run("sh", "-c", f"chmod +x /opt/lease.sh; ip netns exec vm {dhcp}")

    def define(self, labels: str) -> None:
        """Let the VM be a domain with these labels; only QEMU itself is missing."""
        self.write("/run/libvirt/qemu/vm.xml", DOMAIN.format(name="vm", labels=labels, mac=self.MAC))

    def undefine(self) -> None:
        """Let the VM be no domain."""
        self.run("rm", "-f", "/run/libvirt/qemu/vm.xml")

    def first_packets(self, count: int = 300, wait: int = WAIT) -> dict[str, int]:
        """{source that the server saw: datagrams} of the VM."""
        return json.loads(self.run("ip", "netns", "exec", "vm", *burst(count, wait)))
