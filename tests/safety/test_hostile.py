"""R25: a training of two steps in every surrounding that a person's machine may be: the same weights to the bit."""

from __future__ import annotations

import ctypes
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from desktune import durable
from tests.bundles import PAIRS

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="takes rights away as Linux does")]

SOURCES = Path(__file__).parents[2] / "src"
CAPBSET_DROP, OVERRIDES = 24, (1, 2, 3)  # what lets root write where nobody may
WEIGHTS = "model/adapter_model.safetensors"


@dataclass
class Surrounding:
    """What is odd about a process: its folder, its environment, what it does before it starts, its streams."""

    folder: str = "work"
    environment: dict[str, str | None] = field(default_factory=dict)
    before: Callable[[], object] = lambda: None
    prepare: Callable[[Path], object] = lambda folder: None
    streams: dict[str, object] = field(default_factory=dict)
    cwd: str | None = None
    code: int = 0


def closed_pipe() -> int:
    """A pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    return writing


def close_all() -> None:
    for number in (0, 1, 2):
        os.close(number)


def leave_a_removed_folder() -> None:
    folder = tempfile.mkdtemp()
    os.chdir(folder)
    os.rmdir(folder)


def start(odd: Surrounding) -> None:
    """As root, give up what root alone may, so that a folder without rights is one."""
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None)
        for number in OVERRIDES:
            libc.prctl(CAPBSET_DROP, number, 0, 0, 0)
    odd.before()


def one_cpu() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


SURROUNDINGS = {
    "no HOME": Surrounding(environment={"HOME": None}),
    "HOME that is not there": Surrounding(environment={"HOME": "/nonexistent/home"}),
    "HOME that is a file": Surrounding(environment={"HOME": "/etc/passwd"}),
    "nothing in the environment": Surrounding(environment={"": None}),
    "TMPDIR that is not there": Surrounding(environment={"TMPDIR": "/nonexistent"}),
    "TMPDIR read-only": Surrounding(
        environment={"TMPDIR": "{folder}/locked"}, prepare=lambda folder: lock(folder / "locked")),
    "spaces and signs in the path": Surrounding(folder="my work 💥 (1) 'a' \"b\" $HOME; %s {x}"),
    "names of two code points": Surrounding(folder=unicodedata.normalize("NFD", "né à Zürich")),
    "a path of 1,500 bytes": Surrounding(folder="/".join(["long-" * 20] * 15)),
    "LANG=C": Surrounding(environment={"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}),
    "a locale that is not there": Surrounding(environment={"LC_ALL": "tr_TR.ISO-8859-9", "LANG": "xx_YY"}),
    "PYTHONIOENCODING=ascii": Surrounding(environment={"PYTHONIOENCODING": "ascii"}),
    "umask 077": Surrounding(before=lambda: os.umask(0o077)),
    "umask 000": Surrounding(before=lambda: os.umask(0)),
    "stdin closed": Surrounding(before=lambda: os.close(0)),
    "stdin, stdout and stderr closed": Surrounding(before=close_all),
    "stdout without a reader": Surrounding(streams={"stdout": "closed pipe"}),
    "TERM=dumb": Surrounding(environment={"TERM": "dumb", "COLUMNS": "1", "LINES": "0"}),
    "base read-only": Surrounding(prepare=lambda folder: lock(folder / "base")),
    "working folder removed": Surrounding(before=leave_a_removed_folder, code=2),
    "working folder is the root": Surrounding(cwd="/"),
    "caches not writable": Surrounding(environment={
        "HF_HOME": "/proc/hf", "XDG_CACHE_HOME": "/proc/xdg", "TORCH_HOME": "/proc/torch",
        "TRITON_CACHE_DIR": "/proc/t",
        "MPLCONFIGDIR": "/proc/m", "DESKTUNE_CACHE": "/proc/d"}),
    "one core": Surrounding(before=one_cpu),
    "64 open files": Surrounding(before=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))),
    "PYTHONOPTIMIZE=2": Surrounding(environment={"PYTHONOPTIMIZE": "2"}, code=2),
    "PYTHONWARNINGS=error": Surrounding(environment={"PYTHONWARNINGS": "error"}),
    "a proxy that is dead": Surrounding(environment={
        "HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9", "ALL_PROXY": "socks5://127.0.0.1:9",
        "HF_HUB_OFFLINE": None}),
    "hang-ups and broken pipes ignored": Surrounding(before=lambda: [
        signal.signal(number, signal.SIG_IGN) for number in (signal.SIGHUP, signal.SIGPIPE)]),
}  # fmt: skip


def lock(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    folder.chmod(0o555)


@pytest.fixture(scope="module")
def room() -> Iterator[Path]:
    """A folder for all runs; what was locked in it is unlocked again."""
    folder = Path(tempfile.mkdtemp(prefix="desktune-hostile-"))
    yield folder
    for path in folder.rglob("*"):
        if path.is_dir():
            path.chmod(0o755)
    shutil.rmtree(folder)


def run_there(odd: Surrounding, room: Path, base: Path) -> tuple[int, Path, str]:
    """Train two steps; returns exit code, run folder and what was said."""
    folder = Path(tempfile.mkdtemp(dir=room)) / odd.folder
    folder.mkdir(parents=True)
    shutil.copytree(base, folder / "base")
    rows = "".join(f'{{"input": "{one} {n}", "output": "{other}"}}\n' for n in range(4) for one, other in PAIRS)
    (folder / "rows.jsonl").write_text(rows, encoding="utf-8")
    (folder / "desktune.yaml").write_text("data: {train: rows.jsonl}\n", encoding="utf-8")
    odd.prepare(folder)
    relative = odd.cwd is None and odd.before is not leave_a_removed_folder
    place = Path() if relative else folder
    command = [
        sys.executable, "-m", "desktune", "train", str(place / "desktune.yaml"), f"model.name={folder / 'base'}",
        f"data.train={place / 'rows.jsonl'}", f"output.dir={place / 'runs/one'}", "training.max_steps=2",
        "evaluation.max_new_tokens=4", "training.eval_steps=2", "adapter.r=2",
    ]  # fmt: skip
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, **odd.streams}
    pipe = closed_pipe() if streams["stdout"] == "closed pipe" else None
    streams["stdout"] = pipe if pipe is not None else streams["stdout"]
    done = subprocess.run(
        command, cwd=odd.cwd or folder, env=_environment(odd, folder), preexec_fn=lambda: start(odd), check=False,
        **streams,
    )  # fmt: skip
    if pipe is not None:
        os.close(pipe)
    return done.returncode, folder / "runs/one", (done.stderr or b"").decode("utf-8", "replace")


def _environment(odd: Surrounding, folder: Path) -> dict[str, str]:
    kept = {"PATH": os.environ["PATH"]} if "" in odd.environment else {**os.environ, "HOME": str(folder)}
    for name, value in odd.environment.items():
        kept.pop(name, None)
        if value is not None:
            kept[name] = value.replace("{folder}", str(folder))
    return {**kept, "PYTHONPATH": str(SOURCES), "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def wanted(room: Path, tiny_t5: Path) -> bytes:
    """The weights of a run with nothing odd about it."""
    code, folder, said = run_there(Surrounding(), room, tiny_t5)
    assert code == 0, said
    return (folder / WEIGHTS).read_bytes()


@pytest.mark.parametrize("name", SURROUNDINGS)
def test_the_same_weights(name: str, wanted: bytes, room: Path, tiny_t5: Path) -> None:
    odd = SURROUNDINGS[name]
    code, folder, said = run_there(odd, room, tiny_t5)
    assert code == odd.code, said[-3_000:]
    if code == 0:
        assert (folder / WEIGHTS).read_bytes() == wanted
        assert durable.verify(folder / "model") == []
    else:  # torch or transformers cannot do it: one clear sentence
        assert said.count("error: ") == 1
        assert "Traceback" not in said
    assert [path for path in folder.rglob("*") if path.name.startswith(durable.STAGING_PREFIX)] == []


def test_there_are_twenty() -> None:
    assert len(SURROUNDINGS) >= 20
