# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers and names of the data plane that a user may change, the same on every node. PRIVATE. No I/O."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, replace
from typing import Any

from .._common.errors import Errors, NodeStateError
from .._common.messages import type_name
from .._common.validation import check_fields, is_device_name
from .numbers import RULE_USERS

_CHOICES = {
    "unassigned": ("node", "drop"),
    "unknown_pods": ("node", "drop"),
    "inbound": ("accept", "drop"),
    "tunnel_encryption": ("none", "ipsec"),
}
_FINGERPRINT = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class DataPlaneOptions:
    """The options; two fleets on one network need different tunnel ports.

    `tunnel_vni` is the VXLAN network identifier. `mark_mask` is one run of 2 to 14 bits, which hold the index of an
    egress IP in a packet's mark. Tables `first_table` to `last_table` and rule priorities `rule_priority` to
    `last_priority` are ours. `unassigned`: while none of its egress IPs is assigned, a selected pod uses the address of
    its `node`, or its packets are dropped (`drop`). `unknown_pods`: the same for what a named network has and no object
    selects. `inbound`: new connections to egress IPs are accepted or dropped
    (`accept`, `drop`). `metrics_dir` is the folder of node_exporter's textfile collector,
    empty for no metrics. `tunnel_encryption` is `none` or `ipsec`, `tunnel_keys` are the fingerprints of its secrets,
    see `esp`.
    """

    tunnel_device: str = "egress0"
    tunnel_port: int = 4790
    tunnel_vni: int = 225
    mark_mask: int = 0xFFF
    rule_priority: int = 7000
    table_base: int = 7000
    unassigned: str = "node"
    unknown_pods: str = "node"
    inbound: str = "accept"
    metrics_dir: str = ""
    tunnel_encryption: str = "none"
    tunnel_keys: tuple[str, ...] = ()

    @classmethod
    def from_dict(cls, value: object, prefix: str = "options.") -> DataPlaneOptions:
        """Return the options in the mapping `value`; absent keys take the defaults.

        Raises NodeStateError if it is not a mapping, and InvalidError with every error, each at `prefix` + key.
        """
        if not isinstance(value, dict):
            raise NodeStateError(f"{prefix[:-1]}: must be a mapping, not {type_name(value)}")
        errors = Errors()
        known = tuple(cls.__dataclass_fields__)
        check_fields(value, prefix, known, errors)
        options = cls(**{key: item for key, item in value.items() if key in known})
        options = replace(
            options,
            mark_mask=parse_integer(options.mark_mask, f"{prefix}mark_mask", errors),
            tunnel_keys=_fingerprints(options.tunnel_keys, f"{prefix}tunnel_keys", errors),
        )
        for name, low, high in (("tunnel_port", 1, 65535), ("tunnel_vni", 0, 0xFFFFFF), ("rule_priority", 1, 32000)):
            _check_range(getattr(options, name), low, high, f"{prefix}{name}", errors)
        if not is_device_name(options.tunnel_device):
            errors.add(
                f"{prefix}tunnel_device",
                f"must be a device name of 1 to 15 characters, not {type_name(options.tunnel_device)}",
            )
        if not _is_run_of_bits(options.mark_mask):
            errors.add(f"{prefix}mark_mask", "must be 2 to 14 contiguous bits of a 32-bit value, such as 0xfff")
        else:
            _check_range(options.table_base, 256, 0x7FFFFFFF - options.max_index, f"{prefix}table_base", errors)
        for name, words in _CHOICES.items():
            if getattr(options, name) not in words:
                errors.add(f"{prefix}{name}", f"must be {' or '.join(words)}, not {type_name(getattr(options, name))}")
        if not isinstance(options.metrics_dir, str) or options.metrics_dir[:1] not in ("", "/"):
            errors.add(
                f"{prefix}metrics_dir", f"must be an absolute path, or empty, not {type_name(options.metrics_dir)}"
            )
        errors.raise_if_any()
        return options

    def to_dict(self) -> dict[str, Any]:
        """Return the options as a JSON-safe dict."""
        return {**self.__dict__, "tunnel_keys": list(self.tunnel_keys)}

    @property
    def max_index(self) -> int:
        """Return the highest index of an egress IP.

        Index 0 means unmarked; all bits of the mask mean a packet of a selected pod that needs no egress IP.
        """
        return self._run - 1

    @property
    def first_table(self) -> int:
        """Return the first routing table, that of users of the host; those of egress IPs follow."""
        return self.table_base

    @property
    def last_table(self) -> int:
        """Return the routing table of the egress IP with the highest index."""
        return self.table_base + self.max_index

    def group(self, index: int) -> int:
        """Return the group of an index: the upper half of its bits, so that groups are as many as their members."""
        return index >> self._member_bits

    @property
    def group_mask(self) -> int:
        """Return the bits of a mark that hold its group."""
        return self.mark(self._run >> self._member_bits << self._member_bits)

    @property
    def last_priority(self) -> int:
        """Return the last priority of our policy routing rules; see `iproute`."""
        return self.rule_priority + RULE_USERS

    @property
    def _member_bits(self) -> int:
        return self._run.bit_length() // 2

    @property
    def _run(self) -> int:
        """Return the mask shifted to bit 0."""
        return self.mark_mask // (self.mark_mask & -self.mark_mask)

    def mark(self, index: int) -> int:
        """Return the mark of the egress IP with this index."""
        return index * (self.mark_mask & -self.mark_mask)


def parse_integer(value: object, path: str, errors: Errors) -> int:
    """Return an integer of at least 0, also from a string such as 0xfff; else add an error and return 0."""
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            value = int(value, 0)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        errors.add(path, f"must be an integer of at least 0, not {type_name(value)}")
        return 0
    return int(value)


def _fingerprints(value: object, path: str, errors: Errors) -> tuple[str, ...]:
    """Return the fingerprints in a list, none if there is an error."""
    if isinstance(value, (list, tuple)) and all(isinstance(key, str) and _FINGERPRINT.fullmatch(key) for key in value):
        return tuple(value)
    errors.add(path, "must be a list of texts of 16 hexadecimal digits")
    return ()


def _check_range(value: object, low: int, high: int, path: str, errors: Errors) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        errors.add(path, f"must be an integer from {low} to {high}, not {type_name(value)}")


def _is_run_of_bits(mask: int) -> bool:
    run = mask // (mask & -mask) if 0 < mask < 2**32 else 0
    return 1 < run < 2**14 and run & (run + 1) == 0
