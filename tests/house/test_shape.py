"""The shape of the house, measured: files, functions, guessing, imports."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions() -> Iterator[tuple[str, Function]]:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", node


def body_lines(node: Function) -> int:
    return (node.end_lineno or 0) - node.body[0].lineno + 1


def catches_all(node: ast.ExceptHandler) -> bool:
    """``except:``, ``except Exception`` or a tuple with it; not BaseException, which cleans up and raises again."""
    kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
    return any(kind is None or (isinstance(kind, ast.Name) and kind.id == "Exception") for kind in kinds)


def percentile(values: list[int], share: float) -> int:
    return sorted(values)[int(share * (len(values) - 1))]


def test_the_measures_see_the_code() -> None:
    assert len(SOURCES) > 40
    assert len(list(functions())) > 250


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_stop_at_500_lines(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 500
    assert path.name not in ("utils.py", "helpers.py", "common_utils.py")


def test_functions_stop_at_60_lines() -> None:
    assert [(name, body_lines(node)) for name, node in functions() if body_lines(node) > 60] == []
    assert percentile([body_lines(node) for _, node in functions()], 0.9) <= 40


def test_parameters_are_few() -> None:
    """Command functions of the CLI are exempt: their parameters are options."""
    counts = {
        name: len([*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs])
        - (bool(node.args.args) and node.args.args[0].arg in ("self", "cls"))
        for name, node in functions()
        if "/cli/" not in name
    }
    assert {name: count for name, count in counts.items() if count > 6} == {}
    assert percentile(list(counts.values()), 0.9) <= 5


def test_no_guessing() -> None:
    """At most two probes per thousand lines; no assert for people's input; no bare except below the CLI."""
    lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES)
    probes, asserts, broad = [], [], []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            where = (
                f"{path.relative_to(ROOT)}:{node.lineno}"
                if isinstance(node, ast.expr | ast.stmt | ast.ExceptHandler)
                else ""
            )
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in ("getattr", "hasattr")
            ):
                probes.append(where)
            elif isinstance(node, ast.Assert):
                asserts.append(where)
            elif isinstance(node, ast.ExceptHandler) and catches_all(node):
                broad.append(where)
    assert len(probes) <= 2 * lines / 1000, probes
    assert asserts == []
    ends = ("/cli/", "diskerrors.py", "data/pool.py")  # of a process, and what libraries say of a full disk
    assert [where for where in broad if not any(end in where for end in ends)] == []


@pytest.mark.parametrize(
    "module", ["desktune", "desktune.cli.main", "desktune.config.load", "desktune.runs", "desktune.starters"]
)
def test_no_torch_at_import(module: str) -> None:
    heavy = {"torch", "transformers", "peft", "pyarrow", "datasets"}
    code = f"import sys, {module}; print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
