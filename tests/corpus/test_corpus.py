"""Every nasty file and config through the command line: its listed outcome, one short line, balanced books, no trace."""

from __future__ import annotations

import json
import re
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from tests.corpus import files, places
from tests.corpus.build import LOOSE, Case
from tests.data.test_tools import TEMPLATE

from desktune.cli.main import run
from desktune.data.store import open_set

STARTERS = Path(files.__file__).parents[2] / "src" / "desktune" / "starters"
REMEDY = re.compile(
    r"; (also |to |did you |write |mend |set |name |save |unpack|keep |add |take |give |choose |raise |hold |quote |use "
    r"|ask |pack |put |double |export |close |start |convert |lower |give |make |install|copy |fields that exist)|allowed|did you mean"
)
MOST_CHARACTERS = 200
Out = pytest.CaptureFixture[str]


@pytest.fixture(scope="session")
def tools_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A causal model whose chat template has a place for tools."""
    folder = tmp_path_factory.mktemp("tools") / "model"
    shutil.copytree(STARTERS / "llama", folder)
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    return folder


@pytest.mark.parametrize("case", [*files.CASES, *places.CASES], ids=lambda case: f"{case.rule}-{case.name}")
def test_data(tmp_path: Path, case: Case, capsys: Out, monkeypatch: pytest.MonkeyPatch, tools_model: Path) -> None:
    monkeypatch.chdir(tmp_path)
    if case.write is None:
        (tmp_path / case.name).write_bytes(case.data)
    else:
        case.write(tmp_path)
    config = config_of(case, str(tools_model) if case.model == "tools" else case.model)
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
    for part in case.said:
        assert re.sub(" +", " ", part) in re.sub(" +", " ", said.out + said.err), said


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
