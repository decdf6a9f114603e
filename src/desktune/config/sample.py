"""The first rows of a data file → what they are: for ``desktune init``, which guesses and shows its guess.

Reads at most ``MOST_BYTES`` and ``MOST_ROWS``. The real reader, which judges every row, is ``data/read.py``.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pyarrow
import pyarrow.parquet

from desktune.config.files import PACKED, folder_files, suffix_of
from desktune.errors import DataError

MOST_ROWS = 200
MOST_BYTES = 8 << 20
_PACKED = ((b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"BZh", "bz2"))
_NOT_LOOKED_INTO = ((b"PK\x03\x04", "a Word document or a zip archive"), (b"%PDF", "a PDF"), (b"ARRO", "Arrow"))

Shape = Literal["pair", "messages", "text", "translation", "parallel"]
Row = Mapping[str, Any]

# (source, target) as data sets call them; the third says what such rows are usually trained as
PAIRS: tuple[tuple[str, str, Literal["seq2seq", "causal"]], ...] = (
    ("source", "target", "seq2seq"),
    ("input", "output", "seq2seq"),
    ("question", "answer", "causal"),
    ("prompt", "completion", "causal"),
    ("prompt", "response", "causal"),
    ("instruction", "output", "causal"),
    ("instruction", "response", "causal"),
    ("src", "tgt", "seq2seq"),
    ("mr", "ref", "seq2seq"),
    ("article", "highlights", "seq2seq"),
    ("document", "summary", "seq2seq"),
    ("text", "summary", "seq2seq"),
    ("text", "target", "seq2seq"),
    ("dream", "interpretation", "seq2seq"),
    ("sentence", "translation", "seq2seq"),
)
_MESSAGES = ("messages", "conversations")
_LANGUAGE = re.compile(r"[a-z]{2,3}([_-][A-Za-z]{2,4})?")
# fmt: off
_CODES = frozenset(
    ["ar", "bg", "bn", "ca", "cs", "da", "de", "el", "en", "es", "et", "fa", "fi", "fr", "he", "hi", "hr", "hu", "id",
     "it", "ja", "ko", "lt", "lv", "ms", "nb", "nl", "nn", "no", "pl", "pt", "ro", "ru", "sk", "sl", "sr", "sv", "ta",
     "th", "tr", "uk", "ur", "vi", "zh"]
)
# fmt: on


@dataclass(frozen=True)
class Sample:
    """What the first rows look like.

    Attributes:
        shape: A pair of fields, a conversation, plain text, ``{"translation": {code: text}}``, or two parallel files.
        kind: The file format, for people.
        fields: Ours: theirs, where the names differ from ours.
        examples: Theirs: a value of the first row.
        languages: (source, target) where they are known.
        language_counts: Codes seen in the rows' own language field.
        source_characters: Length that 99 % of the sources stay under; of whole rows for conversations and text.
        target_characters: The same for targets.
        rows: Rows that were looked at.
        estimated_rows: Rows of the whole file, by its size.
        usual_task: What such rows are usually trained as.
        encoding: Of the file.
    """

    shape: Shape
    kind: str
    fields: Mapping[str, str]
    examples: Mapping[str, str]
    languages: tuple[str | None, str | None] = (None, None)
    language_counts: Mapping[str, int] | None = None
    source_characters: int = 0
    target_characters: int = 0
    rows: int = 0
    estimated_rows: int = 0
    usual_task: Literal["seq2seq", "translation", "causal"] = "seq2seq"
    encoding: str = "utf-8"


def look(path: Path) -> Sample:
    """Look at the first rows of one file.

    Raises:
        DataError: no such file, nothing in it, or rows that name nothing usable.
    """
    if path.is_dir():
        return _look_into(path)
    head, encoding, share = _head(path)
    kind, rows = _rows(path, head)
    if not rows:
        raise DataError(
            f"{path}: no rows in it that desktune can read; expected JSON, JSON lines, CSV, TSV, Parquet or text"
        )
    estimated = (
        max(len(rows), round(len(rows) / share)) if len(rows) < MOST_ROWS else _estimate(path, rows, len(head) / share)
    )
    return _describe(path, kind, rows, encoding, estimated)


def _look_into(folder: Path) -> Sample:
    """Look at the first file of a folder, and guess by it how many rows all of them have."""
    files = folder_files(str(folder))
    if isinstance(files, str):
        raise DataError(files)
    first = look(Path(files[0]))
    share = sum(Path(file).stat().st_size for file in files) / Path(files[0]).stat().st_size
    return replace(
        first, kind=f"{len(files)} files, the first {first.kind}", estimated_rows=round(first.estimated_rows * share)
    )


def look_at_pair(paths: Sequence[Path]) -> Sample:
    """Look at two line-parallel text files; languages come from their names (``train.en``). Raises DataError."""
    sides = []
    for path in paths:
        head, encoding, share = _head(path)
        lines = head.splitlines()
        if not any(line.strip() for line in lines):
            raise DataError(f"{path}: no lines in it")
        sides.append((lines, encoding, share))
    codes = tuple(_code_in_name(path) for path in paths)
    known = None not in codes and codes[0] != codes[1]
    first, second = sides
    return Sample(
        shape="parallel",
        kind="two line-parallel text files",
        fields={},
        examples={str(path): lines[0] for path, (lines, _, _) in zip(paths, sides, strict=True)},
        languages=(codes[0], codes[1]) if known else (None, None),
        source_characters=_long([len(line) for line in first[0]]),
        target_characters=_long([len(line) for line in second[0]]),
        rows=len(first[0]),
        estimated_rows=round(len(first[0]) / first[2]),
        usual_task="translation" if known else "seq2seq",
        encoding=first[1],
    )


def _head(path: Path) -> tuple[str, str, float]:
    """Return the text of a file's beginning, its encoding, and which share of the file that is."""
    try:
        if not path.is_file():
            raise DataError(f"{path}: {'a folder; name a file in it' if path.is_dir() else 'no such file'}")
        data, size = _bytes(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    if not data.strip():
        raise DataError(f"{path}: an empty file")
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace"), "utf-16", len(data) / size
    cut = data if len(data) == size else data[: data.rfind(b"\n") + 1] or data
    try:
        return cut.decode("utf-8-sig"), "utf-8", len(cut) / size
    except UnicodeDecodeError:
        return cut.decode("cp1252", "replace"), "cp1252", len(cut) / size


def _bytes(path: Path) -> tuple[bytes, int]:
    """Return the beginning of a file, unpacked, and how many bytes the whole is (guessed for a packed one)."""
    with open(path, "rb") as file:
        start = file.read(4)
        file.seek(0)
        for magic, what in _NOT_LOOKED_INTO:
            if start.startswith(magic):
                raise DataError(f"{path}: desktune init cannot look into {what}; write the config by hand")
        codec = next((codec for magic, codec in _PACKED if start.startswith(magic)), None)
        size = path.stat().st_size
        if codec is None:
            return file.read(MOST_BYTES), size
        stream = pyarrow.CompressedInputStream(pyarrow.PythonFile(file, "r"), codec)  # closes the file when it goes
        data = stream.read(MOST_BYTES)
        return data, max(len(data), len(data) * size // max(1, file.tell()))


def _rows(path: Path, head: str) -> tuple[str, list[Row]]:
    """Return the file format and the first rows as mappings."""
    suffix = suffix_of(str(path))
    if suffix == ".parquet" or head.startswith("PAR1"):
        return "Parquet", _parquet(path)
    if suffix in (".csv", ".tsv"):
        return suffix[1:].upper(), _table(head, suffix)
    if suffix in (".json", ".jsonl", ".ndjson") or head.lstrip()[:1] in ("{", "["):
        array = head.lstrip().startswith("[")
        return ("JSON array" if array else "JSON lines"), list(_objects(head))[:MOST_ROWS]
    lines: list[Row] = [{"text": line} for line in head.splitlines() if line.strip()]
    return "plain text, a row per line", lines[:MOST_ROWS]


def _parquet(path: Path) -> list[Row]:
    try:
        for batch in pyarrow.parquet.ParquetFile(path).iter_batches(batch_size=MOST_ROWS):
            return batch.to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{path}: not a Parquet file that can be read: {error}") from error
    return []


def _table(head: str, suffix: str) -> list[Row]:
    first = head.splitlines()[0]
    delimiter = "\t" if suffix == ".tsv" or first.count("\t") > first.count(",") else ","
    delimiter = ";" if first.count(";") > first.count(delimiter) else delimiter
    reader = csv.DictReader(io.StringIO(head, newline=""), delimiter=delimiter)
    rows: list[Row] = []
    try:
        for row in reader:
            rows.append({key: value for key, value in row.items() if key})
            if len(rows) == MOST_ROWS:
                break
    except csv.Error:  # an unclosed quote, or the cut at the end of what was read
        pass
    return rows


def _objects(head: str) -> Iterator[Row]:
    """Yield the objects of a JSON array or of JSON lines, up to the first that is broken or cut off."""
    decoder, position = json.JSONDecoder(), 0
    while (position := _next_object(head, position)) >= 0:
        try:
            value, position = decoder.raw_decode(head, position)
        except (ValueError, RecursionError):
            return
        yield value


def _next_object(head: str, position: int) -> int:
    between = re.compile(r"[\s,\[]*").match(head, position)
    start = between.end() if between else position
    return start if head[start : start + 1] == "{" else -1


def _estimate(path: Path, rows: Sequence[Row], characters: float) -> int:
    """Return how many rows a file has, by the length of those seen; ``characters`` is the length of a packed file."""
    if path.suffix.lower() == ".parquet":
        return int(pyarrow.parquet.ParquetFile(path).metadata.num_rows)
    quoted = suffix_of(str(path)) not in (".csv", ".tsv")
    texts = (
        json.dumps(row, ensure_ascii=False, default=str) if quoted else ",".join(map(str, row.values())) for row in rows
    )
    row_bytes = sum(len(text.encode("utf-8", "replace")) + 1 for text in texts) / len(rows)
    size = characters if path.suffix.lower() in PACKED else path.stat().st_size
    return max(len(rows), round(size / row_bytes))


def _describe(path: Path, kind: str, rows: Sequence[Row], encoding: str, estimated: int) -> Sample:
    guess = _guess(path, rows)
    source, target = (guess.asked or (guess.fields.get("source", "source"), guess.fields.get("target", "target")))[:2]
    material = guess.asked[2] if guess.asked else ""
    sources = [_characters(row, source, guess) + _characters(row, material, guess) * bool(material) for row in rows]
    targets = [_characters(row, target, guess) for row in rows]
    return Sample(
        shape=guess.shape,
        kind=kind,
        fields=guess.fields,
        examples={name: _excerpt(rows[0].get(name)) for name in guess.columns},
        languages=guess.languages,
        language_counts=guess.language_counts,
        source_characters=_long(sources),
        target_characters=_long(targets),
        rows=len(rows),
        estimated_rows=estimated,
        usual_task=guess.usual_task,
        encoding=encoding,
    )


@dataclass(frozen=True)
class _Guess:
    shape: Shape
    columns: tuple[str, ...]
    fields: Mapping[str, str]
    usual_task: Literal["seq2seq", "translation", "causal"]
    languages: tuple[str | None, str | None] = (None, None)
    language_counts: Mapping[str, int] | None = None
    asked: tuple[str, str, str] | None = None  # of alpaca's rows: instruction, output, input or nothing


def _guess(path: Path, rows: Sequence[Row]) -> _Guess:
    """Return which fields are which, by their names, then by what stands in them."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    lower = {name.lower(): name for name in reversed(names)}
    if "chosen" in lower and "rejected" in lower:
        raise DataError(f"{path}: preference rows (chosen, rejected): preference training is not built yet")
    nested = next((row["translation"] for row in rows if isinstance(row.get("translation"), dict)), None)
    if nested is not None and len(nested) >= 2:
        first, second, *_ = nested
        return _Guess("translation", ("translation",), {}, "translation", (first, second))
    for name in _MESSAGES:
        if name in lower and isinstance(rows[0].get(lower[name]), list):
            fields = {} if lower[name] == "messages" else {"messages": lower[name]}
            return _Guess("messages", (lower[name],), fields, "causal")
    if "instruction" in lower and ("output" in lower or "response" in lower):
        return _alpaca(lower)
    for source, target, task in PAIRS:
        if source in lower and target in lower:
            return _pair(rows, lower[source], lower[target], task)
    texts = [name for name in names if isinstance(rows[0].get(name), str)]
    codes = [name for name in texts if name.lower() in _CODES]
    if len(codes) >= 2:
        fields = {"source": codes[0], "target": codes[1]}
        return _Guess("pair", (codes[0], codes[1]), fields, "translation", (codes[0].lower(), codes[1].lower()))
    if len(texts) == 1 or (len(texts) > 1 and len(names) > 2 and lower.get("text") in texts):
        name = lower.get("text", texts[0])
        return _Guess("text", (name,), {} if name == "text" else {"text": name}, "causal")
    if len(texts) >= 2:
        longest = sorted(texts, key=lambda name: -sum(len(str(row.get(name) or "")) for row in rows))[:2]
        source, target = sorted(longest, key=names.index)
        return _pair(rows, source, target, "seq2seq")
    raise DataError(f"{path}: no text field in its rows; fields that exist: {', '.join(names) or 'none'}")


def _alpaca(lower: Mapping[str, str]) -> _Guess:
    """Return an instruction with its input; the reader puts both together, so that no field is named."""
    answer = lower.get("output") or lower["response"]
    material = lower.get("input") or lower.get("context") or ""
    columns = (lower["instruction"], *([material] if material else []), answer)
    return _Guess("pair", columns, {}, "causal", asked=(lower["instruction"], answer, material))


def _pair(rows: Sequence[Row], source: str, target: str, task: Literal["seq2seq", "causal"]) -> _Guess:
    fields = {ours: theirs for ours, theirs in (("source", source), ("target", target)) if ours != theirs}
    from_codes, to_codes = (_codes(rows, name) for name in ("source_lang", "target_lang"))
    if not from_codes:
        return _Guess("pair", (source, target), fields, task)
    first = from_codes.most_common(1)[0][0]
    others = [code for code in (*to_codes, *from_codes) if code != first]
    languages = (first, others[0] if others else None)
    return _Guess("pair", (source, target, "source_lang"), fields, "translation", languages, dict(from_codes))


def _codes(rows: Sequence[Row], name: str) -> Counter[str]:
    values = (row.get(name) for row in rows)
    return Counter(value for value in values if isinstance(value, str) and _LANGUAGE.fullmatch(value))


def _characters(row: Row, name: str, guess: _Guess) -> int:
    """Return the length of one side of a row."""
    if guess.shape == "pair":
        return len(str(row.get(name) or ""))
    if guess.shape == "translation":
        sides = row.get("translation")
        return max((len(str(text)) for text in sides.values()), default=0) if isinstance(sides, dict) else 0
    return len(json.dumps(row.get(guess.columns[0]), ensure_ascii=False, default=str))


def _long(lengths: Sequence[int]) -> int:
    """Return the length that 99 % stay under."""
    return sorted(lengths)[min(len(lengths) - 1, int(len(lengths) * 0.99))] if lengths else 0


def _excerpt(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _code_in_name(path: Path) -> str | None:
    """Return the language code in a file name: ``train.en``, ``train.en.txt``, ``news_fr.txt``."""
    parts = re.split(r"[._-]", path.name.lower())
    return next((part for part in reversed(parts) if part in _CODES), None)
