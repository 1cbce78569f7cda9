# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The CNI plugin of a node: gives a pod its class before its first packet. PRIVATE to the collection.

A container runtime starts it for each pod, after the plugin that connected the pod, whose result it passes through
unchanged. It imports little, since imports take most of the time of a start.
"""

from __future__ import annotations

import json
import sys

from .._common.json_object import json_object
from .._dataplane.pod_classes import CNI_VERSIONS, add_lines
from .._host_io import pod_notes
from .._host_io.pod_notes import NoteError
from .pod_admission import (
    admit,
    check,
    dismiss,
    forget_connections,
    is_identifier,
    is_namespace,
    is_pod_name,
    labels_of,
    pod_address,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from typing import Any

# Codes of the CNI specification.
_INCOMPATIBLE, _BAD_ENVIRONMENT, _NOT_DECODED, _BAD_CONFIG, _TRY_AGAIN = 1, 4, 6, 7, 11
_PLUGIN_NOT_AVAILABLE, _MISSING_POD = 50, 100
_LARGEST_INPUT, _LARGEST_ARGS, _MOST_ADDRESSES, _SHOWN = 4 << 20, 4096, 16, 63


class CniError(Exception):
    """An error for the runtime, with a code of the specification."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def main(environment: Mapping[str, str], text: bytes) -> int:
    """Carry out the command of a runtime: print its result or an error as JSON; returns the exit status."""
    version = CNI_VERSIONS[-1]
    try:
        command = environment.get("CNI_COMMAND", "")
        if command == "VERSION":
            _print({"cniVersion": version, "supportedVersions": list(CNI_VERSIONS)})
            return 0
        config = _config(text)
        version = _version(config)
        if command not in _COMMANDS:
            raise CniError(_BAD_ENVIRONMENT, "CNI_COMMAND: must be ADD, DEL, CHECK, GC, STATUS or VERSION")
        _COMMANDS[command](environment, config)
    except CniError as error:
        return _print_error(version, error.code, str(error))
    except (NoteError, OSError) as error:
        return _print_error(version, _TRY_AGAIN, str(error))
    return 0


def _print(result: object) -> None:
    sys.stdout.write(f"{json.dumps(result)}\n")


def _print_error(version: str, code: int, text: str) -> int:
    _print({"cniVersion": version, "code": code, "msg": f"netops.egress_ip: {text}"})
    return 1


def _config(text: bytes) -> dict[str, Any]:
    if len(text) > _LARGEST_INPUT:
        raise CniError(_NOT_DECODED, f"the configuration is larger than {_LARGEST_INPUT} bytes")
    config = json_object(text)
    if config is None:
        raise CniError(_NOT_DECODED, "the configuration is not a JSON object")
    return config


def _version(config: Mapping[str, Any]) -> str:
    version = config.get("cniVersion")
    if version not in CNI_VERSIONS:
        raise CniError(_INCOMPATIBLE, f"cniVersion: must be one of {', '.join(CNI_VERSIONS)}")
    return str(version)


def _add(environment: Mapping[str, str], config: Mapping[str, Any]) -> None:
    """Give the addresses of a pod their class, and pass the result of the previous plugin through."""
    result = config.get("prevResult")
    key, rules = _key(environment), pod_notes.read_rules()
    addresses = _addresses(result, {*rules["reserved"]})
    namespace, name = _pod(environment)
    labels = labels_of(rules, namespace, name)
    admit(key, {"name": f"{namespace}/{name}" if name else "", "addresses": addresses, "labels": labels})
    forget_connections(addresses)
    _print(result)


def _delete(environment: Mapping[str, str], _config: Mapping[str, Any]) -> None:
    """Remove the class of a pod. Without a note of it there is nothing to do."""
    key = _key(environment)
    with pod_notes.lock():
        dismiss([key])


def _check_pod(environment: Mapping[str, str], config: Mapping[str, Any]) -> None:
    """Check that a pod has the class of its note."""
    note = pod_notes.read_note(_key(environment))
    if note is None:
        raise CniError(_MISSING_POD, "this node has not classified the pod")
    wanted = _addresses(config.get("prevResult"), ())
    if not {*wanted} <= {*note["addresses"]}:
        raise CniError(_MISSING_POD, "the pod has other addresses than those that were classified")
    # To add an element again with the same class succeeds and changes nothing.
    message = pod_notes.run("nft", ("-c", "-f", "-"), "\n".join(add_lines(note["verdicts"])) + "\n")
    if message:
        raise CniError(_MISSING_POD, f"the tables have another class for the pod: {message}")


def _collect(_environment: Mapping[str, str], config: Mapping[str, Any]) -> None:
    """Remove the notes of all pods that the runtime does not list."""
    listed = config.get("cni.dev/valid-attachments", config.get("cni.dev/attachments"))
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise CniError(_BAD_CONFIG, "cni.dev/valid-attachments: must be a list of attachments")
    valid = {_file_name(str(each.get("containerID", "")), str(each.get("ifname", ""))) for each in listed}
    with pod_notes.lock():
        # A note without a colon is one of a container of another engine.
        dismiss([key for key in pod_notes.all_keys() if ":" in key and key not in valid])


def _status(_environment: Mapping[str, str], _config: Mapping[str, Any]) -> None:
    """Check that a pod could be classified now."""
    try:
        pod_notes.read_rules()
        check("nft", ("list", "table", "inet", "egress_ip"))
    except NoteError as error:
        raise CniError(_PLUGIN_NOT_AVAILABLE, str(error)) from None


_COMMANDS = {
    "ADD": _add,
    "DEL": _delete,
    "CHECK": _check_pod,
    "GC": _collect,
    "STATUS": _status,
}


def _key(environment: Mapping[str, str]) -> str:
    return _file_name(environment.get("CNI_CONTAINERID", ""), environment.get("CNI_IFNAME", ""))


def _file_name(container: str, interface: str) -> str:
    """Return the name of the note of a pod's interface. Raises CniError for what the specification does not allow."""
    for name, value in (("CNI_CONTAINERID", container), ("CNI_IFNAME", interface)):
        if not is_identifier(value):
            raise CniError(_BAD_ENVIRONMENT, f"{name}: must be a letter or digit, then letters, digits, '_', '.', '-'")
    # An identifier has no colon.
    return f"{container}:{interface}"


def _pod(environment: Mapping[str, str]) -> tuple[str, str]:
    """Return (namespace, name) of a pod of Kubernetes in CNI_ARGS; both empty for something else."""
    text = environment.get("CNI_ARGS", "")
    if len(text) > _LARGEST_ARGS:
        raise CniError(_BAD_ENVIRONMENT, f"CNI_ARGS: is longer than {_LARGEST_ARGS} characters")
    found: dict[str, str] = {}
    for pair in text.split(";") if text else ():
        key, equals, value = pair.partition("=")
        if not equals:
            raise CniError(_BAD_ENVIRONMENT, "CNI_ARGS: must be pairs KEY=VALUE with ; between them")
        if key in found:
            raise CniError(_BAD_ENVIRONMENT, f"CNI_ARGS: has the key {ascii(key[:_SHOWN])} twice")
        found[key] = value
    namespace, name = found.get("K8S_POD_NAMESPACE", ""), found.get("K8S_POD_NAME", "")
    if not namespace:
        return "", ""
    if not is_namespace(namespace):
        raise CniError(_BAD_ENVIRONMENT, "CNI_ARGS: K8S_POD_NAMESPACE must be the name of a namespace")
    if not is_pod_name(name):
        raise CniError(_BAD_ENVIRONMENT, "CNI_ARGS: K8S_POD_NAME must be the name of a pod")
    return namespace, name


def _addresses(result: object, reserved: Collection[str]) -> list[str]:
    """Return the addresses of the pod in the result of the previous plugin. Raises CniError if it is malformed."""
    if not isinstance(result, dict):
        raise CniError(_BAD_CONFIG, "prevResult: is missing; the plugin must come after one that connects the pod")
    interfaces, listed = ([] if result.get(key) is None else result[key] for key in ("interfaces", "ips"))
    if not isinstance(listed, list) or not isinstance(interfaces, list):
        raise CniError(_BAD_CONFIG, "prevResult: ips and interfaces must be lists")
    if len(listed) > _MOST_ADDRESSES:
        raise CniError(_BAD_CONFIG, f"prevResult.ips: must be at most {_MOST_ADDRESSES} addresses")
    found = []
    for i, item in enumerate(listed):
        path = f"prevResult.ips[{i}]"
        if not isinstance(item, dict):
            raise CniError(_BAD_CONFIG, f"{path}: must be a mapping")
        if _is_of_pod(item.get("interface"), interfaces, f"{path}.interface"):
            found.append(_address(item.get("address"), f"{path}.address", reserved))
    return sorted({*found})


def _is_of_pod(index: object, interfaces: Sequence[Any], path: str) -> bool:
    """Return whether an address is on an interface of the pod, and not on one of the host."""
    if index is None:
        return True
    if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < len(interfaces):
        raise CniError(_BAD_CONFIG, f"{path}: must be the number of an entry in interfaces")
    return isinstance(interfaces[index], dict) and bool(interfaces[index].get("sandbox"))


def _address(text: object, path: str, reserved: Collection[str]) -> str:
    try:
        return pod_address(text.partition("/")[0] if isinstance(text, str) else "", reserved)
    except ValueError as error:
        raise CniError(_BAD_CONFIG, f"{path}: {error}") from None
