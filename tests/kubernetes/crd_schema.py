# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the schema of a CustomResourceDefinition as the API server does: defaults, pruning, validation, columns."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import jsonschema


def complete(value: Any, schema: Mapping[str, Any]) -> Any:
    """Return a value with the defaults of the schema and without the fields that it does not name."""
    if isinstance(value, Mapping) and "properties" in schema:
        known = schema["properties"]
        kept = {key: complete(value[key], known[key]) for key in value if key in known and value[key] is not None}
        if schema.get("x-kubernetes-preserve-unknown-fields"):
            kept = {**value, **kept}
        absent = {key: part["default"] for key, part in known.items() if "default" in part and key not in kept}
        return {**kept, **copy.deepcopy(absent)}
    if isinstance(value, list) and "items" in schema:
        return [complete(each, schema["items"]) for each in value]
    return value


def faults(value: Any, schema: Mapping[str, Any]) -> str:
    """Return what is wrong with a value, empty if it is valid."""
    found = sorted(jsonschema.Draft7Validator(schema).iter_errors(value), key=lambda each: list(map(str, each.path)))
    return "; ".join(f"{'.'.join(map(str, each.path))}: {each.message}" for each in found)


def structural_faults(schema: Mapping[str, Any], path: str = "openAPIV3Schema") -> list[str]:
    """Return where a schema is not structural: each field has a type, and none of the forbidden keywords.

    https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
    """
    forbidden = {"definitions", "dependencies", "deprecated", "discriminator", "id", "patternProperties", "readOnly"}
    forbidden |= {"writeOnly", "xml", "$ref"}
    found = [f"{path}: {key} is forbidden" for key in schema if key in forbidden]
    if not schema.get("type") and not schema.get("x-kubernetes-int-or-string"):
        found.append(f"{path}: has no type")
    if "properties" in schema and "additionalProperties" in schema:
        found.append(f"{path}: has both properties and additionalProperties")
    parts = {f"{path}.{key}": part for key, part in schema.get("properties", {}).items()}
    parts |= {f"{path}.{key}": schema[key] for key in ("items", "additionalProperties") if key in schema}
    return found + [fault for where, part in parts.items() for fault in structural_faults(part, where)]


def column(document: Mapping[str, Any], wanted: Mapping[str, Any]) -> str | None:
    """Return the text of a printer column: as the API server, the first of several values, and lists as JSON."""
    found: list[Any] = [document]
    for name, every in re.findall(r"\.([A-Za-z]+)(\[\*\])?", wanted["jsonPath"]):
        found = [each[name] for each in found if isinstance(each, Mapping) and name in each]
        if every:
            found = [item for each in found for item in each]
    if not found:
        return None
    if wanted.get("type") == "date":
        return f"{(datetime.now(UTC) - datetime.fromisoformat(found[0])).seconds}s"
    return found[0] if isinstance(found[0], str) else json.dumps(found[0], sort_keys=True, separators=(",", ":"))
