"""CPU seconds of the verbs that need no torch, each in a fresh process: the smallest of five."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

ROUNDS = 5


def cpu_seconds(command: list[str]) -> float:
    """Return user and system seconds of one command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print a line per verb."""
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path("rows.jsonl").write_text('{"input": "a", "output": "b"}\n' * 10, encoding="utf-8")
        Path("desktune.yaml").write_text("data: {train: rows.jsonl}\n", encoding="utf-8")
        desktune = str(Path(sys.executable).with_name("desktune"))
        for words in (["--help"], ["check", "desktune.yaml"], ["schema"], ["runs"]):
            seconds = min(cpu_seconds([desktune, *words]) for _ in range(ROUNDS))
            print(f"desktune {' '.join(words):24} {seconds:.3f} s of CPU")


if __name__ == "__main__":
    main()
