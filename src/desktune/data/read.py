"""Files → ``Example`` or ``Reject``: every row that is read comes out as one of the two.

Values are taken as they are typed: a number, a null, a bool or a list where a text is due is a reject, never its
``str()``. More than ``max_rejected`` of unreadable rows (of fewer than 100 rows: more than one) ends the reading.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import chain, islice, zip_longest
from typing import Any

from desktune.config.schema import DataSection, Paths
from desktune.data.fields import Columns, find_columns, schema_of
from desktune.data.formats import FORMAT_WORDS, format_of, raw_rows
from desktune.data.hub import set_rows
from desktune.data.lines import peculiar, text_lines
from desktune.data.places import Pair, Place, SetPlace, pair_of, places_of
from desktune.data.raw import Raw
from desktune.data.turns import conversation, tools_of
from desktune.errors import DataError
from desktune.events import Decision, Emit, Note, silent
from desktune.languages import matches
from desktune.rows import Example, Origin, Reject, RowKind

PEEK_ROWS = 100
FEW_ROWS = 100  # below this many rows one unreadable row is always allowed
_NAMED_ROWS = 3
_MOST_NAMED = 30
READABLE = frozenset({"other-language", "untranslated"})  # reasons that say nothing against the file


def read(paths: Paths, section: DataSection, emit: Emit) -> Iterator[Example | Reject]:
    """Yield every row of the files, in order.

    Raises:
        DataError: a file cannot be used, its fields cannot be found, or too many rows are unreadable.
    """
    if isinstance(paths, dict):
        pair = pair_of(paths, section.source_lang, section.target_lang)
        return _watched(_parallel(pair, section.encoding), section, f"{pair.source} and {pair.target}")
    places = places_of(paths)
    name = str(places[0]) if len(places) == 1 else f"{places[0]} and {len(places) - 1} more"
    return _watched(_files(places, section, emit), section, name)


def row_kind(section: DataSection) -> RowKind:
    """Return what the rows of ``data.train`` are, by its first rows; a pair where that cannot be seen now."""
    if section.train is None or isinstance(section.train, dict):
        return "pair"
    try:
        for row in read(section.train, section, silent):
            if isinstance(row, Example):
                return row.kind
    except DataError:
        pass  # the file may be gone after training; what the config says has to do
    return "text" if section.format == "text" else "pair"


def _files(places: list[Place], section: DataSection, emit: Emit) -> Iterator[Example | Reject]:
    known: Columns | None = None
    for place in places:
        what, rows = _opened(place, section, emit)
        peeked = list(islice(rows, PEEK_ROWS))
        found = [row.values for row in peeked if isinstance(row, Raw)]
        if not found:
            yield from (row for row in chain(peeked, rows) if isinstance(row, Reject))
            continue
        _refuse_mixture(place, peeked, rows, section)
        columns = find_columns(str(place), found, section)
        if known is not None and columns.kind != known.kind:
            raise DataError(
                f"{place}: its rows are of the kind {columns.kind} ({columns}), those before of {known.kind} ({known})"
            )
        if columns.guessed and columns != known:
            emit(Decision("data.format", columns.schema or columns.kind, f"{place} is {what}"))
            emit(Decision("data.fields", str(columns), f"by the names in {place}"))
        extra = _unread(found, columns, section)
        if extra and columns != known:
            emit(Note(f"{place}: fields that nothing reads: {', '.join(extra[:_MOST_NAMED])}"))
        known = columns
        for row in chain(peeked, rows):
            yield row if isinstance(row, Reject) else _example(row, columns, section)


def _unread(found: list[Mapping[str, Any]], columns: Columns, section: DataSection) -> list[str]:
    """Return the fields of the first rows that neither the columns nor the template take."""
    taken = {*columns.used, columns.source, columns.target, columns.material, columns.source_lang, columns.target_lang,
             columns.id, "tools" if columns.kind == "messages" else ""}  # fmt: skip
    names = dict.fromkeys(name for row in found for name in row)
    return [name for name in names if name not in taken and f"{{{name}}}" not in section.template]


def _opened(place: Place, section: DataSection, emit: Emit) -> tuple[str, Iterator[Raw | Reject]]:
    """Return what a place is, in words, and its rows."""
    if isinstance(place, SetPlace):
        return "a data set of datasets", set_rows(place, emit)
    kind = format_of(place, section.encoding)
    if kind not in ("parquet", "arrow", "docx"):
        for what in peculiar(place, section.encoding):
            emit(Note(f"{place}: {what}; read as such"))
    return FORMAT_WORDS[kind], raw_rows(place, section.encoding, kind)


def _refuse_mixture(
    place: Place, peeked: list[Raw | Reject], rows: Iterator[Raw | Reject], section: DataSection
) -> None:
    """Refuse a file of several forms of rows, with counts over the whole file: one of them would be lost."""
    if section.format != "auto" or section.fields:
        return
    seen = Counter(schema_of(row.values) for row in peeked if isinstance(row, Raw))
    seen.pop("", None)
    most = max(seen.values(), default=0)
    if seen.total() - most <= max(1, section.max_rejected * len(peeked)):
        return
    counts = seen + Counter(schema_of(row.values) or "other" for row in rows if isinstance(row, Raw))
    said = ", ".join(f"{count:,} {schema}" for schema, count in counts.most_common())
    raise DataError(
        f"{place}: holds rows of several forms ({said}); put each form into a file of its own, or choose one with "
        "data.format and raise data.max_rejected"
    )


def _parallel(pair: Pair, encoding: str) -> Iterator[Example | Reject]:
    """Yield line n of one file with line n of the other. Raises DataError when one of them is longer."""
    both = zip_longest(text_lines(pair.source, encoding), text_lines(pair.target, encoding))
    for number, (left, right) in enumerate(both, start=1):
        if left is None or right is None:
            counts = [sum(1 for _ in text_lines(path, encoding)) for path in (pair.source, pair.target)]
            raise DataError(
                f"{pair.source} has {counts[0]:,} lines and {pair.target} has {counts[1]:,}: not line-parallel; "
                f"the first line without a partner is {number:,}; mend the shorter file"
            )
        origin = Origin(str(pair.source), number)
        bad = next((line for _, line in (left, right) if isinstance(line, Reject)), None)
        if bad is not None:
            yield bad
            continue
        source, target = (str(line).rstrip("\r\n") for _, line in (left, right))
        example = Example(origin, "pair", source, target, source_lang=pair.source_lang, target_lang=pair.target_lang,
                          fields=(("source", source), ("target", target)))  # fmt: skip
        yield _judged(example)


def _example(row: Raw, columns: Columns, section: DataSection) -> Example | Reject:
    """Return one raw row typed, or why it cannot be."""
    values: Mapping[str, Any] = row.values
    if columns.nested:
        values = {**row.values, **_sides(row.values.get(columns.nested), columns)}
    lost = next((name for name in _texts_of(columns) if name not in values), None)
    if lost is not None:
        return Reject(row.origin, "missing-field", f"no field {lost!r}", _excerpt(row.values))
    fields = tuple((name, value) for name, value in values.items() if isinstance(value, str))
    if columns.kind == "messages":
        talk = _conversation(row.origin, values[columns.messages], values.get("tools"), section)
        talk = talk if isinstance(talk, Reject) else _judged(replace(talk, fields=fields))
        return _in_language(talk, values, columns, section)
    wrong = next((name for name in _texts_of(columns) if not isinstance(values[name], str)), None)
    if wrong is not None:
        kind = {"NoneType": "null", "dict": "object"}.get(type(values[wrong]).__name__, type(values[wrong]).__name__)
        return Reject(row.origin, "wrong-type", f"{wrong!r} is {kind}, a text is due", _excerpt(row.values))
    if columns.kind == "text":
        example = Example(row.origin, "text", text=values[columns.text], fields=fields)
    else:
        source = _with_material(values[columns.source], values.get(columns.material) if columns.material else None)
        example = Example(row.origin, "pair", source, values[columns.target], fields=fields)
    return _in_language(_judged(example), values, columns, section)


def _conversation(origin: Origin, messages: Any, offered: Any, section: DataSection) -> Example | Reject:
    turns, tools = conversation(origin, messages, section.train_on), tools_of(origin, offered)
    if isinstance(turns, Reject):
        return turns
    return tools if isinstance(tools, Reject) else Example(origin, "messages", messages=turns, tools=tools)


def _with_material(source: str, material: Any) -> str:
    return f"{source}\n{material}" if isinstance(material, str) and material.strip() else source


def _sides(value: Any, columns: Columns) -> Mapping[str, Any]:
    """Return both texts of a translation by the codes of ``columns`` (``en-GB`` stands for ``en`` and ``en-US``)."""
    if not isinstance(value, dict):
        return {}
    keys = {code: code if code in value else _same_language(code, value) for code in (columns.source, columns.target)}
    return {**value, **{code: value[key] for code, key in keys.items() if key is not None}}


def _same_language(code: str, value: Mapping[str, Any]) -> str | None:
    plain = code.replace("_", "-").split("-")[0]
    return next((key for key in value if matches(key, plain)), None)


def _texts_of(columns: Columns) -> tuple[str, ...]:
    return (columns.source, columns.target) if columns.kind == "pair" else columns.used


def _in_language(
    row: Example | Reject, values: Mapping[str, Any], columns: Columns, section: DataSection
) -> Example | Reject:
    """Put the languages of a row on it; a row in another language than the configured one is left out."""
    if isinstance(row, Reject):
        return row
    own = {
        "source_lang": columns.source if columns.nested else values.get(columns.source_lang or ""),
        "target_lang": columns.target if columns.nested else values.get(columns.target_lang or ""),
    }
    wanted = {"source_lang": section.source_lang, "target_lang": section.target_lang}
    if section.both_directions and _is(own["source_lang"], section.target_lang):
        wanted = {"source_lang": section.target_lang, "target_lang": section.source_lang}
    codes: dict[str, str | None] = {}
    for side, code in own.items():
        said, asked = code if isinstance(code, str) and code else None, wanted[side]
        if said is not None and asked is not None and not matches(said, asked):
            return Reject(row.origin, "other-language", f"{side} is {said!r}, not {asked!r}", row.source[:200])
        codes[side] = asked or said
    identity = values.get(columns.id or "")
    if identity is None and not any(codes.values()):
        return row
    return replace(row, **codes, id=None if identity is None else str(identity))


def _is(said: Any, wanted: str | None) -> bool:
    return isinstance(said, str) and wanted is not None and said != "" and matches(said, wanted)


def _judged(example: Example) -> Example | Reject:
    """Reject texts that are empty or hold what no text holds."""
    empty = {"pair": ("source", "target"), "text": ("text",), "messages": ()}[example.kind]
    texts = {"source": example.source, "target": example.target, "text": example.text}
    for name in empty:
        if not texts[name].strip():
            return Reject(
                example.origin,
                f"empty-{name}",
                f"nothing but white space in the {name}",
                _excerpt(dict(example.fields)),
            )
    contents = (text for message in example.messages for text in (message.content, message.extra))
    for text in chain((texts[name] for name in empty), contents, (example.tools,)):
        fault = _text_fault(text)
        if fault:
            return Reject(example.origin, *fault, excerpt=text[:200].encode("utf-8", "replace").decode("utf-8"))
    return _clean_fields(example)


def _clean_fields(example: Example) -> Example:
    """Leave out side fields that are no texts; the template must not bring them in by the back door."""
    if all(_text_fault(value) is None for _, value in example.fields):
        return example
    return replace(example, fields=tuple(field for field in example.fields if _text_fault(field[1]) is None))


def _text_fault(text: str) -> tuple[str, str] | None:
    if "\0" in text:
        return "control-bytes", f"a NUL at character {text.index(chr(0)) + 1}"
    if text.isascii():
        return None
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        code = ord(text[error.start])
        what = f"byte 0x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"a lone surrogate U+{code:04X}"
        return "bad-encoding", f"{what} at character {error.start + 1}; set data.encoding to the file's encoding"
    return None


def _excerpt(values: Mapping[str, Any]) -> str:
    return repr(dict(values))[:200].encode("utf-8", "replace").decode("utf-8")


def _watched(rows: Iterator[Example | Reject], section: DataSection, place: str) -> Iterator[Example | Reject]:
    """Pass rows on, and stop at the end when too many were unreadable. Raises DataError."""
    reasons: Counter[str] = Counter()
    named: list[Reject] = []
    count = 0
    for count, row in enumerate(rows, start=1):  # noqa: B007 - counted
        if isinstance(row, Reject) and row.reason not in READABLE:
            reasons[row.reason] += 1
            named = [*named, row][:_NAMED_ROWS]
        yield _writable(row) if isinstance(row, Reject) else row
    if count == 0:
        raise DataError(f"{place}: no rows in it; name a file with rows")
    few = 1 if 1 < count < FEW_ROWS and section.max_rejected > 0 else 0
    if reasons.total() > max(int(section.max_rejected * count), few) or reasons.total() == count:
        counts = ", ".join(f"{reason} {number:,}" for reason, number in reasons.most_common())
        share = f"{reasons.total():,} of {count:,} rows are unreadable ({counts})"
        way_out = f"mend them, or raise data.max_rejected ({section.max_rejected:g})"
        raise DataError(f"{_named(named[0])}; {share}; {way_out}" + "".join(f"\n  {_named(row)}" for row in named[1:]))


def _writable(reject: Reject) -> Reject:
    """Return a reject whose excerpt can be written: bytes that are no text stand in it as lone surrogates."""
    if reject.excerpt.isascii():
        return reject
    return replace(reject, excerpt=reject.excerpt.encode("utf-8", "replace").decode("utf-8"))


def _named(reject: Reject) -> str:
    return f"{reject.origin}: {reject.reason}{': ' + reject.detail if reject.detail else ''}"
