"""The README's promises: every command it shows exists, and the tour runs as it stands."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from desktune.cli.main import run

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TOUR = re.findall(r"<!-- test -->\n```bash\n(.*?)```", README, flags=re.DOTALL)


def commands(text: str) -> list[list[str]]:
    """Return the words after ``desktune`` of every command line in fenced blocks and in `code`."""
    lines = [line for block in re.findall(r"```bash\n(.*?)```", text, flags=re.DOTALL) for line in block.splitlines()]
    lines += re.findall(r"`(desktune [^`]+)`", text)
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("desktune ")]


def pages() -> list[Path]:
    return [ROOT / "README.md", *sorted((ROOT / "examples").rglob("README.md"))]


def test_the_tour_is_there() -> None:
    assert len([line for block in TOUR for line in block.splitlines() if line.startswith("desktune ")]) >= 8


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_verb_exists(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in commands(page.read_text(encoding="utf-8")):
        verbs = words[:2] if words[0] == "data" else words[:1]
        assert run([*verbs, "--help"]) == 0, words
        said = capsys.readouterr().out
        assert [word for word in words if word.startswith("-") and word.split("=")[0] not in said] == [], words


def test_every_file_of_the_tree_exists() -> None:
    tree = README.split("```text\n")[1].split("```")[0]
    names = [line.split()[0].rstrip(",") for line in tree.splitlines() if line.strip()]
    missing = [
        name
        for name in names
        if not ((ROOT / name).exists() or (ROOT / "src/desktune" / name).exists()) and name != "src/desktune/"
    ]
    assert missing == []


@pytest.mark.slow
def test_the_tour_runs(tmp_path: Path) -> None:
    """One shell, one folder, in order, stopping at the first command that fails."""
    script = "set -e\n" + "\n".join(TOUR)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # the desktune of this environment
    environment = {**os.environ, "PATH": path}
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=500
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert (tmp_path / "runs/dreams/dreams_merged/model.safetensors").is_file()
