# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The exit of the vSphere modules. PRIVATE to the collection."""

from __future__ import annotations

from typing import Any, Callable

from ansible.module_utils.basic import missing_required_lib

from .._common.errors import EgressIPError
from .pyvmomi import PYVMOMI_ERROR


def finish(module: Any, work: Callable[[], dict[str, Any]]) -> None:
    """Exit an AnsibleModule with the dict that ``work()`` returns, or fail with the message of its EgressIPError.

    ``warnings`` in the dict become warnings of the module.
    """
    if PYVMOMI_ERROR:
        module.fail_json(msg=missing_required_lib("pyvmomi"), exception=PYVMOMI_ERROR)
    try:
        result = work()
    except EgressIPError as error:
        module.fail_json(msg=str(error))
    for warning in result.pop("warnings", ()):
        module.warn(warning)
    module.exit_json(**result)
