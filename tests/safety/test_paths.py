"""S6: names lead nowhere but into their own folder: 200 hostile ones at each place where a name becomes a path."""

# ruff: noqa: E501 - tables of payloads

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from desktune import durable, runs
from desktune.config.schema import ModelSection
from desktune.errors import DesktuneError, ModelNotFound
from desktune.models import convert
from desktune.models.load import locate
from desktune.models.untrusted import check_revision

_WORDS = ["..", ".", "~", "~root", "/etc/passwd", "/", "\\", "C:\\x", "C:/x", "\\\\host\\share\\x", "//host/x", "CON", "NUL",
          "aux.txt", "a.", "a ", " a", ".hidden", "-rf", "--help", "a\0b", "a\nb", "a\x1b[2J", "a\u202eb", "\u2025/x", "\uff0e\uff0e/x",
          "%2e%2e/x", "%2e%2e%2fx", "..%c0%afx", "$HOME/x", "${HOME}", "`id`", "$(id)", "a;b", "a|b", "a*", "?", "a" * 300,
          "é" * 200, "\U00020000" * 90, "e\u0301", "\ud7ff", "💥", "", " ", "\t", ".staging-x", "manifest.json", "config.yaml", ".lock"]  # fmt: skip
_SHAPES = ["{}", "../{}", "../../{}", "../../../../{}", "a/../../{}", "./../{}", "..\\..\\{}", "/../{}", "a/{}", "{}/..",
           "{}/../../x", "x/{}/../../../y"]  # fmt: skip
NAMES = list(dict.fromkeys(shape.format(word) for shape, word in itertools.product(_SHAPES, _WORDS)))[::2]


@dataclass(frozen=True)
class Place:
    dir: str | None
    name: str | None


def tree(folder: Path) -> dict[str, bytes | None]:
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A deep working folder with files around it that must stay; home and cache lie in it too."""
    room = tmp_path / "one/two/three/here"
    room.mkdir(parents=True)
    for folder in (tmp_path, tmp_path / "one", tmp_path / "one/two", tmp_path / "one/two/three"):
        (folder / "x").write_text("mine", encoding="utf-8")
    monkeypatch.chdir(room)
    monkeypatch.setenv("HOME", str(room / "home"))
    return room


def outside(tmp_path: Path, room: Path) -> dict[str, bytes | None]:
    inner = str(room.relative_to(tmp_path))
    return {name: data for name, data in tree(tmp_path).items() if not name.startswith(inner)}


def quietly(work: Callable[[], object]) -> None:
    with contextlib.suppress(DesktuneError, ValueError):  # ValueError: a zero byte in a path, from the system
        work()


def test_there_are_enough_names() -> None:
    assert len(NAMES) >= 250


def test_run_names(tmp_path: Path, room: Path) -> None:
    before = outside(tmp_path, room)
    made = []
    for name in NAMES:
        for place, model in ((Place(None, name), "m"), (Place(None, None), name or "m")):
            with runs.claim(place, model) as claim:
                folder = claim.run
                (folder / runs.CONFIG).touch()
            assert folder.resolve().parent == (room / "runs").resolve()
            assert not folder.name.startswith((".", "-"))
            assert folder.name.isprintable()
            made.append(folder)
            quietly(lambda place=place, model=model: runs.to_resume(place, model))
            assert runs.Run(folder).merged.resolve().parent == folder.resolve()
    assert outside(tmp_path, room) == before
    assert len(set(made)) == len(made)


def test_names_that_only_read(tmp_path: Path, room: Path) -> None:
    before = tree(tmp_path)
    for name in NAMES:
        quietly(lambda name=name: runs.resolve(name))
        quietly(lambda name=name: locate(ModelSection(name=f"starter:{name}")))
        if name.count("/") > 1:  # else it may be one of the hub
            quietly(lambda name=name: locate(ModelSection(name=name)))
    assert tree(tmp_path) == before


def test_shard_names(tmp_path: Path, room: Path, tiny_t5: Path) -> None:
    shutil.copytree(tiny_t5, room / "base")
    shutil.copy(room / "base/model.safetensors", room / "other.safetensors")
    before = outside(tmp_path, room)
    for name in [*NAMES, "../other.safetensors", str(room / "other.safetensors"), "base/../../other.safetensors"]:
        index = json.dumps({"weight_map": {"shared.weight": name}})
        (room / "base/model.safetensors.index.json").write_text(index, encoding="utf-8")
        with pytest.raises(ModelNotFound, match="a shard is a"):
            locate(ModelSection(name=str(room / "base")))
    assert outside(tmp_path, room) == before


def test_revisions(room: Path) -> None:
    for good in (None, "main", "refs/pr/3", "v1.0.2", "0" * 40, "user/feature-x"):
        check_revision(good)
    bad = 0
    for name in NAMES:
        try:
            check_revision(name)
        except ModelNotFound:
            bad += 1
        else:
            assert ".." not in name.split("/")
            assert not name.startswith("/")
    assert bad > 200


def test_names_in_a_manifest_are_only_read(tmp_path: Path, room: Path) -> None:
    before = outside(tmp_path, room)
    (room / "sealed").mkdir()
    for name in NAMES:
        files = {name or "x": {"bytes": 4, "sha256": "0" * 64}}
        (room / "sealed/manifest.json").write_text(json.dumps({"version": 1, "files": files}), encoding="utf-8")
        with contextlib.suppress(OSError):  # a name that is too long
            quietly(lambda: durable.verify(room / "sealed"))
    assert outside(tmp_path, room) == before


def test_names_of_bases_that_are_converted(tmp_path: Path, room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache's folder is named after the model's."""
    monkeypatch.setenv("DESKTUNE_CACHE", str(room / "cache"))
    before = outside(tmp_path, room)
    for number, name in enumerate(
        word for word in _WORDS if "/" not in word and "\0" not in word and 0 < len(word.encode()) < 99
    ):
        folder = room / "models" / name
        if name in (".", ".."):
            continue
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "pytorch_model.bin").write_bytes(bytes([number]))
        monkeypatch.setattr(convert.subprocess, "run", lambda *args, **named: _Done())
        quietly(lambda folder=folder: convert.converted(folder))
    assert outside(tmp_path, room) == before
    assert {path.name for path in (room / "cache").iterdir()} == {"converted"}


class _Done:
    """A child that converted nothing and says that all is well."""

    returncode, stderr = 0, ""
