# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of a fleet: complete, well formed, and safe for any text of a manifest or a node."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.page import page
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.picture import picture

RUN = yaml.safe_load((Path(__file__).parents[3] / "golden/picture/planned/run.yml").read_text())
VOID = {"meta", "input", "br"}
EVIL = "<script>alert('\"&`')</script>"


class Reader(HTMLParser):
    """Collects elements, links, identifiers and texts; refuses elements that are not closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.ids, self.links, self.targets, self.texts = [], [], [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        values = dict(attrs)
        self.ids += [values["id"]] if "id" in values else []
        self.links += [values["href"]] if "href" in values else []
        self.targets += [values["data-to"]] if "data-to" in values else []
        assert not [name for name, _value in attrs if name.startswith("on") or name in ("src", "style")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] not in (["script"], ["style"]):
            self.texts.append(data)


def read(run=RUN, planned=True):
    return Reader(page(picture(run, planned), "Planned egress IPs"))


def renamed(value, names):
    """Return a copy with other texts."""
    if isinstance(value, dict):
        return {names.get(key, key): renamed(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [renamed(item, names) for item in value]
    return names.get(value, value) if isinstance(value, str) else value


def test_everything_of_the_picture_is_on_the_page():
    made = read()
    text = " ".join(" ".join(made.texts).split())
    for words in (
        "6 nodes, 2 objects, 4 egress IPs held, 2 egress IPs to claim, 1 without a node",
        "node1 holds 192.168.126.9 on eth0, and 52:54:00:00:00:09 (locally administered: a VM or a container) answers",
        "10.9.9.9 of old is not assigned: no node has a network with 10.9.9.9",
        "no answer: cannot be reached: timed out",
        "Zone a",
        "Without a zone",
        "25.0 % of ports in use",
        "prod 4 2 1",
    ):
        assert words in text
    assert made.elements.count("section") == text.count("Zone ") + 6


def test_links_and_arrows_lead_to_the_page_itself():
    made = read()
    assert len(made.ids) == len(set(made.ids))
    assert {link.removeprefix("#") for link in made.links} <= set(made.ids)
    assert made.targets
    assert set(made.targets) <= set(made.ids)


def test_the_observed_state_has_no_moves():
    made = read(planned=False)
    assert made.targets == []
    assert "arrives" not in " ".join(made.texts)


@pytest.mark.parametrize("name", [EVIL, "a b", "ä", "node-1.example.com", "' onload=x", "node_2", "node 2"])
def test_any_name_is_text(name):
    made = read(renamed(RUN, {"node1": name}))
    plain = read()
    assert made.elements == plain.elements
    assert name in made.texts
    assert {link.removeprefix("#") for link in made.links} <= set(made.ids)
    assert all(re.fullmatch(r"[\w.-]+", each, re.ASCII) for each in made.ids)


def test_other_texts_are_escaped_too():
    run = renamed(RUN, {"cannot be reached: timed out": EVIL, "no node has a network with 10.9.9.9": EVIL, "a": EVIL})
    made = read(run)
    assert made.elements == read().elements
    assert sum(EVIL in text for text in made.texts) >= 4


def test_the_policy_permits_the_own_style_and_script_only():
    text = page(picture(RUN, True), "title")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    for tag in ("style", "script"):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; ")
    assert "http" not in re.sub(r'http-equiv|"http://www\.w3\.org/2000/svg"', "", text)


def test_an_empty_fleet_is_a_page():
    run = {
        "fleet": {"nodes": [], "current": [], "eligible": [], "unavailable": [], "faulty": [], "observed": {}},
        "manifests": {key: [] for key in ("egressips", "pods", "namespaces", "nodes", "invalid", "ignored")},
        "plan": {"assignments": [], "unassigned": []},
        "stop_reasons": [],
    }
    assert "0 nodes, 0 objects, 0 egress IPs held" in " ".join(read(run, planned=False).texts)
