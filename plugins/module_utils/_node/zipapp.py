# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program of a node: the collection's own code in one zip file. PRIVATE to the collection.

The module `node` runs it when the action plugin sends it, and it stays on the node for the systemd units.
"""

from __future__ import annotations

import io
import pkgutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

# The folders of module_utils that a node needs, as whole folders.
_FOLDERS = ("_common", "_dataplane", "_failover", "_host_io", "_node", "_protocols")
_MODULE_UTILS = Path(__file__).parents[1]
# From where Python runs the program: its zip file, or the folder in which the module `node` keeps it compiled.
FOLDER = str(_MODULE_UTILS.parent)
_MAIN = """\
import os
import sys
from netops_egress_ip._host_io import watch
status = 0
if sys.argv[1:] == ["observe"]:
    from netops_egress_ip._node.module import answer_call
    status = answer_call()
elif not watch.has_nothing_to_do(" ".join(sys.argv[1:])):
    follows = sys.argv[1:] == ["follow"]
    if follows:
        # It stays in memory, so it loads nothing that only the other commands need.
        from netops_egress_ip._host_io.memory import leave_out_openssl
        leave_out_openssl()
    from netops_egress_ip._host_io.host_io import HostIO
    if follows:
        from netops_egress_ip._node.follow import main
    else:
        from netops_egress_ip._node.service import main
    status = main(HostIO(), sys.argv[1:])
if sys.argv[1:] == ["watch"] and os.path.exists("/run/netops-egress-ip.closed"):
    # The API server may be slow: the node must not count as away for that.
    from netops_egress_ip._node.pod_admission import retry_closed
    retry_closed()
    watch.renew()
sys.exit(status)
"""


def make() -> bytes:
    """Return the zip file, which Python can run; the same sources give the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        _add(archive, "__main__.py", _MAIN.encode())
        _add(archive, "netops_egress_ip/__init__.py", b"")
        for name in _names():
            _add(archive, f"netops_egress_ip/{name}", _source(name))
    return buffer.getvalue()


def _names() -> Iterator[str]:
    """Yield the paths of the sources below module_utils, from a folder or from within the zip file."""
    for folder in _FOLDERS:
        yield f"{folder}/__init__.py"
        for module in pkgutil.iter_modules([str(_MODULE_UTILS / folder)]):
            yield f"{folder}/{module.name}.py"


def _source(name: str) -> bytes:
    return __spec__.loader.get_data(  # type: ignore[union-attr, no-any-return]  # folders and zips have it
        str(_MODULE_UTILS / name)
    )


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    archive.writestr(zipfile.ZipInfo(name, date_time=(2026, 1, 1, 0, 0, 0)), data)
