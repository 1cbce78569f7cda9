# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The annotations on an EgressIP that are ours. PRIVATE to the collection.

They keep the manifest valid for OKD, which does not look at them.
"""

from __future__ import annotations

from ._errors import Errors
from ._selector_text import parse_selector, selector_text
from ._shape import NO_MAPPING, check_mapping, did_you_mean
from ._text import quote

PREFIX = "egress-ip.netops/"
NODE_SELECTOR = f"{PREFIX}node-selector"
_KNOWN = (NODE_SELECTOR,)


def parse_annotations(metadata, root):
    """Return what our annotations say as fields of EgressIP; InvalidError has every error."""
    errors = Errors()
    written = metadata.get("annotations")
    annotations = NO_MAPPING if written is None else check_mapping(written, f"{root}: metadata.annotations", errors)
    for key in annotations:
        if isinstance(key, str) and key.startswith(PREFIX) and key not in _KNOWN:
            near = did_you_mean(key[len(PREFIX) :], [known[len(PREFIX) :] for known in _KNOWN])
            hint = f"did you mean {PREFIX}{near}?" if near else f"there are {', '.join(_KNOWN)}"
            errors.add(_path(root, key), f"unknown annotation; {hint}")
    fields = {}
    if NODE_SELECTOR in annotations:
        path = _path(root, NODE_SELECTOR)
        fields["node_selector"] = errors.attempt(parse_selector, annotations[NODE_SELECTOR], path)
    errors.raise_if_any()
    return fields


def to_annotations(egressip):
    """Return the annotations of an EgressIP."""
    return {} if egressip.node_selector is None else {NODE_SELECTOR: selector_text(egressip.node_selector)}


def _path(root, key):
    return f"{root}: metadata.annotations[{quote(key)}]"
