# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The entry points of the module `node`, and of a call that only observes, on a node. PRIVATE to the collection.

Each mode imports only what it uses: a node compiles the program only once, but imports still take much of the time of a
call.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from .._common.errors import EgressIPError
from .._dataplane.options import DataPlaneOptions
from .._host_io.host_io import HostIO
from .._host_io.plugin_sources import used_program
from .zipapp import FOLDER

__all__ = ["EgressIPError", "answer_call", "run_module"]


def run_module(params: Mapping[str, Any], check_mode: bool) -> Mapping[str, object]:
    """Do what the options of the module `node` request and return its result. Raises EgressIPError."""
    return _MODES[params["mode"]](HostIO(), params, check_mode)


def answer_call() -> int:
    """Print the facts for the options on the standard input, both in JSON; returns the exit status.

    So a call needs no imports of Ansible's own code for modules. Without an answer, the module is called.
    """
    params = json.load(sys.stdin)
    try:
        with used_program(FOLDER):
            answer = _observe(HostIO(), params, False)
    except EgressIPError as error:
        answer = {"failed": True, "msg": str(error)}
    sys.stdout.write(json.dumps(answer))
    return 0


def _apply(io: HostIO, params: Mapping[str, Any], check_mode: bool) -> Mapping[str, object]:
    from .._dataplane.handover import PlannedRelease  # noqa: PLC0415
    from .._dataplane.node_state import NodeState  # noqa: PLC0415
    from .address_conflicts import Pace  # noqa: PLC0415
    from .apply import apply  # noqa: PLC0415
    from .decide import Request  # noqa: PLC0415

    pace = Pace(params["probe_count"], params["probe_interval"], params["claim_timeout"])
    state = NodeState.from_dict(params["state"])
    releases = [PlannedRelease(item["egressIP"], item["from"], item["to"]) for item in params["releasing"]]
    request = Request(
        state,
        releases,
        params["handover_key"],
        pace,
        params["claim"],
        tunnel_secret=params["tunnel_secret"],
        failover_key=params["failover_key"],
    )
    return apply(io, request, check_mode)


def _remove(io: HostIO, params: Mapping[str, Any], check_mode: bool) -> Mapping[str, object]:
    from .remove import remove  # noqa: PLC0415

    return remove(io, DataPlaneOptions.from_dict(params["options"]), check_mode)


def _observe(io: HostIO, params: Mapping[str, Any], _check_mode: bool) -> Mapping[str, object]:
    from .._common.text_fields import with_texts  # noqa: PLC0415
    from .observe import ObserveRequest, observe  # noqa: PLC0415

    facts = observe(io, DataPlaneOptions.from_dict(params["options"]), ObserveRequest(**params["observe"]))
    return with_texts(facts.to_dict())


_MODES = {"present": _apply, "absent": _remove, "observed": _observe}
