"""R17, R18: a run is opened with the base and tokenizer it was trained with, or not at all, whatever the verb."""

from __future__ import annotations

import io
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from desktune.cli.main import run
from tests.bundles import PAIRS

VERBS = {
    "resume": ["train", "runs/one", "--resume"],
    "evaluate": ["evaluate", "runs/one"],
    "merge": ["merge", "runs/one"],
    "generate": ["generate", "runs/one", "my house is red"],
    "variants": ["generate", "runs/one", "my house is red", "--grid", "num_beams=1,2"],
    "chat": ["chat", "runs/one"],
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_t5: Path) -> Path:
    """A run of two steps that was killed after it saved its model, and its base."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        shutil.copytree(tiny_t5, folder / "base")
        rows = [{"input": f"{one} {n}", "output": other} for n in range(4) for one, other in PAIRS]
        (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        config = {"data": {"train": "rows.jsonl"}, "model": {"name": "base"}, "output": {"dir": "runs/one"},
                  "training": {"max_steps": 2, "eval_strategy": "no"}, "adapter": {"r": 2},
                  "evaluation": {"smoke_test": False, "max_new_tokens": 4}}  # fmt: skip
        (folder / "desktune.yaml").write_text(json.dumps(config), encoding="utf-8")
        assert run(["train", "desktune.yaml"]) == 0
    return folder


@pytest.fixture
def here(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(trained, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / "here/runs/one/status.json").unlink()
    monkeypatch.setattr(sys, "stdin", io.StringIO("hello\n/quit\n"))
    return tmp_path / "here"


def other_weights(base: Path) -> None:
    """Equal shapes, one weight a little different."""
    weights = load_file(base / "model.safetensors")
    name = sorted(weights)[0]
    weights[name] = weights[name] + torch.tensor(1e-3)
    save_file(weights, base / "model.safetensors", metadata={"format": "pt"})


def other_words(base: Path) -> None:
    """Two pieces of the vocabulary have changed places."""
    file = base / "tokenizer.json"
    text = json.loads(file.read_text(encoding="utf-8"))
    pieces = text["model"]["vocab"]
    pieces[-1][0], pieces[-2][0] = pieces[-2][0], pieces[-1][0]
    file.write_text(json.dumps(text), encoding="utf-8")


def other_template(base: Path) -> None:
    (base / "chat_template.jinja").write_text("{{ messages[0].content }}", encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (other_weights, "base weights are not"),
        (other_words, "tokenizer are not"),
        (other_template, "tokenizer are not"),
    ],
)
def test_another_partner_is_refused_by_every_verb(
    change: Callable[[Path], None], said: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(here / "base")
    before = sorted(here.rglob("*"))
    for name, words in VERBS.items():
        assert run(words) == 2, name
        assert said in capsys.readouterr().err, name
    assert [path for path in here.rglob("*") if path not in before and ".prepared" not in path.parts] == []


def test_a_model_folder_of_another_run_is_refused_by_every_verb(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``model/`` copied from a run of another base, or trained with another tokenizer."""
    description = here / "runs/one/model/desktune.json"
    known = json.loads(description.read_text(encoding="utf-8"))
    assert len(known["tokenizer_hash"]) == 64
    for key in ("base_weights", "tokenizer_hash"):
        description.write_text(json.dumps({**known, key: "0" * 64}), encoding="utf-8")
        for name in ("evaluate", "merge", "generate", "chat"):
            code = run(VERBS[name])
            said = capsys.readouterr()
            assert "was trained " in said.err + said.out, (key, name)
            assert code == 2 or name == "chat"
        assert not (here / "runs/one/one_merged").exists()


def test_the_right_partners_are_taken(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(here / "base", here / "elsewhere")
    assert run(VERBS["generate"]) == 0
    assert run([*VERBS["resume"]]) == 0
    assert "model: runs/one/model" in capsys.readouterr().out
