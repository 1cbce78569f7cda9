# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names, properties and the messages of faults."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.errors import (
    VsphereError,
    VsphereInterruptedError,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.session import (
    Properties,
    Session,
    UnparsedError,
    plain_name,
)
from pyVmomi import vim, vmodl

PARAMETERS = {"hostname": "vc", "port": 443, "username": "admin", "timeout": 5}


def raised(fault, what=None):
    with pytest.raises(VsphereError) as error, Session(PARAMETERS).translated(what):
        raise fault
    return error.value


def words(text):
    return vmodl.LocalizableMessage(key="k", message=text)


def test_the_api_escapes_three_characters():
    assert plain_name("a%2fb%5cc%25d") == "a/b\\c%d"
    assert plain_name(None) == ""


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (vmodl.MethodFault(), "port 10: MethodFault"),
        (vmodl.MethodFault(msg="a\nb"), "port 10: MethodFault: a b"),
        (
            vim.fault.HostConfigFault(msg="no", faultMessage=[words("line 1"), words("line 2")]),
            "port 10: HostConfigFault: no; line 1; line 2",
        ),
        (
            vim.fault.DvsOperationBulkFault(
                hostFault=[
                    vim.fault.DvsOperationBulkFault.FaultOnHost(
                        host=vim.HostSystem("host-1"), fault=vim.fault.HostConfigFault(faultMessage=[words("busy")])
                    )
                ]
            ),
            "port 10: DvsOperationBulkFault: HostConfigFault: busy",
        ),
    ],
)
def test_a_fault_keeps_what_the_hosts_report(fault, text):
    assert str(raised(fault, "port 10")) == text


def test_what_was_removed_is_named():
    fault = vmodl.fault.ManagedObjectNotFound(obj=vim.VirtualMachine("vm-7"))
    assert str(raised(fault)) == "vm-7: ManagedObjectNotFound"
    assert str(raised(fault, "node7")) == "node7: ManagedObjectNotFound"


@pytest.mark.parametrize("fault", [vim.fault.ConcurrentAccess(), vim.fault.InvalidPowerState()])
def test_a_race_names_its_object(fault):
    error = raised(fault, "port 10")
    assert isinstance(error, VsphereInterruptedError)
    assert str(error).startswith("port 10: ")
    assert str(raised(fault)).startswith("vc:443: ")


def test_a_property_that_is_unset_or_must_not_be_read():
    content = vmodl.query.PropertyCollector.ObjectContent
    unset = Properties.of(content(obj=vim.HostSystem("host-1"), propSet=[], missingSet=[]))
    assert (unset["name"], unset.get("name")) == (None, None)
    missing = vmodl.query.PropertyCollector.MissingProperty(path="name", fault=vim.fault.NoPermission())
    hidden = Properties.of(content(obj=vim.HostSystem("host-1"), propSet=[], missingSet=[missing]))
    assert hidden.get("name") is None
    with pytest.raises(vim.fault.NoPermission):
        hidden["name"]


def test_a_value_that_cannot_be_parsed_leaves_the_others():
    parts = [Properties({"name": "node1"}), Properties(unparsed={"state": UnparsedError("vm-1: state: odd")})]
    found = Properties.merged(parts)
    assert (found["name"], found.get("state"), found["unset"]) == ("node1", None, None)
    with pytest.raises(VsphereError, match="^vm-1: state: odd$"):
        found["state"]
