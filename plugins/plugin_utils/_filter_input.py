# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The input of the filters that take parts of a run's plan, and their errors. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from ansible.errors import AnsibleFilterError
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import EgressIPError, Errors
from ansible_collections.netops.egress_ip.plugins.module_utils._common.validation import check_list, check_mapping

# {argument: the value that it takes}
_SOURCES = {
    "plan": "egress_ip_plan.plan",
    "fleet": "egress_ip_plan.fleet",
    "manifests": "egress_ip_plan.manifests",
    "fleet_after": "fleet_after of the filter netops.egress_ip.what_if",
}


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Raise AnsibleFilterError with the line of an EgressIPError."""
    try:
        yield
    except EgressIPError as error:
        raise AnsibleFilterError(str(error)) from error


def check_part(
    argument: str, value: object, lists: Iterable[str] = (), mappings: Iterable[str] = (), others: Iterable[str] = ()
) -> None:
    """Check that an argument is a part of a run's plan, with these fields. Raises InvalidError."""
    errors = Errors()
    found = check_mapping(value, argument, errors)
    errors.raise_if_any()
    for fields, check in ((lists, check_list), (mappings, check_mapping), (others, None)):
        for field in fields:
            if field not in found:
                errors.add(f"{argument}.{field}", f"is missing; use {_SOURCES[argument]}")
            elif check:
                check(found[field], f"{argument}.{field}", errors)
    errors.raise_if_any()


def check_documents(value: object) -> None:
    """Check that the argument `egressips` is a list; a malformed document does not stop others. Raises InvalidError."""
    errors = Errors()
    check_list(value, "egressips", errors)
    errors.raise_if_any()


def check_mappings(argument: str, value: object) -> None:
    """Check that an argument is a list of mappings. Raises InvalidError."""
    errors = Errors()
    for index, entry in enumerate(check_list(value, argument, errors)):
        check_mapping(entry, f"{argument}[{index}]", errors)
    errors.raise_if_any()
