"""One writer per run, said before torch is imported; readers go on; signals and kills in whole command lines."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from desktune import durable, runs
from desktune.cli.main import run
from desktune.errors import Locked
from tests.torture.starts import Output, race

SETTINGS = (
    "training.max_steps=4 training.eval_steps=2 training.save_steps=2 training.logging_steps=1 "
    "training.per_device_train_batch_size=4 evaluation.smoke_test=false evaluation.max_new_tokens=4"
)


@pytest.fixture
def words(tiny_t5: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The words of a short training in an empty folder."""
    monkeypatch.chdir(tmp_path)
    rows = "".join(f'{{"input": "the dog sees {number}", "output": "chat {number}"}}\n' for number in range(20))
    Path("rows.jsonl").write_text(rows, encoding="utf-8")
    Path("desktune.yaml").write_text("data: {train: rows.jsonl}\n", encoding="utf-8")
    return ["train", "desktune.yaml", f"model.name={tiny_t5}", *SETTINGS.split(), "output.dir=one"]


REFUSED = """
import sys
from desktune.cli.main import run
code = run(sys.argv[1:])
print("torch" in sys.modules)
sys.exit(code)
"""


def test_a_second_start_is_refused_before_torch_is_imported(words: list[str]) -> None:
    with runs.claim(Output("one"), "t5"):
        done = subprocess.run(
            [sys.executable, "-c", REFUSED, *words], capture_output=True, text=True, timeout=60, check=False
        )
    assert done.returncode == 75
    assert done.stdout.strip() == "False"
    assert f"one: in use by process {os.getpid()}; wait for it" in done.stderr


def test_of_many_starts_one_wins(tmp_path: Path) -> None:
    assert Counter(race(tmp_path, 20)) == {0: 1, 75: 19}
    left = [path.name for path in tmp_path.glob("one/*")]  # of a winner that found the folder of another start
    assert left in ([], [runs.LOCK])  # it began nothing


def test_a_lock_that_was_removed_is_no_lock(tmp_path: Path) -> None:
    """A start that was refused takes its folder away while another one waits for its lock."""
    run_folder = tmp_path / "one"
    with runs.claim(Output(str(run_folder)), "t5"):
        waiting = os.open(run_folder / runs.LOCK, os.O_RDWR)
    with runs.claim(Output(str(run_folder)), "t5"), pytest.raises(Locked), runs.lock(run_folder):
        pass
    os.close(waiting)


def test_what_a_killed_start_left_is_no_harm(words: list[str]) -> None:
    """Killed after its first files and before its config: the lock names a process that is gone."""
    Path("one").mkdir()
    Path("one/.lock").write_text("999999 elsewhere\n")
    Path("one/ledger.json").write_text("{")
    Path("one/.staging-rejected.jsonl-0a1b2c3d").write_text("")
    assert run([*words, "--resume"]) == 0
    assert durable.verify(Path("one/model")) == []


def test_readers_work_beside_a_writer(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*words[:-1], "output.dir=runs/one"]) == 0
    capsys.readouterr()
    with runs.lock(Path("runs/one")):
        assert run(["runs"]) == 0
        assert run(["show", "runs/one"]) == 0
        assert run(["evaluate", "runs/one"]) == 0
        assert run(["train", "runs/one", "--resume"]) == 75
    assert "running" in capsys.readouterr().out


def test_moved_rows_are_the_same_rows_and_a_run_may_grow(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words) == 0
    assert run([*words, "--resume"]) == 0
    assert "nothing to resume" in capsys.readouterr().out
    Path("rows.jsonl").rename("moved.jsonl")
    grown = [*words, "data.train=moved.jsonl", "training.max_steps=6", "training.logging_steps=2", "--resume"]
    assert run(grown) == 0
    assert "longer than before: training.max_steps: 4 → 6" in capsys.readouterr().out
    steps = [line["step"] for line in durable.read_lines(Path("one/metrics.jsonl")) if line["kind"] == "step"]
    assert steps == [1, 2, 3, 4, 6]
    assert run(["evaluate", "one"]) == 0  # its config names the rows where they lie now
    Path("one/status.json").unlink()  # as after a kill
    assert run([*words, "data.train=moved.jsonl", "--resume"]) == 2
    assert "training.max_steps: 6 → 4 (may grow only)" in capsys.readouterr().err
    Path("moved.jsonl").write_text(Path("moved.jsonl").read_text().replace("sees 3", "saw 3"))
    assert run([*grown, "training.max_steps=8"]) == 2
    said = capsys.readouterr().err
    assert "rows are not those it was trained with" in said
    assert "start a new run without --resume" in said
