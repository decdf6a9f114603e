"""How fast the program starts, and what it does to a terminal: real processes."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join(str(Path(folder).resolve()) for folder in sys.path if folder),
}
HELP_CPU_SECONDS, CHECK_CPU_SECONDS = 0.25, 0.6
PROGRAM = (
    "import sys\n"
    "from desktune.cli.main import run\n"
    "code = run(sys.argv[1:])\n"
    "heavy = {'torch', 'transformers', 'peft', 'rich', 'numpy', 'pyarrow'}\n"
    "heavy = (heavy | ({'pydantic'} if '--help' in sys.argv else set())) & set(sys.modules)\n"
    "sys.stderr.write(f'heavy: {sorted(heavy)}\\n')\n"
    "sys.exit(code)\n"
)


def timed(*words: str, cwd: Path) -> tuple[float, subprocess.CompletedProcess[str]]:
    """Run the program, twice when the first time compiled modules; returns CPU seconds of the faster one."""
    best, done = float("inf"), None
    for _ in range(2):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-c", PROGRAM, *words]
        done = subprocess.run(command, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert done is not None
    return best, done


def test_help_is_quick_and_light(tmp_path: Path) -> None:
    seconds, done = timed("--help", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr == "heavy: []\n"
    assert seconds <= HELP_CPU_SECONDS


def test_check_is_quick_and_light(tmp_path: Path) -> None:
    (tmp_path / "cfg.yaml").write_text("model: {name: 'starter:t5'}\ndata: {train: pairs.jsonl}\n")
    (tmp_path / "pairs.jsonl").write_text('{"input": "a", "output": "b"}\n')
    seconds, done = timed("check", "cfg.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr.endswith("heavy: []\n")
    assert seconds <= CHECK_CPU_SECONDS


def test_sigterm_leaves_through_finally(tmp_path: Path) -> None:
    program = (
        "import sys, time, types\n"
        "from desktune.cli import main, places\n"
        "def wait(*_):\n"
        "    try:\n"
        "        print('ready', flush=True)\n"
        "        time.sleep(30)\n"
        "    finally:\n"
        "        print('cleaned', flush=True)\n"
        "places.runs.list_runs = wait\n"
        "sys.exit(main.run(['runs']))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == "cleaned\n"
        assert process.wait(timeout=10) == 128 + signal.SIGTERM


def test_a_pipe_that_closes_is_quiet(tmp_path: Path) -> None:
    program = "import sys\nfrom desktune.cli.main import run\nsys.exit(run(['--help']))\n"
    read, write = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", program], cwd=tmp_path, env=ENVIRONMENT, stdout=write, stderr=subprocess.PIPE
    )
    os.close(write)
    os.close(read)
    assert process.communicate(timeout=20)[1] == b""
