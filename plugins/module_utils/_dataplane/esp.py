# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's ESP states and policies that encrypt the tunnel's packets. PRIVATE to the collection. No I/O.

The tunnel for an egress IP ends at the address itself, so there is one state per sender and far end: whoever holds the
address has the state for each sender, and a move changes nothing on other nodes. The keys follow from a secret of the
fleet and the two addresses, the SPI from the secret and the sender. A state that is created again has the same key and
starts to count again. Therefore the cipher takes an unpredictable IV per packet (AES-CBC with HMAC-SHA-256: a repeated
count is harmless, where in AES-GCM it would reveal the key of the authentication), and receivers do not check for
replayed packets.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from .._common.addresses import VERSIONS, of_version, version_of
from .node_state import NodeState
from .numbers import ESP_POLICY_PRIORITY, ESP_REQUEST_ID

# Arguments with which `ip` lists states without their keys, and policies for what is not blocked, one per line.
READ_STATES = ("-oneline", "xfrm", "state", "list", "nokeys")
READ_POLICIES = ("-oneline", "xfrm", "policy", "list", "action", "allow")
IPSEC = "ipsec"
_LENGTHS = {4: 32, 6: 128}
_IN, _OUT = "in", "out"
# The number works without a list of protocols in /etc too.
_UDP = "17"
_LABEL = b"netops.egress_ip esp 1"
# The SPIs below are reserved (RFC 4303).
_FIRST_SPI = 256
_ENCRYPTION, _AUTHENTICATION, _TAG_BITS = "cbc(aes)", "hmac(sha256)", 128
_FORM = f"proto esp reqid {ESP_REQUEST_ID} mode transport"
_TEMPLATE = f"tmpl {_FORM}"
# Follows the words of a policy that another program changed.
_CHANGED = " changed"


@dataclass(frozen=True, order=True)
class EspState:
    """A state of the kernel. The SPI follows from the secret and the source, so equal states have equal keys.

    `keys` are (encryption, authentication) in hexadecimal digits; empty in a state that was read.
    """

    source: str
    destination: str
    spi: int
    keys: tuple[str, ...] = field(default=(), compare=False, repr=False)

    @property
    def identity(self) -> str:
        """Return the words by which `ip` finds the state."""
        return f"src {self.source} dst {self.destination} proto esp spi {self.spi:#010x}"


@dataclass(frozen=True)
class Esp:
    """All our states and policies, the latter as `dir DIRECTION src NETWORK dst NETWORK proto 17 dport PORT`."""

    states: frozenset[EspState] = frozenset()
    policies: frozenset[str] = frozenset()

    def lines(self) -> frozenset[str]:
        """Return them as one-line facts, without keys."""
        states = {f"ip xfrm state: {state.identity}" for state in self.states}
        return frozenset(states | {f"ip xfrm policy: {words}" for words in self.policies})


def fingerprint(secret: str) -> str:
    """Return 16 hexadecimal digits that identify a secret and reveal nothing of it."""
    return _derive(secret, "fingerprint").hex()[:16]


def desired_esp(state: NodeState, secrets: Mapping[str, str]) -> Esp:
    """Return the Esp for `state`; `secrets` is {fingerprint: secret}, of which `state` names the ones in use.

    The node sends with the first of them, and accepts all. Without any, the policies alone stop the tunnel.
    """
    if state.options.tunnel_encryption != IPSEC:
        return Esp()
    known = [secrets[key] for key in state.options.tunnel_keys if key in secrets]
    outbound, inbound = frozenset(_outbound(state)), frozenset(_inbound(state))
    states = []
    for number, secret in enumerate(known):
        spis = _spis(state, secret)
        states += [_esp_state(secret, spis, *pair) for pair in (inbound if number else inbound | outbound)]
    port = state.options.tunnel_port
    policies = [
        _policy_words(direction, *pair, port)
        for direction, pairs in ((_OUT, outbound), (_IN, inbound))
        for pair in pairs
    ]
    return Esp(frozenset(states), frozenset(policies))


def _outbound(state: NodeState) -> Iterator[tuple[str, str]]:
    """Yield (own endpoint, far end) of every tunnel that begins at this node."""
    for ip in state.egress_ips:
        own, end = state.endpoint(version_of(ip)), state.far_end(ip)
        if own and end != own:
            yield own, end


def _inbound(state: NodeState) -> Iterator[tuple[str, str]]:
    """Yield (endpoint of another node, address of this node) of every tunnel that ends at this node."""
    ends = [
        *state.endpoints,
        *(item.egress_ip for item in state.held if state.far_end(item.egress_ip) == item.egress_ip),
    ]
    sources = [endpoint for node in state.nodes for endpoint in node.endpoints if endpoint not in state.endpoints]
    for version in VERSIONS:
        for end in of_version(ends, version):
            yield from ((source, end) for source in of_version(sources, version))


def _spis(state: NodeState, secret: str) -> dict[str, int]:
    """Return {endpoint: SPI of what its node sends}, the same on all nodes.

    A receiver finds the state of a packet by its own address and the SPI, so each endpoint has another one: a hash, and
    after a collision the next hash.
    """
    spis: dict[str, int] = {}
    taken: set[int] = set()
    for endpoint in sorted({*state.endpoints, *(each for node in state.nodes for each in node.endpoints)}):
        spi = next(
            spi for spi in (_spi(secret, endpoint, attempt) for attempt in itertools.count()) if spi not in taken
        )
        taken.add(spi)
        spis[endpoint] = spi
    return spis


def _spi(secret: str, endpoint: str, attempt: int) -> int:
    digest = _derive(secret, "spi", endpoint, str(attempt))
    return _FIRST_SPI + int.from_bytes(digest[:8], "big") % (2**32 - _FIRST_SPI)


def _esp_state(secret: str, spis: Mapping[str, int], source: str, destination: str) -> EspState:
    keys = tuple(_derive(secret, purpose, source, destination).hex() for purpose in ("encryption", "authentication"))
    return EspState(source, destination, spis[source], keys)


def _derive(secret: str, *context: str) -> bytes:
    """Return 32 bytes that follow from the secret and the context, as HKDF-Expand (RFC 5869) derives one block."""
    info = b"\0".join([_LABEL, *(word.encode() for word in context)])
    return hmac.new(secret.encode(), info + b"\x01", hashlib.sha256).digest()


def _policy_words(direction: str, source: str, destination: str, port: int) -> str:
    length = _LENGTHS[version_of(source)]
    return f"dir {direction} src {source}/{length} dst {destination}/{length} proto {_UDP} dport {port}"


def parse_states(text: str) -> frozenset[EspState]:
    """Return our states in the output of `ip` for READ_STATES; those that wait for a key have the SPI 0."""
    found = []
    for words in _each_line(text):
        spi = int(_after(words, "spi").partition("(")[0], 0)
        if _after(words, "reqid").partition("(")[0] == str(ESP_REQUEST_ID) and spi:
            found.append(EspState(_after(words, "src"), _after(words, "dst"), spi))
    return frozenset(found)


def parse_esp_policies(text: str) -> frozenset[str]:
    """Return our policies in the output of `ip` for READ_POLICIES; a changed one is not equal to a desired."""
    return frozenset(_parse_policy(words) for words in _each_line(text) if _is_ours(words))


def foreign_policies(text: str, port: int) -> list[str]:
    """Return a sentence for each policy of others in that output that has the selector of the tunnel's packets."""
    return [
        f"egress_ip_tunnel_encryption: a foreign IPsec policy covers UDP port {port} from {_after(words, 'src')} to"
        f" {_after(words, 'dst')}; delete it, or choose another egress_ip_tunnel_port"
        for words in _each_line(text)
        if not _is_ours(words) and _after(words, "proto") in ("udp", _UDP) and _after(words, "dport") == str(port)
    ]


def _each_line(text: str) -> Iterator[list[str]]:
    return (line.replace("\\", " ").split() for line in text.splitlines() if line.strip())


def _is_ours(words: Sequence[str]) -> bool:
    numbers = _after(words, "priority"), _after(words, "reqid").partition("(")[0]
    return numbers == (str(ESP_POLICY_PRIORITY), str(ESP_REQUEST_ID))


def _parse_policy(words: list[str]) -> str:
    selector = [_UDP if word == "udp" else word for word in words[: words.index("dir")]]
    changed = "" if _after(words, "mode") == "transport" and _after(words, "level") in ("", "required") else _CHANGED
    return f"dir {_after(words, 'dir')} {' '.join(selector)}{changed}"


def _after(words: Sequence[str], name: str) -> str:
    """Return the word that follows `name`, empty without one."""
    return words[words.index(name) + 1] if name in words[:-1] else ""


def esp_lines(current: Esp, desired: Esp) -> list[str]:
    """Return lines for `ip -batch`. A packet finds a state at each moment, if it did before and does after."""
    added, gone = desired.states - current.states, current.states - desired.states
    ends = {(state.destination, state.spi) for state in added}
    # The kernel accepts one state per destination and SPI: another source may take over the SPI of a removed node.
    first = {state for state in gone if (state.destination, state.spi) in ends}
    return [
        *(f"xfrm state delete {state.identity}" for state in sorted(first)),
        *(_addition(state) for state in sorted(added)),
        *(
            f"xfrm policy update {words} ptype main priority {ESP_POLICY_PRIORITY} {_TEMPLATE} level required"
            for words in sorted(desired.policies - current.policies)
        ),
        *_deletions(current.policies - desired.policies, desired.policies),
        *(f"xfrm state delete {state.identity}" for state in sorted(gone - first)),
    ]


def _deletions(policies: Iterable[str], kept: Iterable[str]) -> Iterator[str]:
    for words in sorted(policies):
        selector, changed, _end = words.partition(_CHANGED)
        if not changed or selector not in kept:
            yield f"xfrm policy delete {selector} ptype main"


def _addition(state: EspState) -> str:
    encryption, authentication = state.keys
    return (
        f"xfrm state add {state.identity} reqid {ESP_REQUEST_ID} mode transport replay-window 0"
        f" enc {_ENCRYPTION} 0x{encryption} auth-trunc {_AUTHENTICATION} 0x{authentication} {_TAG_BITS}"
        # Without it, a state sends nothing after 2^32 packets.
        " extra-flag oseq-may-wrap"
    )


def probe_lines(versions: Iterable[int]) -> list[str]:
    """Return lines for `ip -batch` that add a state of each IP version, to find out whether the kernel can."""
    ends = {4: ("192.0.2.1", "192.0.2.2"), 6: ("2001:db8::1", "2001:db8::2")}
    return [_addition(EspState(*ends[version], _FIRST_SPI, ("00" * 32, "00" * 32))) for version in versions]
