"""``training.engine: hf``: a run like any other, without what a reference does not have."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.bundles import PAIRS
from tests.proof.measure import FULL, TRAINING, opened, rows_of

from desktune import durable
from desktune.cli.main import run
from desktune.config.schema import EvaluationSection, TrainingSection
from desktune.data.store import EncodedSet
from desktune.errors import Diverged, Stopped
from desktune.events import Event, Step
from desktune.models.load import Bundle
from desktune.models.save import save_model
from desktune.train.loop import Loop, Recipe, TrainingRows
from desktune.train.reference import Reference

Zoo = Callable[[str], Path]
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
        (["training.optim=sgd", "training.optim_args={momentum: 0.9}"], "its sgd takes none"),
        (["training.gradient_checkpointing=true"], "it keeps all activations"),
        (["training.eval_steps=2", "training.early_stopping_patience=2"], "it does not validate"),
        (["--resume"], "cannot be resumed"),
    ],
)
def test_what_it_lacks_is_refused(words: list[str], capsys: Out, more: list[str], text: str) -> None:
    assert run([*words, *more]) == 2
    assert text in capsys.readouterr().err


def made(bundle: Bundle, emit: Callable[[Event], Any] = lambda event: None, **training: object) -> Reference:
    section = TrainingSection(**{**TRAINING, "max_steps": 5, **training})
    rows = TrainingRows(EncodedSet.from_rows(rows_of(bundle)[:40]), None)
    return Reference(bundle, rows, Recipe(section, EvaluationSection(), 4096, None), emit)


def test_lines_of_the_log_mean_the_same_as_ours(zoo: Zoo, tmp_path: Path) -> None:
    """Two steps to a line and a last line of one, over an epoch's end; all but clock and memory are equal."""
    options: dict[str, Any] = {"max_steps": 9, "logging_steps": 2}
    lines: dict[str, list[Step]] = {"ours": [], "theirs": []}

    def into(name: str) -> Callable[[Event], None]:
        return lambda event: lines[name].append(event) if isinstance(event, Step) else None

    one = made(opened(zoo("t5"), FULL), into("theirs"), **options)
    one.run()
    bundle = opened(zoo("t5"), FULL)
    Loop(bundle, one._rows, one._recipe, tmp_path, into("ours")).run()
    assert [line.step for line in lines["theirs"]] == [2, 4, 6, 8, 9]
    for ours, theirs in zip(lines["ours"], lines["theirs"], strict=True):
        for name in ("step", "total_steps", "epoch", "loss", "learning_rate", "grad_norm"):
            assert vars_of(theirs)[name] == pytest.approx(vars_of(ours)[name], rel=1e-5), name


def vars_of(step: Step) -> dict[str, Any]:
    return {name: getattr(step, name) for name in Step.__slots__}


@pytest.mark.parametrize("family", ["t5", "llama"])
def test_the_saved_config_is_that_of_our_loop(family: str, zoo: Zoo, tmp_path: Path) -> None:
    """The trainers switch the cache off and write a padding token, which would slow and change generation."""
    bundle = opened(zoo(family), FULL)
    for name in ("before", "after"):
        with durable.staging(tmp_path / name) as staged:
            save_model(bundle, staged)
        made(bundle, max_steps=1).run()
    for file in ("config.json", "generation_config.json"):
        assert (tmp_path / "before" / file).read_bytes() == (tmp_path / "after" / file).read_bytes()


def test_marian_start_row_stays_zero(zoo: Zoo) -> None:
    bundle = opened(zoo("marian"), FULL)
    pad, shared = bundle.tokenizer.pad_token_id, bundle.model.get_input_embeddings().weight
    with torch.no_grad():
        shared[pad].zero_()
    made(bundle).run()
    assert torch.count_nonzero(shared[pad]) == 0
    shared.sum().backward()
    assert torch.count_nonzero(shared.grad[pad]) > 0, "the hold ends with the training"


def test_a_loss_that_is_no_number_ends_it(zoo: Zoo) -> None:
    bundle = opened(zoo("t5"), FULL)
    with torch.no_grad():
        bundle.model.shared.weight.fill_(float("nan"))
    with pytest.raises(Diverged, match="step 1: loss nan"):
        made(bundle).run()


def test_a_signal_ends_it_after_the_step(zoo: Zoo) -> None:
    steps = []

    def at_step_two(event: Event) -> None:
        if isinstance(event, Step):
            steps.append(event.step)
            if event.step == 2:
                os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Stopped, match="after step 2") as stopped:
        made(opened(zoo("t5"), FULL), at_step_two).run()
    assert stopped.value.exit_code == 143
    assert steps == [1, 2]
    assert signal.getsignal(signal.SIGTERM) == before


def test_nothing_is_reported_to_anybody(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    """TRL sends a line to the hub when a trainer is made; offline tests would not see it."""
    from trl.trainer import base_trainer

    sent = []
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(base_trainer, "send_telemetry", lambda *given, **named: sent.append(given))
    made(opened(zoo("llama"), FULL), max_steps=1).run()
    assert sent == []
