# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which keys an encrypted tunnel uses in a run: the steps of a rotation without loss. PRIVATE to the collection. Pure.

Keys are fingerprints of secrets. A node accepts all its keys and sends with the first. A new key goes to all nodes as
one to accept, then all send with it, then the old one goes; each step is one run, and waits until all nodes answer.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Mapping, NamedTuple

from .._common.errors import InventoryError
from .._dataplane.esp import IPSEC, fingerprint
from .._dataplane.options import DataPlaneOptions

_VARIABLE = "egress_ip_tunnel_secret"
# Characters of a secret: 32 random ones of base64 are 192 bits.
_SHORTEST = 32
# Old keys that the nodes keep. Each abandoned replacement leaves one, and a malicious node may list any number.
_MOST_OLD = 8


class TunnelKeys(NamedTuple):
    """The keys of all nodes in a run, and lines for the report."""

    keys: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def key_of(secret: str, options: DataPlaneOptions) -> str:
    """Return the fingerprint of the secret; empty without encryption. Raises InventoryError for one that is short."""
    if options.tunnel_encryption != IPSEC:
        return ""
    if len(secret) < _SHORTEST:
        raise InventoryError(
            f"{_VARIABLE}: must be a text of at least {_SHORTEST} random characters, not of {len(secret)}, while"
            f" egress_ip_tunnel_encryption is {IPSEC}; keep it in Ansible Vault or a credential of AWX"
        )
    return fingerprint(secret)


def next_keys(new: str, fleet: Mapping[str, Any]) -> TunnelKeys:
    """Return the TunnelKeys of the next step towards the key `new`, none if it is empty; `fleet` is a Fleet's dict."""
    if not new:
        return TunnelKeys()
    present = [facts["tunnel_keys"] for facts in fleet["observed"].values() if facts.get("tunnel_keys")]
    silent = sorted({member["name"] for member in fleet["members"]} - {*fleet["observed"]})
    votes = Counter(keys[0] for keys in present)
    known = Counter(key for keys in present for key in {*keys} - {new})
    # Those with which most nodes send come first; those of a single malicious node come last.
    old = sorted(known, key=lambda key: (-votes[key], -known[key], key))[:_MOST_OLD]
    if not old:
        return TunnelKeys((new,), _plain_nodes(silent) if not present else ())
    if not all(new in keys for keys in present):
        return TunnelKeys((*old, new), (_step(1, "all nodes accept the new key as well"), *_waiting(silent)))
    if votes[new] == len(present):
        # Each node that answers sends with the new key already.
        return TunnelKeys((new, *old), _waiting(silent)) if silent else TunnelKeys((new,))
    if silent:
        return TunnelKeys((*old, new), _waiting(silent))
    return TunnelKeys((new, *old), (_step(2, "all nodes send with the new key"),))


def _step(number: int, text: str) -> str:
    return f"{_VARIABLE}: the tunnel's key is replaced, step {number} of 3: {text}; run again for the next step"


def _waiting(silent: list[str]) -> tuple[str, ...]:
    """Return a line on the nodes without an answer, which may know the old key only."""
    if not silent:
        return ()
    return (
        f"{_VARIABLE}: the nodes keep the old key as well, because {', '.join(silent)} cannot be used in this run; the"
        " replacement continues when all nodes answer, or are listed in egress_ip_forget_nodes",
    )


def _plain_nodes(silent: list[str]) -> tuple[str, ...]:
    if not silent:
        return ()
    return (
        f"egress_ip_tunnel_encryption: {', '.join(silent)} cannot be used in this run; if such a node does not encrypt"
        " yet, the others refuse what it sends into the tunnel until it is part of a run",
    )
