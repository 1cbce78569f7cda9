# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture of a fleet as one HTML page that loads nothing. PRIVATE to the collection. Pure.

All content is text and links, so that it can be read without the style and the script. The script draws the moves as
arrows and filters the nodes. A content security policy permits these two only: text of a manifest or a node cannot run.
"""

from __future__ import annotations

import base64
import hashlib
import re
from html import escape
from typing import Any, Iterable, Iterator, Mapping, Sequence

from .._common.messages import listed
from .networks import ADDRESSES_SHOWN, addresses_in
from .page_assets import ARROWS, SCRIPT, STYLE
from .picture import ARRIVES, HELD, LEAVES, TWICE

Dict = Mapping[str, Any]

_CLASSES = {HELD: "held", ARRIVES: "arrives", LEAVES: "leaves", TWICE: "twice"}
_BAD = ("no answer", "faulty")


def page(picture: Dict, title: str) -> str:
    """Return the page of a picture, which is the result of `picture.picture`."""
    body = [
        f"<header><h1>{escape(title)}</h1><p>{escape(_summary(picture))}</p></header><main>",
        *_section("Problems", _list("problems", map(escape, _problems(picture)))),
        *_section("Nodes", _nodes(picture["nodes"])),
        *_section("Moves", _moves(picture)),
        *_section("Objects", _objects(picture["objects"])),
        *_section("Pools", _pools(picture["pools"])),
        *_section("Networks", _networks(picture["networks"])),
        "</main>",
    ]
    return "\n".join([*_head(title), *body, f"<script>{SCRIPT}</script>", "</body>", "</html>", ""])


def _head(title: str) -> list[str]:
    policy = f"default-src 'none'; style-src {_source(STYLE)}; script-src {_source(SCRIPT)}; base-uri 'none'"
    return [
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}</style>",
        "</head>",
        "<body>",
    ]


def _source(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _summary(picture: Dict) -> str:
    nodes, objects = picture["nodes"], picture["objects"]
    held = {a["egressIP"] for node in nodes for a in node["addresses"] if a["state"] in (HELD, LEAVES, TWICE)}
    moves = sum(address["state"] == ARRIVES for node in nodes for address in node["addresses"])
    parts = [_count(len(nodes), "node"), _count(len(objects), "object"), f"{_count(len(held), 'egress IP')} held"]
    if picture["planned"]:
        parts += [f"{_count(moves, 'egress IP')} to claim", f"{len(picture['unassigned'])} without a node"]
    return ", ".join(parts)


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _problems(picture: Dict) -> Iterator[str]:
    yield from picture["problems"]
    for item in picture["unassigned"]:
        yield f"{item['egressIP']} of {item['name']} is not assigned: {item['message']}"


def _section(title: str, lines: Iterable[str]) -> list[str]:
    """Return a section with a heading; nothing if it has no lines."""
    found = list(lines)
    return [f'<section aria-label="{title}"><h2>{title}</h2>', *found, "</section>"] if found else []


def _list(name: str, entries: Iterable[str]) -> list[str]:
    items = [f"<li>{entry}</li>" for entry in entries]
    return [f'<ul class="{name}">', *items, "</ul>"] if items else []


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a table of cells that are HTML; nothing without rows."""
    if not rows:
        return []
    head = "".join(f'<th scope="col">{cell}</th>' for cell in header)
    body = ("".join(f"<td>{cell}</td>" for cell in row) for row in rows)
    return ["<table>", f"<tr>{head}</tr>", *(f"<tr>{row}</tr>" for row in body), "</table>"]


def _moves(picture: Dict) -> list[str]:
    rows = [
        (
            _code(address["egressIP"]),
            _object(address["name"]),
            _node_link(address["other"]) or "-",
            _node_link(node["name"]),
        )
        for node in picture["nodes"]
        for address in node["addresses"]
        if address["state"] == ARRIVES
    ]
    return _table(("Egress IP", "Object", "From", "To"), rows)


def _nodes(nodes: Sequence[Dict]) -> Iterator[str]:
    yield '<p><label>Show nodes with <input type="search" placeholder="node, address, object"></label></p>'
    yield '<div class="fleet">'
    for zone in sorted({node["zone"] for node in nodes}):
        title = f"Zone {zone}" if zone else "Without a zone"
        yield f'<section class="zone" aria-label="{escape(title)}"><h3>{escape(title)}</h3>'
        yield from _list_of_cards(node for node in nodes if node["zone"] == zone)
        yield "</section>"
    yield f"{ARROWS}</div>"


def _list_of_cards(nodes: Iterable[Dict]) -> Iterator[str]:
    yield '<ul class="nodes">'
    for node in nodes:
        bad = " bad" if node["state"] in _BAD else ""
        reason = f": {node['reason']}" if node["reason"] else ""
        yield f'<li class="node{bad}" id="{_id("node", node["name"])}" tabindex="-1"><h4>{escape(node["name"])}</h4>'
        yield f'<p class="state">{escape(node["state"] + reason)}</p>'
        yield from _load(node)
        yield from _addresses(node["addresses"])
        if node["pods"]:
            pods = ", ".join(f"{number} of {_object(name)}" for name, number in sorted(node["pods"].items()))
            yield f'<p class="pods">Pods: {pods}</p>'
        yield "</li>"
    yield "</ul>"


def _load(node: Dict) -> Iterator[str]:
    """Yield the load and its limit, which may be one per IP version."""
    load = sum(address["state"] != LEAVES for address in node["addresses"])
    capacity = node["capacity"]
    if isinstance(capacity, int):
        share = min(100, 100 * load // max(1, capacity))
        yield f'<p class="where">{load} of {_count(capacity, "egress IP")}</p>'
        yield f'<svg class="load" width="100%" height="6" aria-hidden="true"><rect width="{share}%" height="6"/></svg>'
    elif capacity:
        limits = ", ".join(f"{key}: {limit}" for key, limit in sorted(capacity.items()))
        yield f'<p class="where">{_count(load, "egress IP")}, limits {escape(limits)}</p>'


def _addresses(addresses: Sequence[Dict]) -> Iterator[str]:
    if not addresses:
        return
    yield "<ul>"
    for item in addresses:
        target = f' data-to="{_id("node", item["other"])}"' if item["state"] == LEAVES and item["other"] else ""
        yield (
            f'<li class="address {_CLASSES[item["state"]]}"{target}>{_code(item["egressIP"])}'
            f' {_object(item["name"]) or "in no manifest"}<p class="where">{"; ".join(_about(item))}</p></li>'
        )
    yield "</ul>"


def _about(item: Dict) -> Iterator[str]:
    """Yield the state of an address, its standbys and its use of ports."""
    words = {ARRIVES: " from ", LEAVES: " to "}.get(item["state"], "")
    yield escape(item["state"]) + (words + _node_link(item["other"]) if words and item["other"] else "")
    if item["standbys"]:
        yield "standby " + ", ".join(map(_node_link, item["standbys"]))
    if item["ports"] is not None:
        yield f"{100 * item['ports']:.1f} % of ports in use"


def _objects(objects: Sequence[Dict]) -> list[str]:
    """Return the traffic path of each object: its pods by node, and its egress IPs with their nodes."""
    entries = []
    for item in objects:
        pods = ", ".join(f"{number} on {_node_link(node) or 'no node'}" for node, number in item["pods"].items())
        addresses = "<br>".join(
            f"{_code(each['egressIP'])} {', '.join(map(_node_link, each['nodes'])) or 'on no node'}"
            for each in item["addresses"]
        )
        entries.append(
            f'<div id="{_id("object", item["name"])}" tabindex="-1"><strong>{escape(item["name"])}</strong>'
            f'<p class="pods">Pods: {pods or "none"}</p></div>'
            f'<span class="arrow" aria-label="leave with">→</span><div>{addresses or "no egress IP"}</div>'
        )
    return _list("flows", entries)


def _pools(pools: Sequence[Dict]) -> list[str]:
    rows = [[escape(str(pool[key])) for key in ("name", "addresses", "used", "free")] for pool in pools]
    return _table(("Pool", "Addresses", "Used", "Free"), rows)


def _networks(networks: Sequence[Dict]) -> list[str]:
    rows = [
        (
            escape(row["namespace"]),
            escape(row["network"]),
            _node_link(row["node"]),
            listed([*map(_code, addresses_in(row))], ADDRESSES_SHOWN) or "-",
            ", ".join(map(_object, row["egressips"])) or "-",
        )
        for row in networks
    ]
    return _table(("Namespace", "Network", "Node", "Addresses", "Objects"), rows)


def _code(text: str) -> str:
    return f"<code>{escape(text)}</code>"


def _object(name: str) -> str:
    return f'<a href="#{_id("object", name)}">{escape(name)}</a>' if name else ""


def _node_link(name: str) -> str:
    return f'<a href="#{_id("node", name)}">{escape(name)}</a>' if name else ""


def _id(kind: str, name: str) -> str:
    """Return an id without characters that have a meaning in HTML or in a URL; different names get different ids."""
    return kind + "-" + re.sub(r"[^a-zA-Z0-9.]", lambda match: f"_{ord(match.group()):x}_", name)
