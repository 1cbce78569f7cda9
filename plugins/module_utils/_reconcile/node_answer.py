# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The results of the modules `node_info` and `node` on one node, checked field by field. PRIVATE. Pure.

A node is trusted only for itself: undocumented fields are dropped, and a node with a malformed field is set aside.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from typing import Any, Callable, NamedTuple, TypeVar

from .._common.addresses import (
    VERSIONS,
    canonical_address,
    canonical_egress_ip,
    parse_interface,
    parse_network,
    version_of,
)
from .._common.errors import Errors
from .._common.messages import on_one_line, quote, type_name
from .._common.network_names import parse_network_name
from .._common.selectors import Selector, is_dns_label, is_dns_subdomain
from .._common.text_fields import MOST_DIFFERENCES
from .._common.uid_ranges import parse_uid_range
from .._common.validation import NO_MAPPING, check_list, check_mapping, required
from .._dataplane.failover import MOST_IN_ORDER

ANSWER, STOP, FAULTY, UNAVAILABLE = "answer", "stop", "faulty", "unavailable"
NOT_OBSERVED = "the host was left out of the run, which needs all nodes; run without --limit"
_PYTHON_IS_MISSING = 127
# The first words of ansible-core's message for a module that raised an exception.
_CRASHED = ("Task failed: Module failed", "MODULE FAILURE")
_MAX_GENERATION = 2**53
_END_OF_TIME = 7_258_118_400
_KEY = re.compile("[0-9a-f]{16}")
_REQUIRED = ("interface", "networks", "endpoints", "addresses", "held", "generation", "nodes")
# Counters of the kernel have 64 bits.
_NUMBERS_END = 2**64
# Characters of a text, and texts of one answer, that may get into a report: AWX drops one that is too long.
_LONGEST_TEXT, _MOST_REASONS = 2000, 20
# Entries of a list or a mapping, far above those of any node: a fleet has at most 16,382 egress IPs.
_MOST = 20_000
# Interfaces that lead out, and all addresses of these: a node that lost its record may list egress IPs among them.
_MOST_INTERFACES = 2500
_MOST_ADDRESSES, _MOST_NETWORKS, _MOST_CIDRS, _MOST_UIDS = 10_000, 1000, 1000, 64
_MOST_LABELS, _MOST_PROTOCOLS = 1000, 256
# Far above what a run sets: `tunnel_keys` limits that.
_MOST_KEYS = 32
_Check = Callable[[Any, str, Errors], Any]
_Entries = TypeVar("_Entries", Sequence[Any], Mapping[Any, Any])
# The last records of nodes, with their well-formed entries.
_RECORDS: deque[tuple[list[Any], list[Mapping[str, Any]]]] = deque(maxlen=4)


class Answer(NamedTuple):
    """`kind` of an answer: ANSWER with the checked `facts`, or one of the others with `reasons`.

    UNAVAILABLE: the node did not answer. FAULTY: it answered, but cannot be used. STOP: the node was left out of the
    run, which must not go on; no text of a node leads to it.
    """

    kind: str
    facts: Mapping[str, Any]
    reasons: tuple[str, ...] = ()


def read_answer(observed: Mapping[str, Any] | None) -> Answer:
    """Return the Answer in a task's result, None for a host without one.

    The only place that knows how ansible-core words its results.
    """
    if observed is None:
        return _without_facts(STOP, NOT_OBSERVED)
    text = observed.get("msg")
    message = _shown(" ".join(text.split())) if isinstance(text, str) else ""
    if observed.get("unreachable"):
        return _without_facts(UNAVAILABLE, f"cannot be reached: {message}")
    if not observed.get("failed"):
        return _read_facts(observed)
    if observed.get("rc") == _PYTHON_IS_MISSING or "interpreter" in message:
        hint = "there is no Python on this host; install the package python3"
        return _without_facts(FAULTY, f"ansible_python_interpreter: {hint}")
    if "timedout" in observed or "module_stdout" in observed or message.startswith(_CRASHED):
        return _without_facts(UNAVAILABLE, f"gives no answer: {message}")
    return _without_facts(FAULTY, message)


def valid_fields(observed: object, *names: str) -> dict[str, Any]:
    """Return those of these fields in a task's result that are well-formed, also if the node is set aside."""
    found = {}
    fields = observed if isinstance(observed, Mapping) else NO_MAPPING
    for name in names:
        errors = Errors()
        value = _FIELDS[name](fields[name], name, errors) if name in fields else None
        if value is not None and not errors.found:
            found[name] = value
    return found


def read_result(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the result of the module `node` with its documented fields; a malformed one becomes that of a failure."""
    errors = Errors()
    fields = {
        name: check(result[name], name, errors) for name, check in _RESULT.items() if result.get(name) is not None
    }
    if errors.found:
        return {"failed": True, "msg": f"gives an invalid result: {errors.found[0]}"}
    return fields


def _without_facts(kind: str, *reasons: str) -> Answer:
    return Answer(kind, {}, reasons)


def _read_facts(observed: Mapping[str, Any]) -> Answer:
    errors = Errors()
    facts = {name: check(observed[name], name, errors) for name, check in _FIELDS.items() if name in observed}
    if facts.get("problems"):
        return _without_facts(FAULTY, *facts["problems"][:_MOST_REASONS])
    if facts.get("lost"):
        return _without_facts(UNAVAILABLE, f"has lost its network: {facts['lost']}")
    for name in _REQUIRED:
        required(observed, name, "", errors)
    if not errors.found:
        _check_endpoints(facts, errors)
    if errors.found:
        return _without_facts(FAULTY, f"gives invalid facts: {errors.found[0]}")
    return Answer(ANSWER, {"recalled": [], "drift": [], "digest": "", "macs": {}, **facts})


def _check_endpoints(facts: Mapping[str, Any], errors: Errors) -> None:
    """Add an error unless the tunnel's endpoints are own addresses of the node, at most one of each IP version."""
    if not are_endpoints(facts["endpoints"]):
        count = len(facts["endpoints"])
        errors.add("endpoints", f"must be one address, or one of each IP version, not {count} addresses")
    own = {text.partition("/")[0] for network in facts["networks"] for text in network["addresses"]}
    for index, endpoint in enumerate(facts["endpoints"]):
        if endpoint not in own:
            errors.add(f"endpoints[{index}]", f"{endpoint} is not one of the addresses in networks")


def are_endpoints(addresses: Collection[str]) -> bool:
    """Return whether these are one address, or one of each IP version."""
    return 0 < len(addresses) == len({version_of(address) for address in addresses})


def _text(value: object, path: str, errors: Errors) -> str:
    """Return a string, which may be empty, as `_shown`."""
    if isinstance(value, str):
        return _shown(value)
    errors.add(path, f"must be a string, not {type_name(value)}")
    return ""


def _shown(text: str) -> str:
    """Return a text with non-printable characters escaped, and not too long: an answer may get into a report."""
    return on_one_line(text if len(text) <= _LONGEST_TEXT else f"{text[: _LONGEST_TEXT - 3]}...")


def _key(value: object, path: str, errors: Errors) -> str:
    """Return the fingerprint of a secret."""
    key = _text(value, path, errors)
    if key and not _KEY.fullmatch(key):
        errors.add(path, f"must be 16 hexadecimal digits, not {quote(key)}")
    return key


def _object_name(value: object, path: str, errors: Errors) -> str:
    """Return the name of an object, which becomes part of names in nftables."""
    name = _text(value, path, errors)
    if name and not is_dns_subdomain(name):
        errors.add(path, f"must be the name of an object (RFC 1123), not {quote(name)}")
    return name


def _namespace(value: object, path: str, errors: Errors) -> str:
    name = _text(value, path, errors)
    if not is_dns_label(name):
        errors.add(path, f"must be the name of a namespace, not {quote(name)}")
    return name


def _selector(value: object, path: str, errors: Errors) -> dict[str, Any]:
    found = errors.attempt(Selector.from_dict, value, path)
    return found.to_dict() if found else {}


def _address(value: object, path: str, errors: Errors) -> str:
    return errors.attempt(canonical_address, value, path) or ""


def _interface_address(value: object, path: str, errors: Errors) -> str:
    return str(errors.attempt(parse_interface, value, path) or "")


def _generation(value: object, path: str, errors: Errors) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_GENERATION:
        return value
    errors.add(path, f"must be an integer from 0 to {_MAX_GENERATION}, not {type_name(value)}")
    return 0


def _version(value: object, path: str, errors: Errors) -> int:
    if value in VERSIONS and isinstance(value, int):
        return value
    errors.add(path, f"must be 4 or 6, not {type_name(value)}")
    return 4


def _few(entries: _Entries, most: int, path: str, errors: Errors) -> _Entries:
    """Add an error if there are too many entries: they take time, and lines of the report, from the other nodes."""
    if len(entries) > most:
        errors.add(path, f"must have at most {most} entries, not {len(entries)}")
    return entries


def _list_of(check: _Check, most: int = _MOST) -> _Check:
    def checked(value: object, path: str, errors: Errors) -> list[Any]:
        items = _few(check_list(value, path, errors), most, path, errors)[:most]
        return [check(item, f"{path}[{index}]", errors) for index, item in enumerate(items)]

    return checked


def _mapping_of(check_key: _Check, check: _Check, most: int) -> _Check:
    """Return a check of a mapping with any keys."""

    def checked(value: object, path: str, errors: Errors) -> dict[Any, Any]:
        fields = _few(check_mapping(value, path, errors), most, path, errors)
        items = islice(fields.items(), most)
        return {check_key(key, f"{path}: a key", errors): check(each, f"{path}.{key}", errors) for key, each in items}

    return checked


def _mapping(checks: Mapping[str, _Check], optional: Mapping[str, _Check] = NO_MAPPING) -> _Check:
    """Return a check of a mapping that keeps only these fields; it must have all that are not optional."""

    def checked(value: object, path: str, errors: Errors) -> dict[str, Any]:
        fields = check_mapping(value, path, errors)
        for name in checks:
            required(fields, name, f"{path}.", errors)
        known = {**checks, **optional}
        return {name: check(fields[name], f"{path}.{name}", errors) for name, check in known.items() if name in fields}

    return checked


def _uuid(value: object, path: str, errors: Errors) -> str | None:
    return None if value is None else _text(value, path, errors)


def _network(value: object, path: str, errors: Errors) -> str:
    return str(errors.attempt(parse_network, value, path) or "")


def _network_name(value: object, path: str, errors: Errors) -> str:
    """Return the name of a network as a Namespace names it."""
    text = _text(value, path, errors)
    errors.attempt(parse_network_name, text, path)
    return text


def _uid_range(value: object, path: str, errors: Errors) -> str:
    errors.attempt(parse_uid_range, value, path)
    return str(value)


def _egress_ip(value: object, path: str, errors: Errors) -> str:
    return str(errors.attempt(canonical_egress_ip, value, path) or "")


def _number(value: object, path: str, errors: Errors) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < _NUMBERS_END:
        return value
    errors.add(path, f"must be a number from 0 to below 2^64, not {type_name(value)}")
    return 0


def _moment(value: object, path: str, errors: Errors) -> float:
    """Return seconds since 1970, before the year 2200."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < _END_OF_TIME:
        return value
    errors.add(path, f"must be a number of seconds since 1970, not {type_name(value)}")
    return 0


def _boolean(value: object, path: str, errors: Errors) -> bool:
    if isinstance(value, bool):
        return value
    errors.add(path, f"must be true or false, not {type_name(value)}")
    return False


def _optional_key(value: object, path: str, errors: Errors) -> str:
    return _key(value, path, errors) if value else ""


def _recorded_nodes(value: object, path: str, errors: Errors) -> list[Mapping[str, Any]]:
    """Return the well-formed entries of the nodes in a node's record.

    Each of 1,000 nodes knows all others. Equal records are mostly one value, which is checked once.
    """
    for known, entries in _RECORDS:
        if known is value:
            return entries
    items = _few(check_list(value, path, errors), _MOST, path, errors)
    entries = [entry for entry in items if _is_recorded_node(entry)]
    if isinstance(value, list) and len(value) <= _MOST:
        _RECORDS.append((value, entries))
    return entries


def _is_recorded_node(entry: object) -> bool:
    if not isinstance(entry, dict):
        return False
    name, endpoints, addresses = entry.get("name"), entry.get("endpoints"), entry.get("addresses")
    if not (isinstance(name, str) and isinstance(endpoints, list) and isinstance(addresses, list)):
        return False
    try:
        # Faster than a check of each text.
        return "".join([name, *endpoints, *addresses]).isprintable()
    except TypeError:
        return False


def _own_networks(value: object, path: str, errors: Errors) -> list[dict[str, Any]]:
    """Return the networks of a node; each egress IP is compared with all of them."""
    found: list[dict[str, Any]] = _interfaces(value, path, errors)
    addresses = [text for each in found for text in each.get("addresses", ())]
    _few(addresses, _MOST_INTERFACES, f"{path}: the addresses", errors)
    return found


def _versions(value: object, path: str, errors: Errors) -> list[int]:
    return sorted({*_list_of(_version)(value, path, errors)})


def _metrics(value: object, path: str, errors: Errors) -> Mapping[str, Any] | None:
    return None if value is None else _some_metrics(value, path, errors)


_texts = _list_of(_text)
_addresses = _list_of(_address)
_interface_addresses = _list_of(_interface_address)
_interfaces = _list_of(_mapping({"interface": _text, "addresses": _interface_addresses}), _MOST_INTERFACES)
_USE = {"protocol": _text, "connections": _number, "busiest": _text}
_uses = _list_of(_mapping(_USE, {"port_share": _number}), _MOST_PROTOCOLS)
_COUNTERS = ("transmit_packets", "transmit_bytes", "receive_packets", "receive_bytes")
_some_metrics = _mapping(
    {
        "egress_ips": _list_of(
            _mapping({"egressIP": _address, "use": _uses, **dict.fromkeys(_COUNTERS, _number)}, {"object": _text})
        ),
        # A row for each endpoint.
        "tunnel": _list_of(_mapping({"source": _address, "use": _uses}), len(VERSIONS)),
    },
    {"conflicts": _list_of(_mapping({"egressIP": _address, "mac": _text}))},
)
_cidrs = _list_of(_network, _MOST_CIDRS)
_NAMED_NETWORK = {"network": _network_name, "namespace": _text, "cidrs": _cidrs, "problem": _text}
_CONTAINER = {"name": _text, "labels": _mapping_of(_text, _text, _MOST_LABELS), "addresses": _addresses}
_KEPT = {"address": _address, "egressips": _list_of(_object_name)}
_containers = _list_of(
    _mapping(
        {"engine": _text, "found": _list_of(_mapping(_CONTAINER)), "problem": _text, "kept": _list_of(_mapping(_KEPT))}
    )
)
_RECALLED = {"name": _object_name, "egressIPs": _list_of(_egress_ip), "pods": _addresses}
_rules = _list_of(_mapping({"name": _namespace, "podSelector": _selector}))
_named_networks = _list_of(_mapping(_NAMED_NETWORK, {"uids": _list_of(_uid_range, _MOST_UIDS)}), _MOST_NETWORKS)
_DESTINATIONS = {"destinations": _list_of(_network), "excluded_destinations": _list_of(_network)}
# A node in the record of another one.
_links = _list_of(_mapping({"mac": _text, "addresses": _interface_addresses}))
member = _mapping({"name": _text, "endpoints": _addresses, "addresses": _addresses}, {"links": _links})
_FIELDS: dict[str, _Check] = {
    "problems": _texts,
    "packages": _texts,
    "lost": _text,
    "platform": _mapping({"name": _text, "uuid": _uuid}),
    "interface": _text,
    "endpoints": _addresses,
    "networks": _own_networks,
    "macs": _mapping_of(_text, _text, _MOST_INTERFACES),
    "addresses": _list_of(_address, _MOST_ADDRESSES),
    "gateways": _addresses,
    "routers": _mapping_of(_text, _addresses, _MOST_INTERFACES),
    "bridge_filtered": _versions,
    "forward_filters": _list_of(_mapping({"family": _text, "table": _text, "chain": _text})),
    "held": _list_of(_mapping({"egressIP": _address, "interface": _text}, {"name": _text})),
    "generation": _generation,
    "digest": _text,
    "drift": _list_of(_text, MOST_DIFFERENCES + 1),
    "nodes": _recorded_nodes,
    "tunnel_keys": _list_of(_key, _MOST_KEYS),
    "far_ends": _list_of(_mapping({"egressIP": _address, "endpoint": _address})),
    "standbys": _list_of(_mapping({"egressIP": _address, "order": _list_of(_text, MOST_IN_ORDER)})),
    "failover_key": _optional_key,
    "takeovers": _list_of(_mapping({"egressIP": _address, "from": _text, "since": _moment})),
    "recalled": _list_of(_mapping(_RECALLED, {**_DESTINATIONS, "networks": _texts, "namespaces": _rules})),
    "named_networks": _named_networks,
    "containers": _containers,
    "followed_pods": _list_of(_mapping({**_CONTAINER, "namespace": _namespace})),
    "conflicts": _list_of(_mapping({"egressIP": _address, "interface": _text, "mac": _text})),
    "follow_problem": _text,
    "metrics": _metrics,
    "since": _mapping_of(_address, _moment, _MOST),
}
# The names of all facts of a node.
FACTS_OF_NODE = frozenset(_FIELDS)
_RESULT: dict[str, _Check] = {
    **dict.fromkeys(("changed", "failed", "unreachable", "skipped"), _boolean),
    "msg": _text,
    **dict.fromkeys(("claimed", "released", "unreleased"), _addresses),
    "connections": _mapping_of(_address, _number, _MOST),
    "conflicts": _list_of(_mapping({"egressIP": _address, "interface": _text, "mac": _text})),
}
