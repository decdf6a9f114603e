"""``desktune verify RUN``: one flipped bit in any file that a run has written is found."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from desktune import api, durable, runs
from desktune.cli.main import run as desktune
from desktune.torture.faults import restore
from desktune.torture.trials import Bench
from desktune.track.metrics import line_of

UNGUARDED = (runs.LOCK,)  # says who holds it, and no more


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished and merged run, trained by ``api.train``."""
    bench = Bench(tmp_path_factory.mktemp("verified"), "cpu", random.Random(3))
    bench.prepare(time.monotonic, tasks=("causal",))
    run = bench.wholes[0].run
    api.merge(run)
    return run


def written(run: Path) -> list[Path]:
    rows = runs.prepared_rows(run)
    assert rows is not None
    return sorted(path for path in (*run.rglob("*"), *rows.rglob("*")) if path.is_file() and path.name not in UNGUARDED)


def test_a_flipped_bit_of_any_file_is_found(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chance, unseen = random.Random(4), []
    assert desktune(["verify", str(folder)]) == 0
    files = written(folder)
    names = {path.name for path in files}
    assert {"config.yaml", "environment.json", "ledger.json", "rejected.jsonl", "metrics.jsonl", "status.json"} <= names
    assert {"train.arrow", "adapter_model.safetensors", "optimizer.safetensors", "tokenizer.json"} <= names
    for file in files:
        data = bytearray(file.read_bytes())
        if not data:
            continue
        place = chance.randrange(len(data) - 1)
        data[place] ^= 1 << chance.randrange(8)
        before = file.read_bytes()
        restore(file, bytes(data))
        unseen += [file.name] if desktune(["verify", str(folder)]) != 2 else []
        restore(file, before)
    assert unseen == []
    assert desktune(["verify", str(folder)]) == 0
    capsys.readouterr()


def test_a_lost_file_of_the_run_is_found(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ledger = folder / runs.LEDGER
    before = ledger.read_bytes()
    ledger.unlink()
    assert desktune(["verify", str(folder)]) == 2
    assert "ledger.json: missing" in capsys.readouterr().err
    restore(ledger, before)


def test_every_bit_of_a_line_is_guarded(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    for step in (1, 2):
        durable.append_line(path, line_of("step", {"step": step, "loss": 1.5}))
    assert durable.line_faults(path) == []
    data = path.read_bytes()
    unseen = []
    for bit in range(8 * (len(data) - 1)):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        restore(path, bytes(changed))
        unseen += [] if durable.line_faults(path) else [bit]
    assert unseen == []


def test_a_file_cut_at_every_byte_keeps_its_earlier_lines(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    for step in (1, 2, 3):
        durable.append_line(path, line_of("step", {"step": step, "loss": 1.5}))
    data = path.read_bytes()
    start = data.rstrip(b"\n").rindex(b"\n") + 1
    for length in range(start, len(data)):
        restore(path, data[:length])
        assert [line["step"] for line in durable.read_lines(path)][:2] == [1, 2]
        assert durable.line_faults(path) == []


def test_lines_that_are_kept_keep_their_checksum(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    for step in (1, 2, 3):
        durable.append_line(path, line_of("step", {"step": step, "loss": 0.1 * step, "text": "é"}))
    durable.keep_lines(path, lambda line: line["step"] < 3)
    assert len(durable.read_lines(path)) == 2
    assert durable.line_faults(path) == []
