# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module's edge: it runs the program that is sent along, and keeps what is large out of its result."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import zipfile
import zlib

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.parameters import PASS_VARS
from ansible.module_utils.testing import patch_module_args
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import files, plugin_sources
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.node_answer import FACTS_OF_NODE
from ansible_collections.netops.egress_ip.plugins.modules import node
from ansible_collections.netops.egress_ip.plugins.plugin_utils._node_action import PROGRAM_DIGEST, unlogged
from ansible_collections.netops.egress_ip.plugins.plugin_utils._node_action import program as real_program
from kernel_host import ip
from network_namespace import network_namespace

# The options of a module are in its result: always in ansible-core 2.20, on request in newer versions.
INVOCATION = {"_ansible_inject_invocation": True} if "inject_invocation" in PASS_VARS else {}
STATE = {"name": "node1", "generation": 7, "pods": [{"address": "10.88.1.5"}]}
ANSWERS = """
class EgressIPError(Exception):
    pass

def run_module(params, check_mode):
    return {"changed": True, "diff": {"after": "x"}, "asked": [sorted(params), check_mode, params["state"]]}
"""
FAILS = """
class EgressIPError(Exception):
    pass

def run_module(params, check_mode):
    raise EgressIPError("state.name: is not yours")
"""


def program(source):
    """Return a program that answers with this, always the same one."""
    buffer = io.BytesIO()
    contents = {"__init__.py": "", "_node/__init__.py": "", "_node/module.py": source}
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in contents.items():
            # Without this date, it is the present one.
            archive.writestr(zipfile.ZipInfo(f"netops_egress_ip/{name}", date_time=(2026, 1, 1, 0, 0, 0)), content)
    return base64.b64encode(zlib.compress(buffer.getvalue())).decode()


def masked(result):
    """Return a result as tasks get it: since ansible-core 2.22 the controller masks the secrets that a module names."""
    secrets, text = result.pop("_ansible_new_secrets", []), json.dumps(result)
    for secret in secrets:
        text = text.replace(json.dumps(secret)[1:-1], "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER")
    return json.loads(text)


def forget_program():
    """Let the next call of the module import the program again, as a new process does."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "netops_egress_ip"]:
        del sys.modules[name]


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """Return the folder in which the module keeps programs."""
    monkeypatch.setattr(node, "_SOURCES", str(tmp_path / "kept" / "program."))
    (tmp_path / "kept").mkdir()
    return tmp_path / "kept"


@pytest.fixture
def run(capsys, monkeypatch, kept):
    """Return a function that runs the module in check mode and returns what it prints."""

    def run(**options):
        forget_program()
        monkeypatch.setattr(sys, "path", list(sys.path))
        with patch_module_args({**INVOCATION, "_ansible_check_mode": True, **options}), pytest.raises(SystemExit):
            node.main()
        return masked(json.loads(capsys.readouterr().out))

    yield run
    forget_program()


def test_the_program_gets_the_options_and_its_answer_is_the_result(run):
    result = run(state=STATE, program=program(ANSWERS))
    options, check_mode, state = result["asked"]
    assert (check_mode, state) == (True, STATE)
    assert "claim_timeout" in options
    assert "program" not in options
    assert result["changed"]


def test_no_secret_is_in_the_result(run):
    secret, key = "a secret that is long enough", "a key of a run"
    echo = ANSWERS.replace('"asked": [', '"asked": [params["tunnel_secret"], "x" + params["handover_key"], ')
    text = json.dumps(run(state=STATE, program=program(echo), tunnel_secret=secret, handover_key=key))
    assert secret not in text
    assert key not in text
    assert "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER" in text


def test_what_is_large_is_not_in_the_result(run):
    arguments = run(state=STATE, program=program(ANSWERS))
    assert "diff" not in arguments
    assert arguments["invocation"]["module_args"]["state"] == {"name": "node1", "generation": 7}
    assert "program" not in arguments["invocation"]["module_args"]


def test_a_difference_is_there_when_it_is_asked_for(run):
    assert run(state=STATE, program=program(ANSWERS), _ansible_diff=True)["diff"] == {"after": "x"}


def test_an_error_is_the_message_of_a_failure(run):
    result = run(state=STATE, program=program(FAILS))
    assert (result["failed"], result["msg"]) == (True, "state.name: is not yours")
    assert "program" not in result["invocation"]["module_args"]


def test_without_the_program_nothing_is_done(run):
    assert run(state=STATE)["msg"].startswith("program: ")


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Return the file with the installed program."""
    monkeypatch.setattr(node, "_PROGRAM_FILE", tmp_path / "node.pyz")
    return tmp_path / "node.pyz"


def test_the_installed_program_runs_if_its_digest_matches(run, installed):
    installed.write_bytes(zlib.decompress(base64.b64decode(program(ANSWERS))))
    digest = hashlib.sha256(installed.read_bytes()).hexdigest()
    assert run(state=STATE, program_digest=digest)["asked"][2] == STATE


@pytest.mark.parametrize("content", [None, b"", b"another program"])
def test_another_program_does_not_run(run, installed, content):
    if content is not None:
        installed.write_bytes(content)
    assert run(state=STATE, program_digest=PROGRAM_DIGEST)["program_missing"]


def digest_of(sent):
    return hashlib.sha256(zlib.decompress(base64.b64decode(sent))).hexdigest()


def test_the_next_call_finds_the_program_compiled(run, kept, installed, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    run(state=STATE, program=program(ANSWERS))
    (folder,) = kept.iterdir()
    assert folder.name == f"program.{digest_of(program(ANSWERS))}"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [*folder.glob("netops_egress_ip/_node/__pycache__/module.*.pyc")]
    assert run(state=STATE, program_digest=digest_of(program(ANSWERS)))["asked"][2] == STATE
    assert not installed.exists()


def test_the_installed_program_is_compiled_once_too(run, kept, installed):
    installed.write_bytes(zlib.decompress(base64.b64decode(program(ANSWERS))))
    run(state=STATE, program_digest=digest_of(program(ANSWERS)))
    installed.unlink()
    assert run(state=STATE, program_digest=digest_of(program(ANSWERS)))["asked"][2] == STATE


def writable(folder, _tmp_path):
    folder.chmod(0o770)


def of_another(folder, _tmp_path):
    os.chown(folder, 65534, 65534)


def linked(folder, tmp_path):
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change the owner")
@pytest.mark.parametrize("change", [writable, of_another, linked])
def test_a_folder_that_another_user_may_have_changed_is_not_used(run, kept, tmp_path, change, installed):
    run(state=STATE, program=program(ANSWERS))
    (folder,) = kept.iterdir()
    change(folder, tmp_path)
    (folder / "netops_egress_ip/_node/module.py").write_text(FAILS)
    assert run(state=STATE, program_digest=digest_of(program(ANSWERS)))["program_missing"]
    assert run(state=STATE, program=program(ANSWERS))["asked"][2] == STATE


REMOVES = """
from pathlib import Path
import shutil
import subprocess
import sys
CODE = "import fcntl, sys; fcntl.lockf(open(sys.argv[1], 'rb+'), fcntl.LOCK_EX | fcntl.LOCK_NB)"
lock = Path(__file__).parents[2] / "lock"
BLOCKED = subprocess.run([sys.executable, "-c", CODE, str(lock)], stderr=subprocess.DEVNULL, check=False).returncode
"""


def test_another_process_cannot_lock_a_program_that_runs(run, kept):
    source = REMOVES + ANSWERS.replace('"asked": [', '"asked": [BLOCKED, ')
    assert run(state=STATE, program=program(source))["asked"][0] == 1
    (folder,) = kept.iterdir()
    with (folder / "lock").open("rb+") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def run_python(code, *words):
    """Run code in a process of its own, which can import the collection, and return its exit status."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run([sys.executable, "-c", code, *words], env=environment, check=False).returncode


KEEP = """
import os, signal, sys, zipfile
from pathlib import Path
from ansible_collections.netops.egress_ip.plugins.modules import node
def end(*_arguments):
    os.kill(os.getpid(), signal.SIGKILL)
MOMENT = end
node._keep(Path(sys.argv[1]), Path(sys.argv[2]).read_bytes())
"""
REMOVE = """
import sys
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import plugin_sources
plugin_sources.WHOLE_PREFIX = sys.argv[1]
plugin_sources.remove_programs()
"""


@pytest.fixture
def content(tmp_path):
    """Return the file with a program that a call unpacks."""
    (tmp_path / "sent.pyz").write_bytes(zlib.decompress(base64.b64decode(program(ANSWERS))))
    return tmp_path / "sent.pyz"


@pytest.mark.parametrize("moment", ["Path.touch", "zipfile.ZipFile.extractall", "Path.rename"])
def test_what_a_killed_call_leaves_is_removed_with_other_programs(kept, content, moment):
    code = KEEP.replace("MOMENT", moment)
    assert run_python(code, str(kept / "program.a"), str(content)) == -signal.SIGKILL
    assert [path.name.rpartition(".")[0] for path in kept.iterdir()] == ["program.a"]
    assert run_python(REMOVE, str(kept / "program.")) == 0
    assert [*kept.iterdir()] == []


def test_what_a_killed_removal_leaves_is_removed_by_the_next(kept, content):
    node._keep(kept / "program.a", content.read_bytes()).close()
    killed = "import os, shutil; shutil.rmtree = lambda *_a, **_b: os.kill(os.getpid(), 9)"
    assert run_python(f"{killed}{REMOVE}", str(kept / "program.")) == -signal.SIGKILL
    assert [path.name.rpartition(".")[0] for path in kept.iterdir()] == ["program.a"]
    assert run_python(REMOVE, str(kept / "program.")) == 0
    assert [*kept.iterdir()] == []


@pytest.mark.parametrize("moment", ["extractall", "__init__"])
def test_another_call_removes_no_program_that_is_being_unpacked(kept, content, monkeypatch, moment):
    done = getattr(zipfile.ZipFile, moment)

    def interrupted(*arguments):
        assert run_python(REMOVE, str(kept / "program.")) == 0
        done(*arguments)

    monkeypatch.setattr(zipfile.ZipFile, moment, interrupted)
    with node._keep(kept / "program.a", content.read_bytes()) as lock:
        assert os.path.samestat(os.fstat(lock.fileno()), (kept / "program.a/lock").stat())
        assert run_python(REMOVE, str(kept / "program.")) == 0
        assert (kept / "program.a/netops_egress_ip/_node/module.py").exists()


def test_a_call_whose_folder_was_removed_as_it_began_runs_without(kept, content, monkeypatch):
    touch = node.Path.touch

    def interrupted(path):
        touch(path)
        assert run_python(REMOVE, str(kept / "program.")) == 0

    monkeypatch.setattr(node.Path, "touch", interrupted)
    assert node._keep(kept / "program.a", content.read_bytes()) is None
    assert [*kept.iterdir()] == []


def test_a_lock_of_a_removed_folder_is_none_of_the_one_that_came_after(kept, content, monkeypatch):
    """Between the opening of its lock and the lock, one call removes the folder and another one unpacks it again."""
    lock, folder = fcntl.lockf, kept / "program.a"
    node._keep(folder, content.read_bytes()).close()

    def interrupted(*arguments):
        monkeypatch.setattr(fcntl, "lockf", lock)
        assert run_python(REMOVE, str(kept / "program.")) == 0
        node._keep(folder, content.read_bytes()).close()
        lock(*arguments)

    monkeypatch.setattr(fcntl, "lockf", interrupted)
    assert node._lock(folder) is None
    with node._keep(folder, content.read_bytes()):
        assert run_python(REMOVE, str(kept / "program.")) == 0
        assert (folder / "netops_egress_ip/_node/module.py").exists()


def test_a_file_in_place_of_the_folder_does_not_matter(run, kept):
    (kept / f"program.{digest_of(program(ANSWERS))}").write_text("theirs")
    assert run(state=STATE, program=program(ANSWERS))["asked"][2] == STATE
    assert [path.read_text() for path in kept.iterdir()] == ["theirs"]


def test_without_the_folder_the_program_runs_too(run, kept, monkeypatch):
    monkeypatch.setattr(node, "_SOURCES", str(kept / "missing" / "program."))
    assert run(state=STATE, program=program(ANSWERS))["asked"][2] == STATE
    assert [*kept.iterdir()] == []


def test_the_program_is_where_the_program_itself_installs_it():
    assert node._PROGRAM_FILE == files.PROGRAM_FILE


def test_the_program_is_kept_where_the_program_itself_removes_it():
    assert node._SOURCES == plugin_sources.WHOLE_PREFIX


def test_the_real_program_refuses_a_state_that_is_none(run):
    assert run(state={}, program=real_program())["msg"].startswith("state")


@pytest.mark.parametrize("mode", ["observed", "absent"])
def test_the_real_program_refuses_options_that_are_none(run, mode):
    assert run(mode=mode, options={"mark_mask": "x"}, program=real_program())["msg"].startswith("options.mark_mask")


def ask(folder, **options):
    """Return the exit status and the output of the program in this folder when it is asked without the module."""
    text = json.dumps({"options": {}, "observe": {}, **options})
    done = subprocess.run(["sh", f"{folder}/observe"], input=text, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_the_compiled_program_answers_without_the_module_as_with_it(run, kept):
    # Other programs change the network of this machine meanwhile.
    with network_namespace("eth0"):
        ip("address add 192.168.126.21/18 dev eth0", "route add default via 192.168.126.1")
        by_module = run(mode="observed", program=real_program())
        (folder,) = kept.iterdir()
        status, text = ask(folder)
    assert status == 0
    assert text.count("\n") == 0
    asked = json.loads(text)
    assert asked == {name: value for name, value in by_module.items() if name != "invocation"}
    assert set(asked) <= FACTS_OF_NODE


def test_the_compiled_program_refuses_what_the_module_refuses(run, kept):
    wrong = {"mark_mask": "x"}
    by_module = run(mode="observed", options=wrong, program=real_program())
    (folder,) = kept.iterdir()
    status, text = ask(folder, options=wrong)
    assert (status, json.loads(text)) == (0, {"failed": True, "msg": by_module["msg"]})


@pytest.mark.parametrize("change", ["rm observe", "echo exec /gone/python -I > observe"])
def test_each_call_of_the_module_renews_how_the_program_is_started_without_it(run, kept, change):
    """The Python of the next one may be another one."""
    wrong = {"mode": "observed", "options": {"mark_mask": "x"}}
    run(**wrong, program=real_program())
    (folder,) = kept.iterdir()
    before = (folder / "observe").read_text()
    subprocess.run(["sh", "-ec", change], cwd=folder, check=True)
    run(**wrong, program_digest=digest_of(real_program()))
    assert (folder / "observe").read_text() == before
    assert [path.name for path in folder.iterdir() if path.name.startswith("observe.")] == []


@pytest.mark.parametrize("change", ["lock", "netops_egress_ip/_node/observe.py", "netops_egress_ip/_host_io"])
def test_a_program_that_is_being_removed_gives_no_answer(run, kept, change):
    run(mode="observed", options={"mark_mask": "x"}, program=real_program())
    (folder,) = kept.iterdir()
    (folder / change).rename(folder / "removed")
    status, text = ask(folder)
    assert (status, text) == (1, "")


def test_the_state_reaches_the_program_and_only_a_digest_the_log(run, monkeypatch):
    logged = []
    monkeypatch.setattr(AnsibleModule, "log", lambda _module, text, log_args=None: logged.append(f"{text} {log_args}"))
    state = {**STATE, "pods": [{"address": f"10.88.{n // 250}.{n % 250}"} for n in range(10_000)]}
    result = run(**unlogged({"state": state}), program=program(ANSWERS))
    options, _check_mode, received = result["asked"]
    assert received == state
    assert "state_json" not in options
    assert result["invocation"]["module_args"]["state"] == {"name": "node1", "generation": 7}
    assert logged
    assert sum(map(len, logged)) < 2000
    assert "10.88." not in "".join(logged)


def test_equal_states_have_equal_digests():
    one, two = (unlogged({"state": {"name": "node1", "generation": number}})["state"] for number in (1, 2))
    assert one["digest"] != two["digest"]
    assert one == unlogged({"state": {"generation": 1, "name": "node1"}})["state"]


@pytest.mark.parametrize("state", [None, "x", []])
def test_what_is_no_state_is_left_to_the_module(state):
    assert unlogged({"state": state}) == {"state": state}


def test_a_failure_does_not_show_the_state(run):
    failed = run(**unlogged({"state": STATE}), program=program(FAILS))
    assert "10.88.1.5" not in json.dumps(failed)
