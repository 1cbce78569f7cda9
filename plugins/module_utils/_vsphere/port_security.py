# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The changes that let egress IPs pass ports, and their reversal. PRIVATE to the collection. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Iterable, Iterator, Mapping, Sequence

from .._common.addresses import Address, parse_egress_ips
from .._common.errors import Errors
from .change_note import INHERITED, Note
from .errors import VsphereError, VsphereInterruptedError
from .port import PORT, RULES, Level, Target, Unreachable
from .traffic_filter import (
    SEQUENCES,
    Rule,
    allow,
    equal_rules,
    is_ours,
    sequences_of,
    with_sequences,
    without,
)

if TYPE_CHECKING:
    from .client import Client

# Parts of a level that are inherited as a whole.
SECURITY_POLICY, MAC_LEARNING = "security", "mac_learning"
# Name, in a port group's policy, of what newer switches have in place of the security policy.
MAC_MANAGEMENT = "mac_management"


@dataclass(frozen=True)
class Wanted:
    """The settings that the user requests; all others are left as they are.

    ``security`` and ``mac_learning``: {key: value}; ``addresses``: those that traffic filters must accept;
    ``present``: False to reverse all of it; ``allow_override``: whether a port group may be changed so that its ports
    may override.
    """

    security: dict[str, bool]
    mac_learning: dict[str, Any]
    addresses: tuple[Address, ...]
    present: bool
    allow_override: bool

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Wanted:
        """Return the request in the options of `vsphere_port_security`; EgressIPError names a bad address."""
        named = {
            key: {name: value for name, value in (options[key] or {}).items() if value is not None}
            for key in ("security", "mac_learning")
        }
        return cls(
            addresses=tuple(parse_egress_ips(options["allowed_addresses"], "allowed_addresses")),
            present=options["state"] == "present",
            allow_override=options["allow_override"],
            **named,
        )


@dataclass(frozen=True)
class PortChange:
    """The write to a Target.

    ``after``: its Level then; ``security`` and ``mac_learning``: the values to write, INHERITED for a flag that is
    inherited again; ``inherit``: the parts that are inherited as a whole, of SECURITY_POLICY (which includes MAC
    learning), MAC_LEARNING, RULES; ``rules``: whether the rules are written; ``note``: the `change_note` then;
    ``allow`` and ``forbid``: overrides that the port group allows its ports from now on, or no longer.
    """

    target: Target
    after: Level
    security: dict[str, Any]
    mac_learning: dict[str, Any]
    inherit: frozenset[str]
    rules: bool
    note: Note
    allow: frozenset[str] = frozenset()
    forbid: frozenset[str] = frozenset()

    @property
    def writes(self) -> bool:
        """Whether the target itself is written, not only the overrides that its port group allows."""
        return self.changes_settings or self.note != self.target.note

    @property
    def changes_settings(self) -> bool:
        """Whether there is more to write than the note."""
        return bool(self.security or self.mac_learning or self.inherit or self.rules)

    def to_dict(self) -> dict[str, Any]:
        """Return what `Target.to_dict` returns after the change."""
        overrides = {*self.target.override_allowed, *self.allow} - self.forbid
        return {**self.after.to_dict(), "override_allowed": sorted(overrides)}


def decide(targets: Sequence[Target], wanted: Wanted) -> list[PortChange]:
    """Return a PortChange for each of ``targets`` that needs one. Raises VsphereError with all that is not possible."""
    errors = Errors()
    decided = [errors.attempt(_decide, target, wanted) for target in targets]
    if errors.found:
        raise VsphereError("; ".join(dict.fromkeys(errors.found)))
    changes = [change for change in decided if change is not None]
    if not wanted.present:
        changes = [replace(change, forbid=_forbid(change, changes, wanted)) for change in changes]
    return [change for change in changes if change.writes or change.forbid]


def _decide(target: Target, wanted: Wanted) -> PortChange:
    if wanted.mac_learning and target.own.mac_learning is None:
        raise VsphereError(f"mac_learning: is not supported by {target.name}; use a distributed switch 6.6 or newer")
    change = _open(target, wanted) if wanted.present else _restore(target, wanted)
    if not wanted.present or target.kind != PORT:
        return change
    missing = _overrides(change) - frozenset(target.override_allowed)
    if missing and not wanted.allow_override:
        raise VsphereError(
            f"{target.name}: port group {target.group} does not let its ports override {', '.join(sorted(missing))}; "
            "set allow_override: true, or scope: portgroup"
        )
    return replace(change, allow=_alike(missing) - frozenset(target.override_allowed))


def _open(target: Target, wanted: Wanted) -> PortChange:
    """Return the PortChange that sets what is wanted, and notes the former values."""
    own, per_flag = target.own, target.own.mac_learning is None
    own_learning = own.mac_learning or {}
    security = {flag: value for flag, value in wanted.security.items() if own.security[flag] != value}
    learning = {key: value for key, value in wanted.mac_learning.items() if own_learning[key] != value}
    rules = allow(own.rules, wanted.addresses)
    named = {*security}
    if not per_flag and (security or learning):
        named.update(own.security)
    named.update([MAC_LEARNING] if learning else [], [RULES] if rules != own.rules else [])
    former: Note = {flag: INHERITED if per_flag and flag not in own.own else own.security[flag] for flag in security}
    former.update({_of_learning(key): own_learning[key] for key in learning})
    former.update(dict.fromkeys((named & {MAC_LEARNING, RULES}) - own.own, INHERITED))
    if sequences_of(rules) != sequences_of(own.rules):
        former[SEQUENCES] = sequences_of(own.rules)
    if not per_flag and (named & {*own.security}) - own.own:
        former[SECURITY_POLICY] = INHERITED
    after = Level(
        {**own.security, **security},
        own.mac_learning and {**own.mac_learning, **learning},
        rules,
        own.own | named,
    )
    # An existing note has older values and takes precedence.
    return PortChange(target, after, security, learning, frozenset(), rules != own.rules, {**former, **target.note})


def _restore(target: Target, wanted: Wanted) -> PortChange:
    """Return the PortChange that restores what `_open` noted, except values that were changed since then."""
    own, former, own_learning = target.own, target.note, target.own.mac_learning or {}
    security = {
        flag: former[flag] for flag, value in wanted.security.items() if flag in former and own.security[flag] == value
    }
    learning = {
        key: former[_of_learning(key)]
        for key, value in wanted.mac_learning.items()
        if _of_learning(key) in former and own_learning[key] == value
    }
    rules = without(own.rules, wanted.addresses)
    if SEQUENCES in former and not any(is_ours(rule) for rule in rules):
        rules = with_sequences(rules, former[SEQUENCES])
    done = {*wanted.security, *(_of_learning(key) for key in wanted.mac_learning)}
    done |= set() if any(is_ours(rule) for rule in rules) else {SEQUENCES}
    note = {name: value for name, value in former.items() if name not in done}
    inherit = frozenset(_inherits(target, note, security, learning, rules))
    after = _after(target, security, learning, rules, inherit)
    note = {name: value for name, value in note.items() if name not in inherit}
    # A part that another client has reset is inherited already: only its note is removed.
    inherit -= {RULES, MAC_LEARNING} - own.own
    return PortChange(target, after, security, learning, inherit, rules != own.rules or RULES in inherit, note)


def _after(
    target: Target, security: dict[str, Any], learning: dict[str, Any], rules: tuple[Rule, ...], inherit: frozenset[str]
) -> Level:
    """Return the Level of a target with these values and with ``inherit`` from the level above."""
    own, above = target.own, target.above
    follows = {flag for flag, value in security.items() if value == INHERITED}
    if SECURITY_POLICY in inherit:
        follows, inherit = {*own.security}, inherit | {MAC_LEARNING}
    return Level(
        {**own.security, **security, **{flag: above.security[flag] for flag in follows}},
        above.mac_learning if MAC_LEARNING in inherit else own.mac_learning and {**own.mac_learning, **learning},
        above.rules if RULES in inherit else rules,
        own.own - follows - inherit,
    )


def _inherits(
    target: Target, note: Note, security: dict[str, Any], learning: dict[str, Any], rules: tuple[Rule, ...]
) -> set[str]:
    """Return the parts to inherit again: those that were inherited before and now have no value of their own."""
    own, above, inherit = target.own, target.above, set()
    own_learning, above_learning = own.mac_learning or {}, above.mac_learning or {}
    others = {flag for flag in own.security if flag not in security}
    rest = {key for key in own_learning if key not in learning}
    if RULES in note and equal_rules(rules, above.rules):
        inherit.add(RULES)
    if any(name.startswith(_of_learning("")) for name in note):
        return inherit
    same_learning = all(own_learning[key] == above_learning.get(key) for key in rest)
    if MAC_LEARNING in note and same_learning:
        inherit.add(MAC_LEARNING)
    learning_follows = MAC_LEARNING in inherit or MAC_LEARNING not in own.own
    same_flags = all(own.security[flag] == above.security[flag] for flag in others)
    if SECURITY_POLICY in note and learning_follows and same_flags and not {*note} & {*own.security}:
        inherit.add(SECURITY_POLICY)
    return inherit


def _of_learning(key: str) -> str:
    """Return the name of a key of MAC learning in a note."""
    return f"{MAC_LEARNING}.{key}"


def _mac(level: Level) -> str:
    """Return the name, in the port group's policy, of a level's MAC settings."""
    return SECURITY_POLICY if level.mac_learning is None else MAC_MANAGEMENT


def _overrides(change: PortChange) -> frozenset[str]:
    """Return the names, as in ``override_allowed``, of the settings that a change writes."""
    mac = {_mac(change.after)} if change.security or change.mac_learning or change.inherit - {RULES} else set()
    return frozenset(mac | ({RULES} if change.rules else set()))


def _alike(overrides: Iterable[str]) -> frozenset[str]:
    """Return overrides with that of the security policy if MAC management is among them.

    vCenter has trouble with port groups in which the two flags differ.
    """
    return frozenset(overrides) | ({SECURITY_POLICY} if MAC_MANAGEMENT in overrides else set())


def _forbid(change: PortChange, changes: Iterable[PortChange], wanted: Wanted) -> frozenset[str]:
    """Return the overrides, of those the user names, that the collection allowed and no port uses any more."""
    target = change.target
    mac = {_mac(target.own)} if wanted.security or wanted.mac_learning else set()
    named = mac | ({RULES} if wanted.addresses else set())
    in_use = set(target.in_use)
    for each in changes:
        # Names are unique in a datacenter only.
        if each.target.handle.get("group") == target.handle.get("group"):
            in_use |= overrides_of(each.after)
    return (_alike(named) & target.marked & {*target.override_allowed}) - _alike(in_use)


def overrides_of(level: Level) -> set[str]:
    """Return the settings that a port overrides, by the names in ``override_allowed``."""
    mac = {_mac(level)} if level.own - {RULES} else set()
    return mac | ({RULES} if RULES in level.own else set())


class PortSecurity:
    """One run of `vsphere_port_security`. Call it with a client, and again after each VsphereInterruptedError.

    It keeps the values before the first attempt: after a lost response, the values found may be its own.
    """

    def __init__(self, options: Mapping[str, Any], check_mode: bool) -> None:
        self._vms = options["vms"]
        self._groups = options["portgroups"]
        self._scope = options["scope"]
        self._wanted = Wanted.from_options(options)
        self._check_mode = check_mode
        self._before: dict[str, dict[str, Any]] = {}

    def __call__(self, client: Client) -> dict[str, Any]:
        """Read, decide, write, and read again; return {changed, ports, warnings, diff}.

        Raises VsphereError at the end if the host of a selected VM could not be changed.
        """
        targets, changes, unreachable = self._observe(client)
        if changes and not self._check_mode:
            client.write(changes)
            targets, left, unreachable = self._observe(client)
            if left:
                raise VsphereInterruptedError(
                    f"{left[0].target.name}: does not have the written settings; check it in vCenter"
                )
            changes = []
        failed = [str(each) for each in unreachable if each.has_vm]
        if failed:
            raise VsphereError("; ".join(failed))
        planned = {change.target.id: change.to_dict() for change in changes}
        ports = [self._compare(target, planned.get(target.id, target.to_dict())) for target in targets]
        return _report(ports, [str(each) for each in unreachable])

    def _observe(self, client: Client) -> tuple[list[Target], list[PortChange], list[Unreachable]]:
        if not self._vms and not self._groups:
            raise VsphereError("vms: must name a VM if portgroups names no port group")
        reverses = not self._wanted.present
        targets, unreachable = client.read_targets(self._vms, self._groups, self._scope, neighbours=reverses)
        for target in targets:
            # In each read: a VM may have moved to another port since the first one.
            self._before.setdefault(target.id, target.to_dict())
        return targets, decide(targets, self._wanted), unreachable

    def _compare(self, target: Target, after: dict[str, Any]) -> dict[str, Any]:
        before = self._before[target.id]
        return {
            "name": target.name,
            "port_group": target.group,
            "changed": before != after,
            "before": before,
            "after": after,
            "affects": list(target.affects),
        }


def _report(ports: list[dict[str, Any]], warnings: list[str]) -> dict[str, Any]:
    """Return the result of the module for its ``ports``."""
    return {
        "changed": any(port["changed"] for port in ports),
        "ports": ports,
        "warnings": sorted({*warnings, *(warning for port in ports for warning in _warnings(port))}),
        "diff": {side: {port["name"]: port[side] for port in ports} for side in ("before", "after")},
    }


def _warnings(port: Mapping[str, Any]) -> Iterator[str]:
    """Yield the effects that matter in a security review."""
    opened = {*port["after"]["override_allowed"]} - {*port["before"]["override_allowed"]}
    if opened:
        yield f"port group {port['port_group']} lets its ports override {', '.join(sorted(opened))} from now on"
    if port["changed"] and port["affects"]:
        yield f"{port['name']}: the change affects other VMs too: {', '.join(port['affects'])}"
