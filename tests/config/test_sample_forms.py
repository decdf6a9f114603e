"""What ``init`` sees in packed files, folders, alpaca's rows and preferences."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from desktune.config.init import init_config
from desktune.config.load import loads
from desktune.config.sample import look
from desktune.errors import DataError
from desktune.hardware import Machine

MACHINE = Machine("Linux", "CPU", 2, 8 << 30, 100 << 30)
ROW = {"instruction": "say it", "input": "a dog", "output": "un chien"}


def lines(count: int, **values: str) -> bytes:
    return b"".join(json.dumps(values | {"n": number}).encode() + b"\n" for number in range(count))


def test_packed_files_and_folders(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines(50, source="a dog", target="un chien"))
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(lines(50, source="a dog", target="un chien")))
    packed = look(tmp_path / "b.jsonl.gz")
    assert (packed.kind, packed.shape, packed.rows, packed.estimated_rows) == ("JSON lines", "pair", 50, 50)
    (tmp_path / "c.jsonl.gz").write_bytes(gzip.compress(lines(5_000, source="a dog", target="un chien")))
    assert 4_000 < look(tmp_path / "c.jsonl.gz").estimated_rows < 6_000
    (tmp_path / "c.jsonl.gz").unlink()
    whole = look(tmp_path)
    assert whole.kind == "2 files, the first JSON lines"
    assert whole.estimated_rows >= 50
    config = loads(init_config(tmp_path, MACHINE), "init.yaml").config
    assert config.data.train == str(tmp_path)


def test_alpaca_rows_name_no_fields(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_bytes(lines(20, **ROW))
    sample = look(file)
    assert (sample.fields, sample.usual_task) == ({}, "causal")
    assert (sample.source_characters, sample.target_characters) == (len("say it") + len("a dog"), len("un chien"))
    assert loads(init_config(file, MACHINE), "init.yaml").config.data.fields == {}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (lines(3, prompt="a", chosen="b", rejected="c"), "preference training is not built yet"),
        (b"%PDF-1.7", "cannot look into a PDF"),
        (b"PK\x03\x04", "a Word document or a zip archive"),
    ],
)
def test_what_init_cannot_use_is_said(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "rows.jsonl").write_bytes(data)
    with pytest.raises(DataError, match=said):
        look(tmp_path / "rows.jsonl")
