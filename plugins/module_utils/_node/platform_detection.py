# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host runs on, and whether an additional address works there. PRIVATE to the collection. Pure.

A platform is a row of CLOUDS. One with a fence or port settings has a provider on the controller instead, whose signs
are an option of the module.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from .._common.errors import InventoryError
from .._common.messages import quote

AUTO = "auto"


class PlatformRow(NamedTuple):
    """A platform. Its `signs` are (fact, regular expression of the fact's beginning); one of them is enough.

    `refusal` names the platform that drops additional addresses, and the reason; it is empty where they work. `serial`
    is the regular expression of a product serial number that contains the BIOS UUID, whose group is its bytes.
    """

    name: str
    signs: tuple[tuple[str, str], ...]
    refusal: str = ""
    serial: str = ""


# The first matching row of CLOUDS, of the providers, and of OTHERS wins. A guest of a cloud shows the signs of its
# hypervisor too.
CLOUDS = (
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
)
# All other virtual machines, and all other machines.
OTHERS = (
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
_REFUSALS = {row.name: row.refusal for row in CLOUDS}
_SERIAL = "product_serial"


@dataclass(frozen=True)
class Platform:
    """What a host runs on: the name of a row, and the BIOS UUID if the firmware shows it."""

    name: str
    uuid: str | None = None

    def to_dict(self) -> dict[str, str | None]:
        """Return the platform as a JSON-safe dict."""
        return {"name": self.name, "uuid": self.uuid}


def platform_rows(of_providers: Iterable[Mapping[str, Any]]) -> tuple[PlatformRow, ...]:
    """Return the rows of all platforms; those of providers are {name, signs, serial}."""
    rows = (PlatformRow(row["name"], tuple(map(tuple, row["signs"])), serial=row["serial"]) for row in of_providers)
    return (*CLOUDS, *rows, *OTHERS)


def check_platform(named: str, rows: Sequence[PlatformRow]) -> None:
    """Raise InventoryError unless this is a platform that a user can choose."""
    names = [AUTO, *(row.name for row in reversed(rows))]
    if named not in names:
        raise InventoryError(f"egress_ip_platform: must be one of {', '.join(names)}, not {quote(named)}")


def fact_names(rows: Iterable[PlatformRow]) -> list[str]:
    """Return the facts of a host that its platform follows from."""
    return sorted({_SERIAL, *(fact for row in rows for fact, _start in row.signs if fact)})


def find_platform(facts: Mapping[str, str], rows: Sequence[PlatformRow], named: str = AUTO) -> Platform:
    """Return the Platform of a host.

    `facts` {fact: text} may have those of `fact_names`: DMI fields, `hypervisor_uuid` (Xen) and `cpu_flags`. `named` is
    the user's choice, which precedes the facts unless it is AUTO. Raises InventoryError if there is no such platform.
    """
    check_platform(named, rows)
    name = next(row.name for row in rows if _has_sign(row, facts)) if named == AUTO else named
    return Platform(name, _bios_uuid(facts.get(_SERIAL, ""), rows))


def refusal(platform: Platform) -> str | None:
    """Return why an egress IP cannot work on a platform, as a problem of the host; None if it can."""
    reason = _REFUSALS.get(platform.name)
    if not reason:
        return None
    return (
        f"egress_ip_platform: this host is on {reason}, so an egress IP would be dropped;"
        f" if yours lets it pass, set egress_ip_platform: {platform.name}"
    )


def _has_sign(row: PlatformRow, facts: Mapping[str, str]) -> bool:
    return any(re.match(start, facts.get(fact, ""), re.IGNORECASE) for fact, start in row.signs)


def _bios_uuid(serial: str, rows: Iterable[PlatformRow]) -> str | None:
    for row in rows:
        found = row.serial and re.fullmatch(row.serial, serial, re.IGNORECASE)
        if found:
            return str(uuid.UUID(re.sub("[ -]", "", found[1])))
    return None
