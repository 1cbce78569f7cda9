# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Event source of Event-Driven Ansible: changes of a Kubernetes cluster that need a run of the egress IPs."""

from __future__ import annotations

DOCUMENTATION = r"""
name: kubernetes
author:
  - The netops.egress_ip authors (@netops)
short_description: Changes of a Kubernetes cluster that need a run of the egress IPs
description:
  - Watches EgressIPs, Namespaces, Pods and Nodes. An event means that the playbook C(netops.egress_ip.reconcile) has
    something to do. A pod that no EgressIP selects causes none.
  - Changes that follow each other closely are one event.
  - The connection is described as for a cluster in C(egress_ip_manifests). Without settings, the environment variables
    C(K8S_AUTH_*), then C(KUBECONFIG) and C(~/.kube/config) count. A token is not accepted as a setting.
options:
  kubeconfig:
    description: Path of the kubeconfig file.
    type: str
  context:
    description: Context of the kubeconfig file.
    type: str
  host:
    description: URL of the API server, in place of a kubeconfig file.
    type: str
  ca_cert:
    description: Path of the CA of O(host).
    type: str
  token_file:
    description: Path of a file with a token for O(host), which is read again for each connection.
    type: str
  namespaces:
    description: Only these namespaces and their pods.
    type: list
    elements: str
  kinds:
    description: The kinds to watch.
    type: list
    elements: str
    default: [EgressIP, Namespace, Pod, Node]
  timeout:
    description: The longest silence of the API server in seconds.
    type: float
    default: 10
  name:
    description: The name of the cluster where there are several.
    type: str
  delay:
    description: Seconds from a change to its event. More changes join it meanwhile.
    type: float
    default: 0.05
  interval:
    description: The least number of seconds between two events.
    type: float
    default: 5
  initial:
    description: Whether the start is an event too, since earlier changes are not known.
    type: bool
    default: true
"""

EXAMPLES = r"""
- netops.egress_ip.kubernetes:
    kubeconfig: /etc/egress-ip/prod.kubeconfig
    interval: 5
"""

import asyncio
import contextlib
import logging
import os
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# ansible-rulebook runs this file alone. The code of the collection is below the folder that has ansible_collections.
_ROOT = str(Path(__file__).absolute().parents[7])
if _ROOT not in sys.path:
    sys.path.append(_ROOT)

from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import Errors  # noqa: E402
from ansible_collections.netops.egress_ip.plugins.module_utils._common.messages import type_name  # noqa: E402
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.changes import KnownObjects  # noqa: E402
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.clusters import (  # noqa: E402
    Cluster,
    list_requests,
    read_cluster,
)
from ansible_collections.netops.egress_ip.plugins.plugin_utils._kubernetes_api import Api, ApiError  # noqa: E402
from ansible_collections.netops.egress_ip.plugins.plugin_utils._kubernetes_watch import follow  # noqa: E402

_PATH = "netops.egress_ip.kubernetes"
_OWN = {"delay": 0.05, "interval": 5.0, "initial": True}
_LONGEST = 3600
# The objects that an event names.
_MOST_NAMED = 20
_LOG = logging.getLogger(_PATH)


async def main(queue: Any, args: Mapping[str, Any]) -> None:
    """Put an event for changes that need a run, for ever. Raises an EgressIPError for settings that cannot work."""
    # Names that ansible-rulebook adds.
    given = {name: value for name, value in args.items() if not name.startswith("eda_")}
    own = _own_settings(given)
    settings = {name: value for name, value in given.items() if name not in _OWN and value not in (None, "")}
    cluster = read_cluster(settings, _PATH).with_environment(os.environ)
    # Once before the threads, which try again for ever.
    await asyncio.to_thread(Api, cluster, find_file)
    changes = Changes(cluster)
    stopping = threading.Event()
    for request in list_requests(cluster):
        words = (cluster, find_file, request, changes, stopping)
        threading.Thread(target=follow, args=words, daemon=True, name=request.path).start()
    try:
        await put_events(queue, changes, own)
    finally:
        stopping.set()


def find_file(text: str, path: str) -> str:
    """Return the path of a file that a setting names. Raises ApiError if there is none."""
    found = Path(text).expanduser()
    if not found.is_file():
        raise ApiError(f"{path}: {text}: no such file; name a file that the process of the rulebook can read")
    return str(found)


class Changes:
    """Takes what the threads find, in the thread of the event loop. `names` has the objects that need a run."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster, self.names, self.listed_all = cluster, asyncio.Queue(), asyncio.Event()
        self._known, self._missing = KnownObjects(), {request.path for request in list_requests(cluster)}
        self._loop = asyncio.get_running_loop()
        # {place: its last failure}.
        self._failures: dict[str, str] = {}

    def listed(self, place: str, documents: list[object]) -> None:
        """Take a complete list; called by a thread."""
        self._call(self._listed, place, documents)

    def changed(self, place: str, document: object, is_deleted: bool) -> None:
        """Take a change; called by a thread."""
        self._call(self._changed, place, document, is_deleted)

    def failed(self, place: str, text: str) -> None:
        """Log a failure once; called by a thread. Errors of the connection have no secret in them."""
        self._call(self._failed, place, text)

    def _call(self, method: Any, *words: Any) -> None:
        # The loop may have ended.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(method, *words)

    def _listed(self, place: str, documents: list[object]) -> None:
        self._put(self._known.replace(place, documents))
        self._missing.discard(place)
        if self._failures.pop(place, None):
            _LOG.warning("%s: read again", place)
        if not self._missing:
            self.listed_all.set()

    def _changed(self, place: str, document: object, is_deleted: bool) -> None:
        self._put(self._known.change(place, document, is_deleted))

    def _failed(self, place: str, text: str) -> None:
        if text != self._failures.get(place):
            _LOG.warning("%s; trying again", text)
        self._failures[place] = text

    def _put(self, names: list[str]) -> None:
        for name in names:
            self.names.put_nowait(name)


async def put_events(queue: Any, changes: Changes, own: Mapping[str, Any]) -> None:
    """Put one event for all changes of `delay` seconds, and at most one in `interval` seconds."""
    loop = asyncio.get_running_loop()
    await changes.listed_all.wait()
    last = loop.time() - own["interval"]
    if own["initial"]:
        changes.names.put_nowait("start")
    while True:
        names = [await changes.names.get()]
        await asyncio.sleep(max(own["delay"], last + own["interval"] - loop.time()))
        while not changes.names.empty():
            names.append(changes.names.get_nowait())
        last = loop.time()
        named = list(dict.fromkeys(names))
        event = {"cluster": changes.cluster.name, "changes": len(names), "objects": named[:_MOST_NAMED]}
        await queue.put({"egress_ip": event})


def _own_settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of the events. Raises InvalidError."""
    errors = Errors()
    found = {name: _seconds(given.get(name, _OWN[name]), f"{_PATH}.{name}", errors) for name in ("delay", "interval")}
    initial = given.get("initial", _OWN["initial"])
    if not isinstance(initial, bool):
        errors.add(f"{_PATH}.initial", f"must be true or false, not {type_name(initial)}")
    errors.raise_if_any()
    return {**found, "initial": initial}


def _seconds(value: object, path: str, errors: Errors) -> float:
    # Templates of a rulebook give texts.
    try:
        seconds = -1.0 if isinstance(value, bool) else float(str(value))
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= _LONGEST:
        errors.add(path, f"must be a number of seconds from 0 to {_LONGEST}, not {type_name(value)}")
    return seconds
