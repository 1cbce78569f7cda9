# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What to change so that ports let egress IPs pass, and to take that back. PRIVATE to the collection. No I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from ._addresses import parse_egress_ip
from ._errors import VsphereError, VsphereInterruptedError
from ._vsphere_filter import TAG, allow, without
from ._vsphere_port import PORT, Level, Target

MAC_MANAGEMENT, RULES, LEGACY_SECURITY = "mac_management", "rules", "security"
_MARK = re.compile(rf" ?\[{re.escape(TAG)} lets ports override ([a-z_, ]+)\]$")


@dataclass(frozen=True)
class Wanted:
    """What the user asks for; what is not named is not touched.

    ``security`` and ``mac_learning``: {key: value}; ``addresses``: tuple of parsed addresses that filters must let
    pass; ``present``: False to take all that back; ``allow_override``: a port group may be changed so that its ports
    may override.
    """

    security: dict
    mac_learning: dict
    addresses: tuple
    present: bool
    allow_override: bool

    @classmethod
    def from_options(cls, options):
        """Return what the options of `vsphere_port_security` ask for; EgressIPError names a bad address."""
        named = {
            key: {name: value for name, value in (options[key] or {}).items() if value is not None}
            for key in ("security", "mac_learning")
        }
        addresses = enumerate(options["allowed_addresses"])
        return cls(
            addresses=tuple(parse_egress_ip(text, f"allowed_addresses[{n}]") for n, text in addresses),
            present=options["state"] == "present",
            allow_override=options["allow_override"],
            **named,
        )


@dataclass(frozen=True)
class Change:
    """What to write to a Target.

    ``after``: its Level then; ``security`` and ``mac_learning``: the values to write, a flag that is None follows the
    level above again; ``inherit``: what follows as a whole, of ``security`` (which takes MAC learning along),
    ``mac_learning``, ``rules``; ``rules``: whether the rules are to be written; ``allow`` and ``forbid``: what the
    port group lets its ports override from now on, or no longer.
    """

    target: Target
    after: Level
    security: dict
    mac_learning: dict
    inherit: frozenset
    rules: bool
    allow: frozenset
    forbid: frozenset

    @property
    def writes(self):
        """Whether the target itself is written to, not only what its port group allows."""
        return bool(self.security or self.mac_learning or self.inherit or self.rules)

    def to_dict(self):
        """Return the settings as `Target.to_dict` will after the change."""
        overrides = {*self.target.override_allowed, *self.allow} - self.forbid
        return {**self.after.to_dict(), "override_allowed": sorted(overrides)}


def decide(targets, wanted):
    """Return a Change for each of `targets` that needs one; VsphereError names what is in the way."""
    changes = [_decide(target, wanted) for target in targets]
    if not wanted.present:
        changes = [replace(change, forbid=_forbid(change, changes, wanted)) for change in changes]
    return [change for change in changes if change.writes or change.forbid]


def _decide(target, wanted):
    if wanted.mac_learning and target.own.mac_learning is None:
        raise VsphereError(
            f"mac_learning: {target.name} has none; it needs a distributed switch of version 6.6 or newer"
        )
    change = _open(target, wanted) if wanted.present else _take_back(target, wanted)
    if not wanted.present or target.kind != PORT:
        return change
    missing = _overrides(change) - frozenset(target.override_allowed)
    if missing and not wanted.allow_override:
        raise VsphereError(
            f"{target.name}: port group {target.group} does not let its ports override {', '.join(sorted(missing))}; "
            "set allow_override: true, or scope: portgroup"
        )
    return replace(change, allow=missing)


def _open(target, wanted):
    """Return the Change that makes ``target`` let pass what is wanted."""
    own = target.own
    security = {flag: value for flag, value in wanted.security.items() if own.security[flag] != value}
    learning = {key: value for key, value in wanted.mac_learning.items() if own.mac_learning[key] != value}
    rules = allow(own.rules, wanted.addresses, f"allowed_addresses: {target.name}")
    changed = rules != own.rules
    said = {*own.own}
    if security:
        said.update(own.security if own.mac_learning is not None else security)
    if learning:
        said.update(own.security, ["mac_learning"])
    if changed:
        said.add("rules")
    after = Level(
        {**own.security, **security},
        own.mac_learning and {**own.mac_learning, **learning},
        rules,
        frozenset(said),
    )
    return Change(target, after, security, learning, frozenset(), changed, frozenset(), frozenset())


def _take_back(target, wanted):
    """Return the Change that undoes what `_open` did: what has another value than the one named is not ours."""
    own, above = target.own, target.above
    ours = {flag for flag, value in wanted.security.items() if flag in own.own and own.security[flag] == value}
    # A flag has two values: before us, it had the other one.
    security = {**own.security, **{flag: not wanted.security[flag] for flag in ours}}
    named = wanted.mac_learning.items() if "mac_learning" in own.own else ()
    learnt = {key for key, value in named if own.mac_learning[key] == value}
    learning = own.mac_learning and {
        **own.mac_learning,
        **{key: not own.mac_learning[key] if key == "enabled" else above.mac_learning[key] for key in learnt},
    }
    rules = without(own.rules, wanted.addresses) if "rules" in own.own else own.rules
    said, inherit = {*own.own}, set()
    written = {flag: security[flag] for flag in sorted(ours)}
    if learnt and learning == above.mac_learning:
        inherit.add("mac_learning")
        said.discard("mac_learning")
    if own.mac_learning is None:
        same = {flag for flag in ours if security[flag] == above.security[flag]}
        written.update(dict.fromkeys(same))
        said -= same
    elif (ours or learnt) and security == above.security and "mac_learning" not in said:
        inherit.add("security")
        said -= {*security}
    changed = rules != own.rules
    if changed and rules == above.rules:
        inherit.add("rules")
        said.discard("rules")
    after = Level(security, learning, rules, frozenset(said))
    learning = {key: learning[key] for key in sorted(learnt)}
    return Change(target, after, written, learning, frozenset(inherit), changed, frozenset(), frozenset())


def _mac(level):
    """Return under which name the port group's policy speaks of a level's MAC settings."""
    return LEGACY_SECURITY if level.mac_learning is None else MAC_MANAGEMENT


def _overrides(change):
    """Return the names, as in ``override_allowed``, of what a change writes."""
    mac = {_mac(change.after)} if change.security or change.mac_learning or change.inherit - {"rules"} else set()
    return frozenset(mac | ({RULES} if change.rules else set()))


def _forbid(change, changes, wanted):
    """Return what we have let the ports override and none does any more, of what the user names."""
    target = change.target
    mac = {_mac(target.own)} if wanted.security or wanted.mac_learning else set()
    named = mac | ({RULES} if wanted.addresses else set())
    in_use = set(target.in_use)
    for each in changes:
        if each.target.group == target.group:
            in_use |= overrides_of(each.after)
    return frozenset(named & target.marked & {*target.override_allowed}) - in_use


def overrides_of(level):
    """Return what a port overrides, by the names in ``override_allowed``."""
    mac = {_mac(level)} if level.own - {"rules"} else set()
    return mac | ({RULES} if "rules" in level.own else set())


def marked(description):
    """Return what we have let the ports of a port group override, as we noted it in its description."""
    found = _MARK.search(description or "")
    return frozenset(found.group(1).split(", ")) if found else frozenset()


def mark(description, names):
    """Return the description of a port group with a note that names what we let its ports override, at its end."""
    note = f"[{TAG} lets ports override {', '.join(sorted(names))}]" if names else ""
    return " ".join(text for text in (_MARK.sub("", description or ""), note) if text)


class PortSecurity:
    """One run of `vsphere_port_security`: called with a client, again after each interruption, until all is done.

    Remembers what was there before the first attempt: after a lost answer, what is found may be our own work.
    """

    def __init__(self, options, check_mode):
        self._vms = options["vms"]
        self._scope = options["scope"]
        self._wanted = Wanted.from_options(options)
        self._check_mode = check_mode
        self._before = {}

    def __call__(self, client):
        """Read, decide, write, and read again; returns {changed, ports, warnings, diff}."""
        targets, changes = self._look(client)
        for target in targets:
            self._before.setdefault(target.name, target.to_dict())
        if changes and not self._check_mode:
            client.write(changes)
            targets, left = self._look(client)
            if left:
                raise VsphereInterruptedError(f"{left[0].target.name}: does not show what was written to it")
            changes = []
        planned = {change.target.name: change.to_dict() for change in changes}
        return self._result(targets, {target.name: planned.get(target.name, target.to_dict()) for target in targets})

    def _look(self, client):
        targets = client.read_targets(self._vms, self._scope, neighbours=not self._wanted.present)
        return targets, decide(targets, self._wanted)

    def _result(self, targets, after):
        before = {name: self._before[name] for name in after}
        ports = [
            {
                "name": target.name,
                "port_group": target.group,
                "changed": before[target.name] != after[target.name],
                "before": before[target.name],
                "after": after[target.name],
                "affects": list(target.affects),
            }
            for target in targets
        ]
        return {
            "changed": before != after,
            "ports": ports,
            "warnings": sorted({warning for port in ports for warning in _warnings(port)}),
            "diff": {"before": before, "after": after},
        }


def _warnings(port):
    """Yield what a security review would ask about."""
    opened = {*port["after"]["override_allowed"]} - {*port["before"]["override_allowed"]}
    if opened:
        yield f"port group {port['port_group']} lets its ports override {', '.join(sorted(opened))} from now on"
    if port["changed"] and port["affects"]:
        yield f"{port['name']}: the change meets other VMs too: {', '.join(port['affects'])}"
