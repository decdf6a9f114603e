"""The embedded default from data to merged model: tuned is clearly better than base on rows that were held out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from desktune.cli.main import run
from desktune.demo import DEMOS

CLEARLY = {"translation": ("bleu", 40.0), "seq2seq": ("exact_match", 35.0), "causal": ("exact_match", 35.0)}


@pytest.mark.slow
@pytest.mark.parametrize("task", DEMOS)
def test_demo(task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["demo", "--task", task]) == 0
    said = capsys.readouterr().out
    assert "Base against tuned" in said
    assert "desktune init" in said
    (folder,) = (path for path in (tmp_path / "runs").iterdir() if path.name.startswith("demo-"))
    report = json.loads((folder / "evaluation-validation.json").read_text(encoding="utf-8"))
    metric, gain = CLEARLY[task]
    domain = report["files"][f"{DEMOS[task].samples[0]}.jsonl"]
    assert domain["tuned"][metric] - domain["base"][metric] > gain
    assert report["tuned"]["loss"] < report["base"]["loss"] / 2
    assert (folder / f"{folder.name}_merged/model.safetensors").is_file()


def test_unknown_demo_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", "--task", "poetry"]) == 2
    assert "translation, seq2seq, causal" in capsys.readouterr().err
