"""YAML or JSON text → plain tree, with the line of every key.

The tree is built from the events of ruamel's parser, so that nothing is guessed on the way: numbers and words follow
the core schema of YAML 1.2 (https://yaml.org/spec/1.2.2/#103-core-schema; ``1e-4`` is a number, ``no`` is a word, dates
are words), and the same rules hold for JSON, which is read by the same parser. Refused: duplicate keys, numbers that
are not finite, a leading zero (``010`` is 8 in some programs and 10 in others), tags, merge keys, documents that expand
without end. What leaves a usable tree is collected; broken syntax is raised at once.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError

from desktune.config.faults import Fault, Path, Place, excerpt_free, file_place
from desktune.errors import ConfigError

MOST_BYTES = 1_000_000
MOST_VALUES = 20_000  # after aliases are expanded; a config has about a hundred
MOST_NESTED = 20
MOST_DIGITS = 40

_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9]+")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)|NaN|[-+]?Infinity")
_WORDS = {
    **dict.fromkeys(("null", "Null", "NULL", "~", ""), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_STRING_TAGS = ("!", "tag:yaml.org,2002:str")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')

_REASONS = (  # a piece of ruamel's wording → ours
    ("'\\t' that cannot start", "a tab: indent with spaces"),
    (
        "mapping values are not allowed",
        "a second ': ' in this place; quote a text that contains it, or mend the indent",
    ),
    ("could not find expected ':'", "a key without a value; write key: value"),
    ("while scanning a quoted scalar", "a quote that is not closed; close it"),
    ("while parsing a flow", "a bracket that is not closed, or a comma that is missing; mend it"),
    ("while parsing a block", "this line is indented differently from the ones above it; indent it alike"),
    ("that cannot start any token", "a text that starts with @, ` or % has to be quoted"),
    ("unknown escape character", "a backslash in double quotes starts an escape; use single quotes"),
    ("expected '<document start>'", "text after the end of the config; take it out"),
)


class BadScalarError(ValueError):
    """A word that is refused; the text says why."""


@dataclass
class Document:
    """A parsed config: its tree, the place of every key, and the faults that leave the rest usable."""

    tree: dict[str, Any]
    places: dict[Path, Place] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)


def parse(text: str, source: str) -> Document:
    """Parse a whole config.

    Raises:
        ConfigError: broken syntax, too large, or not a mapping at the top.
    """
    if len(text) > MOST_BYTES:
        raise ConfigError(f"{source}: {len(text):,} characters; a config has at most {MOST_BYTES:,}")
    builder = _Builder(lambda line: file_place(source, line))
    tree = builder.document(_as_yaml(text, source), ())
    if tree is None:
        tree = {}
    if not isinstance(tree, dict):
        raise ConfigError(f"{source}:1: a config is a mapping: sections like 'data:' with keys below them")
    return Document(tree, builder.places, builder.faults)


def parse_value(text: str, path: Path, place: Place) -> tuple[Any, list[Fault]]:
    """Parse the value of an override by the same rules. Raises ConfigError on broken syntax."""
    builder = _Builder(lambda line: place)
    value = builder.document(text, path)
    return value, builder.faults


def decode(data: bytes, source: str) -> str:
    """Return a config file's text; a byte order mark is recognised.

    Raises:
        ConfigError: too large, or not UTF-8, with the line of the first byte that is not.
    """
    if len(data) > MOST_BYTES:
        raise ConfigError(f"{source}: {len(data):,} bytes; a config has at most {MOST_BYTES:,}")
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{source}:{line}: byte 0x{data[error.start]:02x} is not UTF-8; save the file as UTF-8"
        ) from error


def scalar(text: str) -> Any:
    """Return what a plain (unquoted) word means.

    Raises:
        BadScalarError: not finite, a leading zero, or too many digits.
    """
    if text in _WORDS:
        return _WORDS[text]
    if _NOT_FINITE.fullmatch(text):
        raise BadScalarError(f"{text} is not a finite number; write a plain one")
    if _LEADING_ZERO.fullmatch(text):
        plain = text.lstrip("+-0") or "0"
        raise BadScalarError(
            f"{text[:MOST_DIGITS]} starts with 0, which programs read in two ways; write {plain[:20]}, or quote it"
        )
    if _INTEGER.fullmatch(text):
        return _integer(text)
    if _FLOAT.fullmatch(text):
        number = float(text)
        if math.isinf(number):
            raise BadScalarError(f"{text[:MOST_DIGITS]} is not a finite number; write a plain one")
        return number
    return text


def _integer(text: str) -> int:
    if len(text) > MOST_DIGITS:
        raise BadScalarError(f"a number of {len(text):,} digits; write at most {MOST_DIGITS}")
    return int(text, 0) if text.startswith(("0x", "0o")) else int(text)


def _as_yaml(text: str, source: str) -> str:
    """JSON is YAML but for the tabs that may stand between its words."""
    text = text.removeprefix("\ufeff")
    if "\t" not in text or not (source.lower().endswith(".json") or text.lstrip()[:1] == "{"):
        return text
    pieces, last = [], 0
    for quoted in _QUOTED.finditer(text):
        pieces += [text[last : quoted.start()].replace("\t", " "), quoted.group()]
        last = quoted.end()
    return "".join(pieces) + text[last:].replace("\t", " ")


class _Builder:
    """Builds one document from the parser's events; ``place`` turns a line (from 1) into a place."""

    def __init__(self, place: Callable[[int], Place]) -> None:
        self.places: dict[Path, Place] = {}
        self.faults: list[Fault] = []
        self._place = place
        self._events: Iterator[Any] = iter(())
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._open_anchors: set[str] = set()
        self._values = 0

    def document(self, text: str, path: Path) -> Any:
        """Return the value of the only document; None when there is none."""
        self._events = self._parsed(text)
        start = self._next_document()
        if start is None:
            return None
        value = self._value(next(self._events), path, 0)
        second = self._next_document()
        if second is not None:
            self._fault(second, (), "a second document starts here ('---'); a config is one document")
        return value

    def _parsed(self, text: str) -> Iterator[Any]:
        try:
            yield from YAML(typ="safe", pure=True).parse(text)
        except ReaderError as error:
            line = text.count("\n", 0, error.position) + 1
            raise ConfigError(
                f"{self._place(line).text}: a control character (code {error.character}) in the text; take it out"
            ) from error
        except MarkedYAMLError as error:
            raise ConfigError(self._syntax(error)) from error
        except (YAMLError, ValueError, OverflowError, AssertionError) as error:  # the last for %YAML 1.3
            raise ConfigError(
                f"{self._place(1).text}: cannot be read as YAML: {excerpt_free(str(error))}; mend it"
            ) from error

    def _syntax(self, error: MarkedYAMLError) -> str:
        wording = f"{error.context or ''} {error.problem or ''}"
        reason = next((ours for theirs, ours in _REASONS if theirs in wording), None)
        unclosed = reason is not None and "not closed" in reason
        mark = (error.context_mark if unclosed else None) or error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else 1
        return f"{self._place(line).text}: {reason or excerpt_free(wording.strip()) + '; mend it'}"

    def _next_document(self) -> Any:
        return next((event for event in self._events if isinstance(event, DocumentStartEvent)), None)

    def _value(self, event: Any, path: Path, depth: int) -> Any:
        self._count(event, 1)
        if depth > MOST_NESTED:
            raise ConfigError(f"{self._at(event).text}: nested deeper than {MOST_NESTED} levels; write it flatter")
        if isinstance(event, AliasEvent):
            return self._alias(event, path)
        self._check_tag(event, path)
        before = self._values
        if event.anchor:
            self._open_anchors.add(event.anchor)
        if isinstance(event, MappingStartEvent):
            value: Any = self._mapping(path, depth)
        elif isinstance(event, SequenceStartEvent):
            value = self._sequence(path, depth)
        else:
            value = self._scalar(event, path)
        if event.anchor:
            self._open_anchors.discard(event.anchor)
            self._anchors[event.anchor] = (value, self._values - before + 1)
        return value

    def _mapping(self, path: Path, depth: int) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        lines: dict[str, Place] = {}
        while not isinstance(event := next(self._events), MappingEndEvent):
            key = self._key(event, path, depth)
            inner = (*path, "?" if key is None else key)
            if key is None or key in mapping:
                if key is not None:
                    self._fault(event, inner, f"given twice; the first one is {lines[key].text}; keep one")
                self._skip(depth)
                continue
            lines[key] = self.places[inner] = self._at(event)
            mapping[key] = self._value(next(self._events), inner, depth + 1)
        return mapping

    def _key(self, event: Any, path: Path, depth: int) -> str | None:
        """Return a key as text, whatever it looks like (``no``, ``1``); None when it is refused."""
        if not isinstance(event, ScalarEvent):
            self._value(event, (*path, "?"), depth + 1)
            self._fault(event, path, "a key that is no plain word; write a word")
            return None
        if event.value == "<<" and event.implicit[0]:
            self._fault(event, path, "merge keys (<<) are not supported; write the keys out")
            return None
        return self._text(event, path)

    def _skip(self, depth: int) -> None:
        """Consume a value whose key was refused, so that only the key is reported."""
        faults, places = self.faults, self.places
        self.faults, self.places = [], {}
        self._value(next(self._events), ("?",), depth + 1)
        self.faults, self.places = faults, places

    def _sequence(self, path: Path, depth: int) -> list[Any]:
        values: list[Any] = []
        while not isinstance(event := next(self._events), SequenceEndEvent):
            inner = (*path, str(len(values)))
            self.places[inner] = self._at(event)
            values.append(self._value(event, inner, depth + 1))
        return values

    def _scalar(self, event: Any, path: Path) -> Any:
        if not event.implicit[0]:
            return self._text(event, path)
        try:
            return scalar(event.value)
        except BadScalarError as error:
            self._fault(event, path, str(error))
            return None

    def _text(self, event: Any, path: Path) -> str:
        """Join the halves of characters that JSON escapes in two."""
        try:
            return event.value.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
        except UnicodeDecodeError:
            self._fault(
                event, path, "half of a surrogate pair (\\ud800 … \\udfff) is not a character; write the character"
            )
            return ""

    def _alias(self, event: Any, path: Path) -> Any:
        if event.anchor in self._open_anchors:
            self._fault(event, path, f"*{excerpt_free(event.anchor)} contains itself; write the value out")
            return None
        if event.anchor not in self._anchors:
            self._fault(
                event, path, f"*{excerpt_free(event.anchor)} names nothing above it; quote a text that starts with *"
            )
            return None
        value, count = self._anchors[event.anchor]
        self._count(event, count)
        return copy.deepcopy(value)

    def _check_tag(self, event: Any, path: Path) -> None:
        tag = None if event.tag is None else str(event.tag)
        if tag is not None and tag not in _STRING_TAGS:
            self._fault(event, path, f"tags are refused (here {excerpt_free(tag)}); write the plain value")

    def _count(self, event: Any, values: int) -> None:
        self._values += values
        if self._values > MOST_VALUES:
            raise ConfigError(
                f"{self._at(event).text}: over {MOST_VALUES:,} values (aliases written out); take aliases out"
            )

    def _at(self, event: Any) -> Place:
        return self._place(event.start_mark.line + 1)

    def _fault(self, event: Any, path: Path, text: str) -> None:
        self.faults.append(Fault(self._at(event), path, text))
