"""Resumes after which a run could have been lost, mixed up or called finished; what several reviews had found."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from desktune import api, durable, runs
from desktune.batches.fitting import typed_memory
from desktune.cli.main import run
from desktune.config.load import load
from desktune.errors import OutOfDisk, RunError
from desktune.events import Event, Warn
from desktune.plan import resolve
from desktune.session import Session, describe_run, prepare_config
from desktune.train import checkpoint, loop
from desktune.train.stop import listening
from tests.train.loops import bundle_of, make_loop, same_tensors

SETTINGS = (
    "training.max_steps=4 training.eval_steps=2 training.save_steps=2 training.logging_steps=1 "
    "training.per_device_train_batch_size=4 evaluation.smoke_test=false evaluation.max_new_tokens=4"
)
ONE = Path("one")
Out = pytest.CaptureFixture[str]


@pytest.fixture
def words(tiny_t5: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The words of a short training in an empty folder."""
    monkeypatch.chdir(tmp_path)
    rows = "".join(f'{{"input": "the dog sees {number}", "output": "chat {number}"}}\n' for number in range(20))
    Path("rows.jsonl").write_text(rows, encoding="utf-8")
    Path("desktune.yaml").write_text("data: {train: rows.jsonl}\n", encoding="utf-8")
    return ["train", "desktune.yaml", f"model.name={tiny_t5}", *SETTINGS.split(), "output.dir=one"]


def steps() -> list[int]:
    return [line["step"] for line in durable.read_lines(ONE / "metrics.jsonl") if line["kind"] == "step"]


def test_a_longer_run_that_ended_before_its_first_step_is_not_finished(
    words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(*arguments: object) -> None:
        raise OutOfDisk("full")

    assert run(words) == 0
    longer = [*words, "training.max_steps=6", "--resume"]
    with monkeypatch.context() as patched:
        patched.setattr(api, "check_space", no_space)
        assert run(longer) == 4
    assert run(longer) == 0
    assert steps() == [1, 2, 3, 4, 5, 6]


def test_a_finished_run_without_its_model_gets_it_again(words: list[str]) -> None:
    assert run(words) == 0
    before = {path.name: path.read_bytes() for path in (ONE / "model").glob("*.safetensors")}
    shutil.rmtree(ONE / "model")
    assert run([*words, "--resume"]) == 0
    assert {path.name: path.read_bytes() for path in (ONE / "model").glob("*.safetensors")} == before
    assert steps() == [1, 2, 3, 4]


def test_a_damaged_best_checkpoint_is_not_made_the_model(words: list[str], capsys: Out) -> None:
    """The best one is older than the last one, which verifies."""
    assert run([*words, "training.save_total_limit=9"]) == 0
    state = ONE / "checkpoints/step-000004/state.json"
    position = json.loads(state.read_text()) | {"best_step": 2, "best_value": 0.0}
    shutil.rmtree(ONE / "model")
    with durable.staging(ONE / "checkpoints/step-000004", replace=True) as staged:
        for name in (checkpoint.WEIGHTS, checkpoint.OPTIMIZER):
            shutil.copy(ONE / "checkpoints/step-000004" / name, staged / name)
        durable.write_json(staged / "state.json", position)
    with (ONE / "checkpoints/step-000002" / checkpoint.WEIGHTS).open("r+b") as file:
        file.seek(-8, 2)
        file.write(b"\x01" * 8)
    assert run([*words, "training.save_total_limit=9", "--resume"]) == 0
    said = capsys.readouterr()
    assert "the best checkpoint is damaged, model/ gets the last weights" in said.err
    assert "step 4 (the last weights)" in said.out


def test_what_a_resume_did_not_write_keeps_its_hash(words: list[str], capsys: Out) -> None:
    assert run(words) == 0
    ledger = ONE / runs.LEDGER
    ledger.write_text(ledger.read_text().replace("1", "2"), encoding="utf-8")
    assert run([*words, "training.max_steps=6", "--resume"]) == 0
    assert run(["verify", "one"]) == 2
    assert "ledger.json: its content changed" in capsys.readouterr().err


def test_a_manifest_that_a_kill_took_covers_all_again(words: list[str], capsys: Out) -> None:
    assert run(words) == 0
    (ONE / durable.MANIFEST).unlink()
    assert run(["verify", "one"]) == 0
    assert "was ended while its description was written" in capsys.readouterr().out
    assert run([*words, "training.max_steps=6", "--resume"]) == 0
    assert set(durable.sealed(ONE)) == {runs.CONFIG, runs.ENVIRONMENT, runs.LEDGER, runs.REJECTED}


def test_damaged_lines_stay_to_be_seen(words: list[str], capsys: Out) -> None:
    assert run(words) == 0
    lines = (ONE / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    (ONE / "metrics.jsonl").write_bytes(b"".join([lines[0], b"\x00" + lines[1][1:], *lines[2:]]))
    assert run([*words, "training.max_steps=6", "--resume"]) == 0
    assert run(["verify", "one"]) == 2
    assert "metrics.jsonl:2: changed since it was written" in capsys.readouterr().err


def test_the_rows_of_a_step_are_those_of_the_last_resume(words: list[str]) -> None:
    """One process with 4 rows, then two with 2 each: again two with 2 are right, and one with 2 is wrong."""
    assert run(words) == 0

    def with_rows(count: int) -> Session:
        config = load(Path("desktune.yaml"), [*words[2:], f"training.per_device_train_batch_size={count}"]).config
        return prepare_config(resolve(config, lambda event: None), lambda event: None)

    halved = with_rows(2)
    for _ in range(2):
        describe_run(halved, ONE, fresh=False, processes=2)
    with pytest.raises(RunError, match=r"rows of a step .*: 4 on 2 process\(es\) → 2 on 1"):
        describe_run(halved, ONE, fresh=False, processes=1)
    describe_run(with_rows(4), ONE, fresh=False, processes=1)


def test_more_patience_goes_on(words: list[str], capsys: Out) -> None:
    patient = [*words, "training.learning_rate=1e-12", "training.eval_steps=1", "training.max_steps=12"]
    assert run([*patient, "training.early_stopping_patience=1", "training.metric_for_best_model=eval_chrf"]) == 0
    stopped = runs.describe(ONE).steps or 0
    assert stopped < 12
    same = [*patient, "training.metric_for_best_model=eval_chrf", "--resume"]
    assert run([*same, "training.early_stopping_patience=1"]) == 0
    assert "nothing to resume" in capsys.readouterr().out
    assert run([*same, "training.early_stopping_patience=50"]) == 0
    assert runs.describe(ONE).steps == 12


def test_a_run_folder_that_became_another_one_is_not_written(tmp_path: Path) -> None:
    folder = tmp_path / "one"
    folder.mkdir()
    with runs.lock(folder):
        runs.check_held(folder)
        shutil.rmtree(folder)
        folder.mkdir()
        (folder / runs.LOCK).touch()  # another start took its place
        with pytest.raises(RunError, match="is gone; somebody moved or removed it"):
            runs.mark(folder, "running", 1, {})
    assert not (folder / runs.STATUS).exists()


def test_a_checkpoint_that_somebody_copied_is_no_checkpoint(tmp_path: Path) -> None:
    for name in ("step-000002", "step-000002-copy", "step-old"):
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
    assert [folder.name for folder in checkpoint.all_of(tmp_path)] == ["step-000002"]


@pytest.fixture
def hang_up_ignored() -> Iterator[None]:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGHUP, before)


def test_nohup_is_heeded(hang_up_ignored: None) -> None:
    assert run(["--version"]) == 0
    with listening() as request:
        signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGTERM) == request.receive
        signal.raise_signal(signal.SIGTERM)
    assert request.signal == signal.SIGTERM
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_lack_of_memory_on_the_cpu_halves_too(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest, calls = loop.summed_loss, [0]

    def short_once(*arguments: object) -> torch.Tensor:
        calls[0] += 1
        if calls[0] == 3:
            raise RuntimeError(
                "[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory: 9 bytes"
            )
        return honest(*arguments)  # type: ignore[arg-type]

    events: list[Event] = []
    settings = {"max_steps": 3, "eval_strategy": "no"}
    make_loop(bundle_of(tiny_llama, "full"), tmp_path / "straight", [], **settings).run()
    monkeypatch.setattr(loop, "summed_loss", short_once)
    one = make_loop(bundle_of(tiny_llama, "full"), tmp_path / "short", events, **settings)
    one.run()
    assert one.position.step == 3
    assert any(isinstance(event, Warn) and "out of memory" in event.text for event in events)
    assert not same_tensors(tmp_path / "short", tmp_path / "straight", 3)  # dropout is drawn per micro-batch
    with pytest.raises(RuntimeError, match="other") as raised, typed_memory():
        raise RuntimeError("another fault")
    assert not isinstance(raised.value, torch.OutOfMemoryError)
