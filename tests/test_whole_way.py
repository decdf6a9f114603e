"""The whole way by the command line on tiny models: raw rows in, a merged model out; and bad input."""

from __future__ import annotations

import json
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from desktune import durable
from desktune.cli.main import run
from tests.bundles import FAMILIES, PAIRS

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder with a file of pairs."""
    monkeypatch.chdir(tmp_path)
    rows = [{"input": f"{one} {number}", "output": other} for number in range(6) for one, other in PAIRS]
    (tmp_path / "pairs.jsonl").write_text("\n".join(json.dumps(row) for row in rows) + "\n", encoding="utf-8")
    return tmp_path


def config(folder: Path, **training: object) -> list[str]:
    """Return the words of a short run."""
    Path("desktune.yaml").write_text("data: {train: pairs.jsonl}\n", encoding="utf-8")
    settings = {
        "max_steps": 4,
        "eval_steps": 2,
        "save_steps": 2,
        "logging_steps": 1,
        "per_device_train_batch_size": 4,
        **training,
    }
    words = [f"training.{name}={value}" for name, value in settings.items()]
    return [
        "desktune.yaml",
        f"model.name={folder}",
        "output.dir=runs/one",
        "evaluation.max_new_tokens=6",
        "generation.max_new_tokens=6",
        *words,
    ]


@pytest.mark.parametrize("family", FAMILIES)
def test_pairs_in_merged_model_out(
    family: str, tiny_folders: dict[str, Path], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*config(tiny_folders[family]), "tracking.report_to=[tensorboard]"]
    assert run(["check", *words, "--full"]) == 0
    assert run(["data", "show", *words, "-n", "2", "--ids"]) == 0
    assert run(["train", *words]) == 0
    assert run(["evaluate", "runs/one"]) == 0
    assert run(["merge", "runs/one"]) == 0
    assert run(["verify", "runs/one"]) == 0
    capsys.readouterr()
    assert run(["generate", "runs/one", "my house is red"]) == 0
    assert run(["show", "runs/one"]) == 0
    assert run(["runs"]) == 0
    said = capsys.readouterr()
    assert "finished" in said.out
    one = here / "runs/one"
    assert list((one / "tensorboard").glob("events.*"))
    expected = (
        "config.yaml environment.json ledger.json rejected.jsonl metrics.jsonl model one_merged checkpoints status.json"
    )
    assert set(expected.split()) <= {path.name for path in one.iterdir()}
    ledger = json.loads((one / "ledger.json").read_text(encoding="utf-8"))
    assert ledger["splits"].keys() == {"train", "validation"}
    steps = [line["step"] for line in durable.read_lines(one / "metrics.jsonl") if line["kind"] == "step"]
    assert steps == [1, 2, 3, 4]
    report = json.loads((one / "evaluation-validation.json").read_text(encoding="utf-8"))
    assert report["base"]["loss"] != report["tuned"]["loss"]


def test_resume_after_a_kill_ends_with_the_same_bits(tiny_folders: dict[str, Path], here: Path) -> None:
    """A run that lost everything after its checkpoint at step 2 (as after kill -9) against one that never stopped."""
    words = config(tiny_folders["t5"], max_steps=6)
    assert run(["train", *words]) == 0
    killed = here / "runs/two"
    shutil.copytree(here / "runs/one", killed)
    for gone in ("model", "status.json", "checkpoints/step-000004", "checkpoints/step-000006"):
        shutil.rmtree(killed / gone) if (killed / gone).is_dir() else (killed / gone).unlink()
    assert run(["train", "runs/two", "--resume"]) == 0
    for name in ("model/adapter_model.safetensors", "checkpoints/step-000006/optimizer.safetensors"):
        assert (killed / name).read_bytes() == (here / "runs/one" / name).read_bytes()
    losses = [
        [
            (line["step"], line["loss"])
            for line in durable.read_lines(here / f"runs/{name}/metrics.jsonl")
            if line["kind"] == "step"
        ]
        for name in ("one", "two")
    ]
    assert losses[0] == losses[1]
    assert [step for step, _ in losses[1]] == [1, 2, 3, 4, 5, 6]


def test_resume_says_when_there_is_nothing_to_do(
    tiny_folders: dict[str, Path], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = config(tiny_folders["t5"])
    assert run(["train", *words, "--resume"]) == 0
    assert "starting fresh" in capsys.readouterr().out
    assert run(["train", *words, "--resume"]) == 0
    assert "is finished" in capsys.readouterr().out


def test_resume_with_another_config_or_other_rows_is_refused(
    tiny_folders: dict[str, Path], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = config(tiny_folders["t5"])
    assert run(["train", *words]) == 0
    (here / "runs/one/status.json").unlink()
    assert run(["train", *words, "training.learning_rate=0.5", "--resume"]) == 2
    assert "training.learning_rate: 0.0002 → 0.5" in capsys.readouterr().err
    (here / "pairs.jsonl").write_text(
        (here / "pairs.jsonl").read_text(encoding="utf-8").replace("house", "boat"), encoding="utf-8"
    )
    assert run(["train", *words, "--resume"]) == 2
    assert "rows are not those it was trained with" in capsys.readouterr().err
    assert run(["evaluate", "runs/one"]) == 2


def test_prepared_rows_are_reused(
    tiny_folders: dict[str, Path], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = config(tiny_folders["t5"])
    assert run(["data", "prepare", *words]) == 0
    capsys.readouterr()
    assert run(["train", *words]) == 0
    assert ".prepared" in capsys.readouterr().out


BAD = {
    "empty": ("rows.jsonl", "", "empty"),
    "broken-json": ("rows.json", '[{"input": "a", "output": "b"},\n {"input": "c" "output": "d"}]', "rows.json:2"),
    "broken-line": ("rows.jsonl", '{"input": "a", "output": "b"}\n{"input": \n' * 20, "rows.jsonl:2"),
    "wrong-fields": ("rows.jsonl", '{"dream": "a", "meaning": "b"}\n' * 5, "dream, meaning"),
    "numbers": ("rows.jsonl", '{"input": 1, "output": 2}\n' * 5, "rows.jsonl:1"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_rows_exit_2_with_one_message(
    name: str, tiny_folders: dict[str, Path], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, text, said = BAD[name]
    (here / file).write_text(text, encoding="utf-8")
    assert run(["train", *config(tiny_folders["t5"]), f"data.train={file}"]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
    assert not (here / "runs/one").exists()


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("data.fields={source: inptu, target: output}", "did you mean 'input'"),
        ("training.lerning_rate=1", "did you mean 'learning_rate'"),
        ("model.name=starter:t6", "starter:t5"),
        ("model.name=./nowhere", "no such folder"),
        ("task=causal", "allowed with it"),
        ("model.name=somebody/nowhere", "the hub did not give it"),
        ("adapter.target_modules=[nope]", "there are"),
        ("model.dtype=float16", "float16"),
        ("data.max_source_length=1", "overlong-source"),
    ],
)
def test_bad_settings_exit_2(
    word: str, said: str, tiny_folders: dict[str, Path], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["train", *config(tiny_folders["t5"]), word]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
    assert not (here / "runs/one/model").exists()


def test_output_folder_in_use(tiny_folders: dict[str, Path], here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = config(tiny_folders["t5"])
    (here / "runs/one").mkdir(parents=True)
    (here / "runs/one/thesis.txt").write_text("mine", encoding="utf-8")
    assert run(["train", *words]) == 2
    assert "in use" in capsys.readouterr().err
    assert [path.name for path in (here / "runs/one").iterdir()] == ["thesis.txt"]


def test_several_processes_need_torchrun(
    tiny_folders: dict[str, Path], here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert run(["train", *config(tiny_folders["t5"])]) == 2
    assert "start the processes with torchrun" in capsys.readouterr().err


def test_no_disk_space(
    tiny_folders: dict[str, Path], here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = config(tiny_folders["t5"])
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**9, 10**9, 1000))
    assert run(["train", *words]) == 4
    assert "MiB are free" in capsys.readouterr().err


def test_adapter_for_another_base(
    tiny_folders: dict[str, Path], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = here / "base"
    shutil.copytree(tiny_folders["t5"], base)
    assert run(["train", *config(base)]) == 0
    weights = bytearray((base / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (base / "model.safetensors").write_bytes(weights)
    capsys.readouterr()
    assert run(["merge", "runs/one"]) == 2
    assert "base weights are not those" in capsys.readouterr().err
    assert not (here / "runs/one/one_merged").exists()
