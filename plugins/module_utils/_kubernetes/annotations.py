# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The annotations that the collection defines: those of an EgressIP, and one of a Namespace. PRIVATE to the collection.

A manifest with them stays valid for OKD, which ignores them. A new annotation of an EgressIP is a new field of
``Annotations``; its parser returns the value or raises an EgressIPError.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Callable, Mapping, NamedTuple, Sequence

from .._common.addresses import canonical, parse_network
from .._common.destinations import Destinations
from .._common.errors import Errors
from .._common.messages import quote, type_name
from .._common.network_names import parse_network_name
from .._common.selectors import Selector, check_label_key
from .._common.validation import check_mapping, check_string, did_you_mean
from .selector_syntax import parse_selector, selector_text

PREFIX = "egress-ip.netops/"
NODE_SELECTOR = f"{PREFIX}node-selector"
SPREAD = f"{PREFIX}spread"
WEIGHT = f"{PREFIX}weight"
POOL = f"{PREFIX}pool"
POOL_SIZE = f"{PREFIX}pool-size"
DESTINATIONS = f"{PREFIX}destinations"
EXCLUDED_DESTINATIONS = f"{PREFIX}excluded-destinations"
# The annotation of a Namespace; all others are those of an EgressIP.
NETWORKS = f"{PREFIX}networks"
# The number of egress IPs that the widest mark mask can distinguish.
_MAX_EGRESS_IPS = (1 << 14) - 2
_MAX_WEIGHT = 100
_MAX_DIGITS = 9


class _Row(NamedTuple):
    """How one annotation is read and written; it has no effect without the annotation ``needs``."""

    key: str
    parse: Callable[[object, str], object]
    text: Callable[[Any], str]
    needs: str | None = None


def _row(
    key: str, parse: Callable[[object, str], object], text: Callable[[Any], str], default: Any, **more: str
) -> Any:
    """Return the field of ``Annotations`` with this row; ``default`` is the value without the annotation."""
    # Fields are made here and belong to the dataclass below.
    return field(  # pylint: disable=invalid-field-call  # see above
        default=default, metadata={"row": _Row(key, parse, text, **more)}
    )


def _parse_label_key(value: object, path: str) -> str | None:
    errors = Errors()
    text = check_string(value, path, errors)
    if text is not None:
        check_label_key(text, path, errors)
    errors.raise_if_any()
    return text


def _integer_to(most: int) -> Callable[[object, str], int]:
    """Return the parser of an integer from 1 to ``most``; the value of an annotation is always a string."""

    def parse(value: object, path: str) -> int:
        errors = Errors()
        text = check_string(value, path, errors) or ""
        is_number = text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS
        if text and not (is_number and 0 < int(text) <= most):
            errors.add(path, f"must be an integer from 1 to {most}, not {quote(text)}")
        errors.raise_if_any()
        return int(text)

    return parse


def _parse_list(value: object, path: str) -> tuple[str, ...]:
    """Return the words between commas; InvalidError has every error."""
    errors = Errors()
    words = _split(value, path, errors)
    errors.raise_if_any()
    return words


def _parse_networks(value: object, path: str) -> tuple[str, ...]:
    """Return the networks between commas in canonical form; InvalidError has every error."""
    errors = Errors()
    texts = _split(value, path, errors)
    found = [errors.attempt(parse_network, text, f"{path}[{n}]") for n, text in enumerate(texts) if text]
    errors.raise_if_any()
    return tuple(canonical(network) for network in found if network is not None)


def _split(value: object, path: str, errors: Errors) -> tuple[str, ...]:
    text = check_string(value, path, errors)
    words = [] if text is None else [word.strip() for word in text.split(",")]
    if text is not None and not all(words):
        errors.add(path, f"{quote(text)} has an empty entry between commas; remove one comma")
    if text is not None and len({*words}) < len(words):
        errors.add(path, f"{quote(text)} has a duplicate entry; list each one once")
    return tuple(words)


@dataclass(frozen=True)
class Annotations:
    """The values of all annotations, one row each."""

    # The nodes that may hold the object's addresses; None for all.
    node_selector: Selector | None = _row(NODE_SELECTOR, parse_selector, selector_text, None)
    # The label over whose values the object's addresses are spread.
    spread: str | None = _row(SPREAD, _parse_label_key, str, None)
    # What each address adds to the load of its node.
    weight: int = _row(WEIGHT, _integer_to(_MAX_WEIGHT), str, 1)
    # The pools that give the object addresses, and how many each gives.
    pools: tuple[str, ...] = _row(POOL, _parse_list, ",".join, ())
    pool_size: int = _row(POOL_SIZE, _integer_to(_MAX_EGRESS_IPS), str, 1, needs=POOL)
    # The networks (CIDRs) to which the object applies, empty for all, and exceptions from them.
    destinations: tuple[str, ...] = _row(DESTINATIONS, _parse_networks, ",".join, ())
    excluded_destinations: tuple[str, ...] = _row(EXCLUDED_DESTINATIONS, _parse_networks, ",".join, ())

    def to_dict(self) -> dict[str, str]:
        """Return ``{key: text}`` of the annotations that differ from their default."""
        defaults = vars(NO_ANNOTATIONS)
        return {
            row.key: row.text(getattr(self, name))
            for name, row in _ROWS.items()
            if getattr(self, name) != defaults[name]
        }


NO_ANNOTATIONS = Annotations()
_ROWS: dict[str, _Row] = {each.name: each.metadata["row"] for each in fields(Annotations)}
_OF_EGRESSIP = [row.key for row in _ROWS.values()]
_NAMESPACE_ONLY = "has an effect on a Namespace only; move it there"


def read_annotations(metadata: Mapping[str, Any], root: str, errors: Errors) -> Annotations:
    """Return the Annotations, with the default for each that has an error; ``root`` is ``egressip/NAME``."""
    written = metadata.get("annotations")
    if written is None:
        return NO_ANNOTATIONS
    annotations = check_mapping(written, f"{root}: metadata.annotations", errors)
    _check_keys(annotations, root, errors)
    values: dict[str, Any] = {}
    for name, row in _ROWS.items():
        if row.key in annotations:
            path = annotation_path(root, row.key)
            values[name] = errors.attempt(row.parse, annotations[row.key], path)
            if row.needs is not None and row.needs not in annotations:
                errors.add(path, f"has no effect without {row.needs}; add that annotation or remove this one")
    found = Annotations(**{name: value for name, value in values.items() if value is not None})
    if found.excluded_destinations and Destinations(found.destinations, found.excluded_destinations).is_empty:
        path = annotation_path(root, EXCLUDED_DESTINATIONS)
        errors.add(
            path, "covers every destination, so that no traffic would leave with an egress IP; list fewer networks"
        )
    return found


def has_pool(metadata: object) -> bool:
    """Return whether a valid or broken object requests addresses of a pool."""
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    return isinstance(annotations, dict) and POOL in annotations


def read_networks(metadata: Mapping[str, Any], root: str, errors: Errors) -> tuple[str, ...]:
    """Return the valid networks in the annotation of a Namespace, as ``NetworkName.text``; ``root`` is its path.

    Annotations of an EgressIP are errors here.
    """
    written = metadata.get("annotations")
    annotations = {} if written is None else check_mapping(written, f"{root}: metadata.annotations", errors)
    _check_keys(annotations, root, errors, [NETWORKS])
    if NETWORKS not in annotations:
        return ()
    return network_names(annotations[NETWORKS], annotation_path(root, NETWORKS), errors)


def network_names(value: object, path: str, errors: Errors) -> tuple[str, ...]:
    """Return the valid networks in a list or, between commas, in a string, as ``NetworkName.text``."""
    if isinstance(value, str):
        words: Sequence[object] = [word.strip() for word in value.split(",")]
    elif isinstance(value, (list, tuple)):
        words = value
    else:
        errors.add(path, f"must be a list of networks with commas between them, not {type_name(value)}")
        return ()
    found = []
    for index, word in enumerate(words):
        text = check_string(word, f"{path}[{index}]", errors)
        name = None if text is None else errors.attempt(parse_network_name, text, f"{path}[{index}]")
        if name is not None and name.text in found:
            errors.add(f"{path}[{index}]", f"{quote(name.text)} is a duplicate; list each network once")
        elif name is not None:
            found.append(name.text)
    return tuple(found)


def misplaced_networks(document: Mapping[str, Any], root: str) -> list[str]:
    """Return an error if a Pod or Node has the annotation of a Namespace; ``root`` is its path."""
    metadata = document.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    if not isinstance(annotations, dict) or NETWORKS not in annotations:
        return []
    return [f"{annotation_path(root, NETWORKS)}: {_NAMESPACE_ONLY}"]


def annotation_path(root: str, key: str) -> str:
    """Return the path of an annotation in errors; ``root`` is ``egressip/NAME``."""
    return f"{root}: metadata.annotations[{quote(key)}]"


def _check_keys(annotations: Mapping[Any, Any], root: str, errors: Errors, known: Sequence[str] = _OF_EGRESSIP) -> None:
    """Add an error for each annotation of the collection that is not among ``known``."""
    for key in annotations:
        if isinstance(key, str) and key.startswith(PREFIX) and key not in known:
            errors.add(annotation_path(root, key), _why_unknown(key, known))


def _why_unknown(key: str, known: Sequence[str]) -> str:
    if key == NETWORKS:
        return _NAMESPACE_ONLY
    if key in _OF_EGRESSIP:
        return "has an effect on an EgressIP only; move it there"
    near = did_you_mean(key[len(PREFIX) :], [each[len(PREFIX) :] for each in known])
    hint = f"did you mean {PREFIX}{near}?" if near else f"expected one of {', '.join(known)}"
    return f"unknown annotation; {hint}"
