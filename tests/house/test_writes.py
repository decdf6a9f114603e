"""Every write goes through durable.py: what writes on its own is listed here with its reason, and nothing else does."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "src/desktune"
SOURCES = sorted(ROOT.rglob("*.py"))

OURS = {  # module → why it may write past durable.py
    "disk.py": "the operations themselves",
    "cli/main.py": "closed standard streams are opened on /dev/null",
    "cli/common.py": "stdout becomes /dev/null when its reader has gone",
    "torture/child.py": "what its libraries print goes to /dev/null",
    "torture/faults.py": "damages files on purpose",
}
LIBRARIES = {  # (module, call) → where what a library writes goes
    ("train/checkpoint.py", "save_file"): "staging of a checkpoint",
    ("models/save.py", "save_pretrained"): "staging of model/ and of the merged folder",
    ("data/pool.py", "TemporaryDirectory"): "what helper processes read once",
    ("data/encoding.py", "save_pretrained"): "a temporary folder for helper processes",
    ("data/clean/lexicon.py", "save_file"): "a temporary folder for helper processes",
    ("models/unpickle.py", "save_file"): "staging of the cache of converted weights",
    ("ship/merge.py", "save_pretrained"): "staging of the merged folder",
    ("data/store.py", "OSFile"): "staging of prepared rows",
    ("data/store.py", "new_file"): "staging of prepared rows",
    ("train/reference.py", "TemporaryDirectory"): "the Trainer of transformers wants a folder; nothing in it is kept",
    ("torture/model.py", "save_pretrained"): "staging of the tiny model",
    ("models/load.py", "snapshot_download"): "the hub's own cache, which checks what it holds",
    ("track/tensorboard.py", "SummaryWriter"): "its own folder of the run, which nobody relies on",
}
_OF_OS = {
    *("write", "pwrite", "writev", "truncate", "ftruncate", "mkdir", "makedirs", "remove", "unlink", "rmdir", "link"),
    *("removedirs", "rename", "renames", "replace", "symlink", "mkfifo", "copy_file_range", "sendfile"),
}
_OF_SHUTIL = {"move", "copy", "copy2", "copyfile", "copytree", "copyfileobj", "rmtree", "make_archive", "chown"}
_OF_PATHS = {
    *("write_text", "write_bytes", "rmtree", "rename", "unlink", "rmdir", "mkdir", "touch", "symlink_to"),
    "hardlink_to",
}
_OF_LIBRARIES = {
    *("save_file", "save_pretrained", "save_checkpoint", "savez", "savez_compressed", "savetxt", "tofile", "to_csv"),
    *("to_parquet", "to_excel", "write_table", "write_csv", "write_feather", "new_file", "new_stream", "OSFile"),
    *("SummaryWriter", "save_to_disk", "snapshot_download", "hf_hub_download", "extractall", "mkdtemp", "mkstemp"),
    *("TemporaryDirectory", "NamedTemporaryFile", "TemporaryFile", "FileHandler"),
}


def calls(path: Path) -> list[ast.Call]:
    return [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]


def name_of(node: ast.Call) -> tuple[str, str]:
    """Return what is called, and of what."""
    if isinstance(node.func, ast.Attribute):
        return ast.unparse(node.func.value), node.func.attr
    return "", node.func.id if isinstance(node.func, ast.Name) else ""


def is_write(node: ast.Call) -> bool:
    """A call of Python itself that writes, moves, makes or removes something on disk."""
    owner, called = name_of(node)
    if called == "open" and owner == "os":
        return any(flag in ast.unparse(node) for flag in ("O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_APPEND"))
    if called in ("open", "ZipFile", "TarFile"):
        given = [*node.args, *(keyword.value for keyword in node.keywords if keyword.arg == "mode")]
        texts = [arg.value for arg in given if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
        return any(set(text) & set("wax+") and len(text) <= 3 for text in texts)
    if owner == "os":
        return called in _OF_OS
    if owner == "shutil":
        return called in _OF_SHUTIL
    if owner in ("durable", "disk"):
        return False
    if called == "replace":  # Path.replace takes one argument, str.replace two, dataclasses.replace keywords
        return owner != "" and len(node.args) == 1 and not node.keywords
    return owner != "" and called in _OF_PATHS


def is_library_write(node: ast.Call) -> bool:
    """A call of a library that writes where it is told."""
    owner, called = name_of(node)
    return called in _OF_LIBRARIES or (called == "save" and owner in ("torch", "np", "numpy"))


WRITES = [
    "open(path, 'w')", "open(path, mode='ab')", "open(path, 'r+b')", "path.open('x')", "gzip.open(path, 'wb')",
    "os.open(path, os.O_WRONLY | os.O_CREAT)", "os.write(descriptor, data)", "os.makedirs(path)", "os.remove(path)",
    "path.write_text(text)", "path.write_bytes(data)", "path.mkdir()", "path.touch()", "path.replace(other)",
    "path.unlink()", "shutil.copytree(a, b)", "shutil.rmtree(a)", "os.replace(a, b)", "zipfile.ZipFile(path, 'w')",
]  # fmt: skip
NO_WRITES = [
    "open(path)", "open(path, 'rb')", "os.open(path, os.O_RDONLY)", "text.replace('a', 'w')", "replace(x, name='w')",
    "durable.write_text(path, text)", "sys.stdout.write(text)", "disk.rename(a, b)",
]  # fmt: skip


@pytest.mark.parametrize("code", WRITES)
def test_a_write_is_seen(code: str) -> None:
    assert any(is_write(node) for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call))


@pytest.mark.parametrize("code", NO_WRITES)
def test_what_does_not_write_is_let_through(code: str) -> None:
    assert not any(is_write(node) for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call))


def test_only_durable_writes() -> None:
    found = {
        f"{name}:{node.lineno} {ast.unparse(node.func)}"
        for path in SOURCES
        for node in calls(path)
        if (name := path.relative_to(ROOT).as_posix()) not in OURS and is_write(node)
    }
    assert found == set()


def test_libraries_write_into_staging_only() -> None:
    """Every call of a library that takes a path to write to is known, and every known one is still there."""
    found = {
        (path.relative_to(ROOT).as_posix(), name_of(node)[1])
        for path in SOURCES
        for node in calls(path)
        if is_library_write(node)
    }
    assert found == set(LIBRARIES)


def test_the_exceptions_are_still_needed() -> None:
    writing = {path.relative_to(ROOT).as_posix() for path in SOURCES for node in calls(path) if is_write(node)}
    assert set(OURS) <= writing
