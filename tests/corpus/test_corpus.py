"""Every nasty file and config through the command line: its outcome, one short line, balanced books, no trace."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.corpus import configs, files, places
from tests.corpus.build import GOOD, LOOSE, Case
from tests.corpus.configs import DATA, Config
from tests.data.test_tools import TEMPLATE

from desktune.cli.main import run
from desktune.data.store import open_set

STARTERS = Path(files.__file__).parents[2] / "src" / "desktune" / "starters"
VERBS = (
    "add|ask|choose|close|convert|copy|double|export|extract|fields|give|hold|indent|keep|lower|make|mend|name|pack|put|"
    "quote|raise|save|set|take|unpack|use|write"
)
REMEDY = re.compile(rf"[;,:] (also |at most )?({VERBS})\b|allowed|did you mean|belongs to|a config (is|has)")
MOST_CHARACTERS = 200
Out = pytest.CaptureFixture[str]
Models = dict[str, str]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory, tiny_t5: Path) -> Models:
    """Models beside the starters: a causal one whose chat template has a place for tools, a tiny T5."""
    folder = tmp_path_factory.mktemp("tools") / "model"
    shutil.copytree(STARTERS / "llama", folder)
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    return {"tools": str(folder), "tiny": str(tiny_t5)}


@pytest.mark.parametrize("case", [*files.CASES, *places.CASES], ids=lambda case: f"{case.rule}-{case.name}")
def test_data(tmp_path: Path, case: Case, capsys: Out, monkeypatch: pytest.MonkeyPatch, models: Models) -> None:
    if case.name == "secret.jsonl" and os.geteuid() == 0:
        pytest.skip("root reads everything")
    monkeypatch.chdir(tmp_path)
    if case.write is None:
        (tmp_path / case.name).write_bytes(case.data)
    else:
        case.write(tmp_path)
    config = config_of(case, models.get(case.model, case.model))
    (tmp_path / "d.yaml").write_text(json.dumps(config))
    started = time.monotonic()
    code = run(["data", "prepare", "d.yaml"])
    said = capsys.readouterr()
    assert time.monotonic() - started < 20
    no_trace(said.out + said.err)
    if case.error:
        assert code == 2, said
        check_error(said.err, case)
        return
    assert code == 0, said
    check_rows(tmp_path, case)
    told = said.out + said.err + "".join(path.read_text() for path in tmp_path.rglob("rejected.jsonl"))
    for part in case.said:
        assert re.sub(" +", " ", part) in re.sub(" +", " ", told), told


def config_of(case: Case, model: str) -> dict[str, Any]:
    settings = {**LOOSE, **case.settings} if case.settings else {}
    train = case.name if case.train is None else case.train
    return {"model": {"name": model}, "data": {"train": train, "validation": 0, **settings}}


def check_error(said: str, case: Case) -> None:
    first = errors_of(said)[0]
    assert case.error in said
    assert len(first) <= MOST_CHARACTERS, first
    place = case.name if case.train is None else "data.train"
    assert place in first or "a.en" in first or "data." in first, first
    assert REMEDY.search(first), first


def check_rows(folder: Path, case: Case) -> None:
    """The books balance, every reject has its line, and the rows are those that were meant."""
    (kept,) = (folder / "runs" / ".prepared").iterdir()
    source = json.loads((kept / "ledger.json").read_text())["sources"]["train"]
    assert source["read"] == source["kept"] + sum(source["rejected"].values())
    assert (source["kept"], source["rejected"]) == (case.kept, case.reasons)
    rejects = [json.loads(line) for line in (kept / "rejected.jsonl").read_text().splitlines()]
    assert len(rejects) == sum(case.reasons.values())
    assert all(one["file"] and one["line"] >= 1 and one["reason"] for one in rejects)
    if case.texts:
        assert tuple((row.prompt, row.completion) for row in open_set(kept / "train.arrow")) == case.texts


def errors_of(said: str) -> list[str]:
    """The lines of an error, without the notes above it."""
    lines = said.splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith("error: "))
    return lines[start:]


def no_trace(said: str) -> None:
    assert "Traceback" not in said
    assert "desktune's fault" not in said


@pytest.mark.parametrize("config", configs.CASES, ids=lambda config: f"{config.rule}-{config.name}")
def test_config(tmp_path: Path, config: Config, capsys: Out, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_config(tmp_path, config)
    started = time.monotonic()
    code = run(["check", "d.yaml", *config.words])
    said = capsys.readouterr()
    assert time.monotonic() - started < 20
    no_trace(said.out + said.err)
    if not config.error:
        assert code == 0, said
        assert all(part in said.out + said.err for part in config.printed), said
        return
    assert code == 2, said
    check_fault(said.err, config)


def write_config(folder: Path, config: Config) -> None:
    (folder / "rows.jsonl").write_bytes(GOOD)
    text = config.text if isinstance(config.text, bytes) else config.text.encode()
    (folder / "d.yaml").write_bytes(text if config.whole else DATA.encode() + text)


def check_fault(said: str, config: Config) -> None:
    lines = errors_of(said)
    assert config.error in lines[0]
    assert len(lines[0]) <= MOST_CHARACTERS, lines[0]
    assert re.match(r"error: (d\.yaml(:\d+)?|override \S+): ", lines[0]), lines[0]
    assert REMEDY.search(lines[0]), lines[0]
    assert sum(line.startswith("error: ") for line in lines) == config.faults


def test_a_long_path_is_shortened_in_the_middle_and_stands_below(tmp_path: Path, capsys: Out) -> None:
    folder = tmp_path / ("deep " * 20) / ("x" * 200)
    folder.mkdir(parents=True)
    (folder / "rows.jsonl").write_bytes(b"[1\n")
    (folder / "d.yaml").write_text(json.dumps({"data": {"train": str(folder / "rows.jsonl")}}))
    assert run(["data", "prepare", str(folder / "d.yaml")]) == 2
    first, whole, *_ = errors_of(capsys.readouterr().err)
    assert len(first) <= MOST_CHARACTERS
    assert "rows.jsonl:2:1: broken JSON" in first
    assert REMEDY.search(first)
    assert str(folder / "rows.jsonl") in whole


def test_a_file_that_changes_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Out
) -> None:
    """Rule 46: the reading says a decision; that moment another program writes to the file."""
    monkeypatch.chdir(tmp_path)
    Path("rows.jsonl").write_bytes(GOOD * 3)
    Path("d.yaml").write_text("data: {train: rows.jsonl, validation: 0}")

    class Writer(io.StringIO):
        def write(self, text: str, /) -> int:
            with open("rows.jsonl", "ab") as file:
                file.write(GOOD)
            return super().write(text)

    monkeypatch.setattr("sys.stdout", Writer())
    assert run(["data", "prepare", "d.yaml"]) == 2
    first = errors_of(capsys.readouterr().err)[0]
    assert "a data file changed while it was read; start again" in first


THROUGH_THE_PROGRAM = [config for config in configs.CASES if config.error][::6][:10]


@pytest.mark.parametrize("config", THROUGH_THE_PROGRAM, ids=lambda config: config.name)
def test_ten_through_the_program(tmp_path: Path, config: Config) -> None:
    write_config(tmp_path, config)
    command = [sys.executable, "-m", "desktune", "check", "d.yaml", *config.words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=60, check=False)
    assert done.returncode == 2
    no_trace(done.stdout + done.stderr)
    check_fault(done.stderr, config)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["latin_all.jsonl", "comma.json", "unclosed.csv", "cut.parquet"])
def test_files_through_the_program(tmp_path: Path, name: str) -> None:
    case = next(case for case in [*files.CASES, *places.CASES] if case.name == name)
    (tmp_path / name).write_bytes(case.data)
    (tmp_path / "d.yaml").write_text(json.dumps(config_of(case, case.model)))
    command = [sys.executable, "-m", "desktune", "data", "prepare", "d.yaml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=120, check=False)
    assert done.returncode == 2
    no_trace(done.stdout + done.stderr)
    check_error(done.stderr, case)


# rules that no file or config can show by itself, and the tests that show them
ELSEWHERE = {
    16: "test_big.py: a line without end",
}


def test_every_rule_has_a_case() -> None:
    cases = [*files.CASES, *places.CASES, *configs.CASES]
    assert {case.rule for case in cases} | set(ELSEWHERE) == set(range(1, 65))
    assert len(cases) >= 150
    named = [(case.rule, case.name) for case in cases]
    assert len(set(named)) == len(named)
