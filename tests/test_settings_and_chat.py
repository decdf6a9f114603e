"""Several generation settings side by side, and chat, by the command line on trained tiny models."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from desktune import api, durable, load
from desktune.cli.main import run
from desktune.config.schema import DataSection
from desktune.data.read import read
from desktune.rows import Example
from tests.bundles import PAIRS

Out = pytest.CaptureFixture[str]
OLD_TOOL = (  # the settings of a desktop tool whose users come here
    "{max_new_tokens: 12, min_new_tokens: 6, num_beams: 8, temperature: 0.4, do_sample: true, top_p: 0.95, "
    "use_cache: true, length_penalty: 1.2, repetition_penalty: 3.0, no_repeat_ngram_size: 4}"
)


def trained(folder: Path, base: Path, data: str = "", rows: list[dict] | None = None) -> Path:
    """Train a run of two steps with two variants in its config."""
    folder.mkdir(parents=True)
    rows = rows or [{"source": f"{one} {number}", "target": other} for number in range(4) for one, other in PAIRS]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (folder / "d.yaml").write_text(
        f"model: {{name: {base}}}\n"
        f"data: {{train: {folder / 'rows.jsonl'}, validation: 4{data}}}\n"
        "training: {max_steps: 2, eval_strategy: 'no', save_strategy: 'no'}\n"
        "evaluation: {smoke_test: false, max_new_tokens: 8}\n"
        f"generation: {{max_new_tokens: 8, num_beams: 1, variants: {{beams: {{num_beams: 3}}, old: {OLD_TOOL}}}}}\n"
        f"output: {{dir: {folder / 'run'}}}\n",
        encoding="utf-8",
    )
    return api.train(load(folder / "d.yaml").config).run


@pytest.fixture(scope="module")
def t5(tmp_path_factory: pytest.TempPathFactory, zoo: Callable[[str], Path]) -> Path:
    return trained(tmp_path_factory.mktemp("side") / "t5", zoo("t5"))


def kept(folder: Path) -> list[dict]:
    """The newest file of answers that a run kept."""
    return durable.read_lines(max((folder / "generations").glob("*.jsonl")))


def test_variants_of_the_config(t5: Path, capsys: Out) -> None:
    assert run(["generate", str(t5), "the dog sees", "--variants", "--both"]) == 0
    shown = capsys.readouterr().out
    assert "the dog sees" in shown
    assert "beams" in shown
    assert "old" in shown
    rows = kept(t5)
    assert [(row["model"], row["variant"]) for row in rows] == [
        ("base", "beams"), ("base", "old"), ("tuned", "beams"), ("tuned", "old"),
    ]  # fmt: skip
    old = rows[1]["settings"]
    assert (old["num_beams"], old["do_sample"], old["no_repeat_ngram_size"]) == (8, True, 4)
    assert rows[0]["output"] == api.generate(t5, ["the dog sees"], tuned=False, settings={"num_beams": 3})[0]


def test_a_grid_against_references(t5: Path, capsys: Out, tmp_path: Path) -> None:
    words = ["--split", "validation", "-n", "4", "--grid", "num_beams=1,2", "--grid", "repetition_penalty=1.0,1.5"]
    assert run(["generate", str(t5), *words, "-o", str(tmp_path / "out.jsonl")]) == 0
    shown = capsys.readouterr().out
    assert "chrF++" in shown
    rows = durable.read_lines(tmp_path / "out.jsonl")
    assert len(rows) == 4 * 4
    assert all(row["reference"] for row in rows)
    plain = [row["output"] for row in rows if row["settings"]["num_beams"] == 1][:4]
    assert plain == api.generate(t5, [row["source"] for row in rows[:4]], settings={"repetition_penalty": 1.0})


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--grid", "num_beam=1,2"], "num_beams"),
        (["--grid", "num_beams=0,2"], "num_beams"),
        (["--grid", "max_new_tokens=" + ",".join(map(str, range(1, 71)))], "at most 64"),
        (["--grid", "num_beams=1,2", "--grid", "num_beams=3"], "has its values already"),
        (["--grid", "temperature=0.1,0.9"], "do_sample"),
        (["--variant", "bems"], "did you mean 'beams'"),
        (["--base", "--both"], "contradict"),
        (["--target-lang", "fr"], "is not told languages"),
    ],
)
def test_wrong_words_are_refused(t5: Path, capsys: Out, words: list[str], text: str) -> None:
    assert run(["generate", str(t5), "the dog", *words]) == 2
    assert text in capsys.readouterr().err


def test_languages_of_a_run_with_both_directions(
    zoo: Callable[[str], Path], tmp_path: Path, capsys: Out, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which way is asked for, taken from options, and changed in a chat; beams and streams follow it."""
    rows = [{"source": one, "target": other, "source_lang": "en"} for one, other in PAIRS] * 3
    rows += [{"source": other, "target": one, "source_lang": "fr"} for one, other in PAIRS] * 3
    both = ", source_lang: en_XX, target_lang: fr_XX, both_directions: true"
    folder = trained(tmp_path / "mbart", zoo("mbart50"), both, rows)
    assert run(["generate", str(folder), "the dog"]) == 2
    assert "--source-lang" in capsys.readouterr().err
    answers = {}
    for target in ("fr", "en"):
        assert run(["generate", str(folder), "the dog", "--target-lang", target]) == 0
        answers[target] = capsys.readouterr().out
    assert run(["generate", str(folder), "the dog", "--target-lang", "en", "--grid", "num_beams=1,2"]) == 0
    assert kept(folder)[0]["output"] + "\n" == answers["en"]
    capsys.readouterr()
    talk(folder, ["the dog", "/lang fr en", "the dog", "/lang frr en", "/lang"], monkeypatch)
    shown = capsys.readouterr()
    assert "en_XX → fr_XX" in shown.err
    lines = shown.out.splitlines()
    assert (lines[0] + "\n", lines[2] + "\n") == tuple(
        text if text.strip() else "(empty)\n" for text in (answers["fr"], answers["en"])
    )
    assert lines[1] == lines[4] == "fr_XX → en_XX"
    assert "did you mean 'fr_XX'" in lines[3]


def talk(folder: Path, lines: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Pipe lines into a chat."""

    class Piped:
        def __init__(self) -> None:
            self.left = iter(line + "\n" for line in lines)

        def isatty(self) -> bool:
            return False

        def readline(self) -> str:
            return next(self.left, "")

    monkeypatch.setattr(sys, "stdin", Piped())
    assert run(["chat", str(folder)]) == 0


def test_chat_of_a_causal_model(
    zoo: Callable[[str], Path], tmp_path: Path, capsys: Out, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = trained(tmp_path / "llama", zoo("llama"))
    capsys.readouterr()
    saved = tmp_path / "talk.jsonl"
    lines = [
        "/system be kind",
        "my house",
        "/both",
        "is red",
        "/undo",
        "/tuned",
        "/set num_beams 2",
        "/unset num_beams",
    ]
    lines += ["/variant beams", "/variant non", f"/save {saved}", "/retry", "/nonsense", "word " * 400, "still here"]
    talk(folder, lines, monkeypatch)
    shown = capsys.readouterr().out
    for text in ("base: ", "tuned: ", "forgotten: is red", "num_beams = 2", "num_beams = 1", "beams: num_beams=3"):
        assert text in shown
    assert "no such variant" in shown
    assert "/nonsense: no such command" in shown
    assert "AttributeError" not in shown
    (row,) = durable.read_lines(saved)
    assert [turn["role"] for turn in row["messages"]] == ["system", "user", "assistant"]
    if row["messages"][-1]["content"].strip():
        assert isinstance(next(iter(read(str(saved), DataSection(), lambda event: None))), Example)


def test_chat_of_an_encoder_decoder_saves_pairs(t5: Path, tmp_path: Path, capsys: Out, monkeypatch) -> None:
    saved = tmp_path / "pairs.jsonl"
    talk(t5, ["the dog", "my house", f"/save {saved}", "/system be kind"], monkeypatch)
    shown = capsys.readouterr()
    assert "answers each text alone" in shown.err
    assert "no system text here" in shown.out
    assert [row["source"] for row in durable.read_lines(saved)] == ["the dog", "my house"]


def test_streamed_answer_is_the_decoded_one(t5: Path) -> None:
    """At a terminal answers come in pieces; together they are what ``generate`` gives."""
    chat = api.chat(t5)
    pieces: list[str] = []
    chat.take("the dog sees a cat", pieces.append, live=True)
    assert "".join(pieces) == api.generate(t5, ["the dog sees a cat"])[0] + "\n"
