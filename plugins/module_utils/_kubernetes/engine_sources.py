# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Engines of containers and VMs as sources of pods: their settings. PRIVATE to the collection. Pure.

The nodes read their engines themselves, when a run observes them. A container is a pod of the namespace that names its
network, else of the namespace of its engine. Anyone who may start containers can write their labels, so a label can
only choose among the namespaces that the settings list.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from .._common.errors import Errors
from .._common.messages import quote
from .._common.network_names import ENGINES
from .._common.selectors import is_namespace_name
from .._common.validation import check_fields, check_list, check_mapping, check_string
from .annotations import PREFIX
from .objects import DEFAULT_NAMESPACE

NAMESPACE_LABEL = f"{PREFIX}namespace"
_FIELDS = ("namespace", "namespaces")


class EngineSource(NamedTuple):
    """An engine of all nodes, the namespace of its containers, and those that a label may choose instead."""

    engine: str
    namespace: str = DEFAULT_NAMESPACE
    namespaces: tuple[str, ...] = ()

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> EngineSource:
        """Return the EngineSource of the dict that ``to_dict`` returned."""
        return cls(value["engine"], value["namespace"], tuple(value["namespaces"]))

    def to_dict(self) -> dict[str, Any]:
        """Return ``{engine, namespace, namespaces}``."""
        return {**self._asdict(), "namespaces": list(self.namespaces)}


def engine_of(source: object) -> str:
    """Return the engine that a source of manifests names, empty for other sources."""
    key = next(iter(source)) if isinstance(source, Mapping) and len(source) == 1 else None
    return str(key) if key in ENGINES else ""


def read_engines(sources: Iterable[tuple[str, Any]]) -> list[EngineSource]:
    """Return the EngineSources of (path, source). Raises InvalidError with every error."""
    errors = Errors()
    found: dict[str, EngineSource] = {}
    for path, source in sources:
        engine = engine_of(source)
        if engine in found:
            errors.add(f"{path}.{engine}", "is a duplicate; list each engine once")
        found[engine] = _read(engine, source[engine], f"{path}.{engine}", errors)
    errors.raise_if_any()
    return list(found.values())


def _read(engine: str, value: object, path: str, errors: Errors) -> EngineSource:
    written = check_mapping(value, path, errors)
    check_fields(written, f"{path}.", _FIELDS, errors)
    default = _namespace(written.get("namespace", DEFAULT_NAMESPACE), f"{path}.namespace", errors)
    listed = check_list(written.get("namespaces") or [], f"{path}.namespaces", errors)
    names = [_namespace(name, f"{path}.namespaces[{index}]", errors) for index, name in enumerate(listed)]
    return EngineSource(engine, default, tuple(names))


def _namespace(value: object, path: str, errors: Errors) -> str:
    name = check_string(value, path, errors)
    if name is not None and not is_namespace_name(name):
        errors.add(path, f"must be the name of a namespace, not {quote(name)}")
    return name or ""
