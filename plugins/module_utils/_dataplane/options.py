# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The names and numbers of the data plane, which are the same on every node. PRIVATE to the collection. Pure."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace

from .._common.errors import Errors, NodeStateError
from .._common.messages import type_name


@dataclass(frozen=True)
class DataPlaneOptions:
    """The numbers and names that the data plane uses on every node; two fleets on one network need different ones.

    `mark_mask` is one run of bits, 2 to 14: the index of an egress IP is shifted there. Tables `table_base + index`
    and priorities `rule_priority` to `last_priority` are ours. `unassigned` says what a selected pod does
    while none of its egress IPs is assigned: use the `node`'s address, or `drop`. `metrics_dir` is the folder of
    node_exporter's textfile collector, empty when no metrics are to be written.
    """

    tunnel_device: str = "egress0"
    tunnel_port: int = 4790
    tunnel_vni: int = 225
    mark_mask: int = 0x1FFF
    rule_priority: int = 7000
    table_base: int = 7000
    unassigned: str = "node"
    metrics_dir: str = ""

    @classmethod
    def from_dict(cls, value, prefix="options."):
        """Check `value`; absent keys take the defaults. Raises InvalidError with every error, at `prefix` + key."""
        if not isinstance(value, dict):
            raise NodeStateError(f"{prefix[:-1]}: must be a mapping, not {type_name(value)}")
        errors = Errors()
        unknown = sorted(set(value) - set(cls.__dataclass_fields__), key=str)
        for key in unknown:
            errors.add(f"{prefix}{key}", "is not an option of the data plane")
        options = cls(**{key: item for key, item in value.items() if key not in unknown})
        options = replace(options, mark_mask=integer(options.mark_mask, f"{prefix}mark_mask", errors))
        for name, low, high in (("tunnel_port", 1, 65535), ("tunnel_vni", 0, 0xFFFFFF), ("rule_priority", 1, 32000)):
            _check_range(getattr(options, name), low, high, f"{prefix}{name}", errors)
        if not _is_device_name(options.tunnel_device):
            errors.add(
                f"{prefix}tunnel_device",
                f"must be a device name of 1 to 15 characters, not {type_name(options.tunnel_device)}",
            )
        if not _is_run_of_bits(options.mark_mask):
            errors.add(f"{prefix}mark_mask", "must be one run of 2 to 14 bits within 32, such as 0x1fff")
        else:
            _check_range(options.table_base, 256, 0x7FFFFFFF - options.max_index, f"{prefix}table_base", errors)
        if options.unassigned not in ("node", "drop"):
            errors.add(f"{prefix}unassigned", f"must be node or drop, not {type_name(options.unassigned)}")
        if not isinstance(options.metrics_dir, str) or options.metrics_dir[:1] not in ("", "/"):
            errors.add(
                f"{prefix}metrics_dir", f"must be an absolute path, or empty, not {type_name(options.metrics_dir)}"
            )
        errors.raise_if_any()
        return options

    def to_dict(self):
        """Return the options as a JSON-safe dict."""
        return dict(self.__dict__)

    @property
    def max_index(self):
        """Return how many egress IPs the mask has room for; index 0 means unmarked.

        The index above, all bits of the mask, is that of packets which we have seen and leave as they are.
        """
        return self._run - 1

    def group(self, index):
        """Return the group of an index: its upper half of bits, so that there are about as many groups as members."""
        return index >> self._member_bits

    @property
    def group_mask(self):
        """Return the bits of a mark that tell its group."""
        return self.mark(self._run >> self._member_bits << self._member_bits)

    @property
    def last_priority(self):
        """Return the last priority of our policy routing rules; `_dataplane.iproute` says what each is for.

        It is the same for every mask, wide enough for 14 bits: the kernel does not tell rules apart by their `goto`.
        """
        return self.rule_priority + 3 * 128 + 4

    @property
    def _member_bits(self):
        return self._run.bit_length() // 2

    @property
    def _run(self):
        return self.mark_mask // (self.mark_mask & -self.mark_mask)

    def mark(self, index):
        """Return the mark of the egress IP with this index."""
        return index * (self.mark_mask & -self.mark_mask)


def integer(value, path, errors):
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            value = int(value, 0)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        errors.add(path, f"must be an integer of at least 0, not {type_name(value)}")
        return 0
    return int(value)


def _check_range(value, low, high, path, errors):
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        errors.add(path, f"must be an integer from {low} to {high}, not {type_name(value)}")


def _is_run_of_bits(mask):
    run = mask // (mask & -mask) if 0 < mask < 2**32 else 0
    return 1 < run < 2**14 and run & (run + 1) == 0


def _is_device_name(name):
    return (
        isinstance(name, str) and 0 < len(name) < 16 and not set(name) & set("/ \t\n:\"'%") and name not in (".", "..")
    )
