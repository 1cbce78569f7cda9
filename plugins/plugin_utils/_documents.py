# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parses the text of a file to documents. PRIVATE to the collection.

Stricter than PyYAML's safe loader: a duplicate key, a tag without a JSON type and an alias inside its own anchor are
errors. Dates stay dates; they are refused where a string is required.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, NoReturn

import yaml

_TAG = "tag:yaml.org,2002:"
_MERGE_TAG = f"{_TAG}merge"
_NOT_BLANK = re.compile(r"\S")
# The most values that aliases may add to a document: each alias stands for a copy of its anchor's value.
_MAX_COPIES = 100_000
_NOT_IN_JSON = tuple(f"{_TAG}{name}" for name in ("binary", "omap", "pairs", "set"))


_FASTEST: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_FASTEST):
    """The safe loader, implemented in C if PyYAML has it; errors name the place of a malformed scalar."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except ValueError as error:  # a date like 2026-13-45
            raise yaml.constructor.ConstructorError(None, None, str(error), node.start_mark) from None


_Loader.yaml_constructors = {
    tag: constructor for tag, constructor in yaml.SafeLoader.yaml_constructors.items() if tag not in _NOT_IN_JSON
}


@dataclass
class Documents:
    """Documents as ``{source, document}``, files and documents that cannot be read as ``{name, errors}``."""

    documents: list[dict[str, Any]] = field(default_factory=list)
    unreadable: list[dict[str, Any]] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)

    def add(self, document: Any, source: str) -> None:
        """Add one parsed document."""
        self.documents.append({"source": source, "document": document})

    def refuse(self, source: str, text: str) -> None:
        """Add the error that ``source`` cannot be read; ``text`` is the reason."""
        self.unreadable.append({"name": source, "errors": [f"{source}: {text}"]})

    def read_bytes(self, content: bytes, name: str) -> None:
        """Add all documents of a file's content; ``name`` is the file's name, JSON when it ends so."""
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            # The encoding of PowerShell's `>`.
            hint = " (it is UTF-16)" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else ""
            self.refuse(name, f"is not UTF-8 text{hint}: {error.reason} at byte {error.start}")
            return
        self.read_text(text, name)

    def read_text(self, text: str, name: str) -> None:
        """Add all documents of ``text``. Those before a malformed one are kept, and those after it where possible."""
        before = len(self.documents), len(self.unreadable)
        try:
            if name.lower().endswith(".json"):
                self._read_json(text, name)
            else:
                self._read_yaml(text, name)
        except json.JSONDecodeError as error:
            self.refuse(name, f"line {error.lineno}, column {error.colno}: {error.msg}")
        except yaml.YAMLError as error:
            self.refuse(name, _yaml_words(error) + _tab_hint(error, text))
        except RecursionError:
            self.refuse(name, "is nested too deeply")
        except ValueError as error:
            self.refuse(name, str(error))
        if before == (len(self.documents), len(self.unreadable)):
            self.ignored.append(f"{name}: holds no document")

    def _read_json(self, text: str, name: str) -> None:
        """Add one or several successive JSON documents."""
        decoder = json.JSONDecoder(object_pairs_hook=_unique_keys, parse_constant=_refuse_constant)
        start, index = _NOT_BLANK.search(text), 0
        while start:
            document, end = decoder.raw_decode(text, start.start())
            self.add(document, f"{name}[{index}]")
            start, index = _NOT_BLANK.search(text, end), index + 1

    def _read_yaml(self, text: str, name: str) -> None:
        """Add YAML documents. Malformed syntax ends the file; other faults end the document only."""
        loader = _Loader(text)
        index = 0
        try:
            while loader.check_node():
                self._read_node(loader, loader.get_node(), f"{name}[{index}]")
                index += 1
        finally:
            loader.dispose()

    def _read_node(self, loader: _Loader, node: yaml.Node, source: str) -> None:
        try:
            if _check_keys(node):
                _check_copies(node)
            # Depth first, so that an alias inside its own anchor is an error rather than an endless value.
            loader.deep_construct = True
            document = loader.construct_document(node)
        except yaml.constructor.ConstructorError as error:
            self.refuse(source, _yaml_words(error))
            return
        if document is not None:
            self.add(document, source)


def read_values(text: str) -> list[Any]:
    """Return the values of all YAML or JSON documents in a text. Raises ValueError with the first error."""
    documents = Documents()
    documents.read_text(text, "text")
    if documents.unreadable:
        raise ValueError(documents.unreadable[0]["errors"][0].partition(": ")[2])
    return [each["document"] for each in documents.documents]


def _check_keys(root: yaml.Node) -> bool:
    """Raise a ConstructorError for a duplicate key of a mapping; return whether a mapping or list has an alias."""
    waiting, seen, is_aliased = [root], set(), False
    while waiting:
        node = waiting.pop()
        if isinstance(node, yaml.ScalarNode):
            continue
        if id(node) in seen:
            is_aliased = True
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting.extend(reversed(node.value))
            continue
        keys = set()
        for key, _value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE_TAG:
                if (key.tag, key.value) in keys:
                    text = f"duplicate key {key.value!r}"
                    raise yaml.constructor.ConstructorError(None, None, text, key.start_mark)
                keys.add((key.tag, key.value))
        waiting.extend(value for _key, value in reversed(node.value))
    return is_aliased


def _check_copies(root: yaml.Node) -> None:
    """Raise a ConstructorError if aliases add too many values. A recursive alias is left to the constructor."""
    sizes: dict[int, int] = {}
    waiting = [root]
    while waiting:
        node = waiting[-1]
        parts = _parts(node)
        if id(node) not in sizes:
            sizes[id(node)] = 0
            waiting.extend(part for part in parts if id(part) not in sizes)
            continue
        waiting.pop()
        sizes[id(node)] = 1 + sum(sizes[id(part)] for part in parts)
    if sizes[id(root)] - len(sizes) > _MAX_COPIES:
        text = f"aliases add more than {_MAX_COPIES} values; write fewer aliases"
        raise yaml.constructor.ConstructorError(None, None, text, root.start_mark)


def _parts(node: yaml.Node) -> list[yaml.Node]:
    """Return the nodes that a node consists of."""
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        keys = [key for key, _value in pairs]
        twice = next(key for index, key in enumerate(keys) if key in keys[:index])
        raise ValueError(f"duplicate key {twice!r}")
    return result


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not valid JSON")


def _tab_hint(error: yaml.YAMLError, text: str) -> str:
    """Return the fix if the parser stopped at a tab: libyaml does not name the character."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return ""
    line = "".join(text.splitlines()[mark.line : mark.line + 1])
    return "; indent YAML with spaces, not with tabs" if "\t" in line[: mark.column + 1] else ""


def _yaml_words(error: yaml.YAMLError) -> str:
    """Return the parser's message on one line, beginning with the place."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return " ".join(str(error).split())
    context = f" ({error.context})" if getattr(error, "context", None) else ""
    return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}{context}"
