"""Rules 39 to 51: tables, archives, paths that lead nowhere, and what a whole data set can be."""

from __future__ import annotations

import bz2
import gzip
import io
import os
import socket
import tarfile
from collections.abc import Callable
from pathlib import Path

import pyarrow
from tests.corpus.build import BOMB, GOOD, UNIT, Case, archive, arrow, line, parquet, tmx, zstd

GOODS = b"source,target\na,b\n"
SHEET = "an Excel sheet"


def _tar(name: str, kind: bytes = tarfile.REGTYPE) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as packed:
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = kind, "elsewhere"
        entry.size = len(GOOD) if kind == tarfile.REGTYPE else 0
        packed.addfile(entry, io.BytesIO(GOOD))
    return sink.getvalue()


def _two(left: bytes, right: bytes) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / "a.en").write_bytes(left)
        (folder / "a.fr").write_bytes(right)

    return write


def _socket(folder: Path) -> None:
    before = Path.cwd()
    os.chdir(folder)  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("socket.jsonl")
    os.chdir(before)


def _unreadable(folder: Path) -> None:
    (folder / "secret.jsonl").write_bytes(GOOD)
    (folder / "secret.jsonl").chmod(0)


def _kinds(folder: Path) -> None:
    (folder / "rows").mkdir()
    (folder / "rows" / "a.jsonl").write_bytes(GOOD)
    (folder / "rows" / "b.csv").write_bytes(GOODS)


def _loop(folder: Path) -> None:
    (folder / "loop.jsonl").symlink_to("round.jsonl")
    (folder / "round.jsonl").symlink_to("loop.jsonl")


MUCH = b"a" * (30 << 20)
PARALLEL = {"en": "a.en", "fr": "a.fr"}
CELLS = {"source": ["a", "b"], "target": ["c", "d"]}
LARGE = {name: pyarrow.array(values, pyarrow.large_string()) for name, values in CELLS.items()}
VIEWS = {name: pyarrow.array(values, pyarrow.string_view()) for name, values in CELLS.items()}
NULLS = {"source": ["a", "b"], "target": pyarrow.nulls(2)}
NESTED = {"translation": [{"en": "a", "fr": "b"}]}
LISTS = {"source": [["a"]], "target": ["b"]}
NOT_UTF8 = {"source": pyarrow.array([b"caf\xe9"]).view(pyarrow.binary()), "target": ["b"]}
CYRILLIC = ("собака спит", "кошка ест", "дом стоит")
KEYS = ("ghp_" + "a1B2" * 9, "AKIA" + "ABCD1234" * 2)

CASES = [
    # 39
    Case(39, "plain.csv", b"source,target\na,b\n", 1),
    Case(39, "quoted.csv", b'source,target\n"a\nb, ""c""",d\ne,f\n', 2),
    Case(39, "semicolon.csv", b"source;target\na,x;b\n", 1),
    Case(39, "bom.csv", b"\xef\xbb\xbfsource,target\na,b\n", 1),
    Case(39, "ragged.csv", b"source,target\na,b\nc\nd,e,f\n", 1, {"ragged-row": 2}),
    Case(39, "unclosed.csv", b'source,target\na,b\n"c,d\n', error="unclosed.csv:3: a quote"),
    Case(39, "loose_quote.csv", b'source,target\na,b\n"c"x,d\n', 1, {"bad-csv": 1}),
    Case(39, "header.csv", b"source,target\n", error="only a header"),
    Case(39, "same.csv", b"source,source\na,b\n", error="names 'source' twice"),
    # 40
    Case(40, "plain.tsv", b"source\ttarget\na, b\tc\n", 1),
    Case(40, "quotes.tsv", b'source\ttarget\n"Hello" he said\tb\n', 1),
    Case(40, "ragged.tsv", b"source\ttarget\na\tb\nc\td\te\n", 1, {"ragged-row": 1}),
    Case(40, "rows.tsv.zst", zstd(b"source\ttarget\na\tb\nc\n"), 1, {"ragged-row": 1}),
    # 42
    Case(42, "good.parquet", parquet({"source": ["a", "b"], "target": ["c", "d"]}), 2),
    Case(42, "null.parquet", parquet({"source": ["a", None], "target": ["c", "d"]}), 1, {"wrong-type": 1}),
    Case(
        42,
        "dictionary.parquet",
        parquet({"source": pyarrow.array(["a", "b"]).dictionary_encode(), "target": ["c", "d"]}),
        2,
    ),
    Case(42, "fake.parquet", GOOD, error="not a Parquet file"),
    Case(42, "cut.parquet", parquet({"source": ["a"], "target": ["c"]})[:-20], error="not a Parquet file"),
    Case(42, "numbers.parquet", parquet({"source": [1], "target": [2]}), error="wrong-type"),
    Case(42, "file.arrow", arrow({"source": ["a", "b"], "target": ["c", "d"]}, stream=False), 2),
    Case(42, "stream.arrow", arrow({"source": ["a", None], "target": ["c", "d"]}, stream=True), 1, {"wrong-type": 1}),
    Case(42, "cut.arrow", arrow({"source": ["a"], "target": ["c"]}, stream=False)[:-30], error="not an Arrow file"),
    Case(42, "fake.arrow", GOOD, error="not an Arrow file"),
    # 43
    Case(43, "fake.tmx", b"hello\n", error="no <tmx> in it"),
    Case(43, "page.txt", b"<?xml version='1.0'?><html/>", error="neither TMX nor XLIFF"),
    Case(43, "zip.jsonl", b"PK\x03\x04rest", error="a damaged zip archive"),
    Case(43, "gzip.json", b"\x1f\x8brest", error="damaged gzip data"),
    Case(43, "xz.jsonl", b"\xfd7zXZ\x00", error="compressed with xz"),
    Case(43, "sheet.csv", archive({"xl/workbook.xml": b"<x/>"}), error="an Excel sheet"),
    Case(43, "rows.zip", archive({"rows.jsonl": GOOD}), error="a zip archive; unpack it"),
    Case(43, "pdf.csv", b"%PDF-1.7", error="a PDF"),
    # 44
    Case(44, "rows.jsonl.gz", gzip.compress(GOOD * 3), 3),
    Case(44, "twice.jsonl.gz", gzip.compress(GOOD) + gzip.compress(GOOD), 2),
    Case(44, "rows.jsonl.zst", zstd(GOOD * 3), 3),
    Case(44, "rows.csv.bz2", bz2.compress(b"source,target\na,b\n"), 1),
    Case(44, "array.json.gz", gzip.compress(b'[{"source": "a", "target": "b"}]'), 1),
    Case(44, "bomb.jsonl.gz", gzip.compress(b" " * (30 << 20)) * 10, error="unpacks to more than 200 times"),
    Case(44, "rows.tmx.gz", gzip.compress(tmx(UNIT)), 1),
    Case(44, "entity.tmx", tmx(UNIT, doctype=BOMB), error="entity.tmx:1: declares the entity 'a'"),
    # 50
    Case(
        50,
        "other.jsonl",
        line(source="a", target="b", source_lang="en") + line(source="c", target="d", source_lang="fr"),
        1,
        {"other-language": 1},
        settings={"source_lang": "en", "target_lang": "fr"},
    ),
    # further cases
    Case(39, "formula.csv", b'source,target\n"=1+1",b\n', 1, texts=(("=1+1", "b"),)),
    Case(39, "tabs.csv", b"source\ttarget\na\tb\n", 1, texts=(("a", "b"),)),
    Case(39, "no_header.csv", b"a dog,un chien\na cat,un chat\n", error="fields that exist: a dog, un chien"),
    Case(39, "doubled.csv", b'source,target\n"say ""hi""",b\n', 1, texts=(('say "hi"', "b"),)),
    Case(39, "bom_quoted.csv", b'\xef\xbb\xbf"source","target"\n"a","b"\n', 1, texts=(("a", "b"),)),
    Case(39, "newline.csv", b'source,target\n"a\n\nb",c\n', 1, texts=(("a\n\nb", "c"),)),
    Case(39, "header_cut.csv", b'"source,target\na,b\n', error="no header line"),
    Case(
        39,
        "many_ragged.csv",
        b"source,target\na,b\n" + b"c,d,e\n" * 5,
        error="many_ragged.csv:3: ragged-row",
        settings={},
    ),
    Case(40, "tab_inside.tsv", b"source\ttarget\na\tb\na\tdog\tc\n", 1, {"ragged-row": 1}),
    Case(41, "longer.en", error="a.en has 3 lines and a.fr has 2", write=_two(b"a\nb\nc\n", b"d\ne\n"), train=PARALLEL),
    Case(
        41, "shorter.en", error="the first line without a partner is 2", write=_two(b"a\n", b"d\ne\n"), train=PARALLEL
    ),
    Case(41, "blank.en", b"", 1, {"empty-target": 1}, write=_two(b"a\nb\n", b"c\n\n"), train=PARALLEL),
    Case(41, "latin.en", b"", 1, {"bad-encoding": 1}, write=_two(b"a\ncaf\xe9\n", b"c\nd\n"), train=PARALLEL),
    Case(41, "three.en", error="found 3 sides", write=_two(b"a\n", b"b\n"), train={**PARALLEL, "de": "a.en"}),
    Case(42, "large.parquet", parquet(LARGE), 2, texts=(("a", "c"), ("b", "d"))),
    Case(42, "nulls.parquet", parquet(NULLS), error="wrong-type: 'target' is null"),
    Case(42, "nested.parquet", parquet(NESTED), 1, texts=(("a", "b"),)),
    Case(42, "lists.parquet", parquet(LISTS), error="'source' is list"),
    Case(42, "bytes.parquet", parquet(NOT_UTF8), error="'source' is bytes"),
    Case(42, "encrypted.parquet", b"PARE" + b"x" * 40 + b"PARE", error="an encrypted Parquet file"),
    Case(42, "magic.parquet", b"PAR1" + b"x" * 40, error="not a Parquet file"),
    Case(42, "no_rows.parquet", parquet({"source": [], "target": []}), error="no rows in it"),
    Case(42, "views.arrow", arrow(VIEWS, stream=False), 2),
    Case(42, "magic.arrow", b"ARROW1\0\0" + b"x" * 40, error="not an Arrow file"),
    Case(43, "excel.jsonl", archive({"xl/workbook.xml": b"<x/>"}), error=SHEET),
    Case(43, "paper.jsonl", b"%PDF-1.7\n", error="a PDF"),
    Case(43, "old.csv", b"\xd0\xcf\x11\xe0" + b"\0" * 60, error="an old Office file"),
    Case(43, "seven.jsonl", b"7z\xbc\xaf\x27\x1c" + b"\0" * 60, error="a 7z archive"),
    Case(43, "base.jsonl", b"SQLite format 3\0" + b"\0" * 60, error="a SQLite database"),
    Case(43, "store.jsonl", b"\x89HDF\r\n" + b"\0" * 60, error="an HDF5 file"),
    Case(43, "image.jsonl", b"\x89PNG\r\n\x1a\n" + b"\0" * 60, error="an image"),
    Case(43, "program.jsonl", b"\x7fELF" + b"\0" * 60, error="a program"),
    Case(43, "pickle.jsonl", b"\x80\x04\x95" + b"\0" * 60, error="a pickle"),
    Case(44, "bomb.jsonl.zst", zstd(b" " * (30 << 20)) * 10, error="unpacks to more than 200 times"),
    Case(44, "bomb.docx", archive({f"word/{name}.xml": MUCH for name in ("document", *range(9))}), error="unpacks to"),
    Case(44, "nested.gz", gzip.compress(gzip.compress(GOOD)), error="packed twice"),
    Case(45, "up.tar", _tar("../up.jsonl"), error="a tar archive"),
    Case(45, "root.tar", _tar("/up.jsonl"), error="a tar archive"),
    Case(45, "link.tar.gz", gzip.compress(_tar("link.jsonl", tarfile.SYMTYPE)), error="a tar archive"),
    Case(45, "device.tar.bz2", bz2.compress(_tar("zero", tarfile.CHRTYPE)), error="a tar archive"),
    Case(45, "up.zip", archive({"../up.jsonl": GOOD, "/up.jsonl": GOOD}), error="a zip archive"),
    Case(46, "missing.jsonl", error="no such file", write=lambda folder: None),
    Case(46, "nowhere/missing.jsonl", error="the folder nowhere is not there either", write=lambda folder: None),
    Case(46, "folder", error="a folder without files of rows", write=lambda folder: (folder / "folder").mkdir()),
    Case(46, "rows", error="several kinds of files", write=_kinds),
    Case(46, "pipe.jsonl", error="not a regular file", write=lambda folder: os.mkfifo(folder / "pipe.jsonl")),
    Case(46, "socket.jsonl", error="not a regular file", write=_socket),
    Case(46, "zero", error="not a regular file", write=lambda folder: None, train="/dev/zero"),
    Case(46, "secret.jsonl", error="not readable by you", write=_unreadable),
    Case(46, "loop.jsonl", error="symbolic links", write=_loop),
    Case(
        46,
        "dangling.jsonl",
        error="a link to gone.jsonl, which is not there",
        write=lambda folder: (folder / "dangling.jsonl").symlink_to("gone.jsonl"),
    ),
    Case(46, "glob", error="the pattern matches no file", write=lambda folder: None, train="*.nothing"),
    Case(
        46,
        "Rows.jsonl",
        error="did you mean 'rows.jsonl'?",
        write=lambda folder: (folder / "rows.jsonl").write_bytes(GOOD),
    ),
    Case(46, "nul", error="allowed: the name of a file", write=lambda folder: None, train="a\0b"),
    Case(46, "blank_name", error="allowed: the name of a file", write=lambda folder: None, train=" "),
    Case(46, "nobody", error="no such file", write=lambda folder: None, train="~nobody-of-that-name/rows.jsonl"),
    Case(46, "number", error="data.train: found 5", write=lambda folder: None, train=5),
    Case(46, "empty_list", error="an empty list", write=lambda folder: None, train=[]),
    Case(46, "long_name", error="name too long", write=lambda folder: None, train="x" * 300 + ".jsonl"),
    Case(47, "one_row.jsonl", GOOD, error="holds nothing out", settings={"validation": 0.1}),
    Case(47, "all_held.jsonl", GOOD * 2, error="leave nothing to train on", settings={"validation": 2}),
    Case(47, "equal.jsonl", GOOD * 5, error="holds nothing out", settings={"validation": 0.9}),
    Case(
        47,
        "held_bad.jsonl",
        error="data.validation: none of its 1 rows can be used",
        settings={"validation": "held.jsonl", "max_source_length": 3},
        write=lambda folder: (
            (folder / "held_bad.jsonl").write_bytes(GOOD),
            (folder / "held.jsonl").write_bytes(line(source="a dog " * 30, target="b")),
        ),
    ),
    Case(48, "few.jsonl", GOOD + line(source="a", target="b"), 2, said=("2 rows are fewer than one step takes",)),
    Case(
        49,
        "constant.jsonl",
        b"".join(line(source=f"row {one}", target="yes") for one in range(9)),
        9,
        said=("all 9 rows have the same target ('yes')",),
    ),
    Case(
        50,
        "script.jsonl",
        b"".join(line(source=f"row {one}", target=CYRILLIC[one % 3]) for one in range(9)),
        9,
        settings={"source_lang": "en", "target_lang": "fr"},
        said=("9 of 9 targets are not in the script of fr",),
    ),
    Case(51, "mail.jsonl", line(source="write to jo@example.org", target="b") + GOOD, 2, said=("an e-mail address  ",)),
    Case(
        51,
        "keys.jsonl",
        b"".join(line(source=f"use {key} now", target="b") for key in KEYS),
        2,
        said=("a key or token  ",),
    ),
    Case(
        51,
        "private_key.jsonl",
        line(source="-----BEGIN RSA PRIVATE KEY-----", target="b"),
        1,
        said=("a key or token  ",),
    ),
]
