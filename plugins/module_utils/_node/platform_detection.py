# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host runs on, and whether an additional address works there. PRIVATE to the collection. Pure.

A platform is one row of PLATFORMS. One with a fence or port settings has a provider on the controller, in `_reconcile`.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Pattern

from .._common.errors import InventoryError
from .._common.messages import quote

AUTO = "auto"


class PlatformRow(NamedTuple):
    """A platform. Its `signs` are (fact, pattern of the fact's beginning); one of them is enough.

    `refusal` names the platform that drops additional addresses, and the reason; it is empty where they work. `serial`
    matches the prefix and the bytes of a product serial number that contains the BIOS UUID.
    """

    name: str
    signs: tuple[tuple[str, str], ...]
    refusal: str = ""
    serial: Pattern[str] | None = None


# The first matching row wins. A cloud or hypervisor guest shows the signs of its hypervisor too, so a row for it must
# precede `virtual`, the row of all other virtual machines.
PLATFORMS = (
    PlatformRow(
        "openstack",
        (
            ("sys_vendor", "openstack"),
            ("product_name", "openstack"),
            ("chassis_asset_tag", "openstack|huaweicloud|opentelekomcloud|sap ccloud vm|samsung cloud platform"),
        ),
        "OpenStack, whose ports let only their own addresses and their allowed address pairs pass",
    ),
    PlatformRow(
        "aws",
        (("sys_vendor", "amazon ec2"), ("bios_version", ".*amazon"), ("hypervisor_uuid", "ec2")),
        "AWS, which carries only addresses that its API gave to the network interface",
    ),
    PlatformRow(
        "azure",
        (("chassis_asset_tag", "7783-7084-3265-9085-8269-3286-77"),),
        "Azure, which carries only addresses of the network interface's IP configurations",
    ),
    PlatformRow(
        "gce",
        (("product_name", "google compute engine"),),
        "Google Cloud, which carries only addresses of the instance and its alias ranges",
    ),
    PlatformRow(
        "cloud",
        (
            (
                "sys_vendor",
                "akamai|alibaba cloud|digitalocean|hetzner|linode|scaleway|tencent cloud|upcloud|vultr",
            ),
            ("product_name", "alibaba cloud|exoscale"),
            ("chassis_asset_tag", "oraclecloud"),
        ),
        "a public cloud, which carries only addresses that were ordered for the machine",
    ),
    PlatformRow(
        "vsphere",
        (("sys_vendor", "vmware"), ("product_name", "vmware")),
        # The serial number consists of the bytes of the BIOS UUID.
        serial=re.compile(r"VMware-((?:[0-9a-f]{2}[ -]){15}[0-9a-f]{2})", re.IGNORECASE),
    ),
    PlatformRow(
        "virtual",
        (
            ("sys_vendor", "qemu|xen|innotek|parallels|nutanix"),
            ("product_name", "virtual machine|kvm|rhel|rhev|ovirt"),
            ("cpu_flags", r".*\bhypervisor\b"),
        ),
    ),
    PlatformRow("baremetal", (("", ""),)),
)
_BY_NAME = {row.name: row for row in PLATFORMS}


@dataclass(frozen=True)
class Platform:
    """What a host runs on: the name of a row, and the BIOS UUID if the firmware shows it."""

    name: str
    uuid: str | None = None

    def to_dict(self) -> dict[str, str | None]:
        """Return the platform as a JSON-safe dict."""
        return {"name": self.name, "uuid": self.uuid}


def check_platform(named: str) -> None:
    """Raise InventoryError unless this is a platform that a user can choose."""
    if named not in (AUTO, *_BY_NAME):
        known = ", ".join((AUTO, *reversed(list(_BY_NAME))))
        raise InventoryError(f"egress_ip_platform: must be one of {known}, not {quote(named)}")


def find_platform(facts: Mapping[str, str], named: str = AUTO) -> Platform:
    """Return the Platform of a host.

    `facts` {fact: text} may have the DMI fields `sys_vendor`, `product_name`, `product_serial`, `bios_version` and
    `chassis_asset_tag`, and `hypervisor_uuid` (Xen) and `cpu_flags`. `named` is the user's choice, which precedes the
    facts unless it is AUTO. Raises InventoryError if there is no such platform.
    """
    check_platform(named)
    name = next(row.name for row in PLATFORMS if _has_sign(row, facts)) if named == AUTO else named
    return Platform(name, _bios_uuid(facts.get("product_serial", "")))


def refusal(platform: Platform) -> str | None:
    """Return why an egress IP cannot work on a platform, as a problem of the host; None if it can."""
    reason = _BY_NAME[platform.name].refusal
    if not reason:
        return None
    return (
        f"egress_ip_platform: this host is on {reason}, so an egress IP would be dropped;"
        f" if yours lets it pass, set egress_ip_platform: {platform.name}"
    )


def _has_sign(row: PlatformRow, facts: Mapping[str, str]) -> bool:
    return any(re.match(start, facts.get(fact, ""), re.IGNORECASE) for fact, start in row.signs)


def _bios_uuid(serial: str) -> str | None:
    for row in PLATFORMS:
        found = row.serial and row.serial.fullmatch(serial)
        if found:
            return str(uuid.UUID(re.sub("[ -]", "", found[1])))
    return None
