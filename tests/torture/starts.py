"""``python -m tests.torture.starts --starts 50``: many starts at one moment give one run, and refusals with exit 75.

The starts are children of one process that has not imported torch, so that the winner takes seconds before its first
step, as in life. ``race`` only claims the folder, ``trained`` runs the whole command line.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.train.forks import Child, fork


@dataclass(frozen=True)
class Output:
    """The part of a config that says where a run lies."""

    dir: str | None
    name: str | None = None


def race(folder: Path, count: int, output: str | None = "one") -> list[int]:
    """Claim one folder ``count`` times at one moment; the winner keeps it until all others were refused."""
    read, write = os.pipe()

    def claim() -> int:
        from desktune import runs
        from desktune.errors import Locked

        os.close(write)
        try:
            with runs.claim(Output(output), "t5"):
                os.read(read, 1)  # until the parent closes its end
                return 0
        except Locked as error:
            return error.exit_code

    children = _at_once(folder, count, claim)
    codes = [_code(child) for child in children]
    end = time.monotonic() + 60
    while codes.count(None) > 1 and time.monotonic() < end:
        time.sleep(0.01)
        codes = [code if code is not None else _code(child) for code, child in zip(codes, children, strict=True)]
    os.close(write)
    os.close(read)
    return [child.wait(30) if code is None else code for code, child in zip(codes, children, strict=True)]


def trained(folder: Path, count: int) -> tuple[list[int], list[str]]:
    """Start ``desktune train`` ``count`` times at one moment; return exit codes, and what the refused ones said."""
    from desktune.cli.main import run
    from tests.train.bench import Bench

    bench = Bench(folder)
    _build(bench)
    words = bench.words("seq2seq-lora", "one")
    children = _at_once(folder, count, lambda: run(words))
    codes = [child.wait(180) for child in children]
    return codes, [child.said() for child, code in zip(children, codes, strict=True) if code]


def _build(bench: object) -> None:
    """Build the tiny model in a child: this process stays without torch."""
    child = fork(lambda: int(not bench.model("t5").is_dir()), bench.folder / "build.log")  # type: ignore[attr-defined]
    if child.wait() != 0:
        raise RuntimeError(child.said())


def _at_once(folder: Path, count: int, work: Callable[[], int]) -> list[Child]:
    start = time.time() + 0.1 + count * 0.004

    def waits() -> int:
        time.sleep(max(0.0, start - time.time()))
        return work()

    return [fork(waits, folder / f"start{number}.log", folder) for number in range(count)]


def _code(child: Child) -> int | None:
    done, status = os.waitpid(child.pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if done else None


def main() -> int:
    """Print the counts; 1 when there was not exactly one winner."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=50)
    parser.add_argument("--races", type=int, default=20)
    asked = parser.parse_args()
    wanted = {0: 1, 75: asked.starts - 1}
    failed = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for _ in range(asked.races):
            shutil.rmtree(folder / "one", ignore_errors=True)
            failed += Counter(race(folder, asked.starts)) != wanted
        print(f"races for a folder: {asked.races - failed}/{asked.races} with one winner of {asked.starts}")
        codes, said = trained(folder / "trained", asked.starts)
        print(f"desktune train: exit codes {dict(Counter(codes))}")
        clear = sum("in use by process" in text for text in said)
        print(f"refusals that name the holder: {clear}/{len(said)}")
    return int(failed > 0 or Counter(codes) != wanted or clear != len(said))


if __name__ == "__main__":
    sys.exit(main())
