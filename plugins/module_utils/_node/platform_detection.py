# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host runs on, and whether an additional address works there. PRIVATE to the collection. Pure."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass

from .._common.errors import InventoryError
from .._common.messages import quote

AUTO = "auto"
BARE_METAL, VSPHERE, VIRTUAL = "baremetal", "vsphere", "virtual"
OPENSTACK, AWS, AZURE, GCE, CLOUD = "openstack", "aws", "azure", "gce", "cloud"

# Why an address that only the host knows of is dropped there; the platforms without a reason carry it.
_REFUSALS = {
    OPENSTACK: "OpenStack, whose ports let only their own addresses and their allowed address pairs pass",
    AWS: "AWS, which carries only addresses that its API gave to the network interface",
    AZURE: "Azure, which carries only addresses of the network interface's IP configurations",
    GCE: "Google Cloud, which carries only addresses of the instance and its alias ranges",
    CLOUD: "a public cloud, which carries only addresses that were ordered for the machine",
}
PLATFORMS = (BARE_METAL, VSPHERE, VIRTUAL, *_REFUSALS)

# The first sign that fits decides: (platform, fact, how it begins). OpenStack comes before what it may run on.
_SIGNS = (
    (OPENSTACK, "sys_vendor", "openstack"),
    (OPENSTACK, "product_name", "openstack"),
    (OPENSTACK, "chassis_asset_tag", "openstack|huaweicloud|opentelekomcloud|sap ccloud vm|samsung cloud platform"),
    (AWS, "sys_vendor", "amazon ec2"),
    (AWS, "bios_version", ".*amazon"),
    (AWS, "hypervisor_uuid", "ec2"),
    (AZURE, "chassis_asset_tag", "7783-7084-3265-9085-8269-3286-77"),
    (GCE, "product_name", "google compute engine"),
    (CLOUD, "sys_vendor", "akamai|alibaba cloud|digitalocean|hetzner|linode|scaleway|tencent cloud|upcloud|vultr"),
    (CLOUD, "product_name", "alibaba cloud|exoscale"),
    (CLOUD, "chassis_asset_tag", "oraclecloud"),
    (VSPHERE, "sys_vendor", "vmware"),
    (VSPHERE, "product_name", "vmware"),
    (VIRTUAL, "sys_vendor", "qemu|xen|innotek|parallels|nutanix"),
    (VIRTUAL, "product_name", "virtual machine|kvm|rhel|rhev|ovirt"),
    (VIRTUAL, "cpu_flags", r".*\bhypervisor\b"),
)
# VMware writes the VM's BIOS UUID into the serial number, byte by byte.
_SERIAL = re.compile(r"VMware-([0-9a-f]{2}[ -]){15}[0-9a-f]{2}", re.IGNORECASE)


@dataclass(frozen=True)
class Platform:
    """What a host runs on: ``name`` is one of PLATFORMS, ``uuid`` the BIOS UUID of a VM on vSphere, or None."""

    name: str
    uuid: object = None

    def to_dict(self):
        """Return the platform as a JSON-safe dict."""
        return {"name": self.name, "uuid": self.uuid}


def find_platform(facts, named=AUTO):
    """Return the Platform of a host.

    ``facts`` is {fact: text} with what is there of the DMI fields ``sys_vendor``, ``product_name``,
    ``product_serial``, ``bios_version``, ``chassis_asset_tag``, and of ``hypervisor_uuid`` (Xen) and ``cpu_flags``.
    ``named`` is what the user says, which counts if it is not AUTO; InventoryError when there is no such platform.
    """
    if named not in (AUTO, *PLATFORMS):
        known = ", ".join((AUTO, *PLATFORMS))
        raise InventoryError(f"egress_ip_platform: must be one of {known}, not {quote(named)}")
    signs = (name for name, fact, start in _SIGNS if re.match(start, facts.get(fact, ""), re.IGNORECASE))
    serial = facts.get("product_serial", "")
    found = uuid.UUID(re.sub("[ -]", "", serial[len("VMware-") :])) if _SERIAL.fullmatch(serial) else None
    return Platform(next(signs, BARE_METAL) if named == AUTO else named, found and str(found))


def refusal(platform):
    """Return why an egress IP cannot work on a Platform, as a problem of the host; None if it can."""
    reason = _REFUSALS.get(platform.name)
    return reason and (
        f"egress_ip_platform: this host is on {reason}, so an egress IP would be dropped;"
        f" if yours lets it pass, set egress_ip_platform: {platform.name}"
    )
