# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The script of the page in headless Chromium: the arrows of moves, and the filter of nodes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.page import page
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.picture import picture
from browser import browser

RUN = yaml.safe_load((Path(__file__).parents[3] / "golden/picture/planned/run.yml").read_text())
EVIL = "<img src=x onerror='window.bad = 1'><script>window.bad = 1</script>"
# [{from, to: the boxes of both ends, d: the numbers of the arrow}], in the order of the page; only what is drawn.
ARROWS = """(() => {
  const fleet = document.querySelector(".fleet").getBoundingClientRect();
  const box = (element) => {
    const own = element.getBoundingClientRect();
    return {left: own.left - fleet.left, right: own.right - fleet.left, middle: (own.top + own.bottom) / 2 - fleet.top};
  };
  const shown = [...document.querySelectorAll(".address[data-to]")].filter((from) =>
    from.offsetParent && document.getElementById(from.dataset.to).offsetParent);
  const paths = [...document.querySelectorAll(".arrows > path")];
  if (paths.length !== shown.length) return [paths.length, shown.length];
  return shown.map((from, index) => ({
    from: box(from), to: box(document.getElementById(from.dataset.to)),
    d: paths[index].getAttribute("d").match(/-?[0-9.]+/g).map(Number)}));
})()"""
NODES = '[...document.querySelectorAll(".node")].filter((node) => node.offsetParent).map((node) => node.id)'
ZONES = '[...document.querySelectorAll(".zone")].filter((zone) => zone.offsetParent).length'


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """Return a function that opens the page of a run in a window of a width."""
    folder = tmp_path_factory.mktemp("browser")
    with browser(folder / "profile") as running:

        def open_page(width, run=RUN):
            path = folder / "page.html"
            path.write_text(page(picture(run, True), "Planned egress IPs"), encoding="utf-8")
            return running.open(path, width)

        yield open_page


def type_words(evaluate, words):
    evaluate(
        f'(() => {{ const field = document.querySelector("input"); field.value = {json.dumps(words)};'
        ' field.dispatchEvent(new Event("input")); })()'
    )


@pytest.mark.parametrize("width", [1400, 700, 400])
def test_an_arrow_joins_an_address_with_the_node_that_it_moves_to(opened, width):
    arrows = opened(width)(ARROWS)
    assert len(arrows) == 1
    for arrow in arrows:
        start, end = arrow["d"][:2], arrow["d"][-2:]
        assert min(abs(start[0] - arrow["from"][side]) for side in ("left", "right")) < 1
        assert min(abs(end[0] - arrow["to"][side]) for side in ("left", "right")) < 1
        assert abs(start[1] - arrow["from"]["middle"]) < 1
        assert abs(end[1] - arrow["to"]["middle"]) < 1


def test_arrows_follow_the_size_of_the_window(opened):
    evaluate = opened(1400)
    before = evaluate(ARROWS)
    evaluate('document.querySelector(".fleet").style.width = "300px"')
    after = evaluate(ARROWS)
    assert [arrow["d"] for arrow in before] != [arrow["d"] for arrow in after]
    assert abs(after[0]["d"][-1] - after[0]["to"]["middle"]) < 1


def test_the_filter_shows_nodes_with_all_words_and_their_arrows(opened):
    evaluate = opened(1400)
    nodes, zones = evaluate(NODES), evaluate(ZONES)
    assert len(nodes) == 6
    moving = evaluate('document.querySelector(".address[data-to]").closest(".node").id')
    target = evaluate('document.querySelector(".address[data-to]").dataset.to')
    address = evaluate('document.querySelector(".address[data-to] code").textContent')
    type_words(evaluate, f"  {address.upper()}  ")
    # The address is on the node that loses it and on the one that gets it.
    assert evaluate(NODES) == [node for node in nodes if node in (moving, target)]
    assert len(evaluate(ARROWS)) == 1
    name = evaluate('document.querySelector(".address[data-to]").closest(".node").querySelector("h4").textContent')
    type_words(evaluate, f"{address} {name}")
    assert moving in evaluate(NODES)
    type_words(evaluate, "no such node")
    assert (evaluate(NODES), evaluate(ZONES), evaluate(ARROWS)) == ([], 0, [])
    type_words(evaluate, "")
    assert (evaluate(NODES), evaluate(ZONES), len(evaluate(ARROWS))) == (nodes, zones, 1)


def test_text_of_a_node_does_not_run(opened):
    text = json.dumps(RUN).replace('"no node has a network with 10.9.9.9"', json.dumps(EVIL))
    assert "window.bad" in text
    evaluate = opened(1400, json.loads(text))
    assert evaluate("window.bad") is None
    assert evaluate(f"document.body.textContent.includes({json.dumps(EVIL)})")
    # The policy of the page refuses a script that got in.
    added = 'document.body.append(Object.assign(document.createElement("script"), {textContent: "window.bad = 1"}))'
    evaluate(added)
    assert evaluate("window.bad") is None
