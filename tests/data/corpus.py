"""Nasty files, one rule each: (name, bytes, settings, what has to come out).

What comes out is a part of an error's text, or the counts of kept rows and reject reasons.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow
import pyarrow.parquet

GOOD = b'{"source": "a dog", "target": "un chien"}\n'
LOOSE: dict[str, Any] = {"max_rejected": 1.0}


@dataclass(frozen=True)
class Case:
    """One file: ``error`` is a part of the message of a DataError; else ``kept`` rows and ``reasons`` of rejects."""

    name: str
    data: bytes
    kept: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
    error: str = ""
    settings: Mapping[str, Any] = field(default_factory=lambda: LOOSE)


def parquet(columns: Mapping[str, Any]) -> bytes:
    sink = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(dict(columns)), sink)
    return sink.getvalue()


def line(**values: Any) -> bytes:
    return json.dumps(values).encode() + b"\n"


def archive(files: Mapping[str, bytes]) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as packed:
        for name, data in files.items():
            packed.writestr(name, data)
    return sink.getvalue()


def arrow(columns: Mapping[str, Any], *, stream: bool) -> bytes:
    sink, table = io.BytesIO(), pyarrow.table(dict(columns))
    make = pyarrow.ipc.new_stream if stream else pyarrow.ipc.new_file
    with make(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def zstd(data: bytes) -> bytes:
    return pyarrow.Codec("zstd").compress(data, asbytes=True)


def tmx(units: str, header: str = '<header srclang="en"/>', doctype: str = "") -> bytes:
    return f'<?xml version="1.0"?>{doctype}<tmx version="1.4">{header}<body>\n{units}\n</body></tmx>'.encode()


UNIT = '<tu tuid="7"><tuv xml:lang="fr"><seg>un chien</seg></tuv><tuv xml:lang="en"><seg>a dog</seg></tuv></tu>'
UNITS_12 = (
    '<xliff version="1.2"><file source-language="en" target-language="fr"><body>'
    '<trans-unit id="1"><source>a <g id="1">dog</g><ph id="2">&lt;br/></ph></source><target>un chien</target>'
    "<alt-trans><source>no</source><target>non</target></alt-trans></trans-unit>\n"
    '<trans-unit id="2"><source>a cat</source></trans-unit></body></file></xliff>'
)
UNITS_20 = (
    '<?xml version="1.0"?><xliff version="2.0" srcLang="en" trgLang="fr"><file id="f"><unit id="1">'
    "<segment><source>a dog</source><target>un chien</target></segment>"
    "<segment><source>a cat</source><target>un chat</target></segment></unit></file></xliff>"
)
BOMB = '<!DOCTYPE tmx [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>'
CALL = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "x", "type": "function", "function": {"name": "f", "arguments": '{"n": 1}'}}],
}
CHAT = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]

CASES = [
    # JSON, well or badly named
    Case("array.json", b'[{"source": "a", "target": "b"}, {"source": "c", "target": "d"}]', 2),
    Case("lines.json", GOOD * 3, 3),
    Case("object.json", b'{\n "source": "a",\n "target": "b"\n}\n', 1),
    Case("empty_array.json", b"[]", error="no rows in it"),
    Case("comma.json", b'[{"source": "a", "target": "b"},\n]', error="comma.json:1:32: broken JSON"),
    Case("cut.json", b'[{"source": "a", "target": "b"},\n{"source": "c"', error="cut.json:2:"),
    Case("unclosed.json", b'[{"source": "a", "target": "b"}', error="never closed"),
    Case("single.json", b"[{'source': 'a'}]", error="single.json:1:3: broken JSON"),
    Case("after.json", b'[{"source": "a", "target": "b"}] x', error="more after the end"),
    Case("scalars.json", b"[1, 2]", error="wrong-type"),
    Case("scalar.json", b"17", error="wrong-type"),
    Case("deep.json", b'[{"source": ' + b"[" * 100_000 + b"]", error="broken JSON"),
    # JSON lines
    Case("bad_line.jsonl", GOOD * 2 + b'{"source": \n' + GOOD, 3, {"bad-json": 1}),
    Case("all_bad.jsonl", b"{x\n{y\n", error="all_bad.jsonl:1: bad-json"),
    Case("deep.jsonl", GOOD + b'{"source": ' + b"[" * 100_000 + b"\n", 1, {"bad-json": 1}),
    Case("torn.jsonl", GOOD * 2 + b'{"source": "a", "tar', 2, {"bad-json": 1}),
    Case("no_newline.jsonl", GOOD + GOOD.rstrip(), 2),
    Case("crlf.jsonl", GOOD.replace(b"\n", b"\r\n") * 2, 2),
    Case("blank_lines.jsonl", b"\n" + GOOD + b"\n  \n" + GOOD, 2),
    Case("separator.jsonl", GOOD.replace(b"dog", "d\u2028g".encode()), 1),
    Case("nan.jsonl", GOOD + b'{"source": "a", "target": "b", "score": NaN}\n', 1, {"nan-literal": 1}),
    Case("twice.jsonl", GOOD + b'{"source": "a", "source": "b", "target": "c"}\n', 1, {"duplicate-key": 1}),
    Case("digits.jsonl", GOOD + b'{"source": "a", "target": ' + b"9" * 100_000 + b"}\n", 1, {"wrong-type": 1}),
    Case("number.jsonl", GOOD + line(source="a", target=7), 1, {"wrong-type": 1}),
    Case("null.jsonl", GOOD + line(source=None, target="b"), 1, {"wrong-type": 1}),
    Case("bool.jsonl", GOOD + line(source="a", target=True), 1, {"wrong-type": 1}),
    Case("list.jsonl", GOOD + line(source=["a"], target="b"), 1, {"wrong-type": 1}),
    Case("missing.jsonl", GOOD + line(source="a"), 1, {"missing-field": 1}),
    Case("empty_source.jsonl", GOOD + line(source=" ", target="b"), 1, {"empty-source": 1}),
    Case("empty_target.jsonl", GOOD + line(source="a", target="\t"), 1, {"empty-target": 1}),
    Case("nul.jsonl", GOOD + line(source="a\0b", target="b"), 1, {"control-bytes": 1}),
    Case("surrogate.jsonl", GOOD + b'{"source": "a\\ud800", "target": "b"}\n', 1, {"bad-encoding": 1}),
    Case("latin.jsonl", GOOD + b'{"source": "caf\xe9", "target": "b"}\n', 1, {"bad-encoding": 1}),
    Case("latin_named.jsonl", b'{"source": "caf\xe9", "target": "b"}\n', 1, settings={"encoding": "latin-1"}),
    Case("bom.jsonl", b"\xef\xbb\xbf" + GOOD, 1),
    Case("utf16.jsonl", GOOD.decode().encode("utf-16"), 1),
    Case("utf16_no_bom.jsonl", GOOD.decode().encode("utf-16-le"), error="UTF-16 without a byte order mark"),
    Case("wrong_field.jsonl", GOOD, error="'sorce'", settings={"fields": {"source": "sorce"}}),
    Case("unknown.jsonl", line(left="a", right="b"), error="fields that exist: left, right"),
    Case("too_many.jsonl", GOOD * 90 + b"x\n" * 2, error="2 of 92 rows", settings={}),
    Case("one_bad.jsonl", GOOD * 9 + b"x\n", 9, {"bad-json": 1}, settings={}),
    Case(
        "other.jsonl",
        line(source="a", target="b", source_lang="en") + line(source="c", target="d", source_lang="fr"),
        1,
        {"other-language": 1},
        settings={"source_lang": "en", "target_lang": "fr"},
    ),
    Case("nested.jsonl", line(translation={"en": "a", "fr": "b"}) * 2, 2),
    # conversations
    Case("chat.jsonl", line(messages=[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]), 1),
    Case(
        "chat_bad.jsonl",
        line(messages=[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}])
        + line(messages=[{"role": "user", "content": "a"}])
        + line(messages=[])
        + line(messages=[{"role": "user", "content": "a"}, {"role": "system", "content": "s"}])
        + line(messages=[{"role": "wizard", "content": "a"}])
        + line(messages=[{"role": "user", "content": None}])
        + line(messages="hello"),
        1,
        {"bad-messages": 5, "wrong-type": 1},
    ),
    # tables
    Case("plain.csv", b"source,target\na,b\n", 1),
    Case("quoted.csv", b'source,target\n"a\nb, ""c""",d\ne,f\n', 2),
    Case("semicolon.csv", b"source;target\na,x;b\n", 1),
    Case("bom.csv", b"\xef\xbb\xbfsource,target\na,b\n", 1),
    Case("ragged.csv", b"source,target\na,b\nc\nd,e,f\n", 1, {"ragged-row": 2}),
    Case("unclosed.csv", b'source,target\na,b\n"c,d\n', error="unclosed.csv:3: a quote"),
    Case("loose_quote.csv", b'source,target\na,b\n"c"x,d\n', 1, {"bad-csv": 1}),
    Case("header.csv", b"source,target\n", error="only a header"),
    Case("same.csv", b"source,source\na,b\n", error="names 'source' twice"),
    Case("latin.csv", b"source,target\na,b\ncaf\xe9,d\n", 1, {"bad-encoding": 1}),
    Case("empty_cell.csv", b"source,target\na,b\n,d\n", 1, {"empty-source": 1}),
    Case("long.csv", b"source,target\n" + b"a " * 100_000 + b",b\n", 1),
    Case("plain.tsv", b"source\ttarget\na, b\tc\n", 1),
    Case("quotes.tsv", b'source\ttarget\n"Hello" he said\tb\n', 1),
    Case("ragged.tsv", b"source\ttarget\na\tb\nc\td\te\n", 1, {"ragged-row": 1}),
    # Parquet
    Case("good.parquet", parquet({"source": ["a", "b"], "target": ["c", "d"]}), 2),
    Case("null.parquet", parquet({"source": ["a", None], "target": ["c", "d"]}), 1, {"wrong-type": 1}),
    Case(
        "dictionary.parquet",
        parquet({"source": pyarrow.array(["a", "b"]).dictionary_encode(), "target": ["c", "d"]}),
        2,
    ),
    Case("fake.parquet", GOOD, error="not a Parquet file"),
    Case("cut.parquet", parquet({"source": ["a"], "target": ["c"]})[:-20], error="not a Parquet file"),
    Case("numbers.parquet", parquet({"source": [1], "target": [2]}), error="wrong-type"),
    # Arrow, as files and as streams
    Case("file.arrow", arrow({"source": ["a", "b"], "target": ["c", "d"]}, stream=False), 2),
    Case("stream.arrow", arrow({"source": ["a", None], "target": ["c", "d"]}, stream=True), 1, {"wrong-type": 1}),
    Case("cut.arrow", arrow({"source": ["a"], "target": ["c"]}, stream=False)[:-30], error="not an Arrow file"),
    Case("fake.arrow", GOOD, error="not an Arrow file"),
    # badly named: what stands in it counts
    Case("lines.csv", GOOD * 2, 2),
    Case("lines.txt", GOOD * 2, 2),
    Case("noname", GOOD * 2, 2),
    # packed
    Case("rows.jsonl.gz", gzip.compress(GOOD * 3), 3),
    Case("twice.jsonl.gz", gzip.compress(GOOD) + gzip.compress(GOOD), 2),
    Case("rows.jsonl.zst", zstd(GOOD * 3), 3),
    Case("rows.csv.bz2", bz2.compress(b"source,target\na,b\n"), 1),
    Case("rows.tsv.zst", zstd(b"source\ttarget\na\tb\nc\n"), 1, {"ragged-row": 1}),
    Case("array.json.gz", gzip.compress(b'[{"source": "a", "target": "b"}]'), 1),
    Case("cut.jsonl.gz", gzip.compress(GOOD * 3)[:-12], error="damaged gzip data"),
    Case("cut.jsonl.zst", zstd(GOOD * 3)[:-5], error="damaged zstd data"),
    Case("bomb.jsonl.gz", gzip.compress(b" " * (30 << 20)) * 10, error="unpacks to more than 200 times"),
    # TMX and XLIFF
    Case("rows.tmx", tmx(UNIT * 2), 2, settings={"source_lang": "en", "target_lang": "fr"}),
    Case("plain_name.xml", tmx(UNIT), 1),
    Case("rows.tmx.gz", gzip.compress(tmx(UNIT)), 1),
    Case(
        "one_side.tmx",
        tmx(UNIT + '\n<tu><tuv xml:lang="en"><seg>alone</seg></tuv></tu>'),
        1,
        {"untranslated": 1},
        settings={},
    ),
    Case("cut.tmx", tmx(UNIT)[:-9], error="cut.tmx:3:"),
    Case("entity.tmx", tmx(UNIT, doctype=BOMB), error="entity.tmx:1: declares the entity 'a'"),
    Case("empty.tmx", tmx(""), error="no <tu>"),
    Case("fake.tmx", b"hello\n", error="no <tmx> in it"),
    Case("page.txt", b"<?xml version='1.0'?><html/>", error="neither TMX nor XLIFF"),
    Case("rows.xlf", UNITS_12.encode(), 1, {"untranslated": 1}, settings={}),
    Case("rows.xliff", UNITS_20.encode(), 2),
    # forms of rows
    Case("alpaca.jsonl", line(instruction="a", input="b", output="c") + line(instruction="a", output="c"), 2),
    Case("completion.jsonl", line(prompt="a", completion="b") + line(prompt="a", completion=3), 1, {"wrong-type": 1}),
    Case("response.jsonl", line(prompt="a", response="b"), 1, settings={"format": "prompt-completion"}),
    Case("not_alpaca.jsonl", line(left="a", right="b"), error="of data.format: alpaca", settings={"format": "alpaca"}),
    Case(
        "sharegpt.json",
        json.dumps([{"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}] * 2).encode(),
        2,
        settings={"format": "sharegpt"},
    ),
    Case(
        "tools.jsonl",
        line(messages=CHAT, tools=[{"type": "function"}])
        + line(messages=[CHAT[0], CALL, {"role": "tool", "content": "3", "tool_call_id": "x"}, CHAT[1]])
        + line(messages=[CHAT[0], CALL])
        + line(messages=CHAT, tools="{")
        + line(messages=CHAT, tools=[3])
        + line(messages=[CHAT[0], {"role": "assistant", "tool_calls": "x"}])
        + line(messages=[CHAT[0], CALL, *CHAT])
        + line(messages=[CHAT[0], {"role": "tool", "content": "3"}, CHAT[1]]),
        3,
        {"bad-messages": 5},
    ),
    Case("team.jsonl", line(source="a", target="b", source_lang="en", pub_number="EP1") * 2, 2),
    Case("preference.jsonl", line(prompt="a", chosen="b", rejected="c"), error="preference training is not built yet"),
    Case("kto.jsonl", line(prompt="a", completion="b", label=True), error="preference training is not built yet"),
    Case(
        "chosen.jsonl",
        line(prompt="a", chosen="b", rejected="c"),
        1,
        settings={"fields": {"source": "prompt", "target": "chosen"}},
    ),
    Case(
        "mixed.jsonl",
        line(instruction="a", output="b") * 3 + line(messages=CHAT) * 2 + line(x=1),
        error="several forms (3 alpaca, 2 messages)",
        settings={},
    ),
    # plain text
    Case("wrapped.txt", b"one\nline\n\n\nanother\n  \nthird\r\none\r\n", 3),
    Case("wrapped_bad.txt", b"one\nline\n\ncaf\xe9\nhere\n\nthird\n", 2, {"bad-encoding": 1}),
    Case("corpus.txt", b"one line\n\nanother\n", 2),
    Case("latin.txt", b"one line\ncaf\xe9\n", 1, {"bad-encoding": 1}),
    # no rows at all
    Case("empty.jsonl", b"", error="an empty file"),
    Case("blank.jsonl", b"\n  \n\n", error="no rows in it"),
    Case("zip.jsonl", b"PK\x03\x04rest", error="a damaged zip archive"),
    Case("gzip.json", b"\x1f\x8brest", error="damaged gzip data"),
    Case("xz.jsonl", b"\xfd7zXZ\x00", error="compressed with xz"),
    Case("sheet.csv", archive({"xl/workbook.xml": b"<x/>"}), error="an Excel sheet"),
    Case("rows.zip", archive({"rows.jsonl": GOOD}), error="a zip archive; unpack it"),
    Case("pdf.csv", b"%PDF-1.7", error="a PDF"),
]
