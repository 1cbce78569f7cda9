# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program of a node: this collection's own code in one zip file. PRIVATE to the collection.

The module `node` runs it when it is sent along, and it stays on the node for the systemd units.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

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
    "_observe",
    "_options",
    "_platform",
    "_policies",
    "_port_use",
    "_presence",
    "_probe",
    "_program",
    "_record",
    "_remove",
    "_service",
    "_shape",
    "_text",
    "_textfile",
    "_units",
    "_wire",
)
_MAIN = """\
import sys
from netops_egress_ip import _presence
if sys.argv[1:] in (["restore"], ["watch"]) and _presence.renew():
    sys.exit(0)
from netops_egress_ip._service import main
sys.exit(main(sys.argv[1:]))
"""


def make():
    """Return the zip file, which Python runs, as bytes; the same sources give the same bytes."""
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
