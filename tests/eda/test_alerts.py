# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rulebook for takeovers under the real ansible-rulebook: alerts as Alertmanager posts them, and others."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request

import pytest
from running import Rulebook

TOKEN = "secret-of-alertmanager"
# The version 4 of Alertmanager's webhook.
ALERT = {
    "version": "4",
    "groupKey": '{}/{alertname="EgressIPTakeover"}:{alertname="EgressIPTakeover"}',
    "truncatedAlerts": 0,
    "status": "firing",
    "receiver": "egress-ip",
    "groupLabels": {"alertname": "EgressIPTakeover"},
    "commonLabels": {"alertname": "EgressIPTakeover", "instance": "node2:9100", "job": "node"},
    "commonAnnotations": {"summary": "node2:9100 took over egress IPs of a node that did not answer"},
    "externalURL": "http://alertmanager:9093",
    "alerts": [
        {
            "status": "firing",
            "labels": {"alertname": "EgressIPTakeover", "instance": "node2:9100", "job": "node"},
            "annotations": {},
            "startsAt": "2026-11-29T08:00:00Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://prometheus:9090/graph",
            "fingerprint": "c0ffee",
        }
    ],
}


class Alertmanager(Rulebook):
    """A running rulebook, and what posts alerts to it."""

    def __init__(self, folder):
        super().__init__(folder)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]

    def post(self, body, token=TOKEN):
        """Return the status of the answer to a post, zero while the rulebook does not listen."""
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/", json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0


@pytest.fixture(scope="module")
def rulebook(tmp_path_factory):
    """The rulebook, when it listens."""
    made = Alertmanager(tmp_path_factory.mktemp("alerts"))
    variables = {"egress_ip_alerts_token": TOKEN, "egress_ip_alerts_port": made.port}
    with made.running("reconcile_alerts", variables):
        made.wait(lambda: made.post({}))
        yield made


def test_what_starts_no_run_and_then_an_alert(rulebook):
    """Rules run one after the other, so the run of the last post is the only one."""
    assert [rulebook.post(ALERT, token) for token in ("", "wrong")] == [401, 401]
    for body in ({}, [], "text", {"status": ["firing"]}, {**ALERT, "status": "resolved"}):
        assert rulebook.post(body) == 200
    assert rulebook.post(ALERT) == 200
    rulebook.wait(lambda: rulebook.runs() == 1)


def test_alerts_that_arrive_together_are_one_run(rulebook):
    before = rulebook.runs()
    for _alert in range(20):
        assert rulebook.post(ALERT) == 200
    rulebook.wait(lambda: rulebook.runs() > before)
    # A run that had waited in a queue would come before that of a later alert.
    rulebook.post(ALERT)
    rulebook.wait(lambda: rulebook.runs() > before + 1)
    assert rulebook.runs() == before + 2


def test_no_token_is_logged(rulebook):
    assert TOKEN not in rulebook.log.read_text()
