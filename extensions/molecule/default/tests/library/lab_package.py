# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replaces the package manager on hosts that reach no mirror: restores the programs that a test has hidden."""

from __future__ import annotations

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

HIDDEN = {"nftables": Path("/usr/sbin/nft.hidden")}


def main():
    """Restore the programs of the packages."""
    module = AnsibleModule(
        argument_spec={"name": {"type": "list", "elements": "str"}, "state": {"type": "str"}}, supports_check_mode=True
    )
    found = [HIDDEN[name] for name in module.params["name"] if HIDDEN[name].exists()]
    if not module.check_mode:
        for path in found:
            path.rename(path.with_suffix(""))
    module.exit_json(changed=bool(found))


if __name__ == "__main__":
    main()
