# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module `node` is asked for. PRIVATE to the collection.

A way loads what it needs and no more: without compiled files on the node, loading is a good part of a call.
"""

from __future__ import annotations

from .._common.errors import EgressIPError
from .._dataplane.options import DataPlaneOptions

__all__ = ["EgressIPError", "answer"]


def answer(params, check_mode):
    """Do what the module's options ask for and return its result; raises EgressIPError."""
    return _DO[params["mode"]](params, check_mode)


def _apply(params, check_mode):
    from .._dataplane.handover import Release  # noqa: PLC0415
    from .._dataplane.node_state import NodeState  # noqa: PLC0415
    from .apply import Pace, apply  # noqa: PLC0415

    pace = Pace(params["probe_count"], params["probe_interval"], params["claim_timeout"])
    state = NodeState.from_dict(params["state"])
    releases = [Release(item["egressIP"], item["from"], item["to"]) for item in params["releasing"]]
    return apply(state, releases, params["handover_key"], pace, check_mode, params["claim"])


def _remove(params, check_mode):
    from .remove import remove  # noqa: PLC0415

    return remove(DataPlaneOptions.from_dict(params["options"]), check_mode)


def _observe(params, _check_mode):
    from .observe import observe  # noqa: PLC0415

    look = params["look"]
    options = DataPlaneOptions.from_dict(params["options"])
    return observe(options, look["interface"], look["recall"], look["metrics"], look["platform"], look["probe"])


_DO = {"present": _apply, "absent": _remove, "observed": _observe}
