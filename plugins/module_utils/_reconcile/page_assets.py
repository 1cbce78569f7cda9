# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The style, the script and the arrowhead of the page. PRIVATE to the collection."""

from __future__ import annotations

STYLE = """
:root { color-scheme: light dark; --ground: #fff; --card: #f5f6f8; --line: #c9ced6; --text: #1b1f24; --soft: #57606a;
  --held: #1a7f37; --arrives: #0b61c4; --leaves: #8a5a00; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ground: #14171b; --card: #1f242b; --line: #3d444d; --text: #e8ebef;
  --soft: #a3acb8; --held: #56d364; --arrives: #79b8ff; --leaves: #e3b341; --bad: #ff8a80; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 100rem; padding: 1rem 1.5rem 4rem; background: var(--ground); color: var(--text);
  font: 1rem/1.45 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: .5rem 0; }
h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.25rem 0 .5rem; color: var(--soft); }
h4 { font-size: 1rem; margin: 0; overflow-wrap: anywhere; }
a { color: inherit; }
a:focus-visible, input:focus-visible, li:focus-visible { outline: 3px solid var(--arrives); outline-offset: 2px; }
code { font: .9em ui-monospace, monospace; overflow-wrap: anywhere; }
ul { list-style: none; margin: 0; padding: 0; }
input { font: inherit; padding: .3rem .5rem; border: 1px solid var(--line); border-radius: .4rem;
  background: var(--card); color: inherit; }
.fleet { position: relative; }
.nodes { display: grid; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); gap: .75rem 2rem; }
.node { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .6rem .75rem; }
.node.bad { border-color: var(--bad); border-style: dashed; }
.state, .pods, .where { color: var(--soft); font-size: .875rem; margin: .1rem 0; overflow-wrap: anywhere; }
.bad .state, .problems { color: var(--bad); }
.address { border-left: .3rem solid var(--held); margin: .35rem 0; padding: .1rem .5rem; background: var(--ground); }
.address.arrives { border-left-style: double; border-color: var(--arrives); }
.address.leaves { border-left-style: dashed; border-color: var(--leaves); }
.address.twice { border-color: var(--bad); }
.load { display: block; margin: .35rem 0; border: 1px solid var(--line); border-radius: .2rem; }
.load rect { fill: var(--held); }
.flows li { display: grid; grid-template-columns: 1fr auto 1fr; gap: .25rem 1rem; align-items: center;
  border-top: 1px solid var(--line); padding: .5rem 0; }
.flows .arrow { color: var(--soft); }
.arrows { position: absolute; inset: 0; width: 100%; height: 100%; pointer-events: none; }
.arrows path { fill: none; stroke: var(--arrives); stroke-width: 2; opacity: .75; }
.arrows marker path { fill: var(--arrives); stroke: none; }
table { border-collapse: collapse; }
th, td { text-align: left; padding: .25rem 1rem .25rem 0; border-top: 1px solid var(--line); overflow-wrap: anywhere; }
@media (max-width: 40rem) { .flows li { grid-template-columns: 1fr; } }
@media print { input, label { display: none; } }
"""

SCRIPT = """
"use strict";
const fleet = document.querySelector(".fleet"), arrows = document.querySelector(".arrows");
const box = (element) => {
  const own = element.getBoundingClientRect(), all = fleet.getBoundingClientRect();
  return { left: own.left - all.left, right: own.right - all.left, middle: own.top - all.top + own.height / 2 };
};
const draw = () => {
  arrows.querySelectorAll(":scope > path").forEach((path) => path.remove());
  document.querySelectorAll(".address[data-to]").forEach((from) => {
    const to = document.getElementById(from.dataset.to);
    if (!to || !from.offsetParent || !to.offsetParent) return;
    const a = box(from), b = box(to), right = b.left >= a.right || b.left > a.left;
    const x = right ? a.right : a.left, end = right && b.left >= a.right ? b.left : b.right;
    const bend = (end > x ? 1 : -1) * Math.max(24, Math.abs(end - x) / 3);
    const back = right && b.left >= a.right ? -bend : Math.max(24, Math.abs(bend));
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("d", `M${x},${a.middle} C${x + bend},${a.middle} ${end + back},${b.middle} ${end},${b.middle}`);
    path.setAttribute("marker-end", "url(#tip)");
    arrows.append(path);
  });
};
const search = document.querySelector("input");
search.addEventListener("input", () => {
  const words = search.value.toLowerCase().split(/\\s+/).filter(Boolean);
  document.querySelectorAll(".node").forEach((node) => {
    const text = node.textContent.toLowerCase();
    node.hidden = !words.every((word) => text.includes(word));
  });
  document.querySelectorAll(".zone").forEach((zone) => {
    zone.hidden = !zone.querySelector(".node:not([hidden])");
  });
  draw();
});
new ResizeObserver(draw).observe(fleet);
"""

ARROWS = (
    '<svg class="arrows" aria-hidden="true"><defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7"'
    ' markerHeight="7" orient="auto"><path d="M0,0 L8,4 L0,8 z"/></marker></defs></svg>'
)
