# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stays on a node: the program, and the systemd units that run it. PRIVATE to the collection.

One run of the module `node` writes the program and the record that it reads, so they always fit each other.
`_node.service` has the program's commands.
"""

from __future__ import annotations

from pathlib import Path

from .._host_io import files
from . import zipapp

RESTORE_UNIT = "netops-egress-ip-restore.service"
REFILL_UNIT = "netops-egress-ip-refill.service"
CLAIM_UNIT = "netops-egress-ip-claim.service"
WATCH_UNIT = "netops-egress-ip-watch.service"
WATCH_TIMER = "netops-egress-ip-watch.timer"
METRICS_UNIT = "netops-egress-ip-metrics.service"
METRICS_TIMER = "netops-egress-ip-metrics.timer"
# Seconds between two runs of the watch.
WATCH_INTERVAL = 4
# Seconds between two runs of the metrics, and the units that only they need.
METRICS_INTERVAL = 15
METRICS_UNITS = (METRICS_TIMER, METRICS_UNIT)

_RESTORE = """\
# Written by the Ansible collection netops.egress_ip.
[Unit]
Description=Restore the egress IP data plane without claiming addresses
DefaultDependencies=no
# A reload of nftables.service flushes all rules.
ReloadPropagatedFrom=nftables.service
After=local-fs.target systemd-sysctl.service systemd-modules-load.service nftables.service
Before=network-pre.target network.target network-online.target
Before=docker.service containerd.service podman.service kubelet.service shutdown.target
Wants=network-pre.target
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={python} -I {program} restore
ExecReload={python} -I {program} restore

[Install]
WantedBy=sysinit.target
"""

_REFILL = """\
# Written by the Ansible collection netops.egress_ip.
[Unit]
Description=Restore the egress IP data plane after nftables.service flushed it
DefaultDependencies=no
After=nftables.service {restore}

[Service]
Type=oneshot
ExecStart={python} -I {program} restore

[Install]
WantedBy=nftables.service
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
ExecStart={python} -I {program} claim

[Install]
WantedBy=multi-user.target
"""

_WATCH = """\
# Written by the Ansible collection netops.egress_ip.
[Unit]
Description=Yield egress IPs that another node took, and restore the data plane
# systemd reloads only an active unit with nftables.service.
Wants={restore}
After={restore} {claim}

[Service]
Type=oneshot
ExecStart={python} -I {program} watch
# Without this, the start and end of each run would fill the journal; systemd has it since version 249.
SyslogLevel=notice
LogLevelMax=notice
"""

_METRICS = """\
# Written by the Ansible collection netops.egress_ip.
[Unit]
Description=Write the egress IP metrics for Prometheus

[Service]
Type=oneshot
ExecStart={python} -I {program} metrics
Nice=10
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
AccuracySec=500ms

[Install]
WantedBy=timers.target
"""


def node_files(python: str, metrics: bool = False) -> dict[Path, tuple[bytes, int]]:
    """Return {path: (content, mode)} of the files that a node keeps, with or without the units of the metrics.

    `python` is the interpreter that runs the program.
    """
    units = {name: text for name, text in _units(python).items() if metrics or name not in METRICS_UNITS}
    return {
        files.PROGRAM_FILE: (zipapp.make(), 0o644),
        **{files.UNIT_DIRECTORY / name: (text.encode(), 0o644) for name, text in units.items()},
    }


def _units(python: str) -> dict[str, str]:
    words = {"python": python, "program": files.PROGRAM_FILE, "restore": RESTORE_UNIT, "claim": CLAIM_UNIT}
    units = {RESTORE_UNIT: _RESTORE, REFILL_UNIT: _REFILL, CLAIM_UNIT: _CLAIM, WATCH_UNIT: _WATCH}
    units[METRICS_UNIT] = _METRICS
    return {
        **{name: text.format(**words) for name, text in units.items()},
        WATCH_TIMER: _TIMER.format(description="Watch the egress IPs of this node", interval=WATCH_INTERVAL),
        METRICS_TIMER: _TIMER.format(description="Write the egress IP metrics regularly", interval=METRICS_INTERVAL),
    }


def links(metrics: bool = False) -> dict[Path, Path]:
    """Return {link: unit} of the links by which systemd starts the units."""
    wants = (
        ("sysinit.target", RESTORE_UNIT),
        ("nftables.service", REFILL_UNIT),
        ("multi-user.target", CLAIM_UNIT),
        ("timers.target", WATCH_TIMER),
        *((("timers.target", METRICS_TIMER),) if metrics else ()),
    )
    folder = files.UNIT_DIRECTORY
    return {folder / f"{target}.wants" / unit: folder / unit for target, unit in wants}


def enabled_units(metrics: bool = False) -> list[str]:
    """Return the names of the units that systemd starts."""
    return sorted({path.name for path in links(metrics)})


def timers(metrics: bool = False) -> list[str]:
    """Return the names of the timers that systemd starts."""
    return [name for name in enabled_units(metrics) if name.endswith(".timer")]
