# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The CNI plugin of a node: gives a pod its class before its first packet. PRIVATE to the collection.

A container runtime starts it for each pod, after the plugin that connected the pod, whose result it passes through
unchanged. It imports little: most of the time of a start are imports.
"""

from __future__ import annotations

import json
import sys
import time

from .._common.json_object import json_object
from .._dataplane.pod_classes import (
    CNI_VERSIONS,
    DELETE_POLICIES,
    add_lines,
    all_verdicts,
    classify,
    lacks_labels,
    needs_labels,
    policy_lines,
    replace_lines,
)
from .._host_io import pod_notes
from .._host_io.pod_notes import NoteError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

# Codes of the CNI specification.
_INCOMPATIBLE, _BAD_ENVIRONMENT, _NOT_DECODED, _BAD_CONFIG, _TRY_AGAIN = 1, 4, 6, 7, 11
_PLUGIN_NOT_AVAILABLE, _MISSING_POD = 50, 100
_RETRY_SECONDS = 1
_LARGEST_INPUT, _LARGEST_ARGS, _MOST_ADDRESSES = 4 << 20, 4096, 16
_MOST_NAME, _MOST_LABEL, _MOST_KEY = 253, 63, 200
_LOWER, _DIGITS = "abcdefghijklmnopqrstuvwxyz", "0123456789"
_KEY_CHARACTERS = {*_LOWER, *_LOWER.upper(), *_DIGITS, *"_.-"}


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
    """Give the addresses of a pod their class, and pass the result of the plugin before through."""
    result = config.get("prevResult")
    key, rules = _key(environment), pod_notes.read_rules()
    addresses = _addresses(result, {*rules["reserved"]})
    namespace, name = _pod(environment)
    labels = _labels(rules, namespace, name)
    pod = {"name": f"{namespace}/{name}" if name else "", "addresses": addresses, "labels": labels}
    with pod_notes.lock():
        # A run may have changed them, with the tables that they fit.
        rules = pod_notes.read_rules()
        verdicts = classify(rules, namespace, labels, addresses)
        pod_notes.remove_note(key)
        note = {**pod, "verdicts": verdicts}
        pod_notes.write_note(key, note)
        if lacks_labels(rules, note):
            # The watch reads them.
            pod_notes.note_closed(True)
        try:
            _set(rules, verdicts)
        except NoteError:
            pod_notes.remove_note(key)
            raise
    _forget_connections(addresses)
    _print(result)


def retry_closed() -> None:
    """Classify the pods that are closed because their labels could not be read, if they can be read now."""
    try:
        _retry_closed()
    except (NoteError, OSError) as error:
        sys.stderr.write(f"netops.egress_ip: {error}\n")


def _retry_closed() -> None:
    from .._host_io.pod_labels import read_labels  # noqa: PLC0415

    started = time.monotonic()
    with pod_notes.lock(_RETRY_SECONDS):
        rules = pod_notes.read_rules()
        closed = {key: note for key, note in pod_notes.read_notes().items() if lacks_labels(rules, note)}
        pod_notes.note_closed(bool(closed))
    for key, note in closed.items():
        # The watch must not be late. The server may not know one pod, so the others follow.
        if time.monotonic() - started > _RETRY_SECONDS:
            return
        namespace, _slash, name = note["name"].partition("/")
        try:
            labels = read_labels(rules["kubeconfig"], namespace, name)
        except NoteError:
            continue
        with pod_notes.lock(_RETRY_SECONDS):
            # A run may have changed them, with the tables that they fit.
            rules = pod_notes.read_rules()
            if key in pod_notes.all_keys():
                verdicts = classify(rules, namespace, labels, note["addresses"])
                pod_notes.write_note(key, {**note, "labels": labels, "verdicts": verdicts})
                _replace_all(rules)
                sys.stderr.write(f"netops.egress_ip: pod {namespace}/{name} is no longer closed\n")


def _labels(rules: Mapping[str, Any], namespace: str, name: str) -> dict[str, str] | None:
    """Return the labels of a pod if they decide, else None. A pod whose labels cannot be read is closed."""
    if not needs_labels(rules, namespace):
        return None
    from .._host_io.pod_labels import read_labels  # noqa: PLC0415

    try:
        return read_labels(rules["kubeconfig"], namespace, name)
    except NoteError as error:
        sys.stderr.write(f"netops.egress_ip: pod {namespace}/{name} is closed: {error}\n")
        return None


def _set(rules: Mapping[str, Any], verdicts: Mapping[str, str]) -> None:
    """Add addresses to the tables; if one of them is there already with another class, replace all."""
    if pod_notes.run("nft", ("-f", "-"), "\n".join(add_lines(verdicts)) + "\n"):
        _replace_all(rules)
    else:
        _add_policies(rules, verdicts)


def _replace_all(rules: Mapping[str, Any]) -> None:
    """Make the tables and policies fit the notes of all pods. Raises NoteError if the tables do not exist."""
    verdicts = all_verdicts(pod_notes.read_notes().values())
    _check("nft", ("-f", "-"), replace_lines(verdicts))
    _check("ip", DELETE_POLICIES)
    _add_policies(rules, verdicts)


def _add_policies(rules: Mapping[str, Any], verdicts: Mapping[str, str]) -> None:
    lines = policy_lines(rules, verdicts)
    if lines:
        _check("ip", ("-batch", "-"), lines)


def _check(program: str, arguments: Sequence[str], lines: Iterable[str] = ()) -> None:
    message = pod_notes.run(program, arguments, "".join(f"{line}\n" for line in lines))
    if message:
        raise NoteError(f"the pod cannot be classified: {program}: {message}")


def _delete(environment: Mapping[str, str], _config: Mapping[str, Any]) -> None:
    """Remove the class of a pod. Without a note of it there is nothing to do."""
    key = _key(environment)
    with pod_notes.lock():
        if pod_notes.remove_note(key):
            _replace_all_if_possible()


def _replace_all_if_possible() -> None:
    """Remove classes of pods that are gone. While the tables or rules are gone, there are none."""
    try:
        _replace_all(pod_notes.read_rules())
    except NoteError as error:
        sys.stderr.write(f"netops.egress_ip: {error}\n")


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
        gone = [key for key in pod_notes.all_keys() if key not in valid]
        if [key for key in gone if pod_notes.remove_note(key)]:
            _replace_all_if_possible()


def _status(_environment: Mapping[str, str], _config: Mapping[str, Any]) -> None:
    """Check that a pod could be classified now."""
    try:
        pod_notes.read_rules()
        _check("nft", ("list", "table", "inet", "egress_ip"))
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
        if not value or len(value) > _MOST_KEY or not {*value} <= _KEY_CHARACTERS or value[0] in "._-":
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
            raise CniError(_BAD_ENVIRONMENT, f"CNI_ARGS: has the key {ascii(key[:_MOST_LABEL])} twice")
        found[key] = value
    namespace, name = found.get("K8S_POD_NAMESPACE", ""), found.get("K8S_POD_NAME", "")
    if not namespace:
        return "", ""
    if len(namespace) > _MOST_LABEL or not _is_label(namespace):
        raise CniError(_BAD_ENVIRONMENT, "CNI_ARGS: K8S_POD_NAMESPACE must be the name of a namespace")
    if len(name) > _MOST_NAME or not all(map(_is_label, name.split("."))):
        raise CniError(_BAD_ENVIRONMENT, "CNI_ARGS: K8S_POD_NAME must be the name of a pod")
    return namespace, name


def _is_label(text: str) -> bool:
    """Return whether a text has the characters of an RFC 1123 label."""
    inside = text.strip("-") == text != ""
    return inside and {*text} <= {*_LOWER, *_DIGITS, "-"}


def _addresses(result: object, reserved: Iterable[str]) -> list[str]:
    """Return the addresses of the pod in the result of the plugin before. Raises CniError if it is malformed."""
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


def _address(text: object, path: str, reserved: Iterable[str]) -> str:
    # `ipaddress` and `socket` would take a third of the time of a start.
    from _socket import AF_INET, AF_INET6, inet_ntop, inet_pton  # noqa: PLC0415

    address = text.partition("/")[0] if isinstance(text, str) else ""
    family = AF_INET6 if ":" in address else AF_INET
    try:
        packed = inet_pton(family, address)
    except (OSError, ValueError):
        raise CniError(_BAD_CONFIG, f"{path}: must be an address with a prefix length") from None
    if _is_no_unicast(packed):
        raise CniError(_BAD_CONFIG, f"{path}: {address} cannot be the address of a pod")
    canonical = inet_ntop(family, packed)
    if canonical in reserved:
        raise CniError(_BAD_CONFIG, f"{path}: {canonical} is an address of a node or an egress IP, not of a pod")
    return canonical


def _is_no_unicast(packed: bytes) -> bool:
    """Return whether an address is unspecified, of the loopback or link, or multicast."""
    if len(packed) == 4:
        return packed[0] in (0, 127) or packed[0] >= 224 or packed[:2] == b"\xa9\xfe"
    return packed[0] in (0, 0xFF) or packed[:2] == b"\xfe\x80"


def _forget_connections(addresses: Sequence[str]) -> None:
    """Forget the connections of former pods with these addresses: a new pod must not inherit their source."""
    from .._host_io.pod_connections import forget  # noqa: PLC0415

    forget(addresses)
