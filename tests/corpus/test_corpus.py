"""Every bad file and config through the command line: one clear error and exit code 2, or rejects that balance.

The error's first line has at most 200 characters, says where, what is wrong and what to do, and no traceback follows.
"""

from __future__ import annotations

import json
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from tests.corpus.configs import CONFIGS, BadConfig
from tests.corpus.rules import DATA, ELSEWHERE, RULES
from tests.data.corpus import CASES, GOOD, Case

from desktune.cli.main import run
from desktune.data import lines

# the chat template at hand has no place for tools
TOOLS = {"tools.jsonl": "tools.jsonl:1: tools: the chat template leaves out the tools that the row offers"}
BAD = [replace(case, error=TOOLS.get(case.name, case.error)) for case in CASES if case.name in DATA]
MOST_CHARACTERS = 200
THROUGH_THE_SCRIPT = ("comma.json", "cut.jsonl.gz", "mixed.jsonl", "same.csv", "utf16_no_bom.jsonl")
CONFIGS_THROUGH_THE_SCRIPT = ("key-twice", "misspelt-key", "alias-bomb", "tab", "fifo")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def judged(error: str, said: str, place: str) -> None:
    """An error whose first line says where, what and what to do."""
    found = [line for line in error.splitlines() if line.startswith("error: ")]
    assert found, error
    assert len(found[0]) <= MOST_CHARACTERS, found[0]
    assert place in found[0]
    assert said in " ".join(error.split()), error
    assert "Traceback" not in error
    assert "desktune's fault" not in error


def data_config(case: Case, model: Path) -> Path:
    """Write the case and a config that reads it."""
    Path(case.name).write_bytes(case.data)
    data = {"train": case.name, "validation": 0, **case.settings}
    config = {"model": {"name": str(model)}, "data": data, "output": {"dir": "runs/a"}}
    Path("d.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    return Path("d.yaml")


def config_file(case: BadConfig) -> str:
    """Write the config and what lies beside it."""
    Path("rows.jsonl").write_bytes(GOOD * 30)
    Path("void").mkdir()
    os.mkfifo("fifo")
    os.symlink("loop", "loop")
    os.symlink("nothing.jsonl", "gone")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("socket")
    name = "d.json" if case.name.endswith("json") else "d.yaml"
    Path(name).write_bytes(case.content)
    return name


def test_every_rule_has_its_cases() -> None:
    assert len(BAD) + len(CONFIGS) >= 150
    assert {case.name for case in CASES if case.error or case.reasons} <= set(DATA)
    found = {*DATA.values(), *(case.rule for case in CONFIGS)}
    assert found | set(ELSEWHERE) == set(RULES)
    assert len({case.name for case in CONFIGS}) == len(CONFIGS)


@pytest.mark.parametrize("case", BAD, ids=lambda case: f"{DATA[case.name]}-{case.name}")
def test_bad_files(case: Case, tiny_llama: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["data", "prepare", str(data_config(case, tiny_llama))])
    error = capsys.readouterr().err
    if case.error:
        assert code == 2, error
        judged(error, case.error, case.name)
        return
    assert code == 0, error
    assert "Traceback" not in error
    (folder,) = {path.parent for path in here.rglob("ledger.json")}
    counts = json.loads((folder / "ledger.json").read_text(encoding="utf-8"))["sources"]["train"]
    rejects = [json.loads(line) for line in (folder / "rejected.jsonl").read_text(encoding="utf-8").splitlines()]
    assert counts["read"] == counts["kept"] + sum(counts["rejected"].values())
    assert sum(counts["rejected"].values()) == len(rejects)
    assert {reason: counts["rejected"].get(reason) for reason in case.reasons} == dict(case.reasons)
    assert all(reject["line"] >= 1 and reject["file"].endswith(case.name) and reject["detail"] for reject in rejects)


@pytest.mark.parametrize("case", CONFIGS, ids=lambda case: f"{case.rule}-{case.name}")
def test_bad_configs(case: BadConfig, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = config_file(case)
    assert run(["check", name]) == 2
    judged(capsys.readouterr().err, case.said, name)


def through_the_script(words: Sequence[str]) -> tuple[int, str]:
    script = Path(sys.executable).with_name("desktune")
    done = subprocess.run([script, *words], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stderr


@pytest.mark.parametrize("name", CONFIGS_THROUGH_THE_SCRIPT)
def test_configs_through_the_script(name: str, here: Path) -> None:
    case = next(one for one in CONFIGS if one.name == name)
    file = config_file(case)
    code, error = through_the_script(["check", file])
    assert code == 2
    judged(error, case.said, file)


@pytest.mark.slow
@pytest.mark.parametrize("name", THROUGH_THE_SCRIPT)
def test_files_through_the_script(name: str, tiny_llama: Path, here: Path) -> None:
    case = next(one for one in BAD if one.name == name)
    code, error = through_the_script(["data", "prepare", str(data_config(case, tiny_llama))])
    assert code == 2
    judged(error, case.error, name)


def test_an_endless_line(
    tiny_llama: Path, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line over the limit is one reject, the rows behind it are read, and it is never held whole."""
    monkeypatch.setattr(lines, "MOST_LINE_BYTES", 1 << 20)
    case = Case("endless.jsonl", GOOD * 4 + b'{"source": "' + b"x" * (200 << 20) + b'"}\n' + GOOD * 5, 9)
    config = data_config(case, tiny_llama)
    del case
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert run(["data", "prepare", str(config), "data.max_rejected=0.5"]) == 0
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / (1 if sys.platform == "darwin" else 1024)
    assert grown < 150 * (1 << 20 if sys.platform == "darwin" else 1)
    (folder,) = {path.parent for path in here.rglob("ledger.json")}
    counts = json.loads((folder / "ledger.json").read_text(encoding="utf-8"))["sources"]["train"]
    assert (counts["read"], counts["kept"], counts["rejected"]) == (10, 9, {"long-line": 1})
    (reject,) = [json.loads(line) for line in (folder / "rejected.jsonl").read_text(encoding="utf-8").splitlines()]
    assert reject["line"] == 5
