"""Every reader on mutated files: rows, rejects and our own errors come out, nothing else, and memory stays bounded."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import json
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.corpus.build import BOMB, CHAT, GOOD, UNIT, UNITS_12, UNITS_20, arrow, line, parquet, tmx, zstd
from tests.corpus.test_big import MEBI, status

from desktune.config.load import loads
from desktune.config.schema import DataSection
from desktune.data.read import read
from desktune.errors import UserError
from desktune.events import silent
from desktune.rows import Example, Reject

CELLS = {"source": ["a dog", "a cat", "é"], "target": ["b", "c", "d"]}
ROWS = GOOD * 3 + line(source="é\u2028", target="\t", n=1e5) + line(messages=CHAT)
TABLE = 'source,target\n"a ""dog""\nruns",un chien\n\né,"x,y"\n'.encode() * 2
SEEDS: dict[str, bytes] = {
    "rows.json": b"[" + b",\n".join([GOOD.strip()] * 5) + b"]",
    "objects.json": json.dumps({"source": "a", "target": {"b": [1, 2]}}, indent=1).encode() * 3,
    "rows.jsonl": ROWS,
    "wide.jsonl": ROWS.decode().encode("utf-16"),
    "rows.csv": TABLE,
    "rows.tsv": TABLE.replace(b",", b"\t"),
    "rows.tmx": tmx(UNIT * 3),
    "bomb.tmx": tmx(UNIT, doctype=BOMB),
    "rows.xlf": UNITS_12.encode(),
    "rows.xliff": UNITS_20.encode(),
    "rows.txt": "one\ntwo\n\nthree é\r\nfour".encode(),
    "rows.parquet": parquet(CELLS),
    "rows.arrow": arrow(CELLS, stream=False),
    "stream.arrow": arrow(CELLS, stream=True),
    "rows.jsonl.gz": gzip.compress(ROWS),
    "rows.csv.bz2": bz2.compress(TABLE),
    "rows.jsonl.zst": zstd(ROWS),
}
TOKENS = (
    b"\0", b"\xff", b"\xef\xbb\xbf", b"\xff\xfe", b"\r", b"\n", b'"', b"{", b"[", b"]", b"}", b",", b"\\ud800", b"NaN",
    b"1e999", b"9" * 5_000, b"[" * 3_000, b"<", b"&", b"]]>", b"<!--", b"<tu>", b"</seg>", b"PAR1", b"\x1f\x8b", b"\t",
    b"<![CDATA[", b"\xed\xa0\x80", b"PK\x03\x04", b"null", b'"source"',
)  # fmt: skip


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Return bytes with one to four changes: a bit, a cut, a copy, a token, a piece taken out."""
    found = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(found) + 1)
        end = min(len(found), at + chance.choice((1, 2, 8, 64)))
        match chance.randrange(6):
            case 0 if at < len(found):
                found[at] ^= 1 << chance.randrange(8)
            case 1:
                del found[at:]
            case 2:
                found[at:at] = found[at:end] * chance.choice((1, 2, 50))
            case 3:
                found[at:at] = chance.choice(TOKENS)
            case 4:
                found[at:end] = bytes(chance.randrange(256) for _ in range(end - at))
            case _:
                del found[at:end]
    return bytes(found)


def only_ours(work: Callable[[], object], what: str) -> None:
    """Run, and let only our typed errors pass."""
    started = time.monotonic()
    with contextlib.suppress(UserError):
        work()
    assert time.monotonic() - started < 5, what


def rows_of(path: Path, section: DataSection) -> None:
    for row in read(str(path), section, silent):
        assert isinstance(row, Example | Reject)
        for text in (row.source, row.target, row.text) if isinstance(row, Example) else (row.excerpt, row.detail):
            text.encode()  # what comes out can be written


def readers(tmp_path: Path, name: str, count: int) -> None:
    chance, path = random.Random(f"{name} 7"), tmp_path / name
    sections = [DataSection(max_rejected=1.0), DataSection(max_rejected=1.0, source_lang="en", target_lang="fr")]
    before = status("VmRSS")
    for number in range(count):
        data = mutated(SEEDS[name], chance)
        path.write_bytes(data)
        only_ours(lambda: rows_of(path, chance.choice(sections)), f"{name} {number}: {data[:300]!r}")
    assert status("VmHWM") - before < 500 * MEBI


@pytest.mark.parametrize("name", SEEDS)
def test_readers_on_some_mutations(tmp_path: Path, name: str) -> None:
    readers(tmp_path, name, 60)


@pytest.mark.slow
@pytest.mark.parametrize("name", SEEDS)
def test_readers_on_2000_mutations(tmp_path: Path, name: str) -> None:
    readers(tmp_path, name, 2_000)


@pytest.mark.slow
def test_configs_on_2000_mutations() -> None:
    chance = random.Random(7)
    seed = (
        b"data:\n  train: {en: a.en, fr: a.fr}\n  template: 'x {source}'\ntraining: {lr: 1e-4, max_steps: 5}\n"
        b"generation: {variants: {a: {num_beams: 2}}}\nadapter: &x {r: 8, target_modules: [q, v]}\n"
    )
    for number in range(2_000):
        text = mutated(seed, chance).decode("utf-8", "replace")
        only_ours(lambda: loads(text, "d.yaml", check_files=False), f"{number}: {text!r}")  # noqa: B023 - runs now
