# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documents agree with the code: variables and their defaults, playbooks, plugins, links, examples."""

from __future__ import annotations

import re
import runpy
import subprocess
from pathlib import Path

import pytest
import yaml
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.manifests import (
    Manifests,
    objects_of_networks,
    read_manifests,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.objects import ASSIGNABLE_LABEL
from ansible_collections.netops.egress_ip.plugins.module_utils._node.metrics import textfile
from ansible_collections.netops.egress_ip.plugins.module_utils._planner.assign import assign
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.providers import PROVIDERS, queries
from ansible_collections.netops.egress_ip.plugins.plugin_utils._setting import SECRET
from ansible_collections.netops.egress_ip.plugins.plugin_utils._settings import DEFAULTS, OF_FLEET, OF_HOST
from jinja2.nativetypes import NativeEnvironment

ROOT = Path(__file__).resolve().parents[3]
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "roles/*/README.md", "tests/README.md", "tests/*/README.md")
    for path in ROOT.glob(pattern)
    if path.name != "CHANGELOG.md"
)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
ZONE = "topology.kubernetes.io/zone"
VARIABLE_ROW = re.compile(r"^\| `(egress_ip_\w+)` \| [^|]+ \| `([^`]*)` \| \S", re.MULTILINE)
CODE = re.compile(r"`([^`]+)`")
# Idioms and roundabout words that make a sentence hard to read for people whose first language is not English.
IDIOMS = re.compile(
    r"\b(anew|besides|of ours|whatever|in vain|by chance|hangs? on|dear|sees? to|nobody|somebody|asks? for"
    r"|what is there|to be put right|to be known|who else|a look|tells? (whether|what|who|how)|says nothing)\b",
    re.IGNORECASE,
)
# Words of the output that a document shows: a user searches for them.
SHOWN = {
    "docs/operations.md": (
        "it looks as if this controller were cut off",
        "SOURCE",
        "PORTS IN USE",
        "Differences from the applied state",
    ),
    "docs/maintenance.md": ("would become unassigned", "MOVES FOR BALANCE", "connections with it", "moved from"),
    "docs/simulate.md": (
        "the next run leaves it there",
        "of the same object is there",
        "without the label k8s.ovn.org/egress-assignable",
        "at capacity: ",
        "every node that could hold",
        "Nothing was changed.",
        "losses leave egress IPs without a node.",
        "WITHOUT A PLACE",
    ),
    "docs/failures.md": (
        "may hold it and is not fenced",
        "answers for it",
        "answers for it too",
    ),
    "docs/troubleshooting.md": (
        "is not newer than",
        "another run has held the lock for a minute",
        "unknown field; did you mean",
        "is not an IPv4 or IPv6 address",
        "write {} to select all namespaces",
    ),
}
MOLECULE_TESTS = ROOT / "extensions/molecule/default/tests"
PLAYBOOK_DEFAULT = re.compile(r"(egress_ip_\w+) \| default\(([^,)]*).*?\)|^    (ansible_ssh_\w+): (\S+)$", re.MULTILINE)
# {variable of a playbook: the setting whose default it has}.
OF_CONNECTION = {
    "ansible_ssh_timeout": "egress_ip_connection_timeout",
    "ansible_ssh_pipelining": "egress_ip_pipelining",
}
REQUIRED = {"egress_ip_manifests"}


def _read(path):
    return (ROOT / path).read_text(encoding="utf-8")


def _of_the_roles(file):
    """Return {key: value} of a file that every role has."""
    found = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(ROOT.glob(f"roles/*/{file}"))]
    return {key: value for each in found for key, value in each.items()}


def _defaults():
    return _of_the_roles("defaults/main.yml")


def _entry_points():
    """Return {(role, entry point): spec}."""
    specs = {path.parts[-3]: yaml.safe_load(path.read_text()) for path in ROOT.glob("roles/*/meta/argument_specs.yml")}
    return {(role, name): entry for role, spec in specs.items() for name, entry in spec["argument_specs"].items()}


def _documented():
    rows = VARIABLE_ROW.findall(_read("docs/variables.md"))
    assert len(rows) == len(dict(rows)), "a variable stands in two rows"
    return {name: yaml.safe_load(default) for name, default in rows}


def _of_the_playbooks():
    """Return {variable: default} of the playbooks, which need some before the settings are read."""
    found = [match for path in ROOT.glob("playbooks/*.yml") for match in PLAYBOOK_DEFAULT.findall(path.read_text())]
    return {name or OF_CONNECTION[ssh]: yaml.safe_load(value or given) for name, value, ssh, given in found}


def _examples(path, language):
    return [text for kind, text in FENCE.findall(_read(path)) if kind == language]


def test_every_variable_is_documented_with_its_default():
    assert _documented() == {**DEFAULTS, **_defaults()}


def test_what_is_required_is_documented_as_such():
    rows = re.findall(r"^\| `(egress_ip_\w+)` \| [^|]+ \| required \| \S", _read("docs/variables.md"), re.MULTILINE)
    assert set(rows) == REQUIRED
    options = [entry["options"] for entry in _entry_points().values()]
    (texts,) = {str(each["egress_ip_manifests"]["description"]) for each in options if "egress_ip_manifests" in each}
    assert texts.startswith("['Required.")


def test_playbooks_and_role_have_the_same_defaults():
    defaults = {**DEFAULTS, **_defaults()}
    found = _of_the_playbooks()
    assert found == {name: defaults[name] for name in found}
    assert {*DEFAULTS} <= {*found}


def test_every_default_is_in_the_argument_specs():
    options = {name: spec for entry in _entry_points().values() for name, spec in entry["options"].items()}
    optional = options.keys() - REQUIRED
    assert {name: options[name].get("default") for name in optional} == _defaults()


@pytest.mark.parametrize(("role", "entry_point"), sorted(_entry_points()))
def test_argument_specs_hold_what_the_tasks_use(role, entry_point):
    reached, waiting = set(), [f"{entry_point}.yml"]
    text = _read(f"roles/{role}/vars/main.yml")
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            tasks = _read(f"roles/{role}/tasks/{name}")
            text += tasks
            waiting += re.findall(r"_tasks: (\w+\.yml)", tasks)
    used = {name for name in {*_defaults(), *REQUIRED} if re.search(rf"\b{name}\b", text)}
    providers = "|".join(PROVIDERS)
    settings = re.findall(
        rf"egress_ip_settings\.common\.(\w+)|__egress_ip_(?:{providers})\.(\w+)|\[inventory_hostname\]\.(\w+)", text
    )
    used |= {f"egress_ip_{''.join(names)}" for names in settings} & {*_defaults()}
    assert used <= set(_entry_points()[role, entry_point]["options"]) | {"egress_ip_group"}


def test_tasks_use_the_settings_and_not_the_variables():
    """What is checked is what is used. Secrets are in no result; the settings need the group first."""
    secrets = {f"egress_ip_{name}" for name, setting in {**OF_FLEET, **OF_HOST}.items() if setting is SECRET}
    alone = {*secrets, "egress_ip_group", *REQUIRED}
    names = "|".join({*_defaults(), *DEFAULTS} - alone)
    for path in (path for folder in ("tasks", "vars") for path in ROOT.glob(f"roles/*/{folder}/*.yml")):
        # A name with a colon is the beginning of a message.
        used = re.findall(rf"(?<![\w.])(?:{names})\b(?!:)", path.read_text(encoding="utf-8"))
        assert used == [], path


def _metric_names():
    return set(
        re.findall(r"^# TYPE (\w+) ", textfile({"egress_ips": [], "tunnel": [], "conflicts": []}, 0), re.MULTILINE)
    )


def test_every_metric_is_documented():
    rows = re.findall(r"^\| `(egress_ip_\w+)`(?:, `(_\w+)`)? \| (?:`|none)", _read("docs/operations.md"), re.MULTILINE)
    names = {name for name, _other in rows}
    assert names | {name.replace("_packets_total", other) for name, other in rows if other} == _metric_names()


def _of_rulebooks():
    """Return the variables of the rulebooks."""
    texts = [path.read_text(encoding="utf-8") for path in ROOT.glob("extensions/eda/rulebooks/*.yml")]
    return {name for text in texts for name in re.findall(r"{{ (egress_ip_\w+)", text)}


def test_variables_of_rulebooks_are_documented():
    assert _of_rulebooks() <= set(re.findall(r"egress_ip_\w+", _read("docs/eda.md")))


@pytest.mark.parametrize("token", ["token-01", "yes", "null", "a: b # c"])
def test_the_rulebook_gets_the_token_of_the_example_as_a_text(tmp_path, token):
    (script,) = [
        text for kind, text in FENCE.findall(_read("docs/eda.md")) if kind == "shell" and "alerts.token" in text
    ]
    (tmp_path / "alerts.token").write_text(f"{token}\n")
    lines = script.replace("/etc/egress-ip/", f"{tmp_path}/").splitlines()
    text = "\n".join(line for line in lines if not line.startswith("ansible-rulebook"))
    subprocess.run(["sh", "-eu"], input=text, text=True, cwd=tmp_path, check=True)
    variables = yaml.safe_load((tmp_path / "alerts.yml").read_text())
    (rules,) = yaml.safe_load(_read("extensions/eda/rulebooks/reconcile_alerts.yml"))
    template = rules["sources"][0]["eda.builtin.webhook"]["token"]
    # As ansible-rulebook renders it.
    assert NativeEnvironment().from_string(template).render(variables) == token


def _registered():
    """Return the variables without a private name in which the role `node` registers results."""
    texts = [path.read_text(encoding="utf-8") for path in ROOT.glob("roles/node/tasks/*.yml")]
    return {name for text in texts for name in re.findall(r"^ +register: (egress_ip_\w+)$", text, re.MULTILINE)}


def test_every_result_is_documented_and_forgotten_before_the_next_run():
    rows = re.findall(r"^\| `(egress_ip_\w+)` \| [^|]+ \|$", _read("docs/variables.md"), re.MULTILINE)
    assert _registered() <= {*rows}
    of_hosts = {name for name in _registered() if name.startswith("egress_ip_node")}
    assert of_hosts <= set(
        re.findall(r"^ +(egress_ip_\w+): null$", _read("roles/node/tasks/settings.yml"), re.MULTILINE)
    )


def test_every_variable_that_a_document_names_exists():
    internal = {"egress_ip_nodes", "egress_ip_fence_node"}
    results = {f"egress_ip_{module}" for module in _stems("plugins/modules/*.py")}
    results |= _registered()
    known = {*_documented(), *results, *REQUIRED, *internal, *_metric_names(), *_of_rulebooks()}
    for path in DOCUMENTS:
        text = re.sub(r"netops\.egress_ip\.\w+|egress_ip:", "", path.read_text(encoding="utf-8"))
        assert set(re.findall(r"\begress_ip_[a-z_]+[a-z]\b", text)) <= known, path


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_relative_links_resolve(path):
    for target in LINK.findall(path.read_text(encoding="utf-8")):
        if "://" not in target:
            name, _hash, anchor = target.partition("#")
            linked = (path.parent / name).resolve() if name else path
            assert linked.exists(), target
            assert not anchor or anchor in _anchors(linked), target


def _anchors(path):
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.fixture(scope="module")
def outputs():
    """The texts of the code, and of what its tests expect."""
    patterns = (
        "plugins/**/*.py",
        "roles/*/tasks/*.yml",
        "tests/unit/**/*.yml",
        "tests/unit/plugins/**/*.py",
        "extensions/**/*.py",
    )
    return "\n".join(path.read_text(encoding="utf-8") for pattern in patterns for path in ROOT.glob(pattern))


@pytest.mark.parametrize("path", SHOWN)
def test_documents_show_the_words_of_the_output(path, outputs):
    for words in SHOWN[path]:
        assert words in _read(path)
        assert words in outputs


def test_every_playbook_is_documented():
    for playbook in ROOT.glob("playbooks/*.yml"):
        name = f"netops.egress_ip.{playbook.stem}"
        for document in ("docs/operations.md", "roles/node/README.md"):
            assert name in _read(document), f"{name} in {document}"


def test_documents_name_no_playbook_or_plugin_that_is_not_there():
    known = {path.stem for folder in ("playbooks", "plugins/*", "roles/*") for path in ROOT.glob(f"{folder}/*.yml")}
    known |= {path.stem for path in ROOT.glob("plugins/*/*.py")} | {path.name for path in ROOT.glob("roles/*")}
    known |= _stems("extensions/eda/plugins/*/*.py", "extensions/eda/rulebooks/*.yml")
    for path in DOCUMENTS:
        assert set(re.findall(r"netops\.egress_ip\.(\w+)", path.read_text(encoding="utf-8"))) <= known, path


def _listed(kind):
    """Return the names in the row of this kind in the README's table of contents."""
    (row,) = re.findall(rf"^\| {kind} \| (.*) \|$", _read("README.md"), re.MULTILINE)
    return set(CODE.findall(row))


def _stems(*patterns):
    return {path.stem for pattern in patterns for path in ROOT.glob(pattern)}


def test_the_readme_lists_playbooks_roles_and_plugins():
    assert _listed("Playbooks") == _stems("playbooks/*.yml")
    assert _listed("Roles") == _stems("roles/*")
    assert _listed("Modules") == _stems("plugins/modules/*.py")
    assert _listed("Filters") == _stems("plugins/filter/*.py", "plugins/filter/*.yml")
    assert _listed("Test, lookup, callback") == _stems(
        *(f"plugins/{kind}/*.py" for kind in ("test", "lookup", "callback"))
    )
    assert _listed("Event source, rulebooks") == _stems(
        "extensions/eda/plugins/*/*.py", "extensions/eda/rulebooks/*.yml"
    )


def test_no_two_commands_of_the_guide_to_event_driven_ansible_write_one_file():
    written = re.findall(r"^cat > (\S+) <<", _read("docs/eda.md"), re.MULTILINE)
    assert len(written) == len(set(written)) > 1


def test_the_guide_to_the_planner_lists_every_file_of_the_solver():
    rows = "".join(re.findall(r"^\| (`\w+\.py`.*?) \|", _read("docs/planner.md"), re.MULTILINE))
    files = {path.name for path in ROOT.glob("plugins/module_utils/_solver/*.py")} - {"__init__.py"}
    assert set(CODE.findall(rows)) == files


def test_the_readme_lists_every_guide():
    linked = set(LINK.findall(_read("README.md")))
    assert {str(path.relative_to(ROOT)) for path in ROOT.glob("docs/*.md")} <= linked


def test_documents_name_only_code_that_exists():
    roots = [ROOT, ROOT / "plugins", ROOT / "plugins/module_utils"]
    for document, parents in (("CONTRIBUTING.md", roots), ("docs/planner.md", [*roots, roots[-1] / "_solver"])):
        named = {name for name in CODE.findall(_read(document)) if re.fullmatch(r"[\w/.]+(/|\.py|\.yml)", name)}
        missing = {name for name in named if not any((parent / name).exists() for parent in parents)}
        # NAME is that of a new platform.
        missing = {name for name in missing if "NAME" not in name}
        assert missing == set(), document


def test_every_file_of_the_core_is_in_a_row_of_contributing():
    core = ROOT / "plugins/module_utils"
    named = set(CODE.findall(_read("CONTRIBUTING.md")))
    # vSphere stands for all platforms.
    others = {path.parent for path in core.glob("*/provider.py")} - {core / "_vsphere"}
    files = {path for path in core.glob("*/*.py") if path.name != "__init__.py" and path.parent not in others}
    assert {str(path.relative_to(core)) for path in files} - named == set()
    assert {name for name in named if name.endswith(".md") and not (ROOT / name).exists()} == {"docs/NAME.md"}


def test_the_tests_that_prove_what_is_trusted_exist():
    folders = [ROOT / "tests/unit/plugins", ROOT / "tests/unit/plugins/module_utils", MOLECULE_TESTS]
    named = {name for name in CODE.findall(_read("docs/trust.md")) if re.fullmatch(r"[\w/]*test_\w+\.py", name)}
    assert named
    assert {name for name in named if not any((folder / name).exists() for folder in folders)} == set()


def test_contributing_shows_the_import_rule():
    rows = re.findall(r"^\| `(_\w+)/` \| [^|]+ \| (.*) \|$", _read("CONTRIBUTING.md"), re.MULTILINE)
    rule = runpy.run_path(str(ROOT / "tests/unit/plugins/module_utils/test_imports.py"))
    # One platform stands for all in the table.
    others = rule["PLATFORMS"] - {folder for folder, _text in rows}
    assert {folder: set(CODE.findall(text)) for folder, text in rows} == {
        folder: set(names.split()) - others for folder, names in rule["ALLOWED"].items() if folder not in others
    }


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_documents_are_in_plain_english(path):
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    assert [match.group() for match in IDIOMS.finditer(text)] == []


TEXTS = sorted(
    path for pattern in ("plugins/**/*.py", "roles/**/*.yml", "playbooks/*.yml") for path in ROOT.glob(pattern)
)


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_code_is_in_plain_english(path):
    """Docstrings, comments, messages and names: a word in code counts like one in a sentence."""
    assert [match.group() for match in IDIOMS.finditer(path.read_text(encoding="utf-8"))] == []


def test_documents_name_only_targets_of_the_makefile():
    targets = set(re.findall(r"^([a-z-]+):", _read("Makefile"), re.MULTILINE))
    for path in DOCUMENTS:
        text = path.read_text(encoding="utf-8")
        named = re.findall(r"`make ([a-z-]+)|^make ([a-z-]+)", text, re.MULTILINE)
        assert {name for pair in named for name in pair if name} <= targets, path


def _nodes(inventory):
    return [
        {
            "name": name,
            "labels": host.get("egress_ip_labels", {}),
            "networks": [{"interface": "eth0", "addresses": [f"{host['ansible_host']}/18"]}],
        }
        for name, host in inventory["egress_ip_nodes"]["hosts"].items()
    ]


def _plan(path):
    """Return (manifests, plan) of the examples of a document: one inventory, the rest are manifests."""
    documents = [document for text in _examples(path, "yaml") for document in yaml.safe_load_all(text)]
    inventory = next(document for document in documents if "egress_ip_nodes" in document)
    described = [{"source": path, "document": document} for document in documents if "kind" in document]
    manifests = read_manifests(described).to_dict()
    return manifests, assign(manifests["egressips"], _nodes(inventory)).to_dict()


@pytest.mark.parametrize("path", ["README.md", "docs/quickstart.md"])
def test_the_example_gives_the_plan_it_shows(path):
    manifests, plan = _plan(path)
    assert (manifests["invalid"], plan["invalid"], plan["unassigned"]) == ([], [], [])
    shown = "".join(_examples(path, "text"))
    assert plan["assignments"]
    for item in plan["assignments"]:
        assert re.search(rf"{re.escape(item['egressIP'])} +{item['name']} +{item['node']} ", shown)


def test_the_quick_start_selects_its_network():
    manifests, _unused = _plan("docs/quickstart.md")
    read = Manifests.from_dict(manifests)
    assert [(each.name, each.networks, each.errors) for each in read.namespaces] == [
        ("namespace1", ("podman:web",), ())
    ]
    assert objects_of_networks(read.egressips, read.namespaces, ["namespace1"]) == {"namespace1": ("egressips-prod",)}


@pytest.mark.parametrize(("said", "labels"), [("assignable", [ZONE, ASSIGNABLE_LABEL]), ("no", [ZONE])])
def test_the_inventory_of_vms_makes_a_node_of_a_vm(said, labels):
    (inventory,) = [yaml.safe_load(text) for text in _examples("docs/vsphere.md", "yaml") if "plugin: vmware" in text]
    of_vm = {"config": {"name": "node1", "instanceUuid": "5030"}, "cluster": {"name": "c1"}}
    of_vm["customValue"] = {"egress-ip": said}
    environment = NativeEnvironment()
    host = {name: environment.compile_expression(text)(**of_vm) for name, text in inventory["compose"].items()}
    assert (host["ansible_host"], host["egress_ip_platform"]) == ("node1.nodes.example.com", "vsphere")
    assert list(host["egress_ip_labels"]) == labels
    (asked,) = queries([{"name": "node1", "platform": host["egress_ip_platform"], "variables": host}], [])
    assert asked["nodes"] == [{"name": "node1", "vms": [{"uuid": "5030"}], "uuid": None}]
    (leave_out,) = map(environment.compile_expression, inventory["filter_expressions"])
    assert (leave_out(**of_vm), leave_out(customValue={})) == (False, True)
