"""docs/traps.md says what is there: every trap once, every guard and every test by a name that exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINES = (ROOT / "docs/traps.md").read_text(encoding="utf-8").splitlines()
ROWS = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in LINES if re.match(r"\| X\d", line)]
IDS = [row[0] for row in ROWS]


def names_in(path: Path) -> set[str]:
    """Functions, classes and constants of a module; methods and fields as ``Class.name``."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        found |= set(names_of(node))
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{name}" for inner in node.body for name in names_of(inner)}
    return found


def names_of(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.AnnAssign):
        return [ast.unparse(node.target)]
    return [ast.unparse(target) for target in node.targets] if isinstance(node, ast.Assign) else []


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_every_trap_is_there_once() -> None:
    assert [name for name in IDS if int(name[1:]) <= 23] == [f"X{number}" for number in range(1, 24)]
    assert len(set(IDS)) == len(IDS)
    assert {len(row) for row in ROWS} == {6}


@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_the_row_says_whether_it_touches_us(row: list[str]) -> None:
    assert row[2].startswith(("yes: ", "not reachable: "))
    assert row[1]
    assert row[5]


@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_every_guard_exists(row: list[str]) -> None:
    assert quoted(row[3])
    for guard in quoted(row[3]):
        file, _, name = guard.partition(":")
        if file == "pyproject.toml":
            assert name in (ROOT / file).read_text(encoding="utf-8")
        else:
            assert name in names_in(ROOT / "src/desktune" / file), guard


@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_every_test_exists(row: list[str]) -> None:
    assert quoted(row[4])
    for test in quoted(row[4]):
        file, _, name = test.partition("::")
        assert name.startswith("test_")
        assert name in names_in(ROOT / file), test
