# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: manifests
author:
  - The netops.egress_ip authors (@netops)
short_description: Read EgressIP, Namespace, Pod and Node manifests
description:
  - Reads manifests from files, folders and inline documents on the controller and sorts them by kind.
  - A broken manifest does not stop the others. It is listed under RV(_raw[].invalid). A broken EgressIP with a usable
    name is listed under RV(_raw[].egressips), and P(netops.egress_ip.assign#filter) reports it.
  - Files may be encrypted with Ansible Vault. Manifests are not templated.
options:
  _terms:
    description:
      - Paths of files, paths of folders, inline documents, clusters, engines, or lists of these.
      - A file holds YAML, with any number of documents, or, when its name ends in C(.json), JSON.
      - In a folder and its subfolders, all C(*.yml), C(*.yaml) and C(*.json) files are read in the order of their
        paths, in upper or lower case. Symbolic links are followed. Names that begin with a dot are left out.
      - A relative path is searched for in Ansible's search path for files, then in the folder of the inventory, then
        in the current directory.
      - C(List) documents, as C(kubectl get -o yaml) prints them, are unrolled.
      - A cluster is a dictionary with the one key C(kubernetes), whose value is a dictionary of settings, all optional.
      - C(kubeconfig), a path, and C(context) select a cluster as C(kubectl) does. C(host), C(ca_cert) and C(token_file)
        name an API server, its CA and a file with a token. Without these, the environment variables
        E(K8S_AUTH_KUBECONFIG), E(K8S_AUTH_CONTEXT), E(K8S_AUTH_HOST), E(K8S_AUTH_API_KEY), E(K8S_AUTH_SSL_CA_CERT) and
        E(K8S_AUTH_VERIFY_SSL) do so, which AWX sets for a Kubernetes credential; then E(KUBECONFIG) and
        C(~/.kube/config). A token is not accepted in a variable, because Ansible shows variables.
      - C(kinds) is a list of the kinds to read, of V(EgressIP), V(Namespace), V(Pod) and V(Node), which is the default.
        C(namespaces) limits Namespaces and Pods to those listed.
      - C(timeout) is the longest silence of the API server in seconds, V(10) by default.
      - C(name) is required for each of several clusters. It qualifies the names of EgressIPs and namespaces
        (V(prod.web)) and nodes (V(worker1.prod)), and an EgressIP selects only namespaces of its own cluster. Nodes and
        namespaces get the label C(egress-ip.netops/cluster).
      - If a cluster cannot be read completely, the lookup fails.
      - A dictionary with the one key C(podman), C(docker) or C(libvirt) stands for the containers or virtual machines
        of that engine on all hosts. The lookup returns its settings under RV(_raw[].engines), since the hosts read it.
      - Its value is a dictionary of settings, which may be empty. C(namespace) is the namespace of containers in no
        network that a namespace names, V(default) by default. C(namespaces) lists those that the label
        C(egress-ip.netops/namespace) of a container may choose, none by default.
    type: list
    elements: raw
    required: true
seealso:
  - plugin: netops.egress_ip.assign
    plugin_type: filter
  - plugin: netops.egress_ip.select_pods
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Read a folder, a file and an inline document
  ansible.builtin.set_fact:
    manifests: "{{ lookup('netops.egress_ip.manifests', sources) }}"
  vars:
    sources:
      - manifests/
      - /srv/cluster/pods.json
      - apiVersion: v1
        kind: Namespace
        metadata:
          name: namespace1
          labels:
            env: prod

- name: Read EgressIPs from Git, and all else from a cluster
  ansible.builtin.set_fact:
    manifests: "{{ lookup('netops.egress_ip.manifests', sources) }}"
  vars:
    sources:
      - egressips/
      - kubernetes:
          kubeconfig: ~/.kube/prod.yml
          kinds: [Namespace, Pod, Node]

- name: Stop when something could not be read
  ansible.builtin.assert:
    that: manifests.invalid == []
    fail_msg: "{{ manifests.invalid | map(attribute='errors') | flatten | join('\n') }}"
"""

RETURN = r"""
_raw:
  description: One dictionary.
  type: list
  elements: dict
  contains:
    egressips:
      description: EgressIP documents as written, those with errors too.
      type: list
      elements: dict
    broken:
      description: Names of the EgressIP documents with errors. Their addresses stay where they are.
      type: list
      elements: str
      sample: [egressips-prod]
    pooled:
      description: Names of the EgressIP documents that request addresses of a pool.
      type: list
      elements: str
    contested:
      description: Names of the EgressIP documents that request an address which another one requests too.
      type: list
      elements: str
    namespaces:
      description: Namespace documents, reduced to what the collection uses.
      type: list
      elements: dict
    pods:
      description: Pod documents, reduced to what the collection uses.
      type: list
      elements: dict
    nodes:
      description: Node documents, reduced to what the collection uses.
      type: list
      elements: dict
    invalid:
      description:
        - Documents that cannot be used, with all their errors. Each error begins with the path of the value.
        - Of several different objects with one kind and name, the first applies and the others are listed here.
      type: list
      elements: dict
      sample:
        - name: pod/namespace1/web
          errors:
            - "pod/namespace1/web: metadata.labels['app']: must be a string, not the integer 5; put it in quotes"
    unreadable:
      description:
        - Names of those entries of RV(_raw[].invalid) that are files, or documents in files, which could not be parsed.
        - The objects in them are unknown, so addresses that are in use may be missing from RV(_raw[].egressips).
      type: list
      elements: str
      sample: ["manifests/web.yml"]
    ignored:
      description: Notes on documents of other kinds, which are ignored.
      type: list
      elements: str
      sample: ["manifests/web.yml[1]: kind 'Service' is ignored"]
    engines:
      description:
        - The settings of the engines among the sources, each with C(engine), C(namespace) and C(namespaces).
        - M(netops.egress_ip.node_info) reads the containers of these engines on each host.
      type: list
      elements: dict
      sample: [{engine: podman, namespace: default, namespaces: []}]
    network_names:
      description: The networks of containers and virtual machines that annotations of namespaces name.
      type: list
      elements: str
      sample: ["podman:web"]
    network_errors:
      description: Errors in these annotations. The documents are used without what has errors.
      type: list
      elements: str
    network_faults:
      description: Names of the namespaces with such an error. They keep the networks that nodes have on record.
      type: list
      elements: str
"""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError, AnsibleFileNotFound, AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import EgressIPError, ManifestError
from ansible_collections.netops.egress_ip.plugins.module_utils._common.messages import pasted_hint, quote, type_name
from ansible_collections.netops.egress_ip.plugins.module_utils._common.validation import plain
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.clusters import (
    Cluster,
    check_names,
    read_cluster,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.engine_sources import (
    EngineSource,
    engine_of,
    read_engines,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.manifests import (
    Manifests,
    read_manifests,
)
from ansible_collections.netops.egress_ip.plugins.plugin_utils._documents import Documents
from ansible_collections.netops.egress_ip.plugins.plugin_utils._kubernetes_source import read_objects

_SUFFIXES = (".yml", ".yaml", ".json")
_VAULT_MARK = b"$ANSIBLE_VAULT"


class LookupModule(LookupBase):
    """Reads manifests."""

    def run(self, terms: Iterable[Any], variables: Any = None, **kwargs: Any) -> list[dict[str, Any]]:
        """Return a list with one dictionary."""
        self.set_options(var_options=variables, direct=kwargs)
        return [self.read(terms, variables, Manifests.to_dict)]

    def read(
        self, terms: Iterable[Any], variables: Any, shape: Callable[[Manifests], dict[str, Any]]
    ) -> dict[str, Any]:
        """Return the dictionary; `shape` makes that of the documents."""
        documents = Documents()
        given = list(_flatten(terms))
        try:
            clusters, engines = _clusters(given), _engines(given)
            for index, term in enumerate(given):
                if index in clusters:
                    with self.files_of(variables or {}) as find:
                        read_objects(clusters[index].with_environment(os.environ), find, documents)
                elif not engine_of(term):
                    self._read(term, f"manifests[{index}]", variables or {}, documents)
        except EgressIPError as error:
            # The text is complete; Ansible would add those of all causes.
            raise AnsibleLookupError(str(error)) from None
        result = shape(read_manifests(documents.documents))
        result["invalid"] = documents.unreadable + result["invalid"]
        result["unreadable"] = [entry["name"] for entry in documents.unreadable]
        result["ignored"] = documents.ignored + result["ignored"]
        result["engines"] = [engine.to_dict() for engine in engines]
        return result

    def _read(self, term: object, source: str, variables: Mapping[str, Any], documents: Documents) -> None:
        if isinstance(term, Mapping) and term:
            documents.add(plain(term), source)
        elif isinstance(term, str):
            term = str(term)
            self._read_path(self._find(term, source, variables), term, documents)
        else:
            found = "an empty mapping" if isinstance(term, Mapping) else type_name(term)
            raise AnsibleLookupError(f"{source}: must be a path or a document, not {found}")

    def _find(self, term: str, source: str, variables: Mapping[str, Any]) -> Path:
        """Return the path of ``term``."""
        if not term.strip() or "\n" in term:
            hint = "; parse text with ansible.builtin.from_yaml_all first" if term.strip() else ""
            raise AnsibleLookupError(f"{source}: must be a path or a document, not {type_name(term)}{hint}")
        search_path = list(variables.get("ansible_search_path") or [self.get_basedir(variables)])
        try:
            found = self._loader.path_dwim_relative_stack(search_path, "files", term, is_role="role_path" in variables)
            return Path(found)
        except AnsibleFileNotFound:
            pass
        folders = [folder for folder in (variables.get("inventory_dir"), os.getcwd()) if folder]  # noqa: PTH109
        for folder in folders:
            candidate = Path(folder, term)
            if candidate.exists():
                return candidate
        raise AnsibleLookupError(f"{source}: {_not_found(term, search_path + folders)}")

    @staticmethod
    def clusters_of(terms: Iterable[Any]) -> list[Cluster]:
        """Return the clusters among the terms. Raises EgressIPError."""
        return list(_clusters(_flatten(terms)).values())

    @contextlib.contextmanager
    def files_of(self, variables: Mapping[str, Any]) -> Iterator[Callable[[str, str], str]]:
        """Yield a function that finds a file of a cluster's settings; decrypted copies are deleted at the end."""
        found: list[str] = []

        def find(text: str, source: str) -> str:
            try:
                path = self._find(str(Path(text).expanduser()), source, variables)
                found.append(self._loader.get_real_file(str(path)))
            except AnsibleError as error:
                raise ManifestError(str(error)) from error
            return found[-1]

        try:
            yield find
        finally:
            for path in found:
                self._loader.cleanup_tmp_file(path)

    def _read_path(self, path: Path, shown: str, documents: Documents) -> None:
        """Read the file or folder ``path``; messages show it as ``shown``."""
        if not path.is_dir():
            self._read_file(path, shown, documents)
            return
        names = list(_files_below(path, shown, documents))
        if not names:
            documents.ignored.append(f"{shown}: holds no {', '.join('*' + suffix for suffix in _SUFFIXES)} file")
        for name in names:
            self._read_file(path / name, str(Path(shown, name)), documents)

    def _read_file(self, path: Path, shown: str, documents: Documents) -> None:
        try:
            content = path.read_bytes()
            if content.startswith(_VAULT_MARK):
                content = self._decrypt(path)
            documents.read_bytes(content, shown)
        except OSError as error:
            documents.refuse(shown, f"cannot be read: {error.strerror}")
        except AnsibleError as error:
            documents.refuse(shown, f"cannot be decrypted: {error}")

    def _decrypt(self, path: Path) -> bytes:
        """Return the content of a vaulted file; its decrypted copy is deleted."""
        decrypted = self._loader.get_real_file(str(path))
        try:
            return Path(decrypted).read_bytes()
        finally:
            self._loader.cleanup_tmp_file(decrypted)


def _clusters(terms: Iterable[object]) -> dict[int, Cluster]:
    """Return {index of a term: the cluster that it names}. Raises EgressIPError."""
    found = {
        index: read_cluster(term["kubernetes"], f"manifests[{index}].kubernetes")
        for index, term in enumerate(terms)
        if isinstance(term, Mapping) and len(term) == 1 and "kubernetes" in term
    }
    check_names(found.values())
    return found


def _engines(terms: Iterable[object]) -> list[EngineSource]:
    """Return the engines among the terms. Raises EgressIPError."""
    return read_engines((f"manifests[{index}]", term) for index, term in enumerate(terms) if engine_of(term))


def _flatten(terms: Iterable[Any]) -> Iterator[Any]:
    for term in terms:
        if isinstance(term, (list, tuple)):
            yield from _flatten(term)
        else:
            yield term


def _files_below(folder: Path, shown: str, documents: Documents) -> list[Path]:
    """Return the manifest files below ``folder`` as sorted relative paths."""

    def refuse(error: OSError) -> None:
        name = Path(shown, Path(error.filename).relative_to(folder))
        documents.refuse(str(name), f"cannot be read: {error.strerror}")

    found: list[Path] = []
    seen: set[str] = set()
    for directory, subfolders, names in os.walk(folder, onerror=refuse, followlinks=True):
        # A link may lead to a folder above it.
        real = os.path.realpath(directory)
        subfolders[:] = [] if real in seen else sorted(name for name in subfolders if not name.startswith("."))
        relative = Path(directory).relative_to(folder)
        visible = (name for name in names if not name.startswith(".") and real not in seen)
        found += [relative / name for name in visible if name.lower().endswith(_SUFFIXES)]
        seen.add(real)
    return sorted(found, key=str)


def _not_found(term: str, folders: Iterable[Any]) -> str:
    hint = pasted_hint(term)
    if hint:
        return f"{quote(term)} {hint}"
    if Path(term).expanduser().is_absolute():
        return f"{quote(term)} does not exist"
    places = dict.fromkeys(str(folder) for folder in folders if folder)
    return f"{quote(term)} does not exist; looked in {', '.join(places)}"
