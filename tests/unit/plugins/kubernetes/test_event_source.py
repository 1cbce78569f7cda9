# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The event source of Event-Driven Ansible, against the test API server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import runpy
import threading
from types import SimpleNamespace

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import EgressIPError, InvalidError
from ansible_collections.netops.egress_ip.plugins.plugin_utils import _kubernetes_watch
from api_server import ADMIN, EXPIRED, answering, silent
from api_store import pods
from cluster_manifests import ROOT, rules_of

SOURCE = runpy.run_path(str(ROOT / "extensions/eda/plugins/event_source/kubernetes.py"))
# Of one event; a machine may be busy.
LONG = 60


def namespace(name, **labels):
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def egressip(name, **labels):
    selector = {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}
    spec = {"egressIPs": ["192.0.2.1"], "namespaceSelector": selector, "podSelector": {"matchLabels": labels}}
    return {"apiVersion": "k8s.ovn.org/v1", "kind": "EgressIP", "metadata": {"name": name}, "spec": spec}


@pytest.fixture
def shop(cluster):
    """Return a cluster with an EgressIP for pods `app: web` of the namespace shop, and one such pod."""
    cluster.store.add([namespace("shop"), namespace("other"), egressip("web", app="web"), *pods(1, "shop")])
    return cluster


def pod(name, place="shop", **labels):
    (made,) = pods(1, place)
    made["metadata"] |= {"name": name, "labels": labels}
    return made


@contextlib.asynccontextmanager
async def source(**settings):
    """Run the source; yields a function that returns the objects of the next event."""
    queue = asyncio.Queue()
    given = {"kubeconfig": "~/.kube/config", "delay": 0.05, "interval": 0, "timeout": LONG, **settings}
    task = asyncio.create_task(SOURCE["main"](queue, given))

    async def objects():
        getting = asyncio.create_task(queue.get())
        await asyncio.wait({task, getting}, timeout=LONG, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        return getting.result()["egress_ip"]["objects"]

    try:
        yield objects
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def events(shop, *steps, **settings):
    """Return the objects of the event after the start, and after each step, a function of the store."""

    async def run():
        async with source(**settings) as objects:
            found = [await objects()]
            for step in steps:
                step(shop.store)
                found.append(await objects())
        return found

    return asyncio.run(run())


def test_only_what_needs_a_run_is_an_event(shop):
    def idle(store):
        """Change what is no pod of a selected namespace, then a pod that is."""
        status = {"items": [{"node": "node1", "egressIP": "192.0.2.1"}]}
        store.add([pod("x", "other", app="web"), pod("y", app="api"), {**egressip("web", app="web"), "status": status}])
        store.add([pod("z", app="web")])

    def relabel(store):
        store.add([pod("y", app="web")])

    def finish(store):
        ended = pod("z", app="web")
        store.add([{**ended, "status": {**ended["status"], "phase": "Succeeded"}}])

    def select(store):
        store.add([egressip("web")])

    assert events(shop, idle, relabel, finish, select) == [
        ["start"],
        ["Pod shop/z"],
        ["Pod shop/y"],
        ["Pod shop/z"],
        ["EgressIP web"],
    ]


def test_changes_that_follow_closely_are_one_event(monkeypatch):
    """In virtual time."""
    clock, put_events = [0.0], SOURCE["put_events"]

    async def sleep(seconds):
        clock[0] += seconds
        await asyncio.sleep(0)

    virtual = SimpleNamespace(sleep=sleep, get_running_loop=lambda: SimpleNamespace(time=lambda: clock[0]))
    monkeypatch.setitem(put_events.__globals__, "asyncio", virtual)

    async def run():
        queue = asyncio.Queue()
        cluster = SimpleNamespace(name="prod")
        changes = SimpleNamespace(names=asyncio.Queue(), listed_all=asyncio.Event(), cluster=cluster)
        changes.listed_all.set()
        own = {"delay": 0.05, "interval": 0.5, "initial": False}
        task = asyncio.create_task(put_events(queue, changes, own))
        found, times = [], []
        for names in ([f"Pod shop/web-{number}" for number in range(100)], ["Pod shop/web-1"] * 3):
            for name in names:
                changes.names.put_nowait(name)
            found.append((await queue.get())["egress_ip"])
            times.append(clock[0])
        task.cancel()
        return found, times[1] - times[0]

    (first, second), seconds = asyncio.run(run())
    assert (first["cluster"], first["changes"], len(first["objects"])) == ("prod", 100, 20)
    assert second == {"cluster": "prod", "changes": 3, "objects": ["Pod shop/web-1"]}
    assert seconds == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("settings", "expected"), [({"namespaces": ["shop"]}, "Pod shop/z"), ({"name": "prod"}, "Pod prod.shop/z")]
)
def test_some_namespaces_and_a_cluster_with_a_name(shop, settings, expected):
    def add(store):
        store.add([pod("z", app="web")])

    assert events(shop, add, **settings) == [["start"], [expected]]


def test_a_forgotten_version_is_a_new_list_with_the_difference(shop):
    gone = threading.Event()

    def forget(handler):
        if "watch=1" in handler.path and not gone.is_set():
            gone.set()
            raise EXPIRED

    shop.fault("/api/v1/pods", forget)

    def added(store):
        assert gone.wait(LONG)
        store.add([pod("z", app="web")])

    assert events(shop, added, initial=True) == [["start"], ["Pod shop/z"]]
    lists = [line for line in shop.requests if line.startswith("GET /api/v1/pods?") and "watch=1" not in line]
    assert len(lists) == 2


@pytest.mark.parametrize(
    "event",
    [
        {"type": "BOOKMARK", "object": {"kind": "Pod", "metadata": ["resourceVersion"]}},
        {"type": "MODIFIED", "object": {"kind": "Pod", "metadata": "x", "spec": 5, "status": []}},
        {"type": "ADDED", "object": {"kind": "Pod"}},
        {"type": "ADDED", "object": 5},
        {"type": "ERROR"},
        {},
        [],
    ],
    ids=range(7),
)
def test_a_malformed_event_does_not_end_the_watch(shop, event):
    """The thread of a list goes on, or reads the list again."""
    shop.fault("/api/v1/pods?watch=1", answering(200, json.dumps(event).encode() + b"\n"), 1)
    assert events(shop, lambda store: store.add([pod("z", app="web")])) == [["start"], ["Pod shop/z"]]


def test_a_silent_watch_is_opened_again(shop, monkeypatch):
    monkeypatch.setattr(_kubernetes_watch, "_WATCH_SECONDS", 1)

    def hang(handler):
        if "watch=1" in handler.path:
            silent(handler)

    shop.fault("/api/v1/pods", lambda _handler: None, 1)
    shop.fault("/api/v1/pods", hang, 1)
    added = events(shop, lambda store: store.add([pod("z", app="web")]), timeout=2)
    assert added == [["start"], ["Pod shop/z"]]


def test_failures_are_logged_without_the_token_and_tried_again(shop, caplog):
    caplog.set_level(logging.DEBUG)
    body = f'{{"message": "no right for {ADMIN}"}}'.encode()
    shop.fault("/api/v1/pods", answering(403, body), 1)
    assert events(shop) == [["start"]]
    assert "/api/v1/pods: read again" in caplog.text
    assert "refuses the request (403 Forbidden)" in caplog.text
    assert ADMIN not in caplog.text


@pytest.mark.parametrize("files", [["rbac.yaml"], ["rbac.yaml", "rbac-watch.yaml"]])
def test_the_rights_of_the_manifests_are_sufficient_and_needed(shop, tmp_path, caplog, files):
    shop.allow("watcher", "egress-ip", rules_of(*files))
    shop.kubeconfig(tmp_path / ".kube/config", "watcher")

    async def run():
        async with source() as objects:
            await objects()
            if len(files) > 1:
                shop.store.add([pod("z", app="web")])
                return await objects()
            while "cannot watch resource" not in caplog.text:
                await asyncio.sleep(0.05)
        return None

    assert asyncio.run(run()) == (["Pod shop/z"] if len(files) > 1 else None)
    assert ("cannot watch" in caplog.text) == (len(files) == 1)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"interval": "soon"}, "netops.egress_ip.kubernetes.interval: must be a number of seconds from 0 to 3600"),
        ({"delay": -1}, "netops.egress_ip.kubernetes.delay: must be a number of seconds from 0 to 3600"),
        ({"initial": "no"}, "netops.egress_ip.kubernetes.initial: must be true or false, not the string 'no'"),
        ({"token": "secret"}, "netops.egress_ip.kubernetes.token: secrets are not accepted in variables"),
        ({"kinds": ["Pods"]}, "netops.egress_ip.kubernetes.kinds[0]: 'Pods' is not a kind that is read"),
        ({"kubeconfig": "/none"}, "netops.egress_ip.kubernetes.kubeconfig: /none: no such file"),
    ],
)
def test_settings_that_cannot_work_end_the_source(cluster, settings, expected):
    with pytest.raises((InvalidError, EgressIPError), match="netops") as caught:
        events(cluster, **settings)
    assert expected in str(caught.value)
    assert "secret'" not in str(caught.value)
