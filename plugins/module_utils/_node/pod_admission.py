# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The class of a pod that starts between runs, in the notes and tables of its node. PRIVATE to the collection.

The programs that start with each pod use it: `cni` for pods of Kubernetes, `oci_hook` for containers of Podman and
CRI-O. So it imports almost nothing.
"""

from __future__ import annotations

import sys
import time

from .._common.pod_rules import is_no_unicast
from .._dataplane.pod_classes import (
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
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from typing import Any

RETRY_SECONDS = 1
_MOST_NAME, _MOST_LABEL, _MOST_KEY = 253, 63, 200
_LOWER, _DIGITS = "abcdefghijklmnopqrstuvwxyz", "0123456789"
_KEY_CHARACTERS = {*_LOWER, *_LOWER.upper(), *_DIGITS, *"_.-"}


def admit(key: str, pod: Mapping[str, Any]) -> None:
    """Give the addresses of a pod their class; `pod` is its note without verdicts.

    Raises NoteError or OSError without a note of it if that is impossible.
    """
    with pod_notes.lock():
        # A run may have changed them, with the tables that they fit.
        rules = pod_notes.read_rules()
        verdicts = classify(rules, pod["name"].partition("/")[0], pod["labels"], pod["addresses"])
        pod_notes.remove_note(key)
        note = {**pod, "verdicts": verdicts}
        pod_notes.write_note(key, note)
        if lacks_labels(rules, note):
            # The watch reads them.
            pod_notes.note_closed(True)
        try:
            _set(rules, verdicts)
        except (NoteError, OSError):
            pod_notes.remove_note(key)
            raise


def dismiss(keys: Iterable[str]) -> None:
    """Remove the classes of pods. Without notes of them there is nothing to do."""
    if [key for key in keys if pod_notes.remove_note(key)]:
        replace_all_if_possible()


def labels_of(rules: Mapping[str, Any], namespace: str, name: str) -> dict[str, str] | None:
    """Return the labels of a pod of Kubernetes if they decide, else None. One whose labels cannot be read is closed."""
    if not needs_labels(rules, namespace):
        return None
    from .._host_io.pod_labels import read_labels  # noqa: PLC0415

    try:
        return read_labels(rules["kubeconfig"], namespace, name)
    except NoteError as error:
        sys.stderr.write(f"netops.egress_ip: pod {namespace}/{name} is closed: {error}\n")
        return None


def forget_connections(addresses: Sequence[str]) -> None:
    """Forget the connections of former pods with these addresses: a new pod must not inherit their source."""
    from .._host_io.pod_connections import forget  # noqa: PLC0415

    forget(addresses)


def retry_closed() -> None:
    """Classify the pods that are closed because their labels could not be read, if they can be read now."""
    try:
        _retry_closed()
    except (NoteError, OSError) as error:
        sys.stderr.write(f"netops.egress_ip: {error}\n")


def _retry_closed() -> None:
    from .._host_io.pod_labels import read_labels  # noqa: PLC0415

    started = time.monotonic()
    with pod_notes.lock(RETRY_SECONDS):
        rules = pod_notes.read_rules()
        closed = {key: note for key, note in pod_notes.read_notes().items() if lacks_labels(rules, note)}
        pod_notes.note_closed(bool(closed))
    for key, note in closed.items():
        # The watch must not be delayed. The server may not know one pod, so the others are tried all the same.
        if time.monotonic() - started > RETRY_SECONDS:
            return
        namespace, _slash, name = note["name"].partition("/")
        try:
            labels = read_labels(rules["kubeconfig"], namespace, name)
        except NoteError:
            continue
        with pod_notes.lock(RETRY_SECONDS):
            # A run may have changed them, with the tables that they fit.
            rules = pod_notes.read_rules()
            if key in pod_notes.all_keys():
                verdicts = classify(rules, namespace, labels, note["addresses"])
                pod_notes.write_note(key, {**note, "labels": labels, "verdicts": verdicts})
                _replace_all(rules)
                sys.stderr.write(f"netops.egress_ip: pod {namespace}/{name} is no longer closed\n")


def _set(rules: Mapping[str, Any], verdicts: Mapping[str, str]) -> None:
    """Add addresses to the tables; if one of them is there already with another class, replace all."""
    if pod_notes.run("nft", ("-f", "-"), "\n".join(add_lines(verdicts)) + "\n"):
        _replace_all(rules)
    else:
        _add_policies(rules, verdicts)


def _replace_all(rules: Mapping[str, Any]) -> None:
    """Make the tables and policies fit the notes of all pods. Raises NoteError if the tables do not exist."""
    verdicts = all_verdicts(pod_notes.read_notes().values())
    check("nft", ("-f", "-"), replace_lines(verdicts))
    check("ip", DELETE_POLICIES)
    _add_policies(rules, verdicts)


def _add_policies(rules: Mapping[str, Any], verdicts: Mapping[str, str]) -> None:
    lines = policy_lines(rules, verdicts)
    if lines:
        check("ip", ("-batch", "-"), lines)


def replace_all_if_possible() -> None:
    """Remove classes of pods that are gone. While the tables or rules are gone, there are none."""
    try:
        _replace_all(pod_notes.read_rules())
    except NoteError as error:
        sys.stderr.write(f"netops.egress_ip: {error}\n")


def check(program: str, arguments: Sequence[str], lines: Iterable[str] = ()) -> None:
    """Run `ip` or `nft` with these lines. Raises NoteError with the message of the program."""
    message = pod_notes.run(program, arguments, "".join(f"{line}\n" for line in lines))
    if message:
        raise NoteError(f"the pod cannot be classified: {program}: {message}")


def is_identifier(text: str) -> bool:
    """Return whether a text is a letter or digit, then letters, digits, '_', '.', '-': an identifier of CNI."""
    return bool(text) and len(text) <= _MOST_KEY and {*text} <= _KEY_CHARACTERS and text[0] not in "._-"


def is_namespace(text: str) -> bool:
    """Return whether a text is the name of a namespace in Kubernetes."""
    return len(text) <= _MOST_LABEL and _is_label(text)


def is_pod_name(text: str) -> bool:
    """Return whether a text is the name of a pod in Kubernetes."""
    return len(text) <= _MOST_NAME and all(map(_is_label, text.split(".")))


def _is_label(text: str) -> bool:
    """Return whether a text has the characters of an RFC 1123 label."""
    inside = text.strip("-") == text != ""
    return inside and {*text} <= {*_LOWER, *_DIGITS, "-"}


def pod_address(text: str, reserved: Collection[str]) -> str:
    """Return an address in its canonical form. Raises ValueError if it cannot be the address of a pod."""
    # `ipaddress` and `socket` would take a third of the time of a start.
    from _socket import AF_INET, AF_INET6, inet_ntop, inet_pton  # noqa: PLC0415

    family = AF_INET6 if ":" in text else AF_INET
    try:
        packed = inet_pton(family, text)
    except (OSError, ValueError):
        raise ValueError("must be an address with a prefix length") from None
    if is_no_unicast(packed):
        raise ValueError(f"{text} cannot be the address of a pod")
    canonical = inet_ntop(family, packed)
    if canonical in reserved:
        raise ValueError(f"{canonical} is an address of a node or an egress IP, not of a pod")
    return canonical
