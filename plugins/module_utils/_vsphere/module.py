# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How each of the vsphere modules ends. PRIVATE to the collection."""

from __future__ import annotations

from ansible.module_utils.basic import missing_required_lib

from .._common.errors import EgressIPError
from .pyvmomi import PYVMOMI_ERROR


def finish(module, work):
    """Exit with the dict that `work()` returns, its `warnings` shown as such; fail with the one line of an error."""
    if PYVMOMI_ERROR:
        module.fail_json(msg=missing_required_lib("pyvmomi"), exception=PYVMOMI_ERROR)
    try:
        result = work()
    except EgressIPError as error:
        module.fail_json(msg=str(error))
    for warning in result.pop("warnings", ()):
        module.warn(warning)
    module.exit_json(**result)
