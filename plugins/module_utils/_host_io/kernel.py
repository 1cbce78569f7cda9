# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `ip`, `nft` and sysctl show of a node, and changes to it. PRIVATE to the collection. Needs root."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from .._common.errors import CommandError
from .._dataplane.forward_filters import forward_tables
from .._dataplane.host import READ_BATCH, Host, parse_host
from .._dataplane.nft_table import INET, NETDEV, TABLE, TableState, parse_counters, parse_table
from .._dataplane.numbers import RANDOM_MAC
from .._dataplane.pod_classes import DELETE_POLICIES, all_verdicts, lacks_labels, policy_lines, replace_lines
from .._dataplane.state import Transaction
from .._dataplane.xfrm_policies import READ_ARGUMENTS, parse_policies
from . import commands, pod_notes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .._dataplane.admission import Admission
    from .._dataplane.pod_classes import Note

_IPV6 = Path("/proc/sys/net/ipv6")
_IP = {4: ("ip",), 6: ("ip", "-6")}
_NOT_FOUND = "No such file"


def read_host(advertised: Iterable[str] = ()) -> Host:
    """Return the Host that `ip` shows, with one process for each IP version and one for policies.

    `advertised` are interfaces that are known to accept router advertisements, even if none was received yet.
    """
    batches = {
        version: "\n".join(lines) + "\n" for version, lines in READ_BATCH.items() if version == 4 or _IPV6.is_dir()
    }
    host = parse_host(
        {
            version: commands.check([*_IP[version], "-N", "-details", "-json", "-batch", "-"], lines)
            for version, lines in batches.items()
        }
    )
    listening = [name for name in sorted({*host.advertised(), *advertised}) if _accepts_advertisements(name)]
    policies = parse_policies(commands.check(["ip", *READ_ARGUMENTS]))
    return replace(host, listening=tuple(listening), policies=policies, new_mac=_random_mac())


def _random_mac() -> str:
    return RANDOM_MAC + ":".join(f"{byte:02x}" for byte in os.urandom(5))


def _accepts_advertisements(interface: str) -> bool:
    return read_sysctls([f"net.ipv6.conf.{interface}.accept_ra"]) not in (
        {},
        {f"net.ipv6.conf.{interface}.accept_ra": "0"},
    )


def read_tables() -> dict[str, TableState]:
    """Return the collection's nftables tables that exist, {family: TableState}."""
    tables = {}
    for family in (INET, NETDEV):
        status, stdout, stderr = commands.run(["nft", "-j", "list", "table", family, TABLE])
        table = parse_table(stdout, family) if status == 0 else None
        if table:
            tables[family] = table
        elif status and _NOT_FOUND not in stderr:
            raise CommandError(f"nft list table {family} {TABLE}: {' '.join(stderr.split())}")
    return tables


def read_forward_filters() -> dict[tuple[str, str], str]:
    """Return {(family, name): text} of the nftables tables of others with a filter at the hook forward."""
    status, chains, _stderr = commands.run(["nft", "list", "chains"])
    keys = [] if status else forward_tables(chains)
    tables = {key: commands.run(["nft", "list", "table", *key]) for key in keys}
    return {key: text for key, (gone, text, _stderr) in tables.items() if not gone}


def read_counters() -> dict[str, tuple[int, int]]:
    """Return {name: (packets, bytes)} of the collection's counters; empty without its table."""
    status, stdout, stderr = commands.run(["nft", "-j", "list", "counters", "table", INET, TABLE])
    if status and _NOT_FOUND not in stderr:
        raise CommandError(f"nft list counters table {INET} {TABLE}: {' '.join(stderr.split())}")
    return {} if status else parse_counters(stdout)


def read_sysctls(names: Iterable[str]) -> dict[str, str]:
    """Return {name: value} of the sysctls that exist."""
    values = {}
    for name in names:
        with contextlib.suppress(OSError):
            values[name] = sysctl_file(name).read_text(encoding="ascii").strip()
    return values


def execute(transaction: Transaction) -> None:
    """Carry out a transaction: `ip -batch` for each IP version, sysctls, one `nft -f`.

    Raises CommandError at the first step that fails; earlier steps stay done.
    """
    for version, lines in ((4, transaction.ip), (6, transaction.ip6)):
        if lines:
            commands.check([*_IP[version], "-batch", "-"], "\n".join(lines) + "\n")
    for name, value in transaction.sysctls:
        write_sysctl(name, value)
    if transaction.nft and transaction.admission:
        admit_pods(transaction.admission, transaction.nft)
    elif transaction.nft:
        commands.check(["nft", "-f", "-"], "\n".join(transaction.nft) + "\n")
    if transaction.ip_after:
        commands.check(["ip", "-batch", "-"], "\n".join(transaction.ip_after) + "\n")


def admit_pods(admission: Admission, lines: Sequence[str] = ()) -> None:
    """Give the pods that started between runs their class, with these lines in one `nft -f`. Raises CommandError."""
    with _pods_locked():
        notes, ended = pod_notes.running_and_ended()
        for key in ended:
            pod_notes.remove_note(key)
        after = {key: admission.note_after(note) for key, note in notes.items()}
        verdicts = all_verdicts(after.values())
        commands.check(["nft", "-f", "-"], "".join(f"{line}\n" for line in (*lines, *replace_lines(verdicts))))
        if after != notes or not lines:
            _replace_policies(policy_lines(admission.rules, verdicts))
        for key, note in after.items():
            if note != notes[key]:
                pod_notes.write_note(key, note)
        # The program that classifies pods needs rules that fit the tables.
        pod_notes.write_rules(admission.rules)
        if any(lacks_labels(admission.rules, note) for note in after.values()):
            # The watch reads them.
            pod_notes.note_closed(True)


def followed_containers() -> tuple[list[Note], list[str]]:
    """Return the notes of containers that chose their namespace when they started, and the keys of ended ones."""
    running, ended = pod_notes.running_and_ended()
    return [note for note in running.values() if "container" in note], sorted(ended)


def _replace_policies(lines: Sequence[str]) -> None:
    commands.check(["ip", *DELETE_POLICIES])
    if lines:
        commands.check(["ip", "-batch", "-"], "".join(f"{line}\n" for line in lines))


def dismiss_pods() -> None:
    """Forget the pods that started between runs, and the rules for them. Raises CommandError."""
    from .plugin_sources import remove_sources  # noqa: PLC0415

    remove_sources()
    with _pods_locked():
        pod_notes.remove_all()
        commands.check(["ip", *DELETE_POLICIES])


@contextlib.contextmanager
def _pods_locked() -> Iterator[None]:
    """Hold the lock of the pods that started between runs. Raises CommandError for an error of their files."""
    try:
        with pod_notes.lock():
            yield
    except pod_notes.NoteError as error:
        raise CommandError(str(error)) from None
    except OSError as error:
        raise CommandError(f"{error.filename or pod_notes.NOTES_FOLDER}: {error.strerror}") from None


def write_sysctl(name: str, value: str) -> None:
    """Set a sysctl. Raises CommandError if it cannot be set."""
    try:
        sysctl_file(name).write_text(value + "\n", encoding="ascii")
    except OSError as error:
        raise CommandError(f"sysctl {name}: cannot be set to {value}: {error.strerror}") from None


def sysctl_file(name: str) -> Path:
    """Return the file of a sysctl. The name of a device in it may contain dots."""
    _net, version, kind, *_rest = name.split(".", 3)
    if kind == "conf":
        device, key = name[len(f"net.{version}.conf.") :].rsplit(".", 1)
        return Path("/proc/sys/net", version, "conf", device, key)
    return Path("/proc/sys") / name.replace(".", "/")
