# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Labels and label selectors, as Kubernetes defines them. PRIVATE to the collection. Pure."""

from __future__ import annotations

import re
from typing import Any, Iterable, Mapping, NamedTuple

from .errors import Errors
from .messages import expected_string, pasted_hint, quote, type_name
from .pod_rules import meets
from .validation import check_fields, check_list, check_mapping, check_string, did_you_mean, required

_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_DNS_SUBDOMAIN = re.compile(rf"{_DNS_LABEL.pattern}(\.{_DNS_LABEL.pattern})*")
_MAX_NAME = 63
_MAX_SUBDOMAIN = 253
_SELECTOR_FIELDS = ("matchLabels", "matchExpressions")
_EXPRESSION_FIELDS = ("key", "operator", "values")
_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")
_OPERATORS_WITH_VALUES = ("In", "NotIn")
_NAME_RULE = "letters, digits, '-', '_' and '.', beginning and ending with a letter or digit"


def is_dns_label(text: str) -> bool:
    """Return whether ``text`` is an RFC 1123 label, as the name of a namespace must be."""
    return len(text) <= _MAX_NAME and _DNS_LABEL.fullmatch(text) is not None


def is_dns_subdomain(text: str) -> bool:
    """Return whether ``text`` is an RFC 1123 subdomain, as most names in Kubernetes must be."""
    return len(text) <= _MAX_SUBDOMAIN and _DNS_SUBDOMAIN.fullmatch(text) is not None


def is_namespace_name(name: str) -> bool:
    """Return whether this is the name of a namespace, of a named cluster too: CLUSTER.NAMESPACE."""
    parts = name.split(".")
    return len(parts) <= 2 and all(map(is_dns_label, parts))


def parse_labels(value: object, path: str) -> dict[str, str]:
    """Return labels as a dict of str to str; InvalidError has every error.

    As in Kubernetes, a null value (``k8s.ovn.org/egress-assignable:``) is the empty string.
    """
    errors = Errors()
    labels = _read_labels(value, path, errors, null="")
    errors.raise_if_any()
    return labels


class Requirement(NamedTuple):
    """One entry of matchExpressions; ``values`` is a sorted tuple, empty for Exists and DoesNotExist."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether ``labels`` meet the requirement. A missing key meets NotIn."""
        return meets(self.key, self.operator, self.values, labels)

    def to_dict(self) -> dict[str, Any]:
        """Return the requirement in the manifests' form."""
        result: dict[str, Any] = {"key": self.key, "operator": self.operator}
        if self.values:
            result["values"] = list(self.values)
        return result


class Selector(NamedTuple):
    """A Kubernetes LabelSelector. ``match_labels`` is a sorted tuple of (key, value)."""

    match_labels: tuple[tuple[str, str], ...] = ()
    match_expressions: tuple[Requirement, ...] = ()

    @classmethod
    def from_dict(cls, value: object, path: str) -> Selector:
        """Return the selector of ``value``, a mapping in the manifests' form; InvalidError has every error."""
        errors = Errors()
        written = check_mapping(value, path, errors)
        check_fields(written, f"{path}.", _SELECTOR_FIELDS, errors)
        labels = _read_labels(written.get("matchLabels", {}), f"{path}.matchLabels", errors)
        listed = check_list(written.get("matchExpressions", []), f"{path}.matchExpressions", errors)
        expressions = [
            errors.attempt(parse_requirement, entry, f"{path}.matchExpressions[{index}]")
            for index, entry in enumerate(listed)
        ]
        errors.raise_if_any()
        return cls(tuple(sorted(labels.items())), tuple(each for each in expressions if each is not None))

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether ``labels`` are selected. The empty selector selects everything."""
        return all(labels.get(key) == value for key, value in self.match_labels) and all(
            requirement.matches(labels) for requirement in self.match_expressions
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the selector in the manifests' form, without empty parts."""
        result: dict[str, Any] = {}
        if self.match_labels:
            result["matchLabels"] = dict(self.match_labels)
        if self.match_expressions:
            result["matchExpressions"] = [requirement.to_dict() for requirement in self.match_expressions]
        return result


class LabelIndex:
    """Objects by their labels, so that a selector with ``matchLabels`` examines few of them."""

    def __init__(self, labels: Mapping[str, Mapping[str, str]]) -> None:
        """``labels`` is {object name: {key: value}}."""
        self._labels = labels
        self._names: dict[tuple[str, str], list[str]] = {}
        for name, own in labels.items():
            for item in own.items():
                self._names.setdefault(item, []).append(name)

    def selected_by(self, selector: Selector) -> list[str]:
        """Return the names of the selected objects, in the order in which they were given."""
        candidates: Iterable[str] = self._labels
        if selector.match_labels:
            candidates = self._names.get(selector.match_labels[0], ())
        return [name for name in candidates if selector.matches(self._labels[name])]


def _read_labels(value: object, path: str, errors: Errors, null: str | None = None) -> dict[str, str]:
    """Return the valid labels as a dict and add every error; ``null`` replaces a null value."""
    labels = {}
    for key, label in check_mapping(value, path, errors).items():
        where = f"{path}[{quote(key) if isinstance(key, str) else type_name(key)}]"
        check_label_key(key, where, errors)
        labels[str(key)] = _check_label_value(null if label is None else label, where, errors) or ""
    return labels


def parse_requirement(value: object, path: str) -> Requirement:
    """Return the Requirement of ``value``, a mapping in the manifests' form; InvalidError has every error."""
    errors = Errors()
    written = check_mapping(value, path, errors)
    check_fields(written, f"{path}.", _EXPRESSION_FIELDS, errors)
    key = required(written, "key", f"{path}.", errors)
    if "key" in written:
        check_label_key(key, f"{path}.key", errors)
    operator = required(written, "operator", f"{path}.", errors)
    if "operator" in written:
        operator = _check_operator(operator, f"{path}.operator", errors)
    values = _parse_values(written, operator, f"{path}.values", errors)
    errors.raise_if_any()
    return Requirement(str(key), operator, values)


def _check_operator(value: object, path: str, errors: Errors) -> str | None:
    operator = check_string(value, path, errors)
    if operator is None or operator in _OPERATORS:
        return operator
    near = did_you_mean(operator, _OPERATORS)
    hint = f"; did you mean {near}?" if near else ""
    errors.add(path, f"must be one of {', '.join(_OPERATORS)}, not {quote(operator)}{hint}")
    return None


def _parse_values(expression: Mapping[str, Any], operator: str | None, path: str, errors: Errors) -> tuple[str, ...]:
    """Return the sorted ``values`` of ``expression``, checked against its operator (None: unknown)."""
    written = expression.get("values", [])
    listed = check_list(written, path, errors)
    values = [_check_label_value(value, f"{path}[{index}]", errors) for index, value in enumerate(listed)]
    takes_values = operator in _OPERATORS_WITH_VALUES
    if takes_values and "values" not in expression:
        errors.add(path, f"is missing; {operator} needs at least one value")
    elif takes_values and not listed and listed is written:
        errors.add(path, f"is empty; {operator} needs at least one value")
    elif operator is not None and not takes_values and values:
        errors.add(path, f"must be left out with {operator}")
    return tuple(sorted({value for value in values if value is not None}))


def check_label_key(key: object, path: str, errors: Errors) -> None:
    """Add an error unless ``key`` is a valid key of a label."""
    if not isinstance(key, str):
        errors.add(path, f"the key {expected_string(key)}")
        return
    prefix, slash, name = key.rpartition("/")
    if pasted_hint(key):
        errors.add(path, f"the key {quote(key)} {pasted_hint(key)}")
    elif slash and not is_dns_subdomain(prefix):
        errors.add(path, f"the prefix of the key {quote(key)} must be a lower-case DNS name of at most 253 characters")
    elif len(name) > _MAX_NAME or not _NAME.fullmatch(name):
        errors.add(path, f"{quote(key)} is not a valid label key; its name must have 1 to {_MAX_NAME} {_NAME_RULE}")


def _check_label_value(value: object, path: str, errors: Errors) -> str | None:
    """Return the label value as a plain str; None after an error."""
    if not isinstance(value, str):
        hint = '; write "" for the empty value' if value is None else ""
        errors.add(path, f"{expected_string(value)}{hint}")
    elif pasted_hint(value):
        errors.add(path, f"{quote(value)} {pasted_hint(value)}")
    elif value and (len(value) > _MAX_NAME or not _NAME.fullmatch(value)):
        errors.add(path, f"{quote(value)} is not a valid label value; use at most {_MAX_NAME} {_NAME_RULE}")
    else:
        return str(value)
    return None
