# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stays on a node: the program, and the systemd units that run it. PRIVATE to the collection.

One run of the module `node` writes the program and the record that it reads, so they always fit each other.
`_node.service` has the program's commands.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from .._dataplane.followed_pods import KUBERNETES
from .._dataplane.nft_table import TABLE
from .._dataplane.node_state import NodeState
from .._host_io import commands, files
from .._host_io.cni_files import LISTS
from . import zipapp

RESTORE_UNIT = "netops-egress-ip-restore.service"
REFILL_UNIT = "netops-egress-ip-refill.service"
CLAIM_UNIT = "netops-egress-ip-claim.service"
CLOSED_UNIT = "netops-egress-ip-closed.service"
WATCH_UNIT = "netops-egress-ip-watch.service"
WATCH_TIMER = "netops-egress-ip-watch.timer"
METRICS_UNIT = "netops-egress-ip-metrics.service"
METRICS_TIMER = "netops-egress-ip-metrics.timer"
# Only where the plan has a failover.
FOLLOW_UNIT = "netops-egress-ip-follow.service"
# Seconds between two runs of the watch, and by how much systemd may delay one: together with the run itself, a node
# notices within four seconds that a network was created again.
WATCH_INTERVAL, WATCH_ACCURACY = 3.5, 0.1
# The same for the metrics, which systemd may delay until it starts something else, and the units that only they need.
METRICS_INTERVAL, METRICS_ACCURACY = 15, 0.5
METRICS_UNITS = (METRICS_TIMER, METRICS_UNIT)

# Sysctls stay writable, and the kernel may load modules for `ip` and `nft`. Without systemd 245 or 247, some have no
# effect.
_SANDBOX = """\
CapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_RAW
NoNewPrivileges=yes
ProtectSystem=strict
ReadWritePaths=/run -{state_directory}
ProtectHome=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectProc=invisible
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK AF_PACKET
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
UMask=0077"""

_RESTORE = """\
# Written by the Ansible collection netops.egress_ip.
[Unit]
Description=Restore the egress IP data plane without claiming addresses
DefaultDependencies=no
After=local-fs.target systemd-sysctl.service systemd-modules-load.service nftables.service
Before=network-pre.target network.target network-online.target
Before=docker.service containerd.service podman.service kubelet.service shutdown.target
Wants=network-pre.target
Conflicts=shutdown.target
OnFailure={closed}

[Service]
Type=oneshot
RemainAfterExit=yes
TimeoutStartSec=120
ExecStart={python} -I {program} restore
{sandbox}

[Install]
WantedBy=sysinit.target
"""

# Needs no Python. A table that is in place is better than the one that drops.
_CLOSED = """\
# Written by the Ansible collection netops.egress_ip.
[Unit]
Description=Drop the traffic of pods with egress IPs, because the data plane cannot be restored
DefaultDependencies=no
After=local-fs.target
Before=network-pre.target network.target network-online.target
Before=docker.service containerd.service podman.service kubelet.service shutdown.target
Conflicts=shutdown.target

[Service]
Type=oneshot
TimeoutStartSec=60
Environment=PATH={path}
ExecStart=-/bin/sh -c 'ip -force -batch {closed_policies}'
ExecStart=/bin/sh -c 'nft list table inet {table} >/dev/null 2>&1 || exec nft -f {closed_rules}'
{sandbox}
"""

_REFILL = """\
# Written by the Ansible collection netops.egress_ip.
[Unit]
Description=Restore the egress IP data plane after nftables.service flushed it
DefaultDependencies=no
After=local-fs.target {restore}
Before=shutdown.target
Conflicts=shutdown.target
StartLimitIntervalSec=0
OnFailure={closed}

[Service]
# A second flush restarts the program while it runs. For this type, that is no failure, which would close the node.
Type=simple
RuntimeMaxSec=120
ExecStart={python} -I {program} restore
{sandbox}
"""

# Each start, reload and stop of nftables.service flushes all rules. A dependency of the unit is not enough: systemd
# drops a restart or reload that it would pass on to a unit that is starting or reloading at this moment.
_REFILL_DROP_IN = """\
# Written by the Ansible collection netops.egress_ip.
[Service]
ExecStartPost=-+/bin/systemctl restart --no-block {refill}
ExecReload=-+/bin/systemctl restart --no-block {refill}
# Also after a start that failed.
ExecStopPost=-+/bin/systemctl restart --no-block {refill}
"""

_CLAIM = """\
# Written by the Ansible collection netops.egress_ip.
[Unit]
Description=Claim the egress IPs for which no other host answers
After=network-online.target {restore}
Wants=network-online.target

[Service]
Type=oneshot
RemainAfterExit=yes
TimeoutStartSec=180
ExecStart={python} -I {program} claim
{sandbox}

[Install]
WantedBy=multi-user.target
"""

_WATCH = """\
# Written by the Ansible collection netops.egress_ip.
[Unit]
Description=Yield egress IPs that another node took, and restore the data plane
After={restore} {claim}

[Service]
Type=oneshot
TimeoutStartSec=180
ExecStart={python} -I {program} watch
{sandbox}
{plugin_lists}# Without this, the start and end of each run would fill the journal; systemd has it since version 249.
SyslogLevel=notice
LogLevelMax=notice
"""

_FOLLOW = """\
# Written by the Ansible collection netops.egress_ip.
[Unit]
Description=Take over egress IPs whose node does not answer
# At shutdown systemd stops it before what it is started after: it hands its egress IPs over while the network works.
After=network.target network-online.target nftables.service {restore} {claim}
StartLimitIntervalSec=0

[Service]
TimeoutStartSec=60
TimeoutStopSec=20
ExecStart={python} -I {program} follow
Restart=always
RestartSec=200ms
Nice=-10
OOMScoreAdjust=-500
# It needs 20 MB, and `ip` and `nft` beside it some more. A restart loses no address.
MemoryMax=512M
KillMode=mixed
{sandbox}

[Install]
WantedBy=multi-user.target
"""

_METRICS = """\
# Written by the Ansible collection netops.egress_ip.
[Unit]
Description=Write the egress IP metrics for Prometheus

[Service]
Type=oneshot
TimeoutStartSec=60
ExecStart={python} -I {program} metrics
Nice=10
{sandbox}
# The folder may belong to another user.
CapabilityBoundingSet=CAP_DAC_OVERRIDE
ProtectKernelTunables=yes
ReadWritePaths={metrics_dir}
# Without this, the start and end of each run would fill the journal; systemd has it since version 249.
SyslogLevel=notice
LogLevelMax=notice
"""

_TIMER = """\
# Written by the Ansible collection netops.egress_ip.
[Unit]
Description={description}

[Timer]
OnActiveSec={interval}
OnUnitActiveSec={interval}
AccuracySec={accuracy}

[Install]
WantedBy=timers.target
"""


class Parts(NamedTuple):
    """What only some nodes have: a folder of metrics, a failover, and the plugin in their list of network plugins."""

    metrics_dir: str = ""
    failover: bool = False
    plugin: bool = False

    @classmethod
    def of(cls, state: NodeState) -> Parts:
        """Return the parts that a node with this state has."""
        return cls(state.options.metrics_dir, state.failover is not None, KUBERNETES in state.followed_engines)


_NOTHING_MORE = Parts()


def node_files(python: str, parts: Parts = _NOTHING_MORE) -> dict[Path, tuple[bytes, int]]:
    """Return {path: (content, mode)} of the files that a node keeps; `python` is the interpreter of the program."""
    unwanted = {*(() if parts.metrics_dir else METRICS_UNITS), *(() if parts.failover else (FOLLOW_UNIT,))}
    units = {name: text for name, text in _units(python, parts).items() if name not in unwanted}
    return {
        files.PROGRAM_FILE: (zipapp.make(), 0o644),
        **{files.UNIT_DIRECTORY / name: (text.encode(), 0o644) for name, text in units.items()},
        files.NFTABLES_DROP_IN: (_REFILL_DROP_IN.format(refill=REFILL_UNIT).encode(), 0o644),
    }


def _units(python: str, parts: Parts) -> dict[str, str]:
    words = {
        "python": python,
        "program": files.PROGRAM_FILE,
        "restore": RESTORE_UNIT,
        "claim": CLAIM_UNIT,
        "closed": CLOSED_UNIT,
        "closed_rules": files.CLOSED_RULES,
        "closed_policies": files.CLOSED_POLICIES,
        "table": TABLE,
        "path": commands.PATH,
        "metrics_dir": _quoted(f"-{parts.metrics_dir}"),
        "plugin_lists": f"ReadWritePaths=-{LISTS}\n" if parts.plugin else "",
        "sandbox": _SANDBOX.format(state_directory=files.STATE_DIRECTORY),
    }
    units = {
        RESTORE_UNIT: _RESTORE,
        REFILL_UNIT: _REFILL,
        CLOSED_UNIT: _CLOSED,
        CLAIM_UNIT: _CLAIM,
        WATCH_UNIT: _WATCH,
        METRICS_UNIT: _METRICS,
        FOLLOW_UNIT: _FOLLOW,
    }
    return {
        **{name: text.format(**words) for name, text in units.items()},
        WATCH_TIMER: _TIMER.format(
            description="Watch the egress IPs of this node", interval=WATCH_INTERVAL, accuracy=WATCH_ACCURACY
        ),
        METRICS_TIMER: _TIMER.format(
            description="Write the egress IP metrics regularly", interval=METRICS_INTERVAL, accuracy=METRICS_ACCURACY
        ),
    }


def _quoted(text: str) -> str:
    """Return a word of a unit file."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


def links(parts: Parts = _NOTHING_MORE) -> dict[Path, Path]:
    """Return {link: unit} of the links by which systemd starts the units."""
    wants = (
        ("sysinit.target", RESTORE_UNIT),
        ("multi-user.target", CLAIM_UNIT),
        ("timers.target", WATCH_TIMER),
        *((("timers.target", METRICS_TIMER),) if parts.metrics_dir else ()),
        *((("multi-user.target", FOLLOW_UNIT),) if parts.failover else ()),
    )
    folder = files.UNIT_DIRECTORY
    return {folder / f"{target}.wants" / unit: folder / unit for target, unit in wants}


def enabled_units(parts: Parts = _NOTHING_MORE) -> list[str]:
    """Return the names of the units that systemd starts."""
    return sorted({path.name for path in links(parts)})


def timers(parts: Parts = _NOTHING_MORE) -> list[str]:
    """Return the names of the timers that systemd starts."""
    return [name for name in enabled_units(parts) if name.endswith(".timer")]
