# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The annotations on an EgressIP that are ours. PRIVATE to the collection.

They keep the manifest valid for OKD, which does not look at them.
"""

from __future__ import annotations

from .._common.addresses import canonical, parse_network
from .._common.destinations import Destinations
from .._common.errors import Errors
from .._common.messages import quote
from .._common.validation import check_mapping, check_string, did_you_mean
from .selector_syntax import parse_selector, selector_text
from .selectors import check_label_key

PREFIX = "egress-ip.netops/"
NODE_SELECTOR = f"{PREFIX}node-selector"
SPREAD = f"{PREFIX}spread"
WEIGHT = f"{PREFIX}weight"
POOL = f"{PREFIX}pool"
POOL_SIZE = f"{PREFIX}pool-size"
DESTINATIONS = f"{PREFIX}destinations"
EXCLUDED_DESTINATIONS = f"{PREFIX}excluded-destinations"
# So many egress IPs the widest mark mask tells apart.
_MOST = (1 << 14) - 1
_HEAVIEST = 100
_KNOWN = (NODE_SELECTOR, SPREAD, WEIGHT, POOL, POOL_SIZE, DESTINATIONS, EXCLUDED_DESTINATIONS)


def parse_annotations(metadata, root):
    """Return what our annotations say as fields of EgressIP; InvalidError has every error."""
    written = metadata.get("annotations")
    if written is None:
        return {}
    errors = Errors()
    annotations = check_mapping(written, f"{root}: metadata.annotations", errors)
    for key in annotations:
        if isinstance(key, str) and key.startswith(PREFIX) and key not in _KNOWN:
            near = did_you_mean(key[len(PREFIX) :], [known[len(PREFIX) :] for known in _KNOWN])
            hint = f"did you mean {PREFIX}{near}?" if near else f"expected one of {', '.join(_KNOWN)}"
            errors.add(annotation_path(root, key), f"unknown annotation; {hint}")
    fields = {}
    if NODE_SELECTOR in annotations:
        path = annotation_path(root, NODE_SELECTOR)
        fields["node_selector"] = errors.attempt(parse_selector, annotations[NODE_SELECTOR], path)
    if SPREAD in annotations:
        path = annotation_path(root, SPREAD)
        fields["spread"] = check_string(annotations[SPREAD], path, errors)
        if fields["spread"] is not None:
            check_label_key(fields["spread"], path, errors)
    if WEIGHT in annotations:
        fields["weight"] = _parse_number(annotations[WEIGHT], annotation_path(root, WEIGHT), _HEAVIEST, errors)
    if POOL in annotations:
        fields["pools"] = _parse_list(annotations[POOL], annotation_path(root, POOL), errors)
    if POOL_SIZE in annotations:
        fields["pool_size"] = _parse_number(annotations[POOL_SIZE], annotation_path(root, POOL_SIZE), _MOST, errors)
        if POOL not in annotations:
            errors.add(annotation_path(root, POOL_SIZE), f"has no effect without {POOL}")
    if DESTINATIONS in annotations or EXCLUDED_DESTINATIONS in annotations:
        fields["destinations"] = _parse_destinations(annotations, root, errors)
    errors.raise_if_any()
    return fields


def to_annotations(egressip):
    """Return the annotations of an EgressIP."""
    annotations = {}
    if egressip.node_selector is not None:
        annotations[NODE_SELECTOR] = selector_text(egressip.node_selector)
    if egressip.spread is not None:
        annotations[SPREAD] = egressip.spread
    if egressip.weight != 1:
        annotations[WEIGHT] = str(egressip.weight)
    if egressip.pools:
        annotations[POOL] = ",".join(egressip.pools)
    if egressip.pool_size != 1:
        annotations[POOL_SIZE] = str(egressip.pool_size)
    lists = {DESTINATIONS: egressip.destinations.networks, EXCLUDED_DESTINATIONS: egressip.destinations.excluded}
    annotations.update({key: ",".join(networks) for key, networks in lists.items() if networks})
    return annotations


def has_pool(metadata):
    """Tell whether an object, sound or broken, asks for addresses of a pool."""
    return POOL in _written(metadata)


def readable_weight(metadata):
    """Return the weight of an object, sound or broken; 1 if none can be read."""
    return _parse_number(_written(metadata).get(WEIGHT, "1"), "", _HEAVIEST, Errors())


def _written(metadata):
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    return annotations if isinstance(annotations, dict) else {}


def annotation_path(root, key):
    """Return what errors of an annotation begin with; ``root`` is ``egressip/NAME``."""
    return f"{root}: metadata.annotations[{quote(key)}]"


def _parse_destinations(annotations, root, errors):
    """Return the Destinations."""
    lists = dict.fromkeys((DESTINATIONS, EXCLUDED_DESTINATIONS), ())
    for key in lists:
        if key in annotations:
            path = annotation_path(root, key)
            texts = _parse_list(annotations[key], path, errors)
            lists[key] = [errors.attempt(parse_network, text, f"{path}[{n}]") for n, text in enumerate(texts) if text]
    if None in {*lists[DESTINATIONS], *lists[EXCLUDED_DESTINATIONS]}:
        return Destinations()
    found = Destinations(*(tuple(map(canonical, lists[key])) for key in lists))
    if found.nowhere:
        path = annotation_path(root, EXCLUDED_DESTINATIONS)
        errors.add(path, "covers every destination, so that no traffic would leave with an egress IP")
    return found


def _parse_list(text, path, errors):
    """Return the tuple of words with commas between them."""
    text = check_string(text, path, errors)
    words = [] if text is None else [word.strip() for word in text.split(",")]
    if not all(words):
        errors.add(path, f"{quote(text)} has an empty entry between commas")
    if len({*words}) < len(words):
        errors.add(path, f"{quote(text)} has a duplicate entry")
    return tuple(words)


def _parse_number(text, path, most, errors):
    """Return the integer that a string spells, 1 if it is none from 1 to ``most``; annotations are strings."""
    text = check_string(text, path, errors)
    if text is not None and not (text.isascii() and text.isdigit() and len(text) < 10 and 0 < int(text) <= most):
        errors.add(path, f"must be an integer from 1 to {most}, not {quote(text)}")
        return 1
    return 1 if text is None else int(text)
