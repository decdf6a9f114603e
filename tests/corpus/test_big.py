"""Rule 16 and its like: files that are long in one direction take little memory, and end with a row rejected."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.corpus.build import GOOD, LOOSE

from desktune.config.schema import DataSection
from desktune.data import jsons, lines
from desktune.data.read import read
from desktune.errors import DataError
from desktune.events import silent
from desktune.rows import Reject

MEBI = 1 << 20
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the memory of the process in /proc")


def status(name: str) -> int:
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) << 10


@contextmanager
def little_memory(most: int) -> Iterator[None]:
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before, started = status("VmRSS"), time.monotonic()
    yield
    assert status("VmHWM") - before < most
    assert time.monotonic() - started < 20


def endless(path: Path, size: int, start: bytes = b"", end: bytes = b"\n") -> None:
    with open(path, "wb") as file:
        file.write(start)
        for _ in range(size // MEBI):
            file.write(b"x" * MEBI)
        file.write(end)


def reasons_of(path: Path) -> list[str]:
    return [row.reason if isinstance(row, Reject) else "" for row in read(str(path), DataSection(**LOOSE), silent)]


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.csv"])
def test_a_line_without_end_is_rejected(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MOST_LINE_BYTES", 4 * MEBI)
    start = GOOD if name == "rows.jsonl" else b"source,target\na,b\n"
    endless(tmp_path / name, 50 * MEBI, start, b"\n" + start[-len(GOOD) :] if name == "rows.jsonl" else b"\nc,d\n")
    with little_memory(100 * MEBI):
        found = reasons_of(tmp_path / name)
    assert sorted(found)[:2] == ["", ""]
    assert len(found) == 3


def test_a_value_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsons, "MOST_VALUE", 4 * MEBI)
    endless(tmp_path / "rows.json", 50 * MEBI, b'[{"source": "', b'"}]')
    with little_memory(100 * MEBI), pytest.raises(DataError, match="a value of more than 4 MiB"):
        reasons_of(tmp_path / "rows.json")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rows.jsonl", "rows.csv", "rows.json", "rows.txt"])
def test_a_line_of_600_megabytes(tmp_path: Path, name: str) -> None:
    start = {"rows.jsonl": GOOD, "rows.csv": b"source,target\na,b\n", "rows.json": b'[{"source": "'}.get(name, b"one\n")
    endless(tmp_path / name, 600 * MEBI, start)
    with little_memory(500 * MEBI):
        if name == "rows.json":
            with pytest.raises(DataError, match="a value of more than 64 MiB"):
                reasons_of(tmp_path / name)
        else:
            assert "long-line" in reasons_of(tmp_path / name) or name == "rows.csv"
