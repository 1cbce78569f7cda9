# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The OCI hook of a node: gives a container its class before its first packet. PRIVATE to the collection.

Podman and CRI-O let their runtime start it when a container has its network and its first process does not run yet
(createRuntime), and after the container has ended (poststop). It imports little, since imports take most of the time of
a start. Anyone who may start containers can write annotations, so types and sizes are checked.
"""

from __future__ import annotations

import sys

from .._common.json_object import json_object
from .._common.pod_rules import labels_in
from .._host_io import pod_notes
from .._host_io.pod_notes import NoteError
from .._host_io.process_network import addresses_of, network_of, shares_network
from .pod_admission import (
    admit,
    dismiss,
    forget_connections,
    is_identifier,
    is_namespace,
    is_pod_name,
    labels_of,
    replace_all_if_possible,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any, Dict, Optional, Tuple

    # (namespace, name, labels) of a container. Without a namespace, nothing names one; labels that are not known here
    # (None) are those of a pod of Kubernetes.
    Pod = Tuple[str, str, Optional[Dict[str, str]]]

NAMESPACE, LABELS = "egress-ip.netops/namespace", "egress-ip.netops/labels"
_MANAGER, _CRIO = "io.container.manager", "cri-o"
# The labels of a container that CRI-O got from the kubelet, which are not those of its pod.
_CRIO_LABELS, _CRIO_TYPE = "io.kubernetes.cri-o.Labels", "io.kubernetes.cri-o.ContainerType"
# The addresses that the network plugins gave to the pod of a container, with their number at the end.
_CRIO_ADDRESS = "io.kubernetes.cri-o.IP."
_POD_NAMESPACE, _POD_NAME = "io.kubernetes.pod.namespace", "io.kubernetes.pod.name"
LARGEST_STATE, _LARGEST_VALUE = 4 << 20, 1 << 16
_MOST_ADDRESSES = 16
_MOST_LABELS, _MOST_LABEL_KEY, _MOST_LABEL_VALUE = 100, 317, 63
# How many characters of a container's identifier Podman shows.
_SHOWN = 12


def main(text: bytes) -> int:
    """Carry out a hook with the state of a container (OCI runtime specification); returns the exit status."""
    try:
        state = _state(text)
        container = state.get("id")
        if not isinstance(container, str) or not is_identifier(container):
            raise NoteError("id: must be a letter or digit, then letters, digits, '_', '.', '-'")
        if state.get("status") == "stopped":
            with pod_notes.lock():
                dismiss([container])
        else:
            _start(container, state)
    except (NoteError, OSError) as error:
        sys.stderr.write(f"netops.egress_ip: {error}\n")
        return 1
    return 0


def _state(text: bytes) -> dict[str, Any]:
    if len(text) > LARGEST_STATE:
        raise NoteError(f"the state of the container is larger than {LARGEST_STATE} bytes")
    state = json_object(text)
    if state is None:
        raise NoteError("the state of the container is not a JSON object")
    return state


def _start(container: str, state: Mapping[str, Any]) -> None:
    """Set the class of a container's addresses, or remove the class that a former container left."""
    pid = state.get("pid")
    if not isinstance(pid, int) or isinstance(pid, bool) or pid < 1:
        raise NoteError("pid: must be the number of a process")
    annotations = _annotations(state)
    pod = _pod(container, annotations)
    addresses = _assigned(addresses_of(pid), annotations)
    if not addresses:
        # It shares the network of the host, has none, or gets its network later.
        return
    if shares_network(pid):
        # Processes that run there may have added addresses of other containers.
        own = _without_foreign(pid, addresses, pod) if pod[0] else []
        if own:
            _admit(container, pid, own, pod)
        return
    if pod[0]:
        _admit(container, pid, addresses, pod)
    else:
        _take_from_former(pid, addresses)
    forget_connections(addresses)


def _assigned(addresses: Sequence[str], annotations: Mapping[str, str]) -> Sequence[str]:
    """Return those of the addresses in a network namespace that belong to the pod, where CRI-O names these.

    A container of the pod that ended may have added addresses of other pods. The author of a pod can add annotations of
    further numbers, but not replace the first one; a pod has at most one address of each IP version.
    """
    first, second = (annotations.get(f"{_CRIO_ADDRESS}{number}", "") for number in (0, 1))
    if annotations.get(_MANAGER) != _CRIO or not first:
        return addresses
    named = {first, second} if (":" in first) != (":" in second) else {first}
    return [address for address in addresses if address in named]


def _without_foreign(pid: int, addresses: Iterable[str], pod: Pod) -> list[str]:
    """Return the addresses that no running pod has in another network namespace.

    If containers in this one have classes, only their addresses remain. A note of a CNI runtime names no process; CRI-O
    may have started the plugin for the same pod.
    """
    own, name = network_of(pid), f"{pod[0]}/{pod[1]}"
    inside: set[str] = set()
    foreign: set[str] = set()
    for note in pod_notes.read_notes().values():
        is_foreign = _network_of(note) != own if "process" in note else note["name"] != name
        (foreign if is_foreign else inside).update(note["addresses"])
    return [address for address in addresses if address not in foreign and (not inside or address in inside)]


def _admit(container: str, pid: int, addresses: Sequence[str], pod: Pod) -> None:
    """Give the addresses of a container the class of its namespace and labels. Raises NoteError."""
    namespace, name, labels = pod
    if len(addresses) > _MOST_ADDRESSES:
        raise NoteError(f"the container has more than {_MOST_ADDRESSES} addresses")
    rules = pod_notes.read_rules()
    for address in addresses:
        if address in rules["reserved"]:
            raise NoteError(f"{address} is an address of a node or an egress IP, not of a container")
    known = labels_of(rules, namespace, name) if labels is None else labels
    process = pod_notes.process_of(pid)
    if not process:
        raise NoteError(f"pid: the process {pid} has ended")
    note = {"name": f"{namespace}/{name}", "addresses": addresses, "labels": known, "process": process}
    # The API server knows a pod of Kubernetes, but only this node knows a container.
    admit(container, note if labels is None else {**note, "container": name})


def _take_from_former(pid: int, addresses: Sequence[str]) -> None:
    """Remove the class that a former container with one of these addresses left.

    It ended with its engine, or was disconnected from the network. One in the same network namespace keeps its class.
    """
    if not pod_notes.all_keys():
        return
    own = network_of(pid)
    with pod_notes.lock():
        running, ended = pod_notes.running_and_ended()
        elsewhere = {key: note for key, note in running.items() if _network_of(note) not in ("", own)}
        former = [(key, note) for key, note in {**ended, **elsewhere}.items() if {*addresses} & {*note["addresses"]}]
        for key, note in former:
            rest = {address: verdict for address, verdict in note["verdicts"].items() if address not in addresses}
            if rest and key not in ended:
                pod_notes.write_note(key, {**note, "addresses": sorted(rest), "verdicts": rest})
            else:
                pod_notes.remove_note(key)
        if former:
            replace_all_if_possible()


def _network_of(note: Mapping[str, Any]) -> str:
    """Return the network namespace of the first process of a container; empty for a pod of a CNI runtime."""
    return network_of(note["process"].partition(":")[0]) if "process" in note else ""


def _annotations(state: Mapping[str, Any]) -> dict[str, str]:
    found = state.get("annotations") or {}
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise NoteError("annotations: must be a mapping of strings")
    for key in (NAMESPACE, LABELS, _CRIO_LABELS):
        if len(found.get(key, "")) > _LARGEST_VALUE:
            raise NoteError(f"annotation {key}: is longer than {_LARGEST_VALUE} characters")
    return found


def _pod(container: str, annotations: Mapping[str, str]) -> Pod:
    """Return the Pod that annotations make of a container. Raises NoteError for malformed ones."""
    if annotations.get(_MANAGER) == _CRIO:
        return _crio_pod(annotations)
    namespace = annotations.get(NAMESPACE, "")
    if not namespace:
        return "", "", {}
    if _CRIO_LABELS in annotations:
        raise NoteError(f"annotation {_MANAGER}: must be {_CRIO} in a pod of CRI-O, which has {_CRIO_LABELS}")
    if not is_namespace(namespace):
        raise NoteError(f"annotation {NAMESPACE}: must be the name of a namespace, not {ascii(namespace[:63])}")
    return namespace, container[:_SHOWN], _labels(annotations.get(LABELS, ""))


def _labels(text: str) -> dict[str, str]:
    """Return the labels in a text as ``app=shop,tier=web``. Raises NoteError for another text."""
    labels = labels_in(text)
    if text and len(labels) != len(text.split(",")):
        raise NoteError(f"annotation {LABELS}: must be labels as app=shop,tier=web, each once")
    sizes = [(len(key), len(value)) for key, value in labels.items()]
    if len(sizes) > _MOST_LABELS or any(k > _MOST_LABEL_KEY or v > _MOST_LABEL_VALUE for k, v in sizes):
        raise NoteError(f"annotation {LABELS}: must be at most {_MOST_LABELS} labels of the size of Kubernetes")
    return labels


def _crio_pod(annotations: Mapping[str, str]) -> Pod:
    """Return the Pod of Kubernetes that CRI-O starts. Raises NoteError for malformed annotations.

    Those of a sandbox come from the author of the pod too, who must not choose the namespace, and can replace all but
    those that CRI-O adds last: the kubelet's labels, each as an annotation. A sandbox sends nothing, and each container
    of the pod follows with a call of its own.
    """
    if annotations.get(_CRIO_TYPE) == "sandbox":
        return "", "", {}
    text = annotations.get(_CRIO_LABELS, "")
    found = json_object(text) if text else {}
    if found is None:
        raise NoteError(f"annotation {_CRIO_LABELS}: is not a JSON object")
    if _POD_NAMESPACE not in found:
        # A program other than a kubelet started it, such as crictl.
        return "", "", {}
    namespace, name = found[_POD_NAMESPACE], found.get(_POD_NAME)
    for key, value, is_valid in ((_POD_NAMESPACE, namespace, is_namespace), (_POD_NAME, name, is_pod_name)):
        if not isinstance(value, str) or not is_valid(value):
            raise NoteError(f"annotation {_CRIO_LABELS}: {key}: must be a name of Kubernetes")
        if annotations.get(key, value) != value:
            raise NoteError(f"annotation {_CRIO_LABELS}: {key}: must be that of the annotation {key}")
    return str(namespace), str(name), None
