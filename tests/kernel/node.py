# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module `node` in this network namespace, with files of its own; systemd does not run, so nothing starts later.

Each line of standard input: the options of the module; the answer is its result.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from namespaces import run
from netops_egress_ip._common.errors import EgressIPError
from netops_egress_ip._node.module import run_module
from netops_egress_ip._node.systemd_units import links

FOLDERS = ("/run", "/var/lib", "/etc/systemd/system", "/usr/local/lib")


def main() -> None:
    """Answer each line."""
    for folder in FOLDERS:
        Path(folder).mkdir(parents=True, exist_ok=True)
        run("mount", "-t", "tmpfs", "tmpfs", folder)
    Path("/run/systemd/system").mkdir(parents=True)
    # What `systemctl enable` would make.
    for link, unit in links().items():
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(unit)
    print("ready", flush=True)
    for line in sys.stdin:
        try:
            result = run_module(json.loads(line), False)
        except EgressIPError as error:
            result = {"failed": True, "msg": str(error)}
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
