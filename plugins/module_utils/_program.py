# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that stays on a node: this collection's own code in one zip file, and the systemd units that run it.

PRIVATE to the collection. The file and the record it reads are written by the same run of the module `node`, so they
always fit each other. `_service` tells what it does.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from ._node_io import PROGRAM_FILE, UNIT_DIRECTORY

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

_MODULES = (
    "_addresses",
    "_apply",
    "_arp",
    "_challenge",
    "_connections",
    "_conntrack",
    "_data_plane",
    "_destinations",
    "_difference",
    "_errors",
    "_frames",
    "_handover",
    "_host",
    "_interfaces",
    "_iproute",
    "_meeting",
    "_metrics",
    "_ndp",
    "_nft_script",
    "_nft_table",
    "_nftables",
    "_node",
    "_node_io",
    "_node_state",
    "_platform",
    "_policies",
    "_options",
    "_port_use",
    "_presence",
    "_probe",
    "_program",
    "_record",
    "_service",
    "_shape",
    "_text",
    "_textfile",
)
_MAIN = """\
import sys
from netops_egress_ip import _presence
if sys.argv[1:] in (["restore"], ["watch"]) and _presence.renew():
    sys.exit(0)
from netops_egress_ip._service import main
sys.exit(main(sys.argv[1:]))
"""

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
"""

_METRICS = """\
# Written by the Ansible collection netops.egress_ip.
[Unit]
Description=Counters of the egress IPs for Prometheus

[Service]
Type=oneshot
ExecStart={python} -I {program} metrics
Nice=10
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
        PROGRAM_FILE: (_zip(), 0o644),
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


def _zip():
    """Return this package's modules as a zip file that Python runs; the same sources give the same bytes."""
    # The program's start imports this module, by way of `_node`. Ansible sends to a node only what something imports.
    from . import _service  # noqa: PLC0415, F401

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        _add(archive, "__main__.py", _MAIN.encode())
        _add(archive, "netops_egress_ip/__init__.py", b"")
        for name in _MODULES:
            _add(archive, f"netops_egress_ip/{name}.py", _source(name))
    return buffer.getvalue()


def _source(name):
    """Return the source of a sibling, from a folder or from within the zip file that this module was started from."""
    return __spec__.loader.get_data(str(Path(__file__).with_name(f"{name}.py")))


def _add(archive, name, data):
    archive.writestr(zipfile.ZipInfo(name, date_time=(2026, 1, 1, 0, 0, 0)), data)
