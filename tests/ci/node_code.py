# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compile the modules, import every file of a node's program, and observe this machine with it, on the running Python.

Needs no package; nox runs it on the oldest Python of a node, which no current pytest runs on.
"""

from __future__ import annotations

import compileall
import importlib
import json
import pkgutil
import sys
import tempfile
import warnings
from pathlib import Path

BUILD = Path(__file__).resolve().parents[2] / ".build"
PLUGINS = BUILD / "ansible_collections/netops/egress_ip/plugins"
OBSERVE = {"mode": "observed", "options": {}, "observe": {"interface": "lo", "platform": "baremetal"}}


def main() -> int:
    """Return 0 if all of it works, without a deprecation warning."""
    warnings.simplefilter("error", DeprecationWarning)
    sys.path.insert(0, str(BUILD))
    if not all(compileall.compile_dir(PLUGINS / name, quiet=1, force=True) for name in ("modules", "module_utils")):
        return 1
    from ansible_collections.netops.egress_ip.plugins.module_utils._node import zipapp  # noqa: PLC0415 - needs the path

    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder, "node.pyz")
        program.write_bytes(zipapp.make())
        sys.path.insert(0, str(program))
        package = importlib.import_module("netops_egress_ip")
        found = [each.name for each in pkgutil.walk_packages(package.__path__, "netops_egress_ip.")]
        modules = {name: importlib.import_module(name) for name in found}
        answer = modules["netops_egress_ip._node.module"].run_module(OBSERVE, True)
    version, size = sys.version.split()[0], len(json.dumps(answer))
    print(f"Python {version}: {len(found)} modules, {size} bytes of facts")
    return 0


if __name__ == "__main__":
    sys.exit(main())
