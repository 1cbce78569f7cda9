# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stays on a node: the program, and the systemd units that run it. PRIVATE to the collection.

The program and the record it reads are written by the same run of the module `node`, so they always fit each other.
`_node.module.service` tells what it does.
"""

from __future__ import annotations

from .._host_io.node_io import PROGRAM_FILE, UNIT_DIRECTORY
from . import zipapp

RESTORE_UNIT = "netops-egress-ip-restore.service"
REFILL_UNIT = "netops-egress-ip-refill.service"
CLAIM_UNIT = "netops-egress-ip-claim.service"
WATCH_UNIT = "netops-egress-ip-watch.service"
WATCH_TIMER = "netops-egress-ip-watch.timer"
METRICS_UNIT = "netops-egress-ip-metrics.service"
METRICS_TIMER = "netops-egress-ip-metrics.timer"
# Seconds between two looks of the watch.
WATCH_INTERVAL = 4
# Seconds between two writings of the metrics, and the units that are there for them alone.
METRICS_INTERVAL = 15
METRICS_UNITS = (METRICS_TIMER, METRICS_UNIT)

_RESTORE = """\
# Written by the Ansible collection netops.egress_ip.
[Unit]
Description=Egress IP data plane, without taking any address
DefaultDependencies=no
# A reload of nftables.service flushes everybody's rules.
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
Description=Egress IP data plane after nftables.service has flushed it
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
Description=Egress IPs that nobody else answers for
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
Description=Egress IPs that another node got, or what somebody threw away
# A unit that is not active would not be reloaded with nftables.service.
Wants={restore}
After={restore} {claim}

[Service]
Type=oneshot
ExecStart={python} -I {program} watch
# Or the start and the end of each run would fill the journal; systemd knows this from 249 on.
SyslogLevel=notice
LogLevelMax=notice
"""

_METRICS = """\
# Written by the Ansible collection netops.egress_ip.
[Unit]
Description=Counters of the egress IPs for Prometheus

[Service]
Type=oneshot
ExecStart={python} -I {program} metrics
Nice=10
# Or the start and the end of each run would fill the journal; systemd knows this from 249 on.
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


def files(python, metrics=False):
    """Return {path: (bytes, mode)} of what the node keeps, with or without what writes the metrics.

    `python` is the interpreter that runs it at boot.
    """
    units = {name: text for name, text in _units(python).items() if metrics or name not in METRICS_UNITS}
    return {
        PROGRAM_FILE: (zipapp.make(), 0o644),
        **{UNIT_DIRECTORY / name: (text.encode(), 0o644) for name, text in units.items()},
    }


def _units(python):
    words = {"python": python, "program": PROGRAM_FILE, "restore": RESTORE_UNIT, "claim": CLAIM_UNIT}
    units = {RESTORE_UNIT: _RESTORE, REFILL_UNIT: _REFILL, CLAIM_UNIT: _CLAIM, WATCH_UNIT: _WATCH}
    units[METRICS_UNIT] = _METRICS
    return {
        **{name: text.format(**words) for name, text in units.items()},
        WATCH_TIMER: _TIMER.format(description="Watch over the egress IPs of this node", interval=WATCH_INTERVAL),
        METRICS_TIMER: _TIMER.format(description="Count what egress IPs carry", interval=METRICS_INTERVAL),
    }


def links(metrics=False):
    """Return {path: unit} of the links that make systemd start the units."""
    wants = (
        ("sysinit.target", RESTORE_UNIT),
        ("nftables.service", REFILL_UNIT),
        ("multi-user.target", CLAIM_UNIT),
        ("timers.target", WATCH_TIMER),
        *((("timers.target", METRICS_TIMER),) if metrics else ()),
    )
    return {UNIT_DIRECTORY / f"{who}.wants" / unit: UNIT_DIRECTORY / unit for who, unit in wants}


def enabled_units(metrics=False):
    """Return the names of the units that systemd starts by itself."""
    return sorted({path.name for path in links(metrics)})


def timers(metrics=False):
    """Return the names of the timers among them."""
    return [name for name in enabled_units(metrics) if name.endswith(".timer")]
