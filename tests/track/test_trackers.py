"""metrics.jsonl, samples.jsonl, TensorBoard and W&B."""

from __future__ import annotations

import json
import sys
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from desktune.durable import read_lines
from desktune.errors import MissingExtra
from desktune.events import Evaluated, Note, Samples, Step
from desktune.track.metrics import line_of
from desktune.track.open import renderers
from desktune.track.wandb import without_secrets


@dataclass(frozen=True)
class Tracking:
    report_to: tuple[str, ...] = ()
    project: str = "desktune"


def step(number: int, loss: float = 2.0) -> Step:
    return Step(number, 100, number / 50, loss, 1e-4, 0.5, 1000.0, 2**20, 10.0)


def run_with(folder: Path, tracking: Tracking, numbers: range, resume_step: int = 0) -> None:
    with renderers(tracking, folder, resume_step) as trackers:
        for emit in trackers:
            for number in numbers:
                emit(step(number))
                emit(Evaluated(number, {"eval_loss": 1.0 + number}, best=True))
                emit(Samples(number, (("src\x1b", "ref", "out é"),)))
                emit(Note("not a figure"))


def test_lines_of_a_run(tmp_path: Path) -> None:
    run_with(tmp_path, Tracking(), range(10, 21, 10))
    lines = read_lines(tmp_path / "metrics.jsonl")
    assert [(line["kind"], line["step"]) for line in lines] == [("step", 10), ("eval", 10), ("step", 20), ("eval", 20)]
    assert lines[0].pop("time") > 1.7e9
    assert len(lines[0].pop("crc")) == 8
    assert lines[0] == {
        "kind": "step",
        "step": 10,
        "total_steps": 100,
        "epoch": 0.2,
        "loss": 2.0,
        "learning_rate": 1e-4,
        "grad_norm": 0.5,
        "tokens_per_second": 1000.0,
        "memory_bytes": 2**20,
        "seconds_left": 10.0,
    }
    assert lines[1]["eval_loss"] == 11.0
    assert lines[1]["best"] is True
    samples = read_lines(tmp_path / "samples.jsonl")
    assert samples[0]["source"] == "src\x1b"
    assert "\x1b" not in (tmp_path / "samples.jsonl").read_text()
    assert samples[0]["output"] == "out é"


def test_a_figure_that_is_no_number_is_null_and_named() -> None:
    line = json.loads(line_of("step", {"step": 3, "loss": float("nan"), "grad_norm": float("inf"), "last": None}))
    assert line.pop("crc")
    assert line == {
        "kind": "step",
        "time": line["time"],
        "step": 3,
        "loss": None,
        "grad_norm": None,
        "not_finite": ["loss", "grad_norm"],
    }


def test_a_resumed_run_has_no_gap_and_no_repeat(tmp_path: Path) -> None:
    run_with(tmp_path, Tracking(), range(10, 51, 10))
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write('{"kind": "step", "st')  # torn by a power cut
    run_with(tmp_path, Tracking(), range(40, 71, 10), resume_step=30)
    for name, kind in (("metrics.jsonl", "step"), ("metrics.jsonl", "eval"), ("samples.jsonl", "sample")):
        assert [line["step"] for line in read_lines(tmp_path / name) if line["kind"] == kind] == list(range(10, 71, 10))


def test_tensorboard_can_be_read_and_goes_on(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run_with(tmp_path, Tracking(("tensorboard",)), range(10, 41, 10))
    run_with(tmp_path, Tracking(("tensorboard",)), range(30, 51, 10), resume_step=20)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert {"train/loss", "train/learning_rate", "train/tokens_per_second", "eval/loss"} <= set(
        events.Tags()["scalars"]
    )
    assert [scalar.step for scalar in events.Scalars("eval/loss")] == [10, 20, 30, 40, 50]
    assert events.Scalars("eval/loss")[-1].value == 51.0


def test_wandb_that_is_missing_says_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(
        MissingExtra, match=r"report_to: \[wandb\] needs the package wandb: pip install 'desktune\[track\]'"
    ):
        renderers(Tracking(("wandb",)), tmp_path)


class FakeWandb(types.ModuleType):
    """The part of wandb that is used."""

    def __init__(self) -> None:
        super().__init__("wandb")
        self.arguments: dict[str, Any] = {}
        self.logged: list[tuple[int, dict[str, float]]] = []
        self.finished = False

    def Settings(self, **settings: Any) -> dict[str, Any]:
        return settings

    def init(self, **arguments: Any) -> FakeWandb:
        self.arguments = arguments
        return self

    def log(self, figures: dict[str, float], step: int) -> None:
        self.logged.append((step, figures))

    def finish(self) -> None:
        self.finished = True


def test_wandb_is_offline_in_the_run_folder_without_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_MODE", raising=False)
    library = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", library)
    (tmp_path / "config.yaml").write_text("training: {learning_rate: 2e-4, max_steps: 10}\nhub_token: hf_abc\n")
    run_with(tmp_path, Tracking(("wandb",), "whales"), range(10, 31, 10), resume_step=10)
    assert library.arguments["mode"] == "offline"
    assert library.arguments["dir"] == str(tmp_path)
    assert library.arguments["project"] == "whales"
    assert library.arguments["config"] == {
        "training": {"learning_rate": 2e-4, "max_steps": 10},
        "hub_token": "(hidden)",
    }
    assert [number for number, _ in library.logged] == [20, 20, 30, 30]
    assert library.logged[1][1] == {"eval/loss": 21.0}
    assert library.finished
    monkeypatch.setenv("WANDB_MODE", "online")
    renderers(Tracking(("wandb",)), tmp_path).close()
    assert library.arguments["mode"] == "online"


def test_secrets() -> None:
    assert without_secrets({"max_source_tokens": 5, "api_key": "x", "data": {"train": ["https://me:pw@host/a"]}}) == {
        "max_source_tokens": 5,
        "api_key": "(hidden)",
        "data": {"train": ["https://(hidden)@host/a"]},
    }
