"""``training.engine: hf`` by the command line: a run like any other, without what a reference does not have."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.bundles import PAIRS

from desktune import durable
from desktune.cli.main import run

Out = pytest.CaptureFixture[str]


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_t5: Path) -> list[str]:
    monkeypatch.chdir(tmp_path)
    rows = [{"input": f"{one} {number}", "output": other} for number in range(6) for one, other in PAIRS]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (tmp_path / "d.yaml").write_text("data: {train: pairs.jsonl, validation: 4}\n", encoding="utf-8")
    settings = ["max_steps=4", "logging_steps=1", "per_device_train_batch_size=4", "engine=hf"]
    return ["train", "d.yaml", f"model.name={tiny_t5}", "output.dir=runs/one", *(f"training.{one}" for one in settings)]


def test_a_run_by_the_reference(words: list[str], capsys: Out) -> None:
    assert run(words) == 0
    assert "Seq2SeqTrainer" in capsys.readouterr().out
    lines = durable.read_lines(Path("runs/one/metrics.jsonl"))
    assert [line["step"] for line in lines if "loss" in line] == [1, 2, 3, 4]
    assert run(["generate", "runs/one", "the dog"]) == 0
    assert run(["merge", "runs/one"]) == 0
    assert not list(Path("runs/one").rglob("*.pt")) + list(Path("runs/one").rglob("*.bin"))


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (["training.optim=adafactor"], "training.optim: adafactor; allowed with it: adamw or sgd"),
        (["model.dtype=bfloat16"], "it compares in float32"),
        (["--resume"], "cannot be resumed"),
    ],
)
def test_what_it_lacks_is_refused(words: list[str], capsys: Out, more: list[str], text: str) -> None:
    assert run([*words, *more]) == 2
    assert text in capsys.readouterr().err
