"""Run folders: names, locks, status, what a person means."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from desktune import runs
from desktune.errors import Locked, RunError


@dataclass(frozen=True)
class Output:
    dir: str | None = None
    name: str | None = None


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def claimed(output: Output) -> Path:
    """Hold a new run's folder for an instant."""
    with runs.claim(output, "t5") as claim:
        return claim.run


def make_run(name: str, *, status: runs.Status | None = "finished", created: float | None = None) -> Path:
    run = Path("runs") / name
    run.mkdir(parents=True)
    (run / "config.yaml").write_text("task: seq2seq\n")
    if created is not None:
        os.utime(run / "config.yaml", (created, created))
    if status is not None:
        runs.mark(run, status, 40, {"eval_loss": 2.5}, {"base": "starter:t5", "task": "seq2seq", "total_steps": 50})
    return run


@pytest.mark.parametrize(
    ("model", "name", "starts"),
    [
        ("google/flan-t5-base", None, "flan-t5-base-2"),
        ("starter:t5", None, "starter-t5-2"),
        ("../../etc/..", None, "run-2"),
        ("google/flan-t5-base", "my run/é", "é-2"),
        (".hidden", None, "hidden-2"),
    ],
)
def test_names_come_from_the_model_and_never_leave_the_folder(model: str, name: str | None, starts: str) -> None:
    with runs.claim(Output(name=name), model) as claim:
        folder = claim.run
        assert folder.parent == Path("runs")
        assert folder.name.startswith(starts)
        assert folder.is_dir()


def test_two_runs_of_one_second_get_two_folders() -> None:
    with contextlib.ExitStack() as held:
        assert len({held.enter_context(runs.claim(Output(), "t5")).run for _ in range(5)}) == 5


def test_an_output_folder_in_use_is_refused_and_left_alone() -> None:
    Path("mine").mkdir()
    Path("mine/thesis.txt").write_text("years of work")
    with pytest.raises(RunError, match=r"output folder in use: mine is not a run and holds thesis\.txt"):
        claimed(Output(dir="mine"))
    assert os.listdir("mine") == ["thesis.txt"]
    run = make_run("old")
    with pytest.raises(RunError, match=r"output folder in use: runs/old holds a run \(finished\); .*--resume"):
        claimed(Output(dir=str(run)))
    Path("file").write_text("")
    with pytest.raises(RunError, match="is a file"):
        claimed(Output(dir="file"))


def test_an_empty_output_folder_is_taken_as_it_is() -> None:
    Path("empty").mkdir()
    assert claimed(Output(dir="empty")) == Path("empty")
    assert Path("empty").is_dir()
    assert claimed(Output(dir="new/deep")) == Path("new/deep")
    assert not Path("new/deep").exists()  # nothing came to be in it


def test_to_resume_finds_the_folder_or_the_newest_of_the_name() -> None:
    assert runs.to_resume(Output(), "t5") is None
    assert runs.to_resume(Output(dir="nothing"), "t5") is None
    make_run("t5-20260101-000000", created=100)
    newer = make_run("t5-20260102-000000-2", created=200)
    make_run("t5-large-20260103-000000", created=300)
    assert runs.to_resume(Output(), "google/t5") == newer
    assert runs.to_resume(Output(dir=str(newer)), "other") == newer


def test_the_lock_names_its_holder_and_is_free_afterwards() -> None:
    run = make_run("one")
    with runs.lock(run):
        assert runs.is_locked(run)
        assert runs.describe(run).status == "running"
        with pytest.raises(Locked, match=f"runs/one: in use by process {os.getpid()};") as caught, runs.lock(run):
            pass
        with pytest.raises(Locked):
            runs.check_free(run)
    assert caught.value.exit_code == 75
    assert not runs.is_locked(run)
    with runs.lock(run):
        pass


TEN_AT_ONCE = """
import os, sys, time
from pathlib import Path
from desktune import runs
from desktune.errors import Locked
start = time.time() + 0.3
for _ in range(10):
    if os.fork() == 0:
        time.sleep(max(0.0, start - time.time()))
        try:
            with runs.lock(Path(sys.argv[1])):
                os.write(1, b"won\\n")
                time.sleep(1.0)
        except Locked as error:
            os.write(1, f"{error}\\n".encode())
        os._exit(0)
for _ in range(10):
    os.wait()
"""


def test_ten_at_once_have_one_winner() -> None:
    run = make_run("one")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(str(Path(one).resolve()) for one in sys.path if one)}
    command = [sys.executable, "-c", TEN_AT_ONCE, str(run)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=30)
    said = done.stdout.splitlines()
    assert len(said) == 10
    assert said.count("won") == 1
    assert all("in use by process" in text for text in said if text != "won")


def test_a_look_from_outside_does_not_cost_the_lock() -> None:
    run = make_run("one", status=None)
    (run / runs.LOCK).touch()
    for _ in range(20):
        assert not runs.is_locked(run)
        with runs.lock(run):
            assert runs.is_locked(run)


def test_status_words_and_figures() -> None:
    run = make_run("one")
    info = runs.describe(run)
    assert (info.status, info.base, info.task, info.steps, info.total_steps) == (
        "finished",
        "starter:t5",
        "seq2seq",
        40,
        50,
    )
    assert info.last_eval_loss == 2.5
    assert info.size_bytes > 0
    runs.mark(run, "finished", 50, {"eval_loss": float("nan"), "eval_bleu": 30.0}, {"best_value": 2.0})
    info = runs.describe(run)
    assert (info.base, info.best_value, info.last_eval_loss, info.metrics) == (
        "starter:t5",
        2.0,
        None,
        {"eval_bleu": 30.0},
    )
    runs.mark(run, "running", 10, {})
    assert runs.describe(run).status == "killed"
    assert runs.describe(make_run("two", status=None)).status == "killed"


def test_a_broken_status_file_is_no_crash() -> None:
    run = make_run("one")
    (run / "status.json").write_text("{half")
    assert runs.describe(run).steps is None


def test_resolve_takes_paths_names_and_latest() -> None:
    with pytest.raises(RunError, match="no run here yet"):
        runs.resolve("latest")
    first = make_run("first", created=100)
    second = make_run("second", created=200)
    assert runs.resolve("first") == first
    assert runs.resolve(str(first)) == first
    assert runs.resolve("latest") == second
    assert [info.name for info in runs.list_runs()] == ["second", "first"]
    with pytest.raises(RunError, match=r"frist: no such run; did you mean 'first'\?; runs here: second, first"):
        runs.resolve("frist")
    Path("other").mkdir()
    with pytest.raises(RunError, match=r"other: not a run folder: config\.yaml is missing"):
        runs.resolve("other")


def test_places_in_a_run() -> None:
    place = runs.Run(Path("runs/x"))
    assert place.checkpoint(50) == Path("runs/x/checkpoints/step-000050")
    assert place.merged == Path("runs/x/x_merged")
    assert (place.config.name, place.environment.name, place.ledger.name) == (
        "config.yaml",
        "environment.json",
        "ledger.json",
    )
    assert (place.rejected.name, place.metrics.name, place.samples.name) == (
        "rejected.jsonl",
        "metrics.jsonl",
        "samples.jsonl",
    )
    assert (place.status.name, place.model.name, place.generations.name) == ("status.json", "model", "generations")
