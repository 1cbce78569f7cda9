# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of a node's desired state for pods that start between runs. PRIVATE to the collection. No I/O.

The program that a container engine calls when it starts a pod chooses the pod's objects by these rules. Only states of
nodes with `egress_ip_follow` have them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .._common.errors import Errors
from .._common.messages import quote, type_name
from .._common.network_names import PODMAN
from .._common.selectors import Selector, is_dns_label
from .._common.validation import NO_MAPPING, check_fields, check_list, check_mapping, check_string

KUBERNETES = "kubernetes"
ENGINES = (KUBERNETES, PODMAN)
# The credentials of kubeadm's kubelets, which may read the pods of their own node.
KUBECONFIG = "/etc/kubernetes/kubelet.conf"

_FIELDS = ("engines", "kubeconfig", "namespaces")
_NAMESPACE_FIELDS = ("name", "rules")
_RULE_FIELDS = ("egressip", "podSelector")


@dataclass(frozen=True)
class PodRule:
    """An object that selects pods of a namespace: all of them, or those with the labels of `pod_selector`."""

    egressip: str
    pod_selector: Selector | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the rule as a JSON-safe dict, with the selector in the manifests' form."""
        selector = {} if self.pod_selector is None else {"podSelector": self.pod_selector.to_dict()}
        return {"egressip": self.egressip, **selector}


@dataclass(frozen=True)
class FollowedNamespace:
    """A namespace, by the name that the engine has for it, and its rules in the order of the objects' names."""

    name: str
    rules: tuple[PodRule, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the namespace as a JSON-safe dict."""
        return {"name": self.name, "rules": [rule.to_dict() for rule in self.rules]}


@dataclass(frozen=True)
class Follow:
    """The engines whose pods are followed, and the rules by which a pod gets its objects.

    A namespace that is not among `namespaces` is unknown. `kubeconfig` is the node's file with the credentials to read
    a pod's labels.
    """

    engines: tuple[str, ...]
    namespaces: tuple[FollowedNamespace, ...] = ()
    kubeconfig: str = KUBECONFIG

    def to_dict(self) -> dict[str, Any]:
        """Return the part of the state as a JSON-safe dict."""
        namespaces = [item.to_dict() for item in self.namespaces]
        return {"engines": list(self.engines), "kubeconfig": self.kubeconfig, "namespaces": namespaces}

    @classmethod
    def from_dict(cls, value: object, path: str, errors: Errors) -> Follow | None:
        """Return the Follow in a mapping, None without a value; adds every error with its path."""
        if value is None:
            return None
        fields = check_mapping(value, path, errors)
        check_fields(fields, f"{path}.", _FIELDS, errors)
        listed = check_list(fields.get("namespaces", ()), f"{path}.namespaces", errors)
        return cls(
            engines=read_engines(fields.get("engines"), f"{path}.engines", errors),
            kubeconfig=read_kubeconfig(fields.get("kubeconfig", KUBECONFIG), f"{path}.kubeconfig", errors),
            namespaces=tuple(_namespace(item, f"{path}.namespaces[{i}]", errors) for i, item in enumerate(listed)),
        )

    @property
    def objects(self) -> set[str]:
        """Return the names of all objects in rules."""
        return {rule.egressip for item in self.namespaces for rule in item.rules}


def read_engines(value: object, path: str, errors: Errors) -> tuple[str, ...]:
    """Return the sorted names of engines in a list; adds an error for an unknown one."""
    names = check_list(value, path, errors)
    for i, name in enumerate(names):
        if name not in ENGINES:
            shown = quote(name) if isinstance(name, str) else type_name(name)
            errors.add(f"{path}[{i}]", f"must be {' or '.join(ENGINES)}, not {shown}")
    return tuple(sorted({name for name in names if name in ENGINES}))


def read_kubeconfig(value: object, path: str, errors: Errors) -> str:
    """Return an absolute path; adds an error for another value."""
    text = check_string(value, path, errors) or ""
    if text and not (text.startswith("/") and text.isprintable()):
        errors.add(path, f"must be an absolute path of a file on the node, not {quote(text)}")
    return text


def _namespace(value: object, path: str, errors: Errors) -> FollowedNamespace:
    fields = check_mapping(value, path, errors)
    check_fields(fields, f"{path}.", _NAMESPACE_FIELDS, errors)
    name = check_string(fields.get("name"), f"{path}.name", errors) or ""
    if name and not is_dns_label(name):
        errors.add(f"{path}.name", f"must be the name of a namespace, not {quote(name)}")
    listed = check_list(fields.get("rules", ()), f"{path}.rules", errors)
    return FollowedNamespace(name, tuple(_rule(each, f"{path}.rules[{i}]", errors) for i, each in enumerate(listed)))


def _rule(value: object, path: str, errors: Errors) -> PodRule:
    fields: Mapping[str, Any] = check_mapping(value, path, errors)
    if fields is not NO_MAPPING:
        check_fields(fields, f"{path}.", _RULE_FIELDS, errors)
    name = check_string(fields.get("egressip"), f"{path}.egressip", errors) or ""
    written = fields.get("podSelector")
    selector = None if written is None else errors.attempt(Selector.from_dict, written, f"{path}.podSelector")
    return PodRule(name, selector)
