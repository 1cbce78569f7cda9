# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the lookup looks, what it reads there, and what it says when it cannot."""

from __future__ import annotations

import json
import os

import pytest
from ansible import constants
from ansible.errors import AnsibleLookupError
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultLib, VaultSecret
from ansible_collections.netops.egress_ip.plugins.lookup.manifests import LookupModule

NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {}\n"
DOCUMENT = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "inline"}}
SECRETS = [("default", VaultSecret(b"secret"))]
EMPTY = {
    "egressips": [],
    "broken": [],
    "pooled": [],
    "contested": [],
    "namespaces": [],
    "pods": [],
    "nodes": [],
    "invalid": [],
    "unreadable": [],
    "ignored": [],
    "engines": [],
    "network_names": [],
    "network_errors": [],
    "network_faults": [],
}


@pytest.fixture
def play(tmp_path, monkeypatch):
    """Return a folder with a play, an inventory and a current directory, and a function that looks up from there.

    The play's vault secret is "secret".
    """
    for folder in ("play/files", "inventory", "current"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "current")
    loader = DataLoader()
    loader.set_basedir(str(tmp_path / "play"))
    loader.set_vault_secrets(SECRETS)
    monkeypatch.setattr(constants, "DEFAULT_LOCAL_TMP", str(tmp_path))
    lookup = LookupModule(loader=loader)
    # What Ansible's plugin loader does when it loads the plugin by its name.
    monkeypatch.setattr(lookup, "set_options", lambda **kwargs: None)
    variables = {"inventory_dir": str(tmp_path / "inventory"), "ansible_search_path": [str(tmp_path / "play")]}
    return tmp_path, lambda *terms: lookup.run(list(terms), variables)[0]


def names(result):
    """Return the names of the namespaces in a result."""
    return [namespace["metadata"]["name"] for namespace in result["namespaces"]]


def test_no_terms_give_empty_lists(play):
    assert play[1]() == EMPTY
    assert play[1]([], [[]]) == EMPTY


def test_looks_in_the_search_path_then_beside_the_inventory_then_here(play):
    folder, look = play
    places = ["play/files", "play", "inventory", "current"]
    for place in places:
        (folder / place / "a.yml").write_text(NAMESPACE.format(place.replace("/", "-")))
    for place in places:
        assert names(look("a.yml")) == [place.replace("/", "-")]
        (folder / place / "a.yml").unlink()


def test_engines_are_no_documents(play):
    result = play[1]([{"podman": {"namespaces": ["web"]}}, DOCUMENT], {"docker": {}})
    assert (names(result), result["invalid"]) == (["inline"], [])
    assert [(each["engine"], each["namespaces"]) for each in result["engines"]] == [("podman", ["web"]), ("docker", [])]


def test_wrong_settings_of_an_engine_stop_the_run(play):
    with pytest.raises(AnsibleLookupError, match=r"^manifests\[1\].podman: must be a mapping, not a list$"):
        play[1](DOCUMENT, {"podman": []})


def test_nested_lists_of_paths_and_documents(play):
    folder, look = play
    (folder / "play/a.yml").write_text(NAMESPACE.format("a"))
    (folder / "b.yml").write_text(NAMESPACE.format("b"))
    assert names(look(["a.yml", [DOCUMENT]], str(folder / "b.yml"))) == ["a", "inline", "b"]


def test_a_folder_is_read_in_the_order_of_its_paths(play):
    folder, look = play
    for name in ("z.yml", "a/b.yaml", "a.json", "a/c/d.yml", ".hidden.yml", ".git/x.yml", "README.md", "e.yml.swp"):
        path = folder / "play/manifests" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({**DOCUMENT, "metadata": {"name": path.name.partition(".")[0]}}))
    result = look("manifests")
    assert names(result) == ["a", "b", "d", "z"]
    assert result["invalid"] == []


def test_links_to_folders_and_suffixes_in_upper_case_are_read(play):
    folder, look = play
    (folder / "play/manifests/deep").mkdir(parents=True)
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere/linked.YAML").write_text(NAMESPACE.format("linked"))
    (folder / "play/manifests/a.Json").write_text(json.dumps({**DOCUMENT, "metadata": {"name": "json"}}))
    (folder / "play/manifests/link").symlink_to(folder / "elsewhere")
    (folder / "play/manifests/deep/loop").symlink_to(folder / "play/manifests")
    result = look("manifests")
    assert (names(result), result["invalid"], result["ignored"]) == (["json", "linked"], [], [])


def test_a_folder_and_a_file_in_it_are_no_conflict(play):
    folder, look = play
    (folder / "play/manifests").mkdir()
    (folder / "play/manifests/a.yml").write_text(NAMESPACE.format("a"))
    result = look("manifests/", "manifests/a.yml", "./manifests")
    assert names(result) == ["a"]
    assert result["invalid"] == []
    assert result["ignored"] == [
        "manifests/a.yml[0]: namespace/a is the same as in manifests/a.yml[0]",
        "manifests/a.yml[0]: namespace/a is the same as in manifests/a.yml[0]",
    ]


def test_a_file_that_cannot_be_parsed_is_listed_and_stops_nothing(play):
    folder, look = play
    (folder / "play/manifests").mkdir()
    (folder / "play/manifests/a.yml").write_text("kind: [\n")
    (folder / "play/manifests/b.yml").write_text(NAMESPACE.format("b"))
    result = look("manifests")
    assert names(result) == ["b"]
    assert result["unreadable"] == ["manifests/a.yml"]
    assert [entry["name"] for entry in result["invalid"]] == ["manifests/a.yml"]
    assert result["invalid"][0]["errors"][0].startswith("manifests/a.yml: line 2, column 1: ")


def test_broken_objects_are_no_unreadable_ones(play):
    result = play[1]({**DOCUMENT, "metadata": {"name": "a", "labels": {"env": 5}}})
    assert result["unreadable"] == []
    assert result["invalid"] == [
        {
            "name": "namespace/a",
            "errors": ["namespace/a: metadata.labels['env']: must be a string, not the integer 5; put it in quotes"],
        }
    ]


def test_folders_and_files_that_hold_nothing_are_noted(play):
    folder, look = play
    (folder / "play/manifests").mkdir()
    (folder / "play/empty.yml").write_text("")
    assert look("manifests", "empty.yml")["ignored"] == [
        "manifests: holds no *.yml, *.yaml, *.json file",
        "empty.yml: holds no document",
    ]


def test_a_dangling_link_is_listed(play):
    folder, look = play
    (folder / "play/manifests").mkdir()
    (folder / "play/manifests/a.yml").symlink_to(folder / "nowhere")
    assert look("manifests")["invalid"] == [
        {"name": "manifests/a.yml", "errors": ["manifests/a.yml: cannot be read: No such file or directory"]}
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_without_permission_is_listed(play):
    folder, look = play
    (folder / "play/a.yml").touch(mode=0)
    assert look("a.yml")["invalid"][0]["errors"] == ["a.yml: cannot be read: Permission denied"]


def test_a_vaulted_file_of_another_secret_is_listed(play):
    folder, look = play
    other = [("default", VaultSecret(b"other"))]
    (folder / "play/a.yml").write_bytes(VaultLib(other).encrypt(NAMESPACE.format("a")))
    assert look("a.yml")["invalid"][0]["errors"][0].startswith("a.yml: cannot be decrypted: ")


def test_a_vaulted_file_is_read_and_no_plain_copy_stays(play):
    folder, look = play
    (folder / "play/a.yml").write_bytes(VaultLib(SECRETS).encrypt(NAMESPACE.format("a")))
    assert names(look("a.yml")) == ["a"]
    assert sorted(path.name for path in folder.iterdir()) == ["current", "inventory", "play"]


def test_a_path_that_does_not_exist_says_where_was_looked(play):
    folder, look = play
    with pytest.raises(AnsibleLookupError) as caught:
        look(DOCUMENT, "nowhere.yml")
    looked = ", ".join(str(folder / place) for place in ("play", "inventory", "current"))
    assert str(caught.value) == f"manifests[1]: 'nowhere.yml' does not exist; looked in {looked}"


@pytest.mark.parametrize(
    ("term", "words"),
    [
        ("/nowhere/web.yml", "manifests[0]: '/nowhere/web.yml' does not exist"),
        ("", "manifests[0]: must be a path or a document, not the string ''"),
        (
            "kind: Pod\nmetadata: {}\n",
            "manifests[0]: must be a path or a document, not the string 'kind: Pod\\nmetadata: {}\\n'; "
            "parse text with ansible.builtin.from_yaml_all first",
        ),
        (
            "\u201cweb.yml\u201d",
            "manifests[0]: '\u201cweb.yml\u201d' contains a curly quote (U+201C), probably pasted from a web page",
        ),
        (None, "manifests[0]: must be a path or a document, not null"),
        (5, "manifests[0]: must be a path or a document, not the integer 5"),
        ({}, "manifests[0]: must be a path or a document, not an empty mapping"),
    ],
)
def test_what_is_neither_path_nor_document(play, term, words):
    with pytest.raises(AnsibleLookupError) as caught:
        play[1](term)
    assert str(caught.value) == words
