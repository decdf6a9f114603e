"""The program: words in, calls of api, exit codes and texts out. ``api`` is replaced; training is tested elsewhere."""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import desktune
from desktune import durable, errors, runs
from desktune.cli.common import split_words
from desktune.cli.main import app, main, run
from desktune.cli.verbs import NOT_BUILT
from desktune.events import Decision, Note, Warn

CONFIG = "model: {name: 'starter:t5'}\ndata: {train: pairs.jsonl}\n"


@dataclass
class FakeApi:
    """Remembers the calls of api, and answers them."""

    calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = field(default_factory=list)
    error: BaseException | None = None
    events: tuple[Any, ...] = ()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **settings: Any) -> Any:
            self.calls.append((name, arguments, settings))
            emit = next(one for one in arguments if callable(one))
            for event in self.events:
                emit(event)
            if self.error is not None:
                raise self.error
            return getattr(Answers, name)(*arguments)

        return call

    def last(self, name: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return next((arguments, settings) for called, arguments, settings in reversed(self.calls) if called == name)


class Talk:
    """A chat."""

    def take(self, line: str, write: Callable[[str], object], *, live: bool) -> None:
        assert not live  # nothing is a terminal here
        write(f"did {line}\n" if line.startswith("/") else f"you said {line}\x1b[2J\n")


class Answers:
    """What the fake functions return."""

    @staticmethod
    def train(config: Any, emit: Any) -> Any:
        return types.SimpleNamespace(run=Path("runs/new"), step=5, metrics={})

    @staticmethod
    def plan(config: Any, emit: Any) -> list[Any]:
        return []

    @staticmethod
    def estimate(config: Any, emit: Any) -> None:
        return None

    @staticmethod
    def prepare(config: Any, emit: Any) -> Any:
        return types.SimpleNamespace(train=[1] * 1200, validation=None)

    @staticmethod
    def show_rows(config: Any, split: str, count: int, ids: bool, emit: Any) -> Any:
        from rich.text import Text

        return [Text(f"{split} row {number} ids={ids}") for number in range(count)]

    @staticmethod
    def evaluate(run: Path, emit: Any) -> Any:
        return types.SimpleNamespace(to_json=lambda: {"eval_loss": 2.0})

    @staticmethod
    def generate(run: Path, texts: list[str], emit: Any) -> list[str]:
        return [f"{text} é\x1b!" for text in texts]

    @staticmethod
    def chat(run: Path, emit: Any) -> Talk:
        return Talk()

    @staticmethod
    def merge(run: Path, emit: Any) -> Any:
        return types.SimpleNamespace(folder=run / "x_merged")


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeApi:
    """A fake api, in a folder with a config and a run."""
    fake = FakeApi()
    monkeypatch.setitem(sys.modules, "desktune.api", fake)  # pyright: ignore[reportArgumentType]
    monkeypatch.setattr(desktune, "api", fake, raising=False)
    monkeypatch.chdir(tmp_path)
    Path("desktune.yaml").write_text(CONFIG)
    Path("pairs.jsonl").write_text('{"input": "a", "output": "b"}\n' * 20)
    old = Path("runs/old")
    old.mkdir(parents=True)
    (old / "config.yaml").write_text(CONFIG + "output: {dir: runs/old}\n")
    runs.mark(old, "finished", 50, {"eval_loss": 2.0}, {"base": "starter:t5", "task": "seq2seq", "best_value": 1.5})
    return fake


Out = pytest.CaptureFixture[str]


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", sorted(NOT_BUILT))
def test_verbs_of_later_versions_say_so(verb: str, capsys: Out) -> None:
    assert run([*verb.split(), "x", "--whatever"]) == 2
    assert capsys.readouterr().err.startswith(f"error: desktune {verb}: not built yet in this version")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["trian"], "did you mean 'train'?; known: demo, train"),
        (["data", "sow"], "did you mean 'data show'?"),
        (["zzz"], "known:"),
    ],
)
def test_unknown_verbs_name_the_nearest(words: list[str], text: str, capsys: Out) -> None:
    assert run(words) == 2
    shown = capsys.readouterr()
    assert text in shown.err
    assert shown.out == ""


def test_every_verb_has_help_with_an_example(capsys: Out) -> None:
    assert run(["--help"]) == 0
    overview = capsys.readouterr().out
    names = [command.name for command in app.registered_commands]
    assert len(names) == 15
    for name in names:
        assert f"  {name} " in overview
        assert run([name or "", "--help"]) == 0
        assert "Example:\n    desktune " in capsys.readouterr().out
    for name in ("prepare", "show"):
        assert run(["data", name, "-h"]) == 0
        assert f"Example:\n    desktune data {name}" in capsys.readouterr().out
    assert "..." not in "".join(line for line in overview.splitlines() if line.startswith("  "))


def test_usage_errors_are_exit_2(capsys: Out) -> None:
    assert run(["train", "--nonsense"]) == 2
    assert run(["merge"]) == 2
    assert run([]) == 2
    assert run(["data", "show", "-n", "0"]) == 2


# --- exit codes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (errors.ConfigError(["a: wrong", "b: wrong"]), 2, "error: a: wrong (the first of 2 faults)\nerror: b: wrong\n"),
        (errors.DataError("pairs.jsonl:3: no\x1b[2J JSON"), 2, "error: pairs.jsonl:3: no[2J JSON\n"),
        (errors.ModelNotFound("no model"), 2, "error: no model\n"),
        (errors.ModelMismatch("other base"), 2, "error: other base\n"),
        (errors.AdapterError("no match"), 2, "error: no match\n"),
        (errors.RunError("in use"), 2, "error: in use\n"),
        (errors.MergeMismatch("differs"), 2, "error: differs\n"),
        (
            errors.MissingExtra("wandb", "track", "x"),
            2,
            "error: x needs the package wandb: pip install 'desktune[track]'\n",
        ),
        (errors.Diverged("nan"), 3, "error: nan\n"),
        (errors.OutOfDisk("full"), 4, "error: full\n"),
        (OSError(28, "No space left on device", "x.bin"), 4, "error: x.bin: no space left on the disk\n"),
        (PermissionError(13, "Permission denied", "/x"), 2, "error: /x: permission denied\n"),
        (errors.OutOfMemory("big"), 5, "error: big\n"),
        (errors.Locked("taken"), 75, "error: taken\n"),
        (errors.Stopped("stopped after step 5", 15), 143, "stopped after step 5\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_errors_of_people_have_a_code_and_no_trace(
    api: FakeApi, capsys: Out, error: BaseException, code: int, text: str
) -> None:
    api.error = error
    assert run(["train"]) == code
    assert capsys.readouterr().err == text


def test_no_memory_is_its_own_code(api: FakeApi, capsys: Out) -> None:
    api.error = MemoryError()
    assert run(["evaluate", "old"]) == 5
    assert capsys.readouterr().err.startswith("error: out of memory")


@pytest.mark.parametrize("error", [ValueError("oops"), OSError(5, "I/O error"), RecursionError()])
def test_faults_of_ours_keep_their_trace(api: FakeApi, capsys: Out, error: Exception) -> None:
    api.error = error
    assert run(["train"]) == 1
    text = capsys.readouterr().err
    assert "Traceback" in text
    assert text.endswith("please report it with the lines above\n")


def test_a_reader_that_left_is_no_trace(api: FakeApi, capsys: Out) -> None:
    api.error = BrokenPipeError(32, "Broken pipe")
    assert run(["train"]) == 1
    assert "Traceback" not in capsys.readouterr().err


# --- words ------------------------------------------------------------------------------------------------------------


def test_settings_are_told_from_the_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert split_words(None) == (None, [])
    assert split_words(["a=1", "my.yaml", "b.c=[1, 2]"]) == ("my.yaml", ["a=1", "b.c=[1, 2]"])
    Path("lr=1.yaml").touch()
    assert split_words(["lr=1.yaml", "seed=2"]) == ("lr=1.yaml", ["seed=2"])
    with pytest.raises(errors.UserError, match="one config or run is enough"):
        split_words(["a.yaml", "b.yaml"])


def test_train_takes_settings_in_first_place_and_the_default_config(api: FakeApi, capsys: Out) -> None:
    api.events = (Decision("device", "cpu", "no GPU"), Note("hello"), Warn("careful"))
    assert run(["train", "training.max_steps=7", "data.template=say: {source}"]) == 0
    (config, _), settings = api.last("train")
    assert (config.training.max_steps, config.data.template, settings["resume"]) == (7, "say: {source}", False)
    shown = capsys.readouterr()
    assert shown.out.startswith("device: cpu (no GPU)\nhello\nnext: desktune evaluate runs/new")
    assert "warning: careful\n" in shown.err
    assert "\x1b" not in shown.out + shown.err


def test_a_run_stands_in_for_its_config(api: FakeApi) -> None:
    assert run(["train", "old", "training.seed=3"]) == 0
    (config, _), _ = api.last("train")
    assert (config.output.dir, config.training.seed) == (None, 3)
    assert run(["train", "runs/old", "--resume"]) == 0
    (config, _), settings = api.last("train")
    assert (config.output.dir, settings["resume"], str(settings["claim"].run)) == ("runs/old", True, "runs/old")
    assert run(["train", "latest", "output.dir=other"]) == 0
    assert api.last("train")[0][0].output.dir == "other"


def test_train_without_any_config_or_with_a_wrong_name(api: FakeApi, capsys: Out) -> None:
    assert run(["train", "odl"]) == 2
    assert "odl: no such run; did you mean 'old'?" in capsys.readouterr().err
    assert run(["train", "nothing.yaml"]) == 2
    assert "nothing.yaml" in capsys.readouterr().err
    Path("desktune.yaml").unlink()
    assert run(["train"]) == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert api.calls == []


# --- verbs ------------------------------------------------------------------------------------------------------------


def test_check_prints_the_config_or_all_faults(api: FakeApi, capsys: Out) -> None:
    assert run(["check", "training.learning_rate=1e-3"]) == 0
    text = capsys.readouterr().out
    assert "learning_rate: 0.001" in text
    assert "starter:t5" in text
    assert api.calls == []
    assert run(["check", "desktune.yaml", "--full"]) == 0
    assert [name for name, _, _ in api.calls] == ["plan", "estimate"]
    Path("bad.yaml").write_text("training: {learning_rat: 1, seed: x}\nmodle: {}\n")
    capsys.readouterr()
    assert run(["check", "bad.yaml"]) == 2
    faults = capsys.readouterr().err
    assert faults.count("error: ") == 4
    assert "learning_rate" in faults


def test_schema_is_json(api: FakeApi, capsys: Out) -> None:
    assert run(["schema"]) == 0
    assert "training" in json.dumps(json.loads(capsys.readouterr().out))


def test_init_writes_a_config_that_checks(api: FakeApi, capsys: Out) -> None:
    assert run(["init", "pairs.jsonl"]) == 2
    assert "--force" in capsys.readouterr().err
    assert Path("desktune.yaml").read_text() == CONFIG
    assert run(["init", "pairs.jsonl", "-o", "new.yaml"]) == 0
    shown = capsys.readouterr().out
    assert "source: input" in shown
    assert "# guess: " in shown
    assert "next: desktune check new.yaml" in shown
    assert run(["check", "new.yaml"]) == 0
    assert run(["init"]) == 2
    assert run(["init", "--project", "study"]) == 0
    assert Path("study/data/raw").is_dir()
    assert run(["init", "--sample", "dreams", "-o", "my-pairs.jsonl"]) == 0
    assert run(["init", "my-pairs.jsonl", "--force"]) == 0
    assert run(["check"]) == 0
    assert run(["init", "--sample", "nothing"]) == 2


def test_data_verbs(api: FakeApi, capsys: Out) -> None:
    api.events = (Note("ledger"),)
    assert run(["data", "prepare"]) == 0
    assert capsys.readouterr().out == "ledger\nprepared: 1,200 rows to train on, 0 held out\n"
    assert run(["data", "show", "-n", "2", "--split", "validation", "--ids"]) == 0
    shown = capsys.readouterr()
    assert shown.out == "validation row 0 ids=True\nvalidation row 1 ids=True\n"
    assert shown.err == "ledger\n"


def test_evaluate_and_merge(api: FakeApi, capsys: Out) -> None:
    api.events = (Note("figures"),)
    assert run(["evaluate", "latest", "--split", "test", "--json"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out) == {"eval_loss": 2.0}
    assert api.last("evaluate")[1] == {"split": "test"}
    assert run(["merge", "old", "--replace"]) == 0
    assert api.last("merge")[1] == {"replace": True}
    assert capsys.readouterr().out == "figures\nmerged: runs/old/x_merged\n"


def test_generate_answers_one_text_plainly(api: FakeApi, capsys: Out) -> None:
    api.events = (Note("loading"),)
    assert run(["generate", "old", "Hi", "--base", "--set", "num_beams=1", "--set", "top_p=0.5"]) == 0
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("Hi é!\n", "loading\n")
    assert api.last("generate")[1] == {
        "tuned": False,
        "settings": {"num_beams": 1, "top_p": 0.5},
        "languages": (None, None),
    }
    assert run(["generate", "old", "Hi", "--set", "num_beam=1"]) == 2
    assert "num_beams" in capsys.readouterr().err
    assert run(["generate", "old", "Hi", "--set", "num_beams"]) == 2


def test_generate_answers_files_as_json_lines(api: FakeApi, capsys: Out) -> None:
    Path("in.txt").write_text("one\n\ntwo\n")
    assert run(["generate", "old", "--input", "in.txt", "-o", "deep/out.jsonl"]) == 0
    assert durable.read_lines(Path("deep/out.jsonl")) == [
        {"source": "one", "output": "one é\x1b!"},
        {"source": "two", "output": "two é\x1b!"},
    ]
    assert capsys.readouterr().out == "deep/out.jsonl: 2 answers\n"
    Path("in.jsonl").write_text('{"source": "a"}\n"b"\n{"prompt": "c", "n": 1}\n')
    assert run(["generate", "old", "-i", "in.jsonl"]) == 0
    shown = capsys.readouterr().out
    assert [json.loads(line)["source"] for line in shown.splitlines()] == ["a", "b", "c"]
    assert "é" in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ('{"source": "a"}\n{half\n', "in.jsonl:2: not JSON"),
        (
            '{"words": "a"}\n',
            "in.jsonl:1: no text in a field named source, input, prompt, question, text; the row has words",
        ),
        ("[1]\n", "in.jsonl:1: a text or an object with a text is needed, not list"),
        ("\n", "in.jsonl: no text in it"),
    ],
)
def test_generate_names_the_line_that_is_wrong(api: FakeApi, capsys: Out, content: str, text: str) -> None:
    Path("in.jsonl").write_text(content)
    assert run(["generate", "old", "--input", "in.jsonl"]) == 2
    assert text in capsys.readouterr().err
    assert run(["generate", "old", "--input", "missing.txt"]) == 2
    assert api.calls == []


class Stdin:
    """What is piped in."""

    def __init__(self, text: str) -> None:
        self._lines = iter(text.splitlines(keepends=True))

    def isatty(self) -> bool:
        return False

    def read(self) -> str:
        return "".join(self._lines)

    def readline(self) -> str:
        return next(self._lines, "")


def test_generate_reads_a_pipe(api: FakeApi, capsys: Out, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Stdin("one\ntwo\n"))
    assert run(["generate", "old"]) == 0
    assert [json.loads(line)["source"] for line in capsys.readouterr().out.splitlines()] == ["one", "two"]


def test_chat_answers_until_the_end(api: FakeApi, capsys: Out, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Stdin("hello\n\n/reset\n"))
    assert run(["chat", "old"]) == 0
    assert capsys.readouterr().out == "you said hello[2J\ndid /reset\n"
    monkeypatch.setattr(sys, "stdin", Stdin("/quit\nhello\n"))
    assert run(["chat", "old"]) == 0
    assert capsys.readouterr().out == ""


def test_runs_and_show(api: FakeApi, capsys: Out, tmp_path: Path) -> None:
    assert run(["runs"]) == 0
    text = capsys.readouterr().out
    assert "old  finished  starter:t5  seq2seq" in text
    line = json.dumps({"kind": "eval", "step": 50, "eval_loss": 2.0, "eval_bleu": None, "best": True})
    (tmp_path / "runs/old/metrics.jsonl").write_text(line + "\n")
    assert run(["show", "latest"]) == 0
    text = capsys.readouterr().out
    assert "loss 2.0000  bleu nan" in text
    assert "next: desktune evaluate runs/old" in text
    assert run(["runs", "elsewhere"]) == 0
    assert "no runs in elsewhere/ yet" in capsys.readouterr().out
    assert run(["show", "nothing"]) == 2
    assert "runs here: old" in capsys.readouterr().err


def test_verify_lists_every_fault(api: FakeApi, capsys: Out) -> None:
    assert run(["verify", "old"]) == 2
    assert "no manifest.json below it" in capsys.readouterr().err
    for name in ("model", "checkpoints/step-000050"):
        with durable.staging(Path("runs/old") / name) as staged:
            (staged / "weights").write_bytes(b"1234")
    Path("runs/old/wandb").mkdir()
    Path("runs/old/wandb/manifest.json").write_text("[]")
    assert run(["verify", "runs/old"]) == 0
    assert "2 folders, every file is as it was written" in capsys.readouterr().out
    Path("runs/old/model/weights").write_bytes(b"1235")
    Path("runs/old/checkpoints/step-000050/weights").unlink()
    assert run(["verify", "old"]) == 2
    faults = capsys.readouterr().err
    assert "model/weights: its content changed" in faults
    assert "step-000050/weights: missing" in faults


def test_demo_passes_the_task_on(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str | None] = []
    fake = types.ModuleType("desktune.demo")
    fake.__dict__["demo"] = lambda task, emit: asked.append(task)
    monkeypatch.setitem(sys.modules, "desktune.demo", fake)
    monkeypatch.setattr(desktune, "demo", fake, raising=False)
    assert run(["demo"]) == 0
    assert run(["demo", "--task", "causal"]) == 0
    assert asked == [None, "causal"]


def test_main_leaves_with_the_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["desktune", "trian"])
    with pytest.raises(SystemExit) as leaving:
        main()
    assert leaving.value.code == 2


def test_version(capsys: Out) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("desktune ")


def test_doctor_needs_nothing(monkeypatch: pytest.MonkeyPatch, capsys: Out) -> None:
    from desktune import hardware

    monkeypatch.setattr(hardware, "_torch_devices", lambda: ((), False, False))
    assert run(["doctor"]) == 0
    text = capsys.readouterr().out
    assert "Device: cpu (" in text
    assert "Packages: torch " in text
    assert "Missing" not in text
