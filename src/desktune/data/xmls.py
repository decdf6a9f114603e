"""TMX and XLIFF → raw rows ``{"translation": {code: text}, "id": …}``, read as a stream by expat.

Entities that a file declares itself are refused (they can blow up or read other files); the format's own inline codes
(``<ph>``, ``<bpt>`` …) are no text and are left out, what they mark up (``<g>``, ``<mrk>``, ``<hi>``) stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.parsers import expat

from desktune.data.places import open_bytes
from desktune.data.raw import Raw
from desktune.errors import DataError
from desktune.rows import Origin, Reject

PIECE_BYTES = 1 << 16
_CODES = frozenset({"bpt", "ept", "ph", "it", "ut", "sub", "x", "bx", "ex", "sc", "ec", "cp", "sm", "em"})
Attributes = dict[str, str]


def tmx(path: Path, encoding: str) -> Iterator[Raw | Reject]:
    """Yield the translation units of a TMX file (1.1 to 1.4), the header's ``srclang`` first."""
    del encoding  # the file says it itself
    yield from _streamed(path, _Tmx(path))


def xliff(path: Path, encoding: str) -> Iterator[Raw | Reject]:
    """Yield the units (XLIFF 1.x) or segments (2.x) of a file; those without a target are rejects of their own."""
    del encoding
    yield from _streamed(path, _Xliff(path))


def _streamed(path: Path, reader: _Reader) -> Iterator[Raw | Reject]:
    """Yield rows as the parser finds them. Raises DataError for broken XML, with file:line:column."""
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.characters
    parser.EntityDeclHandler = reader.entity
    reader.parser = parser
    with open_bytes(path) as file:
        while True:
            data = file.read(PIECE_BYTES)
            try:
                parser.Parse(data, not data)
            except expat.ExpatError as error:
                raise DataError(
                    f"{path}:{error.lineno}:{error.offset + 1}: broken XML: {expat.ErrorString(error.code)}; mend it"
                ) from error
            yield from reader.rows
            reader.rows.clear()
            if not data:
                return


class _Reader:
    """The state between two elements: where a row began, its texts so far, and whether text is listened to."""

    def __init__(self, path: Path) -> None:
        self.path, self.parser = path, expat.ParserCreate()
        self.rows: list[Raw | Reject] = []
        self.texts: dict[str, str] = {}
        self.line, self.identity = 0, ""
        self._heard: list[str] | None = None
        self._muted = 0

    def start(self, name: str, attributes: Attributes) -> None:
        """Go into an element."""
        name = name.rpartition(":")[2]
        if self._muted or (self._heard is not None and name in _CODES):
            self._muted += 1
        else:
            self.opened(name, attributes)

    def end(self, name: str) -> None:
        """Leave an element."""
        if self._muted:
            self._muted -= 1
        else:
            self.closed(name.rpartition(":")[2])

    def characters(self, text: str) -> None:
        """Hear text where it counts."""
        if self._heard is not None and not self._muted:
            self._heard.append(text)

    def entity(self, name: str, *_: Any) -> None:
        """Refuse an entity that the file declares."""
        raise DataError(
            f"{self.path}:{self.parser.CurrentLineNumber}: declares the entity {name!r}, which desktune does not "
            "expand; take the DOCTYPE's entities out"
        )

    def opened(self, name: str, attributes: Attributes) -> None:
        """Go into an element that is no inline code."""
        raise NotImplementedError

    def closed(self, name: str) -> None:
        """Leave it."""
        raise NotImplementedError

    def begin(self, identity: str) -> None:
        """Begin a row."""
        self.line, self.identity, self.texts = self.parser.CurrentLineNumber, identity, {}

    def listen(self) -> None:
        """Hear the text from here on."""
        self._heard = []

    def heard(self) -> str:
        """Return the text since ``listen``, and stop to hear."""
        text, self._heard = "".join(self._heard or []), None
        return text

    @property
    def origin(self) -> Origin:
        """The line on which the row begins."""
        return Origin(str(self.path), self.line)

    def add(self, texts: dict[str, str]) -> None:
        """Add a row of (code: text)."""
        side = {"id": self.identity} if self.identity else {}
        self.rows.append(Raw(self.origin, {"translation": texts, **side}))


class _Tmx(_Reader):
    """``<tu><tuv xml:lang="en"><seg>…</seg></tuv>…</tu>``."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._source, self._code = "", ""

    def opened(self, name: str, attributes: Attributes) -> None:
        if name == "header":
            self._source = attributes.get("srclang", "")
        elif name == "tu":
            self.begin(attributes.get("tuid", ""))
        elif name == "tuv":
            self._code = attributes.get("xml:lang", attributes.get("lang", ""))
        elif name == "seg":
            self.listen()

    def closed(self, name: str) -> None:
        if name == "seg":
            self.texts.setdefault(self._code, self.heard())
        elif name == "tu":
            if len(self.texts) < 2 or "" in self.texts:
                said = ", ".join(code or "one without a language" for code in self.texts) or "none"
                self.rows.append(Reject(self.origin, "untranslated", f"languages of the unit: {said}; two are due"))
            else:
                self.add(dict(sorted(self.texts.items(), key=lambda item: item[0].lower() != self._source.lower())))


class _Xliff(_Reader):
    """``<trans-unit><source>…</source><target>…</target></trans-unit>``; ``<segment>`` in version 2."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._codes = {"source": "source", "target": "target"}
        self._parents: list[str] = []

    def opened(self, name: str, attributes: Attributes) -> None:
        if name in ("xliff", "file"):
            for side, keys in (("source", ("source-language", "srcLang")), ("target", ("target-language", "trgLang"))):
                self._codes[side] = next((attributes[key] for key in keys if attributes.get(key)), self._codes[side])
        elif name in ("trans-unit", "segment"):
            self.begin(attributes.get("id", ""))
        elif name in ("source", "target") and self._parents[-1] in ("trans-unit", "segment"):
            self.listen()
        self._parents.append(name)

    def closed(self, name: str) -> None:
        self._parents.pop()
        if name in ("source", "target") and self._parents[-1] in ("trans-unit", "segment"):
            self.texts[name] = self.heard()
        elif name in ("trans-unit", "segment"):
            self._finish()

    def _finish(self) -> None:
        if not self.texts.get("target", "").strip():
            source = self.texts.get("source", "")
            self.rows.append(Reject(self.origin, "untranslated", "the unit has no target", source[:200]))
        elif self._codes["source"] == self._codes["target"]:
            self.rows.append(Reject(self.origin, "same-language", f"both sides are {self._codes['source']!r}"))
        else:
            self.add({self._codes[side]: self.texts.get(side, "") for side in ("source", "target")})
