# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that the vSphere modules share are those that the documentation describes."""

from __future__ import annotations

import pytest
import yaml
from ansible_collections.netops.egress_ip.plugins.doc_fragments.vsphere import ModuleDocFragment
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.argument_spec import ADAPTERS, CONNECTION, VMS

SAME = ("type", "elements", "required", "default", "choices")


def described(fragment):
    return yaml.safe_load(fragment)["options"]


def differences(spec, documented, path=""):
    """Yield where an argument spec and its documentation differ."""
    for name in sorted(spec.keys() | documented.keys()):
        here = f"{path}{name}"
        if name not in spec or name not in documented:
            yield here
            continue
        ours, theirs = spec[name], documented[name]
        yield from (f"{here}.{key}" for key in SAME if ours.get(key) != theirs.get(key))
        if sorted(ours.get("aliases", ())) != sorted(theirs.get("aliases", ())):
            yield f"{here}.aliases"
        yield from differences(ours.get("options", {}), theirs.get("suboptions", {}), f"{here}.")


@pytest.mark.parametrize(
    ("spec", "fragment"),
    [
        (CONNECTION, ModuleDocFragment.DOCUMENTATION),
        (VMS, ModuleDocFragment.VMS),
        (ADAPTERS, ModuleDocFragment.ADAPTERS),
    ],
    ids=["connection", "vms", "adapters"],
)
def test_the_documentation_describes_the_options(spec, fragment):
    assert list(differences(spec, described(fragment))) == []


def test_options_from_the_environment_are_described_with_their_variable():
    documented = described(ModuleDocFragment.DOCUMENTATION)
    for name, option in CONNECTION.items():
        for variable in option["fallback"][1] if "fallback" in option else ():
            assert f"E({variable})" in " ".join(documented[name]["description"]), name


def test_the_password_is_in_no_log():
    assert CONNECTION["password"]["no_log"] is True


def test_a_vm_is_named_in_one_way_and_an_adapter_too():
    assert VMS["vms"]["mutually_exclusive"] == VMS["vms"]["required_one_of"] == [("name", "uuid", "moid")]
    assert ADAPTERS["vms"]["mutually_exclusive"][1] == ("mac", "label", "network")
    assert "macs" not in VMS["vms"]["options"], "the specs share no dict"
